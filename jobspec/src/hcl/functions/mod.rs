//! The function library, as the reference names it.
//!
//! Pure, but for the file functions, which go through [`Files`]. Every result is bounded by what went in, or by a
//! limit said here.

mod encoding;
mod network;
mod time;

use std::collections::{BTreeMap, BTreeSet};

use super::eval::size_of_value;
use crate::value::{Number, Value};

/// Files that a job file may read.
pub trait Files {
    /// The text of a file, named relative to the job file.
    ///
    /// # Errors
    /// Why it can't be read.
    fn read(&self, path: &str) -> Result<String, String>;
}

/// No files: on a server.
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _path: &str) -> Result<String, String> {
        Err("filesystem function disabled".to_owned())
    }
}

/// Why a call did not work.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FunctionError {
    /// Too few or too many arguments.
    Arguments(String),
    /// Anything else.
    Failed {
        /// The argument that is to blame.
        argument: Option<usize>,
        /// What is wrong.
        message: String,
    },
}

type Outcome = Result<Value, FunctionError>;

fn failed(message: impl Into<String>) -> FunctionError {
    FunctionError::Failed {
        argument: None,
        message: message.into(),
    }
}

fn bad(argument: usize, message: impl Into<String>) -> FunctionError {
    FunctionError::Failed {
        argument: Some(argument),
        message: message.into(),
    }
}

/// The most bytes that one call may make.
const MAX_RESULT: usize = 16 << 20;
/// The longest text that is taken apart into values.
const MAX_PARSED: usize = 1 << 20;

/// Whether a result of so many parts of so many bytes may be made; asked before it is.
fn bounded(parts: usize, bytes: usize) -> Result<(), FunctionError> {
    if parts.saturating_mul(bytes) > MAX_RESULT {
        return Err(failed(format!(
            "the result would be longer than {MAX_RESULT} bytes"
        )));
    }
    Ok(())
}

/// Whether a text may be taken apart.
fn parseable(text: &str) -> Result<(), FunctionError> {
    if text.len() > MAX_PARSED {
        return Err(failed(format!("a text of more than {MAX_PARSED} bytes")));
    }
    Ok(())
}

/// The arguments of a call, taken with a conversion.
struct Arguments<'a> {
    list: &'a [Value],
    files: &'a dyn Files,
}

impl Arguments<'_> {
    fn text(&self, index: usize) -> Result<String, FunctionError> {
        self.list
            .get(index)
            .and_then(Value::to_text)
            .ok_or_else(|| bad(index, "string required"))
    }

    fn number(&self, index: usize) -> Result<Number, FunctionError> {
        self.list
            .get(index)
            .and_then(Value::to_number)
            .ok_or_else(|| bad(index, "number required"))
    }

    fn whole(&self, index: usize) -> Result<i64, FunctionError> {
        self.number(index)?
            .as_i64()
            .ok_or_else(|| bad(index, "a whole number is required"))
    }

    fn list(&self, index: usize) -> Result<&[Value], FunctionError> {
        match self.list.get(index) {
            Some(Value::List(list)) => Ok(list),
            _ => Err(bad(index, "list required")),
        }
    }

    fn map(&self, index: usize) -> Result<&BTreeMap<String, Value>, FunctionError> {
        match self.list.get(index) {
            Some(Value::Map(map)) => Ok(map),
            _ => Err(bad(index, "map or object required")),
        }
    }

    fn texts(&self, index: usize) -> Result<Vec<String>, FunctionError> {
        let list = self.list(index)?;
        list.iter()
            .map(|value| {
                value
                    .to_text()
                    .ok_or_else(|| bad(index, "list of string required"))
            })
            .collect()
    }
}

struct Function {
    name: &'static str,
    least: usize,
    most: usize,
    call: fn(&Arguments<'_>) -> Outcome,
}

const fn function(
    name: &'static str,
    least: usize,
    most: usize,
    call: fn(&Arguments<'_>) -> Outcome,
) -> Function {
    Function {
        name,
        least,
        most,
        call,
    }
}

const ANY: usize = usize::MAX;
/// The most elements that `range` makes, as in the reference.
const MAX_RANGE: usize = 1_024;

/// The most combinations that `setproduct` makes.
const MAX_PRODUCT: usize = 100_000;

/// Functions on numbers, texts and collections.
const FUNCTIONS: &[Function] = &[
    function("abs", 1, 1, |a| {
        Ok(Value::Number(match a.number(0)? {
            Number::Int(value) => Number::Int(value.saturating_abs()),
            Number::Float(value) => Number::Float(value.abs()),
        }))
    }),
    function("ceil", 1, 1, |a| rounded(a, f64::ceil)),
    function("chomp", 1, 1, |a| {
        Ok(Value::text(a.text(0)?.trim_end_matches(['\n', '\r'])))
    }),
    function("coalesce", 1, ANY, |a| {
        let first = a.list.iter().find(|value| **value != Value::Null);
        first
            .cloned()
            .ok_or_else(|| failed("no non-null arguments"))
    }),
    function("compact", 1, 1, |a| {
        let texts = a.texts(0)?;
        let kept = texts.into_iter().filter(|text| !text.is_empty());
        Ok(Value::List(kept.map(Value::String).collect()))
    }),
    function("concat", 1, ANY, |a| {
        let mut all = Vec::new();
        for index in 0..a.list.len() {
            all.extend_from_slice(a.list(index)?);
        }
        Ok(Value::List(all))
    }),
    function("chunklist", 2, 2, |a| {
        let size = usize::try_from(a.whole(1)?).map_err(|_| bad(1, "must not be negative"))?;
        let list = a.list(0)?;
        if size == 0 {
            return Ok(Value::List(vec![Value::List(list.to_vec())]));
        }
        let chunks = list.chunks(size).map(|chunk| Value::List(chunk.to_vec()));
        Ok(Value::List(chunks.collect()))
    }),
    function("coalescelist", 1, ANY, |a| {
        for index in 0..a.list.len() {
            if a.list[index] != Value::Null && !a.list(index)?.is_empty() {
                return Ok(a.list[index].clone());
            }
        }
        Err(failed("no non-null arguments"))
    }),
    function("contains", 2, 2, |a| {
        Ok(Value::Bool(a.list(0)?.contains(&a.list[1])))
    }),
    function("distinct", 1, 1, |a| {
        let mut kept: Vec<Value> = Vec::new();
        for value in a.list(0)? {
            if !kept.contains(value) {
                kept.push(value.clone());
            }
        }
        Ok(Value::List(kept))
    }),
    function("element", 2, 2, |a| {
        let (list, index) = (a.list(0)?, a.whole(1)?);
        let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
        if length == 0 {
            return Err(bad(0, "cannot use element function with an empty list"));
        }
        let index = usize::try_from(index.rem_euclid(length)).unwrap_or(0);
        Ok(list[index].clone())
    }),
    function("file", 1, 1, |a| {
        a.files.read(&a.text(0)?).map(Value::String).map_err(failed)
    }),
    function("flatten", 1, 1, |a| {
        let mut flat = Vec::new();
        flatten(a.list(0)?, &mut flat);
        Ok(Value::List(flat))
    }),
    function("floor", 1, 1, |a| rounded(a, f64::floor)),
    function("format", 1, ANY, |a| {
        format_text(&a.text(0)?, &a.list[1..]).map(Value::String)
    }),
    function("formatlist", 1, ANY, format_list),
    function("indent", 2, 2, |a| {
        let spaces = usize::try_from(a.whole(0)?)
            .ok()
            .filter(|spaces| *spaces <= 1_000)
            .ok_or_else(|| bad(0, "from 0 to 1000 spaces"))?;
        let pad = format!("\n{}", " ".repeat(spaces));
        let text = a.text(1)?;
        bounded(text.matches('\n').count(), pad.len())?;
        Ok(Value::text(text.replace('\n', &pad)))
    }),
    function("index", 2, 2, |a| match (&a.list[0], &a.list[1]) {
        (Value::List(list), key) => {
            let index = key.to_number().and_then(Number::as_i64);
            index
                .and_then(|index| usize::try_from(index).ok())
                .and_then(|index| list.get(index).cloned())
                .ok_or_else(|| bad(1, "no such element"))
        }
        (Value::Map(map), key) => key
            .to_text()
            .and_then(|key| map.get(&key).cloned())
            .ok_or_else(|| bad(1, "no such key")),
        _ => Err(bad(0, "list or map required")),
    }),
    function("join", 2, ANY, |a| {
        let mut all = Vec::new();
        for index in 1..a.list.len() {
            all.extend(a.texts(index)?);
        }
        let separator = a.text(0)?;
        bounded(all.len(), separator.len())?;
        Ok(Value::String(all.join(&separator)))
    }),
    function("jsondecode", 1, 1, |a| {
        let text = a.text(0)?;
        parseable(&text)?;
        let json: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| bad(0, error.to_string()))?;
        Ok(Value::from_json(&json))
    }),
    function("jsonencode", 1, 1, |a| {
        Ok(Value::String(a.list[0].to_json().to_string()))
    }),
    function("keys", 1, 1, |a| {
        Ok(Value::List(a.map(0)?.keys().map(Value::text).collect()))
    }),
    function("length", 1, 1, |a| {
        let length = match &a.list[0] {
            Value::List(list) => list.len(),
            Value::Map(map) => map.len(),
            _ => return Err(bad(0, "collection must be a list, a map or a tuple")),
        };
        Ok(size(length))
    }),
    function("log", 2, 2, |a| {
        let (number, base) = (a.number(0)?.as_f64(), a.number(1)?.as_f64());
        Number::from_f64(number.ln() / base.ln())
            .map(Value::Number)
            .ok_or_else(|| failed("the result is not a number"))
    }),
    function("lookup", 2, 3, |a| {
        let found = a.map(0)?.get(&a.text(1)?).cloned();
        found.or_else(|| a.list.get(2).cloned()).ok_or_else(|| {
            failed(format!(
                "lookup failed to find {:?}",
                a.text(1).unwrap_or_default()
            ))
        })
    }),
    function("lower", 1, 1, |a| {
        Ok(Value::text(a.text(0)?.to_lowercase()))
    }),
    function("max", 1, ANY, |a| extreme(a, std::cmp::Ordering::Greater)),
    function("merge", 1, ANY, |a| {
        let mut merged = BTreeMap::new();
        for index in 0..a.list.len() {
            if a.list[index] != Value::Null {
                merged.extend(a.map(index)?.clone());
            }
        }
        Ok(Value::Map(merged))
    }),
    function("min", 1, ANY, |a| extreme(a, std::cmp::Ordering::Less)),
    function("parseint", 2, 2, |a| {
        let (text, base) = (a.text(0)?, a.whole(1)?);
        let base = u32::try_from(base)
            .ok()
            .filter(|base| (2..=36).contains(base))
            .ok_or_else(|| bad(1, "base must be a whole number from 2 to 36"))?;
        i128::from_str_radix(&text, base)
            .map(Value::int)
            .map_err(|_| bad(0, format!("cannot parse {text:?} as a base {base} integer")))
    }),
    function("pow", 2, 2, |a| {
        let result = a.number(0)?.as_f64().powf(a.number(1)?.as_f64());
        Number::from_f64(result)
            .map(Value::Number)
            .ok_or_else(|| failed("the result is too large to be a number"))
    }),
    function("range", 1, 3, range),
    function("regex_replace", 3, 3, |a| {
        let (text, pattern, by) = (a.text(0)?, a.text(1)?, a.text(2)?);
        let pattern = compiled(&pattern, 1)?;
        // `$0` may stand for the whole text.
        let groups = by.matches('$').count();
        bounded(groups, text.len())?;
        bounded(pattern.find_iter(&text).count(), by.len())?;
        Ok(Value::text(pattern.replace_all(&text, by.as_str())))
    }),
    function("replace", 3, 3, |a| {
        let (text, from, to) = (a.text(0)?, a.text(1)?, a.text(2)?);
        bounded(text.matches(&from).count(), to.len())?;
        Ok(Value::String(text.replace(&from, &to)))
    }),
    function("reverse", 1, 1, |a| {
        Ok(Value::List(a.list(0)?.iter().rev().cloned().collect()))
    }),
    function("setintersection", 1, ANY, |a| {
        let sets = all_sets(a)?;
        let common = sets.iter().skip(1).fold(sets[0].clone(), |common, set| {
            common.intersection(set).cloned().collect()
        });
        Ok(set_value(common))
    }),
    function("setproduct", 2, ANY, |a| {
        let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
        for index in 0..a.list.len() {
            let list = a.list(index)?;
            if rows.len().saturating_mul(list.len()) > MAX_PRODUCT {
                return Err(failed(format!("more than {MAX_PRODUCT} combinations")));
            }
            let row: usize = rows
                .first()
                .map_or(0, |row| row.iter().map(size_of_value).sum());
            let largest = list.iter().map(size_of_value).max().unwrap_or(0);
            bounded(rows.len().saturating_mul(list.len()), row + largest)?;
            rows = rows
                .iter()
                .flat_map(|row| {
                    list.iter().map(move |value| {
                        let mut row = row.clone();
                        row.push(value.clone());
                        row
                    })
                })
                .collect();
        }
        Ok(Value::List(rows.into_iter().map(Value::List).collect()))
    }),
    function("setsubtract", 2, 2, |a| {
        let sets = all_sets(a)?;
        Ok(set_value(sets[0].difference(&sets[1]).cloned().collect()))
    }),
    function("setunion", 1, ANY, |a| {
        Ok(set_value(all_sets(a)?.into_iter().flatten().collect()))
    }),
    function("signum", 1, 1, |a| {
        let number = a.number(0)?.as_f64();
        Ok(Value::int(i8::from(number > 0.0) - i8::from(number < 0.0)))
    }),
    function("slice", 3, 3, |a| {
        let list = a.list(0)?;
        let from =
            usize::try_from(a.whole(1)?).map_err(|_| bad(1, "start index must not be negative"))?;
        let to =
            usize::try_from(a.whole(2)?).map_err(|_| bad(2, "end index must not be negative"))?;
        list.get(from..to)
            .map(|part| Value::List(part.to_vec()))
            .ok_or_else(|| {
                bad(
                    2,
                    "end index must lie between the start index and the length of the list",
                )
            })
    }),
    function("sort", 1, 1, |a| {
        let mut texts = a.texts(0)?;
        texts.sort();
        Ok(Value::List(texts.into_iter().map(Value::String).collect()))
    }),
    function("split", 2, 2, |a| {
        let (separator, text) = (a.text(0)?, a.text(1)?);
        parseable(&text)?;
        let parts: Vec<Value> = if separator.is_empty() {
            text.chars().map(|c| Value::text(c.to_string())).collect()
        } else {
            text.split(separator.as_str()).map(Value::text).collect()
        };
        Ok(Value::List(parts))
    }),
    function("strlen", 1, 1, |a| Ok(size(a.text(0)?.chars().count()))),
    function("strrev", 1, 1, |a| {
        Ok(Value::String(a.text(0)?.chars().rev().collect()))
    }),
    function("substr", 3, 3, |a| {
        let chars: Vec<char> = a.text(0)?.chars().collect();
        let length = i64::try_from(chars.len()).unwrap_or(i64::MAX);
        let (offset, count) = (a.whole(1)?, a.whole(2)?);
        let from = if offset < 0 {
            (length + offset).max(0)
        } else {
            offset.min(length)
        };
        let to = if count < 0 {
            length
        } else {
            from.saturating_add(count).min(length)
        };
        let range = usize::try_from(from).unwrap_or(0)..usize::try_from(to).unwrap_or(0);
        Ok(Value::String(
            chars.get(range).unwrap_or_default().iter().collect(),
        ))
    }),
    function("title", 1, 1, |a| {
        let mut at_start = true;
        let text = a.text(0)?;
        let titled = text.chars().map(|c| {
            let first = std::mem::replace(&mut at_start, !c.is_alphanumeric() && c != '\'');
            if first {
                c.to_uppercase().next().unwrap_or(c)
            } else {
                c
            }
        });
        Ok(Value::String(titled.collect()))
    }),
    function("trim", 2, 2, |a| {
        let cut: Vec<char> = a.text(1)?.chars().collect();
        Ok(Value::text(a.text(0)?.trim_matches(|c| cut.contains(&c))))
    }),
    function("trimprefix", 2, 2, |a| {
        let (text, prefix) = (a.text(0)?, a.text(1)?);
        Ok(Value::text(text.strip_prefix(&prefix).unwrap_or(&text)))
    }),
    function("trimspace", 1, 1, |a| Ok(Value::text(a.text(0)?.trim()))),
    function("trimsuffix", 2, 2, |a| {
        let (text, suffix) = (a.text(0)?, a.text(1)?);
        Ok(Value::text(text.strip_suffix(&suffix).unwrap_or(&text)))
    }),
    function("upper", 1, 1, |a| {
        Ok(Value::text(a.text(0)?.to_uppercase()))
    }),
    function("values", 1, 1, |a| {
        Ok(Value::List(a.map(0)?.values().cloned().collect()))
    }),
    function("zipmap", 2, 2, |a| {
        let (keys, values) = (a.texts(0)?, a.list(1)?);
        if keys.len() != values.len() {
            return Err(failed(format!(
                "number of keys ({}) does not match number of values ({})",
                keys.len(),
                values.len()
            )));
        }
        Ok(Value::Map(
            keys.into_iter().zip(values.iter().cloned()).collect(),
        ))
    }),
];

/// Every function, by what it is about.
fn all() -> impl Iterator<Item = &'static Function> {
    FUNCTIONS
        .iter()
        .chain(encoding::FUNCTIONS)
        .chain(network::FUNCTIONS)
        .chain(time::FUNCTIONS)
}

/// Every name that can be called.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    all()
        .map(|function| function.name)
        .chain(["try", "can", "convert"])
}

pub(crate) fn exists(name: &str) -> bool {
    find(name).is_some()
}

fn find(name: &str) -> Option<&'static Function> {
    all().find(|function| function.name == name)
}

/// Calls a function with known values.
pub(crate) fn call(name: &str, arguments: &[Value], files: &dyn Files) -> Outcome {
    let function = find(name).ok_or_else(|| failed("there is no such function"))?;
    if arguments.len() < function.least || arguments.len() > function.most {
        let wanted = match (function.least, function.most) {
            (least, ANY) => format!("at least {least}"),
            (least, most) if least == most => least.to_string(),
            (least, most) => format!("{least} to {most}"),
        };
        return Err(FunctionError::Arguments(format!(
            "Function {name:?} expects {wanted} argument(s) and got {}.",
            arguments.len()
        )));
    }
    (function.call)(&Arguments {
        list: arguments,
        files,
    })
}

fn size(length: usize) -> Value {
    Value::int(i128::try_from(length).unwrap_or(i128::MAX))
}

fn compiled(pattern: &str, argument: usize) -> Result<regex::Regex, FunctionError> {
    regex::RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            bad(argument, text.lines().last().unwrap_or_default().trim())
        })
}

fn rounded(a: &Arguments<'_>, round: fn(f64) -> f64) -> Outcome {
    let number = a.number(0)?;
    Ok(Value::Number(match number {
        Number::Int(_) => number,
        Number::Float(value) => Number::from_f64(round(value)).unwrap_or(number),
    }))
}

fn extreme(a: &Arguments<'_>, wanted: std::cmp::Ordering) -> Outcome {
    let mut best = a.number(0)?;
    for index in 1..a.list.len() {
        let number = a.number(index)?;
        if number.compare(best) == wanted {
            best = number;
        }
    }
    Ok(Value::Number(best))
}

fn flatten(list: &[Value], flat: &mut Vec<Value>) {
    for value in list {
        match value {
            Value::List(inner) => flatten(inner, flat),
            other => flat.push(other.clone()),
        }
    }
}

fn range(a: &Arguments<'_>) -> Outcome {
    let (start, end) = if a.list.len() == 1 {
        (Number::Int(0), a.number(0)?)
    } else {
        (a.number(0)?, a.number(1)?)
    };
    let (start, end) = (start.as_f64(), end.as_f64());
    let step = match a.list.len() {
        3 => a.number(2)?.as_f64(),
        _ if end < start => -1.0,
        _ => 1.0,
    };
    if step == 0.0 {
        return Err(bad(2, "step must not be zero"));
    }
    if (step > 0.0 && end < start) || (step < 0.0 && end > start) {
        return Err(bad(2, "the step leads away from the end"));
    }
    let mut list = Vec::new();
    let mut value = start;
    while (step > 0.0 && value < end) || (step < 0.0 && value > end) {
        if list.len() == MAX_RANGE {
            return Err(failed(format!(
                "more than {MAX_RANGE} values were generated; either decrease the difference between start and end or use a smaller step"
            )));
        }
        list.extend(Number::from_f64(value).map(Value::Number));
        value += step;
    }
    Ok(Value::List(list))
}

/// A set orders by what its elements print as.
fn all_sets(a: &Arguments<'_>) -> Result<Vec<BTreeSet<String>>, FunctionError> {
    (0..a.list.len())
        .map(|index| a.texts(index).map(|texts| texts.into_iter().collect()))
        .collect()
}

fn set_value(set: BTreeSet<String>) -> Value {
    Value::List(set.into_iter().map(Value::String).collect())
}

fn format_list(a: &Arguments<'_>) -> Outcome {
    let pattern = a.text(0)?;
    let length = a.list[1..].iter().find_map(|value| match value {
        Value::List(list) => Some(list.len()),
        _ => None,
    });
    let Some(length) = length else {
        return format_text(&pattern, &a.list[1..])
            .map(|text| Value::List(vec![Value::String(text)]));
    };
    let fixed = a
        .list
        .iter()
        .filter(|value| !matches!(value, Value::List(_)));
    bounded(length, fixed.map(size_of_value).sum())?;
    let mut out = Vec::new();
    for index in 0..length {
        let mut row = Vec::new();
        for (number, value) in a.list[1..].iter().enumerate() {
            row.push(match value {
                Value::List(list) => list.get(index).cloned().ok_or_else(|| {
                    bad(
                        number + 1,
                        format!("has {} elements, others have {length}", list.len()),
                    )
                })?,
                other => other.clone(),
            });
        }
        out.push(Value::String(format_text(&pattern, &row)?));
    }
    Ok(Value::List(out))
}

/// `%s %d %v %q %t %f %x …` with flags, width and precision.
fn format_text(pattern: &str, arguments: &[Value]) -> Result<String, FunctionError> {
    let mut out = String::new();
    let mut rest = pattern.chars().peekable();
    let mut next = 0;
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if rest.peek() == Some(&'%') {
            rest.next();
            out.push('%');
            continue;
        }
        let mut flags = String::new();
        while let Some(flag) = rest.next_if(|c| matches!(c, '-' | '+' | ' ' | '0' | '#')) {
            flags.push(flag);
        }
        let digits = |rest: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut text = String::new();
            while let Some(digit) = rest.next_if(char::is_ascii_digit) {
                text.push(digit);
            }
            text.parse::<usize>().ok().map(|number| number.min(4_096))
        };
        let width = digits(&mut rest).unwrap_or(0);
        let precision = rest
            .next_if_eq(&'.')
            .map(|_| digits(&mut rest).unwrap_or(0));
        let Some(verb) = rest.next() else {
            return Err(failed(
                "unrecognized format character at the end of the text",
            ));
        };
        let argument = arguments.get(next).ok_or_else(|| {
            failed(format!(
                "not enough arguments for {:?} at {next}: need index {} but have {} total",
                format!("%{verb}"),
                next,
                arguments.len()
            ))
        })?;
        next += 1;
        let text =
            formatted(verb, argument, &flags, precision).map_err(|message| bad(next, message))?;
        pad(&text, width, &flags, &mut out);
    }
    if next < arguments.len() {
        return Err(failed(format!(
            "too many arguments; only {next} used by format string"
        )));
    }
    Ok(out)
}

fn formatted(
    verb: char,
    value: &Value,
    flags: &str,
    precision: Option<usize>,
) -> Result<String, String> {
    let number = || {
        value
            .to_number()
            .ok_or_else(|| "a number is required".to_owned())
    };
    let signed = |text: String| {
        if flags.contains('+') && !text.starts_with('-') {
            format!("+{text}")
        } else {
            text
        }
    };
    let whole = || match number()? {
        Number::Int(value) => Ok(value),
        Number::Float(_) => Err("a whole number is required".to_owned()),
    };
    Ok(match verb {
        'v' => match value {
            Value::String(text) => text.clone(),
            other => other.to_json().to_string(),
        },
        's' => {
            let text = value.to_text().ok_or("a string is required")?;
            match precision {
                Some(count) => text.chars().take(count).collect(),
                None => text,
            }
        }
        'q' => {
            serde_json::Value::String(value.to_text().ok_or("a string is required")?).to_string()
        }
        't' => value.to_bool().ok_or("a bool is required")?.to_string(),
        'd' => signed(whole()?.to_string()),
        'b' => format!("{:b}", whole()?),
        'o' => format!("{:o}", whole()?),
        'x' => format!("{:x}", whole()?),
        'X' => format!("{:X}", whole()?),
        'f' => {
            let places = precision.unwrap_or(6).min(100);
            signed(format!("{:.places$}", number()?.as_f64()))
        }
        'e' => format!("{:e}", number()?.as_f64()),
        'g' => number()?.to_string(),
        other => return Err(format!("unsupported format verb {other:?}")),
    })
}

fn pad(text: &str, width: usize, flags: &str, out: &mut String) {
    let missing = width.saturating_sub(text.chars().count());
    if flags.contains('-') {
        out.push_str(text);
        out.extend(std::iter::repeat_n(' ', missing));
    } else if flags.contains('0') {
        let (sign, digits) = match text.strip_prefix(['-', '+']) {
            Some(digits) => text.split_at(text.len() - digits.len()),
            None => ("", text),
        };
        out.push_str(sign);
        out.extend(std::iter::repeat_n('0', missing));
        out.push_str(digits);
    } else {
        out.extend(std::iter::repeat_n(' ', missing));
        out.push_str(text);
    }
}
