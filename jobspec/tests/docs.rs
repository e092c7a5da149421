//! The pages that are made from the tables are those that lie in docs/. `ROVE_UPDATE_DOCS=1` writes them anew.
#![allow(clippy::unwrap_used)]

use std::{env, fs, path::Path};

use rove_jobspec::schema;

fn is_up_to_date(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name);
    if env::var_os("ROVE_UPDATE_DOCS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let page = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == text,
        "docs/{name} is not what the tables say; ROVE_UPDATE_DOCS=1 cargo test -p rove-jobspec --test docs writes it"
    );
}

#[test]
fn the_reference_page_is_up_to_date() {
    is_up_to_date("job-specification.md", &schema::markdown());
}

#[test]
fn the_published_schema_is_up_to_date() {
    is_up_to_date("job.schema.json", &schema::json_schema_text());
}
