//! Go's way of writing flags, brought into the one that clap parses: `-detach` becomes `--detach`, `--o` becomes `-o`,
//! and another name of a flag becomes its own.

use super::{Flag, Kind, ParseError, find};

/// What clap is given, and what it stands for.
pub(super) struct Normalised<'a> {
    /// The words for clap.
    pub words: Vec<String>,
    /// Every flag that was found, with the name that it was written by.
    pub spelled: Vec<(String, &'a Flag)>,
}

/// Brings `words` into clap's form. With `short_values` a one-letter flag may have one of the words that it knows
/// attached (`-ojson`), as kubectl's verbs have it; any other word would make a slip in a long flag with one dash a
/// value.
pub(super) fn normalised<'a>(
    words: &[String],
    tables: &'a [&'a [Flag]],
    short_values: bool,
) -> Result<Normalised<'a>, ParseError> {
    let mut all = Normalised {
        words: Vec::with_capacity(words.len()),
        spelled: Vec::new(),
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            all.words.push(word.clone());
            all.words.extend(words.by_ref().cloned());
            break;
        }
        let Some(written) = Written::of(word)? else {
            all.words.push(word.clone());
            continue;
        };
        let attached = || {
            (short_values && !written.doubled)
                .then(|| with_word(written.body, tables))
                .flatten()
        };
        let known = find(tables, written.name)
            .map(|flag| (flag, written.name, written.value))
            .or_else(|| attached().map(|(flag, name, value)| (flag, name, Some(value))));
        let Some((flag, name, value)) = known else {
            // What is no flag of this command is left to clap, which tells of it where it stands.
            let body = if written.name == "h" {
                "help"
            } else {
                written.body
            };
            all.words.push(format!("--{body}"));
            continue;
        };
        all.spelled.push((name.to_owned(), flag));
        let dashes = if flag.name.chars().count() == 1 {
            "-"
        } else {
            "--"
        };
        match value {
            Some(value) => all.words.push(format!("{dashes}{}={value}", flag.name)),
            None => {
                all.words.push(format!("{dashes}{}", flag.name));
                // The next word is its value, whatever it looks like.
                if flag.takes_a_word() {
                    all.words.extend(words.next().cloned());
                }
            }
        }
    }
    Ok(all)
}

/// How many words at the beginning of `words` are flags of `tables` and their values: `-n default get jobs` has two.
/// What asks for the help or the version ends them, unless a table has a flag of that name.
pub fn flags_in_front(words: &[String], tables: &[&[Flag]]) -> Result<usize, ParseError> {
    let mut count = 0;
    while let Some(word) = words.get(count) {
        let Some(written) = Written::of(word)? else {
            break;
        };
        let Some(flag) = find(tables, written.name) else {
            if asks_for(word).is_some() {
                break;
            }
            return Err(ParseError::unknown(written.name, tables));
        };
        count += 1 + usize::from(flag.takes_a_word() && written.value.is_none());
    }
    Ok(count.min(words.len()))
}

/// What a word asks for that stands in place of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The help of the program.
    Help,
    /// Its version.
    Version,
}

/// What `word` asks for, if it is a flag that stands in place of a command.
pub fn asks_for(word: &str) -> Option<Asked> {
    match word {
        "-h" | "-help" | "--help" => Some(Asked::Help),
        "-v" | "-version" | "--version" => Some(Asked::Version),
        _ => None,
    }
}

/// A word that begins with a dash.
struct Written<'a> {
    body: &'a str,
    name: &'a str,
    value: Option<&'a str>,
    doubled: bool,
}

impl<'a> Written<'a> {
    /// None if the word is no flag; `-` by itself stands for standard input.
    fn of(word: &'a str) -> Result<Option<Self>, ParseError> {
        let Some(body) = word.strip_prefix('-').filter(|body| !body.is_empty()) else {
            return Ok(None);
        };
        let (body, doubled) = match body.strip_prefix('-') {
            Some(body) => (body, true),
            None => (body, false),
        };
        if body.is_empty() || body.starts_with(['-', '=']) {
            return Err(ParseError::Syntax(word.to_owned()));
        }
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        Ok(Some(Self {
            body,
            name,
            value,
            doubled,
        }))
    }
}

fn with_word<'a, 'b>(
    body: &'b str,
    tables: &'a [&'a [Flag]],
) -> Option<(&'a Flag, &'b str, &'b str)> {
    let (letter, word) = body.split_at(body.chars().next().map_or(0, char::len_utf8));
    let knows =
        |f: &&Flag| matches!(f.kind, Kind::Text(words) if words.split('|').any(|w| w == word));
    let flag = find(tables, letter).filter(knows)?;
    Some((flag, letter, word))
}
