//! The commands about nodes.

pub mod eligibility;
pub mod status;

use crate::args::{COMMON, FORMAT, VERBOSE, switch};
use crate::command::Command;
use crate::commands::job;

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "node status",
        usage: "node status [options] <node>",
        about: "Shows a node, or lists all of them without an argument.",
        flags: &[
            &[
                switch("self", "Show the node of the agent that answers."),
                switch("short", "Show only the node's summary and its allocs."),
                switch("stats", "Show the host's resource usage in detail."),
                switch("allocs", "In the list: count the running allocs."),
                switch("quiet", "In the list: print only ids."),
            ],
            job::FILTER,
            FORMAT,
            VERBOSE,
            COMMON,
        ],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(status::run(cx)),
    },
    Command {
        name: "node eligibility",
        usage: "node eligibility [options] <node>",
        about: "Sets whether new allocs may be placed on a node. Those that run there stay.",
        flags: &[
            &[
                switch("enable", "New allocs may be placed on the node."),
                switch("disable", "No new allocs may be placed on the node."),
                switch("self", "The node of the agent that answers."),
            ],
            COMMON,
        ],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(eligibility::run(cx)),
    },
];
