//! What a job file may not say, though each of its fields is sound: found where the file is read, with its place.

use serde_json::{Map, Value as Json};

use crate::schema::{Table, is_short_form};

/// Whether no two blocks of this kind may have one label.
pub(crate) fn labels_are_unique(table: &Table) -> bool {
    is_task_scaling(table)
}

fn is_task_scaling(table: &Table) -> bool {
    table.title == "scaling" && table.label.is_some()
}

/// The fields that a short form of a constraint or an affinity stands for.
pub(crate) fn long_form(table: &Table, name: &str) -> &'static [&'static str] {
    match (table.title, name) {
        ("constraint" | "affinity", name) if is_short_form(name) => &["value"],
        ("constraint", "distinct_hosts") => &["operator"],
        ("constraint", "distinct_property") => &["attribute", "operator"],
        _ => &[],
    }
}

/// A field, a summary and a detail for each mistake in a block that was read.
pub(crate) fn mistakes(
    table: &Table,
    object: &Map<String, Json>,
) -> Vec<(&'static str, &'static str, String)> {
    let text = |name: &str| object.get(name).and_then(Json::as_str).unwrap_or_default();
    match table.title {
        "scaling" if is_task_scaling(table) => {
            // The short names have been replaced.
            if matches!(text("Type"), "vertical_cpu" | "vertical_mem" | "") {
                return Vec::new();
            }
            vec![(
                "name",
                "Invalid scaling policy name",
                "scaling policy name must be \"cpu\" or \"mem\"".to_owned(),
            )]
        }
        "scaling" => {
            let mut found = Vec::new();
            if !object.contains_key("Max") {
                found.push((
                    "max",
                    "Missing required argument",
                    "The argument \"max\" is required, but no definition was found.".to_owned(),
                ));
            }
            if text("Type") != "horizontal" {
                found.push((
                    "type",
                    "Invalid group scaling type",
                    format!(
                        "task group scaling policy had invalid type: {:?}",
                        text("Type")
                    ),
                ));
            }
            found
        }
        _ => Vec::new(),
    }
}

/// A summary and a detail for each thing that has no effect, or not the one that is meant.
pub(crate) fn hints(table: &Table, object: &Map<String, Json>) -> Vec<(&'static str, String)> {
    match table.title {
        "lifecycle" if object.get("Hook").is_none_or(|hook| hook == "") => vec![(
            "Lifecycle without a hook",
            "Without hook = \"prestart\", \"poststart\" or \"poststop\" the block has no effect."
                .to_owned(),
        )],
        "logs" if object.contains_key("Enabled") => vec![(
            "Deprecated argument",
            "Write disabled = true instead of enabled = false.".to_owned(),
        )],
        _ => Vec::new(),
    }
}
