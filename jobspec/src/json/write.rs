//! A job as JSON in the API's shape and order: what was said, no more and no less.

use std::{fmt, sync::LazyLock};

use indexmap::IndexMap;
use rove_model::job::Job;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value as Json};

use crate::schema::{JOB, Kind, Table};

/// A job that was read, under `Job`, in the API's order: what it says, no more and no less.
pub(crate) fn as_written(job: &Job) -> String {
    #[derive(Serialize)]
    struct Wrapped {
        #[serde(rename = "Job")]
        job: Ordered,
    }
    // A job is made of texts, numbers and maps by text: JSON holds it, and memory takes it.
    let text = serde_json::to_string(job).unwrap_or_default();
    let Ok(ordered) = serde_json::from_str::<Ordered>(&text) else {
        return text;
    };
    let job = without_unsaid(ordered, &SHAPE);
    let mut out = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut out, format);
    let wrapped = Wrapped { job };
    if wrapped.serialize(&mut writer).is_err() {
        return text;
    }
    out.push(b'\n');
    String::from_utf8_lossy(&out).into_owned()
}

/// A job with one of each block and no field set: every name there is, with what it holds when it is left out. What
/// holds anything by name is empty.
static SHAPE: LazyLock<Json> = LazyLock::new(|| {
    let job: Option<Job> = serde_json::from_value(one_of_each(&JOB)).ok();
    let shape = job.and_then(|job| serde_json::to_value(job).ok());
    shape.unwrap_or(Json::Null)
});

/// The name in [`SHAPE`] of what stands for any name.
const ANY: &str = "x";

fn one_of_each(table: &'static Table) -> Json {
    let mut object = Map::new();
    for field in table.fields {
        let Some(inner) = field.table() else { continue };
        let inner = one_of_each(inner);
        match field.kind {
            _ if field.json == "~Ports" => {
                for name in ["ReservedPorts", "DynamicPorts"] {
                    object.insert(name.to_owned(), Json::Array(vec![inner.clone()]));
                }
            }
            Kind::Blocks(_) => {
                object.insert(field.json.to_owned(), Json::Array(vec![inner]));
            }
            Kind::NamedBlocks(_) => {
                let named = Map::from_iter([(ANY.to_owned(), inner)]);
                object.insert(field.json.to_owned(), Json::Object(named));
            }
            _ => {
                object.insert(field.json.to_owned(), inner);
            }
        }
    }
    Json::Object(object)
}

/// What `shape` says of the entry `name`; `None` where it knows nothing of it.
fn shape_of<'a>(shape: &'a Json, name: &str) -> Option<&'a Json> {
    let object = shape.as_object()?;
    let any = object.get(ANY).filter(|_| object.len() == 1);
    any.or_else(|| object.get(name))
}

/// Without what reads the same when it is left out.
fn without_unsaid(value: Ordered, shape: &Json) -> Ordered {
    match value {
        Ordered::Map(map) => {
            let kept = map.into_iter().filter_map(|(name, value)| {
                let Some(inner) = shape_of(shape, &name) else {
                    return Some((name, value));
                };
                let unsaid = match &value {
                    Ordered::Leaf(Json::Null) => true,
                    Ordered::Leaf(value) => value == inner,
                    Ordered::List(list) => list.is_empty(),
                    // The only block without any field: it says something by being there.
                    Ordered::Map(map) => map.is_empty() && name != "Mesh",
                };
                (!unsaid).then(|| (name, without_unsaid(value, inner)))
            });
            Ordered::Map(kept.collect())
        }
        Ordered::List(list) => {
            let inner = shape.get(0).unwrap_or(&Json::Null);
            Ordered::List(
                list.into_iter()
                    .map(|value| without_unsaid(value, inner))
                    .collect(),
            )
        }
        leaf => leaf,
    }
}

/// JSON whose objects keep their order.
enum Ordered {
    Leaf(Json),
    List(Vec<Ordered>),
    Map(IndexMap<String, Ordered>),
}

impl Serialize for Ordered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Leaf(leaf) => leaf.serialize(serializer),
            Self::List(list) => list.serialize(serializer),
            Self::Map(map) => map.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Ordered;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Ordered, E> {
                Ok(Ordered::Leaf(Json::Null))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Ordered, E> {
                Ok(Ordered::Leaf(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Ordered, E> {
                Ok(Ordered::Leaf(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Ordered, E> {
                Ok(Ordered::Leaf(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Ordered, E> {
                Ok(Ordered::Leaf(value.into()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Ordered, E> {
                Ok(Ordered::Leaf(value.into()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Ordered, A::Error> {
                let mut list = Vec::new();
                while let Some(value) = seq.next_element()? {
                    list.push(value);
                }
                Ok(Ordered::List(list))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut access: A) -> Result<Ordered, A::Error> {
                let mut map = IndexMap::new();
                while let Some((name, value)) = access.next_entry()? {
                    map.insert(name, value);
                }
                Ok(Ordered::Map(map))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
