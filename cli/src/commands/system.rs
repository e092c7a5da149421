//! Housekeeping.

use serde_json::Value;

use crate::args::COMMON;
use crate::command::{Command, Context, failed};
use crate::failure::{Failure, Outcome};
use rove_wire::AgentSelf;

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "system gc",
        usage: "system gc [options]",
        about: "Asks for garbage collection now, which this version refuses: it collects by itself whatever nothing refers to \
                any more.",
        flags: &[COMMON],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(gc(cx)),
    },
    Command {
        name: "agent-info",
        usage: "agent-info [options]",
        about: "Shows information about the agent that answers.",
        flags: &[crate::args::FORMAT, COMMON],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(info(cx)),
    },
];

async fn gc(cx: &mut Context) -> Outcome {
    if !cx.args.positional.is_empty() {
        return Err(Failure::usage("This command takes no arguments"));
    }
    let client = cx.client()?;
    let _: Value = client
        .put("/v1/system/gc", &[], &Value::Null)
        .await
        .map_err(failed("Error running system garbage-collection"))?;
    Ok(0)
}

async fn info(cx: &mut Context) -> Outcome {
    if !cx.args.positional.is_empty() {
        return Err(Failure::usage("This command takes no arguments"));
    }
    let client = cx.client()?;
    let what = "Error querying agent info";
    if cx.wants_format() {
        let all: Value = client
            .get("/v1/agent/self", &[])
            .await
            .map_err(failed(what))?;
        return cx.print_format(&all);
    }
    let this: AgentSelf = client
        .get("/v1/agent/self", &[])
        .await
        .map_err(failed(what))?;
    for (section, values) in &this.stats {
        cx.ui.line(section);
        for (key, value) in values {
            cx.ui.line(format!("  {key} = {value}"));
        }
    }
    Ok(0)
}
