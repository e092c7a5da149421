//! `fmt`: HCL files in canonical layout.

use std::path::{Path, PathBuf};

use super::{diff, write};
use crate::command::Context;
use crate::commands::job::source;
use crate::failure::{Failure, Outcome, plain};

/// The endings of files that are looked at in a folder.
const ENDINGS: &[&str] = &["hcl", "nomad"];

/// The most bytes of a file.
const LONGEST_FILE: u64 = 64 << 20;

/// What to do with a file whose layout changes.
struct Wishes {
    check: bool,
    diff: bool,
    list: bool,
    write: bool,
}

/// Lays out everything that was named; goes on after a mistake, and ends with 1.
pub async fn run(cx: &mut Context) -> Outcome {
    let check = cx.args.is("check");
    let wishes = Wishes {
        check,
        diff: cx.args.is("diff"),
        list: cx.args.switch("list").unwrap_or(true),
        write: cx.args.switch("write").unwrap_or(true) && !check,
    };
    let names = match cx.args.positional.as_slice() {
        [] => vec![".".to_owned()],
        names => names.to_vec(),
    };
    if names.iter().any(|name| name == "-") {
        if names.len() > 1 {
            return Err(Failure::usage(
                "\"-\" stands alone: standard input is the only file",
            ));
        }
        return standard_input(cx, &wishes);
    }
    let mut failed = false;
    let mut changed = false;
    for name in &names {
        for (shown, path) in files(cx, name, &mut failed) {
            match file(cx, &shown, &path, &wishes) {
                Ok(change) => changed |= change,
                Err(message) => {
                    failed = true;
                    cx.ui.error(message);
                }
            }
        }
    }
    Ok(u8::from(failed || (check && changed)))
}

fn standard_input(cx: &mut Context, wishes: &Wishes) -> Outcome {
    let bytes = cx
        .ui
        .read_input()
        .map_err(|e| Failure::new(format!("standard input: {}", plain(&e))))?;
    let text = utf8("<stdin>", bytes).map_err(Failure::new)?;
    let new = laid_out(cx, "<stdin>", &text).map_err(Failure::new)?;
    if wishes.diff {
        if new != text {
            let text = diff::unified(&cx.ui, "<stdin>", &text, &new);
            cx.ui.write(text.as_bytes());
        }
    } else if !wishes.check {
        cx.ui.write(new.as_bytes());
    }
    Ok(u8::from(wishes.check && new != text))
}

/// Lays out one file; whether its layout changes.
fn file(cx: &mut Context, shown: &str, path: &Path, wishes: &Wishes) -> Result<bool, String> {
    let told = |error: &std::io::Error| format!("{shown}: {}", plain(error));
    let length = std::fs::metadata(path).map_err(|e| told(&e))?.len();
    if length > LONGEST_FILE {
        return Err(format!("{shown}: it is longer than {LONGEST_FILE} bytes"));
    }
    let text = utf8(shown, std::fs::read(path).map_err(|e| told(&e))?)?;
    let new = laid_out(cx, shown, &text)?;
    let changes = new != text;
    if changes {
        if wishes.write {
            write::whole(path, &new).map_err(|e| told(&e))?;
        }
        if wishes.list {
            cx.ui.line(shown);
        }
        if wishes.diff {
            let text = diff::unified(&cx.ui, shown, &text, &new);
            cx.ui.write(text.as_bytes());
        }
    }
    if !wishes.write && !wishes.list && !wishes.diff && !wishes.check {
        cx.ui.write(new.as_bytes());
    }
    Ok(changes)
}

fn utf8(shown: &str, bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let before = &error.as_bytes()[..at];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        format!("{shown}:{line}:{column}: this is no UTF-8 text")
    })
}

fn laid_out(cx: &Context, shown: &str, text: &str) -> Result<String, String> {
    rove_jobspec::format(shown, text).map_err(|found| source::rendered(cx, &found))
}

/// The files that a name stands for, each with the name to show.
fn files(cx: &mut Context, name: &str, failed: &mut bool) -> Vec<(String, PathBuf)> {
    let path = cx.folder.join(name);
    if !path.is_dir() {
        return vec![(name.to_owned(), path)];
    }
    let mut found = Vec::new();
    let shown = if name == "." {
        ""
    } else {
        name.trim_end_matches('/')
    };
    if let Err(error) = collect(&path, shown, cx.args.is("recursive"), &mut found) {
        *failed = true;
        cx.ui.error(format!("{name}: {}", plain(&error)));
    }
    found.sort();
    found
}

fn collect(
    folder: &Path,
    shown: &str,
    deep: bool,
    found: &mut Vec<(String, PathBuf)>,
) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Of version control and editors.
        if name.starts_with('.') {
            continue;
        }
        let path = entry.path();
        let shown = match shown {
            "" => name,
            folder => format!("{folder}/{name}"),
        };
        // A link to a folder is not followed: it may lead around in a circle.
        if entry.file_type()?.is_dir() {
            if deep {
                collect(&path, &shown, deep, found)?;
            }
        } else if path.is_file()
            && path
                .extension()
                .is_some_and(|e| ENDINGS.iter().any(|known| e == *known))
        {
            found.push((shown, path));
        }
    }
    Ok(())
}
