//! Tasks: driver, resources, logs, artifacts, templates, mounts.

use std::collections::BTreeMap;

use super::{FieldPath, Report, constraint, policy, service};
use crate::drivers;
use crate::job::{
    Constraint, CsiPluginConfig, JobType, LogConfig, Resources, Task, TaskArtifact, TaskGroup,
    Template, Vault, VolumeMount,
};

const MIN_CPU: i64 = 1;
const MIN_MEMORY_MB: i64 = 10;

pub(super) fn task(
    task: &Task,
    job_type: JobType,
    system: bool,
    group: &TaskGroup,
    path: &FieldPath,
    errors: &mut Report,
) {
    if task.name.is_empty() {
        errors.add(path.clone(), "Missing task name");
    }
    if task.name.contains(['/', '\\']) {
        errors.add(path.clone(), "Task name cannot include slashes");
    } else if task.name.contains('\0') {
        errors.add(path.clone(), "Task name cannot include null characters");
    }
    if task.driver.is_empty() {
        errors.add(path.field("driver"), "Missing task driver");
    }
    driver_config(task, group, &path.block("config", 0, ""), errors);
    let kill_timeout = task.kill_timeout();
    if kill_timeout.0 < 0 {
        errors.add(
            path.field("kill_timeout"),
            "KillTimeout must be a positive value",
        );
    } else if let Some(update) = &group.update {
        let deadline = update.progress_deadline();
        if job_type == JobType::Service && deadline.0 > 0 && kill_timeout > deadline {
            errors.add(
                path.field("kill_timeout"),
                format!(
                    "KillTimout ({kill_timeout}) longer than the group's ProgressDeadline ({deadline})"
                ),
            );
        }
    }
    if task.shutdown_delay.0 < 0 {
        errors.add(
            path.field("shutdown_delay"),
            "ShutdownDelay must be a positive value",
        );
    }
    match &task.resources {
        None => errors.add(path.clone(), "Missing task resources"),
        Some(resources) => {
            let mut inner = Report::default();
            the_resources(resources, &path.block("resources", 0, ""), &mut inner);
            errors.nest("", inner);
        }
    }
    match &task.log_config {
        None => errors.add(path.clone(), "Missing Log Config"),
        Some(log) => {
            let mut inner = Report::default();
            logs(log, group, &path.block("logs", 0, ""), &mut inner);
            errors.nest("", inner);
        }
    }
    constraint::constraints(&task.constraints, path, errors);
    for (index, constraint) in task.constraints.iter().enumerate() {
        if matches!(
            constraint.operand.as_str(),
            "distinct_hosts" | "distinct_property"
        ) {
            errors.add(
                path.block("constraint", index, "").field("operator"),
                format!(
                    "Constraint {} has disallowed Operand at task level: {}",
                    index + 1,
                    constraint.operand
                ),
            );
        }
    }
    constraint::affinities(&task.affinities, system, path, errors);
    if let Some(restart) = &task.restart_policy
        && task.restart_policy != group.restart_policy
    {
        let mut inner = Report::default();
        policy::restart(restart, &path.block("restart", 0, ""), &mut inner);
        errors.nest("", inner);
    }
    let mut inner = Report::default();
    service::task_services(task, group, path, &mut inner);
    errors.nest("", inner);
    for (index, artifact) in task.artifacts.iter().enumerate() {
        let mut inner = Report::default();
        the_artifact(artifact, &path.block("artifact", index, ""), &mut inner);
        errors.nest(
            &format!("Artifact {} validation failed: ", index + 1),
            inner,
        );
    }
    if let Some(vault) = &task.vault {
        let mut inner = Report::default();
        the_vault(vault, &path.block("vault", 0, ""), &mut inner);
        errors.nest("Vault validation failed: ", inner);
    }
    templates(&task.templates, path, errors);
    if let Some(payload) = &task.dispatch_payload
        && escapes(&format!("local/{}", payload.file))
    {
        errors.add(
            path.block("dispatch_payload", 0, "").field("file"),
            "Dispatch Payload validation failed: destination escapes allocation directory",
        );
    }
    if let Some(lifecycle) = &task.lifecycle {
        let path = path.block("lifecycle", 0, "").field("hook");
        match lifecycle.hook.as_str() {
            "prestart" | "poststart" | "poststop" => {}
            "" => errors.add(
                path,
                "Lifecycle validation failed: no lifecycle hook provided",
            ),
            other => errors.add(
                path,
                format!("Lifecycle validation failed: invalid hook: {other}"),
            ),
        }
    }
    for (index, mount) in task.volume_mounts.iter().enumerate() {
        the_mount(
            mount,
            index,
            group,
            &path.block("volume_mount", index, ""),
            errors,
        );
    }
    if let Some(plugin) = &task.csi_plugin_config {
        csi_plugin(plugin, &path.block("csi_plugin", 0, ""), errors);
    }
}

/// What the driver would refuse on the node.
fn driver_config(task: &Task, group: &TaskGroup, path: &FieldPath, errors: &mut Report) {
    for problem in drivers::config_problems(task) {
        let message = format!("invalid {} config: {problem}", task.driver);
        let path = match problem.key_of(&task.config) {
            None => path.clone(),
            Some(key) => path.field(key.to_owned()),
        };
        errors.add(path, message);
    }
    for port in drivers::unknown_ports(group, task) {
        let message = format!("invalid {} config: {}", task.driver, port.message);
        errors.add(path.field(port.key), message);
    }
}

fn csi_plugin(plugin: &CsiPluginConfig, path: &FieldPath, errors: &mut Report) {
    if plugin.id.is_empty() {
        errors.add(
            path.field("id"),
            "CSIPluginConfig must have a non-empty PluginID",
        );
    }
    if !matches!(
        plugin.type_name.as_str(),
        "node" | "controller" | "monolith"
    ) {
        errors.add(
            path.field("type"),
            format!(
                "CSIPluginConfig PluginType must be one of 'node', 'controller', or 'monolith', got: {:?}",
                plugin.type_name
            ),
        );
    }
    let (base, mount) = (&plugin.stage_publish_base_dir, &plugin.mount_dir);
    let inside = std::path::Path::new(base).starts_with(mount);
    if !base.is_empty() && !mount.is_empty() && inside {
        errors.add(
            path.field("stage_publish_base_dir"),
            format!(
                "CSIPluginConfig StagePublishBaseDir must not be a subdirectory of MountDir, got: StagePublishBaseDir={base:?} MountDir={mount:?}"
            ),
        );
    }
}

fn the_resources(resources: &Resources, path: &FieldPath, errors: &mut Report) {
    let (cpu, cores) = (resources.cpu.unwrap_or(0), resources.cores.unwrap_or(0));
    if cores > 0 && cpu > 0 {
        errors.add(
            path.field("cores"),
            "Task can only ask for 'cpu' or 'cores' resource, not both.",
        );
    }
    let mut inner = Report::default();
    if cpu < MIN_CPU && cores == 0 {
        inner.add(
            path.field("cpu"),
            format!("minimum CPU value is {MIN_CPU}; got {cpu}"),
        );
    }
    let memory = resources.memory_mb.unwrap_or(0);
    if memory < MIN_MEMORY_MB {
        inner.add(
            path.field("memory"),
            format!("minimum MemoryMB value is {MIN_MEMORY_MB}; got {memory}"),
        );
    }
    errors.nest("", inner);
    for (index, device) in resources.devices.iter().enumerate() {
        let path = path.block("device", index, &device.name);
        let mut inner = Report::default();
        if device.name.is_empty() {
            inner.add(path.clone(), "device name must be given as one of the following: type, vendor/type, or vendor/type/name");
        }
        if device.count.is_some_and(|count| count < 1) {
            inner.add(path.field("count"), "device count must be at least 1");
        }
        device_constraints(&device.constraints, &path, &mut inner);
        constraint::affinities(&device.affinities, false, &path, &mut inner);
        errors.nest(&format!("device {} failed validation: ", index + 1), inner);
    }
    let memory_max = resources.memory_max_mb.unwrap_or(0);
    if memory_max != 0 && memory_max < memory {
        errors.add(
            path.field("memory_max"),
            format!(
                "MemoryMaxMB value ({memory_max}) should be larger than MemoryMB value ({memory})"
            ),
        );
    }
}

fn device_constraints(list: &[Constraint], path: &FieldPath, errors: &mut Report) {
    for (index, constraint) in list.iter().enumerate() {
        let operand = constraint.operand.as_str();
        if matches!(operand, "distinct_hosts" | "distinct_property") {
            errors.add(
                path.block("constraint", index, "").field("operator"),
                format!(
                    "Constraint {} validation failed: using unsupported operand {operand:?}",
                    index + 1
                ),
            );
        }
    }
    constraint::constraints(list, path, errors);
}

fn logs(log: &LogConfig, group: &TaskGroup, path: &FieldPath, errors: &mut Report) {
    let files = log.max_files.unwrap_or(0);
    let size = log.max_file_size_mb.unwrap_or(0);
    if files < 1 {
        errors.add(
            path.field("max_files"),
            format!("minimum number of files is 1; got {files}"),
        );
    }
    if size < 1 {
        errors.add(
            path.field("max_file_size"),
            format!("minimum file size is 1MB; got {size}"),
        );
    }
    if let Some(disk) = &group.ephemeral_disk {
        let usage = files.saturating_mul(size);
        let disk = disk.size_mb.unwrap_or(0);
        if disk <= usage {
            errors.add(
                path.clone(),
                format!(
                    "log storage ({usage} MB) must be less than requested disk capacity ({disk} MB)"
                ),
            );
        }
    }
}

fn the_artifact(artifact: &TaskArtifact, path: &FieldPath, errors: &mut Report) {
    if artifact.getter_source.is_empty() {
        errors.add(path.field("source"), "source must be specified");
    }
    let mode = artifact.getter_mode.as_deref().unwrap_or("any");
    if !matches!(mode, "any" | "file" | "dir") {
        errors.add(
            path.field("mode"),
            format!("invalid artifact mode {mode:?}; must be one of: any, file, dir"),
        );
    }
    if escapes(artifact.relative_dest.as_deref().unwrap_or_default()) {
        errors.add(
            path.field("destination"),
            "destination escapes allocation directory",
        );
    }
    if let Some(checksum) = artifact.getter_options.get("checksum")
        && let Err(reason) = checksum_is_sound(checksum)
    {
        errors.add(path.block("options", 0, "").field("checksum"), reason);
    }
}

/// Whether a checksum can be one; what it is interpolated from at run time isn't looked at.
fn checksum_is_sound(checksum: &str) -> Result<(), String> {
    if checksum.contains("${") {
        return Ok(());
    }
    let checksum = checksum.trim();
    if checksum.is_empty() {
        return Err("checksum value cannot be empty".to_owned());
    }
    let parts: Vec<_> = checksum.split(':').collect();
    let [kind, value] = parts[..] else {
        return Err(format!(
            "checksum must be given as \"type:value\"; got {checksum:?}"
        ));
    };
    let digits = match kind {
        "md5" => 32,
        "sha1" => 40,
        "sha256" => 64,
        "sha512" => 128,
        _ => {
            return Err(format!(
                "unsupported checksum type: {kind}; there are md5, sha1, sha256 and sha512"
            ));
        }
    };
    if let Some(other) = value.chars().find(|c| !c.is_ascii_hexdigit()) {
        return Err(format!(
            "invalid checksum: {kind} has {digits} hex digits, {other:?} is none"
        ));
    }
    if value.len() != digits {
        return Err(format!(
            "invalid checksum: {kind} has {digits} hex digits, this has {}",
            value.len()
        ));
    }
    Ok(())
}

/// Whether a path below the task's directory leads out of the alloc's, which is one level up.
fn escapes(destination: &str) -> bool {
    if destination.contains("${") {
        return false;
    }
    let mut depth: i64 = 1;
    for part in destination.split('/') {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return true;
        }
    }
    false
}

fn the_vault(vault: &Vault, path: &FieldPath, errors: &mut Report) {
    if vault.policies.is_empty() {
        errors.add(path.field("policies"), "Policy list cannot be empty");
    }
    if vault.policies.iter().any(|policy| policy == "root") {
        errors.add(path.field("policies"), "Can not specify \"root\" policy");
    }
    match vault.change_mode.as_deref().unwrap_or_default() {
        "noop" | "restart" => {}
        "signal" => {
            if vault
                .change_signal
                .as_deref()
                .unwrap_or_default()
                .is_empty()
            {
                errors.add(
                    path.field("change_signal"),
                    "Signal must be specified when using change mode \"signal\"",
                );
            }
        }
        other => errors.add(
            path.field("change_mode"),
            format!("Unknown change mode {other:?}"),
        ),
    }
}

fn templates(templates: &[Template], path: &FieldPath, errors: &mut Report) {
    let mut destinations = BTreeMap::new();
    for (index, template) in templates.iter().enumerate() {
        let path = path.block("template", index, "");
        let mut inner = Report::default();
        the_template(template, &path, &mut inner);
        errors.nest(
            &format!("Template {} validation failed: ", index + 1),
            inner,
        );
        let destination = template.dest_path.as_deref().unwrap_or_default();
        if let Some(other) = destinations.get(destination) {
            errors.add(
                path.field("destination"),
                format!("Template {} has same destination as {other}", index + 1),
            );
        } else {
            destinations.insert(destination, index + 1);
        }
    }
}

fn the_template(template: &Template, path: &FieldPath, errors: &mut Report) {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    if text(&template.source_path).is_empty() && text(&template.embedded_tmpl).is_empty() {
        errors.add(
            path.clone(),
            "Must specify a source path or have an embedded template",
        );
    }
    let destination = text(&template.dest_path);
    if destination.is_empty() {
        errors.add(
            path.field("destination"),
            "Must specify a destination for the template",
        );
    }
    if escapes(&destination) {
        errors.add(
            path.field("destination"),
            "destination escapes allocation directory",
        );
    }
    match text(&template.change_mode).as_str() {
        "noop" | "restart" => {}
        "signal" => {
            if text(&template.change_signal).is_empty() {
                errors.add(
                    path.field("change_signal"),
                    "Must specify signal value when change mode is signal",
                );
            }
            if template.envvars == Some(true) {
                errors.add(
                    path.field("env"),
                    "cannot use signals with env var templates",
                );
            }
        }
        "script" => match &template.change_script {
            None => errors.add(
                path.field("change_mode"),
                "must specify change script value when change mode is script",
            ),
            Some(script) => {
                if text(&script.command).is_empty() {
                    errors.add(
                        path.block("change_script", 0, "").field("command"),
                        "must specify script path value when change mode is script",
                    );
                }
            }
        },
        _ => errors.add(
            path.field("change_mode"),
            "Invalid change mode. Must be one of the following: noop, signal, script, restart",
        ),
    }
    if template.splay.is_some_and(|splay| splay.0 < 0) {
        errors.add(path.field("splay"), "Must specify positive splay value");
    }
    let perms = text(&template.perms);
    if !perms.is_empty() && u16::from_str_radix(&perms, 8).map_or(true, |bits| bits > 0o7777) {
        errors.add(
            path.field("perms"),
            format!("Failed to parse {perms:?} as octal"),
        );
    }
    if let Some(wait) = &template.wait {
        let (min, max) = (wait.min.unwrap_or_default(), wait.max.unwrap_or_default());
        if wait.max.is_some() && min > max {
            errors.add(
                path.block("wait", 0, "").field("min"),
                format!("wait min {min} is greater than max {max}"),
            );
        }
    }
}

fn the_mount(
    mount: &VolumeMount,
    index: usize,
    group: &TaskGroup,
    path: &FieldPath,
    errors: &mut Report,
) {
    let volume = mount.volume.as_deref().unwrap_or_default();
    if !group.volumes.contains_key(volume) {
        errors.add(
            path.field("volume"),
            format!("Volume Mount ({index}) references undefined volume {volume}"),
        );
    }
    let propagation = mount.propagation_mode.as_deref().unwrap_or("private");
    if !matches!(propagation, "private" | "host-to-task" | "bidirectional") {
        errors.add(
            path.field("propagation_mode"),
            format!("Volume Mount ({index}) has an invalid propagation mode: {propagation:?}"),
        );
    }
}
