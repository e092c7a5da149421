//! Tasks and what belongs to one, and the volumes of a group.

use std::collections::BTreeMap;

use super::{
    ObjectDiff,
    fields::Fields,
    object::{Detail, Shape, sorted},
    service::services,
};
use crate::job::{
    ChangeScript, CsiPluginConfig, DispatchPayload, Lifecycle, LogConfig, MountOptions,
    RestartPolicy, Task, TaskArtifact, Template, Vault, VolumeMount, VolumeRequest, WaitConfig,
    WorkloadIdentity,
};

/// What the tasks of a group have from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inherited<'a> {
    pub(super) old: Option<&'a RestartPolicy>,
    pub(super) new: Option<&'a RestartPolicy>,
}

pub(super) fn fields(task: &Task) -> Fields {
    let Task {
        name: _,
        driver,
        user,
        lifecycle: _,
        config: _,
        constraints: _,
        affinities: _,
        env,
        services: _,
        resources: _,
        restart_policy: _,
        meta,
        kill_timeout,
        log_config: _,
        artifacts: _,
        vault: _,
        templates: _,
        dispatch_payload: _,
        volume_mounts: _,
        leader,
        shutdown_delay,
        kill_signal,
        kind,
        scaling_policies: _,
        identity: _,
        csi_plugin_config: _,
    } = task;
    Fields::new()
        .with("Driver", driver)
        .with("User", user)
        .with_map("Env", env)
        .with_map("Meta", meta)
        .with("KillTimeout", kill_timeout)
        .with("Leader", leader)
        .with("ShutdownDelay", shutdown_delay)
        .with("KillSignal", kill_signal)
        .with("Kind", kind)
}

pub(super) fn objects(
    detail: Detail,
    inherited: Inherited<'_>,
    old: &Task,
    new: &Task,
) -> Vec<ObjectDiff> {
    let mut found = Vec::new();
    found.extend(detail.set(&old.constraints, &new.constraints));
    found.extend(detail.set(&old.affinities, &new.affinities));
    found.extend(detail.config("Config", &old.config, &new.config));
    found.extend(detail.block(old.resources.as_ref(), new.resources.as_ref()));
    found.extend(detail.plain(old.log_config.as_ref(), new.log_config.as_ref()));
    found.extend(detail.plain(old.dispatch_payload.as_ref(), new.dispatch_payload.as_ref()));
    found.extend(artifacts(detail, &old.artifacts, &new.artifacts));
    found.extend(services(detail, &old.services, &new.services));
    found.extend(detail.block(old.vault.as_ref(), new.vault.as_ref()));
    found.extend(templates(detail, &old.templates, &new.templates));
    if !detail.complete {
        return found;
    }
    found.extend(detail.block(old.lifecycle.as_ref(), new.lifecycle.as_ref()));
    found.extend(detail.keyed(
        &old.volume_mounts,
        &new.volume_mounts,
        |mount| &mount.destination,
        Detail::plain,
    ));
    found.extend(detail.block(old.identity.as_ref(), new.identity.as_ref()));
    found.extend(detail.block(
        old.csi_plugin_config.as_ref(),
        new.csi_plugin_config.as_ref(),
    ));
    found.extend(detail.keyed(
        &old.scaling_policies,
        &new.scaling_policies,
        |policy| &policy.type_name,
        Detail::block,
    ));
    // What it has from its group is shown there.
    let (before, after) = (old.restart_policy.as_ref(), new.restart_policy.as_ref());
    if (before, after) != (inherited.old, inherited.new) {
        found.extend(detail.plain(before, after));
    }
    found
}

/// Artifacts; the only one of a destination on each side is the same.
fn artifacts(detail: Detail, old: &[TaskArtifact], new: &[TaskArtifact]) -> Vec<ObjectDiff> {
    let only = |list: &[&TaskArtifact], one: &TaskArtifact| {
        let same = list
            .iter()
            .filter(|other| other.relative_dest == one.relative_dest);
        same.count() == 1
    };
    let gone: Vec<&TaskArtifact> = old.iter().filter(|one| !new.contains(one)).collect();
    let come: Vec<&TaskArtifact> = new.iter().filter(|one| !old.contains(one)).collect();
    let (mut diffs, mut paired) = (Vec::new(), Vec::new());
    for one in &gone {
        let successor = come
            .iter()
            .find(|other| other.relative_dest == one.relative_dest)
            .filter(|_| only(&gone, one) && only(&come, one));
        paired.extend(successor.copied());
        diffs.push(detail.plain(Some(*one), successor.copied()));
    }
    let rest = come.iter().filter(|one| !paired.contains(one));
    diffs.extend(rest.map(|one| detail.plain(None, Some(*one))));
    sorted(diffs)
}

impl Shape for TaskArtifact {
    const NAME: &'static str = "Artifact";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            getter_source,
            getter_options,
            getter_headers,
            getter_mode,
            relative_dest,
        } = self;
        Fields::new()
            .with("GetterSource", getter_source)
            .with_map("GetterOptions", getter_options)
            .with_map("GetterHeaders", getter_headers)
            .with("GetterMode", getter_mode)
            .with("RelativeDest", relative_dest)
    }
}

/// Templates; one of a destination on each side is the same.
fn templates(detail: Detail, old: &[Template], new: &[Template]) -> Vec<ObjectDiff> {
    detail.matched(old, new, |_, one, free| {
        free.iter()
            .find(|(_, other)| other.dest_path == one.dest_path)
            .map(|(index, _)| *index)
    })
}

impl Shape for Template {
    const NAME: &'static str = "Template";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            source_path,
            dest_path,
            embedded_tmpl,
            change_mode,
            change_script: _,
            change_signal,
            splay,
            perms,
            uid,
            gid,
            left_delim,
            right_delim,
            envvars,
            vault_grace,
            wait: _,
            err_missing_key,
        } = self;
        Fields::new()
            .with("SourcePath", source_path)
            .with("DestPath", dest_path)
            .with("EmbeddedTmpl", embedded_tmpl)
            .with("ChangeMode", change_mode)
            .with("ChangeSignal", change_signal)
            .with("Splay", splay)
            .with("Perms", perms)
            .with_some("Uid", uid)
            .with_some("Gid", gid)
            .with("LeftDelim", left_delim)
            .with("RightDelim", right_delim)
            .with("Envvars", envvars)
            .with("VaultGrace", vault_grace)
            .with("ErrMissingKey", err_missing_key)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        let mut found = Vec::new();
        found.extend(detail.block(old.wait.as_ref(), new.wait.as_ref()));
        found.extend(detail.block(old.change_script.as_ref(), new.change_script.as_ref()));
        found
    }
}

impl Shape for WaitConfig {
    // What clients know it as.
    const NAME: &'static str = "Template";

    fn fields(&self, _: Detail) -> Fields {
        let Self { min, max } = self;
        let time = |time: &Option<crate::duration::Nanos>| match time {
            Some(time) => time.0.to_string(),
            None => "nil".to_owned(),
        };
        Fields::new()
            .with("Min", &time(min))
            .with("Max", &time(max))
    }
}

impl Shape for ChangeScript {
    const NAME: &'static str = "ChangeScript";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            command,
            args: _,
            timeout,
            fail_on_error,
        } = self;
        Fields::new()
            .with("Command", command)
            .with("Timeout", timeout)
            .with("FailOnError", fail_on_error)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        detail
            .texts("Args", &old.args, &new.args)
            .into_iter()
            .collect()
    }
}

impl Shape for Vault {
    const NAME: &'static str = "Vault";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            policies: _,
            namespace,
            env,
            disable_file,
            change_mode,
            change_signal,
        } = self;
        Fields::new()
            .with("Namespace", namespace)
            .with("Env", env)
            .with("DisableFile", disable_file)
            .with("ChangeMode", change_mode)
            .with("ChangeSignal", change_signal)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        detail
            .texts("Policies", &old.policies, &new.policies)
            .into_iter()
            .collect()
    }
}

impl Shape for LogConfig {
    const NAME: &'static str = "LogConfig";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            max_files,
            max_file_size_mb,
            // A registered job has its opposite.
            enabled: _,
            disabled,
        } = self;
        Fields::new()
            .with("MaxFiles", max_files)
            .with("MaxFileSizeMB", max_file_size_mb)
            .with("Disabled", disabled)
    }
}

impl Shape for DispatchPayload {
    const NAME: &'static str = "DispatchPayload";

    fn fields(&self, _: Detail) -> Fields {
        let Self { file } = self;
        Fields::new().with("File", file)
    }
}

impl Shape for Lifecycle {
    const NAME: &'static str = "Lifecycle";

    fn fields(&self, _: Detail) -> Fields {
        let Self { hook, sidecar } = self;
        Fields::new().with("Hook", hook).with("Sidecar", sidecar)
    }
}

impl Shape for WorkloadIdentity {
    const NAME: &'static str = "Identity";

    fn fields(&self, _: Detail) -> Fields {
        let Self { env, file } = self;
        Fields::new().with("Env", env).with("File", file)
    }
}

impl Shape for CsiPluginConfig {
    const NAME: &'static str = "CSIPluginConfig";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            id,
            type_name,
            mount_dir,
            stage_publish_base_dir,
            health_timeout,
        } = self;
        Fields::new()
            .with("ID", id)
            .with("Type", type_name)
            .with("MountDir", mount_dir)
            .with("StagePublishBaseDir", stage_publish_base_dir)
            .with("HealthTimeout", health_timeout)
    }
}

impl Shape for VolumeMount {
    const NAME: &'static str = "VolumeMount";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            volume,
            destination,
            read_only,
            propagation_mode,
        } = self;
        Fields::new()
            .with("Volume", volume)
            .with("Destination", destination)
            .with("ReadOnly", read_only)
            .with("PropagationMode", propagation_mode)
    }
}

/// The volumes of a group, by name.
pub(super) fn volumes(
    detail: Detail,
    old: &BTreeMap<String, VolumeRequest>,
    new: &BTreeMap<String, VolumeRequest>,
) -> Vec<ObjectDiff> {
    let added = new.iter().filter(|(name, _)| !old.contains_key(*name));
    let kept = old
        .iter()
        .map(|(name, volume)| detail.block(Some(volume), new.get(name)));
    kept.chain(added.map(|(_, volume)| detail.block(None, Some(volume))))
        .flatten()
        .collect()
}

impl Shape for VolumeRequest {
    const NAME: &'static str = "Volume";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            name,
            type_name,
            source,
            read_only,
            access_mode,
            attachment_mode,
            mount_options: _,
            per_alloc,
        } = self;
        Fields::new()
            .with("Name", name)
            .with("Type", type_name)
            .with("Source", source)
            .with("ReadOnly", read_only)
            .with("AccessMode", access_mode)
            .with("AttachmentMode", attachment_mode)
            .with("PerAlloc", per_alloc)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        detail
            .block(old.mount_options.as_ref(), new.mount_options.as_ref())
            .into_iter()
            .collect()
    }
}

impl Shape for MountOptions {
    const NAME: &'static str = "MountOptions";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            fs_type,
            mount_flags: _,
        } = self;
        Fields::new().with("FSType", fs_type)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        detail
            .texts("MountFlags", &old.mount_flags, &new.mount_flags)
            .into_iter()
            .collect()
    }
}
