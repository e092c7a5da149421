//! The layout of every sample file: it means what it meant, and stays.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;

use rove_jobspec::{ParseOptions, format, parse_hcl};
use rove_testkit::{reference, samples, workspace};

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
fn every_sample_file_means_the_same_in_canonical_layout() {
    let mut count = 0;
    let mut folders = vec![workspace().join("examples")];
    for root in samples() {
        folders.extend(["jobspec", "jobspec-invalid"].map(|name| root.join(name)));
    }
    if let Some(root) = reference() {
        folders.extend(["story", "story/derived"].map(|name| root.join(name)));
    }
    for folder in folders {
        for entry in fs::read_dir(folder).unwrap() {
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
    let expected = if reference().is_some() { 70 } else { 12 };
    assert!(count >= expected, "{count}");
}
