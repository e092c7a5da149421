//! What expressions come to: a table of some thousand rows, made with the reference's own libraries.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use rove_jobspec::{Folder, hcl};

/// `expression  =>  value as JSON`, or `!` and what is said of it. A text with line breaks stands as a JSON string
/// after a backslash.
const TABLE: &str = include_str!("expressions.txt");

#[test]
fn expressions_come_to_what_the_table_says() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    put("hello.txt", "hello ü\n".as_bytes());
    put("bin.dat", b"\xff\xfe");
    put("sub/a.txt", b"a\n");
    put("sub/b.md", b"b\n");
    let files = Folder::new(folder.path());
    let mut bad = Vec::new();
    let mut rows = 0;
    for line in TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (text, wanted) = line.split_once("  =>  ").expect(line);
        let text = match text.strip_prefix('\\') {
            Some(quoted) => serde_json::from_str(quoted).expect(quoted),
            None => text.to_owned(),
        };
        rows += 1;
        let got = match hcl::expression("x", &text, &files) {
            Ok(value) => value.to_string(),
            Err(found) => {
                let first = &found.list[0];
                let place = first
                    .span
                    .as_ref()
                    .map_or(String::new(), |span| found.source.range(span));
                format!("! {place}: {}; {}", first.summary, first.detail).replace('\n', "\\n")
            }
        };
        if got != wanted {
            bad.push(format!("{text}\n  want {wanted}\n  got  {got}"));
        }
    }
    assert!(rows >= 250, "{rows} rows");
    assert!(
        bad.is_empty(),
        "{} of {rows}:\n{}",
        bad.len(),
        bad.join("\n")
    );
}
