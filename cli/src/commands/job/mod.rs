//! The commands about jobs.

pub mod init;
pub mod plan;
pub mod run;
pub mod scale;
pub mod source;
pub mod status;
pub mod stop;
pub mod validate;
pub mod versions;

use crate::args::{COMMON, FORMAT, Flag, VERBOSE, number, switch, text};
use crate::command::Command;

const DETACH: &[Flag] = &[switch(
    "detach",
    "Return at once instead of following the progress.",
)];

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "job init",
        usage: "job init [options] [filename]",
        about: "Writes an example job file to start from, example.nomad.hcl if no name is given. \
                A file that is there already is left alone.",
        flags: &[&[switch(
            "short",
            "Write only what is needed, without the explanations.",
        )]],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(init::run(cx)),
    },
    Command {
        name: "job validate",
        usage: "job validate [options] <path>",
        about: "Checks a job file without running it. With \"-\" as path the file is read from standard input.",
        flags: &[source::FLAGS, COMMON],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(validate::run(cx)),
    },
    Command {
        name: "job plan",
        usage: "job plan [options] <path>",
        about: "Shows what running a job file would change, and whether there is room for it. Nothing is changed. \
                The index that is printed can be given to \"job run -check-index\", which then runs the file only if \
                nobody has changed the job in between.\n\n\
                Exits with 0 if no alloc would be created or destroyed, with 1 if any would, with 255 on an error.",
        flags: &[
            source::FLAGS,
            &[
                switch("diff", "Show the differences; -diff=false leaves them out."),
                switch("verbose", "Show every field of a new job."),
                switch("policy-override", "Override soft-mandatory policies."),
            ],
            COMMON,
        ],
        verb: false,
        misuse: 255,
        run: |cx| Box::pin(plan::run(cx)),
    },
    Command {
        name: "job run",
        usage: "job run [options] <path>",
        about: "Registers the job of a file, new or changed, and shows what comes of it until the roll-out is done. \
                With \"-\" as path the file is read from standard input.\n\n\
                Exits with 1 on an error or a failed roll-out, with 2 if something could not be placed.",
        flags: &[
            source::FLAGS,
            &[
                number(
                    "check-index",
                    "index",
                    "Register only if the job's modify index is this; 0 means only if the job is new.",
                ),
                switch("output", "Print the job as JSON and register nothing."),
                number(
                    "eval-priority",
                    "number",
                    "The priority of the evaluation, from 1 to 100, in place of the job's.",
                ),
                switch(
                    "preserve-counts",
                    "Keep the current counts of groups instead of those in the file.",
                ),
                switch("policy-override", "Override soft-mandatory policies."),
            ],
            DETACH,
            VERBOSE,
            COMMON,
        ],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(run::run(cx)),
    },
    Command {
        name: "job status",
        usage: "status [options] <job>",
        about: "Shows one job, or lists all of them without an argument.",
        flags: &[
            &[
                switch("short", "Show only the job's summary."),
                switch("evals", "Show the job's evaluations."),
                switch(
                    "all-allocs",
                    "Include allocs of an earlier job with the same id.",
                ),
            ],
            FORMAT,
            VERBOSE,
            COMMON,
        ],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(status::run(cx)),
    },
    Command {
        name: "job stop",
        usage: "job stop [options] <job>...",
        about: "Stops a job: all its allocs are stopped. The job can be looked at and run again; -purge forgets it. \
                A job that is named by the beginning of its id is stopped after a question.",
        flags: &[
            &[
                switch(
                    "purge",
                    "Delete the job from the cluster's state at once; it can no longer be inspected.",
                ),
                switch("yes", "Do not ask."),
                switch("global", "Stop the job in all regions."),
                switch(
                    "no-shutdown-delay",
                    "Stop at once, without the shutdown_delay of the job's tasks and services.",
                ),
                number(
                    "eval-priority",
                    "number",
                    "The priority of the evaluation, from 1 to 100, in place of the job's.",
                ),
            ],
            DETACH,
            VERBOSE,
            COMMON,
        ],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(stop::run(cx)),
    },
    Command {
        name: "job inspect",
        usage: "job inspect [options] <job>",
        about: "Prints a job as the API has it, with all defaults.",
        flags: &[
            &[number("version", "number", "Print this version.")],
            FORMAT,
            COMMON,
        ],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(versions::inspect(cx)),
    },
    Command {
        name: "job history",
        usage: "job history [options] <job>",
        about: "Lists the versions of a job, newest first.",
        flags: &[
            &[
                switch("p", "Show what each version changed."),
                switch("full", "Print the full definition of each version."),
                number("version", "number", "Show only this version."),
            ],
            FORMAT,
            COMMON,
        ],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(versions::history(cx)),
    },
    Command {
        name: "job revert",
        usage: "job revert [options] <job> <version>",
        about: "Runs an earlier version of a job again, as its newest.",
        flags: &[DETACH, VERBOSE, COMMON],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(versions::revert(cx)),
    },
    Command {
        name: "job scale",
        usage: "job scale [options] <job> [<group>] <count>",
        about: "Sets how many instances of a group run. The group may be left out if the job has only one.",
        flags: &[DETACH, VERBOSE, COMMON],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(scale::scale(cx)),
    },
    Command {
        name: "job scaling-events",
        usage: "job scaling-events [options] <job>",
        about: "Lists how a job was scaled.",
        flags: &[VERBOSE, COMMON],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(scale::events(cx)),
    },
    Command {
        name: "job eval",
        usage: "job eval [options] <job>",
        about: "Has the scheduler evaluate a job again although nothing has changed.",
        flags: &[
            &[switch(
                "force-reschedule",
                "Reschedule failed allocs even if their reschedule policy has no attempts left.",
            )],
            DETACH,
            VERBOSE,
            COMMON,
        ],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(scale::evaluate(cx)),
    },
    Command {
        name: "job deployments",
        usage: "job deployments [options] <job>",
        about: "Lists the deployments of a job.",
        flags: &[
            &[
                switch("latest", "Show only the latest."),
                switch("all", "Include those of an earlier job with the same id."),
            ],
            FORMAT,
            VERBOSE,
            COMMON,
        ],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(scale::deployments(cx)),
    },
    Command {
        name: "job allocs",
        usage: "job allocs [options] <job>",
        about: "Lists the allocs of a job.",
        flags: &[
            &[switch(
                "all",
                "Include those of an earlier job with the same id.",
            )],
            FORMAT,
            VERBOSE,
            COMMON,
        ],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(status::job_allocs(cx)),
    },
];

/// `-filter`, as the lists of the API have it.
pub const FILTER: &[Flag] = &[text(
    "filter",
    "expression",
    "Show only what the expression holds for: 'Status == \"ready\"'.",
)];
