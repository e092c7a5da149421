//! The commands that the documents name are there, and the page of commands names them all.

use std::fs;

use crate::catalogue::{find, names};

/// The text of the README and of every page of `docs/`, by name.
fn pages() -> Vec<(String, String)> {
    let root = rove_testkit::workspace();
    let mut files = vec![root.join("README.md")];
    files.extend(
        fs::read_dir(root.join("docs"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "md")),
    );
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path.display().to_string(), text)
        })
        .collect()
}

/// The words of a command line behind `rove`, up to the first flag or place holder.
fn words(line: &str) -> Vec<String> {
    line.split_whitespace()
        .take_while(|word| !word.starts_with(['-', '<', '#', '&', '[', '…', '|', '>']))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_line_in_the_documents_is_one_of_a_command_that_is_there() {
    let mut seen = 0;
    let mut unknown = Vec::new();
    for (page, text) in pages() {
        for line in text.lines() {
            let Some(line) = line.strip_prefix("$ ") else {
                continue;
            };
            let line = line.strip_prefix("sudo ").unwrap_or(line);
            let (program, rest) = line.split_once(' ').unwrap_or((line, ""));
            let program = program.rsplit('/').next().unwrap();
            if !matches!(program, "rove" | "nomad") {
                continue;
            }
            seen += 1;
            let words = words(rest);
            if words.first().is_none_or(|word| word != "agent") && find(&words).is_none() {
                unknown.push(format!("{page}: {line}"));
            }
        }
    }
    assert!(seen > 10, "{seen}");
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn the_page_of_commands_names_each_one_and_no_other() {
    let path = rove_testkit::workspace().join("docs/command-line.md");
    let page = fs::read_to_string(path).unwrap();
    // What stands in the first two columns of the tables of commands.
    let mut listed = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split(" | ").collect();
        for cell in cells.iter().take(cells.len().saturating_sub(1)).take(2) {
            listed.extend(
                cell.split('`')
                    .skip(1)
                    .step_by(2)
                    .map(|text| words(text).join(" ")),
            );
        }
    }
    let missing: Vec<_> = names()
        .filter(|name| {
            let begins = |listed: &String| {
                listed == name
                    || listed
                        .strip_prefix(name)
                        .is_some_and(|rest| rest.starts_with(' '))
            };
            !listed.iter().any(begins)
        })
        .collect();
    assert!(missing.is_empty(), "docs/command-line.md lacks {missing:?}");
}

/// The words of a command line as a shell has them, up to a comment, a redirection or another command.
fn shell_words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut word, mut quote) = (None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '#') if word.is_none() => break,
            (None, '|' | '&' | ';') => break,
            (None, '>') if word.as_ref().is_none_or(|w| !w.contains('<')) => break,
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Every command line that a page shows: those of its console blocks, and those in its text.
fn command_lines(text: &str) -> Vec<String> {
    let shown = text.lines().filter_map(|line| line.strip_prefix("$ "));
    let mut lines: Vec<String> = shown
        .map(|line| line.strip_prefix("sudo ").unwrap_or(line).to_owned())
        .collect();
    for paragraph in text.split("```").step_by(2) {
        let spans = paragraph.split('`').skip(1).step_by(2);
        lines.extend(spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    lines
}

#[test]
fn every_command_line_in_the_documents_is_understood_with_its_flags() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (page, text) in pages() {
        for line in command_lines(&text) {
            let (program, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let program = program.rsplit('/').next().unwrap();
            if !matches!(program, "rove" | "nomad") || rest.starts_with('<') || rest.contains('|') {
                continue;
            }
            let words = shell_words(rest);
            if words.is_empty()
                || crate::catalogue::group(&words).is_some() && find(&words).is_none()
            {
                continue;
            }
            seen += 1;
            let front = match crate::args::flags_in_front(&words, crate::catalogue::IN_FRONT) {
                Ok(front) => front,
                Err(error) => {
                    wrong.push(format!("{page}: {line}: {error}"));
                    continue;
                }
            };
            let rest = &words[front..];
            let parsed = if rest.first().is_some_and(|word| word == "agent") {
                let tables: Vec<_> = crate::agent::flags::FLAGS.iter().map(|(_, f)| *f).collect();
                crate::args::parse(&rest[1..], &tables, false)
            } else {
                match find(rest) {
                    None => {
                        wrong.push(format!("{page}: {line}: no such command"));
                        continue;
                    }
                    Some((command, used)) => {
                        crate::args::parse(&rest[used..], command.flags, command.verb)
                    }
                }
            };
            match parsed {
                // A flag that is only named stands without its value.
                Ok(_)
                | Err(crate::args::ParseError::Help | crate::args::ParseError::NoValue(_)) => {}
                Err(error) => wrong.push(format!("{page}: {line}: {error}")),
            }
        }
    }
    assert!(seen > 30, "{seen}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
