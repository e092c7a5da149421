//! Which addresses the agent listens on, and which it tells others.

use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

use super::config::AgentConfig;

/// The addresses of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentAddresses {
    /// Where the HTTP API listens.
    pub http_listen: SocketAddr,
    /// Where the store front end listens.
    pub rpc_listen: SocketAddr,
    /// `host:port` that others are told for the HTTP API.
    pub http: String,
    /// `host:port` that others are told for the store front end.
    pub rpc: String,
    /// `host:port` shown as a member's address.
    pub serf: String,
}

/// Why the addresses make no sense.
#[derive(Debug, Error)]
pub enum AddressError {
    /// Not an address to listen on.
    #[error("{field}: {value:?} is not an IP address to listen on")]
    NotAnAddress {
        /// The configuration's field.
        field: &'static str,
        /// What stands there.
        value: String,
    },
    /// Not `host` or `host:port`.
    #[error("{field}: expected host or host:port, this is {value:?}")]
    NotAHostPort {
        /// The configuration's field.
        field: &'static str,
        /// What stands there.
        value: String,
    },
    /// Nobody else could reach it.
    #[error(
        "advertise.{kind}: set it, the address others shall use: this host has no default route to take it from"
    )]
    NothingToAdvertise {
        /// `http`, `rpc` or `serf`.
        kind: &'static str,
    },
}

impl AgentAddresses {
    /// The addresses that `config` asks for; `default_ip` is that of the default route's interface.
    ///
    /// # Errors
    /// When one can't be used.
    pub fn resolve(config: &AgentConfig, default_ip: Option<IpAddr>) -> Result<Self, AddressError> {
        let ports = config.ports;
        let http_listen = listen(
            "addresses.http",
            config.addresses.http.as_deref(),
            &config.bind_addr,
            ports.http,
        )?;
        let rpc_listen = listen(
            "addresses.rpc",
            config.addresses.rpc.as_deref(),
            &config.bind_addr,
            ports.rpc,
        )?;
        let serf_listen = listen(
            "addresses.serf",
            config.addresses.serf.as_deref(),
            &config.bind_addr,
            ports.serf,
        )?;
        let told = &config.advertise;
        Ok(Self {
            http: advertise("http", told.http.as_deref(), http_listen, default_ip)?,
            rpc: advertise("rpc", told.rpc.as_deref(), rpc_listen, default_ip)?,
            serf: advertise("serf", told.serf.as_deref(), serf_listen, default_ip)?,
            http_listen,
            rpc_listen,
        })
    }

    /// Whether other machines can reach what listens.
    #[must_use]
    pub fn reachable_from_outside(&self) -> bool {
        !self.http_listen.ip().is_loopback() || !self.rpc_listen.ip().is_loopback()
    }
}

fn listen(
    field: &'static str,
    own: Option<&str>,
    bind: &str,
    port: u16,
) -> Result<SocketAddr, AddressError> {
    let (field, value) = own.map_or(("bind_addr", bind), |own| (field, own));
    value
        .parse::<SocketAddr>()
        .or_else(|_| {
            value
                .trim_matches(['[', ']'])
                .parse::<IpAddr>()
                .map(|ip| SocketAddr::new(ip, port))
        })
        .map_err(|_| AddressError::NotAnAddress {
            field,
            value: value.to_owned(),
        })
}

fn advertise(
    kind: &'static str,
    told: Option<&str>,
    listening: SocketAddr,
    default_ip: Option<IpAddr>,
) -> Result<String, AddressError> {
    let Some(told) = told else {
        let ip = if listening.ip().is_unspecified() {
            default_ip.ok_or(AddressError::NothingToAdvertise { kind })?
        } else {
            listening.ip()
        };
        return Ok(SocketAddr::new(ip, listening.port()).to_string());
    };
    let field = match kind {
        "http" => "advertise.http",
        "rpc" => "advertise.rpc",
        _ => "advertise.serf",
    };
    let wrong = || AddressError::NotAHostPort {
        field,
        value: told.to_owned(),
    };
    if let Ok(ip) = told.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, listening.port()).to_string());
    }
    match told.rsplit_once(':') {
        Some((host, port))
            if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) =>
        {
            Ok(told.to_owned())
        }
        Some(_) => Err(wrong()),
        None if told.is_empty() || told.contains(char::is_whitespace) => Err(wrong()),
        None => Ok(format!("{told}:{}", listening.port())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn resolve(change: impl FnOnce(&mut AgentConfig)) -> Result<AgentAddresses, String> {
        let mut config = AgentConfig::default();
        change(&mut config);
        AgentAddresses::resolve(&config, Some("10.0.2.15".parse().unwrap()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn others_are_told_the_default_routes_address_unless_something_else_is_said() {
        let addresses = resolve(|_| {}).unwrap();
        assert_eq!(
            (
                addresses.http_listen.to_string().as_str(),
                addresses.http.as_str()
            ),
            ("0.0.0.0:4646", "10.0.2.15:4646")
        );
        let addresses = resolve(|config| config.bind_addr = "127.0.0.1".to_owned()).unwrap();
        assert_eq!(addresses.rpc, "127.0.0.1:4647");
        assert!(!addresses.reachable_from_outside());
        let addresses = resolve(|config| {
            config.advertise.http = Some("172.17.8.101:80".to_owned());
            config.advertise.rpc = Some("172.17.8.101".to_owned());
            config.advertise.serf = Some("server.example".to_owned());
            config.addresses.http = Some("::1".to_owned());
        })
        .unwrap();
        assert_eq!(addresses.http, "172.17.8.101:80");
        assert_eq!(addresses.rpc, "172.17.8.101:4647");
        assert_eq!(addresses.serf, "server.example:4648");
        assert_eq!(addresses.http_listen.to_string(), "[::1]:4646");
    }

    #[test]
    fn nonsense_is_refused_by_its_field() {
        for (change, expected) in [
            (
                (|config| config.bind_addr = "here".to_owned()) as fn(&mut AgentConfig),
                "bind_addr: \"here\"",
            ),
            (
                |config| config.advertise.rpc = Some("host:many".to_owned()),
                "advertise.rpc: expected host or host:port",
            ),
        ] {
            let error = resolve(change).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
