//! The reference's recordings, where they are to be found.

use std::path::PathBuf;

use serde_json::Value;

use super::Ran;

fn find(kind: &str, number: &str) -> Option<PathBuf> {
    let folder = rove_testkit::reference()?.join(kind);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    let found = files.into_iter().find(|f| {
        f.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with(&format!("{number}-"))
    });
    Some(found.unwrap_or_else(|| panic!("no recording {number} in {}", folder.display())))
}

/// What the reference's command line printed.
pub fn cli(number: &str) -> Option<Ran> {
    let text = std::fs::read_to_string(find("cli", number)?).unwrap();
    let (_, rest) = text.split_once("--- stdout\n").unwrap();
    let (out, rest) = rest.split_once("--- stderr\n").unwrap();
    let (err, code) = rest.rsplit_once("--- exit: ").unwrap();
    Some(Ran {
        out: out.to_owned(),
        err: err.to_owned(),
        code: code.trim().parse().unwrap_or(0),
    })
}

/// The body of an answer of the reference's API, after some texts in it were replaced.
pub fn api(number: &str, replace: &[(&str, &str)]) -> Option<Value> {
    let text = std::fs::read_to_string(find("api", number)?).unwrap();
    let recorded: Value = serde_json::from_str(&text).unwrap();
    let mut body = recorded["body"].to_string();
    for (from, to) in replace {
        body = body.replace(from, to);
    }
    Some(serde_json::from_str(&body).unwrap())
}
