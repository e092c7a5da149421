//! `-f`: the jobs of files, folders and standard input, in HCL, YAML or JSON.

use rove_jobspec::Parsed;
use serde_json::value::RawValue;

use crate::command::Context;
use crate::commands::job::source::{self, Source};
use crate::failure::{Failure, plain};

/// The endings of files that are looked at in a folder.
const ENDINGS: &[&str] = &["hcl", "nomad", "yaml", "yml", "json"];

/// The jobs of everything that `names` names, in order, with their places in the files. Each has an id.
pub fn read(cx: &mut Context, names: &[String]) -> Result<Vec<Parsed>, Failure> {
    let mut documents = Vec::new();
    for name in names {
        let sources = sources(cx, name)?;
        for source in sources.into_iter().flat_map(unpacked) {
            for parsed in source::jobs(cx, &source).map_err(in_other_words)? {
                if parsed.job.id.is_empty() {
                    return Err(Failure::new(format!(
                        "error: {}: a job without a name",
                        source.name
                    )));
                }
                documents.push(parsed);
            }
        }
    }
    if documents.is_empty() {
        return Err(Failure::new(format!(
            "error: no objects passed to {}",
            cx.name
        )));
    }
    Ok(documents)
}

/// The parts of a file: a list that `get -o json` has printed holds many, an empty file none.
fn unpacked(source: Source) -> Vec<Source> {
    #[derive(serde::Deserialize)]
    struct List<'a> {
        kind: String,
        #[serde(borrow)]
        items: Vec<&'a RawValue>,
    }
    if source.text.trim_start().is_empty() {
        return Vec::new();
    }
    match serde_json::from_str::<List<'_>>(&source.text) {
        Ok(list) if list.kind == "List" => {
            let texts: Vec<String> = list
                .items
                .iter()
                .map(|item| in_place(&source.text, item.get()))
                .collect();
            let part = |text| Source {
                text,
                ..source.clone()
            };
            texts.into_iter().map(part).collect()
        }
        Ok(_) | Err(_) => vec![source],
    }
}

/// A part of a text by itself, at the line and column where it stands in the whole.
fn in_place(whole: &str, part: &str) -> String {
    let at = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    let before = whole.get(..at).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    let lines = "\n".repeat(before.matches('\n').count());
    let columns = " ".repeat(line.chars().count());
    format!("{lines}{columns}{part}")
}

/// Failures to read a file begin here as kubectl's do.
fn in_other_words(failure: Failure) -> Failure {
    let message = failure.message.as_str();
    let message = message
        .strip_prefix("Error getting job struct: Error ")
        .unwrap_or(message);
    Failure {
        message: format!("error: {message}"),
        ..failure
    }
}

fn sources(cx: &mut Context, name: &str) -> Result<Vec<Source>, Failure> {
    let name = source::existing(cx, name);
    let name = name.as_str();
    let path = cx.folder.join(name);
    if name == "-" || !path.is_dir() {
        if name != "-" && !path.exists() {
            return Err(Failure::new(format!(
                "error: the path {name:?} does not exist"
            )));
        }
        return Ok(vec![source::read(cx, name)?]);
    }
    let mut files = Vec::new();
    collect(&path, cx.args.is("recursive"), &mut files)
        .map_err(|e| Failure::new(format!("error: reading {name}: {}", plain(&e))))?;
    files.sort();
    if files.is_empty() {
        return Err(Failure::new(format!(
            "error: the folder {name:?} holds no file that ends in .{}",
            ENDINGS.join(", .")
        )));
    }
    files
        .iter()
        .map(|file| source::read(cx, &file.display().to_string()))
        .collect()
}

fn collect(
    folder: &std::path::Path,
    deep: bool,
    files: &mut Vec<std::path::PathBuf>,
) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            if deep {
                collect(&path, deep, files)?;
            }
        } else if path
            .extension()
            .is_some_and(|e| ENDINGS.iter().any(|known| e == *known))
        {
            files.push(path);
        }
    }
    Ok(())
}
