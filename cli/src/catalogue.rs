//! All commands, and how they are found by their words.

use std::fmt::Write as _;

use crate::agent;
use crate::args::description::{self, Purpose};
use crate::args::{COMMON, Flag, help};
use crate::command::Command;
use crate::commands::{
    alloc, completion, deployment, eval, files, job, node, operator, server, status, system,
    version,
};
use crate::kubectl;

/// Every command, by noun.
const TABLES: &[&[Command]] = &[
    job::COMMANDS,
    alloc::COMMANDS,
    eval::COMMANDS,
    deployment::COMMANDS,
    node::COMMANDS,
    server::COMMANDS,
    status::COMMANDS,
    system::COMMANDS,
    operator::COMMANDS,
    version::COMMANDS,
    completion::COMMANDS,
    files::COMMANDS,
    kubectl::COMMANDS,
];

/// Shorter and older spellings of a command.
pub const ALIASES: &[(&str, &str)] = &[
    ("init", "job init"),
    ("run", "job run"),
    ("plan", "job plan"),
    ("stop", "job stop"),
    ("inspect", "job inspect"),
    ("validate", "job validate"),
    ("logs", "alloc logs"),
    ("fs", "alloc fs"),
    ("alloc-status", "alloc status"),
    ("eval-status", "eval status"),
    ("node-status", "node status"),
    ("server-members", "server members"),
    ("job versions", "job history"),
    ("jobs", "job status"),
];

/// What people look for by a name that it does not have here, and where it is.
const INSTEAD: &[(&str, &str)] = &[
    ("cordon", "\"node eligibility -disable\""),
    ("uncordon", "\"node eligibility -enable\""),
    ("edit", "\"get -o yaml\" and \"apply -f\""),
    ("create", "\"apply -f\""),
    ("replace", "\"apply -f\""),
    ("members", "\"server members\""),
    ("ps", "\"get allocs\""),
    ("nodes", "\"get nodes\" or \"node status\""),
    ("allocs", "\"get allocs\""),
    ("evals", "\"get evals\" or \"eval list\""),
    ("deployments", "\"get deployments\" or \"deployment list\""),
    ("restart", "\"alloc restart\""),
    ("rollout", "\"deployment status\" and \"job revert\""),
    ("top", "\"alloc status -stats\" and \"node status -stats\""),
];

/// The flags that may stand before a command's name.
pub const IN_FRONT: &[&[Flag]] = &[kubectl::NAMESPACE, COMMON];

/// The nouns, and what their commands are about.
const GROUPS: &[(&str, &str)] = &[
    (
        "job",
        "Jobs: write, check, plan, run, look at, scale, revert and stop them.",
    ),
    (
        "alloc",
        "Allocs, the instances of a job's groups on nodes: state, logs, files.",
    ),
    (
        "eval",
        "Evaluations: what the scheduler decided, and why it could not place something.",
    ),
    (
        "deployment",
        "Deployments, the roll-outs of a job's versions.",
    ),
    ("node", "Nodes, the machines that jobs run on."),
    ("server", "The servers of the cluster."),
    ("system", "System maintenance."),
    ("operator", "Tools for those who run the cluster."),
];

/// Nouns below a noun.
const INNER: &[(&str, &str)] = &[(
    "operator store",
    "The embedded store of a server that is stopped.",
)];

/// What `agent` does stands in the lists too, though it is not dispatched here.
pub const AGENT: (&str, &str) = (
    "agent",
    "Starts an agent: a server, a client, or with -dev both.",
);

/// Commands for packagers, which no list names.
const HIDDEN: &[&str] = &["man-pages"];

/// The command that `words` begin with, and how many words its name is.
pub fn find(words: &[String]) -> Option<(&'static Command, usize)> {
    (1..=words.len().min(3)).rev().find_map(|count| {
        let name = words[..count].join(" ");
        Some((named(&name)?, count))
    })
}

/// The names of all commands.
#[cfg(test)]
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().flat_map(|t| t.iter()).map(|c| c.name)
}

/// The command of that name or spelling.
pub fn named(name: &str) -> Option<&'static Command> {
    let name = ALIASES
        .iter()
        .find(|(alias, _)| *alias == name)
        .map_or(name, |(_, name)| name);
    TABLES
        .iter()
        .flat_map(|t| t.iter())
        .find(|c| c.name == name)
}

/// The noun that `words` begin with, with that below it if they name one.
pub fn group(words: &[String]) -> Option<&'static str> {
    let inner = INNER.iter().map(|(noun, _)| *noun);
    let begins = |noun: &&str| {
        let parts: Vec<&str> = noun.split(' ').collect();
        words.len() >= parts.len() && parts.iter().zip(words).all(|(part, word)| part == word)
    };
    inner
        .chain(GROUPS.iter().map(|(group, _)| *group))
        .find(begins)
}

/// What to use in place of a command that has another name elsewhere.
pub fn instead_of(name: &str) -> Option<&'static str> {
    INSTEAD
        .iter()
        .find(|(wanted, _)| *wanted == name)
        .map(|(_, instead)| *instead)
}

/// The words that name no command, and the name of one that is written nearly so.
pub fn nearest(words: &[String]) -> (String, Option<&'static str>) {
    let given: Vec<&str> = words
        .iter()
        .take(3)
        .take_while(|w| !w.starts_with('-'))
        .map(String::as_str)
        .collect();
    let names = TABLES.iter().flat_map(|t| t.iter()).map(|c| c.name);
    let names = names
        .chain(ALIASES.iter().map(|(alias, _)| *alias))
        .chain(GROUPS.iter().map(|(group, _)| *group))
        .chain(INNER.iter().map(|(noun, _)| *noun))
        .filter(|name| !HIDDEN.contains(name));
    // Behind a noun that is known only what follows it can be a slip.
    if let Some(noun) = group(words) {
        let before = noun.split(' ').count();
        let rest = |name: &'static str| Some((name, name.strip_prefix(noun)?.strip_prefix(' ')?));
        let best = names
            .filter_map(rest)
            .map(|(name, known)| {
                let count = known.split(' ').count();
                let end = given.len().min(before + count);
                let slip = given[before.min(end)..end].join(" ");
                let distance = strsim::damerau_levenshtein(&slip, known);
                // Of two that are as near the longer says more.
                (distance, std::cmp::Reverse(known.len()), name, end)
            })
            .min();
        let near = best.filter(|(distance, length, ..)| distance * 3 <= length.0);
        let end = near.map_or(given.len().min(before + 1), |(.., end)| end);
        return (given[..end].join(" "), near.map(|(.., name, _)| name));
    }
    let best = names
        .chain([AGENT.0])
        .map(|name| {
            let same = given[..given.len().min(name.split(' ').count())].join(" ");
            (strsim::damerau_levenshtein(&same, name), name, same)
        })
        .min();
    match best {
        // A third of the letters may be wrong; more is another word.
        Some((distance, name, same)) if distance * 3 <= name.len() => (same, Some(name)),
        _ => (given.first().copied().unwrap_or_default().to_owned(), None),
    }
}

fn first_sentence(about: &str) -> String {
    let about = about.split("\n\n").next().unwrap_or_default();
    let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
    about
        .split_inclusive(". ")
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// The help of the whole program.
pub fn overview(program: &str) -> String {
    let mut text = format!("Usage: {program} [-version] [-help] <command> [args]\n");
    let mut list = |title: &str, rows: &[(String, String)]| {
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let _ = write!(text, "\n{title}:\n");
        for (name, about) in rows {
            let _ = write!(text, "    {name:width$}    ");
            help::wrap_into(&mut text, about, width + 8);
        }
    };
    let single = |names: &[&str]| -> Vec<(String, String)> {
        let found = names.iter().filter_map(|name| Some((*name, named(name)?)));
        found
            .map(|(name, c)| (name.to_owned(), first_sentence(c.about)))
            .collect()
    };
    let mut common = vec![(AGENT.0.to_owned(), AGENT.1.to_owned())];
    common.extend(single(&["run", "plan", "status", "logs", "stop"]));
    list("Common commands", &common);
    let mut groups: Vec<(String, String)> = GROUPS
        .iter()
        .map(|(name, about)| ((*name).to_owned(), (*about).to_owned()))
        .collect();
    groups.extend(single(&["agent-info", "completion", "version"]));
    list("Other commands, by what they are about", &groups);
    list(
        "Files, without an agent",
        &single(&["convert", "fmt", "explain"]),
    );
    list(
        "As with kubectl",
        &single(&["apply", "get", "describe", "delete", "scale", "diff"]),
    );
    let old: Vec<String> = ALIASES
        .iter()
        .map(|(alias, _)| (*alias).to_owned())
        .collect();
    text.push('\n');
    help::wrap_into(
        &mut text,
        &format!("Shorter spellings: {}.", old.join(", ")),
        0,
    );
    let _ = write!(text, "\n\"{program} <command> -help\" says more.");
    text
}

/// The help of a noun.
pub fn group_help(program: &str, group: &str) -> String {
    let about = GROUPS
        .iter()
        .chain(INNER)
        .find(|(name, _)| *name == group)
        .map_or("", |(_, about)| about);
    let mut text = format!("Usage: {program} {group} <subcommand> [options] [args]\n\n");
    help::wrap_into(&mut text, about, 2);
    text.push_str("\nSubcommands:\n");
    let prefix = format!("{group} ");
    let found: Vec<&Command> = TABLES
        .iter()
        .flat_map(|t| t.iter())
        .filter(|c| c.name.starts_with(&prefix))
        .collect();
    let width = found
        .iter()
        .map(|c| c.name.len() - prefix.len())
        .max()
        .unwrap_or(0);
    for command in found {
        let _ = write!(text, "    {:width$}    ", &command.name[prefix.len()..]);
        help::wrap_into(&mut text, &first_sentence(command.about), width + 8);
    }
    text.trim_end().to_owned()
}

/// All commands as clap describes them, for completions and manual pages of the program that is called so.
pub fn described(program: &str) -> clap::Command {
    let mut root = clap::Command::new(program.to_owned())
        .version(env!("CARGO_PKG_VERSION"))
        .about("Runs jobs on a fleet of machines: server, node agent and command line in one.")
        .disable_help_subcommand(true);
    let agent: Vec<_> = agent::flags::FLAGS
        .iter()
        .map(|(_, flags)| *flags)
        .collect();
    root = root.subcommand(
        description::command(AGENT.0, &agent, Purpose::Showing)
            .about(AGENT.1)
            .long_about(agent::flags::ABOUT),
    );
    for (group, about) in GROUPS {
        root = root.subcommand(
            clap::Command::new(*group)
                .about(*about)
                .disable_help_subcommand(true)
                .subcommands(below(group)),
        );
    }
    let all = || TABLES.iter().flat_map(|table| table.iter());
    let single = all().filter(|c| !c.name.contains(' '));
    let short = ALIASES.iter().filter(|(alias, _)| !alias.contains(' '));
    root.subcommands(single.map(|command| of_command(command.name, command)))
        .subcommands(short.filter_map(|(alias, name)| Some(of_command(alias, named(name)?))))
}

/// What comes behind the words of a noun: commands, and nouns that have commands below them in turn.
fn below(noun: &str) -> Vec<clap::Command> {
    let mut found: Vec<clap::Command> = Vec::new();
    for command in TABLES.iter().flat_map(|table| table.iter()) {
        let rest = command.name.strip_prefix(noun);
        let Some(rest) = rest.and_then(|rest| rest.strip_prefix(' ')) else {
            continue;
        };
        match rest.split_once(' ') {
            None => found.push(of_command(rest, command)),
            Some((inner, _)) if found.iter().all(|known| known.get_name() != inner) => {
                let words = format!("{noun} {inner}");
                let about = INNER.iter().find(|(name, _)| *name == words);
                found.push(
                    clap::Command::new(inner)
                        .about(about.map_or("", |(_, about)| about))
                        .disable_help_subcommand(true)
                        .subcommands(below(&words)),
                );
            }
            Some(_) => {}
        }
    }
    found
}

fn of_command(name: &'static str, command: &'static Command) -> clap::Command {
    description::command(name, command.flags, Purpose::Showing)
        .about(first_sentence(command.about))
        .long_about(command.about)
        .hide(HIDDEN.contains(&name))
}
