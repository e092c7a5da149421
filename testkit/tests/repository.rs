//! The repository itself: what it depends on is used, allowed and explained; what its documents name is there.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rove_testkit::workspace;
use serde_json::Value;

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The folders of the workspace's crates.
fn members() -> Vec<String> {
    let manifest = read(&workspace().join("Cargo.toml"));
    let list = manifest.split_once("\nmembers = [").unwrap().1;
    let list = list.split_once(']').unwrap().0;
    let members: Vec<String> = quoted(list);
    assert!(members.len() > 5, "{members:?}");
    members
}

/// The texts between double quotes.
fn quoted(text: &str) -> Vec<String> {
    text.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The names in the dependency tables of a manifest.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut inside = false;
    for line in manifest.lines() {
        if let Some(table) = line.trim().strip_prefix('[') {
            inside = table.trim_end_matches(']').ends_with("dependencies");
        } else if inside && let Some((name, _)) = line.split_once(['.', '=']) {
            let name = name.trim();
            if !name.is_empty() && !name.starts_with('#') {
                found.insert(name.to_owned());
            }
        }
    }
    found
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                rust_files(&path, found);
            }
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Whether a text names a crate: as a path's beginning, or alone in a `use`.
fn names(text: &str, ident: &str) -> bool {
    text.match_indices(ident).any(|(at, _)| {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let before = text[..at].chars().next_back();
        let rest = &text[at + ident.len()..];
        !before.is_some_and(word)
            && (rest.starts_with("::")
                || rest.starts_with(';')
                || rest.starts_with(" as ")
                || rest.starts_with(','))
    })
}

#[test]
fn every_dependency_is_used() {
    let mut unused = Vec::new();
    for member in members() {
        let folder = workspace().join(&member);
        let mut files = Vec::new();
        rust_files(&folder, &mut files);
        let source: String = files.iter().map(|path| read(path)).collect();
        for name in dependencies(&read(&folder.join("Cargo.toml"))) {
            let ident = match name.as_str() {
                "md-5" => "md5".to_owned(),
                other => other.replace('-', "_"),
            };
            if !names(&source, &ident) {
                unused.push(format!("{member}: {name}"));
            }
        }
    }
    assert!(unused.is_empty(), "not used: {unused:?}");
    // What the workspace offers is taken by some crate.
    let offered = dependencies(&read(&workspace().join("Cargo.toml")));
    let taken: BTreeSet<String> = members()
        .iter()
        .flat_map(|member| dependencies(&read(&workspace().join(member).join("Cargo.toml"))))
        .collect();
    let left: Vec<_> = offered.difference(&taken).collect();
    assert!(left.is_empty(), "no crate takes {left:?}");
}

#[test]
fn every_dependency_is_explained() {
    let page = read(&workspace().join("docs/dependencies.md"));
    let words: BTreeSet<&str> = page
        .split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_'))
        .collect();
    let wanted = dependencies(&read(&workspace().join("Cargo.toml")));
    let missing: Vec<_> = wanted
        .iter()
        .filter(|name| !name.starts_with("rove-") && !words.contains(name.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/dependencies.md says nothing of {missing:?}"
    );
}

/// Whether one of the choices that a licence expression offers is allowed whole.
fn allowed(expression: &str, list: &BTreeSet<String>) -> bool {
    let text = expression.replace('/', " OR ");
    let text = text.trim();
    let at_top = |separator: &str| {
        let mut depth = 0_i32;
        text.char_indices().find_map(|(at, c)| {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            (depth == 0 && text[at..].starts_with(separator)).then_some(at)
        })
    };
    if let Some(at) = at_top(" OR ") {
        return allowed(&text[..at], list) || allowed(&text[at + 4..], list);
    }
    if let Some(at) = at_top(" AND ") {
        return allowed(&text[..at], list) && allowed(&text[at + 5..], list);
    }
    match text
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'))
    {
        Some(inner) => allowed(inner, list),
        // "Or any later version" leaves the choice of this one.
        None => list.contains(text.strip_suffix('+').unwrap_or(text)),
    }
}

#[test]
fn a_licence_expression_is_judged_by_its_choices() {
    let list = ["MIT", "ISC", "MPL-2.0"].map(str::to_owned).into();
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("MIT/Apache-2.0", true),
        ("MPL-2.0+", true),
        ("MIT AND GPL-3.0", false),
        ("ISC AND (GPL-3.0 OR MPL-2.0)", true),
        ("(GPL-3.0 OR AGPL-3.0) AND MIT", false),
        ("", false),
    ] {
        assert_eq!(allowed(expression, &list), expected, "{expression}");
    }
}

#[test]
fn every_dependency_has_a_licence_that_is_allowed() {
    let text = read(&workspace().join("deny.toml"));
    let list = text.split_once("\nallow = [").unwrap().1;
    let list: BTreeSet<String> = quoted(list.split_once("\n]").unwrap().0)
        .into_iter()
        .collect();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        // What other systems would build is not on this machine unless somebody fetched it.
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(workspace())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    if !rove_testkit::available("the sources of every dependency", output.status.success()) {
        println!("{told}");
        return;
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "{}", packages.len());
    let refused: BTreeMap<&str, &Value> = packages
        .iter()
        .filter(|package| !allowed(package["license"].as_str().unwrap_or_default(), &list))
        .map(|package| (package["name"].as_str().unwrap(), &package["license"]))
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
}

fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in [workspace(), workspace().join("docs")] {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 10, "{found:?}");
    found
}

/// A heading's name in a link.
fn anchor(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let mut dead = Vec::new();
    for path in documents() {
        let text = read(&path);
        for link in text.split("](").skip(1) {
            let Some((link, _)) = link.split_once(')') else {
                continue;
            };
            if link.contains("://") || link.contains(char::is_whitespace) {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                path.clone()
            } else {
                path.parent().unwrap().join(file)
            };
            let there = target.exists()
                && (heading.is_empty()
                    || read(&target)
                        .lines()
                        .any(|line| line.starts_with('#') && anchor(line) == heading));
            if !there {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn every_script_and_folder_that_the_documents_name_is_there() {
    let mut dead = Vec::new();
    for path in documents() {
        let text = read(&path);
        let words = text.split(|c: char| c.is_whitespace() || "`()[],;:".contains(c));
        for word in words {
            let word = word
                .trim_start_matches("./")
                .trim_end_matches(['.', '?', '!']);
            let ours = ["scripts/", "examples/", "docs/", "testdata/", ".ci/"]
                .iter()
                .chain(&[
                    "model/src/",
                    "store/src/",
                    "agent/src/",
                    "api/src/",
                    "cli/src/",
                ])
                .chain(&["controllers/src/", "jobspec/src/", "simulation/src/"])
                .any(|folder| word.starts_with(folder));
            if ours && !word.contains(['<', '*', '…', '{']) && !workspace().join(word).exists() {
                dead.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn a_free_port_is_given_once_and_can_be_listened_on() {
    let ports: BTreeSet<u16> = (0..50).map(|_| rove_testkit::free_port()).collect();
    assert_eq!(ports.len(), 50, "{ports:?}");
    for port in ports {
        // Again and again: a server is ended and started at the same place.
        for _ in 0..2 {
            std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        }
    }
}

/// A cargo that only says how it was called stands in the real one's place.
#[test]
fn every_row_of_the_nightly_script_starts_its_tests() {
    let root =
        fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !rove_testkit::available("root", root) {
        return;
    }
    let script = workspace().join("scripts/nightly");
    let text = read(&script);
    let stub = tempfile::tempdir().unwrap();
    let cargo = stub.path().join("cargo");
    fs::write(&cargo, "#!/bin/sh\necho \"$@\"\n").unwrap();
    fs::set_permissions(&cargo, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!(
        "{}:{}",
        stub.path().display(),
        std::env::var("PATH").unwrap()
    );
    let mut rows = 0;
    for line in text.lines() {
        let [name, _, arguments] = line.split('|').collect::<Vec<_>>()[..] else {
            continue;
        };
        if !arguments.trim_start().starts_with("-p ") {
            continue;
        }
        rows += 1;
        let output = Command::new(&script)
            .arg(name.trim())
            .env("PATH", &path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains(arguments.trim()),
            "{name}: {output:?}"
        );
    }
    assert!(rows >= 10, "{rows}");
}
