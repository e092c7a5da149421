//! JSON for people: four blanks a level, the keys of every object sorted.

use serde::Serialize;
use serde_json::Value;

/// The text, without a final line end.
pub fn pretty(value: &Value) -> String {
    let mut out = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut out, format);
    // Writing a JSON value into memory can't fail.
    if sorted(value).serialize(&mut writer).is_err() {
        return value.to_string();
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The same as [`pretty`] with the keys in the order they have.
pub fn pretty_as_is<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let mut out = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    value.serialize(&mut serde_json::Serializer::with_formatter(
        &mut out, format,
    ))?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// `value` with the keys of every object in order, whatever order its map keeps.
pub fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().map(|(k, v)| (k.clone(), sorted(v))).collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(pairs.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_by_four_and_sorted() {
        let value = serde_json::json!({"b": [], "a": {"d": null, "c": [1, "x"]}});
        assert_eq!(
            pretty(&value),
            "{\n    \"a\": {\n        \"c\": [\n            1,\n            \"x\"\n        ],\n        \"d\": null\n    },\n    \"b\": []\n}"
        );
    }
}
