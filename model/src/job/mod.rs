//! The job specification, in the shape of Nomad's API.
//!
//! One set of structs serves what a job file says, what the API takes and gives, and what the store keeps. A field
//! that may be left out, and whose default isn't zero or is inherited, is an `Option`; `Job::canonicalize` fills it.
//! The methods beside the fields (`group.count()`, `task.kill_timeout()`) give the value that counts, so a reader of
//! a canonical job needs no `Option`.
//!
//! JSON that is read may hold `null` for anything, and unknown keys, as Nomad's API lets it.

pub mod declare;
mod in_order;
mod network;
mod policy;
mod resources;
mod service;
mod specification;
mod task;

pub use declare::{Change, Declared};
pub use in_order::InOrder;
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
    Consul, DEFAULT_PRIORITY, Job, JobType, KEPT_BY_THE_SERVER, Multiregion, MultiregionRegion,
    MultiregionStrategy, TaskGroup,
};
pub use task::{
    ChangeScript, CsiPluginConfig, DispatchPayload, Lifecycle, LogConfig, MountOptions, Task,
    TaskArtifact, Template, Vault, VolumeMount, VolumeRequest, WaitConfig, WorkloadIdentity,
};

use declare::spec;
use serde::{Deserialize, Deserializer};

/// `null` reads as the default.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
