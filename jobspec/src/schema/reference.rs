//! The reference page of the job specification, in Markdown.

use std::{collections::VecDeque, fmt::Write as _};

use super::{Field, JOB, Kind, Table};

const HEAD: &str = "# The job specification

Every block and field of a job file. This page is made from the tables that read the files, as is what `rove explain
job.group.task` prints; `rove explain -schema` prints the JSON schema of the YAML form.

- In HCL a block stands as `group \"web\" { … }` and a field as `count = 3`.
- In YAML a job is a document of `apiVersion: rove/v1` and `kind: Job`; `metadata` holds `name` and `namespace`, `spec`
  the rest. What repeats is a list under its plural, and a label is the key `name` of an element.
- In the API's JSON durations are nanoseconds; texts such as `\"30s\"` are read too.

Durations are numbers with units, as `30s`, `1h30m` or `100ms`. An empty default means that nothing is set.
";

/// The page.
#[must_use]
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    for (table, paths) in tables() {
        section(table, &paths, &mut page);
    }
    page
}

/// Every table once, with the paths it is at, those nearest to the job first.
fn tables() -> Vec<(&'static Table, Vec<String>)> {
    let mut sections: Vec<(&'static Table, Vec<String>)> = Vec::new();
    let mut next: VecDeque<(&'static Table, String)> = VecDeque::from([(*JOB, "job".to_owned())]);
    while let Some((table, path)) = next.pop_front() {
        // What is inside is told where the block is met first.
        if let Some((_, paths)) = sections
            .iter_mut()
            .find(|(known, _)| std::ptr::eq(*known, table))
        {
            paths.push(path);
            continue;
        }
        for field in table.fields {
            // These stand for what is explained with the group and the task.
            if matches!(field.json, "~Tasks" | "~Vault") {
                continue;
            }
            if let Some(inner) = field.table() {
                next.push_back((inner, format!("{path}.{}", field.name)));
            }
        }
        sections.push((table, vec![path]));
    }
    sections
}

fn section(table: &Table, paths: &[String], page: &mut String) {
    let title = paths.first().map_or(table.title, String::as_str);
    let _ = write!(page, "\n## {title}\n\n");
    match (table.label, table.label_optional) {
        (Some(_), false) => {
            let _ = write!(page, "Has a label: `{} \"<name>\" {{ … }}`. ", table.title);
        }
        (Some(_), true) => {
            let _ = write!(
                page,
                "May have a label: `{} \"<name>\" {{ … }}`. ",
                table.title
            );
        }
        (None, _) => {}
    }
    if let [_, others @ ..] = paths
        && !others.is_empty()
    {
        let others: Vec<String> = others.iter().map(|path| format!("`{path}`")).collect();
        let _ = write!(page, "Also as {}. ", others.join(", "));
    }
    if page.ends_with(' ') {
        page.truncate(page.trim_end().len());
        page.push_str("\n\n");
    }
    if table.fields.is_empty() {
        page.push_str("It has no fields: it says something by being there.\n");
        return;
    }
    page.push_str(
        "| HCL | YAML | JSON | type | default | |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for field in table.fields {
        let _ = writeln!(
            page,
            "| `{}` | `{}` | {} | {} | {} | {} |",
            field.name,
            field.yaml_name(),
            json_name(field),
            field.kind.short_name(),
            default(field),
            description(field),
        );
    }
}

fn json_name(field: &Field) -> String {
    match field.json {
        "~Ports" => "`ReservedPorts`, `DynamicPorts`".to_owned(),
        json if json.starts_with('~') => String::new(),
        json => format!("`{json}`"),
    }
}

fn default(field: &Field) -> String {
    match (field.default, field.unit) {
        ("", "") => String::new(),
        ("", unit) => unit.to_owned(),
        (default, unit) => format!("{} {unit}", escape(default)).trim_end().to_owned(),
    }
}

fn description(field: &Field) -> String {
    let mut text = escape(field.doc);
    if !field.values.is_empty() {
        let values: Vec<String> = field
            .values
            .iter()
            .map(|value| format!("`{value}`"))
            .collect();
        let _ = write!(text, " One of {}.", values.join(", "));
    }
    text
}

/// What Markdown would read as a tag, as emphasis or as the end of a cell.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '|' | '<' | '*') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

impl Kind {
    /// What it holds in a word or two, as `list of texts`.
    #[must_use]
    pub fn short_name(self) -> &'static str {
        let name = self.name();
        let name = name.strip_prefix("a ").unwrap_or(name);
        name.strip_prefix("an ").unwrap_or(name)
    }

    /// What it holds, with its article.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Integer => "an integer",
            Self::Bool => "a boolean",
            Self::Duration => "a duration",
            Self::Texts => "a list of texts",
            Self::TextMap => "a map of texts",
            Self::TextsMap => "a map of lists of texts",
            Self::Free => "a map",
            Self::Block(_) => "a block",
            Self::Blocks(_) | Self::NamedBlocks(_) => "blocks",
        }
    }
}
