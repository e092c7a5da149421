//! `format` and `formatlist`: `%[1]-08.2f` and the like.

use unicode_segmentation::UnicodeSegmentation as _;

use super::{
    Arguments, Function, Kind, MAX_RESULT, Outcome, bad, bounded, failed, parameter, text,
    variadic, within,
};
use crate::{
    hcl::{
        eval::size_of_value,
        types::{self, Type},
    },
    value::{Number, Value, json},
};

/// The most characters that width or precision may ask for.
const MAX_WIDTH: usize = 4_096;

pub(super) const FUNCTIONS: &[Function] = &[
    variadic(
        "format",
        &[text("format")],
        parameter("args", Kind::Nullable),
        |a| match write(a.text(0)?, &a.list[1..]) {
            Ok(text) => Ok(Value::String(text)),
            Err(Mistake::Surplus(used)) => Err(bad(
                used + 1,
                format!("too many arguments; only {used} used by format string"),
            )),
            Err(Mistake::Other(message)) => Err(failed(message)),
        },
    ),
    variadic(
        "formatlist",
        &[text("format")],
        parameter("args", Kind::Nullable),
        format_list,
    ),
];

/// What is wrong with a format or its arguments.
enum Mistake {
    /// Only so many arguments are used.
    Surplus(usize),
    Other(String),
}

fn wrong<T>(message: String) -> Result<T, Mistake> {
    Err(Mistake::Other(message))
}

fn format_list(a: &Arguments<'_>) -> Outcome {
    let pattern = a.text(0)?;
    let arguments = &a.list[1..];
    let mut length = None;
    for (index, value) in arguments.iter().enumerate() {
        let Value::List(list) = value else { continue };
        match length {
            None => length = Some((index, list.len())),
            Some((_, length)) if length == list.len() => {}
            Some((first, length)) => {
                return Err(bad(
                    index + 1,
                    format!(
                        "argument {} has length {}, which is inconsistent with argument {} of length {length}",
                        index + 1,
                        list.len(),
                        first + 1
                    ),
                ));
            }
        }
    }
    let rows = length.map_or(1, |(_, length)| length);
    let fixed = a
        .list
        .iter()
        .filter(|value| !matches!(value, Value::List(_)));
    bounded(rows, fixed.map(size_of_value).sum())?;
    let mut out = Vec::new();
    let mut bytes = 0;
    for index in 0..rows {
        let row: Vec<Value> = arguments
            .iter()
            .map(|value| match value {
                Value::List(list) => list.get(index).cloned().unwrap_or(Value::Null),
                other => other.clone(),
            })
            .collect();
        let line = write(pattern, &row).map_err(|mistake| {
            let why = match mistake {
                Mistake::Surplus(used) => {
                    format!("too many arguments; only {used} used by format string")
                }
                Mistake::Other(message) => message,
            };
            failed(format!("error on format iteration {index}: {why}"))
        })?;
        bytes += line.len();
        within(bytes)?;
        out.push(Value::String(line));
    }
    Ok(Value::List(out))
}

/// One `%…` of a format.
#[derive(Default)]
struct Verb {
    /// As it is written.
    raw: String,
    /// Where it begins, in bytes.
    at: usize,
    /// Which argument it says it takes, from 1.
    index: Option<usize>,
    plus: bool,
    minus: bool,
    space: bool,
    sharp: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    letter: char,
}

fn write(pattern: &str, arguments: &[Value]) -> Result<String, Mistake> {
    let mut out = String::new();
    let mut at = 0;
    let mut next = 0;
    let mut most = 0;
    while let Some(found) = pattern[at..].find('%') {
        out.push_str(&pattern[at..at + found]);
        at += found;
        if pattern[at + 1..].starts_with('%') {
            out.push('%');
            at += 2;
            continue;
        }
        let verb = read(pattern, at)?;
        at += verb.raw.len();
        let index = match verb.index {
            Some(index) => index - 1,
            None => next,
        };
        next = index + 1;
        most = most.max(next);
        let Some(argument) = arguments.get(index) else {
            return wrong(format!(
                "not enough arguments for {:?} at {}: need index {} but have {} total",
                verb.raw,
                verb.at,
                index + 1,
                arguments.len()
            ));
        };
        verb.write(argument, &mut out)?;
        if out.len() > MAX_RESULT {
            return wrong(format!(
                "the result would be longer than {MAX_RESULT} bytes"
            ));
        }
    }
    out.push_str(&pattern[at..]);
    if most < arguments.len() {
        return Err(Mistake::Surplus(most));
    }
    Ok(out)
}

/// Reads the verb that begins at a percent sign.
fn read(pattern: &str, start: usize) -> Result<Verb, Mistake> {
    let mut verb = Verb {
        at: start,
        ..Verb::default()
    };
    let bytes = pattern.as_bytes();
    let mut at = start + 1;
    let unrecognized = |at: usize| match pattern[at..].chars().next() {
        Some(c) => wrong(format!(
            "unrecognized format character {} at offset {at}",
            quoted_char(c)
        )),
        None => wrong(format!("invalid format string starting at offset {at}")),
    };
    let number = |at: &mut usize| {
        let from = *at;
        while bytes.get(*at).is_some_and(u8::is_ascii_digit) {
            *at += 1;
        }
        pattern[from..*at].parse::<usize>().ok()
    };
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'+' => verb.plus = true,
            b'-' => verb.minus = true,
            b' ' => verb.space = true,
            b'#' => verb.sharp = true,
            b'0' => verb.zero = true,
            _ => break,
        }
        at += 1;
    }
    if bytes.get(at) == Some(&b'[') {
        let inner = at + 1;
        let mut end = inner;
        match number(&mut end) {
            Some(index) if index > 0 && bytes[inner] != b'0' && bytes.get(end) == Some(&b']') => {
                verb.index = Some(index);
                at = end + 1;
            }
            _ => return unrecognized(inner),
        }
    }
    verb.width = number(&mut at).unwrap_or(0).min(MAX_WIDTH);
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        let from = at;
        verb.precision = number(&mut at).map(|precision| precision.min(MAX_WIDTH));
        if from == at {
            // A bare point says nothing of a text and nought of a number.
            verb.precision = None;
        }
    }
    match pattern[at..].chars().next() {
        Some(letter) if letter.is_ascii_alphabetic() => {
            verb.letter = letter;
            verb.raw = pattern[start..=at].to_owned();
            Ok(verb)
        }
        _ => unrecognized(at),
    }
}

fn quoted_char(c: char) -> String {
    match c {
        '\'' => "'\\''".to_owned(),
        c => format!("'{}'", c.escape_debug()),
    }
}

impl Verb {
    fn write(&self, value: &Value, out: &mut String) -> Result<(), Mistake> {
        if !matches!(
            self.letter,
            'v' | 't' | 'b' | 'd' | 'o' | 'x' | 'X' | 'e' | 'E' | 'f' | 'g' | 'G' | 's' | 'q'
        ) {
            return wrong(format!(
                "unsupported format verb {} in {:?} at offset {}",
                quoted_char(self.letter),
                self.raw,
                self.at
            ));
        }
        if *value == Value::Null && self.letter != 'v' {
            return self.unsupported("null value cannot be formatted");
        }
        let as_type = |wanted: Type| {
            types::convert(value.clone(), &wanted).or_else(|why| self.unsupported(&why))
        };
        match self.letter {
            'v' => self.plain(value, out),
            't' => {
                let known = as_type(Type::Bool)?.to_bool();
                out.push_str(if known == Some(true) { "true" } else { "false" });
                Ok(())
            }
            's' | 'q' => {
                let text = as_type(Type::String)?.to_text().unwrap_or_default();
                let text = match self.precision {
                    Some(count) => text.graphemes(true).take(count).collect(),
                    None => text,
                };
                let text = if self.letter == 'q' {
                    json(&Value::String(text), false)
                } else {
                    text
                };
                self.padded(&text, out);
                Ok(())
            }
            _ => {
                let number = as_type(Type::Number)?.to_number().unwrap_or(Number::Int(0));
                self.number(&number, out)
            }
        }
    }

    fn unsupported<T>(&self, why: &str) -> Result<T, Mistake> {
        wrong(format!(
            "unsupported value for {:?} at {}: {why}",
            self.raw, self.at
        ))
    }

    /// Whatever it is, as it would be expected.
    fn plain(&self, value: &Value, out: &mut String) -> Result<(), Mistake> {
        let text = match value {
            Value::String(text) if !self.sharp => text.clone(),
            Value::Number(number) if !self.sharp => number.general(None),
            other => json(other, true),
        };
        if matches!(value, Value::Bool(_)) {
            out.push_str(&text);
        } else {
            self.padded(&text, out);
        }
        Ok(())
    }

    fn number(&self, number: &Number, out: &mut String) -> Result<(), Mistake> {
        let negative = number.compare(&Number::Int(0)).is_lt();
        let size = number.absolute();
        let digits = match self.letter {
            'b' | 'd' | 'o' | 'x' | 'X' => {
                if !number.is_whole() {
                    return self.unsupported("an integer is required");
                }
                let digits = match (&size, self.letter) {
                    (Number::Int(size), 'b') => format!("{size:b}"),
                    (Number::Int(size), 'o') => format!("{size:o}"),
                    (Number::Int(size), 'x') => format!("{size:x}"),
                    (Number::Int(size), 'X') => format!("{size:X}"),
                    (_, 'd') => size.to_string(),
                    _ => return self.unsupported("an integer of 127 bits is required"),
                };
                match self.precision {
                    Some(0) if size == Number::Int(0) => String::new(),
                    Some(least) => format!("{digits:0>least$}"),
                    None => digits,
                }
            }
            'f' => size.fixed(self.precision.unwrap_or(6)),
            'e' | 'E' => size.scientific(Some(self.precision.unwrap_or(6))),
            _ => size.general(self.precision),
        };
        let digits = if matches!(self.letter, 'E' | 'G') {
            digits.to_uppercase()
        } else {
            digits
        };
        let prefix = match self.letter {
            'b' if self.sharp => "0b",
            'o' if self.sharp => "0",
            'x' if self.sharp => "0x",
            'X' if self.sharp => "0X",
            _ => "",
        };
        let sign = match (negative, self.plus, self.space) {
            (true, _, _) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            _ => "",
        };
        let whole_kind = matches!(self.letter, 'b' | 'd' | 'o' | 'x' | 'X');
        let zero = self.zero && !self.minus && !(whole_kind && self.precision.is_some());
        let missing = self
            .width
            .saturating_sub(sign.len() + prefix.len() + digits.len());
        let (before, within, after) = match (self.minus, zero) {
            (true, _) => (0, 0, missing),
            (false, true) => (0, missing, 0),
            (false, false) => (missing, 0, 0),
        };
        out.extend(std::iter::repeat_n(' ', before));
        out.push_str(sign);
        out.push_str(prefix);
        out.extend(std::iter::repeat_n('0', within));
        out.push_str(&digits);
        out.extend(std::iter::repeat_n(' ', after));
        Ok(())
    }

    fn padded(&self, text: &str, out: &mut String) {
        let missing = self.width.saturating_sub(text.graphemes(true).count());
        let pad = if self.zero { '0' } else { ' ' };
        if !self.minus {
            out.extend(std::iter::repeat_n(pad, missing));
        }
        out.push_str(text);
        if self.minus {
            out.extend(std::iter::repeat_n(pad, missing));
        }
    }
}
