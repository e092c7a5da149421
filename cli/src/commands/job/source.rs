//! Job files: read from disk or standard input, and made into the JSON that the API takes.

use std::io::Read as _;
use std::path::PathBuf;

use rove_jobspec::Format;
use rove_model::job::Job;
use serde_json::Value;

use crate::app::Context;
use crate::args::{Flag, many, switch};
use crate::failure::Failure;
use crate::render::json;
use crate::render::quote::quoted;

/// The flags of every command that reads a job file.
pub const FLAGS: &[Flag] = &[
    switch("json", "The file holds the job as JSON, as the API has it."),
    many("var", "name=value", "Sets a variable of the file."),
    many(
        "var-file",
        "path",
        "Sets variables from a file of name = value lines.",
    ),
    switch(
        "hcl1",
        "Refused: this version reads files of 2017 as it reads all others.",
    ),
    switch(
        "hcl2-strict",
        "Refuse variables that the file does not declare; so it is by default.",
    ),
];

/// A job file.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name as given; `-` for standard input.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// Reads the file at `path`, or standard input for `-`.
pub fn read(cx: &mut Context, path: &str) -> Result<Source, Failure> {
    let fail = |why: String| {
        Failure::new(format!(
            "Error getting job struct: Error getting jobfile from {}: {why}",
            quoted(path)
        ))
    };
    let bytes = if path == "-" {
        cx.ui
            .read_input()
            .map_err(|e| fail(format!("reading standard input: {}", plain(&e))))?
    } else {
        let whole = cx.folder.join(path);
        let shown = whole.display().to_string();
        let about = std::fs::metadata(&whole)
            .map_err(|e| fail(format!("source path error: stat {shown}: {}", plain(&e))))?;
        if about.is_dir() {
            return Err(fail(format!("source path error: {shown} is a directory")));
        }
        std::fs::read(&whole).map_err(|e| fail(format!("open {shown}: {}", plain(&e))))?
    };
    let text = String::from_utf8(bytes).map_err(|e| {
        fail(format!(
            "it is not UTF-8 text at byte {}",
            e.utf8_error().valid_up_to()
        ))
    })?;
    Ok(Source {
        name: path.to_owned(),
        text,
    })
}

/// The words of a system error, without its number.
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => text.to_owned(),
    }
}

/// The job that the command's flags and the file at `path` give, with its source.
pub fn job(cx: &mut Context, path: &str) -> Result<(Value, Source), Failure> {
    let source = read(cx, path)?;
    let job = only(cx, &source)?;
    Ok((as_value(&job)?, source))
}

/// The job of the file at `path` as the API takes it, as JSON with its fields in the API's order.
pub fn pretty(cx: &mut Context, path: &str) -> Result<String, Failure> {
    #[derive(serde::Serialize)]
    struct Wrapped<'a> {
        #[serde(rename = "Job")]
        job: &'a Job,
    }
    let source = read(cx, path)?;
    let mut job = only(cx, &source)?;
    if job.name.is_empty() {
        job.name.clone_from(&job.id);
    }
    json::pretty_as_is(&Wrapped { job: &job })
        .map_err(|e| Failure::new(format!("Error converting job: {e}")))
}

/// A job as the API takes it.
pub fn as_value(job: &Job) -> Result<Value, Failure> {
    serde_json::to_value(job).map_err(|e| Failure::new(format!("Error converting job: {e}")))
}

fn only(cx: &mut Context, source: &Source) -> Result<Job, Failure> {
    let mut jobs = jobs(cx, source)?;
    match (jobs.pop(), jobs.len()) {
        (Some(job), 0) => Ok(job),
        (_, before) => Err(unreadable(
            source,
            &format!(
                "{}: it holds {} jobs; \"apply -f\" takes them all",
                source.name,
                before + 1
            ),
        )),
    }
}

/// The jobs of a file in HCL, YAML or the API's JSON.
pub fn jobs(cx: &mut Context, source: &Source) -> Result<Vec<Job>, Failure> {
    let format = if cx.args.is("json") {
        Format::Json
    } else {
        rove_jobspec::detect(&source.name, &source.text)
    };
    jobs_in(cx, source, format, explained)
}

/// The jobs of a file in this language; what is wrong with it is said by `words`.
pub fn jobs_in(
    cx: &mut Context,
    source: &Source,
    format: Format,
    words: fn(&Context, &rove_jobspec::Diagnostics) -> String,
) -> Result<Vec<Job>, Failure> {
    if cx.args.is("hcl1") {
        return Err(unreadable(
            source,
            "-hcl1 is not supported: files of that age are read without it unless they quote the names of arguments",
        ));
    }
    let options = options(cx, source)?;
    let read = match format {
        Format::Hcl => {
            rove_jobspec::parse_hcl(&source.name, &source.text, &options).map(|parsed| vec![parsed])
        }
        Format::Yaml => rove_jobspec::parse_yaml(&source.name, &source.text, &options),
        Format::Json => rove_jobspec::parse_json(&source.name, &source.text, &options)
            .map(|parsed| vec![parsed]),
    };
    match read {
        Ok(parsed) => {
            for warnings in parsed
                .iter()
                .map(|p| &p.warnings)
                .filter(|w| !w.list.is_empty())
            {
                let text = warnings.render(cx.ui.colour);
                cx.ui.write_error(text.as_bytes());
            }
            Ok(parsed.into_iter().map(|p| p.job).collect())
        }
        Err(found) => Err(unreadable(source, &words(cx, &found))),
    }
}

/// A file can't be made into a job.
pub fn unreadable(source: &Source, why: &str) -> Failure {
    Failure::new(format!(
        "Error getting job struct: Error parsing job file from {}:\n{why}",
        source.name
    ))
}

/// What is wrong with a file: with its lines for people, in the reference's words for programs.
pub fn explained(cx: &Context, found: &rove_jobspec::Diagnostics) -> String {
    if cx.ui.live {
        shown(cx, found)
    } else {
        found.reference_text()
    }
}

/// What is wrong with a file, with its lines.
pub fn shown(cx: &Context, found: &rove_jobspec::Diagnostics) -> String {
    found.render(cx.ui.colour).trim_end().to_owned()
}

/// What the command's flags and the environment say about variables; files are found beside the job file.
pub fn options(cx: &Context, source: &Source) -> Result<rove_jobspec::ParseOptions, Failure> {
    let mut options = rove_jobspec::ParseOptions::default();
    for variable in cx.args.all("var") {
        let (name, value) = variable.split_once('=').ok_or_else(|| {
            unreadable(
                source,
                &format!("the flag -var wants name=value, not {variable:?}"),
            )
        })?;
        options.variables.push((name.to_owned(), value.to_owned()));
    }
    for file in cx.args.all("var-file") {
        let text = std::fs::read_to_string(cx.folder.join(file))
            .map_err(|e| unreadable(source, &format!("variable file {file}: {}", plain(&e))))?;
        options.variable_files.push((file.clone(), text));
    }
    options.environment = cx.env.with_prefix("NOMAD_VAR_");
    options.environment.extend(cx.env.with_prefix("ROVE_VAR_"));
    let file = cx.folder.join(&source.name);
    let folder = match file.parent() {
        Some(parent) if source.name != "-" => parent.to_owned(),
        _ => cx.folder.clone(),
    };
    options.files = Box::new(Beside { folder });
    Ok(options)
}

/// The files that a job file's functions read: the user's own, on the user's machine.
struct Beside {
    folder: PathBuf,
}

/// The longest file that a function of a job file reads: more would not fit into a job.
const LONGEST_FILE: u64 = 1 << 20;

impl rove_jobspec::Files for Beside {
    fn read(&self, path: &str) -> Result<String, String> {
        let file = std::fs::File::open(self.folder.join(path)).map_err(|e| plain(&e))?;
        let mut text = String::new();
        file.take(LONGEST_FILE + 1)
            .read_to_string(&mut text)
            .map_err(|e| plain(&e))?;
        if text.len() as u64 > LONGEST_FILE {
            return Err(format!("it is longer than {LONGEST_FILE} bytes"));
        }
        Ok(text)
    }
}

/// A text field of a job.
pub fn text<'a>(job: &'a Value, field: &str) -> &'a str {
    job.get(field).and_then(Value::as_str).unwrap_or("")
}

/// The job is only started by its schedule or by a dispatch: registering it makes no evaluation.
pub fn is_template(job: &Value) -> bool {
    let set = |field: &str| job.get(field).is_some_and(|v| !v.is_null());
    set("Periodic") || set("ParameterizedJob")
}
