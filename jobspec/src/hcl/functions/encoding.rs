//! Encodings: base64, CSV, JSON, YAML, URLs.

use std::{collections::BTreeMap, fmt::Write as _};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use super::{
    Arguments, Function, Kind, Outcome, bounded, failed, function, parameter, parseable, text,
};
use crate::value::{Value, json};

pub(super) const FUNCTIONS: &[Function] = &[
    function("base64decode", &[text("str")], |a| {
        let text = a.text(0)?;
        let packed: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
        let bytes = BASE64_STANDARD
            .decode(packed)
            .map_err(|_| failed(format!("failed to decode base64 data '{text}'")))?;
        String::from_utf8(bytes)
            .map(Value::String)
            .map_err(|_| failed("the result of decoding the provided string is not valid UTF-8"))
    }),
    function("base64encode", &[text("str")], |a| {
        Ok(Value::String(BASE64_STANDARD.encode(a.text(0)?)))
    }),
    function("csvdecode", &[text("str")], csv),
    function("jsondecode", &[text("str")], |a| {
        let text = a.text(0)?;
        parseable(text)?;
        let json: serde_json::Value =
            serde_json::from_str(text).map_err(|error| failed(error.to_string()))?;
        Ok(Value::from_json(&json))
    }),
    function("jsonencode", &[parameter("val", Kind::Nullable)], |a| {
        Ok(Value::String(json(&a.list[0], true)))
    }),
    function("urlencode", &[text("str")], |a| {
        /// What a query may hold as it is.
        const KEPT: &AsciiSet = &NON_ALPHANUMERIC
            .remove(b'-')
            .remove(b'_')
            .remove(b'.')
            .remove(b'~')
            .remove(b' ');
        let encoded = percent_encoding::utf8_percent_encode(a.text(0)?, KEPT).to_string();
        Ok(Value::String(encoded.replace(' ', "+")))
    }),
    function("yamldecode", &[text("src")], |a| {
        let text = a.text(0)?;
        parseable(text)?;
        crate::yaml::decode(text).map_err(failed)
    }),
    function("yamlencode", &[parameter("value", Kind::Nullable)], |a| {
        let mut out = String::new();
        yaml(&a.list[0], 0, &mut out);
        if matches!(a.list[0], Value::Null | Value::Bool(_) | Value::Number(_)) {
            // A bare scalar says where it ends.
            out.push_str("...\n");
        }
        Ok(Value::String(out))
    }),
];

/// A list of objects by the names in the first line.
fn csv(a: &Arguments<'_>) -> Outcome {
    let text = a.text(0)?;
    parseable(text)?;
    let wrong =
        |(line, why): (usize, &str)| failed(format!("CSV parse error on line {line}: {why}"));
    let mut rows = csv_rows(text).map_err(wrong)?.into_iter();
    let (_, names) = rows.next().ok_or_else(|| failed("missing header line"))?;
    let mut known = std::collections::HashSet::new();
    if let Some(twice) = names.iter().find(|name| !known.insert(*name)) {
        return Err(failed(format!("duplicate column name {twice:?}")));
    }
    // Each row carries the names.
    bounded(rows.len(), names.iter().map(|name| name.len() + 64).sum())?;
    let mut list = Vec::new();
    for (line, row) in rows {
        if row.len() != names.len() {
            return Err(wrong((line, "wrong number of fields")));
        }
        let values = row.into_iter().map(Value::String);
        let object: BTreeMap<String, Value> = names.iter().cloned().zip(values).collect();
        list.push(Value::Map(object));
    }
    Ok(Value::List(list))
}

type Row = (usize, Vec<String>);

/// The rows and the lines they begin in, empty lines left out.
fn csv_rows(text: &str) -> Result<Vec<Row>, (usize, &'static str)> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut was_quoted = false;
    let (mut line, mut begun) = (1, 1);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\n' {
            line += 1;
        }
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if quoted => {
                quoted = false;
                if !matches!(chars.peek(), None | Some(',' | '\n' | '\r')) {
                    return Err((line, "extraneous or missing \" in quoted-field"));
                }
            }
            '"' if field.is_empty() && !was_quoted => {
                quoted = true;
                was_quoted = true;
            }
            '"' => return Err((line, "bare \" in non-quoted-field")),
            ',' if !quoted => {
                row.push(std::mem::take(&mut field));
                was_quoted = false;
            }
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                if !row.is_empty() || !field.is_empty() || was_quoted {
                    row.push(std::mem::take(&mut field));
                    rows.push((begun, std::mem::take(&mut row)));
                }
                was_quoted = false;
                begun = line;
            }
            c => field.push(c),
        }
    }
    if quoted {
        return Err((line, "extraneous or missing \" in quoted-field"));
    }
    if !row.is_empty() || !field.is_empty() || was_quoted {
        row.push(field);
        rows.push((begun, row));
    }
    Ok(rows)
}

/// In the style of the reference: every text in double quotes, lists not indented.
fn yaml(value: &Value, indent: usize, out: &mut String) {
    let pad = |out: &mut String| out.extend(std::iter::repeat_n(' ', indent));
    match value {
        Value::Map(map) if !map.is_empty() => {
            for (index, (key, value)) in map.iter().enumerate() {
                if index > 0 {
                    pad(out);
                }
                yaml_quoted(key, out);
                out.push(':');
                match value {
                    Value::Map(map) if !map.is_empty() => {
                        out.push('\n');
                        out.extend(std::iter::repeat_n(' ', indent + 2));
                        yaml(value, indent + 2, out);
                    }
                    Value::List(list) if !list.is_empty() => {
                        out.push('\n');
                        pad(out);
                        yaml(value, indent, out);
                    }
                    other => {
                        out.push(' ');
                        yaml(other, indent, out);
                    }
                }
            }
        }
        Value::List(list) if !list.is_empty() => {
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    pad(out);
                }
                out.push_str("- ");
                yaml(value, indent + 2, out);
            }
        }
        Value::String(text) => yaml_text(text, indent, out),
        other => {
            out.push_str(&json(other, false));
            out.push('\n');
        }
    }
}

/// A text in double quotes, or line by line where it has several.
fn yaml_text(text: &str, indent: usize, out: &mut String) {
    let printable = |c: char| c == '\n' || (!c.is_control() && c != '\u{feff}');
    let in_lines = text.contains('\n')
        && text.chars().all(printable)
        && !text.contains(" \n")
        && !text.ends_with(' ');
    if !in_lines {
        yaml_quoted(text, out);
        out.push('\n');
        return;
    }
    // An empty line first, or a leading space, would hide how far the text is indented.
    let width = if text.starts_with(['\n', ' ']) {
        "2"
    } else {
        ""
    };
    let end = if !text.ends_with('\n') {
        "-"
    } else if text == "\n" || text.ends_with("\n\n") {
        "+"
    } else {
        ""
    };
    let _ = writeln!(out, "|{width}{end}");
    let pad = indent.max(2);
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', pad));
            out.push_str(line);
        }
        out.push('\n');
    }
}

fn yaml_quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{a0}' => out.push_str("\\_"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            '\u{feff}' => out.push_str("\\uFEFF"),
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
