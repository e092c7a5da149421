//! Services and checks.

use std::collections::{BTreeMap, BTreeSet};

use super::{FieldPath, Report, connect};
use crate::{
    duration::Nanos,
    job::{CheckRestart, Service, ServiceCheck, Task, TaskGroup},
};

const MIN_INTERVAL: Nanos = Nanos::secs(1);
const MIN_TIMEOUT: Nanos = Nanos::secs(1);

/// Methods that an HTTP check may use.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE",
];

pub(super) fn group_services(group: &TaskGroup, path: &FieldPath, errors: &mut Report) {
    for (index, task) in group.tasks.iter().enumerate() {
        own_task_only(task, &path.block("task", index, &task.name), errors);
    }
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
            if check.address_mode == "driver" {
                errors.add(
                    path.field("address_mode"),
                    format!(
                        "Check {:?} invalid: cannot use address_mode=\"driver\", only checks defined in a \"task\" service block can use this mode",
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
    let mut providers = BTreeSet::new();
    let second = all_services(group, path)
        .find(|(_, _, service)| providers.insert(service.provider.as_str()) && providers.len() > 1);
    if let Some((place, _, _)) = second {
        errors.add(
            place.field("provider"),
            "Multiple service providers used: task group services must use the same provider",
        );
    }
}

/// A task's services and checks belong to it.
fn own_task_only(task: &Task, path: &FieldPath, errors: &mut Report) {
    let another = |name: &str| !name.is_empty() && name != task.name;
    for (index, service) in task.services.iter().enumerate() {
        let path = path.block("service", index, &service.name);
        if another(&service.task_name) {
            errors.add(
                path.field("task"),
                format!(
                    "Service {} is invalid: may only specify task the service belongs to, got {:?}",
                    service.name, service.task_name
                ),
            );
        }
        for (number, check) in service.checks.iter().enumerate() {
            if another(&check.task_name) {
                errors.add(
                    path.block("check", number, "").field("task"),
                    format!(
                        "Check {} is invalid: may only specify task the check belongs to, got {:?}",
                        check.name, check.task_name
                    ),
                );
            }
        }
    }
}

/// Every service of a group with its place and its task, those of tasks first.
fn all_services<'a>(
    group: &'a TaskGroup,
    path: &FieldPath,
) -> impl Iterator<Item = (FieldPath, &'a str, &'a Service)> {
    let of_tasks = group.tasks.iter().enumerate().flat_map(|(index, task)| {
        let path = path.block("task", index, &task.name);
        task.services
            .iter()
            .enumerate()
            .map(move |(index, service)| {
                let path = path.block("service", index, &service.name);
                (path, task.name.as_str(), service)
            })
    });
    let of_group = group.services.iter().enumerate().map(|(index, service)| {
        let path = path.block("service", index, &service.name);
        (path, "group", service)
    });
    of_tasks.chain(of_group)
}

fn unique(group: &TaskGroup, path: &FieldPath, errors: &mut Report) {
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    let mut place = None;
    for (path, task, service) in all_services(group, path) {
        if !seen.insert((&service.name, task, &service.port_label)) {
            let port = match service.port_label.as_str() {
                "" => String::new(),
                port => format!("-{port}"),
            };
            twice.insert(format!("{task}-{}{port}", service.name));
            place.get_or_insert(path);
        }
    }
    if let Some(place) = place {
        let names: Vec<_> = twice.into_iter().collect();
        errors.add(
            place,
            format!("Services are not unique: {}", names.join(", ")),
        );
    }
}

/// The ports that services and checks name, with who names them and where.
#[derive(Default)]
struct NamedPorts<'a> {
    ports: BTreeMap<&'a str, (FieldPath, BTreeSet<&'a str>)>,
}

impl<'a> NamedPorts<'a> {
    fn add(&mut self, label: &'a str, service: &'a str, path: FieldPath) {
        let entry = self.ports.entry(label);
        let (_, services) = entry.or_insert_with(|| (path, BTreeSet::new()));
        services.insert(service);
    }
}

pub(super) fn task_services(task: &Task, group: &TaskGroup, path: &FieldPath, errors: &mut Report) {
    let mut named = NamedPorts::default();
    let mut known = BTreeSet::new();
    for (index, service) in task.services.iter().enumerate() {
        let path = path.block("service", index, &service.name);
        let mut inner = Report::default();
        the_service(service, &path, &mut inner);
        errors.nest(
            &format!("service[{index}] {:?} validation failed: ", service.name),
            inner,
        );
        if service.address_mode == "alloc" {
            errors.add(
                path.field("address_mode"),
                format!(
                    "service {:?} cannot use address_mode=\"alloc\", only services defined in a \"group\" block can use this mode",
                    service.name
                ),
            );
        }
        if !known.insert((&service.name, &service.port_label)) {
            errors.add(
                path.field("name"),
                format!("service {:?} is duplicate", service.name),
            );
        }
        let port = service.port_label.as_str();
        let by_number = service.address_mode == "driver" && port.parse::<i64>().is_ok();
        if !port.is_empty() && !by_number {
            named.add(port, &service.name, path.field("port"));
        }
        if service.connect.is_some() {
            errors.add(
                path.block("connect", 0, ""),
                format!(
                    "service {:?} cannot have \"connect\" block, only services defined in a \"group\" block can",
                    service.name
                ),
            );
        }
        task_checks(service, &path, &mut named, errors);
    }
    let labels = port_labels(task, group);
    for (port, (path, services)) in named.ports {
        if !labels.contains(port) {
            let services: Vec<_> = services.into_iter().collect();
            errors.add(
                path,
                format!(
                    "port label {port:?} referenced by services {} does not exist",
                    services.join(", ")
                ),
            );
        }
    }
}

fn task_checks<'a>(
    service: &'a Service,
    path: &FieldPath,
    named: &mut NamedPorts<'a>,
    errors: &mut Report,
) {
    for (number, check) in service.checks.iter().enumerate() {
        let path = path.block("check", number, "");
        let earlier = &service.checks[..number];
        if earlier.iter().any(|earlier| earlier.name == check.name) {
            errors.add(
                path.field("name"),
                format!("check {:?} is duplicate", check.name),
            );
        }
        if check.address_mode == "alloc" {
            errors.add(
                path.field("address_mode"),
                format!(
                    "check {:?} cannot use address_mode=\"alloc\", only checks defined in a \"group\" service block can use this mode",
                    check.name
                ),
            );
        }
        if !needs_port(check) {
            continue;
        }
        let (port, path) = if check.port_label.is_empty() {
            (service.port_label.as_str(), path.clone())
        } else {
            (check.port_label.as_str(), path.field("port"))
        };
        if port.is_empty() {
            errors.add(path, format!("check {:?} is missing a port", check.name));
            continue;
        }
        match (port.parse::<i64>(), check.address_mode == "driver") {
            (Ok(number), true) => {
                if number <= 0 {
                    errors.add(
                        path,
                        format!("check {:?} has invalid numeric port {number}", check.name),
                    );
                }
            }
            (Ok(number), false) => errors.add(
                path,
                format!(
                    "check {:?} cannot use a numeric port {number} without setting address_mode=\"driver\"",
                    check.name
                ),
            ),
            (Err(_), _) => named.add(port, &service.name, path),
        }
    }
}

/// The ports that a task's services may name: of the group's first network and of its own.
fn port_labels<'a>(task: &'a Task, group: &'a TaskGroup) -> BTreeSet<&'a str> {
    let own = task.resources.iter().flat_map(|own| &own.networks);
    let networks = group.networks.iter().take(1).chain(own);
    networks
        .flat_map(|network| network.ports())
        .map(|port| port.label.as_str())
        .collect()
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
    match service.address_mode.as_str() {
        "" | "auto" => {}
        "host" | "driver" | "alloc" => {
            if !service.address.is_empty() {
                errors.add(
                    path.field("address"),
                    "Service address_mode must be \"auto\" if address is set",
                );
            }
        }
        other => errors.add(
            path.field("address_mode"),
            format!(
                "Service address_mode must be \"auto\", \"host\", \"driver\" or \"alloc\"; not {other:?}"
            ),
        ),
    }
    if !matches!(
        service.on_update.as_str(),
        "" | "require_healthy" | "ignore_warnings" | "ignore"
    ) {
        errors.add(
            path.field("on_update"),
            format!(
                "Service on_update must be \"require_healthy\", \"ignore_warnings\", or \"ignore\"; not {:?}",
                service.on_update
            ),
        );
    }
    match service.provider.as_str() {
        "" | "consul" => of_consul(service, path, errors),
        "nomad" => of_nomad(service, path, errors),
        other => errors.add(
            path.field("provider"),
            format!("Service provider must be \"consul\", or \"nomad\"; not {other:?}"),
        ),
    }
}

/// A check's mistake: its field and what is wrong.
type Mistake = (&'static str, String);

fn mistake<T>(field: &'static str, text: impl Into<String>) -> Result<T, Mistake> {
    Err((field, text.into()))
}

fn of_consul(service: &Service, path: &FieldPath, errors: &mut Report) {
    let has_sidecar = service
        .connect
        .as_ref()
        .is_some_and(|connect| connect.sidecar_service.is_some());
    for (index, check) in service.checks.iter().enumerate() {
        let path = path.block("check", index, "");
        if lacks_port(service, check, &path, errors) {
            continue;
        }
        if check.type_name == "tcp" && has_sidecar {
            errors.add(
                path.field("type"),
                format!(
                    "Check {} invalid: tcp checks are not valid for Connect enabled services",
                    check.name
                ),
            );
            continue;
        }
        let sound =
            common(check, &["grpc", "tcp", "http", "script"]).and_then(|()| check_of_consul(check));
        if let Err((field, reason)) = sound {
            errors.add(
                place(&path, field),
                format!("Check {} invalid: {reason}", check.name),
            );
        }
    }
    if let Some(connect) = &service.connect {
        let path = path.block("connect", 0, "");
        connect::connect(connect, &path, errors);
        if connect.native && service.task_name.is_empty() {
            errors.add(
                path.field("native"),
                format!(
                    "Service {} is Connect Native and requires setting the task",
                    service.name
                ),
            );
        }
    }
}

fn of_nomad(service: &Service, path: &FieldPath, errors: &mut Report) {
    for (index, check) in service.checks.iter().enumerate() {
        let path = path.block("check", index, "");
        if lacks_port(service, check, &path, errors) {
            continue;
        }
        let sound = common(check, &["tcp", "http"]).and_then(|()| check_of_nomad(check));
        if let Err((field, reason)) = sound {
            errors.add(place(&path, field), reason);
        }
    }
    if service.connect.is_some() {
        errors.add(
            path.block("connect", 0, ""),
            "Service with provider nomad cannot include Connect blocks",
        );
    }
}

/// The place of a check's field; of its `check_restart` block's, where that is meant.
fn place(check: &FieldPath, field: &'static str) -> FieldPath {
    match field {
        "limit" | "grace" | "ignore_warnings" => check.block("check_restart", 0, "").field(field),
        field => check.field(field),
    }
}

fn needs_port(check: &ServiceCheck) -> bool {
    matches!(check.type_name.as_str(), "http" | "tcp" | "grpc")
}

fn lacks_port(
    service: &Service,
    check: &ServiceCheck,
    path: &FieldPath,
    errors: &mut Report,
) -> bool {
    let lacks = service.port_label.is_empty() && check.port_label.is_empty() && needs_port(check);
    if lacks {
        errors.add(
            path.field("port"),
            format!(
                "Check {} invalid: check requires a port but neither check nor service {:?} have a port",
                check.name, service.name
            ),
        );
    }
    lacks
}

/// What holds whoever the provider is.
fn common(check: &ServiceCheck, types: &[&str]) -> Result<(), Mistake> {
    let kind = check.type_name.to_lowercase();
    if !types.contains(&kind.as_str()) {
        return mistake(
            "type",
            format!(
                "invalid check type ({kind:?}), must be one of {}",
                types.join(", ")
            ),
        );
    }
    match kind.as_str() {
        "http" if check.path.is_empty() => return mistake("path", "http type must have http path"),
        "http" if !check.path.starts_with('/') && has_scheme(&check.path) => {
            return mistake("path", "http type must have relative http path");
        }
        "script" if check.command.is_empty() => {
            return mistake("command", "script type must have a valid script path");
        }
        _ => {}
    }
    at_least(check.interval, MIN_INTERVAL, "interval", |text| {
        format!("interval ({text}) cannot be lower than {MIN_INTERVAL}")
    })?;
    at_least(check.timeout, MIN_TIMEOUT, "timeout", |text| {
        format!("timeout ({text}) is lower than required minimum timeout {MIN_TIMEOUT}")
    })?;
    if !matches!(
        check.initial_status.as_str(),
        "" | "passing" | "warning" | "critical"
    ) {
        return mistake(
            "initial_status",
            format!(
                "invalid initial check state ({}), must be one of \"passing\", \"warning\", \"critical\" or empty",
                check.initial_status
            ),
        );
    }
    match check.address_mode.as_str() {
        "" | "host" | "driver" | "alloc" => {}
        "auto" => {
            return mistake(
                "address_mode",
                "invalid address_mode \"auto\" - auto only valid for services",
            );
        }
        other => return mistake("address_mode", format!("invalid address_mode {other:?}")),
    }
    let on_update = check.on_update.as_str();
    if !matches!(
        on_update,
        "" | "require_healthy" | "ignore_warnings" | "ignore"
    ) {
        return mistake(
            "on_update",
            format!(
                "on_update must be \"require_healthy\", \"ignore_warnings\", or \"ignore\"; got {on_update:?}"
            ),
        );
    }
    match &check.check_restart {
        Some(restart) => restarts(restart, on_update),
        None => Ok(()),
    }
}

/// Whether a check's path is an address of its own, as `http://…`.
fn has_scheme(path: &str) -> bool {
    path.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    })
}

fn at_least(
    time: Nanos,
    least: Nanos,
    field: &'static str,
    too_short: impl FnOnce(String) -> String,
) -> Result<(), Mistake> {
    if time == Nanos::ZERO {
        let mut name = field.to_owned();
        if let Some(first) = name.get_mut(0..1) {
            first.make_ascii_uppercase();
        }
        return mistake(
            field,
            format!("missing required value {field}. {name} cannot be less than {least}"),
        );
    }
    if time < least {
        return mistake(field, too_short(time.to_string()));
    }
    Ok(())
}

fn restarts(restart: &CheckRestart, on_update: &str) -> Result<(), Mistake> {
    if on_update == "ignore" {
        return mistake(
            "on_update",
            "on_update value \"ignore\" is not compatible with check_restart",
        );
    }
    if on_update == "ignore_warnings" && !restart.ignore_warnings {
        return mistake(
            "ignore_warnings",
            "on_update value \"ignore_warnings\" not supported with check_restart ignore_warnings value \"false\"",
        );
    }
    let list = |text: String| format!("1 error occurred:\n\t* {text}\n\n");
    if restart.limit < 0 {
        return mistake(
            "limit",
            list(format!(
                "limit must be greater than or equal to 0 but found {}",
                restart.limit
            )),
        );
    }
    let grace = restart.grace.unwrap_or_default();
    if grace.0 < 0 {
        return mistake(
            "grace",
            list(format!(
                "grace period must be greater than or equal to 0 but found {}",
                grace.0
            )),
        );
    }
    Ok(())
}

fn check_of_consul(check: &ServiceCheck) -> Result<(), Mistake> {
    if check.expose && !matches!(check.type_name.to_lowercase().as_str(), "grpc" | "http") {
        return mistake("expose", "expose may only be set on HTTP or gRPC checks");
    }
    let counts = [
        ("success_before_passing", check.success_before_passing),
        ("failures_before_critical", check.failures_before_critical),
    ];
    for (field, count) in counts {
        if count < 0 {
            return mistake(field, format!("{field} must be non-negative"));
        }
        if count > 0 && !needs_port(check) {
            return mistake(
                field,
                format!(
                    "{field} not supported for check of type {:?}",
                    check.type_name
                ),
            );
        }
    }
    Ok(())
}

fn check_of_nomad(check: &ServiceCheck) -> Result<(), Mistake> {
    if check.expose {
        return mistake("expose", "expose may only be set for Consul service checks");
    }
    if check.on_update == "ignore_warnings" {
        return mistake(
            "on_update",
            "on_update may only be set to ignore_warnings for Consul service checks",
        );
    }
    let restart = check.check_restart.as_ref();
    if restart.is_some_and(|restart| restart.ignore_warnings) {
        return mistake(
            "ignore_warnings",
            "ignore_warnings on check_restart only supported for Consul service checks",
        );
    }
    if check.address_mode == "driver" {
        return mistake(
            "address_mode",
            "address_mode = driver may only be set for Consul service checks",
        );
    }
    if check.type_name == "http"
        && !check.method.is_empty()
        && !METHODS.contains(&check.method.as_str())
    {
        return mistake(
            "method",
            format!(
                "method type {:?} not supported in Nomad http check",
                check.method
            ),
        );
    }
    let of_consul_only = [
        ("success_before_passing", check.success_before_passing != 0),
        (
            "failures_before_critical",
            check.failures_before_critical != 0,
        ),
        ("tls_server_name", !check.tls_server_name.is_empty()),
        ("tls_skip_verify", check.tls_skip_verify),
    ];
    for (field, set) in of_consul_only {
        if set {
            return mistake(
                field,
                format!("{field} may only be set for Consul service checks"),
            );
        }
    }
    Ok(())
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
