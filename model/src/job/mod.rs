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

/// What a change of a field does to a running alloc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The alloc takes it over as it runs.
    InPlace,
    /// The alloc is replaced.
    Replace,
    /// As [`Change::Replace`], where what isn't said counts as zero.
    ReplaceValue,
    /// The fields inside decide.
    Within,
    /// It counts together with other fields, or with those of the same name around it: [`crate::replacement`] decides.
    Together,
}

/// What decides by itself, field by field, whether a change of it replaces an alloc.
pub trait Decides {
    /// Every field with what its change does.
    const FIELDS: &'static [(&'static str, Change)];

    /// Whether a field that doesn't count together with others replaces an alloc that runs `self` if it is to run `new`.
    fn is_replaced_by(&self, new: &Self) -> bool;
}

/// Whether an optional block or a list of blocks replaces.
pub(crate) trait DecidesWithin {
    fn replaces(&self, new: &Self) -> bool;
}

impl<T: Decides + Default> DecidesWithin for Option<T> {
    fn replaces(&self, new: &Self) -> bool {
        let unsaid = T::default();
        let (old, new) = (self.as_ref(), new.as_ref());
        old.unwrap_or(&unsaid)
            .is_replaced_by(new.unwrap_or(&unsaid))
    }
}

/// What an optional value counts as.
pub(crate) fn value_or_zero<T: Clone + Default>(value: &Option<T>) -> T {
    value.clone().unwrap_or_default()
}

/// The decision of one field.
macro_rules! decide {
    (InPlace, $old:expr, $new:expr) => {
        false
    };
    (Together, $old:expr, $new:expr) => {
        false
    };
    (Replace, $old:expr, $new:expr) => {
        $old != $new
    };
    (ReplaceValue, $old:expr, $new:expr) => {
        crate::job::value_or_zero(&$old) != crate::job::value_or_zero(&$new)
    };
    (Within, $old:expr, $new:expr) => {
        crate::job::DecidesWithin::replaces(&$old, &$new)
    };
}
pub(crate) use decide;

/// A struct of the specification: PascalCase in JSON, anything may be absent or `null`. Each field says what a change
/// of it does to an alloc that runs ([`Change`]): one that doesn't say is refused by the compiler.
macro_rules! spec {
    (
        $(#[$meta:meta])*
        $name:ident {
            $( $(#[$field_meta:meta])* $field:ident: $type:ty => $change:ident, )*
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

        impl crate::job::Decides for $name {
            const FIELDS: &'static [(&'static str, crate::job::Change)] =
                &[$( (stringify!($field), crate::job::Change::$change) ),*];

            #[allow(unused_variables, reason = "a block may hold nothing that replaces")]
            fn is_replaced_by(&self, new: &Self) -> bool {
                false $( || crate::job::decide!($change, self.$field, new.$field) )*
            }
        }
    };
}
pub(crate) use spec;
