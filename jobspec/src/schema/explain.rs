//! Finding a field by its path: `job.group.task.resources.cpu`, in the names of HCL, YAML or JSON.

use thiserror::Error;

use super::{Field, JOB, Kind, Table};
use crate::diagnostics::nearest;

/// What a path leads to.
#[derive(Debug)]
pub struct Found {
    /// The fields on the way, outermost first; none for the job itself.
    pub way: Vec<&'static Field>,
    /// The path leads to the label of the block at its end.
    pub is_label: bool,
}

/// A path that leads nowhere.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NotFound {
    /// A block has no such field.
    #[error("{path} has no field {name:?}{}", did_you_mean(near))]
    NoField {
        /// The block.
        path: String,
        /// What was asked for.
        name: String,
        /// The names that are written nearly so.
        near: Vec<String>,
    },
    /// A field has nothing inside.
    #[error("{path} holds {what}: there is no field {name:?} in it")]
    NoBlock {
        /// The field.
        path: String,
        /// What it holds.
        what: &'static str,
        /// What was asked for.
        name: String,
    },
    /// A path that doesn't begin at the job.
    #[error("a path begins with job, not {name:?}{}", did_you_mean(near))]
    NoJob {
        /// How it begins.
        name: String,
        /// Paths that end so.
        near: Vec<String>,
    },
}

fn did_you_mean(near: &[String]) -> String {
    match near {
        [] => String::new(),
        [all @ .., last] if !all.is_empty() => {
            format!(". Did you mean {} or {last}?", all.join(", "))
        }
        [only, ..] => format!(". Did you mean {only}?"),
    }
}

/// The most paths that are suggested.
const SUGGESTIONS: usize = 5;

impl Found {
    /// The table of the block that it is, or the one around it.
    #[must_use]
    pub fn table(&self) -> Option<&'static Table> {
        match self.way.last() {
            None => Some(*JOB),
            Some(field) => field.table(),
        }
    }

    /// The field, unless it is the job itself.
    #[must_use]
    pub fn field(&self) -> Option<&'static Field> {
        self.way.last().copied()
    }

    /// The path in HCL's names.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = String::from("job");
        for field in &self.way {
            path.push('.');
            path.push_str(field.name);
        }
        if self.is_label {
            path.push_str(".name");
        }
        path
    }

    /// Where it is in YAML: `spec.groups[].tasks[].driver`.
    #[must_use]
    pub fn yaml_path(&self) -> String {
        match self.way.as_slice() {
            [] if self.is_label => return "metadata.name".to_owned(),
            [only] if only.name == "id" => return "metadata.name".to_owned(),
            [only] if only.name == "namespace" => return "metadata.namespace".to_owned(),
            _ => {}
        }
        let mut path = String::from("spec");
        for field in &self.way {
            path.push('.');
            path.push_str(field.yaml_name());
            if matches!(field.kind, Kind::Blocks(_) | Kind::NamedBlocks(_)) {
                path.push_str("[]");
            }
        }
        if self.is_label {
            let key = self.table().and_then(crate::yaml::label_key);
            path.push('.');
            path.push_str(key.unwrap_or("value"));
        }
        path
    }

    /// Where it is in the API's JSON: `TaskGroups[].Tasks[].Driver`; `None` for a short form that JSON doesn't have.
    #[must_use]
    pub fn json_path(&self) -> Option<String> {
        let mut path = String::new();
        for field in &self.way {
            if !path.is_empty() {
                path.push('.');
            }
            match (field.json, field.kind) {
                ("~Ports", _) => path.push_str("DynamicPorts[]"),
                (json, _) if json.starts_with('~') => return None,
                (json, Kind::Blocks(_)) => path.push_str(&format!("{json}[]")),
                (json, Kind::NamedBlocks(_)) => path.push_str(&format!("{json}.<name>")),
                (json, _) => path.push_str(json),
            }
        }
        if self.is_label {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(self.table().and_then(|table| table.label).unwrap_or("Name"));
        }
        Some(path)
    }
}

/// What a path leads to. Names may be those of HCL, YAML or JSON, in capitals or not, with or without `[]`.
///
/// # Errors
/// It leads nowhere; with what was probably meant.
pub fn find(path: &str) -> Result<Found, NotFound> {
    let mut names = path.split('.').map(|name| name.trim_end_matches("[]"));
    let first = names.next().unwrap_or_default();
    if !["job", "jobs", "spec"].contains(&first.to_ascii_lowercase().as_str()) {
        return Err(NotFound::NoJob {
            name: first.to_owned(),
            near: paths_that_end_with(path),
        });
    }
    let mut found = Found {
        way: Vec::new(),
        is_label: false,
    };
    for name in names {
        let table = if found.is_label { None } else { found.table() };
        let Some(table) = table else {
            return Err(NotFound::NoBlock {
                path: found.path(),
                what: match found.field() {
                    Some(field) if !found.is_label => field.kind.name(),
                    _ => Kind::Text.name(),
                },
                name: name.to_owned(),
            });
        };
        if let Some(field) = table.called(name) {
            found.way.push(field);
        } else if table.label.is_some_and(|label| {
            label.eq_ignore_ascii_case(name) || name.eq_ignore_ascii_case("name")
        }) {
            found.is_label = true;
        } else {
            let lower = name.to_ascii_lowercase();
            let known = table
                .fields
                .iter()
                .flat_map(|field| [field.name, field.yaml_name()]);
            return Err(NotFound::NoField {
                path: found.path(),
                name: name.to_owned(),
                near: nearest(&lower, known)
                    .map(|near| format!("{}.{near}", found.path()))
                    .into_iter()
                    .collect(),
            });
        }
    }
    Ok(found)
}

impl Table {
    /// The field with this name in HCL, YAML or JSON.
    fn called(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| {
            [field.name, field.plural, field.json]
                .iter()
                .any(|known| !known.is_empty() && known.eq_ignore_ascii_case(name))
        })
    }
}

/// Paths of the job whose last names are these.
fn paths_that_end_with(path: &str) -> Vec<String> {
    fn walk(table: &'static Table, at: &str, wanted: &[&str], found: &mut Vec<String>) {
        for field in table.fields {
            // A short form has no place of its own.
            if matches!(field.json, "~Tasks" | "~Vault") {
                continue;
            }
            let here = format!("{at}.{}", field.name);
            if let [first, rest @ ..] = wanted
                && table
                    .called(first)
                    .is_some_and(|called| std::ptr::eq(called, field))
            {
                let whole: Vec<&str> = [here.as_str()].iter().chain(rest).copied().collect();
                let whole = whole.join(".");
                if find(&whole).is_ok() {
                    found.push(whole);
                }
            }
            if let Some(inner) = field.table() {
                walk(inner, &here, wanted, found);
            }
        }
    }
    let wanted: Vec<&str> = path.split('.').collect();
    let mut found = Vec::new();
    walk(*JOB, "job", &wanted, &mut found);
    found.sort_by_key(|path| path.matches('.').count());
    found.truncate(SUGGESTIONS);
    if found.is_empty() && nearest(&path.to_ascii_lowercase(), ["job"]).is_some() {
        found.push("job".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_be_in_the_names_of_any_language() {
        for path in [
            "job.group.task.resources.memory_max",
            "spec.groups[].tasks[].resources.memory_max",
            "Job.TaskGroups.Tasks.Resources.MemoryMaxMB",
            "jobs.groups.tasks.resources.memory_max",
        ] {
            let found = find(path).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(found.path(), "job.group.task.resources.memory_max");
            assert_eq!(
                found.yaml_path(),
                "spec.groups[].tasks[].resources.memory_max"
            );
            let json = "TaskGroups[].Tasks[].Resources.MemoryMaxMB";
            assert_eq!(found.json_path().as_deref(), Some(json));
        }
    }

    #[test]
    fn labels_and_short_forms_have_places_too() {
        for (path, yaml, json) in [
            ("job.name", "spec.name", Some("Name")),
            ("job.id", "metadata.name", Some("ID")),
            (
                "job.group.name",
                "spec.groups[].name",
                Some("TaskGroups[].Name"),
            ),
            (
                "job.group.network.port.to",
                "spec.groups[].networks[].ports[].to",
                Some("TaskGroups[].Networks[].DynamicPorts[].To"),
            ),
            (
                "job.group.volume.source",
                "spec.groups[].volumes[].source",
                Some("TaskGroups[].Volumes.<name>.Source"),
            ),
            ("job.constraint.regexp", "spec.constraints[].regexp", None),
        ] {
            let found = find(path).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(
                (found.yaml_path().as_str(), found.json_path().as_deref()),
                (yaml, json),
                "{path}"
            );
        }
    }

    #[test]
    fn what_leads_nowhere_says_what_was_meant() {
        for (path, message) in [
            (
                "job.group.tsak",
                "job.group has no field \"tsak\". Did you mean job.group.task?",
            ),
            ("job.group.zzz", "job.group has no field \"zzz\""),
            (
                "job.group.count.x",
                "job.group.count holds an integer: there is no field \"x\" in it",
            ),
            (
                "job.group.name.x",
                "job.group.name holds a text: there is no field \"x\" in it",
            ),
            (
                "task.resources.cpu",
                "a path begins with job, not \"task\". Did you mean job.group.task.resources.cpu?",
            ),
            (
                "jbo",
                "a path begins with job, not \"jbo\". Did you mean job?",
            ),
            ("", "a path begins with job, not \"\""),
            ("job.", "job has no field \"\""),
        ] {
            let error = find(path).map(|found| found.path()).expect_err(path);
            assert_eq!(error.to_string(), message, "{path}");
        }
    }
}
