//! Job files: read from disk or standard input, and made into the JSON that the API takes.

use std::time::Duration;

use rove_jobspec::{Diagnostic, Format, Parsed};
use rove_model::as_parsed::AsParsed;
use rove_model::job::Job;
use rove_wire::{PlanRequest, Problem, Validation};

use crate::args::{Flag, many, switch};
use crate::client::ApiError;
use crate::command::Context;
use crate::failure::{Failure, plain};
use crate::render::json;
use crate::render::quote::quoted;

/// How long an agent has to say what else is wrong with a job that has mistakes.
const SOON: Duration = Duration::from_secs(5);

/// The flags of every command that reads a job file.
pub const FLAGS: &[Flag] = &[
    switch("json", "The file holds the job as JSON, as the API has it."),
    many("var", "name=value", "Sets a variable of the file."),
    many(
        "var-file",
        "path",
        "Sets variables from a file of name = value lines.",
    ),
    HCL1,
    switch(
        "hcl2-strict",
        "Refuse values for variables that the file does not declare (the default); with =false they are only warned about.",
    ),
];

/// The flag that names the language of old files.
pub const HCL1: Flag = switch(
    "hcl1",
    "Read HCL as HCL1, the language of 2017, which has no variables.",
);

/// A job file.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name as given; `-` for standard input.
    pub name: String,
    /// What it holds.
    pub text: String,
    /// What the variable files of the command hold.
    pub variables: String,
    /// The language that it was read in, once it was.
    pub format: Option<Format>,
}

impl Source {
    /// The language as the API names it beside a job's source.
    pub fn submitted_as(&self) -> &'static str {
        match self.format {
            Some(Format::Hcl1) => "hcl1",
            Some(Format::Json) => "json",
            Some(Format::Yaml) => "yaml",
            Some(Format::Hcl) | None => "hcl2",
        }
    }
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
        let there = existing(cx, path);
        let whole = cx.folder.join(there);
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
    // One that can't be read is told of when the job is made.
    let files = cx.args.all("var-file").iter();
    let variables: Vec<String> = files
        .filter_map(|file| std::fs::read_to_string(cx.folder.join(file)).ok())
        .collect();
    Ok(Source {
        name: path.to_owned(),
        text,
        variables: variables.join("\n"),
        format: None,
    })
}

/// `example.nomad.hcl` in place of an `example.nomad` that is not there, or the other way round, which is said.
pub fn existing(cx: &mut Context, path: &str) -> String {
    let other = match path.strip_suffix(".hcl") {
        Some(shorter) => shorter.to_owned(),
        None => format!("{path}.hcl"),
    };
    let fits = path.ends_with(".nomad") || path.ends_with(".nomad.hcl");
    if !fits || cx.folder.join(path).exists() || !cx.folder.join(&other).is_file() {
        return path.to_owned();
    }
    let text = format!("There is no {path}; {other} is read instead.\n");
    cx.ui.write_error(text.as_bytes());
    other
}

/// The job that the command's flags and the file at `path` give, with its source; checked before anything is done.
pub async fn checked(cx: &mut Context, path: &str) -> Result<(Parsed, Source), Failure> {
    let mut source = read(cx, path)?;
    let parsed = only(cx, &source)?;
    source.format = Some(parsed.format);
    check(cx, &parsed).await?;
    Ok((parsed, source))
}

/// Refuses a job with mistakes, with their places in its file. An agent that answers soon is asked what else stands in
/// the way, so that all of it is told at once. What only this version can't run is left to the agent.
pub async fn check(cx: &Context, parsed: &Parsed) -> Result<(), Failure> {
    let mut job = parsed.job.clone();
    job.server_canonicalize();
    let report = rove_model::validate::validate(&job).errors;
    if report.is_empty() {
        return Ok(());
    }
    let mut problems: Vec<Problem> = report.problems().into_iter().map(mistake).collect();
    problems.extend(unsupported(parsed));
    let mut text = report.to_string();
    if let Some(answer) = asked(cx, parsed).await {
        let known = |found: &Problem| {
            let is_same = |own: &Problem| own.keys == found.keys && own.message == found.message;
            problems.iter().any(is_same)
        };
        let further: Vec<Problem> = answer.problems.into_iter().filter(|p| !known(p)).collect();
        problems.extend(further);
        if !answer.error.is_empty() {
            text = answer.error;
        }
    }
    let text = parsed.redacted(text);
    Err(Failure::new(format!(
        "Job validation errors:\n{}\n\n{}",
        text.trim_end(),
        placed(cx, parsed, &problems)
    )))
}

/// What the agent says to a job with mistakes, if it answers soon.
async fn asked(cx: &Context, parsed: &Parsed) -> Option<Validation> {
    let client = cx.client().ok()?.in_namespace(&parsed.job.namespace);
    let body = PlanRequest {
        job: Some(parsed.job.clone()),
        ..PlanRequest::default()
    };
    let answer = client.put("/v1/validate/job", &[], &body);
    tokio::time::timeout(SOON, answer).await.ok()?.ok()
}

/// What of a job this version does not run yet, at its places in the file: the job is sound, and would not be
/// registered.
pub fn refusals(cx: &Context, parsed: &Parsed) -> Option<String> {
    let found = unsupported(parsed);
    (!found.is_empty()).then(|| placed(cx, parsed, &found))
}

/// What of a job this version does not run yet.
fn unsupported(parsed: &Parsed) -> Vec<Problem> {
    let mut job = parsed.job.clone();
    job.server_canonicalize();
    let found = rove_model::supported::check(&job).into_iter();
    found
        .map(|found| Problem {
            field: found.path.to_string(),
            keys: found.path.keys_outwards(),
            message: format!("This version of rove does not support {}.", found.feature),
            hint: found.hint.to_owned(),
            unsupported: true,
        })
        .collect()
}

fn mistake(found: &rove_model::validate::Problem) -> Problem {
    Problem {
        field: found.path.to_string(),
        keys: found.path.keys_outwards(),
        message: found.message.clone(),
        ..Problem::default()
    }
}

/// Each problem at its place in the file of the job.
pub fn placed(cx: &Context, parsed: &Parsed, problems: &[Problem]) -> String {
    let findings = problems.iter().map(|problem| {
        let summary = if problem.unsupported {
            "Not supported yet"
        } else {
            "Invalid job"
        };
        let mut finding =
            Diagnostic::error(summary, problem.message.clone(), None).field(problem.field.clone());
        if !problem.hint.is_empty() {
            finding = finding.hint(problem.hint.clone());
        }
        (problem.keys.clone(), finding)
    });
    rendered(cx, &parsed.place(findings))
}

/// The agent's refusal of a job, with the places in its file that it comes from.
pub fn refused(cx: &Context, what: &str, error: &ApiError, parsed: &Parsed) -> Failure {
    let Some(body) = error.body() else {
        return Failure::new(format!("{what}: {}", error.full()));
    };
    let text = parsed.redacted(format!("{what}: {}", body.trim_end()));
    let places = match error.problems() {
        // Of an older agent only what this program knows too can be placed.
        [] => refusals(cx, parsed),
        problems => Some(placed(cx, parsed, problems)),
    };
    Failure::new(match places {
        Some(places) => format!("{text}\n\n{places}"),
        None => text,
    })
}

/// The job of the file at `path` as the API takes it, as JSON with its fields in the API's order.
pub fn pretty(cx: &mut Context, path: &str) -> Result<String, Failure> {
    #[derive(serde::Serialize)]
    struct Wrapped {
        #[serde(rename = "Job")]
        job: AsParsed,
    }
    let source = read(cx, path)?;
    let parsed = only(cx, &source)?;
    let said = |field: &str| parsed.spans.has(field);
    json::pretty_as_is(&Wrapped {
        job: AsParsed::new(&parsed.job, &said),
    })
    .map_err(|e| Failure::new(format!("Error converting job: {e}")))
}

fn only(cx: &mut Context, source: &Source) -> Result<Parsed, Failure> {
    let mut jobs = jobs(cx, source)?;
    match (jobs.pop(), jobs.len()) {
        (Some(parsed), 0) => Ok(parsed),
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

/// What can't go with `-hcl1`.
fn check_flags(cx: &Context) -> Result<(), Failure> {
    let refused = |why: &str| Err(Failure::new(format!("Invalid job options: {why}")));
    if !cx.args.is("hcl1") {
        return Ok(());
    }
    if cx.args.is("json") {
        return refused("cannot parse job file as HCL and JSON.");
    }
    if !cx.args.all("var").is_empty() || !cx.args.all("var-file").is_empty() {
        return refused("cannot use variables with HCLv1.");
    }
    Ok(())
}

/// The language of a file, by the command's flags, its name, or its beginning.
pub fn language(cx: &Context, source: &Source) -> Format {
    if cx.args.is("json") {
        return Format::Json;
    }
    match rove_jobspec::detect(&source.name, &source.text) {
        Format::Hcl if cx.args.is("hcl1") => Format::Hcl1,
        other => other,
    }
}

/// The jobs of a file in HCL, YAML or the API's JSON.
pub fn jobs(cx: &mut Context, source: &Source) -> Result<Vec<Parsed>, Failure> {
    jobs_in(cx, source, language(cx, source))
}

/// The jobs of a file in this language.
pub fn jobs_in(cx: &mut Context, source: &Source, format: Format) -> Result<Vec<Parsed>, Failure> {
    check_flags(cx)?;
    let options = options(cx, source)?;
    let one = |parsed| vec![parsed];
    let read = match format {
        Format::Hcl => {
            rove_jobspec::parse_hcl_of_any_age(&source.name, &source.text, &options).map(one)
        }
        Format::Hcl1 => rove_jobspec::parse_hcl1(&source.name, &source.text, &options).map(one),
        Format::Yaml => rove_jobspec::parse_yaml(&source.name, &source.text, &options),
        Format::Json => rove_jobspec::parse_json(&source.name, &source.text, &options).map(one),
    };
    match read {
        Ok(parsed) => {
            for warnings in parsed
                .iter()
                .map(|p| &p.warnings)
                .filter(|w| !w.list.is_empty())
            {
                let text = warnings.render(cx.ui.colour_errors);
                cx.ui.write_error(text.as_bytes());
            }
            Ok(parsed)
        }
        Err(found) => Err(unreadable(source, &rendered(cx, &found))),
    }
}

/// A file can't be made into a job.
pub fn unreadable(source: &Source, why: &str) -> Failure {
    Failure::new(format!(
        "Error getting job struct: Error parsing job file from {}:\n{why}",
        source.name
    ))
}

/// What is wrong with a file, with its lines and a marker, in a pipe as on a terminal.
pub fn rendered(cx: &Context, found: &rove_jobspec::Diagnostics) -> String {
    found.render(cx.ui.colour_errors).trim_end().to_owned()
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
    options.strict_variables = cx.args.switch("hcl2-strict").unwrap_or(true);
    let file = cx.folder.join(&source.name);
    let folder = match file.parent() {
        Some(parent) if source.name != "-" => parent.to_owned(),
        _ => cx.folder.clone(),
    };
    let home = cx.env.get("HOME").map(ToString::to_string);
    options.files = Box::new(rove_jobspec::Folder::new(folder).with_home(home));
    Ok(options)
}

/// The job is only started by its schedule or by a dispatch: registering it makes no evaluation.
pub fn is_template(job: &Job) -> bool {
    job.periodic.is_some() || job.parameterized_job.is_some()
}
