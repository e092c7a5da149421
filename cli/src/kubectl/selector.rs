//! `-l`: which things are meant, by their meta.

use std::collections::BTreeMap;

use super::kind::Target;
use crate::failure::Failure;

/// What a selector asks for; all of it must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Is(String, Vec<String>),
    IsNot(String, Vec<String>),
    Has(String),
    HasNot(String),
}

impl Selector {
    /// Reads `a=b`, `a==b`, `a!=b`, `a`, `!a`, `a in (b,c)`, `a notin (b,c)`, parted by commas.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let mut terms = Vec::new();
        for part in split(text) {
            let part = part.trim();
            if !part.is_empty() {
                terms.push(term(part).ok_or_else(|| {
                    Failure::new(format!(
                        "error: unable to parse requirement: {part:?} of the selector {text:?}"
                    ))
                })?);
            }
        }
        Ok(Self { terms })
    }

    /// Refuses targets that are named: they are chosen already.
    pub fn without_names(&self, targets: &[Target]) -> Result<(), Failure> {
        if !self.is_empty() && targets.iter().any(|target| target.name.is_some()) {
            return Err(Failure::new("error: selectors and names can't be combined"));
        }
        Ok(())
    }

    /// Everything is meant.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// It holds for this meta.
    pub fn matches(&self, meta: &BTreeMap<String, String>) -> bool {
        self.terms.iter().all(|term| match term {
            Term::Is(key, values) => meta.get(key).is_some_and(|v| values.contains(v)),
            Term::IsNot(key, values) => !meta.get(key).is_some_and(|v| values.contains(v)),
            Term::Has(key) => meta.contains_key(key),
            Term::HasNot(key) => !meta.contains_key(key),
        })
    }
}

fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth <= 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

fn term(text: &str) -> Option<Term> {
    let key = |name: &str| {
        let name = name.trim();
        let fine = !name.is_empty() && !name.contains([' ', '(', ')', '=', '!', ',']);
        fine.then(|| name.to_owned())
    };
    if let Some(name) = text.strip_prefix('!') {
        return Some(Term::HasNot(key(name)?));
    }
    for (sign, is) in [("!=", false), ("==", true), ("=", true)] {
        if let Some((name, value)) = text.split_once(sign) {
            let (name, values) = (key(name)?, vec![value.trim().to_owned()]);
            return Some(if is {
                Term::Is(name, values)
            } else {
                Term::IsNot(name, values)
            });
        }
    }
    for (word, is) in [(" notin ", false), (" in ", true)] {
        if let Some((name, list)) = text.split_once(word) {
            let list = list.trim().strip_prefix('(')?.strip_suffix(')')?;
            let values = list.split(',').map(|v| v.trim().to_owned()).collect();
            let name = key(name)?;
            return Some(if is {
                Term::Is(name, values)
            } else {
                Term::IsNot(name, values)
            });
        }
    }
    Some(Term::Has(key(text)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn selectors_hold_as_kubectls_do() {
        let meta: BTreeMap<String, String> = [("team", "a"), ("tier", "web")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        for (text, expected) in [
            ("", true),
            ("team=a", true),
            ("team==a,tier=web", true),
            ("team=b", false),
            ("team!=b", true),
            ("zone!=b", true),
            ("team", true),
            ("zone", false),
            ("!zone", true),
            ("team in (a, b),tier notin (db)", true),
            ("team notin (a)", false),
        ] {
            assert_eq!(
                Selector::parse(text).unwrap().matches(&meta),
                expected,
                "{text}"
            );
        }
        for text in ["a b", "in (x)", "a in x", "=x"] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_a_selector_panic(text in "[a-z=!,() ]{0,30}|.{0,20}") {
            if let Ok(selector) = Selector::parse(&text) {
                selector.matches(&BTreeMap::new());
            }
        }
    }
}
