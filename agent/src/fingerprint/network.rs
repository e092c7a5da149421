//! The interface that ports are handed out on, and its addresses.

use std::{collections::BTreeSet, net::IpAddr};

use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};
use rove_model::node::NodeNetwork;

use super::{FingerprintError, Found, NodeSettings, Roots};

/// Speed in Mbit/s of an interface that does not tell, as the reference has it.
const UNKNOWN_SPEED: u64 = 1_000;

/// Interfaces that exist for containers only.
const VIRTUAL: &[&str] = &[
    "docker",
    "br-",
    "veth",
    "cni",
    "virbr",
    "tailscale",
    "nomad",
    "rove",
];

/// An address of an interface that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The interface.
    pub device: String,
    /// The address.
    pub ip: IpAddr,
}

/// The addresses of this host.
#[must_use]
pub fn host_interfaces() -> Vec<InterfaceAddress> {
    let Ok(addresses) = getifaddrs() else {
        return Vec::new();
    };
    addresses
        .filter(|address| address.flags.contains(InterfaceFlags::IFF_UP))
        .filter_map(|address| {
            let storage = address.address?;
            let ip = storage
                .as_sockaddr_in()
                .map(|v4| IpAddr::V4(v4.ip()))
                .or_else(|| storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))?;
            Some(InterfaceAddress {
                device: address.interface_name,
                ip,
            })
        })
        .collect()
}

pub(super) fn fingerprint(
    roots: &Roots,
    settings: &NodeSettings,
    interfaces: &[InterfaceAddress],
    found: &mut Found,
) -> Result<(), FingerprintError> {
    let device = match &settings.network_interface {
        Some(chosen) => {
            if !interfaces.iter().any(|known| known.device == *chosen) {
                let known: BTreeSet<&str> = interfaces
                    .iter()
                    .map(|known| known.device.as_str())
                    .collect();
                return Err(FingerprintError::NoInterface {
                    chosen: chosen.clone(),
                    known: known.into_iter().collect::<Vec<_>>().join(", "),
                });
            }
            Some(chosen.clone())
        }
        None => choose(roots, settings, interfaces),
    };
    let Some(device) = device else {
        return Ok(());
    };
    let speed = speed(roots, &device);
    let mut addresses: Vec<IpAddr> = interfaces
        .iter()
        .filter(|known| known.device == device)
        .map(|known| known.ip)
        .collect();
    // Link-local addresses can't be reached from elsewhere: only if there is nothing else.
    if addresses.iter().any(|ip| !is_link_local(*ip)) {
        addresses.retain(|ip| !is_link_local(*ip));
    }
    addresses.sort_by_key(IpAddr::is_ipv6);
    if let Some(first) = addresses.first() {
        found.set("unique.network.ip-address", first.to_string());
    }
    found.resources.networks = addresses
        .into_iter()
        .map(|ip| NodeNetwork {
            device: device.clone(),
            ip: ip.to_string(),
            cidr: format!("{ip}/{}", if ip.is_ipv6() { 128 } else { 32 }),
            mbits: speed,
        })
        .collect();
    Ok(())
}

/// The loopback of a development agent; else the default route's interface, that of the advertised address, the
/// first that is not made for containers, the loopback.
fn choose(
    roots: &Roots,
    settings: &NodeSettings,
    interfaces: &[InterfaceAddress],
) -> Option<String> {
    let loopback = || {
        interfaces
            .iter()
            .find(|known| known.ip.is_loopback())
            .map(|known| known.device.clone())
    };
    if settings.loopback {
        return loopback();
    }
    let with_address = |device: &String| interfaces.iter().any(|known| known.device == *device);
    let advertised: Option<IpAddr> = settings
        .http_addr
        .rsplit_once(':')
        .and_then(|(host, _)| host.trim_matches(['[', ']']).parse().ok());
    default_route(roots)
        .filter(with_address)
        .or_else(|| {
            interfaces
                .iter()
                .find(|known| Some(known.ip) == advertised && !known.ip.is_loopback())
                .map(|known| known.device.clone())
        })
        .or_else(|| {
            interfaces
                .iter()
                .find(|known| {
                    known.ip.is_ipv4()
                        && !known.ip.is_loopback()
                        && !VIRTUAL
                            .iter()
                            .any(|prefix| known.device.starts_with(prefix))
                })
                .map(|known| known.device.clone())
        })
        .or_else(loopback)
}

/// The interface of the default route with the least metric.
fn default_route(roots: &Roots) -> Option<String> {
    let routes = std::fs::read_to_string(roots.proc.join("net/route")).ok()?;
    routes
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let [device, destination, _, flags, _, _, metric, mask, ..] = fields[..] else {
                return None;
            };
            let is_up = u32::from_str_radix(flags, 16).ok()? & 1 != 0;
            let is_default = destination == "00000000" && mask == "00000000";
            (is_up && is_default).then(|| (metric.parse().unwrap_or(u32::MAX), device.to_owned()))
        })
        .min_by_key(|(metric, _)| *metric)
        .map(|(_, device)| device)
}

fn speed(roots: &Roots, device: &str) -> u64 {
    std::fs::read_to_string(roots.sys.join("class/net").join(device).join("speed"))
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok())
        .filter(|speed| *speed > 0 && *speed < u64::from(u32::MAX))
        .unwrap_or(UNKNOWN_SPEED)
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}
