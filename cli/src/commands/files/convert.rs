//! `convert`: a job file in another language.

use std::path::{Path, PathBuf};

use rove_jobspec::{Format, convert};
use rove_model::job::Job;

use super::write;
use crate::command::Context;
use crate::commands::job::source::{self, Source};
use crate::failure::{Failure, Outcome, plain};
use crate::render::colour::Style;

/// The languages by the names and endings they have; the first is the one that files get.
const LANGUAGES: &[(Format, &str, &[&str])] = &[
    (Format::Hcl, "hcl", &["nomad.hcl", "hcl", "nomad"]),
    (Format::Yaml, "yaml", &["yaml", "yml"]),
    (Format::Json, "json", &["json"]),
];

/// Reads, converts and writes.
pub async fn run(cx: &mut Context) -> Outcome {
    let [path] = cx.arguments("This command takes one argument: <path>")?;
    let output = cx
        .args
        .last("output")
        .filter(|path| *path != "-")
        .map(str::to_owned);
    let wanted = named(cx, "to")?;
    let given = named(cx, "from")?;
    let source = source::read(cx, &path).map_err(in_other_words)?;
    let from = given.unwrap_or_else(|| source::language(cx, &source));
    let by_ending = output.as_deref().and_then(language_of);
    let to = wanted.or(by_ending).unwrap_or(match from {
        Format::Hcl | Format::Hcl1 => Format::Yaml,
        Format::Yaml | Format::Json => Format::Hcl,
    });
    let parsed = source::jobs_in(cx, &source, from).map_err(in_other_words)?;
    let jobs: Vec<Job> = parsed.into_iter().map(|parsed| parsed.job).collect();
    let folder = output
        .as_deref()
        .map(|path| cx.folder.join(path))
        .filter(|path| path.is_dir() || output.as_deref().is_some_and(|path| path.ends_with('/')));
    match (folder, output) {
        (Some(folder), _) => into_folder(cx, &source, &jobs, to, &folder),
        (None, output) => {
            let text = one_text(cx, &source, &jobs, to)?;
            match output {
                Some(path) => write::whole(&cx.folder.join(&path), &text)
                    .map_err(|e| Failure::new(format!("{path}: {}", plain(&e))))?,
                None => cx.ui.write(text.as_bytes()),
            }
            Ok(0)
        }
    }
}

/// The language that a flag names.
fn named(cx: &Context, flag: &str) -> Result<Option<Format>, Failure> {
    let Some(name) = cx.args.last(flag) else {
        return Ok(None);
    };
    let lower = name.to_ascii_lowercase();
    let known = LANGUAGES
        .iter()
        .find(|(_, known, endings)| *known == lower || endings.contains(&lower.as_str()));
    match known {
        Some((format, ..)) => Ok(Some(*format)),
        None => Err(Failure::usage(format!(
            "-{flag} is hcl, yaml or json, not {name:?}"
        ))),
    }
}

fn language_of(path: &str) -> Option<Format> {
    let (_, ending) = path.rsplit_once('.')?;
    let ending = ending.to_ascii_lowercase();
    let known = LANGUAGES
        .iter()
        .find(|(_, _, endings)| endings.contains(&ending.as_str()));
    known.map(|(format, ..)| *format)
}

/// Failures to read a file begin with its name here.
fn in_other_words(failure: Failure) -> Failure {
    let message = failure.message.as_str();
    let short = message
        .strip_prefix("Error getting job struct: Error parsing job file from ")
        .and_then(|rest| rest.split_once('\n').map(|(_, why)| why))
        .or_else(|| message.strip_prefix("Error getting job struct: "));
    match short {
        Some(short) => Failure {
            message: short.to_owned(),
            ..failure
        },
        None => failure,
    }
}

fn warn(cx: &mut Context, text: &str) {
    let text = format!(
        "{}\n",
        cx.ui.paint(Style::Yellow, &format!("Warning: {text}"))
    );
    cx.ui.write_error(text.as_bytes());
}

fn text_of(cx: &mut Context, source: &Source, job: &Job, to: Format) -> Result<String, Failure> {
    let converted = convert::convert(job, to)
        .map_err(|error| Failure::new(format!("{}: job {:?}: {error}", source.name, job.id)))?;
    if !converted.left_out.is_empty() {
        let names = converted.left_out.join(", ");
        warn(
            cx,
            &format!(
                "{}: job {:?}: a job file has no word for {names}, which is left out",
                source.name, job.id
            ),
        );
    }
    Ok(converted.text)
}

/// All jobs as one text: only YAML holds several.
fn one_text(
    cx: &mut Context,
    source: &Source,
    jobs: &[Job],
    to: Format,
) -> Result<String, Failure> {
    if let (Format::Hcl | Format::Json, [_, _, ..]) = (to, jobs) {
        return Err(Failure::new(format!(
            "{}: it holds {} jobs, and a file in HCL or JSON holds one: give a folder with -o, as -o jobs/, for a file each",
            source.name,
            jobs.len()
        )));
    }
    let mut text = String::new();
    for job in jobs {
        if !text.is_empty() {
            text.push_str("---\n");
        }
        text.push_str(&text_of(cx, source, job, to)?);
    }
    Ok(text)
}

/// A file for each job, named after its id; nothing is written unless all can be.
fn into_folder(
    cx: &mut Context,
    source: &Source,
    jobs: &[Job],
    to: Format,
    folder: &Path,
) -> Outcome {
    let ending = LANGUAGES
        .iter()
        .find(|(format, ..)| *format == to)
        .map_or("", |(_, _, endings)| endings[0]);
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    for job in jobs {
        let path = folder.join(format!("{}.{ending}", file_name(&job.id)));
        if files.iter().any(|(known, _)| *known == path) {
            return Err(Failure::new(format!(
                "{}: two jobs would be written to {}",
                source.name,
                path.display()
            )));
        }
        files.push((path, text_of(cx, source, job, to)?));
    }
    let told =
        |path: &Path, e: &std::io::Error| Failure::new(format!("{}: {}", path.display(), plain(e)));
    std::fs::create_dir_all(folder).map_err(|e| told(folder, &e))?;
    for (path, text) in &files {
        write::whole(path, text).map_err(|e| told(path, &e))?;
        cx.ui.line(path.display().to_string());
    }
    Ok(0)
}

/// A job's id as the name of a file: what is no letter, digit, `.`, `_` or `-` becomes `-`.
fn file_name(id: &str) -> String {
    let name: String = id
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || matches!(c, '.' | '_' | '-') {
                c
            } else {
                '-'
            }
        })
        .collect();
    match name.strip_prefix('.') {
        Some(rest) => format!("-{rest}"),
        None => name,
    }
}
