//! JSON text to nodes with places.
//!
//! Only for a text that has been read as JSON before, so syntax and depth are known to be sound: what is not understood
//! here becomes null instead of a mistake.

use crate::{
    node::{Content, Node},
    source::Span,
    value::Value,
};

/// The node of a sound JSON text.
pub(super) fn node(text: &str) -> Node {
    Reader { text, at: 0 }.node()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace());
        self.at += blank.count();
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes over a sign, if it comes next.
    fn takes(&mut self, sign: u8) -> bool {
        let is_next = self.peek() == Some(sign);
        self.at += usize::from(is_next);
        is_next
    }

    fn node(&mut self) -> Node {
        let first = self.peek();
        let start = self.at;
        let content = match first {
            Some(b'{') => self.map(),
            Some(b'[') => self.list(),
            _ => {
                let span = self.scalar_span();
                let value = serde_json::from_str(&self.text[span]).unwrap_or_default();
                Content::Scalar(Value::from_json(&value))
            }
        };
        Node {
            span: start..self.at,
            content,
        }
    }

    fn map(&mut self) -> Content {
        self.at += 1;
        let mut map: Vec<(String, Span, Node)> = Vec::new();
        while !matches!(self.peek(), None | Some(b'}')) {
            let span = self.scalar_span();
            let key = serde_json::from_str(&self.text[span.clone()]).unwrap_or_default();
            self.takes(b':');
            map.push((key, span, self.node()));
            self.takes(b',');
        }
        self.takes(b'}');
        Content::Map(map)
    }

    fn list(&mut self) -> Content {
        self.at += 1;
        let mut list = Vec::new();
        while !matches!(self.peek(), None | Some(b']')) {
            list.push(self.node());
            self.takes(b',');
        }
        self.takes(b']');
        Content::List(list)
    }

    /// Goes over a text, a number or a word; always over something, so that every loop ends.
    fn scalar_span(&mut self) -> Span {
        let start = self.at;
        let bytes = &self.text.as_bytes()[start..];
        let length = if bytes.first() == Some(&b'"') {
            let mut escaped = false;
            let inner = bytes[1..].iter().take_while(|byte| {
                let ends = **byte == b'"' && !escaped;
                escaped = **byte == b'\\' && !escaped;
                !ends
            });
            (inner.count() + 2).min(bytes.len())
        } else {
            bytes
                .iter()
                .take_while(|byte| !byte.is_ascii_whitespace() && !b",:{}[]\"".contains(byte))
                .count()
                .max(1)
        };
        let mut end = (start + length).min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        self.at = end;
        start..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_the_same_values_with_places() {
        let text =
            "{\"a\\\"b\": [1, -2.5e1, true, null], \"é\" : {\"x\":\"\\u00e9\\ud83d\\ude00\"} }";
        let node = node(text);
        let expected: serde_json::Value = serde_json::from_str(text).expect("sound");
        assert_eq!(node.value(), Value::from_json(&expected));
        let Content::Map(map) = &node.content else {
            panic!("a map")
        };
        let shown: Vec<_> = map
            .iter()
            .map(|(_, key, value)| (&text[key.clone()], &text[value.span.clone()]))
            .collect();
        assert_eq!(
            shown,
            [
                ("\"a\\\"b\"", "[1, -2.5e1, true, null]"),
                ("\"é\"", "{\"x\":\"\\u00e9\\ud83d\\ude00\"}")
            ]
        );
    }

    #[test]
    fn a_text_that_is_no_json_ends_all_the_same() {
        for text in [
            "", "{", "[", "{\"", "]", "{]", "[}", "[,", "\"é", "{:1", "é€",
        ] {
            let _ = node(text);
        }
    }
}
