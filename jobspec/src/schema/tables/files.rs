//! What is brought into a task: artifacts and templates.

use super::row;
use crate::schema::{Kind, Table};

/// The fields of `artifact`.
pub(super) static ARTIFACT: Table = Table {
    title: "artifact",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row("source", "", "GetterSource", Kind::Text, "Where to fetch from: a URL, also with git::, s3:: and their like. Needed."),
        row(
            "options",
            "",
            "GetterOptions",
            Kind::TextMap,
            "Options of the fetch, as checksum = \"sha256:…\"."),
        row(
            "headers",
            "",
            "GetterHeaders",
            Kind::TextMap,
            "HTTP headers of the request."),
        row("mode", "", "GetterMode", Kind::Text, "What comes: file keeps it as one file, dir expands archives, any decides by what it is.").default("any").values(&["any", "file", "dir"]),
        row(
            "destination",
            "",
            "RelativeDest",
            Kind::Text,
            "Where it goes, relative to the task's directory.").default("local/"),
    ],
    finish: None,
};

/// The fields of `template`.
pub(super) static TEMPLATE: Table = Table {
    title: "template",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "source",
            "",
            "SourcePath",
            Kind::Text,
            "The file to render from; instead of data.",
        ),
        row(
            "destination",
            "",
            "DestPath",
            Kind::Text,
            "Where the file goes, relative to the task's directory. Needed.",
        ),
        row(
            "data",
            "",
            "EmbeddedTmpl",
            Kind::Text,
            "The text to render; instead of source.",
        ),
        row(
            "change_mode",
            "",
            "ChangeMode",
            Kind::Text,
            "What happens to the task when the rendered text changes.",
        )
        .default("restart")
        .values(&["noop", "signal", "script", "restart"]),
        row(
            "change_script",
            "",
            "ChangeScript",
            Kind::Block(&CHANGE_SCRIPT),
            "The script for change_mode = \"script\".",
        ),
        row(
            "change_signal",
            "",
            "ChangeSignal",
            Kind::Text,
            "The signal for change_mode = \"signal\".",
        )
        .default("SIGHUP"),
        row(
            "splay",
            "",
            "Splay",
            Kind::Duration,
            "Up to this much time, at random, passes before the change is acted on.",
        )
        .default("5s"),
        row(
            "perms",
            "",
            "Perms",
            Kind::Text,
            "The permissions of the file, in octal digits.",
        )
        .default("0644"),
        row(
            "uid",
            "",
            "Uid",
            Kind::Integer,
            "The owner of the file; -1 is whoever the agent runs as.",
        )
        .default("-1"),
        row(
            "gid",
            "",
            "Gid",
            Kind::Integer,
            "The group of the file; -1 is that of the agent.",
        )
        .default("-1"),
        row(
            "left_delimiter",
            "",
            "LeftDelim",
            Kind::Text,
            "What opens an action in the template.",
        )
        .default("{{"),
        row(
            "right_delimiter",
            "",
            "RightDelim",
            Kind::Text,
            "What closes an action in the template.",
        )
        .default("}}"),
        row(
            "env",
            "",
            "Envvars",
            Kind::Bool,
            "Read the rendered lines KEY=value into the task's environment.",
        )
        .default("false"),
        row(
            "vault_grace",
            "",
            "VaultGrace",
            Kind::Duration,
            "Read and without effect.",
        )
        .default("0s"),
        row(
            "wait",
            "",
            "Wait",
            Kind::Block(&WAIT),
            "How long changes are collected before the text is rendered.",
        ),
        row(
            "error_on_missing_key",
            "",
            "ErrMissingKey",
            Kind::Bool,
            "A key that is missing fails the rendering.",
        )
        .default("false"),
    ],
    finish: None,
};

/// The fields of `change_script`.
pub(super) static CHANGE_SCRIPT: Table = Table {
    title: "change_script",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "command",
            "",
            "Command",
            Kind::Text,
            "The program, inside the task. Needed.",
        ),
        row("args", "", "Args", Kind::Texts, "Its arguments."),
        row(
            "timeout",
            "",
            "Timeout",
            Kind::Duration,
            "How long it may take.",
        )
        .default("5s"),
        row(
            "fail_on_error",
            "",
            "FailOnError",
            Kind::Bool,
            "Its failure ends the task.",
        )
        .default("false"),
    ],
    finish: None,
};

/// The fields of `wait`.
pub(super) static WAIT: Table = Table {
    title: "wait",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "min",
            "",
            "Min",
            Kind::Duration,
            "The least time to wait after a change.",
        ),
        row(
            "max",
            "",
            "Max",
            Kind::Duration,
            "The most time to wait while changes go on.",
        ),
    ],
    finish: None,
};
