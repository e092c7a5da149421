//! `alloc status`.

use crate::client::Client;
use crate::command::{Context, failed};
use crate::commands::lookup;
use crate::failure::Outcome;
use crate::render::quote::quoted;
use crate::render::table::{Fields, Table};
use crate::render::{allocs, metrics, short, size, time};
use rove_model::{alloc::ClientStatus, job::Lifecycle};
use rove_wire::{Alloc, AllocUsage, TaskState, TaskUsage};

/// Shows an alloc.
pub async fn run(cx: &mut Context) -> Outcome {
    let given = cx.one_or_none("This command takes one of the following argument conditions:\n * A single <allocation>\n * No arguments, with output format specified")?;
    let verbose = cx.args.is("verbose");
    let client = cx.client()?;
    let Some(prefix) = given else {
        if !cx.wants_format() {
            return Err(crate::failure::Failure::usage(
                "This command takes one argument: <allocation>",
            ));
        }
        let all: serde_json::Value = client
            .get("/v1/allocations", &[])
            .await
            .map_err(failed("Error querying allocations"))?;
        return cx.print_format(&all);
    };
    let stub = lookup::alloc(cx, &client, &prefix, verbose).await?;
    let client = client.in_namespace(&stub.namespace);
    let path = format!("/v1/allocation/{}", stub.id);
    if cx.wants_format() {
        let alloc: serde_json::Value = client
            .get(&path, &[])
            .await
            .map_err(failed("Error querying allocation"))?;
        return cx.print_format(&alloc);
    }
    let alloc: Alloc = client
        .get(&path, &[])
        .await
        .map_err(failed("Error querying allocation"))?;
    if cx.args.is("short") {
        brief(cx, &alloc);
        return Ok(0);
    }
    let text = header(cx, &alloc, verbose);
    cx.ui.line(text);
    if let Some(text) = addresses(&alloc) {
        let (title, rest) = text;
        let title = cx.ui.bold(&title);
        cx.ui.line(format!("\n{title}\n{rest}"));
    }
    let usage = usage(cx, &client, &alloc).await;
    for (name, lifecycle) in order(&alloc) {
        let state = alloc.states.get(&name).cloned().unwrap_or_default();
        task(
            cx,
            &alloc,
            &name,
            lifecycle.as_ref(),
            &state,
            usage.tasks.get(&name),
        );
    }
    if verbose && let Some(found) = &alloc.metrics {
        let title = cx.ui.bold("Placement Metrics");
        let reasons = metrics::reasons(found, "  ");
        let text = [reasons, metrics::scores(found)]
            .into_iter()
            .filter(|t| !t.is_empty())
            .collect::<Vec<_>>();
        cx.ui.line(format!("\n{title}\n{}", text.join("\n")));
    }
    Ok(0)
}

/// What the tasks use. A node that can't be reached is a hint on standard error, not the end.
async fn usage(cx: &mut Context, client: &Client, alloc: &Alloc) -> AllocUsage {
    if alloc.client == ClientStatus::Pending || alloc.client == ClientStatus::Lost {
        return AllocUsage::default();
    }
    match client
        .get(&format!("/v1/client/allocation/{}/stats", alloc.id), &[])
        .await
    {
        Ok(usage) => usage,
        Err(error) => {
            if alloc.client == ClientStatus::Running {
                cx.ui
                    .error(format!("Couldn't retrieve stats: {}", error.full()));
            }
            AllocUsage::default()
        }
    }
}

/// The tasks, those that run before the main ones first and those after them last.
fn order(alloc: &Alloc) -> Vec<(String, Option<Lifecycle>)> {
    let group = alloc
        .job
        .iter()
        .flat_map(|j| j.task_groups.iter())
        .find(|g| g.name == alloc.group);
    let mut tasks: Vec<(String, Option<Lifecycle>)> = match group {
        Some(group) => group
            .tasks
            .iter()
            .map(|t| (t.name.clone(), t.lifecycle.clone()))
            .collect(),
        None => alloc
            .states
            .keys()
            .map(|name| (name.clone(), None))
            .collect(),
    };
    tasks.sort_by_key(|(name, lifecycle)| {
        let turn = match lifecycle.as_ref().map(|l| (l.hook.as_str(), l.sidecar)) {
            Some(("prestart", false)) => 0,
            Some(("prestart", true)) => 1,
            Some(("poststart", false)) => 3,
            Some(("poststart", true)) => 4,
            Some(("poststop", _)) => 5,
            _ => 2,
        };
        (turn, name.clone())
    });
    tasks
}

fn lifecycle_name(lifecycle: Option<&Lifecycle>) -> String {
    match lifecycle {
        None => "main".to_owned(),
        Some(l) if l.hook.is_empty() => "main".to_owned(),
        Some(l) if l.sidecar => format!("{}-sidecar", l.hook),
        Some(l) => l.hook.clone(),
    }
}

fn brief(cx: &mut Context, alloc: &Alloc) {
    let now = cx.now();
    let mut fields = Fields::new();
    fields
        .add("ID", &alloc.id)
        .add("Name", &alloc.name)
        .add("Created", time::ago(alloc.create_time, now))
        .add("Modified", time::ago(alloc.modify_time, now));
    cx.ui.line(fields.render());
    let mut table = Table::new(["Name", "State", "Last Event", "Time", "Lifecycle"]);
    for (name, lifecycle) in order(alloc) {
        let state = alloc.states.get(&name).cloned().unwrap_or_default();
        let (event, at) = match state.events.last() {
            Some(event) => (event.kind.to_string(), time::stamp(event.time)),
            None => (String::new(), String::new()),
        };
        table.row([
            name,
            state.state.to_string(),
            event,
            at,
            lifecycle_name(lifecycle.as_ref()),
        ]);
    }
    let title = cx.ui.bold("Tasks");
    cx.ui.line(format!("\n{title}\n{}", table.render()));
}

fn header(cx: &Context, alloc: &Alloc, verbose: bool) -> String {
    let length = allocs::length(verbose);
    let when = |at: i64| {
        if verbose {
            time::stamp(at)
        } else {
            time::ago(at, cx.now())
        }
    };
    let mut fields = Fields::new();
    fields
        .add("ID", &alloc.id)
        .add("Eval ID", short(&alloc.eval, length))
        .add("Name", &alloc.name)
        .add("Node ID", short(&alloc.node, length))
        .add("Node Name", &alloc.node_name)
        .add("Job ID", &alloc.job_id)
        .add(
            "Job Version",
            alloc.job.as_ref().map_or(0, |j| j.version).to_string(),
        )
        .add("Client Status", alloc.client.as_str())
        .add("Client Description", &alloc.client_description)
        .add("Desired Status", alloc.desired.as_str())
        .add("Desired Description", &alloc.desired_description)
        .add("Created", when(alloc.create_time))
        .add("Modified", when(alloc.modify_time));
    if !alloc.deployment.is_empty() {
        let health = match alloc.deployment_status.as_ref().and_then(|s| s.healthy) {
            Some(true) => "healthy",
            Some(false) => "unhealthy",
            None => "unset",
        };
        fields
            .add("Deployment ID", short(&alloc.deployment, length))
            .add("Deployment Health", health);
        if alloc.deployment_status.as_ref().is_some_and(|s| s.canary) {
            fields.add("Canary", "true");
        }
    }
    if !alloc.next.is_empty() {
        fields.add("Replacement Alloc ID", short(&alloc.next, length));
    }
    if let Some(attempts) = reschedule_attempts(alloc) {
        fields.add("Reschedule Attempts", attempts);
    }
    if !alloc.followup.is_empty() {
        fields.add("Follow-up Eval ID", short(&alloc.followup, length));
    }
    if verbose && let Some(found) = &alloc.metrics {
        fields
            .add("Evaluated Nodes", found.nodes_evaluated.to_string())
            .add("Filtered Nodes", found.nodes_filtered.to_string())
            .add("Exhausted Nodes", found.nodes_exhausted.to_string())
            .add("Allocation Time", time::duration(found.allocation_time))
            .add("Failures", found.coalesced_failures.to_string());
    }
    fields.render()
}

/// The heading and the table of the group's addresses, if it has any.
fn addresses(alloc: &Alloc) -> Option<(String, String)> {
    let shared = &alloc.resources.as_ref()?.shared;
    let network = shared.networks.first()?;
    let mut table = Table::new(["Label", "Dynamic", "Address"]);
    let mut row = |label: String, dynamic: bool, host: &str, value: i64, to: i64| {
        let mut address = if host.contains(':') {
            format!("[{host}]:{value}")
        } else {
            format!("{host}:{value}")
        };
        if to > 0 {
            address.push_str(&format!(" -> {to}"));
        }
        table.row([
            label,
            if dynamic { "yes" } else { "no" }.to_owned(),
            address,
        ]);
    };
    if shared.ports.is_empty() {
        for port in &network.dynamic {
            row(port.label.clone(), true, &network.ip, port.value, port.to);
        }
        for port in &network.reserved {
            row(port.label.clone(), false, &network.ip, port.value, port.to);
        }
    }
    for port in &shared.ports {
        let fixed = network.reserved.iter().any(|p| p.label == port.label);
        row(
            format!("*{}", port.label),
            !fixed,
            &port.host,
            port.value,
            port.to,
        );
    }
    let mode = match network.mode.as_str() {
        "" => String::new(),
        mode => format!(" (mode = {})", quoted(mode)),
    };
    Some((format!("Allocation Addresses{mode}:"), table.render()))
}

fn task(
    cx: &mut Context,
    alloc: &Alloc,
    name: &str,
    lifecycle: Option<&Lifecycle>,
    state: &TaskState,
    usage: Option<&TaskUsage>,
) {
    let role = match lifecycle_name(lifecycle).as_str() {
        "main" => String::new(),
        other => format!(" ({other})"),
    };
    let title = cx.ui.bold(&format!(
        "Task {}{role} is {}",
        quoted(name),
        quoted(&state.state)
    ));
    cx.ui.line(format!("\n{title}"));
    resources(cx, alloc, name, usage);
    if cx.args.is("stats") {
        detailed_usage(cx, usage);
    }
    let mut fields = Fields::new();
    fields
        .add("Started At", time::stamp_text(state.started.as_deref()))
        .add("Finished At", time::stamp_text(state.finished.as_deref()))
        .add("Total Restarts", state.restarts.to_string())
        .add(
            "Last Restart",
            time::stamp_text(state.last_restart.as_deref()),
        );
    cx.ui.line(format!("\nTask Events:\n{}", fields.render()));
    let mut table = Table::new(["Time", "Type", "Description"]);
    for event in state.events.iter().rev() {
        let text = if event.display.is_empty() {
            &event.message
        } else {
            &event.display
        };
        // An event may carry a driver's message of several lines; a table has one line for each event.
        let text = text
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        table.row([time::stamp(event.time), event.kind.to_string(), text]);
    }
    cx.ui.line(format!("\nRecent Events:\n{}", table.render()));
}

fn resources(cx: &mut Context, alloc: &Alloc, name: &str, usage: Option<&TaskUsage>) {
    let Some(given) = &alloc.resources else {
        return;
    };
    let Some(task) = given.tasks.get(name) else {
        return;
    };
    let used = usage.map(|u| &u.resource_usage);
    let mut cpu = task.cpu.shares.to_string();
    let mut memory = size::mebibytes(task.memory.memory);
    if let Some(found) = used
        .map(|u| &u.cpu_stats)
        .filter(|c| !c.measured.is_empty())
    {
        cpu = format!("{:.0}/{cpu}", found.total_ticks.floor());
    }
    if let Some(found) = used
        .map(|u| &u.memory_stats)
        .filter(|m| !m.measured.is_empty())
    {
        // Not every kernel measures the resident memory of a group of processes.
        let rss = found.rss > 0 || found.measured.iter().any(|m| m == "RSS");
        memory = format!(
            "{}/{memory}",
            size::bytes(if rss { found.rss } else { found.usage })
        );
    }
    let mut addresses = task.networks.iter().flat_map(|n| {
        let ports = n.dynamic.iter().chain(&n.reserved);
        ports.map(|p| format!("{}: {}:{}", p.label, n.ip, p.value))
    });
    let (first, second) = (addresses.next().unwrap_or_default(), addresses.next());
    let rest: Vec<String> = addresses.collect();
    let mut table = Table::new(["CPU", "Memory", "Disk", "Addresses"]).keep_empty();
    table.row([
        format!("{cpu} MHz"),
        memory,
        size::mebibytes(given.shared.disk),
        first,
    ]);
    let max = task.memory.max;
    let most = if max > 0 && max != task.memory.memory {
        format!("Max: {}", size::mebibytes(max))
    } else {
        String::new()
    };
    if !most.is_empty() || second.is_some() {
        table.row([
            String::new(),
            most,
            String::new(),
            second.unwrap_or_default(),
        ]);
    }
    for address in rest {
        table.row([String::new(), String::new(), String::new(), address]);
    }
    cx.ui.line(format!("Task Resources:\n{}", table.render()));
}

fn detailed_usage(cx: &mut Context, usage: Option<&TaskUsage>) {
    let Some(used) = usage.map(|u| &u.resource_usage) else {
        return;
    };
    let memory = &used.memory_stats;
    let cells: Vec<(&str, String)> = memory
        .measured
        .iter()
        .filter_map(|what| {
            let count = match what.as_str() {
                "RSS" => memory.rss,
                "Cache" => memory.cache,
                "Swap" => memory.swap,
                "Usage" => memory.usage,
                "Max Usage" => memory.max_usage,
                "Kernel Usage" => memory.kernel_usage,
                "Kernel Max Usage" => memory.kernel_max_usage,
                _ => return None,
            };
            Some((what.as_str(), size::bytes(count)))
        })
        .collect();
    measured(cx, "Memory Stats", cells);
    let cpu = &used.cpu_stats;
    let mut names: Vec<&str> = cpu.measured.iter().map(String::as_str).collect();
    names.sort_unstable();
    let cells = names
        .into_iter()
        .filter_map(|what| {
            let text = match what {
                "Percent" => format!("{:.2}%", cpu.percent),
                "System Mode" => format!("{:.2}%", cpu.system_mode),
                "User Mode" => format!("{:.2}%", cpu.user_mode),
                "Throttled Periods" => cpu.throttled_periods.to_string(),
                "Throttled Time" => cpu.throttled_time.to_string(),
                _ => return None,
            };
            Some((what, text))
        })
        .collect();
    measured(cx, "CPU Stats", cells);
}

fn measured(cx: &mut Context, title: &str, cells: Vec<(&str, String)>) {
    if cells.is_empty() {
        return;
    }
    let mut table = Table::new(cells.iter().map(|(name, _)| *name));
    table.row(cells.into_iter().map(|(_, text)| text));
    cx.ui.line(format!("\n{title}\n{}", table.render()));
}

/// How often an alloc was rescheduled, of how often its group's policy allows; none if it never was.
fn reschedule_attempts(alloc: &Alloc) -> Option<String> {
    let events = &alloc.reschedule.as_ref()?.events;
    if events.is_empty() {
        return None;
    }
    let groups = alloc.job.iter().flat_map(|job| &job.task_groups);
    let policy = groups
        .filter(|group| group.name == alloc.group)
        .find_map(|group| group.reschedule_policy.as_ref())
        .filter(|policy| !policy.unlimited() && policy.attempts() > 0);
    let Some(policy) = policy else {
        return Some(events.len().to_string());
    };
    // Attempts count within the interval that ends with the last of them.
    let last = events.iter().map(|event| event.time).max().unwrap_or(0);
    let counted = events
        .iter()
        .filter(|event| event.time > last.saturating_sub(policy.interval().0))
        .count();
    Some(format!("{counted}/{}", policy.attempts()))
}
