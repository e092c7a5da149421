//! Jobs in the API's JSON.

use std::sync::Arc;

use rove_model::job::Job;
use serde::Deserialize;

use crate::{
    Parsed, Spans,
    diagnostics::{Diagnostic, Diagnostics},
    source::{Source, Span},
};

/// The job of a JSON text, bare or under `Job`.
pub(crate) fn read(source: Source) -> Result<Parsed, Diagnostics> {
    let source = Arc::new(source);
    match job(&source) {
        Ok(job) => Ok(Parsed {
            format: crate::Format::Json,
            job,
            warnings: Diagnostics {
                source,
                list: Vec::new(),
            },
            spans: Spans::default(),
        }),
        Err(finding) => Err(Diagnostics {
            source,
            list: vec![finding],
        }),
    }
}

fn job(source: &Source) -> Result<Job, Diagnostic> {
    #[derive(Deserialize)]
    struct Probe {
        #[serde(rename = "Job")]
        job: Option<serde::de::IgnoredAny>,
    }

    #[derive(Deserialize)]
    struct Wrapped {
        #[serde(rename = "Job")]
        job: Job,
    }

    let probe: Probe =
        serde_json::from_str(&source.text).map_err(|error| syntax_error(source, &error))?;
    let mut reader = serde_json::Deserializer::from_str(&source.text);
    let job = if probe.job.is_some() {
        serde_path_to_error::deserialize::<_, Wrapped>(&mut reader).map(|wrapped| wrapped.job)
    } else {
        serde_path_to_error::deserialize(&mut reader)
    };
    let job: Job = job.map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        Diagnostic::error("Wrong type", message(&inner), place(source, &inner)).field(path)
    })?;
    if job.id.is_empty() {
        return Err(Diagnostic::error(
            "Missing field",
            "The job has no ID: is this a job of the API?",
            None,
        )
        .field("ID"));
    }
    Ok(job)
}

fn syntax_error(source: &Source, error: &serde_json::Error) -> Diagnostic {
    Diagnostic::error("Invalid JSON", message(error), place(source, error))
}

/// The message without the place that serde adds.
fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((message, _)) => message.to_owned(),
        None => text,
    }
}

fn place(source: &Source, error: &serde_json::Error) -> Option<Span> {
    let line = error.line().checked_sub(1)?;
    let starts = source.text.split_inclusive('\n').take(line);
    let start: usize = starts.map(str::len).sum();
    // Columns count bytes there, from 1.
    let at = (start + error.column().saturating_sub(1)).min(source.text.len());
    Some(at..at)
}
