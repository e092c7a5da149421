//! Terminal colours; text is the same with and without them.

/// How a piece of text stands out on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As the rest.
    Plain,
    /// A heading.
    Bold,
    /// Failed, removed.
    Red,
    /// Succeeded, added.
    Green,
    /// A warning, a replacement.
    Yellow,
    /// Moved.
    Blue,
    /// Changed in place.
    Cyan,
}

impl Style {
    /// `text` in this style if `on`.
    pub fn paint(self, text: &str, on: bool) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Bold => "1",
            Self::Red => "31",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Blue => "34",
            Self::Cyan => "36",
        };
        if on && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
