//! What job files have beyond the declared fields of a job: short forms, blocks that stand for others, another order.

use rove_model::job::{
    Declared as _, Port, Task, Vault,
    declare::{Block, Kind},
};
use serde_json::{Map, Value as Json};

use super::shapes;

/// A field that the API's JSON doesn't have in the same shape: the table's `finish` turns it into what it stands for.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub name: &'static str,
    pub plural: &'static str,
    /// With `~` in front, which no field of the API has.
    pub json: &'static str,
    pub kind: Kind,
    pub doc: &'static str,
    pub default: &'static str,
}

/// What a table has beyond the fields of its block.
#[derive(Clone, Copy, Default)]
pub(super) struct Beyond {
    /// The field that is the label here, by its name in JSON, where its declaration has none.
    pub label: Option<&'static str>,
    /// What comes first, where that isn't the order of the JSON.
    pub first: &'static [&'static str],
    /// Further fields, with the name of the one that they come behind; at the end, where there is none.
    pub rows: &'static [(&'static str, &'static [Row])],
    /// Fields that mean something else here: name, documentation and default.
    pub texts: &'static [(&'static str, &'static str, &'static str)],
    /// Turns what was read into the API's shape.
    pub finish: Option<fn(&mut Map<String, Json>)>,
    /// Turns the API's shape back into what is written.
    pub restore: Option<fn(&mut Map<String, Json>)>,
}

/// The name of the table that `block` has within another: its own, but for autoscaling of a task, which is written
/// otherwise than that of a group.
pub(super) fn name_within(around: &str, block: &'static str) -> &'static str {
    match (around, block) {
        ("Task", "ScalingPolicy") => "Task.ScalingPolicy",
        _ => block,
    }
}

/// What the table of this name has beyond its block.
pub(super) fn of(table: &str) -> Beyond {
    match table {
        "Job" => Beyond {
            first: &["id", "name"],
            rows: &[("", &[LONE_TASK, INHERITED_VAULT])],
            finish: Some(shapes::finish_job),
            ..Beyond::default()
        },
        "TaskGroup" => Beyond {
            rows: &[("", &[INHERITED_VAULT])],
            finish: Some(shapes::finish_group),
            ..Beyond::default()
        },
        "Constraint" => Beyond {
            first: &["attribute", "operator"],
            rows: &[("value", &SHORT_FORMS), ("", &DISTINCT)],
            finish: Some(shapes::finish_constraint),
            ..Beyond::default()
        },
        "Affinity" => Beyond {
            first: &["attribute", "operator"],
            rows: &[("value", &SHORT_FORMS)],
            finish: Some(shapes::finish_constraint),
            ..Beyond::default()
        },
        "NetworkResource" => Beyond {
            rows: &[("dns", &[PORTS])],
            finish: Some(shapes::finish_network),
            restore: Some(shapes::restore_network),
            ..Beyond::default()
        },
        "ScalingPolicy" => Beyond {
            finish: Some(shapes::finish_scaling),
            ..Beyond::default()
        },
        "Task.ScalingPolicy" => Beyond {
            label: Some("Type"),
            texts: &[
                ("min", "The least of the resource.", "0"),
                ("max", "The most of the resource.", ""),
            ],
            finish: Some(shapes::finish_task_scaling),
            restore: Some(shapes::restore_task_scaling),
            ..Beyond::default()
        },
        _ => Beyond::default(),
    }
}

const fn row(name: &'static str, json: &'static str, kind: Kind, doc: &'static str) -> Row {
    Row {
        name,
        plural: "",
        json,
        kind,
        doc,
        default: "",
    }
}

const VAULT: &Block = Vault::BLOCK;

const INHERITED_VAULT: Row = row(
    "vault",
    "~Vault",
    Kind::Block(VAULT),
    "Access to Vault, for every task that says nothing of its own.",
);

const LONE_TASK: Row = Row {
    plural: "tasks",
    ..row(
        "task",
        "~Tasks",
        Kind::Blocks(Task::BLOCK),
        "A task without a group: it makes a group of the same name.",
    )
};

const PORTS: Row = Row {
    plural: "ports",
    ..row(
        "port",
        "~Ports",
        Kind::Blocks(Port::BLOCK),
        "A port; its label is its name in services and in NOMAD_PORT_<label>.",
    )
};

macro_rules! short_forms {
    ($( $operand:literal, )*) => {
        [$(
            row(
                $operand,
                concat!("~", $operand),
                Kind::Text,
                concat!("Short for operator = \"", $operand, "\"."),
            ),
        )*]
    };
}

/// Operators that stand for themselves: `regexp = "x"` is `operator = "regexp"`, `value = "x"`.
pub(super) const SHORT_FORMS: [Row; 6] = short_forms![
    "version",
    "semver",
    "regexp",
    "set_contains",
    "set_contains_all",
    "set_contains_any",
];

const DISTINCT: [Row; 2] = [
    Row {
        default: "false",
        ..row(
            "distinct_hosts",
            "~distinct_hosts",
            Kind::Bool,
            "No two allocs of the job, or of the group, on one node.",
        )
    },
    row(
        "distinct_property",
        "~distinct_property",
        Kind::Text,
        "At most as many allocs as value says, 1 by default, for each value of this attribute.",
    ),
];

/// Whether an argument of a constraint or an affinity is the short form of an operator.
pub(crate) fn is_short_form(name: &str) -> bool {
    SHORT_FORMS.iter().any(|row| row.name == name)
}
