//! Help texts, made from the same tables as the parser.

use std::fmt::Write as _;

use super::{Flag, Kind, flags};

/// How wide help is written.
pub const WIDTH: usize = 79;

/// The help of one command.
pub fn of_command(usage: &str, about: &str, tables: &[&[Flag]]) -> String {
    let (common, own): (Vec<Flag>, Vec<Flag>) = flags(tables).partition(|flag| flag.common);
    of_sections(
        usage,
        about,
        &[
            ("Options", &own),
            ("Options of every command that asks an agent", &common),
        ],
    )
}

/// A help whose flags stand under titles.
pub fn of_sections(usage: &str, about: &str, sections: &[(&str, &[Flag])]) -> String {
    let mut text = format!("Usage: {usage}\n");
    for paragraph in about.split("\n\n") {
        text.push('\n');
        wrap_into(
            &mut text,
            &paragraph.split_whitespace().collect::<Vec<_>>().join(" "),
            2,
        );
    }
    for (title, flags) in sections {
        if !flags.is_empty() {
            text.push_str(&format!("\n{title}:\n"));
        }
        for flag in *flags {
            of_flag(&mut text, flag);
        }
    }
    text.trim_end().to_owned()
}

fn of_flag(text: &mut String, flag: &Flag) {
    text.push_str("\n  ");
    let names = flag
        .aliases
        .iter()
        .chain(std::iter::once(&flag.name))
        .map(|name| format!("-{name}"));
    text.push_str(&names.collect::<Vec<_>>().join(", "));
    match flag.kind {
        Kind::Switch => {}
        Kind::Text(value) | Kind::Number(value) => {
            let _ = write!(text, " <{value}>");
        }
        Kind::SwitchOrNumber(value) => {
            let _ = write!(text, "[=<{value}>]");
        }
        Kind::Many(value) => {
            let _ = write!(text, " <{value}> (may be repeated)");
        }
    }
    text.push('\n');
    wrap_into(text, flag.help, 6);
}

/// Adds `words` to `text` in lines of at most [`WIDTH`] characters that begin with `indent` blanks; the first one goes on
/// where `text` ends, if it ends within a line.
pub fn wrap_into(text: &mut String, words: &str, indent: usize) {
    let mut column = match text.rsplit('\n').next() {
        Some(begun) => begun.chars().count(),
        None => 0,
    };
    for word in words.split(' ') {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > WIDTH {
            text.push('\n');
            column = 0;
        }
        if column == 0 {
            text.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if !text.ends_with(' ') {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += width;
    }
    text.push('\n');
}
