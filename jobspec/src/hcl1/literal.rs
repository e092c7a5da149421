//! What numbers, quoted texts and heredocs of HCL1 stand for.

use super::marks::{Marks, Why};
use crate::{diagnostics::Diagnostic, value::Number};

/// `12`, `-1.5`, `1e3`, `0x1f`; a leading zero means octal. The error is a sentence.
pub(super) fn number(text: &str) -> Result<Number, String> {
    let shown: String = text.chars().take(40).collect();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let whole = |digits: &str, radix: u32| {
        if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
            return Err(format!("{shown:?} is no number."));
        }
        let value = i128::from_str_radix(digits, radix).ok();
        let value = value.map(|value| if negative { -value } else { value });
        match value.and_then(|value| i64::try_from(value).ok()) {
            Some(value) => Ok(Number::Int(value.into())),
            None => Err(format!("{shown} does not fit into 64 bits.")),
        }
    };
    if let Some(hex) = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        return whole(hex, 16);
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        if digits.len() > 1 && digits.starts_with('0') {
            if digits.contains(['8', '9']) {
                return Err(format!(
                    "{shown} begins with 0 and so is octal: its digits are 0 to 7."
                ));
            }
            return whole(digits, 8);
        }
        return whole(digits, 10);
    }
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
    if !digits.chars().all(plain) {
        return Err(format!("{shown:?} is no number."));
    }
    let value: Option<f64> = text.parse().ok();
    match value.and_then(Number::from_f64) {
        Some(number) => Ok(number),
        None if value.is_some() => Err(format!("{shown} is too large for a number.")),
        None => Err(format!("{shown:?} is no number.")),
    }
}

/// A quoted text without its quotes: escapes are read, `${…}` stays as it is. `start` is where it begins in the file.
pub(super) fn unquote(
    raw: &str,
    start: usize,
    marks: &mut Marks,
) -> Result<String, Box<Diagnostic>> {
    if !raw.contains('\\') {
        return Ok(raw.to_owned());
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(c) = rest.chars().next() {
        let at = raw.len() - rest.len();
        if rest.starts_with("${") {
            let end = interpolation_end(rest);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else if c == '\\' {
            let (read, length) = escape(&rest[1..]).ok_or_else(|| {
                let shown: String = rest.chars().take(2).collect();
                Box::new(
                    Diagnostic::error(
                        "Invalid escape",
                        format!("{shown} is no escape in a text."),
                        Some(start + at..start + at + shown.len()),
                    )
                    .hint("a backslash itself is written \\\\"),
                )
            })?;
            let known = rest[1..].starts_with(['n', 'r', 't', '"', '\\', 'u', 'U']);
            if !known {
                marks.note(Why::Escape, start + at..start + at + 1 + length);
            }
            out.push(read);
            rest = &rest[1 + length..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    Ok(out)
}

/// Where the `${…}` that the text begins with ends.
pub(super) fn interpolation_end(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// What follows a backslash: the character and how long it is written.
fn escape(text: &str) -> Option<(char, usize)> {
    let digits = |from: usize, count: usize, radix: u32| {
        let digits = text.get(from..from + count)?;
        if !digits.chars().all(|c| c.is_digit(radix)) {
            return None;
        }
        let code = u32::from_str_radix(digits, radix).ok()?;
        Some((char::from_u32(code)?, from + count))
    };
    let byte = |read: Option<(char, usize)>| read.filter(|(c, _)| u32::from(*c) < 0x80);
    Some(match text.chars().next()? {
        'a' => ('\u{07}', 1),
        'b' => ('\u{08}', 1),
        'f' => ('\u{0c}', 1),
        'n' => ('\n', 1),
        'r' => ('\r', 1),
        't' => ('\t', 1),
        'v' => ('\u{0b}', 1),
        '\\' => ('\\', 1),
        '"' => ('"', 1),
        '0'..='7' => byte(digits(0, 3, 8))?,
        'x' => byte(digits(1, 2, 16))?,
        'u' => digits(1, 4, 16)?,
        'U' => digits(1, 8, 16)?,
        _ => return None,
    })
}

/// The text of a heredoc, from behind the line that opens it to the name that ends it, the blanks before the name
/// included. Only `<<-` takes them away, from every line, if every line has them.
pub(super) fn heredoc(raw: &str, dash: bool) -> String {
    if !dash {
        return raw.to_owned();
    }
    let indent = &raw[raw.rfind('\n').map_or(0, |end| end + 1)..];
    let lines = || raw.split('\n');
    if !lines().all(|line| line.starts_with(indent)) {
        return raw.trim_end_matches([' ', '\t']).to_owned();
    }
    let lines: Vec<&str> = lines().map(|line| &line[indent.len()..]).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_octal_hex_or_floats() {
        for (text, expected) in [
            ("0", Some(Number::Int(0))),
            ("12", Some(Number::Int(12))),
            ("-12", Some(Number::Int(-12))),
            ("0644", Some(Number::Int(420))),
            ("-010", Some(Number::Int(-8))),
            ("0x1F", Some(Number::Int(31))),
            ("-0xff", Some(Number::Int(-255))),
            ("1.5", Number::from_f64(1.5)),
            ("-0.25", Number::from_f64(-0.25)),
            (".5", Number::from_f64(0.5)),
            ("1e3", Some(Number::Int(1000))),
            ("1.5E+2", Some(Number::Int(150))),
            ("25e-1", Number::from_f64(2.5)),
            ("9223372036854775807", Some(Number::Int(i64::MAX.into()))),
            ("-9223372036854775808", Some(Number::Int(i64::MIN.into()))),
            ("9223372036854775808", None),
            ("0xffffffffffffffffffffffffffffffffffffffff", None),
            ("1e999", None),
            ("089", None),
            ("0x", None),
            ("0xg", None),
            ("12m", None),
            ("1_000", None),
            ("1.2.3", None),
            ("1e", None),
        ] {
            assert_eq!(number(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn escapes_are_read_outside_of_interpolations_only() {
        for (raw, expected) in [
            (r"a\nb\t\\", Some("a\nb\t\\")),
            (r#"say \"hi\""#, Some("say \"hi\"")),
            (r"\x41\101\u00e9\U0001F600", Some("AA\u{e9}\u{1f600}")),
            (r"\a\b\f\v\r", Some("\u{7}\u{8}\u{c}\u{b}\r")),
            (r#"\t${env["\n"]}\t"#, Some("\t${env[\"\\n\"]}\t")),
            (r"${a{b}\n}\n", Some("${a{b}\\n}\n")),
            (r"\d", None),
            (r"\x4", None),
            (r"\ud800", None),
            (r"\18", None),
            (r"\é", None),
        ] {
            let read = unquote(raw, 0, &mut Marks::default()).ok();
            assert_eq!(read.as_deref(), expected, "{raw}");
        }
    }

    #[test]
    fn heredocs_keep_their_indentation_unless_a_dash_and_every_line_say_otherwise() {
        for (what, raw, dash, expected) in [
            ("plain", "  a\n b\n", false, "  a\n b\n"),
            ("indented end", "  a\n  ", false, "  a\n  "),
            ("dash", "    a\n      b\n    ", true, "a\n  b\n"),
            ("dash, less", "  a\n    b\n    ", true, "  a\n    b\n"),
            ("dash, empty line", "  a\n\n  b\n  ", true, "  a\n\n  b\n"),
            ("dash, end not indented", "  a\n", true, "  a\n"),
            ("tabs", "\ta\n\t", true, "a\n"),
            ("nothing", "", true, ""),
            ("only the end", "  ", true, ""),
        ] {
            assert_eq!(heredoc(raw, dash), expected, "{what}");
        }
    }
}
