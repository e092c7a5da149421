//! What an agent prints before its log begins.

use std::{fmt::Write, path::PathBuf};

use super::{addresses::AgentAddresses, config::AgentConfig};

/// The line that says that everything listens.
#[must_use]
pub fn started(program: &str) -> String {
    format!(
        "==> {} agent started! Log data will stream in below:\n",
        title(program)
    )
}

/// The name that the program was called by, as it begins a sentence: tools wait for Nomad's line where they call it so.
fn title(program: &str) -> &'static str {
    if program == "nomad" { "Nomad" } else { "Rove" }
}

/// The lines before the start: which files were read, and what they came to.
#[must_use]
pub fn configuration(
    program: &str,
    config: &AgentConfig,
    files: &[PathBuf],
    addresses: &AgentAddresses,
    node_id: Option<&str>,
) -> String {
    let mut text = String::new();
    // Writing to a String can't fail.
    if files.is_empty() {
        text.push_str("==> No configuration files loaded\n");
    } else {
        let names: Vec<_> = files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        let _ = writeln!(text, "==> Loaded configuration from {}", names.join(", "));
    }
    let title = title(program);
    let _ = write!(
        text,
        "==> Starting {title} agent...\n==> {title} agent configuration:\n\n"
    );
    let mut rows = vec![
        (
            "Advertise Addrs",
            format!(
                "HTTP: {}; RPC: {}; Serf: {}",
                addresses.http, addresses.rpc, addresses.serf
            ),
        ),
        ("Bind Addrs", listening(config, addresses)),
        ("Client", config.client.enabled.to_string()),
        ("Log Level", config.log_level.to_uppercase()),
        (
            "Region",
            format!("{} (DC: {})", config.region, config.datacenter),
        ),
        ("Server", config.server.enabled.to_string()),
        ("Store", store(config)),
        ("Version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    if let Some(id) = node_id {
        rows.insert(4, ("Node Id", id.to_owned()));
    }
    for (name, value) in rows {
        let _ = writeln!(text, "{name:>22}: {value}");
    }
    text.push('\n');
    if addresses.reachable_from_outside() {
        text.push_str(&exposure(config, addresses));
    }
    text
}

fn listening(config: &AgentConfig, addresses: &AgentAddresses) -> String {
    if config.server.enabled {
        format!(
            "HTTP: [{}]; RPC: {}",
            addresses.http_listen, addresses.rpc_listen
        )
    } else {
        format!("HTTP: [{}]", addresses.http_listen)
    }
}

fn store(config: &AgentConfig) -> String {
    match (
        config.server.enabled,
        config.server.etcd.endpoints.as_slice(),
    ) {
        (true, []) => "embedded".to_owned(),
        (true, endpoints) => format!("etcd at {}", endpoints.join(", ")),
        (false, _) => format!("servers at {}", config.client.servers.join(", ")),
    }
}

/// Who can reach what, told when other machines can.
fn exposure(config: &AgentConfig, addresses: &AgentAddresses) -> String {
    let mut text = String::new();
    if !addresses.http_listen.ip().is_loopback() {
        let _ = writeln!(
            text,
            "==> Without access control everyone who reaches {} can run, change and stop jobs on this cluster{}.",
            addresses.http_listen,
            if config.client.enabled {
                " and read its tasks' files"
            } else {
                ""
            },
        );
    }
    if config.server.enabled && !addresses.rpc_listen.ip().is_loopback() {
        let _ = writeln!(
            text,
            "==> Everyone who reaches {} can read all state but secrets, and register a node.",
            addresses.rpc_listen
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn called_as_nomad_the_start_is_told_in_nomads_words() {
        assert_eq!(
            started("nomad"),
            "==> Nomad agent started! Log data will stream in below:\n"
        );
        assert_eq!(
            started("rove"),
            "==> Rove agent started! Log data will stream in below:\n"
        );
        let addresses =
            AgentAddresses::resolve(&AgentConfig::dev(), None).expect("usual addresses");
        let text = configuration("nomad", &AgentConfig::dev(), &[], &addresses, None);
        assert!(text.contains("==> Nomad agent configuration:\n"), "{text}");
    }
}
