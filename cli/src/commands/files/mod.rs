//! What works on files alone and asks no agent: other languages, layout, and what the fields of a job are.

mod convert;
mod diff;
mod explain;
mod fmt;
mod write;

use crate::args::{switch, text};
use crate::command::Command;
use crate::commands::job::source;

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "convert",
        usage: "convert [options] <path>",
        about: "Writes a job file in another language: HCL, YAML or the API's JSON. With \"-\" as path the file is \
                read from standard input.\n\n\
                Variables, functions and dynamic blocks are evaluated, comments are not kept, and defaults are not \
                filled in. The result is read again and compared: what a language can't say is refused by name, and \
                what a registered job holds beyond its file is left out with a warning.\n\n\
                A YAML file of several jobs becomes YAML, or, with a folder as -o, a file for each job.",
        flags: &[
            &[
                text(
                    "to",
                    "hcl|yaml|json",
                    "The language to write. By default the one that the ending of -o says, else YAML for HCL, and HCL for the others.",
                ),
                text(
                    "from",
                    "hcl|yaml|json",
                    "The language to read; by default detected from the file's name or content.",
                ),
                text(
                    "output",
                    "path",
                    "Write this file, or into this folder, instead of standard output.",
                )
                .also(&["o"]),
            ],
            source::FLAGS,
        ],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(convert::run(cx)),
    },
    Command {
        name: "fmt",
        usage: "fmt [options] [path]...",
        about: "Brings HCL files, of jobs or of agents, into the canonical layout. Only blanks change, never what a file \
                means; comments stay. A folder stands for its files that end in .hcl or .nomad, no path for the \
                current folder, \"-\" for standard input, whose text in the canonical layout goes to standard output.\n\n\
                A file with a mistake is left alone, and the mistake is shown with its place. Exits with 1 if there \
                is one, or if -check finds a file whose layout would change.",
        flags: &[&[
            switch(
                "check",
                "Change no file; exit with 1 if the layout of any would change.",
            ),
            switch("diff", "Show the changes as a diff."),
            switch(
                "list",
                "List the files whose layout changes; -list=false does not.",
            ),
            switch(
                "write",
                "Write the files; -write=false does not, and with -list=false prints them.",
            ),
            switch("recursive", "Include subfolders."),
        ]],
        verb: false,
        misuse: 2,
        run: |cx| Box::pin(fmt::run(cx)),
    },
    Command {
        name: "explain",
        usage: "explain [options] [job.field...]",
        about: "Explains a field or block of a job file: its type, its default, its names in HCL, YAML and JSON, \
                and the fields inside, as in \"explain job.group.task.resources\". Any of these names will do.",
        flags: &[&[
            switch(
                "recursive",
                "Include the fields of nested blocks, with their types.",
            ),
            switch(
                "schema",
                "Print the JSON schema of jobs in YAML, for editors.",
            ),
        ]],
        verb: true,
        misuse: 1,
        run: |cx| Box::pin(explain::run(cx)),
    },
];
