//! How an error is shown with what caused it.

use std::error::Error;

/// The error's message and those of its causes, on one line. A cause that the message ends with already is not
/// repeated: some messages hold their source's.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    #[test]
    fn every_cause_is_named_once() {
        for (texts, shown) in [
            (&["it failed"][..], "it failed"),
            (
                &["it failed", "the disk is full"],
                "it failed: the disk is full",
            ),
            (&["a", "b", "c"], "a: b: c"),
            (
                &["it failed: no such file", "no such file"],
                "it failed: no such file",
            ),
            (&["a", "b: c", "c", "d"], "a: b: c: d"),
        ] {
            let links = texts
                .iter()
                .rev()
                .fold(None, |source, &text| Some(Box::new(Link { text, source })));
            let shown_is = links.map(|link| with_causes(&*link));
            assert_eq!(shown_is.as_deref(), Some(shown));
        }
    }
}
