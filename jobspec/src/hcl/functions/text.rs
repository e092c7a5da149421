//! Functions on texts. A character is what a reader sees as one: a grapheme cluster.

use unicode_segmentation::UnicodeSegmentation as _;

use super::{
    Arguments, Function, FunctionError, Kind, Outcome, bad, bounded, failed, function, number,
    parameter, parseable, size, text, variadic,
};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function("chomp", &[text("str")], |a| {
        Ok(Value::text(a.text(0)?.trim_end_matches(['\n', '\r'])))
    }),
    function("indent", &[number("spaces"), text("str")], |a| {
        let spaces = usize::try_from(a.whole(0)?)
            .map_err(|_| bad(0, "the number of spaces must not be negative"))?;
        let text = a.text(1)?;
        bounded(text.matches('\n').count().max(1), spaces.saturating_add(1))?;
        let pad = format!("\n{}", " ".repeat(spaces));
        Ok(Value::text(text.replace('\n', &pad)))
    }),
    variadic(
        "join",
        &[text("separator")],
        parameter("lists", Kind::Texts),
        join,
    ),
    function("lower", &[text("str")], |a| {
        Ok(Value::String(a.text(0)?.chars().map(lower).collect()))
    }),
    function("regex", &[text("pattern"), text("string")], |a| {
        let (pattern, text) = (compiled(a, 0, Some(0))?, a.text(1)?);
        match pattern.captures(text) {
            Some(found) => captured(&pattern, &found),
            None => Err(failed("pattern did not match any part of the given string")),
        }
    }),
    function("regexall", &[text("pattern"), text("string")], |a| {
        let (pattern, text) = (compiled(a, 0, Some(0))?, a.text(1)?);
        parseable(text)?;
        let all = pattern.captures_iter(text);
        let all = all.map(|found| captured(&pattern, &found));
        Ok(Value::List(all.collect::<Result<_, _>>()?))
    }),
    function(
        "regex_replace",
        &[text("str"), text("pattern"), text("replace")],
        |a| {
            let (text, by) = (a.text(0)?, a.text(2)?);
            let pattern = compiled(a, 1, None)?;
            // `$0` may stand for the whole text.
            bounded(by.matches('$').count(), text.len())?;
            bounded(pattern.find_iter(text).count(), by.len())?;
            Ok(Value::text(pattern.replace_all(text, by)))
        },
    ),
    function(
        "replace",
        &[text("str"), text("substr"), text("replace")],
        |a| {
            let (text, from, to) = (a.text(0)?, a.text(1)?, a.text(2)?);
            bounded(text.matches(from).count(), to.len())?;
            Ok(Value::String(text.replace(from, to)))
        },
    ),
    function("split", &[text("separator"), text("str")], |a| {
        let (separator, text) = (a.text(0)?, a.text(1)?);
        parseable(text)?;
        let parts: Vec<Value> = if separator.is_empty() {
            text.chars().map(|c| Value::text(c.to_string())).collect()
        } else {
            text.split(separator).map(Value::text).collect()
        };
        Ok(Value::List(parts))
    }),
    function("strlen", &[text("str")], |a| {
        Ok(size(a.text(0)?.graphemes(true).count()))
    }),
    function("strrev", &[text("str")], |a| {
        Ok(Value::String(a.text(0)?.graphemes(true).rev().collect()))
    }),
    function(
        "substr",
        &[text("str"), number("offset"), number("length")],
        sub_text,
    ),
    function("title", &[text("str")], |a| {
        let mut at_start = true;
        let titled = a.text(0)?.chars().map(|c| {
            if std::mem::replace(&mut at_start, is_separator(c)) {
                upper(c)
            } else {
                c
            }
        });
        Ok(Value::String(titled.collect()))
    }),
    function("trim", &[text("str"), text("cutset")], |a| {
        let cut = a.text(1)?;
        Ok(Value::text(a.text(0)?.trim_matches(|c| cut.contains(c))))
    }),
    function("trimprefix", &[text("str"), text("prefix")], |a| {
        let (text, prefix) = (a.text(0)?, a.text(1)?);
        Ok(Value::text(text.strip_prefix(prefix).unwrap_or(text)))
    }),
    function("trimspace", &[text("str")], |a| {
        Ok(Value::text(a.text(0)?.trim()))
    }),
    function("trimsuffix", &[text("str"), text("suffix")], |a| {
        let (text, suffix) = (a.text(0)?, a.text(1)?);
        Ok(Value::text(text.strip_suffix(suffix).unwrap_or(text)))
    }),
    function("upper", &[text("str")], |a| {
        Ok(Value::String(a.text(0)?.chars().map(upper).collect()))
    }),
];

/// The capital of a letter, where that is one letter.
fn upper(c: char) -> char {
    let mut capitals = c.to_uppercase();
    match (capitals.next(), capitals.next()) {
        (Some(capital), None) => capital,
        _ => c,
    }
}

fn lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// Whether a word begins after it.
fn is_separator(c: char) -> bool {
    if c.is_ascii() {
        !c.is_ascii_alphanumeric() && c != '_'
    } else {
        c.is_whitespace()
    }
}

fn join(a: &Arguments<'_>) -> Outcome {
    if a.list.len() == 1 {
        return Err(failed("at least one list is required"));
    }
    let mut all: Vec<&str> = Vec::new();
    for index in 1..a.list.len() {
        for (element, value) in a.list(index)?.iter().enumerate() {
            match value {
                Value::String(text) => all.push(text),
                _ => {
                    return Err(bad(
                        index,
                        format!("element {element} is null; cannot concatenate null values"),
                    ));
                }
            }
        }
    }
    let separator = a.text(0)?;
    bounded(all.len(), separator.len())?;
    Ok(Value::String(all.join(separator)))
}

fn sub_text(a: &Arguments<'_>) -> Outcome {
    let text = a.text(0)?;
    let (offset, length) = (a.whole(1)?, a.whole(2)?);
    let offset = if offset < 0 {
        let all = i64::try_from(text.graphemes(true).count()).unwrap_or(i64::MAX);
        all.saturating_add(offset).max(0)
    } else {
        offset
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let part = text
        .graphemes(true)
        .skip(usize::try_from(offset).unwrap_or(usize::MAX))
        .take(length);
    Ok(Value::String(part.collect()))
}

/// What a pattern found: its text without groups, a list of them, or an object of named ones.
fn captured(pattern: &regex::Regex, found: &regex::Captures<'_>) -> Outcome {
    let value = |part: Option<regex::Match<'_>>| {
        part.map_or(Value::Null, |part| Value::text(part.as_str()))
    };
    if pattern.captures_len() == 1 {
        return Ok(value(found.get(0)));
    }
    let names: Vec<_> = pattern.capture_names().skip(1).collect();
    if names.iter().all(Option::is_none) {
        return Ok(Value::List(found.iter().skip(1).map(value).collect()));
    }
    let named = names.iter().map(|name| {
        let name = (*name).ok_or_else(|| {
            bad(
                0,
                "invalid regexp pattern: cannot mix both named and unnamed capture groups",
            )
        })?;
        Ok((name.to_owned(), value(found.name(name))))
    });
    Ok(Value::Map(named.collect::<Result<_, _>>()?))
}

fn compiled(
    a: &Arguments<'_>,
    index: usize,
    blamed: Option<usize>,
) -> Result<regex::Regex, FunctionError> {
    /// The memory that a pattern may take, in bytes.
    const MAX_PATTERN: usize = 1 << 20;
    let pattern = ascii_classes(a.text(index)?);
    let built = regex::RegexBuilder::new(&pattern)
        .size_limit(MAX_PATTERN)
        .dfa_size_limit(MAX_PATTERN)
        .nest_limit(100)
        .build();
    built.map_err(|error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default().trim();
        let why = last.strip_prefix("error: ").unwrap_or(last);
        FunctionError::Failed {
            argument: blamed,
            message: format!("error parsing regexp: {why}"),
        }
    })
}

/// The pattern in the dialect of the library underneath: `\d`, `\w`, `\s` and `\b` mean ASCII, a bracket or a doubled
/// sign in a class is itself, `\Q…\E` is literal.
fn ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut in_class = false;
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some('d') => out.push_str("[0-9]"),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str("[0-9A-Za-z_]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('s') => out.push_str("[\\t\\n\\f\\r ]"),
                Some('S') => out.push_str("[^\\t\\n\\f\\r ]"),
                Some('b') if !in_class => out.push_str("(?-u:\\b)"),
                Some('B') if !in_class => out.push_str("\\B"),
                Some('Q') if !in_class => {
                    let mut literal = String::new();
                    while let Some(c) = rest.next() {
                        if c == '\\' && rest.next_if_eq(&'E').is_some() {
                            break;
                        }
                        literal.push(c);
                    }
                    out.push_str(&regex::escape(&literal));
                }
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if rest.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                if rest.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            '[' if rest.peek() == Some(&':') => {
                out.push('[');
                for c in rest.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            '[' => out.push_str("\\["),
            ']' => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => out.extend(['\\', c]),
            '-' if in_class && rest.peek() == Some(&'-') => out.push_str("\\-"),
            c => out.push(c),
        }
    }
    out
}
