//! kubectl's verbs over the same API.
//!
//! The two families share some one-letter flags. `logs` belongs to both and takes them as `alloc logs` does; in all
//! verbs of this folder they mean what kubectl means by them.

mod apply;
mod delete;
mod describe;
mod documents;
mod get;
pub mod kind;
mod rows;
mod scale;
mod selector;
mod watch;

use std::time::Duration;

use crate::args::{COMMON, Flag, Kind, VERBOSE, many, number, switch, text};
use crate::command::Command;
use crate::commands::job::source;
use crate::failure::Failure;

/// kubectl calls the namespace `-n`.
pub const NAMESPACE: &[Flag] =
    &[text("namespace", "name", "The namespace to work in.").also(&["n", "ns"])];

const ALL: &[Flag] = &[switch("all-namespaces", "List the things of all namespaces.").also(&["A"])];

const SELECTOR: &[Flag] = &[Flag::new(
    "selector",
    Kind::Text("terms"),
    "Only those whose meta matches: team=a,tier!=db,zone in (x,y). Allocs, evaluations and deployments are chosen by \
     their job's meta.",
)
.also(&["l"])];

const FILES: &[Flag] = &[
    many(
        "filename",
        "path",
        "A file, a folder, or - for standard input; HCL, YAML or JSON.",
    )
    .also(&["f"]),
    switch("recursive", "Include subfolders.").also(&["R"]),
];

const LANGUAGE: &[Flag] = &[
    source::HCL1,
    many("var", "name=value", "Sets a variable of HCL files."),
    many(
        "var-file",
        "path",
        "Sets variables from a file of name = value lines.",
    ),
];

/// The verbs.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "apply",
        usage: "apply -f <file|folder|-> [options]",
        about: "Registers the jobs of files that are new or have changed, and leaves the others alone.",
        flags: &[
            FILES,
            LANGUAGE,
            NAMESPACE,
            &[
                text(
                    "dry-run",
                    "none|client|server",
                    "Only print what would be done.",
                ),
                text("output", "name", "Print only names.").also(&["o"]),
                switch("wait", "Follow each roll-out until it is done."),
            ],
            COMMON,
        ],
        verb: true,
        misuse: 1,
        run: |cx| Box::pin(apply::apply(cx)),
    },
    Command {
        name: "diff",
        usage: "diff -f <file|folder|-> [options]",
        about: "Shows what applying files would change. Exits with 0 if nothing, with 1 if anything, with 2 on an error.",
        flags: &[
            FILES,
            LANGUAGE,
            NAMESPACE,
            &[switch("verbose", "Show every field of a new job.")],
            COMMON,
        ],
        verb: true,
        misuse: 2,
        run: |cx| Box::pin(apply::diff(cx)),
    },
    Command {
        name: "get",
        usage: "get <jobs|nodes|allocs|evals|deployments>[/<name>] [<name>...] [options]",
        about: "Lists things, or shows one. YAML of a job can be applied again.",
        flags: &[
            &[
                text(
                    "output",
                    "wide|json|yaml|name",
                    "The output format; a table by default.",
                )
                .also(&["o"]),
                switch("watch", "After the list, print what changes until interrupted; what is deleted is shown as gone.").also(&["w"]),
                switch("watch-only", "The same without the list: print only what changes."),
            ],
            SELECTOR,
            NAMESPACE,
            ALL,
            COMMON,
        ],
        verb: true,
        misuse: 1,
        run: |cx| {
            if cx.args.is("watch") || cx.args.is("watch-only") {
                Box::pin(watch::run(cx))
            } else {
                Box::pin(get::run(cx))
            }
        },
    },
    Command {
        name: "describe",
        usage: "describe <kind>/<name>... [options]",
        about: "Shows a job, node, alloc, eval or deployment in detail.",
        flags: &[NAMESPACE, ALL, VERBOSE, COMMON],
        verb: true,
        misuse: 1,
        run: |cx| Box::pin(describe::run(cx)),
    },
    Command {
        name: "delete",
        usage: "delete (<kind>/<name>... | -f <file|folder|->) [options]",
        about: "Stops jobs and forgets them, and waits for the end of their allocs. An alloc that is deleted is \
                replaced by another.",
        flags: &[
            FILES,
            LANGUAGE,
            SELECTOR,
            NAMESPACE,
            &[
                switch("all", "Delete all jobs of the namespace."),
                switch(
                    "purge",
                    "Delete the jobs from the cluster's state; with -purge=false they are only stopped and can still be inspected and run \
                     again.",
                ),
                switch(
                    "wait",
                    "Wait until the allocs have ended (the default).",
                ),
                text(
                    "timeout",
                    "duration",
                    "Give up waiting after this long, such as 30s or 5m.",
                ),
                switch("ignore-not-found", "Treat what does not exist as deleted."),
                switch("dry-run", "Only print what would be done."),
            ],
            COMMON,
        ],
        verb: true,
        misuse: 1,
        run: |cx| Box::pin(delete::run(cx)),
    },
    Command {
        name: "scale",
        usage: "scale job/<name> -replicas=<count> [options]",
        about: "Sets how many instances of a job's group run.",
        flags: &[
            &[
                number("replicas", "count", "How many instances to run."),
                text(
                    "group",
                    "name",
                    "The group; optional if the job has only one.",
                ),
                number(
                    "current-replicas",
                    "count",
                    "Scale only if this is the current count.",
                ),
            ],
            NAMESPACE,
            COMMON,
        ],
        verb: true,
        misuse: 1,
        run: |cx| Box::pin(scale::run(cx)),
    },
];

/// A duration such as `30s`, `5m` or `1h30m`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, Failure> {
    let bad = || Failure::new(format!("error: invalid duration {text:?}"));
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(u64::from(seconds)));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let count: u32 = rest[..end].parse().map_err(|_| bad())?;
        rest = &rest[end..];
        let end = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return Err(bad()),
        };
        total = total.saturating_add(unit.saturating_mul(count));
        rest = &rest[end..];
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::catalogue;

    #[test]
    fn durations_are_read() {
        assert_eq!(duration("90").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("1h30m").unwrap(), Duration::from_secs(5400));
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        for text in ["x", "5", "5d", "-3s", "3s4"] {
            assert_eq!(duration(text).is_ok(), text == "5", "{text}");
        }
    }

    /// Every one-letter flag that both families have, and what it means where.
    #[test]
    fn one_letter_flags_that_both_families_have_mean_one_thing_in_each_command() {
        // (the letter, what it is to Nomad, what it is to kubectl, the command, what it is there)
        let table = [
            ("n", "lines", "namespace", "alloc logs", Some("n")),
            ("n", "lines", "namespace", "alloc fs", Some("n")),
            ("n", "lines", "namespace", "get", Some("namespace")),
            ("n", "lines", "namespace", "apply", Some("namespace")),
            ("n", "lines", "namespace", "describe", Some("namespace")),
            ("n", "lines", "namespace", "delete", Some("namespace")),
            ("n", "lines", "namespace", "scale", Some("namespace")),
            ("n", "lines", "namespace", "diff", Some("namespace")),
            ("f", "follow", "filename", "alloc logs", Some("f")),
            ("f", "follow", "filename", "alloc fs", Some("f")),
            ("f", "follow", "filename", "apply", Some("filename")),
            ("f", "follow", "filename", "diff", Some("filename")),
            ("f", "follow", "filename", "delete", Some("filename")),
            ("c", "bytes", "container", "alloc logs", Some("c")),
            (
                "p",
                "show what changed",
                "previous instance",
                "job history",
                Some("p"),
            ),
            (
                "p",
                "show what changed",
                "previous instance",
                "alloc logs",
                None,
            ),
            ("t", "template", "terminal", "job inspect", Some("t")),
            ("t", "template", "terminal", "get", None),
            ("s", "signal", "server", "alloc signal", Some("s")),
            ("s", "signal", "server", "get", None),
            ("v", "verbose", "log level", "describe", Some("verbose")),
            ("v", "verbose", "log level", "job status", Some("verbose")),
            ("H", "plain numbers, header", "-", "alloc fs", Some("H")),
            ("o", "-", "output", "get", Some("output")),
            ("l", "-", "selector", "get", Some("selector")),
            ("w", "-", "watch", "get", Some("watch")),
            ("A", "-", "all namespaces", "get", Some("all-namespaces")),
            ("R", "-", "recursive", "apply", Some("recursive")),
        ];
        for (letter, nomad, kubectl, command, meaning) in table {
            let found = catalogue::named(command).unwrap();
            let flag = found
                .flags
                .iter()
                .flat_map(|t| t.iter())
                .find(|f| f.name == letter || f.aliases.contains(&letter));
            assert_eq!(
                flag.map(|f| f.name),
                meaning,
                "-{letter} of {command}: {nomad} or {kubectl}"
            );
        }
        // Nothing is missing from the table: every one-letter flag of every verb and of logs stands in it.
        for command in COMMANDS.iter().chain(catalogue::named("alloc logs")) {
            for flag in command.flags.iter().flat_map(|t| t.iter()) {
                for name in flag
                    .aliases
                    .iter()
                    .chain(std::iter::once(&flag.name))
                    .filter(|n| n.len() == 1)
                {
                    assert!(
                        table.iter().any(|row| row.0 == *name),
                        "-{name} of {}",
                        command.name
                    );
                }
            }
        }
    }

    #[test]
    fn no_command_has_two_flags_of_one_name() {
        for name in catalogue::names() {
            let command = catalogue::named(name).unwrap();
            let mut seen = std::collections::BTreeMap::new();
            for flag in command.flags.iter().flat_map(|t| t.iter()) {
                for word in flag.aliases.iter().chain(std::iter::once(&flag.name)) {
                    let before = seen.insert(*word, flag.name);
                    assert!(before.is_none_or(|b| b == flag.name), "-{word} of {name}");
                }
            }
        }
    }
}
