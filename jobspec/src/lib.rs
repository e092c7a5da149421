//! Job files: text to [`rove_model::job::Job`], with errors that name file, line and column.
//!
//! Every language comes to the same tree of blocks ([`tree`]), which one decoder reads by tables ([`schema`]). All
//! mistakes of a file are reported at once. No text makes this panic, run for long or use much more memory than it is
//! long.

pub mod convert;
mod decode;
pub mod diagnostics;
mod encode;
mod files;
pub mod hcl;
mod hcl1;
mod json;
mod later;
mod node;
mod number;
mod rules;
pub mod schema;
pub mod source;
pub mod tree;
pub mod value;
pub mod yaml;

use std::sync::Arc;

use rove_model::{job::Job, supported::Unsupported, validate::Report};

pub use decode::Spans;
pub use diagnostics::{Diagnostic, Diagnostics, Severity};
pub use files::{Folder, MAX_FILE};
pub use hcl::{
    format,
    functions::{Files, NoFiles},
};
use source::Source;
pub use yaml::to_yaml;

/// What a job file is read with.
pub struct ParseOptions {
    /// Values of variables, by name, later ones stronger.
    pub variables: Vec<(String, String)>,
    /// Variable files: name and text, later ones stronger.
    pub variable_files: Vec<(String, String)>,
    /// The environment; only `NOMAD_VAR_…` and `ROVE_VAR_…` are looked at.
    pub environment: Vec<(String, String)>,
    /// Whether a value for a variable that the file does not declare is an error; else it is a warning.
    pub strict_variables: bool,
    /// What the file functions may read.
    pub files: Box<dyn Files + Send + Sync>,
    /// The longest text in bytes.
    pub max_size: usize,
}

/// The longest job file by default, in bytes.
pub const DEFAULT_MAX_SIZE: usize = 1 << 20;

impl Default for ParseOptions {
    fn default() -> Self {
        Self {
            variables: Vec::new(),
            variable_files: Vec::new(),
            environment: Vec::new(),
            strict_variables: true,
            files: Box::new(NoFiles),
            max_size: DEFAULT_MAX_SIZE,
        }
    }
}

/// A job that was read, as it is written: defaults are not filled in.
#[derive(Debug)]
pub struct Parsed {
    /// The job.
    pub job: Job,
    /// What should be changed in the file.
    pub warnings: Diagnostics,
    /// Where each field is written.
    pub spans: Spans,
    /// The language it is written in.
    pub format: Format,
}

impl Parsed {
    /// What validation found, at its places in the file.
    #[must_use]
    pub fn locate(&self, report: &Report) -> Diagnostics {
        let list = report.problems().into_iter().map(|problem| {
            Diagnostic::error(
                "Invalid job",
                problem.message.clone(),
                self.spans.place(&problem.path),
            )
            .field(problem.path.to_string())
        });
        let mut located = Diagnostics {
            source: Arc::clone(&self.warnings.source),
            list: list.collect(),
        };
        located.redact(self.spans.secrets());
        located
    }

    /// Findings of somebody else, each with the keys of the field that it is about ([`FieldPath::keys_outwards`]), at
    /// their places in the file.
    ///
    /// [`FieldPath::keys_outwards`]: rove_model::validate::FieldPath::keys_outwards
    #[must_use]
    pub fn place(
        &self,
        findings: impl IntoIterator<Item = (Vec<String>, Diagnostic)>,
    ) -> Diagnostics {
        let list = findings.into_iter().map(|(keys, mut finding)| {
            finding.span = self.spans.first(&keys);
            finding
        });
        let mut placed = Diagnostics {
            source: Arc::clone(&self.warnings.source),
            list: list.collect(),
        };
        placed.redact(self.spans.secrets());
        placed
    }

    /// A text about this job without the values of sensitive variables.
    #[must_use]
    pub fn redacted(&self, text: String) -> String {
        let mut finding = Diagnostic::error("", text, None);
        finding.redact(self.spans.secrets());
        finding.detail
    }

    /// What can't be run yet, at its places in the file.
    #[must_use]
    pub fn locate_unsupported(&self, unsupported: &[Unsupported]) -> Diagnostics {
        let list = unsupported.iter().map(|found| {
            let mut finding = Diagnostic::error(
                "Not supported yet",
                format!("This version of rove does not support {}.", found.feature),
                self.spans.place(&found.path),
            )
            .field(found.path.to_string());
            if !found.hint.is_empty() {
                finding.hint = Some(found.hint.to_owned());
            }
            finding
        });
        Diagnostics {
            source: Arc::clone(&self.warnings.source),
            list: list.collect(),
        }
    }
}

/// Reads a job file in HCL.
///
/// # Errors
/// Everything that is wrong with the text, with places.
pub fn parse_hcl(name: &str, text: &str, options: &ParseOptions) -> Result<Parsed, Diagnostics> {
    if let Some(finding) = too_long(text, options) {
        return Err(without_text(name, finding));
    }
    let source = Arc::new(Source::new(name, text));
    let mut found = Vec::new();
    let (block, secrets) = hcl::read(&source, options, &mut found);
    match finish(block, source, found, Format::Hcl) {
        Ok(mut parsed) => {
            parsed.warnings.redact(&secrets);
            parsed.spans.keep_secret(secrets);
            Ok(parsed)
        }
        Err(mut found) => {
            found.redact(&secrets);
            Err(found)
        }
    }
}

/// Reads a job file in HCL1, the language of 2017. It has no variables: those of `options` are not looked at.
///
/// # Errors
/// Everything that is wrong with the text, with places.
pub fn parse_hcl1(name: &str, text: &str, options: &ParseOptions) -> Result<Parsed, Diagnostics> {
    if let Some(finding) = too_long(text, options) {
        return Err(without_text(name, finding));
    }
    read_hcl1(Source::new(name, text)).0
}

fn read_hcl1(source: Source) -> (Result<Parsed, Diagnostics>, hcl1::Marks) {
    let source = Arc::new(source);
    let mut found = Vec::new();
    let (block, mut marks) = hcl1::read(&source, &mut found);
    found.append(&mut marks.take_slips());
    (finish(block, source, found, Format::Hcl1), marks)
}

/// Reads a job file in HCL, and where it is none in HCL1: that is taken with warnings that say what is not HCL in it.
/// A text that HCL gives a meaning to and HCL1 does not is never taken so, nor is any if variables are given.
///
/// # Errors
/// Everything that is wrong with the text as HCL, with places.
pub fn parse_hcl_of_any_age(
    name: &str,
    text: &str,
    options: &ParseOptions,
) -> Result<Parsed, Diagnostics> {
    let mut complaints = match parse_hcl(name, text, options) {
        Ok(parsed) => return Ok(parsed),
        Err(complaints) => complaints,
    };
    let has_variables = !options.variables.is_empty() || !options.variable_files.is_empty();
    if has_variables || text.len() > options.max_size {
        return Err(complaints);
    }
    match read_hcl1(Source::new(name, text)) {
        (Ok(mut parsed), marks) if marks.explain() => {
            parsed.warnings.list.append(&mut marks.warnings());
            Ok(parsed)
        }
        (_, marks) => {
            if marks.speak_for_hcl1()
                && let Some(first) = complaints.list.first_mut()
            {
                let as_hcl1 = "if this is HCL1, -hcl1 says what is wrong with it as such";
                first.hint = Some(match first.hint.take() {
                    Some(hint) => format!("{hint}; {as_hcl1}"),
                    None => as_hcl1.to_owned(),
                });
            }
            Err(complaints)
        }
    }
}

/// The languages of job files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// HCL.
    Hcl,
    /// HCL1, the language of 2017.
    Hcl1,
    /// YAML.
    Yaml,
    /// The API's JSON.
    Json,
}

/// The language of a file, by its name's end, else by how it begins. It does not tell HCL1 from HCL.
#[must_use]
pub fn detect(name: &str, text: &str) -> Format {
    let name = name.to_ascii_lowercase();
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    if ends(&[".yaml", ".yml"]) {
        return Format::Yaml;
    }
    if ends(&[".json"]) {
        return Format::Json;
    }
    if ends(&[".hcl", ".nomad"]) {
        return Format::Hcl;
    }
    let mut lines = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    match lines.next() {
        Some(line) if line.trim_start().starts_with('{') => Format::Json,
        Some(line)
            if line == "---"
                || line.starts_with("--- ")
                || ["apiVersion:", "kind:", "metadata:", "spec:"]
                    .iter()
                    .any(|key| line.starts_with(key)) =>
        {
            Format::Yaml
        }
        _ => Format::Hcl,
    }
}

/// Reads the jobs of a YAML stream.
///
/// # Errors
/// Everything that is wrong with the text, with places.
pub fn parse_yaml(
    name: &str,
    text: &str,
    options: &ParseOptions,
) -> Result<Vec<Parsed>, Diagnostics> {
    match too_long(text, options) {
        Some(finding) => Err(without_text(name, finding)),
        None => yaml::read(Source::new(name, text)),
    }
}

/// Reads a job in the API's JSON, bare or under `Job`.
///
/// # Errors
/// What is wrong with the text, with its place.
pub fn parse_json(name: &str, text: &str, options: &ParseOptions) -> Result<Parsed, Diagnostics> {
    match too_long(text, options) {
        Some(finding) => Err(without_text(name, finding)),
        None => json::read(Source::new(name, text)),
    }
}

/// Reads the jobs of a file in whichever language it is in ([`detect`]).
///
/// # Errors
/// Everything that is wrong with the text, with places.
pub fn parse_any(
    name: &str,
    text: &str,
    options: &ParseOptions,
) -> Result<Vec<Parsed>, Diagnostics> {
    match detect(name, text) {
        Format::Hcl | Format::Hcl1 => {
            parse_hcl_of_any_age(name, text, options).map(|parsed| vec![parsed])
        }
        Format::Yaml => parse_yaml(name, text, options),
        Format::Json => parse_json(name, text, options).map(|parsed| vec![parsed]),
    }
}

/// A finding about a text that isn't kept.
fn without_text(name: &str, finding: Diagnostic) -> Diagnostics {
    Diagnostics {
        source: Arc::new(Source::new(name, "")),
        list: vec![finding],
    }
}

fn too_long(text: &str, options: &ParseOptions) -> Option<Diagnostic> {
    (text.len() > options.max_size).then(|| {
        Diagnostic::error(
            "Job file too large",
            format!(
                "The file has {} bytes; {} are the most that is read.",
                text.len(),
                options.max_size
            ),
            None,
        )
    })
}

fn finish(
    block: Option<tree::Block>,
    source: Arc<Source>,
    mut found: Vec<Diagnostic>,
    format: Format,
) -> Result<Parsed, Diagnostics> {
    let decoded = block.map(|block| decode::job(block, &source, &mut found));
    let mut findings = Diagnostics {
        source,
        list: found,
    };
    findings.each_once();
    match decoded {
        Some((Some(job), spans)) if !findings.has_errors() => Ok(Parsed {
            job,
            warnings: findings,
            spans,
            format,
        }),
        _ => Err(findings),
    }
}
