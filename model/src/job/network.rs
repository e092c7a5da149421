//! Networks and ports.

use super::spec;

spec! {
    /// A network of a group, or (as in 2017) of a task's resources.
    NetworkResource "network" {
        /// host, bridge, none or cni/<name>.
        mode: String [default = "host"] => Replace,
        /// The interface; set by the scheduler.
        device: String => InPlace,
        /// The range of the interface; set by the scheduler.
        cidr as "CIDR": String => InPlace,
        /// The address; set by the scheduler.
        ip as "IP": String => InPlace,
        /// How names are resolved inside.
        dns as "DNS": Option<DnsConfig> => Replace,
        /// Ports with a set number.
        reserved_ports: Vec<Port> [api] => Together,
        /// Ports whose number the scheduler chooses.
        dynamic_ports: Vec<Port> [api] => Together,
        /// The host name inside, in bridge mode.
        hostname: String => Replace,
        /// Bandwidth; read and without effect.
        mbits as "MBits": Option<i64> [unit = "Mbit/s", quiet] = 0 at Registration => ReplaceValue,
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
    DnsConfig "dns" {
        /// Addresses of name servers.
        servers: Vec<String> => Replace,
        /// Domains that are searched.
        searches: Vec<String> => Replace,
        /// Options of resolv.conf.
        options: Vec<String> => Replace,
    }
}

spec! {
    /// A port.
    Port "port" {
        /// Its label.
        label: String [label] => InPlace,
        /// The port's number on the host; without it one is chosen.
        value: i64 [hcl = "static"] => InPlace,
        /// The port's number inside the network; -1 means the same as on the host.
        to: i64 [default = "the number on the host"] => InPlace,
        /// The network of the host that the port is on.
        host_network: String = "default" at Registration => InPlace,
    }
}
