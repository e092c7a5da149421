//! The JSON of `/v1`: one set of types that the HTTP API writes and that the command line and other clients read.
//!
//! Writing is exact: names, `null` for what Go writes as `null`, and what is left out. Reading is tolerant: a field
//! that is missing or `null` is empty, one that is unknown is passed over, and a word that is not known yet is kept
//! as it is, so that the answers of an older or newer agent are understood.

mod alloc;
mod cluster;
mod deployment;
mod eval;
mod file;
mod job;
mod node;
mod plan;
mod proof;
mod request;
mod schema;
mod usage;
mod word;

pub use alloc::*;
pub use cluster::*;
pub use deployment::*;
pub use eval::*;
pub use file::*;
pub use job::*;
pub use node::*;
pub use plan::*;
pub use proof::*;
pub use request::*;
pub use schema::{Described, Types};
pub use usage::*;
pub use word::Word;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Reads `null` as the default.
fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// What can be without content.
trait Emptiable {
    fn is_empty(&self) -> bool;
}

impl<T> Emptiable for Vec<T> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl<K, V> Emptiable for BTreeMap<K, V> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

/// Writes an empty list or map as `null`, as Go does.
fn null_when_empty<T: Serialize + Emptiable, S: Serializer>(
    value: &T,
    to: S,
) -> Result<S::Ok, S::Error> {
    if value.is_empty() {
        to.serialize_none()
    } else {
        value.serialize(to)
    }
}

/// Says whether a field has the value that it would be read as when it is left out.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A struct of `/v1`. Each field says its name in JSON; `with meta` adds what Go's answers repeat of their headers.
macro_rules! wire {
    (
        $(#[doc = $about:literal])*
        $name:ident { $($(#[$how:meta])* $field:ident: $kind:ty = $json:literal,)* } with meta
    ) => {
        $crate::wire! {
            $(#[doc = $about])*
            $name {
                $($(#[$how])* $field: $kind = $json,)*
                index: u64 = "Index",
                last_contact: u64 = "LastContact",
                known_leader: bool = "KnownLeader",
                next_token: String = "NextToken",
            }
        }
    };
    (
        $(#[doc = $about:literal])*
        $name:ident { $($(#[$how:meta])* $field:ident: $kind:ty = $json:literal,)* }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        #[allow(missing_docs, reason = "each field is the API's field of that name")]
        pub struct $name {
            $(
                $(#[$how])*
                #[serde(rename = $json, deserialize_with = "crate::lenient")]
                pub $field: $kind,
            )*
        }

        impl $crate::Described for $name {
            fn schema(types: &mut $crate::Types) -> serde_json::Value {
                types.named(stringify!($name), |types| {
                    let mut fields = serde_json::Map::new();
                    $(fields.insert($json.to_owned(), <$kind as $crate::Described>::schema(types));)*
                    let about: &[&str] = &[$($about),*];
                    serde_json::json!({
                        "type": "object",
                        "description": about.concat().trim(),
                        "properties": fields,
                    })
                })
            }
        }
    };
}
pub(crate) use wire;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rove_model::alloc::ClientStatus;
    use serde_json::json;

    use super::*;

    #[test]
    fn null_missing_and_unknown_fields_are_all_right() {
        let list: Vec<JobStub> =
            serde_json::from_str(r#"[{"JobSummary":null,"ParameterizedJob":true,"New":[1]}]"#)
                .unwrap();
        assert!(list[0].summary.is_none() && list[0].parameterized);
        let plan: Plan = serde_json::from_value(json!({
            "FailedTGAllocs": {"web": {"ClassFiltered": null, "NodesEvaluated": 3, "New": {}}},
            "Diff": null,
        }))
        .unwrap();
        assert_eq!(plan.failed["web"].nodes_evaluated, 3);
    }

    #[test]
    fn a_word_is_its_variant_and_one_that_is_not_known_is_kept() {
        for (written, known) in [
            ("running", Some(ClientStatus::Running)),
            ("lost", Some(ClientStatus::Lost)),
            ("unknown", None),
            ("", None),
        ] {
            let stub: AllocStub = serde_json::from_value(json!({"ClientStatus": written})).unwrap();
            assert_eq!(stub.client.known(), known.as_ref(), "{written:?}");
            assert_eq!(serde_json::to_value(&stub.client).unwrap(), written);
            assert_eq!(&*stub.client, written);
        }
        assert_eq!(Word::from(ClientStatus::Failed), ClientStatus::Failed);
        assert_eq!(&*Word::from(ClientStatus::Failed), "failed");
    }

    #[test]
    fn what_is_empty_is_written_as_go_writes_it() {
        let written = serde_json::to_value(AllocStub::default()).unwrap();
        assert!(written["TaskStates"].is_null());
        assert!(written.get("AllocatedResources").is_none());
        assert_eq!(written["FollowupEvalID"], "");
    }
}
