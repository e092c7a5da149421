//! Values as Go prints them.

use serde_json::Value;

use crate::render::quote::quoted;

/// As `{{.}}` and `%v` print it.
pub fn show(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        other => nested(other),
    }
}

fn nested(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(nested).collect::<Vec<_>>().join(" ")
        ),
        Value::Object(map) => {
            let mut pairs: Vec<String> = map
                .iter()
                .map(|(k, v)| format!("{k}:{}", nested(v)))
                .collect();
            pairs.sort();
            format!("map[{}]", pairs.join(" "))
        }
    }
}

/// Go's `printf` for the verbs that fit JSON: `%s %v %d %q %t %f %g %x %%`, with width, precision, `-` and `0`.
pub fn printf(format: &str, args: &[Value]) -> String {
    let mut out = String::new();
    let mut args = args.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let (mut left, mut zero, mut plus) = (false, false, false);
        while let Some(flag) = chars.next_if(|c| matches!(c, '-' | '0' | '+' | ' ' | '#')) {
            match flag {
                '-' => left = true,
                '0' => zero = true,
                '+' => plus = true,
                _ => {}
            }
        }
        let digits = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut number = None::<usize>;
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                let next = number.unwrap_or(0) * 10 + digit.to_digit(10).unwrap_or(0) as usize;
                // No terminal is wider, and no number more precise.
                number = Some(next.min(1_000));
            }
            number
        };
        let width = digits(&mut chars).unwrap_or(0);
        let precision = if chars.next_if_eq(&'.').is_some() {
            Some(digits(&mut chars).unwrap_or(0))
        } else {
            None
        };
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(value) = args.next() else {
            out.push_str(&format!("%!{verb}(MISSING)"));
            continue;
        };
        let mut text = verbed(verb, value, precision);
        if plus && value.as_f64().is_some_and(|n| n >= 0.0) {
            text.insert(0, '+');
        }
        let missing = width.saturating_sub(text.chars().count());
        if left {
            out.push_str(&text);
            out.extend(std::iter::repeat_n(' ', missing));
        } else {
            let (sign, rest) = if zero && text.starts_with(['-', '+']) {
                text.split_at(1)
            } else {
                ("", text.as_str())
            };
            out.push_str(sign);
            out.extend(std::iter::repeat_n(if zero { '0' } else { ' ' }, missing));
            out.push_str(rest);
        }
    }
    let rest: Vec<String> = args.map(show).collect();
    if !rest.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", rest.join(", ")));
    }
    out
}

fn verbed(verb: char, value: &Value, precision: Option<usize>) -> String {
    let bad = || format!("%!{verb}({})", nested(value));
    match (verb, value) {
        ('v', _) => nested(value),
        ('s', Value::String(text)) => match precision {
            Some(length) => text.chars().take(length).collect(),
            None => text.clone(),
        },
        ('s', Value::Array(_) | Value::Object(_)) => nested(value),
        ('q', Value::String(text)) => quoted(text),
        ('t', Value::Bool(b)) => b.to_string(),
        ('d', Value::Number(n)) if n.is_i64() || n.is_u64() => n.to_string(),
        ('x', Value::Number(n)) if n.is_u64() => format!("{:x}", n.as_u64().unwrap_or(0)),
        ('x', Value::String(text)) => text.bytes().map(|b| format!("{b:02x}")).collect(),
        ('f', Value::Number(n)) => match n.as_f64() {
            Some(number) => format!("{number:.*}", precision.unwrap_or(6)),
            None => bad(),
        },
        ('g', Value::Number(n)) => n.to_string(),
        _ => bad(),
    }
}
