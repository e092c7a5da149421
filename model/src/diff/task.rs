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
    Fields::of(task).without(&["Name"])
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
        Fields::of(self)
            .without_if(self.uid.is_none(), "Uid")
            .without_if(self.gid.is_none(), "Gid")
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

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        detail
            .texts("Args", &old.args, &new.args)
            .into_iter()
            .collect()
    }
}

impl Shape for Vault {
    const NAME: &'static str = "Vault";

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
        // A registered job has its opposite.
        Fields::of(self).without(&["Enabled"])
    }
}

impl Shape for DispatchPayload {
    const NAME: &'static str = "DispatchPayload";
}

impl Shape for Lifecycle {
    const NAME: &'static str = "Lifecycle";
}

impl Shape for WorkloadIdentity {
    const NAME: &'static str = "Identity";
}

impl Shape for CsiPluginConfig {
    const NAME: &'static str = "CSIPluginConfig";
}

impl Shape for VolumeMount {
    const NAME: &'static str = "VolumeMount";
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

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        detail
            .block(old.mount_options.as_ref(), new.mount_options.as_ref())
            .into_iter()
            .collect()
    }
}

impl Shape for MountOptions {
    const NAME: &'static str = "MountOptions";

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        detail
            .texts("MountFlags", &old.mount_flags, &new.mount_flags)
            .into_iter()
            .collect()
    }
}
