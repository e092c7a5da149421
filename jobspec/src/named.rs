//! A field's path as it is shown, `group["web"].task["t"].driver`, back to the keys that positions are filed under.

use rove_model::job::Job;

/// A part of a path: its name, and which of that name is meant.
struct Part<'a> {
    name: &'a str,
    which: Which<'a>,
}

enum Which<'a> {
    Plain,
    Number(usize),
    Label(&'a str),
}

/// The keys under which the field that `shown` names may be filed, innermost first; `None` where it is no path into
/// this job.
pub(crate) fn keys(job: &Job, shown: &str) -> Option<Vec<String>> {
    let mut keys = vec![String::new()];
    if shown == "job" {
        return Some(keys);
    }
    let mut group: Option<usize> = None;
    let mut around = String::new();
    for part in parts(shown)? {
        let index = match part.which {
            Which::Plain => 0,
            Which::Number(number) => number,
            Which::Label(label) => match (part.name, group) {
                ("group", _) => job.task_groups.iter().position(|it| it.name == label)?,
                ("task", Some(group)) => {
                    let group = job.task_groups.get(group)?;
                    group.tasks.iter().position(|it| it.name == label)?
                }
                // The first of its kind is near enough.
                _ => 0,
            },
        };
        if part.name == "group" {
            group = Some(index);
            job.task_groups.get(index)?;
        }
        if !around.is_empty() {
            around.push('.');
        }
        around.push_str(part.name);
        let field = around.clone();
        around.push_str(&format!("[{index}]"));
        keys.push(around.clone());
        if matches!(part.which, Which::Plain) {
            keys.push(field);
        }
    }
    keys.reverse();
    Some(keys)
}

/// The parts of a path: names with dots between them, each with a number or a quoted label in brackets or without.
fn parts(shown: &str) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = shown;
    loop {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if name.is_empty() || name.contains([']', '"']) {
            return None;
        }
        let (which, after) = match after.strip_prefix('[') {
            None => (Which::Plain, after),
            Some(inside) => match inside.strip_prefix('"') {
                Some(label) => {
                    let (label, after) = label.split_once("\"]")?;
                    (Which::Label(label), after)
                }
                None => {
                    let (number, after) = inside.split_once(']')?;
                    (Which::Number(number.parse().ok()?), after)
                }
            },
        };
        parts.push(Part { name, which });
        if after.is_empty() {
            return Some(parts);
        }
        rest = after.strip_prefix('.')?;
    }
}
