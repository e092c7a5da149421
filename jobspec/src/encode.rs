//! A job to what its file would say: the way back from [`crate::decode`], by the same tables.
//!
//! A field is left out where leaving it out is read as what it holds; nothing else is. What no table names (what the
//! API fills in) isn't written.

use rove_model::{duration::Nanos, job::Job};
use serde_json::{Map, Value as Json};

use crate::schema::{Field, JOB, Kind, Table};

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// All that the job says, so that it reads back as the same job.
    AsWritten,
    /// Without what says nothing in a registered job: empty blocks and texts, zeros. It registers as the same job.
    Registered,
}

/// A block as it is written.
#[derive(Debug)]
pub(crate) struct Written {
    /// Its label, as `web` of `group "web"`.
    pub label: Option<String>,
    /// What it says, in the order of its table.
    pub fields: Vec<(&'static Field, Said)>,
}

/// What a field says.
#[derive(Debug)]
pub(crate) enum Said {
    /// A single value or a list of texts; durations as texts.
    Value(Json),
    /// Values by name.
    Map(Map<String, Json>),
    /// One block.
    Block(Written),
    /// Several blocks.
    Blocks(Vec<Written>),
}

/// What the file of a job says.
pub(crate) fn job(job: &Job, detail: Detail) -> Written {
    match serde_json::to_value(job) {
        Ok(Json::Object(object)) => Encoder { detail }.block(*JOB, object),
        // A job is made of texts, numbers and maps by text: JSON holds it.
        _ => Written {
            label: None,
            fields: Vec::new(),
        },
    }
}

struct Encoder {
    detail: Detail,
}

impl Encoder {
    fn block(&self, table: &'static Table, mut object: Map<String, Json>) -> Written {
        if let Some(restore) = table.restore {
            restore(&mut object);
        }
        let is_registered_job = self.detail == Detail::Registered && std::ptr::eq(table, *JOB);
        if is_registered_job && let Some(Json::Object(update)) = object.get_mut("Update") {
            // A registered job keeps only two fields there; the zeros of the others are no wish of anyone.
            update.retain(|_, value| !is_zero(value) && *value != "");
        }
        let label = table
            .label
            .and_then(|label| object.remove(label))
            .and_then(|label| label.as_str().map(str::to_owned))
            .filter(|label| !(label.is_empty() && table.label_optional));
        let mut fields = Vec::new();
        for field in table.fields {
            let Some(value) = object.remove(field.json) else {
                continue;
            };
            if table.unsaid.get(field.json) == Some(&value) {
                continue;
            }
            if let Some(said) = self.field(field, value) {
                fields.push((field, said));
            }
        }
        Written { label, fields }
    }

    fn field(&self, field: &'static Field, value: Json) -> Option<Said> {
        if self.detail == Detail::Registered && says_nothing(field, &value) {
            return None;
        }
        match (field.kind, value) {
            (_, Json::Null) => None,
            (Kind::Block(table), Json::Object(object)) => {
                let block = self.block(table, object);
                let kept = self.detail == Detail::AsWritten
                    || !block.fields.is_empty()
                    || SAYS_BY_BEING_THERE.contains(&field.name);
                kept.then_some(Said::Block(block))
            }
            (Kind::Blocks(table), Json::Array(list)) => {
                let blocks = list.into_iter().map(|value| self.element(table, value));
                let blocks: Vec<Written> = blocks.collect();
                (!blocks.is_empty()).then_some(Said::Blocks(blocks))
            }
            (Kind::NamedBlocks(table), Json::Object(map)) => {
                let blocks = map.into_iter().map(|(name, mut value)| {
                    if let (Some(label), Json::Object(object)) = (table.label, &mut value) {
                        object.insert(label.to_owned(), name.into());
                    }
                    self.element(table, value)
                });
                let blocks: Vec<Written> = blocks.collect();
                (!blocks.is_empty()).then_some(Said::Blocks(blocks))
            }
            (Kind::TextMap | Kind::TextsMap | Kind::Free, Json::Object(map)) => {
                (!map.is_empty()).then_some(Said::Map(map))
            }
            (Kind::Duration, Json::Number(number)) => Some(Said::Value(match number.as_i64() {
                // Its amount is one more than a duration's text can say.
                Some(i64::MIN) | None => Json::Number(number),
                Some(nanos) => short(&Nanos(nanos).to_string()).into(),
            })),
            (Kind::Texts, Json::Array(list)) if list.is_empty() => None,
            (_, value) => Some(Said::Value(value)),
        }
    }

    fn element(&self, table: &'static Table, value: Json) -> Written {
        match value {
            Json::Object(object) => self.block(table, object),
            _ => Written {
                label: None,
                fields: Vec::new(),
            },
        }
    }
}

fn is_zero(value: &Json) -> bool {
    matches!(value.as_i64(), Some(0)) || *value == Json::Bool(false)
}

/// Blocks that say something by being there, even empty.
const SAYS_BY_BEING_THERE: [&str; 3] = ["sidecar_service", "mesh", "strategy"];

fn says_nothing(field: &Field, value: &Json) -> bool {
    *value == "" || (field.quiet && is_zero(value))
}

/// A duration without the zeros that Go ends it with.
fn short(text: &str) -> &str {
    let text = text
        .strip_suffix("m0s")
        .map_or(text, |rest| &text[..rest.len() + 1]);
    text.strip_suffix("h0m")
        .map_or(text, |rest| &text[..rest.len() + 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_knows_what_its_fields_hold_when_they_are_not_written() {
        fn check(table: &'static Table) {
            for field in table.fields {
                // A short form has no place of its own in the API's JSON.
                if field.table().is_none() && !field.json.starts_with('~') {
                    let known = table.unsaid.contains_key(field.json);
                    let left_out = matches!(field.json, "Enabled" | "Namespace");
                    assert!(known || left_out, "{}.{}", table.title, field.json);
                }
                if let Some(inner) = field.table().filter(|_| field.json != "~Tasks") {
                    check(inner);
                }
            }
        }
        check(*JOB);
    }

    #[test]
    fn durations_lose_the_zeros_at_their_end() {
        for (nanos, text) in [
            (Nanos::secs(30), "30s"),
            (Nanos::mins(10), "10m"),
            (Nanos::hours(1), "1h"),
            (Nanos(90_500_000_000), "1m30.5s"),
            (Nanos::ZERO, "0s"),
            (Nanos::secs(3610), "1h0m10s"),
        ] {
            assert_eq!(short(&nanos.to_string()), text);
        }
    }
}
