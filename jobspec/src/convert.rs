//! A job from one language into another: written as it was read, read again, and compared, so that nothing is lost
//! without a word.

use std::{collections::BTreeSet, fmt};

use rove_model::job::{Job, KEPT_BY_THE_SERVER};
use serde_json::{Map, Value as Json};
use thiserror::Error;

use crate::{
    Format, ParseOptions, hcl, json, parse_hcl, parse_json, parse_yaml, schema::Kind,
    schema::Table, yaml,
};

/// A job in another language.
#[derive(Debug)]
pub struct Converted {
    /// The text.
    pub text: String,
    /// What the job holds beside what a job file says, as `Payload`, and what the text therefore lacks.
    pub left_out: Vec<String>,
}

/// A job that a language can't say.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{} has no way to write this job:\n{}", format_name(*format), list(losses))]
pub struct CannotWrite {
    /// The language.
    pub format: Format,
    /// What would be lost or changed.
    pub losses: Vec<Loss>,
}

/// One value that would be lost or changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Loss {
    /// Where it is in the API's JSON, as `TaskGroups[0].Tasks[0].Config["a.b"]`.
    pub path: String,
    /// Why.
    pub why: String,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.why)
        } else {
            write!(f, "{}: {}", self.path, self.why)
        }
    }
}

fn list(losses: &[Loss]) -> String {
    let lines: Vec<String> = losses.iter().map(|loss| format!("  {loss}")).collect();
    lines.join("\n")
}

fn format_name(format: Format) -> &'static str {
    match format {
        Format::Hcl | Format::Hcl1 => "HCL",
        Format::Yaml => "YAML",
        Format::Json => "JSON",
    }
}

/// What a registered job may hold and a job file has no word for.
const BESIDE_THE_FILE: [&str; 7] = [
    "Stop",
    "ParentID",
    "Dispatched",
    "DispatchIdempotencyToken",
    "Payload",
    "ConsulNamespace",
    "VaultNamespace",
];

/// Writes a job in a language; what it doesn't say is not filled in. HCL1 is only read: its place takes HCL.
///
/// # Errors
/// The language has no way to say something of it.
pub fn convert(job: &Job, format: Format) -> Result<Converted, CannotWrite> {
    let (text, left_out) = match format {
        Format::Hcl | Format::Hcl1 => (hcl::as_written(job), beside(job)),
        Format::Yaml => (yaml::as_written(job), beside(job)),
        Format::Json => (json::as_written(job), Vec::new()),
    };
    let losses = losses(job, &text, format);
    if losses.is_empty() {
        Ok(Converted { text, left_out })
    } else {
        Err(CannotWrite { format, losses })
    }
}

fn beside(job: &Job) -> Vec<String> {
    let Ok(Json::Object(object)) = serde_json::to_value(job) else {
        return Vec::new();
    };
    let said = |name: &str| {
        object
            .get(name)
            .is_some_and(|value| !value.is_null() && *value != "" && *value != Json::Bool(false))
    };
    let names = BESIDE_THE_FILE.into_iter().filter(|name| said(name));
    names.map(str::to_owned).collect()
}

/// What reading the text again would change.
fn losses(job: &Job, text: &str, format: Format) -> Vec<Loss> {
    let options = ParseOptions {
        max_size: usize::MAX,
        ..ParseOptions::default()
    };
    let read = match format {
        Format::Hcl | Format::Hcl1 => parse_hcl("job.hcl", text, &options).map(|parsed| parsed.job),
        Format::Json => parse_json("job.json", text, &options).map(|parsed| parsed.job),
        Format::Yaml => parse_yaml("job.yaml", text, &options).map(|list| {
            let first = list.into_iter().next();
            first.map_or_else(Job::default, |parsed| parsed.job)
        }),
    };
    match read {
        Ok(read) => {
            let mut losses = Vec::new();
            compare("", &comparable(job), &comparable(&read), &mut losses);
            losses
        }
        Err(findings) => {
            let named = match format {
                Format::Hcl | Format::Hcl1 => unnameable(job),
                Format::Yaml | Format::Json => Vec::new(),
            };
            if !named.is_empty() {
                return named;
            }
            let told = findings.errors().map(|finding| Loss {
                path: finding.field.clone().unwrap_or_default(),
                why: format!("{}: {}", finding.summary, finding.detail),
            });
            told.collect()
        }
    }
}

/// Arguments of drivers that can't be named in HCL.
fn unnameable(job: &Job) -> Vec<Loss> {
    let mut found = Vec::new();
    for (g, group) in job.task_groups.iter().enumerate() {
        for (t, task) in group.tasks.iter().enumerate() {
            for name in task.config.keys().filter(|name| !hcl::is_name(name)) {
                found.push(Loss {
                    path: format!("TaskGroups[{g}].Tasks[{t}].Config[{name:?}]"),
                    why: "an argument's name is made of letters, digits, _ and -".to_owned(),
                });
            }
        }
    }
    found
}

/// A job with its defaults and without what the API fills in. In what only a driver or an autoscaler reads, an object
/// is a list of one and a whole number is whole, as both languages read them.
pub(crate) fn comparable(job: &Job) -> Json {
    let mut job = job.clone();
    job.canonicalize();
    let mut json = serde_json::to_value(&job).unwrap_or(Json::Null);
    if let Json::Object(object) = &mut json {
        object.retain(|name, _| {
            !KEPT_BY_THE_SERVER.contains(&name.as_str())
                && !BESIDE_THE_FILE.contains(&name.as_str())
        });
        settle(*crate::schema::JOB, object);
    }
    json
}

fn settle(table: &'static Table, object: &mut Map<String, Json>) {
    let inside = |table: &'static Table, value: &mut Json| {
        if let Json::Object(object) = value {
            settle(table, object);
        }
    };
    match table.title {
        "scaling" => {
            object.retain(|name, _| {
                !matches!(
                    name.as_str(),
                    "ID" | "Namespace" | "Target" | "CreateIndex" | "ModifyIndex"
                )
            });
        }
        "service" => {
            object.remove("Namespace");
        }
        _ => {}
    }
    for field in table.fields {
        // Both lists of ports are under names of their own.
        let Some(value) = object.get_mut(field.json) else {
            continue;
        };
        match (field.kind, value) {
            (Kind::Free, value) => settle_free(value),
            (Kind::Block(table), value) => inside(table, value),
            (Kind::Blocks(table), Json::Array(list)) => {
                list.iter_mut().for_each(|value| inside(table, value));
            }
            (Kind::NamedBlocks(table), Json::Object(map)) => {
                map.values_mut().for_each(|value| inside(table, value));
            }
            _ => {}
        }
    }
}

fn settle_free(value: &mut Json) {
    match value {
        Json::Object(map) => {
            for value in map.values_mut() {
                settle_free(value);
                if value.is_object() {
                    *value = Json::Array(vec![value.take()]);
                }
            }
        }
        Json::Array(list) => list.iter_mut().for_each(settle_free),
        Json::Number(number) if number.is_f64() => {
            *value = crate::value::Value::from_json(value).to_json();
        }
        _ => {}
    }
}

fn compare(path: &str, ours: &Json, theirs: &Json, losses: &mut Vec<Loss>) {
    match (ours, theirs) {
        (Json::Object(a), Json::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                let path = match (plain, path.is_empty()) {
                    (true, true) => name.clone(),
                    (true, false) => format!("{path}.{name}"),
                    (false, _) => format!("{path}[{name:?}]"),
                };
                let nothing = Json::Null;
                compare(
                    &path,
                    a.get(name).unwrap_or(&nothing),
                    b.get(name).unwrap_or(&nothing),
                    losses,
                );
            }
        }
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}[{index}]"), a, b, losses);
            }
        }
        (a, b) if a == b => {}
        (a, b) => losses.push(Loss {
            path: path.to_owned(),
            why: format!("{a} would become {b}"),
        }),
    }
}
