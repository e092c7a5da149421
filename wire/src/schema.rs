//! The schemas of what `/v1` takes and gives, made from the types themselves.
//!
//! They say what is written: lists and maps without content may be `null`, as Go writes them, and fields that are left
//! out when they are empty are not required. Reading is more tolerant, see the crate.

use std::collections::BTreeMap;

use rove_model::{
    diff::JobDiff,
    duration::Nanos,
    eval::AllocMetric,
    job::{DnsConfig, Job, Lifecycle, Multiregion, Task, TaskGroup},
    plan::DesiredUpdates,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::Word;

/// The schemas of structs by name, as an OpenAPI document keeps them under `components`.
#[derive(Debug, Default)]
pub struct Types(BTreeMap<&'static str, Value>);

impl Types {
    /// All of them, by name.
    #[must_use]
    pub fn into_map(self) -> Map<String, Value> {
        let types = self.0.into_iter();
        types
            .map(|(name, schema)| (name.to_owned(), schema))
            .collect()
    }

    /// A reference to the type of that name, which is made if it is not there yet.
    pub(crate) fn named(
        &mut self,
        name: &'static str,
        make: impl FnOnce(&mut Self) -> Value,
    ) -> Value {
        if !self.0.contains_key(name) {
            // A type that holds itself finds its name taken.
            self.0.insert(name, Value::Null);
            let schema = make(self);
            self.0.insert(name, schema);
        }
        json!({"$ref": format!("#/components/schemas/{name}")})
    }
}

/// What has a schema.
pub trait Described {
    /// Its schema; the structs in it are put into `types`.
    fn schema(types: &mut Types) -> Value;
}

/// Types that are written as one of JSON's.
macro_rules! plain {
    ($($kind:ty => $schema:tt,)*) => {
        $(impl Described for $kind {
            fn schema(_: &mut Types) -> Value {
                json!($schema)
            }
        })*
    };
}

plain! {
    String => {"type": "string"},
    bool => {"type": "boolean"},
    i32 => {"type": "integer", "format": "int32"},
    i64 => {"type": "integer", "format": "int64"},
    u16 => {"type": "integer", "minimum": 0},
    u32 => {"type": "integer", "minimum": 0},
    u64 => {"type": "integer", "minimum": 0},
    f64 => {"type": "number"},
    Nanos => {"type": "integer", "format": "int64", "description": "Nanoseconds."},
    Value => {},
    Map<String, Value> => {"type": "object"},
}

impl<T> Described for Word<T> {
    fn schema(_: &mut Types) -> Value {
        json!({"type": "string"})
    }
}

impl<T: Described> Described for Option<T> {
    fn schema(types: &mut Types) -> Value {
        json!({"anyOf": [T::schema(types), {"type": "null"}]})
    }
}

impl<T: Described> Described for Vec<T> {
    fn schema(types: &mut Types) -> Value {
        json!({"type": ["array", "null"], "items": T::schema(types)})
    }
}

impl<T: Described> Described for BTreeMap<String, T> {
    fn schema(types: &mut Types) -> Value {
        json!({"type": ["object", "null"], "additionalProperties": T::schema(types)})
    }
}

/// The schema of a value: what is empty in it may be anything, and what it leaves out may be there.
fn of_example(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Number(number) if number.is_f64() => json!({"type": "number"}),
        Value::Number(_) => json!({"type": "integer"}),
        Value::String(_) => json!({"type": "string"}),
        Value::Array(list) => match list.first() {
            Some(first) => json!({"type": ["array", "null"], "items": of_example(first)}),
            None => json!({"type": ["array", "null"]}),
        },
        Value::Object(map) if map.is_empty() => json!({"type": ["object", "null"]}),
        Value::Object(map) => {
            let fields = map.iter();
            let properties: Map<String, Value> = fields
                .map(|(name, value)| (name.clone(), of_example(value)))
                .collect();
            json!({"type": "object", "properties": properties, "additionalProperties": true})
        }
    }
}

/// Types of the model, each by an example and what it is.
macro_rules! by_example {
    ($($kind:ident: $example:expr, $about:literal,)*) => {
        $(impl Described for $kind {
            fn schema(types: &mut Types) -> Value {
                types.named(stringify!($kind), |_| example(&$example, $about))
            }
        })*
    };
}

fn example(value: &impl Serialize, about: &str) -> Value {
    let mut schema = of_example(&serde_json::to_value(value).unwrap_or_default());
    schema["description"] = about.into();
    schema
}

by_example! {
    Job: Job {
        task_groups: vec![TaskGroup {
            tasks: vec![Task::default()],
            ..TaskGroup::default()
        }],
        ..Job::default()
    }, "A job; docs/job-specification.md says what its fields are.",
    JobDiff: JobDiff::default(), "What differs between two jobs.",
    AllocMetric: AllocMetric::default(), "How the scheduler came to a placement, or why it came to none.",
    DesiredUpdates: DesiredUpdates::default(), "How many allocs of a group are placed, kept, changed and stopped.",
    DnsConfig: DnsConfig::default(), "The DNS settings of a network.",
    Lifecycle: Lifecycle::default(), "When a task runs beside the main tasks.",
    Multiregion: Multiregion::default(), "The regions of a job.",
}
