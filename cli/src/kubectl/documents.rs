//! `-f`: the jobs of files, folders and standard input, in HCL, YAML or JSON.

use serde_json::Value;

use crate::command::Context;
use crate::commands::job::source::{self, Source};
use crate::failure::{Failure, plain};

/// The endings of files that are looked at in a folder.
const ENDINGS: &[&str] = &["hcl", "nomad", "yaml", "yml", "json"];

/// One job of a file.
#[derive(Debug)]
pub struct Document {
    /// The job as the API takes it.
    pub job: Value,
    /// Its id.
    pub id: String,
    /// Its namespace, empty if the file names none.
    pub namespace: String,
    /// As it was read, with its places in the file.
    pub parsed: rove_jobspec::Parsed,
}

/// The jobs of everything that `names` names, in order.
pub fn read(cx: &mut Context, names: &[String]) -> Result<Vec<Document>, Failure> {
    let mut documents = Vec::new();
    for name in names {
        let sources = sources(cx, name)?;
        for source in sources.into_iter().flat_map(unpacked) {
            for parsed in source::jobs(cx, &source).map_err(in_other_words)? {
                let job = source::as_value(&parsed.job)?;
                let id = source::text(&job, "ID").to_owned();
                if id.is_empty() {
                    return Err(Failure::new(format!(
                        "error: {}: a job without a name",
                        source.name
                    )));
                }
                let namespace = source::text(&job, "Namespace").to_owned();
                documents.push(Document {
                    job,
                    id,
                    namespace,
                    parsed,
                });
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
    let text = source.text.trim_start();
    if text.is_empty() {
        return Vec::new();
    }
    let list = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(mut list)) if list.get("kind") == Some(&Value::from("List")) => {
            list.remove("items")
        }
        _ => None,
    };
    match list {
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| Source {
                text: item.to_string(),
                ..source.clone()
            })
            .collect(),
        _ => vec![source],
    }
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
