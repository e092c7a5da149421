//! `version`.

use crate::args::switch;
use crate::command::{Command, Context};
use crate::failure::Outcome;

/// The commands.
pub const COMMANDS: &[Command] = &[Command {
    name: "version",
    usage: "version",
    about: "Prints the version of rove.",
    flags: &[&[switch("json", "Print the version as JSON.")]],
    verb: false,
    misuse: 1,
    run: |cx| Box::pin(version(cx)),
}];

async fn version(cx: &mut Context) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    if cx.args.is("json") {
        return cx.print_format(&serde_json::json!({"Version": version}));
    }
    cx.ui.line(format!("Rove v{version}"));
    Ok(0)
}
