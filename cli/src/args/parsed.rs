//! What a command was given, and why its words could not be understood.

use std::collections::HashMap;

use super::{Flag, Kind, flags, nearest};

/// Why the words can't be understood; the texts are Go's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// No such flag.
    #[error("flag provided but not defined: -{name}{}", near.as_ref().map(|near| format!(". Did you mean -{near}?")).unwrap_or_default())]
    Unknown {
        /// What was given, without dashes.
        name: String,
        /// The flag of this command that is written nearly so.
        near: Option<String>,
    },
    /// The last word is a flag that wants a value.
    #[error("flag needs an argument: -{0}")]
    NoValue(String),
    /// A switch was given something else than a truth value.
    #[error("invalid boolean value \"{1}\" for -{0}: parse error")]
    NotBoolean(String, String),
    /// A number is none.
    #[error("invalid value \"{1}\" for flag -{0}: parse error")]
    NotNumber(String, String),
    /// `-` and `=` in a wrong place.
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    /// `-h` or `-help`.
    #[error("help requested")]
    Help,
}

impl ParseError {
    pub(super) fn unknown(name: &str, tables: &[&[Flag]]) -> Self {
        let near = nearest(name, flags(tables).flat_map(Flag::names));
        let near = near.map(str::to_owned).or_else(|| attached(name, tables));
        Self::Unknown {
            name: name.to_owned(),
            near,
        }
    }

    /// The message with where to read on.
    pub fn see(&self, command: &str) -> String {
        let text = self.to_string();
        let stop = if text.ends_with('?') { "" } else { "." };
        format!("{text}{stop} See \"{command} -help\".")
    }
}

/// The one-letter flag with a word attached that `name` is a slip of: `oyaml`.
fn attached(name: &str, tables: &[&[Flag]]) -> Option<String> {
    let choices = flags(tables).filter_map(|flag| match flag.kind {
        Kind::Text(words) if words.contains('|') => Some((flag, words)),
        _ => None,
    });
    let written: Vec<String> = choices
        .flat_map(|(flag, words)| {
            let letters = flag.names().filter(|name| name.chars().count() == 1);
            letters.flat_map(move |letter| words.split('|').map(move |w| format!("{letter}{w}")))
        })
        .filter(|known| known != name && known.chars().next() == name.chars().next())
        .collect();
    nearest(name, written.iter().map(String::as_str)).map(str::to_owned)
}

/// The flags and arguments that a command was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    pub(super) flags: HashMap<&'static str, Vec<String>>,
    /// What is no flag, in order.
    pub positional: Vec<String>,
}

impl Parsed {
    /// A switch is on.
    pub fn is(&self, name: &str) -> bool {
        self.last(name).is_some_and(|v| v == "true")
    }

    /// What a switch was set to, if it was.
    pub fn switch(&self, name: &str) -> Option<bool> {
        self.last(name).map(|v| v == "true")
    }

    /// The text of a flag, the last one if it was repeated.
    pub fn last(&self, name: &str) -> Option<&str> {
        self.flags.get(name)?.last().map(String::as_str)
    }

    /// The number of a flag; the parser has checked that it is one.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.last(name)?.parse().ok()
    }

    /// Every value of a flag that may be repeated.
    pub fn all(&self, name: &str) -> &[String] {
        self.flags.get(name).map_or(&[], Vec::as_slice)
    }
}
