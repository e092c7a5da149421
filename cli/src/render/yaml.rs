//! JSON values as YAML, such as `apply` takes it back. Strings that YAML could take for something else are quoted as
//! JSON writes them, which every YAML reader understands.

use serde_json::Value;

/// The text, with a final line end.
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => object(&mut out, map, 0, false),
        Value::Array(items) if !items.is_empty() => array(&mut out, items, 0),
        other => {
            out.push_str(&scalar(other));
            out.push('\n');
        }
    }
    out
}

fn object(
    out: &mut String,
    map: &serde_json::Map<String, Value>,
    indent: usize,
    inline_first: bool,
) {
    for (index, (key, value)) in map.iter().enumerate() {
        if !(inline_first && index == 0) {
            out.extend(std::iter::repeat_n(' ', indent));
        }
        out.push_str(&plain_or_quoted(key));
        out.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                object(out, inner, indent + 2, false);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                array(out, items, indent);
            }
            Value::String(text) if is_block(text) => block(out, text, indent + 2),
            other => {
                out.push(' ');
                out.push_str(&scalar(other));
                out.push('\n');
            }
        }
    }
}

fn array(out: &mut String, items: &[Value], indent: usize) {
    for item in items {
        out.extend(std::iter::repeat_n(' ', indent));
        out.push_str("- ");
        match item {
            Value::Object(inner) if !inner.is_empty() => object(out, inner, indent + 2, true),
            other => {
                out.push_str(&scalar(other));
                out.push('\n');
            }
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => plain_or_quoted(text),
        // JSON is YAML: what is nested in a list without a key, empty, a number or a truth value.
        other => other.to_string(),
    }
}

fn plain_or_quoted(text: &str) -> String {
    if is_plain(text) {
        text.to_owned()
    } else {
        Value::String(text.to_owned()).to_string()
    }
}

fn is_plain(text: &str) -> bool {
    let mut chars = text.chars();
    let Some(first) = chars.next() else {
        return false;
    };
    let word = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    // The first letter decides whether YAML reads a number, a date, a mark of its own or a word.
    if !(first.is_ascii_alphabetic() || first == '/') || !chars.all(word) {
        return false;
    }
    let lower = text.to_ascii_lowercase();
    !matches!(
        lower.as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "null" | "nan" | "inf"
    )
}

fn is_block(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with([' ', '\n'])
        && text
            .chars()
            .all(|c| c == '\n' || c == '\t' || !c.is_control())
        && text.lines().all(|l| !l.trim().is_empty() || l.is_empty())
}

fn block(out: &mut String, text: &str, indent: usize) {
    let body = text.trim_end_matches('\n');
    let ends = text.len() - body.len();
    out.push_str(match ends {
        0 => " |-\n",
        1 => " |\n",
        _ => " |+\n",
    });
    for line in body.split('\n') {
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(line);
        }
        out.push('\n');
    }
    for _ in 1..ends {
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_plain_and_everything_doubtful_is_quoted() {
        let value = serde_json::json!({
            "a": "word", "b": "true", "c": "12", "d": "", "e": "x: y", "f": 1.5, "g": null, "h": [], "i": {},
            "j": ["one", {"k": 1, "l": ["- m"]}], "n": "line one\nline two\n", "o": "no end\n\n  x",
            "p": "~", "q q": "0x10", "r": " lead", "s": "1e3",
        });
        let yaml = text(&value);
        let expected = "a: word\nb: \"true\"\nc: \"12\"\nd: \"\"\ne: \"x: y\"\nf: 1.5\ng: null\nh: []\ni: {}\nj:\n- one\n- k: 1\n  l:\n  - \"- m\"\n\"n\": |\n  line one\n  line two\no: |-\n  no end\n\n    x\np: \"~\"\n\"q q\": \"0x10\"\nr: \" lead\"\ns: \"1e3\"\n";
        assert_eq!(yaml, expected);
    }
}
