//! Networks and ports.

use super::spec;

spec! {
    /// A network of a group, or (as in 2017) of a task's resources.
    NetworkResource {
        /// `host`, `bridge`, `none`, `cni/<name>`; empty means host.
        mode: String,
        /// The interface.
        device: String,
        /// Its range.
        #[serde(rename = "CIDR")]
        cidr: String,
        /// Its address.
        #[serde(rename = "IP")]
        ip: String,
        /// Name resolution inside.
        #[serde(rename = "DNS")]
        dns: Option<DnsConfig>,
        /// Ports with a set number.
        reserved_ports: Vec<Port>,
        /// Ports whose number the scheduler chooses.
        dynamic_ports: Vec<Port>,
        /// Host name inside.
        hostname: String,
        /// Bandwidth; kept, shown and without effect.
        #[serde(rename = "MBits")]
        mbits: Option<i64>,
    }
}

impl NetworkResource {
    /// Every port, those with a set number first.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.reserved_ports.iter().chain(&self.dynamic_ports)
    }
}

spec! {
    /// Name resolution inside a network.
    DnsConfig {
        /// Servers.
        servers: Vec<String>,
        /// Search domains.
        searches: Vec<String>,
        /// Options of resolv.conf.
        options: Vec<String>,
    }
}

spec! {
    /// A port.
    Port {
        /// Its label.
        label: String,
        /// Its number on the host; 0: chosen by the scheduler.
        value: i64,
        /// Its number inside the network; 0: the same, -1: the host's number.
        to: i64,
        /// The host's network it is on.
        host_network: String,
    }
}
