//! What a task asks for: resources, devices, networks and their ports.

use super::{
    ObjectDiff,
    fields::Fields,
    object::{Detail, Shape},
};
use crate::job::{DeviceRequest, DnsConfig, NetworkResource, Port, Resources};

impl Shape for Resources {
    const NAME: &'static str = "Resources";

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
        // The scheduler sets them.
        let said = |text: &str| detail.complete && !text.is_empty();
        Fields::of(self)
            .without_if(!said(&self.device), "Device")
            .without_if(!said(&self.cidr), "CIDR")
            .without_if(!said(&self.ip), "IP")
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
            Fields::of,
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
    Fields::of(port).without(&["Value"])
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
