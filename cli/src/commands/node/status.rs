//! `node status`.

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::Value;

use crate::client::Client;
use crate::command::{Context, failed};
use crate::commands::lookup;
use crate::failure::{Failure, Outcome};
use crate::render::table::{Fields, Table};
use crate::render::{allocs, short, size, time};
use rove_model::{alloc::ClientStatus, node::NodeState};
use rove_wire::{Alloc, AllocStub, AllocUsage, HostStats, Node, NodeStub};

/// So many allocs are asked at a time what they use.
const AT_ONCE: usize = 8;
/// Asking them all takes no longer than this; what has not answered by then counts as nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lists the nodes, or shows the one that is named.
pub async fn run(cx: &mut Context) -> Outcome {
    let given = cx.one_or_none("This command takes either one or no arguments")?;
    let client = cx.client()?;
    let id = match given {
        None if cx.args.is("self") => lookup::own_node(&client).await?,
        None => return list(cx, &client).await,
        Some(prefix) => {
            let verbose = cx.args.is("verbose");
            lookup::node(&client, &prefix, |nodes| table(nodes, verbose))
                .await?
                .id
        }
    };
    let path = format!("/v1/node/{id}");
    if cx.wants_format() {
        let node: Value = client
            .get(&path, &[])
            .await
            .map_err(failed("Error querying node info"))?;
        return cx.print_format(&node);
    }
    let node: Node = client
        .get(&path, &[])
        .await
        .map_err(failed("Error querying node info"))?;
    one(cx, &client, &node).await
}

async fn list(cx: &mut Context, client: &Client) -> Outcome {
    let filter = cx.args.last("filter").map(str::to_owned);
    let query: Vec<(&str, &str)> = filter.iter().map(|f| ("filter", f.as_str())).collect();
    let what = "Error querying node status";
    if cx.wants_format() {
        let nodes: Value = client
            .get("/v1/nodes", &query)
            .await
            .map_err(failed(what))?;
        return cx.print_format(&nodes);
    }
    let nodes: Vec<NodeStub> = client
        .get("/v1/nodes", &query)
        .await
        .map_err(failed(what))?;
    let verbose = cx.args.is("verbose");
    if cx.args.is("quiet") {
        if verbose || cx.args.is("allocs") {
            return Err(Failure::new(
                "-quiet cannot be used with -verbose or -allocs",
            ));
        }
        for node in &nodes {
            cx.ui.line(&node.id);
        }
        return Ok(0);
    }
    if nodes.is_empty() {
        return Ok(0);
    }
    let mut text = table(&nodes, verbose);
    if cx.args.is("allocs") {
        let mut lines = text.lines().map(str::to_owned);
        let mut counted = Table::new([
            lines.next().unwrap_or_default(),
            "Running Allocs".to_owned(),
        ]);
        for (line, node) in lines.zip(&nodes) {
            let found: Vec<AllocStub> = client
                .get(&format!("/v1/node/{}/allocations", node.id), &[])
                .await
                .map_err(failed("Error querying node allocations"))?;
            let running = found
                .iter()
                .filter(|a| a.client == ClientStatus::Running)
                .count();
            counted.row([line, running.to_string()]);
        }
        text = counted.render();
    }
    cx.ui.line(text);
    Ok(0)
}

/// A list of nodes.
pub fn table(nodes: &[NodeStub], verbose: bool) -> String {
    let mut headings = vec!["ID", "Node Pool", "DC", "Name", "Class"];
    if verbose {
        headings.extend(["Address", "Version"]);
    }
    headings.extend(["Drain", "Eligibility", "Status"]);
    let mut table = Table::new(headings);
    for node in nodes {
        let mut row = vec![
            short(&node.id, allocs::length(verbose)),
            node.pool.clone(),
            node.datacenter.clone(),
            node.name.clone(),
            node.class.clone(),
        ];
        if verbose {
            row.extend([node.address.clone(), node.version.clone()]);
        }
        row.extend([
            node.drain.to_string(),
            node.eligibility.to_string(),
            node.status.to_string(),
        ]);
        table.row(row);
    }
    table.render()
}

async fn one(cx: &mut Context, client: &Client, node: &Node) -> Outcome {
    let (verbose, brief) = (cx.args.is("verbose"), cx.args.is("short"));
    let host: Option<HostStats> = if brief || node.status != NodeState::Ready {
        None
    } else {
        match client
            .get("/v1/client/stats", &[("node_id", &node.id)])
            .await
        {
            Ok(usage) => Some(usage),
            Err(error) => {
                cx.ui
                    .error(format!("error fetching node stats: {}", error.full()));
                None
            }
        }
    };
    let mut found: Vec<AllocStub> = client
        .get(&format!("/v1/node/{}/allocations", node.id), &[])
        .await
        .map_err(failed("Error querying node allocations"))?;
    allocs::newest_first(&mut found);

    let text = header(node, host.as_ref(), verbose, brief);
    cx.ui.line(text);
    if !brief {
        if verbose {
            volumes_and_drivers(cx, node);
        }
        events(cx, node, verbose);
        usage(cx, client, node, host.as_ref(), &found).await?;
        if let (true, Some(host)) = (cx.args.is("stats"), &host) {
            host_details(cx, host);
        }
    }
    let title = cx.ui.bold("Allocations");
    let text = allocs::on_node(&found, verbose, cx.now());
    cx.ui.line(format!("\n{title}\n{text}"));
    if verbose && !brief {
        for (title, map) in [("Attributes", &node.attributes), ("Meta", &node.meta)] {
            if map.is_empty() {
                continue;
            }
            let mut fields = Fields::new();
            for (key, value) in map {
                fields.add(key, value);
            }
            let title = cx.ui.bold(title);
            cx.ui.line(format!("\n{title}\n{}", fields.render()));
        }
    }
    Ok(0)
}

fn header(node: &Node, host: Option<&HostStats>, verbose: bool, brief: bool) -> String {
    let names = |keys: Vec<&String>| {
        keys.into_iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(",")
    };
    let mut fields = Fields::new();
    fields
        .add("ID", &node.id)
        .add("Name", &node.name)
        .add("Node Pool", &node.pool)
        .add("Class", &node.class)
        .add("DC", &node.datacenter)
        .add("Drain", node.drain.to_string())
        .add("Eligibility", &node.eligibility)
        .add("Status", &node.status)
        .add(
            "CSI Controllers",
            names(node.csi_controllers.keys().collect()),
        )
        .add("CSI Drivers", names(node.csi_nodes.keys().collect()));
    if let Some(host) = host {
        let uptime = i64::try_from(host.uptime)
            .unwrap_or(0)
            .saturating_mul(1_000_000_000);
        fields.add("Uptime", time::duration(uptime));
    }
    if !verbose || brief {
        let drivers: Vec<String> = node
            .drivers
            .iter()
            .filter(|(_, d)| d.detected)
            .map(|(name, d)| {
                if d.healthy {
                    name.clone()
                } else {
                    format!("{name} (unhealthy)")
                }
            })
            .collect();
        fields
            .add("Host Volumes", names(node.host_volumes.keys().collect()))
            .add("Host Networks", names(node.host_networks.keys().collect()))
            .add("CSI Volumes", "")
            .add(
                if brief { "Drivers" } else { "Driver Status" },
                drivers.join(","),
            );
    }
    fields.render()
}

fn volumes_and_drivers(cx: &mut Context, node: &Node) {
    if !node.host_volumes.is_empty() {
        let mut table = Table::new(["Name", "ReadOnly", "Source"]);
        for (name, volume) in &node.host_volumes {
            table.row([
                name.clone(),
                volume.read_only.to_string(),
                volume.path.clone(),
            ]);
        }
        let title = cx.ui.bold("Host Volumes");
        cx.ui.line(format!("\n{title}\n{}", table.render()));
    }
    if !node.host_networks.is_empty() {
        let mut table = Table::new(["Name", "CIDR", "Interface", "ReservedPorts"]);
        for (name, network) in &node.host_networks {
            table.row([
                name.clone(),
                network.cidr.clone(),
                network.interface.clone(),
                network.reserved_ports.clone(),
            ]);
        }
        let title = cx.ui.bold("Host Networks");
        cx.ui.line(format!("\n{title}\n{}", table.render()));
    }
    let mut table = Table::new(["Driver", "Detected", "Healthy", "Message", "Time"]);
    for (name, driver) in &node.drivers {
        table.row([
            name.clone(),
            driver.detected.to_string(),
            driver.healthy.to_string(),
            driver.description.clone(),
            time::stamp_text(driver.updated.as_deref()),
        ]);
    }
    let title = cx.ui.bold("Drivers");
    cx.ui.line(format!("\n{title}\n{}", table.render()));
}

fn events(cx: &mut Context, node: &Node, verbose: bool) {
    let mut headings = vec!["Time", "Subsystem", "Message"];
    headings.extend(verbose.then_some("Details"));
    let mut table = Table::new(headings);
    for event in node.events.iter().rev() {
        // An event of a driver names it.
        let subsystem = match event
            .details
            .get("driver")
            .filter(|_| event.subsystem == "Driver")
        {
            Some(driver) => format!("Driver: {driver}"),
            None => event.subsystem.clone(),
        };
        let mut row = vec![
            time::stamp_text(event.time.as_deref()),
            subsystem,
            event.message.clone(),
        ];
        if verbose {
            row.push(
                event
                    .details
                    .iter()
                    .map(|(k, v)| format!("{k}: {v}"))
                    .collect::<Vec<_>>()
                    .join(", "),
            );
        }
        table.row(row);
    }
    let title = cx.ui.bold("Node Events");
    cx.ui.line(format!("\n{title}\n{}", table.render()));
}

async fn usage(
    cx: &mut Context,
    client: &Client,
    node: &Node,
    host: Option<&HostStats>,
    found: &[AllocStub],
) -> Result<(), Failure> {
    let left = |all: u64, reserved: u64| all.saturating_sub(reserved);
    let cpu = left(node.resources.cpu.shares, node.reserved.cpu.shares);
    let memory = left(node.resources.memory.memory, node.reserved.memory.memory);
    let disk = left(node.resources.disk.disk, node.reserved.disk.disk);
    // The lists do not say what an alloc was given.
    let live: Vec<&AllocStub> = found
        .iter()
        .filter(|a| !matches!(a.client.known(), Some(status) if status.is_terminal()))
        .collect();
    let mut given = (0, 0, 0);
    let mut wholes = futures::stream::iter(live.iter().map(|stub| {
        let (client, path) = (
            client.in_namespace(&stub.namespace),
            format!("/v1/allocation/{}", stub.id),
        );
        async move { client.get::<Alloc>(&path, &[]).await }
    }))
    .buffered(AT_ONCE);
    while let Some(alloc) = wholes.next().await {
        let alloc = match alloc {
            Ok(alloc) => alloc,
            Err(error) if error.not_found() => continue,
            Err(error) => return Err(failed("Error querying allocation")(error)),
        };
        let Some(resources) = alloc.resources else {
            continue;
        };
        given.0 += resources.tasks.values().map(|t| t.cpu.shares).sum::<u64>();
        given.1 += resources
            .tasks
            .values()
            .map(|t| t.memory.memory)
            .sum::<u64>();
        given.2 += resources.shared.disk;
    }
    let mut table = Table::new(["CPU", "Memory", "Disk"]);
    table.row([
        format!("{}/{cpu} MHz", given.0),
        format!("{}/{}", size::mebibytes(given.1), size::mebibytes(memory)),
        format!("{}/{}", size::mebibytes(given.2), size::mebibytes(disk)),
    ]);
    let title = cx.ui.bold("Allocated Resources");
    cx.ui.line(format!("\n{title}\n{}", table.render()));
    let Some(host) = host else { return Ok(()) };

    let running = live.iter().filter(|a| a.client == ClientStatus::Running);
    let answers = futures::stream::iter(running.map(|stub| {
        let (client, path) = (
            client.in_namespace(&stub.namespace),
            format!("/v1/client/allocation/{}/stats", stub.id),
        );
        async move { client.get::<AllocUsage>(&path, &[]).await }
    }))
    .buffer_unordered(AT_ONCE)
    .filter_map(|answer| async { Some(answer.ok()?.resource_usage) });
    let mut used = (0.0, 0);
    let sum = async {
        futures::pin_mut!(answers);
        while let Some(usage) = answers.next().await {
            used.0 += usage.cpu_stats.total_ticks;
            let memory = usage.memory_stats;
            used.1 += if memory.rss > 0 {
                memory.rss
            } else {
                memory.usage
            };
        }
    };
    // A node that answers slowly makes the sum smaller, not the command endless.
    let _ = tokio::time::timeout(PATIENCE, sum).await;
    let total = host.memory.total;
    let mut table = Table::new(["CPU", "Memory"]);
    table.row([
        format!("{:.0}/{cpu} MHz", f64::floor(used.0)),
        format!("{}/{}", size::bytes(used.1), size::bytes(total)),
    ]);
    let title = cx.ui.bold("Allocation Resource Utilization");
    cx.ui.line(format!("\n{title}\n{}", table.render()));

    let disk = &host.alloc_dir_stats;
    let disk = format!("{}/{}", size::bytes(disk.used), size::bytes(disk.size));
    let mut table = Table::new(["CPU", "Memory", "Disk"]);
    table.row([
        format!(
            "{:.0}/{} MHz",
            host.cpu_ticks_consumed.floor(),
            node.resources.cpu.shares
        ),
        format!("{}/{}", size::bytes(host.memory.used), size::bytes(total)),
        disk,
    ]);
    let title = cx.ui.bold("Host Resource Utilization");
    cx.ui.line(format!("\n{title}\n{}", table.render()));
    Ok(())
}

fn host_details(cx: &mut Context, host: &HostStats) {
    let cpus: Vec<String> = host
        .cpu
        .iter()
        .map(|cpu| {
            let mut fields = Fields::new();
            fields
                .add("CPU", &cpu.cpu)
                .add("User", format!("{:.2}%", cpu.user))
                .add("System", format!("{:.2}%", cpu.system))
                .add("Idle", format!("{:.2}%", cpu.idle));
            fields.render()
        })
        .collect();
    let title = cx.ui.bold("CPU Stats");
    cx.ui.line(format!("\n{title}\n{}", cpus.join("\n\n")));
    let mut fields = Fields::new();
    fields
        .add("Total", size::bytes(host.memory.total))
        .add("Available", size::bytes(host.memory.available))
        .add("Used", size::bytes(host.memory.used))
        .add("Free", size::bytes(host.memory.free));
    let title = cx.ui.bold("Memory Stats");
    cx.ui.line(format!("\n{title}\n{}", fields.render()));
    let disks: Vec<String> = host
        .disk_stats
        .iter()
        .map(|disk| {
            let mut fields = Fields::new();
            fields
                .add("Device", &disk.device)
                .add("MountPoint", &disk.mountpoint)
                .add("Size", size::bytes(disk.size))
                .add("Used", size::bytes(disk.used))
                .add("Available", size::bytes(disk.available))
                .add("Used Percent", format!("{:.2}%", disk.used_percent))
                .add(
                    "Inodes Percent",
                    format!("{:.2}%", disk.inodes_used_percent),
                );
            fields.render()
        })
        .collect();
    let title = cx.ui.bold("Disk Stats");
    cx.ui.line(format!("\n{title}\n{}", disks.join("\n\n")));
}
