//! One request, taken apart.

use axum::http::Method;
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// What a method means here: PUT and POST are the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Read,
    Write,
    Delete,
}

impl Verb {
    pub(crate) fn of(method: &Method) -> Result<Self, ApiError> {
        match *method {
            Method::GET | Method::HEAD => Ok(Self::Read),
            Method::PUT | Method::POST => Ok(Self::Write),
            Method::DELETE => Ok(Self::Delete),
            _ => Err(ApiError::MethodNotAllowed),
        }
    }
}

/// The parameters of a query string, in order, decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let decode = |text: &str| {
            percent_decode_str(&text.replace('+', " "))
                .decode_utf8_lossy()
                .into_owned()
        };
        Self(
            query
                .unwrap_or_default()
                .split('&')
                .filter(|part| !part.is_empty())
                .map(|part| {
                    let (name, value) = part.split_once('=').unwrap_or((part, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// The first value of that name, `None` when it is absent or empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Every value of that name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// It is there, whatever its value: `?pretty`, `?stale`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// A truth value in Go's spellings.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Some(true)),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Some(false)),
            Some(value) => Err(ApiError::BadRequest(format!(
                "Failed to parse value of \"{name}\" (\"{value}\") as a bool: strconv.ParseBool: parsing \
                 \"{value}\": invalid syntax"
            ))),
        }
    }

    /// A number; anything else counts as absent, as Nomad has it for `per_page`.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(|value| value.parse().ok())
    }
}

/// One request, its body read.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) params: Params,
    pub(crate) body: Bytes,
    /// Reasons of a refusal are to be told with their fields.
    pub(crate) problems: bool,
}

/// Which namespaces a call is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Namespaces {
    All,
    One(String),
}

impl Namespaces {
    pub(crate) fn contains(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => one == namespace,
        }
    }
}

impl Call {
    /// The namespace asked for, `default` when none is.
    pub(crate) fn namespace(&self) -> &str {
        self.params.get("namespace").unwrap_or("default")
    }

    /// The namespaces a list is about.
    pub(crate) fn namespaces(&self) -> Namespaces {
        match self.namespace() {
            "*" => Namespaces::All,
            one => Namespaces::One(one.to_owned()),
        }
    }

    /// The body as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            ApiError::BadRequest(match error.classify() {
                serde_json::error::Category::Eof if self.body.is_empty() => "EOF".to_owned(),
                serde_json::error::Category::Eof => "unexpected EOF".to_owned(),
                serde_json::error::Category::Syntax => syntax_error(&self.body, &error),
                serde_json::error::Category::Data | serde_json::error::Category::Io => {
                    format!("json: {error}")
                }
            })
        })
    }

    /// The body as JSON, or the default of an absent one.
    pub(crate) fn json_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, ApiError> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(T::default());
        }
        self.json()
    }
}

/// The words of a syntax error that people know: which character, and what was expected there.
fn syntax_error(body: &[u8], error: &serde_json::Error) -> String {
    let at = body
        .split(|&byte| byte == b'\n')
        .nth(error.line().saturating_sub(1))
        .and_then(|line| {
            std::str::from_utf8(line)
                .ok()?
                .chars()
                .nth(error.column().saturating_sub(1))
        });
    let place = match error.to_string() {
        text if text.starts_with("key must be a string") => {
            "looking for beginning of object key string"
        }
        text if text.starts_with("expected value") => "looking for beginning of value",
        text if text.starts_with("expected `,` or `}`") => "after object key:value pair",
        text if text.starts_with("expected `,` or `]`") => "after array element",
        text if text.starts_with("expected `:`") => "after object key",
        text if text.starts_with("trailing characters") => "after top-level value",
        text => return format!("invalid JSON: {text}"),
    };
    match at {
        Some(found) => format!("invalid character '{found}' {place}"),
        None => "unexpected EOF".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn parameters_are_decoded_and_found_by_name() {
        let params = Params::parse(Some(
            "prefix=a%2Fb&pretty&filter=x+%3D%3D+1&topic=a&topic=b&n=",
        ));
        assert_eq!(params.get("prefix"), Some("a/b"));
        assert!(params.has("pretty"));
        assert_eq!(params.get("filter"), Some("x == 1"));
        assert_eq!(params.all("topic").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(params.get("n"), None);
        assert_eq!(params.number("prefix"), None);
        assert!(params.flag("prefix").is_err());
    }

    #[test]
    fn what_is_wrong_with_json_is_said_in_known_words() {
        for (body, words) in [
            ("{\"Job\": {\"ID\": ", "unexpected EOF"),
            (
                "{{",
                "invalid character '{' looking for beginning of object key string",
            ),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("nope", "invalid JSON: expected ident at line 1 column 2"),
            ("", "EOF"),
        ] {
            let call = Call {
                params: Params::default(),
                body: Bytes::from_static(body.as_bytes()),
                problems: false,
            };
            let error = call.json::<serde_json::Value>().unwrap_err();
            assert_eq!(error.to_string(), words, "{body}");
            assert_eq!(error.status(), 400);
        }
    }
}
