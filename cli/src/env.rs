//! The environment variables a command looks at, taken once at the start so that tests can hand in their own.

use std::collections::HashMap;

/// A fixed set of environment variables.
#[derive(Debug, Clone, Default)]
pub struct Env {
    vars: HashMap<String, String>,
}

impl Env {
    /// The process's variables; those that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        let vars = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { vars }
    }

    /// The given variables and no others.
    #[cfg(test)]
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self {
            vars: pairs
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
        }
    }

    /// One variable as it is.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str)
    }

    /// A setting that both families know: `ROVE_<name>` wins over `NOMAD_<name>`; an empty one counts as not set.
    pub fn setting(&self, name: &str) -> Option<&str> {
        ["ROVE_", "NOMAD_"].iter().find_map(|family| {
            self.get(&format!("{family}{name}"))
                .filter(|v| !v.is_empty())
        })
    }

    /// Every variable whose name starts with `prefix`, sorted.
    pub fn with_prefix(&self, prefix: &str) -> Vec<(String, String)> {
        let mut found: Vec<_> = self
            .vars
            .iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        found.sort();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rove_wins_over_nomad_and_an_empty_value_is_no_value() {
        let env = Env::from_pairs([
            ("ROVE_ADDR", "http://a:1"),
            ("NOMAD_ADDR", "http://b:2"),
            ("NOMAD_NAMESPACE", "team"),
            ("ROVE_TOKEN", ""),
            ("NOMAD_TOKEN", "t"),
        ]);
        assert_eq!(env.setting("ADDR"), Some("http://a:1"));
        assert_eq!(env.setting("NAMESPACE"), Some("team"));
        assert_eq!(env.setting("TOKEN"), Some("t"));
        assert_eq!(env.setting("REGION"), None);
    }
}
