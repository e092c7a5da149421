//! The job specification, in the shape of Nomad's API.
//!
//! One set of structs serves what a job file says, what the API takes and gives, and what the store keeps. A field
//! that may be left out, and whose default isn't zero or is inherited, is an `Option`; `Job::canonicalize` fills it.
//! The methods beside the fields (`group.count()`, `task.kill_timeout()`) give the value that counts, so a reader of
//! a canonical job needs no `Option`.
//!
//! JSON that is read may hold `null` for anything, and unknown keys, as Nomad's API lets it.

mod network;
mod policy;
mod resources;
mod service;
mod specification;
mod task;

pub use network::{DnsConfig, NetworkResource, Port};
pub use policy::{
    Affinity, Constraint, EphemeralDisk, MigrateStrategy, ParameterizedJobConfig, PeriodicConfig,
    ReschedulePolicy, RestartMode, RestartPolicy, ScalingPolicy, Spread, SpreadTarget,
    UpdateStrategy,
};
pub use resources::{DeviceRequest, Resources};
pub use service::{
    CheckRestart, Connect, ExposeConfig, ExposePath, Gateway, GatewayBindAddress, GatewayProxy,
    GatewayTls, IngressConfig, IngressListener, IngressService, LinkedService, MeshConfig,
    MeshGateway, Proxy, Service, ServiceCheck, SidecarService, SidecarTask, TerminatingConfig,
    Upstream,
};
pub use specification::{
    Consul, DEFAULT_PRIORITY, Job, JobType, Multiregion, MultiregionRegion, MultiregionStrategy,
    TaskGroup,
};
pub use task::{
    ChangeScript, CsiPluginConfig, DispatchPayload, Lifecycle, LogConfig, MountOptions, Task,
    TaskArtifact, Template, Vault, VolumeMount, VolumeRequest, WaitConfig, WorkloadIdentity,
};

use serde::{Deserialize, Deserializer};

/// `null` reads as the default.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A struct of the specification: PascalCase in JSON, anything may be absent or `null`.
macro_rules! spec {
    (
        $(#[$meta:meta])*
        $name:ident {
            $( $(#[$field_meta:meta])* $field:ident: $type:ty, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "PascalCase", default)]
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[serde(deserialize_with = "crate::job::null_as_default")]
                pub $field: $type,
            )*
        }
    };
}
pub(crate) use spec;
