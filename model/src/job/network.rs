//! Networks and ports.

use super::spec;

spec! {
    /// A network of a group, or (as in 2017) of a task's resources.
    NetworkResource {
        /// `host`, `bridge`, `none`, `cni/<name>`; empty means host.
        mode: String => Replace,
        /// The interface.
        device: String => InPlace,
        /// Its range.
        #[serde(rename = "CIDR")]
        cidr: String => InPlace,
        /// Its address.
        #[serde(rename = "IP")]
        ip: String => InPlace,
        /// Name resolution inside.
        #[serde(rename = "DNS")]
        dns: Option<DnsConfig> => Replace,
        /// Ports with a set number.
        reserved_ports: Vec<Port> => Together,
        /// Ports whose number the scheduler chooses.
        dynamic_ports: Vec<Port> => Together,
        /// Host name inside.
        hostname: String => Replace,
        /// Bandwidth; kept, shown and without effect.
        #[serde(rename = "MBits")]
        mbits: Option<i64> => ReplaceValue,
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
        servers: Vec<String> => Replace,
        /// Search domains.
        searches: Vec<String> => Replace,
        /// Options of resolv.conf.
        options: Vec<String> => Replace,
    }
}

spec! {
    /// A port.
    Port {
        /// Its label.
        label: String => InPlace,
        /// Its number on the host; 0: chosen by the scheduler.
        value: i64 => InPlace,
        /// Its number inside the network; 0: the same, -1: the host's number.
        to: i64 => InPlace,
        /// The host's network it is on.
        host_network: String => InPlace,
    }
}
