//! Job files in HCL1, the language of 2017, to the tree that the decoder reads.
//!
//! HCL1 has values only: no variables, functions or expressions. `${…}` stays as it is written. Names may be quoted,
//! `=` before an object and commas are optional, line ends mean nothing, and blocks of one kind add up. What a field
//! takes is looser than in HCL2: `"3"` is a number where one is wanted, one text stands for a list of it.

mod lexer;
mod literal;
mod marks;
mod parser;
mod shape;

pub(crate) use self::marks::Marks;
use self::{
    parser::{Node, Object},
    shape::Shaper,
};
use crate::{
    diagnostics::{Diagnostic, unknown_argument, unknown_block},
    schema::JOB,
    source::Source,
    tree,
};

/// The job block of a file, with what shows that it is HCL1. What is wrong goes into `found`.
pub(crate) fn read(source: &Source, found: &mut Vec<Diagnostic>) -> (Option<tree::Block>, Marks) {
    let mut marks = Marks::default();
    let before = found.len();
    let root = parser::parse(source, found, &mut marks);
    if found.len() > before {
        // What is left of a file with a hole in it would be complained about without reason.
        return (None, marks);
    }
    let block = job(source, root, found, &mut marks);
    (block, marks)
}

fn job(
    source: &Source,
    root: Object,
    found: &mut Vec<Diagnostic>,
    marks: &mut Marks,
) -> Option<tree::Block> {
    let mut jobs = Vec::new();
    for item in root.items {
        let Some(key) = item.keys.first() else {
            continue;
        };
        let (name, span) = (key.text.clone(), key.span.clone());
        if name != "job" {
            let mut finding = match (&item.node, &item.assign) {
                (Node::Object(_), None) => unknown_block(&name, span, ["job"]),
                _ => unknown_argument(&name, span, ["job"]),
            };
            if matches!(name.as_str(), "variable" | "variables" | "locals") {
                finding = finding.hint("HCL1 has no variables: this is a file in HCL2");
            }
            found.push(finding.field(name));
            continue;
        }
        if key.quoted {
            let around = span.start.saturating_sub(1)..span.end + 1;
            marks.note(marks::Why::QuotedName, around);
        }
        let mut shaper = Shaper {
            source,
            found: &mut *found,
            marks: &mut *marks,
            path: Vec::new(),
            merged: 0,
        };
        match shaper.blocks_of(item, *JOB) {
            Ok(mut blocks) => jobs.append(&mut blocks),
            Err(item) => found.push(
                Diagnostic::error(
                    "Invalid job",
                    "A job is a block.",
                    Some(item.node.span().clone()),
                )
                .field("job")
                .hint("write job \"<name>\" { … }"),
            ),
        }
    }
    let mut jobs = jobs.into_iter();
    let Some(job) = jobs.next() else {
        if !found.iter().any(|finding| finding.span.is_some()) {
            let mut finding =
                Diagnostic::error("Missing job block", "A job block is required", None);
            finding.placeless = true;
            found.push(finding);
        }
        return None;
    };
    for other in jobs {
        let first = job.header.clone();
        let detail = format!(
            "Only one block of type \"job\" is allowed. Previous definition was at {}:{}.",
            source.name,
            source.range(&first)
        );
        found.push(
            Diagnostic::error("Duplicate job block", detail, Some(other.header))
                .field("job")
                .related(first, "the first one"),
        );
    }
    Some(job)
}
