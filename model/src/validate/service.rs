//! Services and checks.

use std::collections::BTreeSet;

use super::{FieldPath, Report};
use crate::{
    duration::Nanos,
    job::{Service, ServiceCheck, Task, TaskGroup},
};

const MIN_INTERVAL: Nanos = Nanos::secs(1);
const MIN_TIMEOUT: Nanos = Nanos::secs(1);

pub(super) fn group_services(group: &TaskGroup, path: &FieldPath, errors: &mut Report) {
    for (index, service) in group.services.iter().enumerate() {
        let path = path.block("service", index, &service.name);
        let mut inner = Report::default();
        the_service(service, &path, &mut inner);
        errors.nest(
            &format!("Service[{index}] {} validation failed: ", service.name),
            inner,
        );
        if service.address_mode == "driver" {
            errors.add(
                path.field("address_mode"),
                format!(
                    "service {:?} cannot use address_mode=\"driver\", only services defined in a \"task\" block can use this mode",
                    service.name
                ),
            );
        }
        for (number, check) in service.checks.iter().enumerate() {
            let path = path.block("check", number, "");
            if check.task_name.is_empty() {
                continue;
            }
            if !matches!(check.type_name.as_str(), "script" | "grpc") {
                errors.add(
                    path.field("task"),
                    format!(
                        "Check {} invalid: only script and gRPC checks should have tasks",
                        check.name
                    ),
                );
            }
            if group.task(&check.task_name).is_none() {
                errors.add(
                    path.field("task"),
                    format!(
                        "Check {} invalid: refers to non-existent task {}",
                        check.name, check.task_name
                    ),
                );
            }
        }
    }
    unique(group, path, errors);
    let providers: BTreeSet<_> = all_services(group)
        .map(|(_, service)| service.provider.as_str())
        .collect();
    if providers.len() > 1 {
        errors.add(
            path.clone(),
            "Multiple service providers used: task group services must use the same provider",
        );
    }
}

fn all_services(group: &TaskGroup) -> impl Iterator<Item = (&str, &Service)> {
    let of_group = group
        .services
        .iter()
        .map(|service| (service.task_name.as_str(), service));
    let of_tasks = group.tasks.iter().flat_map(|task| {
        task.services
            .iter()
            .map(|service| (task.name.as_str(), service))
    });
    of_tasks.chain(of_group)
}

fn unique(group: &TaskGroup, path: &FieldPath, errors: &mut Report) {
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for (task, service) in all_services(group) {
        let identity = (&service.name, task, &service.port_label);
        if !seen.insert(identity) {
            let task = if task.is_empty() { "group" } else { task };
            twice.insert(format!("{task}-{}-{}", service.name, service.port_label));
        }
    }
    if !twice.is_empty() {
        let names: Vec<_> = twice.into_iter().collect();
        errors.add(
            path.clone(),
            format!("Services are not unique: {}", names.join(", ")),
        );
    }
}

pub(super) fn task_services(task: &Task, path: &FieldPath, errors: &mut Report) {
    for (index, service) in task.services.iter().enumerate() {
        let path = path.block("service", index, &service.name);
        let mut inner = Report::default();
        the_service(service, &path, &mut inner);
        errors.nest(
            &format!("service[{index}] {} validation failed: ", service.name),
            inner,
        );
        for (number, check) in service.checks.iter().enumerate() {
            if service.checks[..number]
                .iter()
                .any(|earlier| earlier.name == check.name)
            {
                errors.add(
                    path.block("check", number, "").field("name"),
                    format!("check {:?} is duplicate", check.name),
                );
            }
        }
    }
}

fn the_service(service: &Service, path: &FieldPath, errors: &mut Report) {
    let name = without_interpolation(&service.name);
    let sound = (1..=63).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !sound {
        errors.add(
            path.field("name"),
            format!(
                "Service name must be valid per RFC 1123 and can contain only alphanumeric characters or dashes and must be no longer than 63 characters: {:?}",
                service.name
            ),
        );
    }
    if !matches!(
        service.address_mode.as_str(),
        "" | "auto" | "host" | "driver" | "alloc"
    ) {
        errors.add(
            path.field("address_mode"),
            format!(
                "Service address_mode must be \"auto\", \"host\", \"driver\" or \"alloc\"; not {:?}",
                service.address_mode
            ),
        );
    }
    let types: &[&str] = match service.provider.as_str() {
        "" | "consul" => &["grpc", "tcp", "http", "script"],
        "nomad" => &["tcp", "http"],
        other => {
            errors.add(
                path.field("provider"),
                format!("Service provider must be \"consul\", or \"nomad\"; not {other:?}"),
            );
            return;
        }
    };
    for (index, check) in service.checks.iter().enumerate() {
        let path = path.block("check", index, "");
        let kind = check.type_name.to_lowercase();
        let needs_port = matches!(kind.as_str(), "http" | "tcp" | "grpc");
        if service.port_label.is_empty() && check.port_label.is_empty() && needs_port {
            errors.add(
                path.field("port"),
                format!(
                    "Check {} invalid: check requires a port but neither check nor service {:?} have a port",
                    check.name, service.name
                ),
            );
            continue;
        }
        if let Err((field, reason)) = the_check(check, &kind, types) {
            errors.add(
                path.field(field),
                format!("Check {} invalid: {reason}", check.name),
            );
        }
    }
}

fn the_check(
    check: &ServiceCheck,
    kind: &str,
    types: &[&str],
) -> Result<(), (&'static str, String)> {
    if !types.contains(&kind) {
        return Err((
            "type",
            format!(
                "invalid check type ({kind:?}), must be one of {}",
                types.join(", ")
            ),
        ));
    }
    match kind {
        "http" if check.path.is_empty() => {
            return Err(("path", "http type must have http path".to_owned()));
        }
        "http" if check.path.contains("://") => {
            return Err(("path", "http type must have relative http path".to_owned()));
        }
        "script" if check.command.is_empty() => {
            return Err((
                "command",
                "script type must have a valid script path".to_owned(),
            ));
        }
        _ => {}
    }
    if check.interval == Nanos::ZERO {
        return Err((
            "interval",
            format!("missing required value interval. Interval cannot be less than {MIN_INTERVAL}"),
        ));
    }
    if check.interval < MIN_INTERVAL {
        return Err((
            "interval",
            format!(
                "interval ({}) cannot be lower than {MIN_INTERVAL}",
                check.interval
            ),
        ));
    }
    if check.timeout == Nanos::ZERO {
        return Err((
            "timeout",
            format!("missing required value timeout. Timeout cannot be less than {MIN_TIMEOUT}"),
        ));
    }
    if check.timeout < MIN_TIMEOUT {
        return Err((
            "timeout",
            format!(
                "timeout ({}) is lower than required minimum timeout {MIN_TIMEOUT}",
                check.timeout
            ),
        ));
    }
    if !matches!(
        check.initial_status.as_str(),
        "" | "passing" | "warning" | "critical"
    ) {
        return Err((
            "initial_status",
            format!(
                "invalid initial check state ({}), must be one of \"passing\", \"warning\", \"critical\" or empty",
                check.initial_status
            ),
        ));
    }
    match check.address_mode.as_str() {
        "" | "host" | "driver" | "alloc" => Ok(()),
        "auto" => Err((
            "address_mode",
            "invalid address_mode \"auto\" - auto only valid for services".to_owned(),
        )),
        other => Err(("address_mode", format!("invalid address_mode {other:?}"))),
    }
}

/// The text with a plain word for each `${…}`.
fn without_interpolation(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        plain.push_str(&rest[..start]);
        match rest[start..].find('}') {
            Some(end) => {
                plain.push_str("ENV-VAR");
                rest = &rest[start + end + 1..];
            }
            None => {
                rest = &rest[start..];
                break;
            }
        }
    }
    plain.push_str(rest);
    plain
}
