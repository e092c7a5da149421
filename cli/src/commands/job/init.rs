//! `job init`: an example file to start from.

use std::io::Write as _;

use crate::command::Context;
use crate::failure::{Failure, Outcome, plain};

const DEFAULT_NAME: &str = "example.nomad.hcl";
const SHORT: &str = include_str!("short.nomad.hcl");
const LONG: &str = include_str!("long.nomad.hcl");

/// Writes the file unless there is one.
pub async fn run(cx: &mut Context) -> Outcome {
    let name = cx
        .one_or_none("This command takes either no arguments or one: <filename>")?
        .unwrap_or_else(|| DEFAULT_NAME.to_owned());
    let text = if cx.args.is("short") { SHORT } else { LONG };
    let path = cx.folder.join(&name);
    let mut file = match std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Failure::new(format!("Job '{name}' already exists")));
        }
        Err(error) => {
            return Err(Failure::new(format!(
                "Failed to write '{name}': {}",
                plain(&error)
            )));
        }
    };
    file.write_all(text.as_bytes())
        .map_err(|e| Failure::new(format!("Failed to write '{name}': {}", plain(&e))))?;
    cx.ui.line(format!("Example job file written to {name}"));
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_examples_are_jobs_that_this_version_takes() {
        for text in [SHORT, LONG] {
            let parsed = rove_jobspec::parse_hcl(
                "example.nomad.hcl",
                text,
                &rove_jobspec::ParseOptions::default(),
            );
            let mut job = parsed
                .map(|p| p.job)
                .map_err(|found| found.render(false))
                .expect("it is read");
            job.canonicalize();
            let found = rove_model::validate::validate(&job);
            assert!(found.errors.is_empty(), "{:?}", found.errors);
            assert_eq!(rove_model::supported::check(&job), []);
        }
    }
}
