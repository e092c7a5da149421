//! The layout of every file of the reference: it means what it meant, and stays.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;

use rove_jobspec::{ParseOptions, format, parse_hcl};
use rove_testkit::reference;

fn parsed(text: &str) -> Result<String, String> {
    match parse_hcl("a.hcl", text, &ParseOptions::default()) {
        Ok(parsed) => Ok(serde_json::to_string(&parsed.job).unwrap()),
        // Places move, words do not.
        Err(findings) => Err(findings
            .list
            .iter()
            .map(|finding| finding.summary.clone())
            .collect::<Vec<_>>()
            .join("\n")),
    }
}

#[test]
fn every_file_of_the_reference_means_the_same_in_canonical_layout() {
    let Some(root) = reference() else { return };
    let mut count = 0;
    for folder in ["jobspec", "jobspec-invalid", "story", "story/derived"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let is_hcl = path
                .extension()
                .is_some_and(|ending| ending == "hcl" || ending == "nomad");
            if !is_hcl {
                continue;
            }
            let name = path.display().to_string();
            let text = fs::read_to_string(&path).unwrap();
            // What can't be parsed is refused; that is looked at elsewhere.
            let Ok(once) = format(&name, &text) else {
                assert!(parsed(&text).is_err(), "{name} is parsed, but not laid out");
                continue;
            };
            assert_eq!(parsed(&once), parsed(&text), "{name}\n{once}");
            assert_eq!(format(&name, &once).expect("it is HCL"), once, "{name}");
            count += 1;
        }
    }
    assert!(count >= 70, "{count}");
}
