//! The `filter` parameter of lists: `Status == "running" and not (Meta.owner is empty or "dc1" in Datacenters)`.
//!
//! An expression is parsed once and held against each entry as it would be written out as JSON. A field that no entry of
//! the list has is a mistake; a key that a map lacks, and whatever would lie below a block that is not there, is no
//! match: equal to nothing, not even to the empty text, and empty.

use regex::Regex;
use serde_json::Value;
use thiserror::Error;

/// How deep parentheses and `not` may nest.
const MAX_DEPTH: usize = 64;

/// Longest expression, in bytes.
const MAX_LENGTH: usize = 8 * 1024;

/// Why a filter can't be used.
#[derive(Debug, Error)]
pub(crate) enum FilterError {
    /// It is no expression.
    #[error(
        "failed to create result paginator: failed to read filter expression: 1:{column} ({offset}): no match found, \
         expected: {expected}",
        column = .offset + 1
    )]
    Syntax {
        offset: usize,
        expected: &'static str,
    },
    /// An entry has no such field.
    #[error(
        "failed to read result page: error finding value in datum: /{path} at part 0: couldn't find key: struct field \
         with name \"{field}\""
    )]
    UnknownField { path: String, field: String },
    /// The pattern of a `matches`.
    #[error("failed to create result paginator: failed to read filter expression: {0}")]
    Pattern(#[source] Box<regex::Error>),
}

#[derive(Debug)]
enum Expression {
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    Match(Vec<String>, Test),
}

#[derive(Debug)]
enum Test {
    Equal(String),
    Contains(String),
    Empty,
    Matches(Regex),
}

/// A parsed filter.
#[derive(Debug)]
pub(crate) struct Filter(Expression);

impl Filter {
    pub(crate) fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > MAX_LENGTH {
            return Err(FilterError::Syntax {
                offset: MAX_LENGTH,
                expected: "the end of the expression",
            });
        }
        let mut parser = Parser {
            text,
            at: 0,
            depth: 0,
        };
        let expression = parser.or()?;
        parser.space();
        if parser.at < text.len() {
            return Err(parser.expected("\"and\", \"or\" or the end"));
        }
        Ok(Self(expression))
    }

    pub(crate) fn holds(&self, entry: &Value) -> Result<bool, FilterError> {
        self.0.holds(entry)
    }
}

impl Expression {
    fn holds(&self, entry: &Value) -> Result<bool, FilterError> {
        Ok(match self {
            Self::And(left, right) => left.holds(entry)? && right.holds(entry)?,
            Self::Or(left, right) => left.holds(entry)? || right.holds(entry)?,
            Self::Not(inner) => !inner.holds(entry)?,
            Self::Match(path, test) => match find(entry, path)? {
                Some(value) => test.holds(value),
                None => test.holds_of_nothing(),
            },
        })
    }
}

/// What stands at `path`: the entry's own fields must be there, keys of the maps below need not.
fn find<'a>(entry: &'a Value, path: &[String]) -> Result<Option<&'a Value>, FilterError> {
    let mut found = entry;
    for (depth, part) in path.iter().enumerate() {
        let below = match found {
            Value::Object(fields) => fields.get(part),
            Value::Array(items) => part.parse().ok().and_then(|index: usize| items.get(index)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        };
        found = match below {
            Some(below) => below,
            None if depth == 0 => {
                return Err(FilterError::UnknownField {
                    path: path.join("/"),
                    field: part.clone(),
                });
            }
            None => return Ok(None),
        };
    }
    Ok(Some(found))
}

impl Test {
    /// Whether it holds of what is not there.
    fn holds_of_nothing(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Equal(_) | Self::Contains(_) | Self::Matches(_) => false,
        }
    }

    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Equal(wanted) => equal(value, wanted),
            Self::Contains(wanted) => match value {
                Value::Array(items) => items.iter().any(|item| equal(item, wanted)),
                Value::Object(fields) => fields.contains_key(wanted),
                Value::String(text) => text.contains(wanted.as_str()),
                _ => false,
            },
            Self::Empty => match value {
                Value::Null => true,
                Value::Array(items) => items.is_empty(),
                Value::Object(fields) => fields.is_empty(),
                Value::String(text) => text.is_empty(),
                _ => false,
            },
            Self::Matches(pattern) => match value {
                Value::String(text) => pattern.is_match(text),
                Value::Array(items) => items
                    .iter()
                    .any(|item| item.as_str().is_some_and(|text| pattern.is_match(text))),
                _ => false,
            },
        }
    }
}

fn equal(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Bool(truth) => wanted.parse() == Ok(*truth),
        Value::Number(number) => match (number.as_i64(), wanted.parse::<i64>()) {
            (Some(left), Ok(right)) => left == right,
            _ => number
                .as_f64()
                .zip(wanted.parse::<f64>().ok())
                .is_some_and(|(left, right)| left == right),
        },
        // What is left out reads as the empty text.
        Value::Null => wanted.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn expected(&self, expected: &'static str) -> FilterError {
        FilterError::Syntax {
            offset: self.at,
            expected,
        }
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Takes a word, if it stands here and ends here.
    fn word(&mut self, word: &str) -> bool {
        let rest = self.rest();
        let found = rest
            .strip_prefix(word)
            .is_some_and(|after| !after.starts_with(is_name));
        if found {
            self.at += word.len();
        }
        found
    }

    /// Takes several words with space between them, or nothing.
    fn words(&mut self, words: &[&str]) -> bool {
        let before = self.at;
        for word in words {
            self.space();
            if !self.word(word) {
                self.at = before;
                return false;
            }
        }
        true
    }

    fn sign(&mut self, sign: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    fn or(&mut self) -> Result<Expression, FilterError> {
        let mut left = self.and()?;
        while self.words(&["or"]) {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, FilterError> {
        let mut left = self.not()?;
        while self.words(&["and"]) {
            left = Expression::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expression, FilterError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.expected("less nesting"));
        }
        let expression = if self.words(&["not"]) {
            Expression::Not(Box::new(self.not()?))
        } else if self.sign("(") {
            let inner = self.or()?;
            if !self.sign(")") {
                return Err(self.expected("\")\""));
            }
            inner
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn test(&mut self) -> Result<Expression, FilterError> {
        self.space();
        // A quoted value in front can only be sought in something, unless it is the path of a field.
        let quoted = self.rest().starts_with(['"', '`']);
        let before = self.at;
        let first = self.value("a field or a value")?;
        for (words, negated) in [(&["in"][..], false), (&["not", "in"][..], true)] {
            if self.words(words) {
                let path = self.selector()?;
                return Ok(negate(
                    negated,
                    Expression::Match(path, Test::Contains(first)),
                ));
            }
        }
        if quoted && !first.starts_with('/') {
            return Err(self.expected("\"in\" or \"not in\""));
        }
        self.at = before;
        let path = self.selector()?;
        let (test, negated) = self.operator()?;
        Ok(negate(negated, Expression::Match(path, test)))
    }

    fn operator(&mut self) -> Result<(Test, bool), FilterError> {
        for (words, negated) in [
            (&["is", "empty"][..], false),
            (&["is", "not", "empty"], true),
        ] {
            if self.words(words) {
                return Ok((Test::Empty, negated));
            }
        }
        for (words, negated) in [(&["contains"][..], false), (&["not", "contains"][..], true)] {
            if self.words(words) {
                return Ok((Test::Contains(self.value("a value")?), negated));
            }
        }
        for (words, negated) in [(&["matches"][..], false), (&["not", "matches"][..], true)] {
            if self.words(words) {
                let pattern = Regex::new(&self.value("a value")?)
                    .map_err(|error| FilterError::Pattern(Box::new(error)))?;
                return Ok((Test::Matches(pattern), negated));
            }
        }
        for (sign, negated) in [("==", false), ("!=", true)] {
            if self.sign(sign) {
                return Ok((Test::Equal(self.value("a value")?), negated));
            }
        }
        Err(self.expected("\"!=\", \"==\", \"contains\", \"in\", \"is\", \"matches\" or \"not\""))
    }

    /// `A.b`, `A["b"]` or `"/A/b"`.
    fn selector(&mut self) -> Result<Vec<String>, FilterError> {
        self.space();
        if self.rest().starts_with('"') {
            let pointer = self.value("a field")?;
            return match pointer.strip_prefix('/') {
                Some(path) => Ok(path
                    .split('/')
                    .map(|part| part.replace("~1", "/").replace("~0", "~"))
                    .collect()),
                None => Err(self.expected("a field")),
            };
        }
        let mut path = vec![self.name()?];
        loop {
            if self.rest().starts_with('.') {
                self.at += 1;
                path.push(self.name()?);
            } else if self.rest().starts_with('[') {
                self.at += 1;
                path.push(self.value("a key")?);
                if !self.sign("]") {
                    return Err(self.expected("\"]\""));
                }
            } else {
                return Ok(path);
            }
        }
    }

    fn name(&mut self) -> Result<String, FilterError> {
        let rest = self.rest();
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.expected("a field"));
        }
        self.at += end;
        Ok(rest[..end].to_owned())
    }

    fn value(&mut self, expected: &'static str) -> Result<String, FilterError> {
        self.space();
        let rest = self.rest();
        if let Some(raw) = rest.strip_prefix('`') {
            let end = raw.find('`').ok_or_else(|| self.expected("\"`\""))?;
            self.at += end + 2;
            return Ok(raw[..end].to_owned());
        }
        if rest.starts_with('"') {
            let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
            return match strings.next() {
                Some(Ok(text)) => {
                    self.at += strings.byte_offset();
                    Ok(text)
                }
                _ => Err(self.expected("\"\\\"\"")),
            };
        }
        let end = rest
            .find(|c: char| {
                c.is_whitespace() || matches!(c, '(' | ')' | '=' | '!' | '"' | '`' | ']')
            })
            .unwrap_or(rest.len());
        if end == 0 {
            return Err(self.expected(expected));
        }
        self.at += end;
        Ok(rest[..end].to_owned())
    }
}

fn negate(negated: bool, expression: Expression) -> Expression {
    if negated {
        Expression::Not(Box::new(expression))
    } else {
        expression
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_are_let_through_as_the_expression_says() {
        let entry = json!({
            "ID": "web", "Status": "running", "Priority": 50, "Stop": false, "Datacenters": ["dc1", "dc2"],
            "Meta": {"owner": "a b", "x.y": "z"}, "Periodic": null, "Empty": [],
        });
        for (text, holds) in [
            (r#"Status == "running""#, true),
            (r#"Status == running and ID == web"#, true),
            (r#"Status != "running""#, false),
            (r#"Status == "dead" or Priority == 50"#, true),
            (r#"not Status == "dead""#, true),
            (r#"not (Status == "running" and Stop == false)"#, false),
            ("Stop == false", true),
            ("Priority == 50.0", true),
            (r#""dc2" in Datacenters"#, true),
            ("dc3 in Datacenters", false),
            (r#""dc3" not in Datacenters"#, true),
            (r#"Datacenters contains "dc1""#, true),
            (r#"Datacenters not contains "dc1""#, false),
            (r#"owner in Meta"#, true),
            (r#"Meta.owner == "a b""#, true),
            (r#"Meta["x.y"] == `z`"#, true),
            (r#""/Meta/owner" == "a b""#, true),
            ("Meta.nothing is empty", true),
            ("Meta.nothing == 7", false),
            ("Meta.nothing != 7", true),
            (r#"Meta.nothing == """#, false),
            (r#"Meta.nothing != """#, true),
            (r#"Meta.nothing matches ".*""#, false),
            (r#"Meta.nothing not matches ".*""#, true),
            (r#""a" in Meta.nothing"#, false),
            (r#""a" not in Meta.nothing"#, true),
            ("Meta.nothing is not empty", false),
            ("Meta.nothing.further == 7", false),
            (r#"Periodic.Spec == "@daily""#, false),
            (r#"Periodic.Spec != "@daily""#, true),
            (r#"Periodic.Spec == """#, false),
            ("Periodic.Spec is empty", true),
            ("Datacenters.7 is empty", true),
            ("Empty is empty and Meta is not empty", true),
            ("Periodic is empty", true),
            (r#"ID matches "^w.b$""#, true),
            (r#"ID not matches "^x""#, true),
            (r#"ID contains "e""#, true),
            (r#"Status=="running"and ID=="web""#, true),
        ] {
            let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(filter.holds(&entry).unwrap(), holds, "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused_with_its_place() {
        for (text, place) in [
            ("Status ===", "1:10 (9)"),
            ("", "1:1 (0)"),
            ("Status", "1:7 (6)"),
            ("(Status == a", "1:13 (12)"),
            ("Status == \"a", "1:11 (10)"),
            ("Status == a b", "1:13 (12)"),
            ("\"a\" == b", "1:4 (3)"),
        ] {
            let error = Filter::parse(text).unwrap_err().to_string();
            let begin = format!(
                "failed to create result paginator: failed to read filter expression: {place}: no match found"
            );
            assert!(error.starts_with(&begin), "{text}: {error}");
        }
        assert!(Filter::parse(&"not ".repeat(5_000)).is_err());
        assert!(Filter::parse(&"(".repeat(70)).is_err());
        assert!(Filter::parse("a matches \"(\"").is_err());
    }

    #[test]
    fn a_field_that_is_not_there_is_named() {
        let error = Filter::parse("Colour == \"red\"")
            .unwrap()
            .holds(&json!({"ID": "x"}))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed to read result page: error finding value in datum: /Colour at part 0: couldn't find key: struct \
             field with name \"Colour\""
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            if let Ok(filter) = Filter::parse(&text) {
                let _ = filter.holds(&json!({"a": {"b": ["c"]}}));
            }
        }

        #[test]
        fn no_pile_of_words_makes_it_panic(
            words in proptest::collection::vec(
                prop_oneof![
                    Just("not"), Just("in"), Just("is"), Just("empty"), Just("("), Just(")"), Just("=="), Just("a"),
                    Just("\"x\""), Just("and"), Just("or"), Just("["), Just("]"), Just("."), Just("é"),
                ],
                0..12,
            )
        ) {
            let _ = Filter::parse(&words.join(" "));
        }
    }
}
