//! What a task asks for: resources, devices, networks and their ports.

use super::{
    ObjectDiff,
    fields::Fields,
    object::{Detail, Shape},
};
use crate::job::{DeviceRequest, DnsConfig, NetworkResource, Port, Resources};

impl Shape for Resources {
    const NAME: &'static str = "Resources";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            cpu,
            cores,
            memory_mb,
            memory_max_mb,
            disk_mb,
            networks: _,
            devices: _,
            iops,
        } = self;
        Fields::new()
            .with("CPU", cpu)
            .with("Cores", cores)
            .with("MemoryMB", memory_mb)
            .with("MemoryMaxMB", memory_max_mb)
            .with("DiskMB", disk_mb)
            .with("IOPS", iops)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        let mut found = detail.set(&old.networks, &new.networks);
        found.extend(detail.keyed(
            &old.devices,
            &new.devices,
            |device| &device.name,
            Detail::block,
        ));
        found
    }
}

impl Shape for DeviceRequest {
    const NAME: &'static str = "Device";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            name,
            count,
            constraints: _,
            affinities: _,
        } = self;
        Fields::new().with("Name", name).with("Count", count)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        if !detail.complete {
            return Vec::new();
        }
        let mut found = detail.set(&old.constraints, &new.constraints);
        found.extend(detail.set(&old.affinities, &new.affinities));
        found
    }
}

impl Shape for NetworkResource {
    const NAME: &'static str = "Network";

    fn fields(&self, detail: Detail) -> Fields {
        let Self {
            mode,
            device,
            cidr,
            ip,
            dns: _,
            reserved_ports: _,
            dynamic_ports: _,
            hostname,
            mbits,
        } = self;
        let said = |text: &String| detail.complete && !text.is_empty();
        Fields::new()
            .with("Mode", mode)
            .with("Hostname", hostname)
            .with("MBits", mbits)
            .with_if(said(device), "Device", device)
            .with_if(said(cidr), "CIDR", cidr)
            .with_if(said(ip), "IP", ip)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        let ports = |name: &str, old, new, fields: fn(&Port) -> Fields| {
            detail.keyed(
                old,
                new,
                |port: &Port| &port.label,
                |detail, old, new| {
                    let of = |port: Option<&Port>| port.map(fields).unwrap_or_default();
                    detail.plain_fields(name, &of(old), &of(new))
                },
            )
        };
        let mut found = ports(
            "Static Port",
            &old.reserved_ports,
            &new.reserved_ports,
            |port| port_fields(port).with("Value", &port.value),
        );
        found.extend(ports(
            "Dynamic Port",
            &old.dynamic_ports,
            &new.dynamic_ports,
            port_fields,
        ));
        found.extend(detail.block(old.dns.as_ref(), new.dns.as_ref()));
        found
    }
}

/// All but the number, which the scheduler chooses for a dynamic port.
fn port_fields(port: &Port) -> Fields {
    let Port {
        label,
        value: _,
        to,
        host_network,
    } = port;
    Fields::new()
        .with("Label", label)
        .with("To", to)
        .with("HostNetwork", host_network)
}

impl Shape for DnsConfig {
    const NAME: &'static str = "DNS";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            servers,
            searches,
            options,
        } = self;
        let list = |list: &[String]| (!list.is_empty()).then(|| list.join(","));
        Fields::new()
            .with_some("Servers", &list(servers))
            .with_some("Searches", &list(searches))
            .with_some("Options", &list(options))
    }
}
