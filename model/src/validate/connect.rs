//! Consul Connect: what a connect block holds, and what it asks of its group.

use std::collections::BTreeMap;

use super::{FieldPath, Report};
use crate::job::{
    Connect, Gateway, GatewayProxy, IngressListener, IngressService, Job, LinkedService, Service,
    TaskGroup,
};

const LISTENER_PROTOCOLS: [&str; 4] = ["tcp", "http", "http2", "grpc"];

/// One connect block by itself.
pub(super) fn connect(connect: &Connect, path: &FieldPath, errors: &mut Report) {
    let forms = [
        connect.sidecar_service.is_some(),
        connect.native,
        connect.gateway.is_some(),
    ];
    if forms.iter().filter(|form| **form).count() != 1 {
        errors.add(
            path.clone(),
            "Consul Connect must be exclusively native, make use of a sidecar, or represent a Gateway",
        );
    }
    if let Some(gateway_block) = &connect.gateway {
        gateway(gateway_block, &path.block("gateway", 0, ""), errors);
    }
    let proxy = connect
        .sidecar_service
        .as_ref()
        .and_then(|sidecar| sidecar.proxy.as_ref());
    let path = path.block("sidecar_service", 0, "").block("proxy", 0, "");
    for (index, upstream) in proxy.iter().flat_map(|proxy| &proxy.upstreams).enumerate() {
        let Some(gateway) = &upstream.mesh_gateway else {
            continue;
        };
        if !matches!(gateway.mode.as_str(), "" | "local" | "remote" | "none") {
            errors.add(
                path.block("upstreams", index, "")
                    .block("mesh_gateway", 0, "")
                    .field("mode"),
                format!("Connect mesh_gateway mode {:?} not supported", gateway.mode),
            );
        }
    }
}

fn gateway(gateway: &Gateway, path: &FieldPath, errors: &mut Report) {
    if let Some(proxy) = &gateway.proxy {
        gateway_proxy(proxy, &path.block("proxy", 0, ""), errors);
    }
    if let Some(ingress) = &gateway.ingress {
        let path = path.block("ingress", 0, "");
        if ingress.listeners.is_empty() {
            errors.add(
                path.clone(),
                "Consul Ingress Gateway requires at least one listener",
            );
        }
        for (index, one) in ingress.listeners.iter().enumerate() {
            listener(one, &path.block("listener", index, ""), errors);
        }
    }
    if let Some(terminating) = &gateway.terminating {
        let path = path.block("terminating", 0, "");
        if terminating.services.is_empty() {
            errors.add(
                path.clone(),
                "Consul Terminating Gateway requires at least one service",
            );
        }
        for (index, service) in terminating.services.iter().enumerate() {
            linked(service, &path.block("service", index, ""), errors);
        }
    }
    let kinds = [
        gateway.ingress.is_some(),
        gateway.terminating.is_some(),
        gateway.mesh.is_some(),
    ];
    if kinds.iter().filter(|kind| **kind).count() != 1 {
        errors.add(path.clone(), "One Consul Gateway Configuration must be set");
    }
}

fn gateway_proxy(proxy: &GatewayProxy, path: &FieldPath, errors: &mut Report) {
    if !matches!(
        proxy.envoy_dns_discovery_type.as_str(),
        "" | "STRICT_DNS" | "LOGICAL_DNS"
    ) {
        errors.add(
            path.field("envoy_dns_discovery_type"),
            "Consul Gateway Proxy Envoy DNS Discovery type must be STRICT_DNS or LOGICAL_DNS",
        );
    }
    for (index, (name, address)) in proxy.envoy_gateway_bind_addresses.iter().enumerate() {
        let path = path.block("envoy_gateway_bind_addresses", index, name);
        if address.address.is_empty() {
            errors.add(
                path.field("address"),
                "Consul Gateway Bind Address must be set",
            );
        }
        if address.port <= 0 && address.port != -1 {
            errors.add(
                path.field("port"),
                "Consul Gateway Bind Address must set valid Port",
            );
        }
    }
}

fn listener(listener: &IngressListener, path: &FieldPath, errors: &mut Report) {
    if listener.port <= 0 {
        errors.add(
            path.field("port"),
            "Consul Ingress Listener requires valid Port",
        );
    }
    if !LISTENER_PROTOCOLS.contains(&listener.protocol.as_str()) {
        errors.add(
            path.field("protocol"),
            format!(
                "Consul Ingress Listener requires protocol of {}, got {:?}",
                LISTENER_PROTOCOLS.join(", "),
                listener.protocol
            ),
        );
    }
    if listener.services.is_empty() {
        errors.add(
            path.clone(),
            "Consul Ingress Listener requires one or more services",
        );
    }
    for (index, service) in listener.services.iter().enumerate() {
        let path = path.block("service", index, "");
        ingress_service(service, &listener.protocol, &path, errors);
    }
}

fn ingress_service(
    service: &IngressService,
    protocol: &str,
    path: &FieldPath,
    errors: &mut Report,
) {
    if service.name.is_empty() {
        errors.add(path.field("name"), "Consul Ingress Service requires a name");
    }
    if protocol != "tcp" {
        return;
    }
    if service.name == "*" {
        errors.add(
            path.field("name"),
            format!(
                "Consul Ingress Service doesn't support wildcard name for {protocol:?} protocol"
            ),
        );
    }
    if !service.hosts.is_empty() {
        errors.add(
            path.field("hosts"),
            format!(
                "Consul Ingress Service doesn't support associating hosts to a service for the {protocol:?} protocol"
            ),
        );
    }
}

fn linked(service: &LinkedService, path: &FieldPath, errors: &mut Report) {
    if service.name.is_empty() {
        errors.add(path.field("name"), "Consul Linked Service requires Name");
    }
    let is_set = |text: &String| !text.is_empty();
    let (authority, certificate, key) = (
        is_set(&service.ca_file),
        is_set(&service.cert_file),
        is_set(&service.key_file),
    );
    if (certificate || key) && !authority {
        errors.add(
            path.field("ca_file"),
            "Consul Linked Service TLS requires CAFile",
        );
    }
    if certificate != key {
        errors.add(
            path.field(if certificate { "key_file" } else { "cert_file" }),
            "Consul Linked Service TLS Cert and Key must both be set",
        );
    }
    if is_set(&service.sni) && !authority {
        errors.add(
            path.field("sni"),
            "Consul Linked Service TLS SNI requires CAFile",
        );
    }
}

/// What connect and exposed checks ask of the groups they are in: said before anything else of the job.
pub(super) fn admission(job: &Job, errors: &mut Report) {
    let root = FieldPath::default();
    let groups = || {
        let root = root.clone();
        job.task_groups
            .iter()
            .enumerate()
            .map(move |(index, group)| {
                let path = root.block("group", index, &group.name);
                (path, group)
            })
    };
    for (path, group) in groups() {
        for (index, service) in group.services.iter().enumerate() {
            let path = (&path, path.block("service", index, &service.name));
            of_its_group(group, service, path, errors);
        }
        upstreams(group, &path, errors);
    }
    for (path, group) in groups() {
        exposed_checks(group, &path, errors);
    }
}

fn of_its_group(
    group: &TaskGroup,
    service: &Service,
    (group_path, path): (&FieldPath, FieldPath),
    errors: &mut Report,
) {
    let Some(connect) = &service.connect else {
        return;
    };
    let networks = group.networks.len();
    let mode = group
        .networks
        .first()
        .map_or("", |network| network.mode.as_str());
    let mode_path = group_path.block("network", 0, "").field("mode");
    let name = &group.name;
    if connect.sidecar_service.is_some() {
        let block = path.block("connect", 0, "").block("sidecar_service", 0, "");
        if networks != 1 {
            errors.add(
                block,
                format!(
                    "Consul Connect sidecars require exactly 1 network, found {networks} in group {name:?}"
                ),
            );
        } else if mode != "bridge" {
            errors.add(
                mode_path,
                format!(
                    "Consul Connect sidecar requires bridge network, found {mode:?} in group {name:?}"
                ),
            );
        }
        let has_upper = |text: &str| text.chars().any(char::is_uppercase);
        if has_upper(&service.name) {
            errors.add(
                path.field("name"),
                format!(
                    "Consul Connect service name {:?} in group {name:?} must not contain uppercase characters",
                    service.name
                ),
            );
        }
        if has_upper(name) {
            errors.add(
                group_path.clone(),
                format!(
                    "Consul Connect group {name:?} with service {:?} must not contain uppercase characters",
                    service.name
                ),
            );
        }
    } else if connect.native {
        let task = service.task_name.as_str();
        let field = path.field("task");
        if task.is_empty() && group.tasks.len() > 1 {
            errors.add(
                field,
                format!(
                    "task for Consul Connect Native service {name}->{} is ambiguous and must be set",
                    service.name
                ),
            );
        } else if !task.is_empty() && group.task(task).is_none() {
            errors.add(
                field,
                format!(
                    "task {task} named by Consul Connect Native service {name}->{} does not exist",
                    service.name
                ),
            );
        }
    } else if connect.gateway.is_some() {
        if networks != 1 {
            errors.add(
                path.block("connect", 0, "").block("gateway", 0, ""),
                format!(
                    "Consul Connect gateways require exactly 1 network, found {networks} in group {name:?}"
                ),
            );
        } else if !matches!(mode, "bridge" | "host") {
            errors.add(
                mode_path,
                "Consul Connect Gateway service requires Task Group with network mode of type \"bridge\" or \"host\"",
            );
        }
    }
}

/// Two upstreams can't listen at one address.
fn upstreams(group: &TaskGroup, path: &FieldPath, errors: &mut Report) {
    let mut listeners: BTreeMap<(&str, i64), &str> = BTreeMap::new();
    for (index, service) in group.services.iter().enumerate() {
        let path = path
            .block("service", index, &service.name)
            .block("connect", 0, "")
            .block("sidecar_service", 0, "")
            .block("proxy", 0, "");
        let proxy = service
            .connect
            .iter()
            .filter_map(|connect| connect.sidecar_service.as_ref())
            .filter_map(|sidecar| sidecar.proxy.as_ref());
        for (number, upstream) in proxy.flat_map(|proxy| &proxy.upstreams).enumerate() {
            let address = upstream.local_bind_address.as_str();
            let key = (address, upstream.local_bind_port);
            if let Some(first) = listeners.get(&key) {
                errors.add(
                    path.block("upstreams", number, "").field("local_bind_port"),
                    format!(
                        "Consul Connect services {:?} and {first:?} in group {:?} using same address for upstreams ({address}:{})",
                        service.name, group.name, upstream.local_bind_port
                    ),
                );
            } else {
                listeners.insert(key, &service.name);
            }
        }
    }
}

fn exposed_checks(group: &TaskGroup, path: &FieldPath, errors: &mut Report) {
    let mut exposed = group
        .services
        .iter()
        .flat_map(|service| &service.checks)
        .filter(|check| check.expose);
    if exposed.next().is_some() {
        let name = &group.name;
        match group.networks.as_slice() {
            [network] if network.mode == "bridge" => {}
            [_] => errors.add(
                path.block("network", 0, "").field("mode"),
                format!("group {name:?} must use bridge network for exposing service check(s)"),
            ),
            _ => errors.add(
                path.clone(),
                format!(
                    "group {name:?} must specify one bridge network for exposing service check(s)"
                ),
            ),
        }
    }
    for (index, service) in group.services.iter().enumerate() {
        let path = path.block("service", index, &service.name);
        let sidecar = service.connect.as_ref().is_some_and(|connect| {
            connect.sidecar_service.is_some() && connect.sidecar_task.is_none()
        });
        for (number, check) in service.checks.iter().enumerate() {
            if check.expose && !sidecar {
                errors.add(
                    path.block("check", number, "").field("expose"),
                    format!(
                        "exposed service check {}->{}->{} requires use of sidecar_proxy",
                        group.name, service.name, check.name
                    ),
                );
            }
        }
    }
    for (t, task) in group.tasks.iter().enumerate() {
        let path = path.block("task", t, &task.name);
        for (index, service) in task.services.iter().enumerate() {
            let path = path.block("service", index, &service.name);
            for (number, check) in service.checks.iter().enumerate() {
                if check.expose {
                    errors.add(
                        path.block("check", number, "").field("expose"),
                        format!(
                            "exposed service check {}[{}]->{}->{} is not a task-group service",
                            group.name, task.name, service.name, check.name
                        ),
                    );
                }
            }
        }
    }
}
