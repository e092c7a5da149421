//! What the commands read of the API's answers. A field that is missing or null is empty, one that is unknown is passed
//! over, so that answers of an older or newer agent are understood.

mod allocs;
mod cluster;
mod jobs;
mod nodes;
mod plans;

use serde::{Deserialize, Deserializer};

pub use allocs::*;
pub use cluster::*;
pub use jobs::*;
pub use nodes::*;
pub use plans::*;

fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

macro_rules! view {
    ($(#[$about:meta])* $name:ident { $($field:ident: $kind:ty = $json:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(default)]
        #[allow(missing_docs, reason = "each field is the API's field of that name")]
        pub struct $name {
            $(#[serde(rename = $json, deserialize_with = "lenient")] pub $field: $kind,)*
        }
    };
}
use view;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn null_missing_and_unknown_fields_are_all_right() {
        let job: Job =
            serde_json::from_str(r#"{"ID":"a","Datacenters":null,"Version":null,"New":[1]}"#)
                .unwrap();
        assert_eq!(
            (job.id.as_str(), job.datacenters.len(), job.version),
            ("a", 0, 0)
        );
        let list: Vec<JobStub> =
            serde_json::from_str(r#"[{"JobSummary":null,"ParameterizedJob":true}]"#).unwrap();
        assert!(list[0].summary.is_none() && list[0].parameterized);
    }
}
