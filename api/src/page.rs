//! Pages of a list: `per_page` entries from `next_token` on, in the order of the tokens.

use std::{fmt, str::FromStr};

use rove_model::ids::{JobKey, Revision};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    call::{Call, Params},
    error::ApiError,
    filter::{Filter, FilterError},
};

/// By what the entries of a list are ordered; its text is the token of a page.
pub(crate) trait Token: Ord + fmt::Display + FromStr {}

/// Oldest first, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByAge(pub(crate) Revision, pub(crate) Uuid);

impl fmt::Display for ByAge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for ByAge {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (age, id) = text.split_once('.').ok_or(())?;
        Ok(Self(
            age.parse().map_err(|_| ())?,
            id.parse().map_err(|_| ())?,
        ))
    }
}

impl Token for ByAge {}

/// By namespace and id of a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByJob(pub(crate) JobKey);

impl fmt::Display for ByJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0.namespace, self.0.id)
    }
}

impl FromStr for ByJob {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (namespace, id) = text.split_once('.').ok_or(())?;
        Ok(Self(JobKey::new(namespace, id)))
    }
}

impl Token for ByJob {}

/// By name.
impl Token for String {}

/// By id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ById(pub(crate) Uuid);

impl fmt::Display for ById {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ById {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse().map(Self).map_err(|_| ())
    }
}

impl Token for ById {}

/// What is asked of a list.
#[derive(Debug)]
pub(crate) struct Paging {
    filter: Option<Filter>,
    per_page: Option<usize>,
    next_token: Option<String>,
    /// The newest first.
    pub(crate) reverse: bool,
}

/// One page, and where the next begins.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) entries: Vec<T>,
    pub(crate) next_token: Option<String>,
}

impl Paging {
    pub(crate) fn of(call: &Call) -> Result<Self, ApiError> {
        let filter = match call.params.get("filter") {
            None => None,
            Some(text) => {
                Some(Filter::parse(text).map_err(|e| ApiError::BadRequest(e.to_string()))?)
            }
        };
        Ok(Self {
            filter,
            per_page: per_page(&call.params),
            next_token: call.params.get("next_token").map(str::to_owned),
            reverse: call.params.flag("reverse")?.unwrap_or(false),
        })
    }

    /// Entries in the order of this list.
    pub(crate) fn sort<E, K: Token>(&self, entries: &mut [E], token: impl Fn(&E) -> K) {
        if self.reverse {
            entries.sort_by_cached_key(|entry| std::cmp::Reverse(token(entry)));
        } else {
            entries.sort_by_cached_key(token);
        }
    }

    /// The page of `entries`, which come in the order of their tokens (or its reverse, as [`Paging::sort`] leaves
    /// them). The filter, if there is one, is held against what `view` makes of an entry, which is what is shown of it,
    /// and where it asks for a field that the list leaves out, against what `whole` makes of it.
    pub(crate) fn page<E, K: Token, T: Serialize, W: Serialize>(
        &self,
        entries: impl IntoIterator<Item = E>,
        token: impl Fn(&E) -> K,
        view: impl Fn(&E) -> T,
        whole: impl Fn(&E) -> W,
    ) -> Result<Page<E>, ApiError> {
        let mut page = Page {
            entries: Vec::new(),
            next_token: None,
        };
        let from = match &self.next_token {
            None => None,
            Some(text) => Some(
                text.parse::<K>()
                    .map_err(|_| ApiError::BadRequest(format!("invalid next_token {text:?}")))?,
            ),
        };
        for entry in entries {
            if let Some(from) = &from {
                let key = token(&entry);
                if (self.reverse && key > *from) || (!self.reverse && key < *from) {
                    continue;
                }
            }
            if let Some(filter) = &self.filter {
                let holds = match filter.holds(&json(&view(&entry))?) {
                    Err(FilterError::UnknownField { .. }) => {
                        filter.holds(&merged(json(&view(&entry))?, json(&whole(&entry))?))
                    }
                    decided => decided,
                };
                if !holds.map_err(|error| ApiError::BadRequest(error.to_string()))? {
                    continue;
                }
            }
            if self.per_page.is_some_and(|most| page.entries.len() >= most) {
                page.next_token = Some(token(&entry).to_string());
                break;
            }
            page.entries.push(entry);
        }
        Ok(page)
    }
}

fn json(value: &impl Serialize) -> Result<Value, ApiError> {
    serde_json::to_value(value).map_err(|error| ApiError::Refused(error.to_string()))
}

/// All fields of both; where both have one, that of the first.
fn merged(mut first: Value, second: Value) -> Value {
    if let (Value::Object(first), Value::Object(second)) = (&mut first, second) {
        for (name, value) in second {
            first.entry(name).or_insert(value);
        }
    }
    first
}

fn per_page(params: &Params) -> Option<usize> {
    params
        .number("per_page")
        .and_then(|count| usize::try_from(count).ok())
        .filter(|&count| count > 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    fn page(query: &str) -> Result<(Vec<u64>, Option<String>), ApiError> {
        let call = Call {
            params: Params::parse(Some(query)),
            body: Bytes::new(),
            problems: false,
        };
        let paging = Paging::of(&call)?;
        let token = |n: &u64| ByAge(*n, Uuid::nil());
        let mut entries: Vec<u64> = (0..7).filter(|n| *n != 5).collect();
        paging.sort(&mut entries, token);
        let page = paging.page(
            entries,
            token,
            |n| json!({"N": n, "Even": n % 2 == 0}),
            |n| json!({"Half": n / 2}),
        )?;
        Ok((page.entries, page.next_token))
    }

    fn at(n: u64) -> String {
        ByAge(n, Uuid::nil()).to_string()
    }

    #[test]
    fn pages_follow_one_another_and_filters_do_not_shorten_them() {
        for (query, shown, next) in [
            (String::new(), vec![0, 1, 2, 3, 4, 6], None),
            ("per_page=x".to_owned(), vec![0, 1, 2, 3, 4, 6], None),
            ("per_page=0".to_owned(), vec![0, 1, 2, 3, 4, 6], None),
            ("per_page=6".to_owned(), vec![0, 1, 2, 3, 4, 6], None),
            ("per_page=3".to_owned(), vec![0, 1, 2], Some(at(3))),
            (
                format!("per_page=2&next_token={}", at(3)),
                vec![3, 4],
                Some(at(6)),
            ),
            // Where the next page begins was removed meanwhile.
            (format!("per_page=3&next_token={}", at(5)), vec![6], None),
            (
                "reverse=true&per_page=2".to_owned(),
                vec![6, 4],
                Some(at(3)),
            ),
            (
                format!("reverse=true&per_page=2&next_token={}", at(3)),
                vec![3, 2],
                Some(at(1)),
            ),
            (
                "filter=Even==true&per_page=2".to_owned(),
                vec![0, 2],
                Some(at(4)),
            ),
            (
                format!("filter=Even==true&per_page=2&next_token={}", at(4)),
                vec![4, 6],
                None,
            ),
            ("filter=Half==1".to_owned(), vec![2, 3], None),
            ("filter=Half==1%20and%20N==3".to_owned(), vec![3], None),
        ] {
            assert_eq!(page(&query).unwrap(), (shown, next), "{query}");
        }
        assert_eq!(page("next_token=gone").unwrap_err().status(), 400);
        assert_eq!(page("filter=Odd==1").unwrap_err().status(), 400);
        assert_eq!(page("filter=(").unwrap_err().status(), 400);
    }
}
