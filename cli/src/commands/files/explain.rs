//! `explain`: what a field of a job file is.

use std::fmt::Write as _;

use rove_jobspec::schema::{self, Field, Found, Table};

use crate::command::Context;
use crate::failure::{Failure, Outcome};

/// How wide text is written.
const WIDTH: usize = 79;

/// Prints what the path leads to, or the schema.
pub async fn run(cx: &mut Context) -> Outcome {
    let path = cx.one_or_none("This command takes one argument, as job.group.task.resources")?;
    if cx.args.is("schema") {
        if path.is_some() {
            return Err(Failure::usage(
                "-schema prints the schema of the whole job and takes no path",
            ));
        }
        cx.ui.write(schema::json_schema_text().as_bytes());
        return Ok(0);
    }
    let path = path.unwrap_or_else(|| "job".to_owned());
    let found = schema::find(&path).map_err(|error| Failure::new(format!("Error: {error}")))?;
    let text = explained(&found, cx.args.is("recursive"));
    cx.ui.write(text.as_bytes());
    Ok(0)
}

fn explained(found: &Found, deep: bool) -> String {
    let mut out = String::new();
    let field = found.field().filter(|_| !found.is_label);
    let (name, kind) = match field {
        Some(field) => (field.name, field.kind.short_name()),
        None if found.is_label => ("name", "text"),
        None => ("job", "block"),
    };
    let _ = writeln!(out, "FIELD:    {name} <{kind}>\n");
    out.push_str("DESCRIPTION:\n");
    let doc = match field {
        Some(field) => field.doc.to_owned(),
        None if found.is_label => {
            let title = found.table().map_or("block", |table| table.title);
            format!("The label of the block: {title} \"<name>\" {{ … }}.")
        }
        None => "A job: what runs, how many of it, and where.".to_owned(),
    };
    wrapped(&doc, 4, &mut out);
    if let Some(field) = field {
        if !field.values.is_empty() {
            wrapped(&format!("One of {}.", field.values.join(", ")), 4, &mut out);
        }
        out.push('\n');
        if !field.default.is_empty() {
            let _ = writeln!(out, "DEFAULT:  {}", field.default);
        }
        if !field.unit.is_empty() {
            let _ = writeln!(out, "UNIT:     {}", field.unit);
        }
    } else {
        out.push('\n');
    }
    let _ = writeln!(out, "HCL:      {}", hcl(found));
    let _ = writeln!(out, "YAML:     {}", found.yaml_path());
    let json = found.json_path();
    let _ = writeln!(
        out,
        "JSON:     {}",
        json.as_deref().unwrap_or("(short for something else)")
    );
    if let Some(table) = found.table().filter(|_| !found.is_label) {
        out.push_str("\nFIELDS:\n");
        if table.fields.is_empty() {
            out.push_str("  (none: the block says something by being there)\n");
        }
        if deep {
            tree(table, 2, &mut out);
        } else {
            list(table, &mut out);
        }
    }
    out
}

/// How it is written: `group "<name>" {` or `count = <integer>`.
fn hcl(found: &Found) -> String {
    let label = |table: &Table| match table.label {
        Some(_) => " \"<name>\"",
        None => "",
    };
    match found.field() {
        None => "job \"<name>\" { … }".to_owned(),
        Some(field) if found.is_label => format!("{} \"<name>\" {{ … }}", field.name),
        Some(field) => match field.table() {
            Some(table) => format!("{}{} {{ … }}", field.name, label(table)),
            None if field.is_block_only() => format!("{} {{ … }}", field.name),
            None if field.may_be_block() => format!("{0} {{ … }} or {0} = {{ … }}", field.name),
            None => format!("{} = <{}>", field.name, field.kind.short_name()),
        },
    }
}

fn list(table: &Table, out: &mut String) {
    // A block's name is its label; a field of that name is the same.
    let labelled = table.label.is_some();
    if labelled {
        let _ = writeln!(out, "  name <text>, the label");
    }
    for field in table.fields {
        if labelled && field.name == "name" {
            continue;
        }
        let _ = write!(out, "  {} <{}>", field.name, field.kind.short_name());
        if !field.default.is_empty() {
            let _ = write!(out, ", default {} {}", field.default, field.unit);
            out.truncate(out.trim_end().len());
        }
        out.push('\n');
        wrapped(field.doc, 6, out);
    }
}

fn tree(table: &'static Table, indent: usize, out: &mut String) {
    // A task or a vault block right under the job is explained with the group and the task.
    let explained_elsewhere = |field: &Field| matches!(field.json, "~Tasks" | "~Vault");
    for field in table.fields {
        let _ = writeln!(
            out,
            "{:indent$}{} <{}>",
            "",
            field.name,
            field.kind.short_name()
        );
        if let Some(inner) = field.table().filter(|_| !explained_elsewhere(field)) {
            tree(inner, indent + 2, out);
        }
    }
}

fn wrapped(text: &str, indent: usize, out: &mut String) {
    let mut column = 0;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > WIDTH {
            out.push('\n');
            column = 0;
        }
        if column == 0 {
            let _ = write!(out, "{:indent$}{word}", "");
            column = indent + width;
        } else {
            let _ = write!(out, " {word}");
            column += 1 + width;
        }
    }
    out.push('\n');
}
