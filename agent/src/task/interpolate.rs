//! `${…}` in a job file's values, replaced by what is only known on the node.
//!
//! What isn't known stays as it is written, as a shell's or a program's own `${…}` must.

use std::{borrow::Cow, collections::BTreeMap};

use rove_model::node::Node;
use serde_json::Value;

use super::env::cleaned;

/// What `${…}` may stand for.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// The task's environment: `${NOMAD_PORT_http}`, `${env["HOME"]}`.
    pub env: BTreeMap<String, String>,
    /// The node: `attr.…`, `meta.…`, `node.…`.
    pub node: BTreeMap<String, String>,
}

impl Names {
    /// The node's part.
    #[must_use]
    pub fn of_node(node: &Node, region: &str) -> Self {
        let mut names: BTreeMap<String, String> = [
            ("node.unique.id", node.id.to_string()),
            ("node.unique.name", node.name.clone()),
            ("node.datacenter", node.datacenter.clone()),
            ("node.class", node.node_class.clone()),
            ("node.pool", node.node_pool.clone()),
            ("node.region", region.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        for (table, entries) in [("attr", &node.attributes), ("meta", &node.meta)] {
            for (name, value) in entries {
                names.insert(format!("{table}.{name}"), value.clone());
            }
        }
        Self {
            env: BTreeMap::new(),
            node: names,
        }
    }

    fn lookup(&self, name: &str) -> Option<&String> {
        if let Some(found) = self.env.get(name).or_else(|| self.node.get(name)) {
            return Some(found);
        }
        // As the job file spells the label or key.
        if let Some(cleaned) = cleaned(name) {
            return self.env.get(&cleaned);
        }
        let (table, key) = match name.strip_suffix("\"]") {
            Some(quoted) => quoted.split_once("[\"")?,
            None => name.split_once('.')?,
        };
        match table {
            "env" => self.env.get(key).or_else(|| self.env.get(&cleaned(key)?)),
            "attr" | "meta" | "node" => self.node.get(&format!("{table}.{key}")),
            _ => None,
        }
    }

    /// `text` with every known `${…}` replaced.
    #[must_use]
    pub fn replace<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !text.contains("${") {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            out.push_str(&rest[..start]);
            let after = &rest[start + 2..];
            match after.find('}') {
                Some(end) => match self.lookup(after[..end].trim()) {
                    Some(value) => {
                        out.push_str(value);
                        rest = &after[end + 1..];
                    }
                    None => {
                        // An inner `${` of something unknown is looked at on its own.
                        out.push_str("${");
                        rest = after;
                    }
                },
                None => {
                    out.push_str("${");
                    rest = after;
                }
            }
        }
        out.push_str(rest);
        Cow::Owned(out)
    }

    /// A driver's configuration with every text in it replaced, the keys of maps too.
    #[must_use]
    pub fn replace_in(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.replace(text).into_owned()),
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.replace_in(item)).collect())
            }
            Value::Object(map) => Value::Object(
                map.iter()
                    .map(|(key, value)| (self.replace(key).into_owned(), self.replace_in(value)))
                    .collect(),
            ),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names() -> Names {
        let map = |entries: &[(&str, &str)]| {
            entries
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        Names {
            env: map(&[("NOMAD_PORT_http", "8080"), ("HOME", "/root")]),
            node: map(&[
                ("attr.cpu.arch", "amd64"),
                ("meta.rack", "r1"),
                ("node.unique.name", "n"),
            ]),
        }
    }

    #[test]
    fn what_is_known_is_replaced_and_the_rest_stays() {
        for (text, expected) in [
            ("no dollar", "no dollar"),
            (":${NOMAD_PORT_http}/", ":8080/"),
            ("${ NOMAD_PORT_http }", "8080"),
            ("${env[\"HOME\"]} ${env.HOME} ${HOME}", "/root /root /root"),
            (
                "${attr.cpu.arch}-${meta.rack}-${node.unique.name}",
                "amd64-r1-n",
            ),
            ("${attr[\"cpu.arch\"]}", "amd64"),
            (
                "${SHELL:-sh} ${meta.none} $HOME ${",
                "${SHELL:-sh} ${meta.none} $HOME ${",
            ),
            ("${a${HOME}", "${a/root"),
            ("é${HOME}é", "é/rooté"),
            ("${}", "${}"),
        ] {
            assert_eq!(names().replace(text), expected, "{text}");
        }
    }

    #[test]
    fn every_text_in_a_configuration_is_replaced() {
        let value =
            json!({"args": ["${HOME}", 1, null], "labels": [{"a-${meta.rack}": "${meta.rack}"}]});
        assert_eq!(
            names().replace_in(&value),
            json!({"args": ["/root", 1, null], "labels": [{"a-r1": "r1"}]})
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[${}a\"\\[\\].é]{0,40}") {
            let _ = names().replace(&text);
        }
    }
}
