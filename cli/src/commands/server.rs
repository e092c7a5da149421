//! The commands about servers.

use crate::args::{COMMON, FORMAT, switch};
use crate::command::{Command, Context, failed};
use crate::failure::{Failure, Outcome};
use crate::render::table::Table;
use rove_wire::Members;

/// The commands.
pub const COMMANDS: &[Command] = &[Command {
    name: "server members",
    usage: "server members [options]",
    about: "Lists the servers, and which of them leads.",
    flags: &[
        &[switch("verbose", "Show more columns.").also(&["detailed", "v"])],
        FORMAT,
        COMMON,
    ],
    verb: false,
    misuse: 1,
    run: |cx| Box::pin(members(cx)),
}];

async fn members(cx: &mut Context) -> Outcome {
    if !cx.args.positional.is_empty() {
        return Err(Failure::usage("This command takes no arguments"));
    }
    let client = cx.client()?;
    let what = "Error querying servers";
    if cx.wants_format() {
        let all: serde_json::Value = client
            .get("/v1/agent/members", &[])
            .await
            .map_err(failed(what))?;
        let list = all.get("Members").cloned().unwrap_or(all);
        return cx.print_format(&list);
    }
    let all: Members = client
        .get("/v1/agent/members", &[])
        .await
        .map_err(failed(what))?;
    let mut members = all.members;
    if members.is_empty() {
        return Err(Failure::new("Agent doesn't know about server members"));
    }
    members.sort_by(|a, b| a.name.cmp(&b.name));
    // Without a leader the list is still worth printing.
    let leader: Result<String, _> = client.get("/v1/status/leader", &[]).await;
    let verbose = cx.args.is("verbose");
    let mut table = Table::new(if verbose {
        vec![
            "Name",
            "Address",
            "Port",
            "Status",
            "Leader",
            "Protocol",
            "Raft Version",
            "Build",
            "Datacenter",
            "Region",
            "Tags",
        ]
    } else {
        vec![
            "Name",
            "Address",
            "Port",
            "Status",
            "Leader",
            "Raft Version",
            "Build",
            "Datacenter",
            "Region",
        ]
    });
    for member in &members {
        let tag = |name: &str| member.tags.get(name).cloned().unwrap_or_default();
        let host = if member.addr.contains(':') {
            format!("[{}]", member.addr)
        } else {
            member.addr.clone()
        };
        let leads = leader
            .as_ref()
            .is_ok_and(|l| *l == format!("{host}:{}", tag("port")));
        let mut row = vec![
            member.name.clone(),
            member.addr.clone(),
            member.port.to_string(),
            member.status.clone(),
            leads.to_string(),
        ];
        if verbose {
            row.push(member.protocol.to_string());
        }
        row.extend([tag("raft_vsn"), tag("build"), tag("dc"), tag("region")]);
        if verbose {
            row.push(
                member
                    .tags
                    .iter()
                    .map(|(k, v)| format!("{k}={v}"))
                    .collect::<Vec<_>>()
                    .join(","),
            );
        }
        table.row(row);
    }
    cx.ui.line(table.render());
    if let Err(error) = leader {
        return Err(Failure::new(format!(
            "\nError determining leaders: {}",
            error.full()
        )));
    }
    Ok(0)
}
