//! From words to flags and arguments.

use std::collections::HashMap;

use super::{Flag, Kind};

/// Why the words can't be understood; the texts are Go's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// No such flag.
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
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

/// The flags and arguments that a command was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    flags: HashMap<&'static str, Vec<String>>,
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

/// Sorts `words` into flags of `tables` and arguments. With `short_values` a one-letter flag may have one of the words
/// that it knows attached (`-ojson`), as kubectl's verbs have it; any other word would make a slip in a long flag with
/// one dash a value.
pub fn parse(
    words: &[String],
    tables: &[&[Flag]],
    short_values: bool,
) -> Result<Parsed, ParseError> {
    let find = |name: &str| {
        tables
            .iter()
            .flat_map(|t| t.iter())
            .find(|f| f.is_called(name))
    };
    let mut parsed = Parsed::default();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            parsed.positional.extend(rest.by_ref().cloned());
            break;
        }
        let Some(body) = word.strip_prefix('-').filter(|b| !b.is_empty()) else {
            parsed.positional.push(word.clone());
            continue;
        };
        let doubled = body.starts_with('-');
        let body = body.strip_prefix('-').unwrap_or(body);
        if body.starts_with('-') || body.starts_with('=') {
            return Err(ParseError::Syntax(word.clone()));
        }
        let (mut name, mut value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        let mut flag = find(name);
        if flag.is_none() && short_values && !doubled {
            let (letter, word) = body.split_at(body.chars().next().map_or(0, char::len_utf8));
            let knows = |f: &&Flag| matches!(f.kind, Kind::Text(words) if words.split('|').any(|w| w == word));
            if let Some(short) = find(letter).filter(knows) {
                flag = Some(short);
                (name, value) = (letter, Some(word));
            }
        }
        let Some(flag) = flag else {
            if name == "h" || name == "help" {
                return Err(ParseError::Help);
            }
            return Err(ParseError::Unknown(name.to_owned()));
        };
        let value = match (flag.kind, value) {
            (Kind::Switch | Kind::SwitchOrNumber(_), None) => "true".to_owned(),
            (Kind::SwitchOrNumber(_), Some(text)) if text.parse::<i64>().is_ok() => text.to_owned(),
            (Kind::Switch | Kind::SwitchOrNumber(_), Some(text)) => match text {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => "true".to_owned(),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => "false".to_owned(),
                other => return Err(ParseError::NotBoolean(name.to_owned(), other.to_owned())),
            },
            (_, Some(text)) => text.to_owned(),
            (_, None) => rest
                .next()
                .cloned()
                .ok_or_else(|| ParseError::NoValue(name.to_owned()))?,
        };
        if matches!(flag.kind, Kind::Number(_)) && value.parse::<i64>().is_err() {
            return Err(ParseError::NotNumber(name.to_owned(), value));
        }
        parsed.flags.entry(flag.name).or_default().push(value);
    }
    Ok(parsed)
}
