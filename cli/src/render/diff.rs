//! What differs between two versions of a job: `+` added, `-` removed, `+/-` changed, nothing unchanged.
//!
//! Names within one block line up whatever their markers, and so do their values.

use super::colour::Style;
use super::quote::quoted;
use rove_model::diff::{DiffType, FieldDiff, JobDiff, ObjectDiff, TaskDiff, TaskGroupDiff};

/// The lines of a diff, without line ends around it. `verbose` shows what an added or removed job holds too.
pub fn job(diff: &JobDiff, verbose: bool, colour: bool) -> String {
    let pen = Pen { colour };
    let mut out = Vec::new();
    out.push(format!(
        "{}{}",
        pen.marker(diff.kind),
        pen.bold(&format!("Job: {}", quoted(&diff.id)))
    ));
    let column = diff
        .task_groups
        .iter()
        .map(|g| marker_width(g.kind))
        .chain(block_markers(&diff.fields, &diff.objects));
    let column = column.max().unwrap_or(0);
    if diff.kind == DiffType::Edited || verbose {
        pen.block(&mut out, &diff.fields, &diff.objects, 0, column);
    }
    for group in &diff.task_groups {
        pen.group(&mut out, group, column - marker_width(group.kind), verbose);
        out.push(String::new());
    }
    out.join("\n").trim().to_owned()
}

struct Pen {
    colour: bool,
}

impl Pen {
    fn bold(&self, text: &str) -> String {
        Style::Bold.paint(text, self.colour)
    }

    fn marker(&self, kind: DiffType) -> String {
        let (sign, style) = sign(kind);
        if sign.is_empty() {
            String::new()
        } else {
            format!("{} ", style.paint(sign, self.colour))
        }
    }

    fn group(&self, out: &mut Vec<String>, group: &TaskGroupDiff, indent: usize, verbose: bool) {
        let title = self.bold(&format!("Task Group: {}", quoted(&group.name)));
        let mut line = format!("{}{}{title}", self.marker(group.kind), blanks(indent));
        if let Some(updates) = group.updates.as_ref().filter(|updates| !updates.is_empty()) {
            let updates: Vec<String> = updates
                .iter()
                .map(|(what, count)| {
                    update_style(what).paint(&format!("{count} {what}"), self.colour)
                })
                .collect();
            line.push_str(&format!(" ({})", updates.join(", ")));
        }
        out.push(line);
        let below = indent + 2;
        let column = group
            .tasks
            .iter()
            .map(|t| marker_width(t.kind))
            .chain(block_markers(&group.fields, &group.objects));
        let column = column.max().unwrap_or(0);
        if group.kind == DiffType::Edited || verbose {
            self.block(out, &group.fields, &group.objects, below, column);
        }
        for task in &group.tasks {
            self.task(out, task, below, column - marker_width(task.kind), verbose);
        }
    }

    fn task(
        &self,
        out: &mut Vec<String>,
        task: &TaskDiff,
        start: usize,
        indent: usize,
        verbose: bool,
    ) {
        let title = self.bold(&format!("Task: {}", quoted(&task.name)));
        let notes = self.notes(&task.annotations);
        out.push(format!(
            "{}{}{}{title}{notes}",
            blanks(start),
            self.marker(task.kind),
            blanks(indent)
        ));
        if task.kind == DiffType::Edited || (verbose && task.kind != DiffType::None) {
            let column = block_markers(&task.fields, &task.objects)
                .max()
                .unwrap_or(0);
            self.block(out, &task.fields, &task.objects, start + 2, column);
        }
    }

    fn block(
        &self,
        out: &mut Vec<String>,
        fields: &[FieldDiff],
        objects: &[ObjectDiff],
        start: usize,
        column: usize,
    ) {
        let widest = fields
            .iter()
            .map(|f| f.name.chars().count())
            .max()
            .unwrap_or(0);
        for field in fields {
            let indent = column - marker_width(field.kind);
            let gap = widest - field.name.chars().count();
            out.push(format!(
                "{}{}{}{}: {}{}{}",
                blanks(start),
                self.marker(field.kind),
                blanks(indent),
                field.name,
                blanks(gap),
                value(field),
                self.notes(&field.annotations),
            ));
        }
        for object in objects {
            let indent = column - marker_width(object.kind);
            let lead = format!(
                "{}{}{}",
                blanks(start),
                self.marker(object.kind),
                blanks(indent)
            );
            out.push(format!("{lead}{} {{", object.name));
            let inner = block_markers(&object.fields, &object.objects)
                .max()
                .unwrap_or(0);
            self.block(
                out,
                &object.fields,
                &object.objects,
                start + indent + 2,
                inner,
            );
            out.push(format!(
                "{}}}",
                blanks(start + marker_width(object.kind) + indent)
            ));
        }
    }

    fn notes(&self, annotations: &[String]) -> String {
        if annotations.is_empty() {
            return String::new();
        }
        let notes: Vec<String> = annotations
            .iter()
            .map(|note| note_style(note).paint(note, self.colour))
            .collect();
        format!(" ({})", notes.join(", "))
    }
}

fn value(field: &FieldDiff) -> String {
    match field.kind {
        DiffType::Deleted => quoted(&field.old),
        DiffType::Edited => format!("{} => {}", quoted(&field.old), quoted(&field.new)),
        DiffType::Added | DiffType::None => quoted(&field.new),
    }
}

fn sign(kind: DiffType) -> (&'static str, Style) {
    match kind {
        DiffType::Added => ("+", Style::Green),
        DiffType::Deleted => ("-", Style::Red),
        DiffType::Edited => ("+/-", Style::Yellow),
        DiffType::None => ("", Style::Plain),
    }
}

fn marker_width(kind: DiffType) -> usize {
    match sign(kind).0.len() {
        0 => 0,
        width => width + 1,
    }
}

fn block_markers<'a>(
    fields: &'a [FieldDiff],
    objects: &'a [ObjectDiff],
) -> impl Iterator<Item = usize> + 'a {
    fields
        .iter()
        .map(|f| marker_width(f.kind))
        .chain(objects.iter().map(|o| marker_width(o.kind)))
}

fn update_style(what: &str) -> Style {
    match what {
        "create" => Style::Green,
        "destroy" => Style::Red,
        "migrate" => Style::Blue,
        "in-place update" => Style::Cyan,
        "create/destroy update" | "canary" => Style::Yellow,
        _ => Style::Plain,
    }
}

fn note_style(note: &str) -> Style {
    match note {
        "forces create" => Style::Green,
        "forces destroy" => Style::Red,
        "forces in-place update" => Style::Cyan,
        "forces create/destroy update" => Style::Yellow,
        _ => Style::Plain,
    }
}

fn blanks(count: usize) -> String {
    " ".repeat(count)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn diff(json: serde_json::Value) -> JobDiff {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_stopped_job_that_is_run_again_lines_its_unchanged_parts_up() {
        let diff = diff(serde_json::json!({
            "Type": "Edited", "ID": "example",
            "Fields": [{"Type": "Edited", "Name": "Stop", "Old": "true", "New": "false"}],
            "TaskGroups": [{"Type": "None", "Name": "cache", "Updates": {"create": 1},
                "Tasks": [{"Type": "None", "Name": "redis"}]}],
        }));
        assert_eq!(
            job(&diff, false, false),
            "+/- Job: \"example\"\n+/- Stop: \"true\" => \"false\"\n    Task Group: \"cache\" (1 create)\n      Task: \"redis\""
        );
    }

    #[test]
    fn groups_are_parted_by_a_blank_line_and_removed_blocks_are_closed() {
        let diff = diff(serde_json::json!({
            "Type": "Edited", "ID": "j",
            "TaskGroups": [
                {"Type": "Added", "Name": "a", "Tasks": [{"Type": "Added", "Name": "t", "Annotations": ["forces create"]}]},
                {"Type": "Edited", "Name": "b", "Tasks": [{"Type": "Edited", "Name": "t", "Objects": [
                    {"Type": "Deleted", "Name": "Artifact", "Fields": [{"Type": "Deleted", "Name": "Source", "Old": "x"}]},
                ]}]},
            ],
        }));
        assert_eq!(
            job(&diff, false, false),
            "+/- Job: \"j\"\n+   Task Group: \"a\"\n    + Task: \"t\" (forces create)\n\n+/- Task Group: \"b\"\n  +/- Task: \"t\"\n    - Artifact {\n      - Source: \"x\"\n      }"
        );
    }

    #[test]
    fn colours_are_only_written_when_wanted() {
        let diff = diff(serde_json::json!({"Type": "Added", "ID": "j"}));
        assert_eq!(
            job(&diff, false, true),
            "\u{1b}[32m+\u{1b}[0m \u{1b}[1mJob: \"j\"\u{1b}[0m"
        );
    }
}
