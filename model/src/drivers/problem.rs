//! What is wrong with a `config` block.

use std::fmt;

use serde_json::{Map, Value};

use crate::shortened::quoted;

/// What is wrong with a `config` block.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// A key that the driver doesn't know.
    UnknownKey {
        /// The key.
        key: String,
        /// The known one that is spelt most like it.
        nearest: Option<&'static str>,
    },
    /// A key that Nomad's driver knows and this one does not support.
    Unsupported {
        /// The key.
        key: String,
    },
    /// A key that has to be there.
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A value of the wrong type.
    WrongType {
        /// The key.
        key: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A value that can't be.
    BadValue {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// There is more that is wrong.
    More {
        /// So many mistakes.
        left_out: usize,
    },
}

impl ConfigProblem {
    /// The key of this `config` block that it is about, without what is inside of it (`auth` for `auth.user`); `None`
    /// where it is about the whole block.
    #[must_use]
    pub fn key_of(&self, config: &Map<String, Value>) -> Option<&str> {
        let key = match self {
            Self::UnknownKey { key, .. }
            | Self::Unsupported { key }
            | Self::WrongType { key, .. }
            | Self::BadValue { key, .. } => key.as_str(),
            Self::Missing { .. } | Self::More { .. } => return None,
        };
        if config.contains_key(key) {
            return Some(key);
        }
        key.split('.').next()
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { key, nearest } => {
                write!(f, "unknown key {}", quoted(key))?;
                nearest.map_or(Ok(()), |nearest| write!(f, "; did you mean {nearest:?}?"))
            }
            Self::Unsupported { key } => write!(f, "key {} is not supported yet", quoted(key)),
            Self::Missing { key } => write!(f, "key {key:?} is required"),
            Self::WrongType { key, expected } => {
                write!(f, "key {} must be {expected}", quoted(key))
            }
            Self::BadValue {
                key,
                value,
                expected,
            } => write!(
                f,
                "key {} is {}, which is not {expected}",
                quoted(key),
                quoted(value)
            ),
            Self::More { left_out } => write!(f, "{left_out} further mistakes"),
        }
    }
}
