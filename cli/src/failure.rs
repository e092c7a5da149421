//! How a command ends when it can't do what was asked.

/// What is written on standard error, and the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The text; empty when everything has been said already.
    pub message: String,
    /// The exit code.
    pub code: u8,
    /// A line that points to the command's help follows.
    pub usage: bool,
}

/// The exit code of a command, or why it failed.
pub type Outcome = Result<u8, Failure>;

impl Failure {
    /// Exit code 1 with a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: 1,
            usage: false,
        }
    }

    /// The command was not called as it wants to be.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: 1,
            usage: true,
        }
    }

    /// Exit code 1, everything has been said.
    pub fn silent() -> Self {
        Self::new("")
    }

    /// The same failure with another exit code.
    pub fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }
}

/// The words of a system error, without its number.
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => text.to_owned(),
    }
}
