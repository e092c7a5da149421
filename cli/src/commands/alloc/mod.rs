//! The commands about allocs.

pub mod control;
pub mod follow;
pub mod fs;
pub mod logs;
pub mod status;

use crate::args::{COMMON, FORMAT, Flag, Kind, VERBOSE, switch, text};
use crate::command::Command;

const TAIL: &[Flag] = &[
    switch(
        "f",
        "Follow: keep printing as more is written, until interrupted.",
    ),
    Flag::new(
        "tail",
        Kind::SwitchOrNumber("lines"),
        "Show the end of the output; with a number, that many lines of it.",
    ),
    Flag::new(
        "n",
        Kind::Number("lines"),
        "How many lines to show from the end, with or without -tail; 10 by default.",
    ),
    Flag::new(
        "c",
        Kind::Number("bytes"),
        "How many bytes to show from the end, with or without -tail.",
    ),
];

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "alloc status",
        usage: "alloc status [options] <allocation>",
        about: "Shows an alloc: where it runs, its addresses, what its tasks use and what happened to them.",
        flags: &[
            &[
                switch("short", "Show one line for each task."),
                switch("stats", "Show the tasks' resource usage in detail."),
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
        name: "alloc logs",
        usage: "alloc logs [options] <allocation> [<task>]",
        about: "Prints what a task has written. The argument is an alloc, or job/NAME for one alloc of that job. The \
                task may be left out if the alloc has only one, or one main task.\n\n\
                Standard output is printed; with -f both, each on its own.",
        flags: &[
            TAIL,
            &[
                switch("stderr", "Print what was written to standard error."),
                switch("stdout", "Print what was written to standard output."),
                text("task", "name", "The task."),
                switch(
                    "job",
                    "The argument is the id of a job: use one of its allocs.",
                ),
                text("group", "name", "With -job: use an alloc of this group."),
            ],
            VERBOSE,
            COMMON,
        ],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(logs::run(cx)),
    },
    Command {
        name: "alloc fs",
        usage: "alloc fs [options] <allocation> [<path>]",
        about: "Lists a folder of an alloc, or prints a file of it.",
        flags: &[
            TAIL,
            &[
                switch("H", "Print sizes in bytes."),
                switch(
                    "stat",
                    "Show the file's size, mode and time instead of its content.",
                ),
                switch(
                    "job",
                    "The argument is the id of a job: use one of its allocs.",
                ),
            ],
            VERBOSE,
            COMMON,
        ],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(fs::run(cx)),
    },
    Command {
        name: "alloc stop",
        usage: "alloc stop [options] <allocation>",
        about: "Stops an alloc; the scheduler places a replacement.",
        flags: &[
            &[
                switch(
                    "detach",
                    "Return at once instead of following the progress.",
                ),
                switch(
                    "no-shutdown-delay",
                    "Stop at once, without the shutdown_delay of the job's tasks and services.",
                ),
            ],
            VERBOSE,
            COMMON,
        ],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(control::stop(cx)),
    },
    Command {
        name: "alloc restart",
        usage: "alloc restart [options] <allocation> [<task>]",
        about: "Restarts the running tasks of an alloc, or one of them, where they are.",
        flags: &[
            &[
                text("task", "name", "Act on this task only."),
                switch("all-tasks", "Include tasks that have ended."),
            ],
            VERBOSE,
            COMMON,
        ],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(control::restart(cx)),
    },
    Command {
        name: "alloc signal",
        usage: "alloc signal [options] <allocation> [<task>]",
        about: "Sends a signal to the tasks of an alloc, or to one of them.",
        flags: &[
            &[
                text("s", "signal", "The signal, SIGKILL by default."),
                text("task", "name", "Act on this task only."),
            ],
            VERBOSE,
            COMMON,
        ],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(control::signal(cx)),
    },
];

/// The lines or bytes from the end that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Everything.
    Start,
    /// So many lines from the end.
    Lines(u64),
    /// So many bytes from the end.
    Bytes(u64),
}

/// What `-tail`, `-n` and `-c` ask for.
pub fn from(args: &crate::args::Parsed) -> Result<From, crate::failure::Failure> {
    let positive = |name: &str, number: i64| {
        u64::try_from(number).map_err(|_| {
            crate::failure::Failure::new(format!("-{name} takes a number from 0, not {number}"))
        })
    };
    match (args.number("n"), args.number("c")) {
        (Some(_), Some(_)) => Err(crate::failure::Failure::usage(
            "-n and -c can't be used together",
        )),
        (Some(lines), None) => Ok(From::Lines(positive("n", lines)?)),
        (None, Some(bytes)) => Ok(From::Bytes(positive("c", bytes)?)),
        (None, None) => match (args.number("tail"), args.is("tail")) {
            // kubectl's --tail=-1 is everything.
            (Some(lines), _) => Ok(u64::try_from(lines).map_or(From::Start, From::Lines)),
            (None, true) => Ok(From::Lines(10)),
            (None, false) => Ok(From::Start),
        },
    }
}

/// The last `count` lines of `text`.
pub fn last_lines(text: &[u8], count: u64) -> &[u8] {
    let Ok(count) = usize::try_from(count) else {
        return text;
    };
    if count == 0 {
        return &text[text.len()..];
    }
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let mut ends = body.iter().enumerate().rev().filter(|(_, b)| **b == b'\n');
    match ends.nth(count - 1) {
        Some((at, _)) => &text[at + 1..],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_are_counted_from_the_end() {
        let cases: &[(&str, u64, &str)] = &[
            ("a\nb\nc\n", 1, "c\n"),
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\nb\n", 9, "a\nb\n"),
            ("a\nb\n", 0, ""),
            ("", 3, ""),
            ("\n\n", 1, "\n"),
            ("a\n", u64::MAX, "a\n"),
        ];
        for (text, count, expected) in cases {
            assert_eq!(
                last_lines(text.as_bytes(), *count),
                expected.as_bytes(),
                "{text:?} {count}"
            );
        }
    }
}
