//! Names and values that messages repeat: whoever wrote them decides how long they are, and a message has its limits.

use std::borrow::Cow;

/// The most characters that a message repeats.
const LONGEST: usize = 100;

/// The text, or its beginning with `…` behind it.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

/// The text in quotes, on one line, shortened.
pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        for (text, expected) in [
            ("", String::new()),
            ("web", "web".to_owned()),
            (&"ü".repeat(100), "ü".repeat(100)),
            (&"ü".repeat(101), format!("{}…", "ü".repeat(100))),
        ] {
            assert_eq!(shortened(text), expected);
        }
        assert_eq!(quoted("a\nb"), "\"a\\nb\"");
    }
}
