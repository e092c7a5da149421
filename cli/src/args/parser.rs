//! From words to flags and arguments, by clap; what clap refuses is said in Go's words.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::description::{self, ARGUMENTS, Purpose};
use super::{Flag, Kind, ParseError, Parsed, dashes};

/// Sorts `words` into flags of `tables` and arguments. With `short_values` a one-letter flag may have one of the words
/// that it knows attached, `-ojson`.
pub fn parse(
    words: &[String],
    tables: &[&[Flag]],
    short_values: bool,
) -> Result<Parsed, ParseError> {
    let given = dashes::normalised(words, tables, short_values)?;
    let matches = description::command("command", tables, Purpose::Parsing)
        .try_get_matches_from(&given.words)
        .map_err(|error| refused(&error, &given.spelled, tables))?;
    let values = |name: &str| -> Vec<String> {
        matches
            .get_many::<String>(name)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    };
    let mut parsed = Parsed {
        positional: values(ARGUMENTS),
        ..Parsed::default()
    };
    for (_, flag) in &given.spelled {
        parsed
            .flags
            .entry(flag.name)
            .or_insert_with(|| values(flag.name));
    }
    Ok(parsed)
}

fn refused(error: &clap::Error, spelled: &[(String, &Flag)], tables: &[&[Flag]]) -> ParseError {
    let said = |kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.first().cloned().unwrap_or_default(),
        _ => String::new(),
    };
    // clap names an argument as `--name <value>`.
    let bare = |text: String| {
        let text = text.split([' ', '=']).next().unwrap_or_default();
        text.trim_start_matches('-').to_owned()
    };
    let name = bare(said(ContextKind::InvalidArg));
    if error.kind() == ErrorKind::DisplayHelp {
        return ParseError::Help;
    }
    let Some((written, flag)) = spelled.iter().find(|(_, flag)| flag.name == name) else {
        return ParseError::unknown(&name, tables);
    };
    if error.kind() != ErrorKind::ValueValidation {
        return ParseError::NoValue(written.clone());
    }
    let value = said(ContextKind::InvalidValue);
    match flag.kind {
        Kind::Switch | Kind::SwitchOrNumber(_) => ParseError::NotBoolean(written.clone(), value),
        Kind::Text(_) | Kind::Number(_) | Kind::Many(_) => {
            ParseError::NotNumber(written.clone(), value)
        }
    }
}
