//! Identifiers, each a type of its own so that one can't be passed for another.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A store revision: etcd's, counted per transaction. Shown as CreateIndex, ModifyIndex and `X-Nomad-Index`.
pub type Revision = u64;

/// A point in time: nanoseconds since the Unix epoch.
pub type UnixNanos = i64;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The id made of 16 bytes of randomness that the caller hands in.
            #[must_use]
            pub fn from_random(bytes: [u8; 16]) -> Self {
                Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
            }

            /// The first eight hexadecimal digits, as tables show an id.
            #[must_use]
            pub fn short(&self) -> String {
                let mut text = self.0.to_string();
                text.truncate(8);
                text
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_id!(
    /// A node: a machine with a rove client agent.
    NodeId
);
uuid_id!(
    /// An alloc: one instance of a task group on one node.
    AllocId
);
uuid_id!(
    /// An evaluation: one request to bring a job's allocs in line with its specification.
    EvalId
);
uuid_id!(
    /// A deployment: the roll-out of one job version.
    DeploymentId
);
uuid_id!(
    /// One registration of a job: a job that is purged and registered again has another.
    JobUid
);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Arc<str>);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

text_id!(
    /// A job's id within its namespace; any text without white space or NUL, `/` included.
    JobId
);
text_id!(
    /// A namespace's name.
    Namespace
);
text_id!(
    /// A task group's name within its job.
    GroupName
);

impl Default for Namespace {
    fn default() -> Self {
        Self::from("default")
    }
}

/// A job's full name: its namespace and its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct JobKey {
    /// The namespace.
    pub namespace: Namespace,
    /// The id within it.
    #[serde(rename = "ID")]
    pub id: JobId,
}

impl JobKey {
    /// The key of job `id` in `namespace`.
    pub fn new(namespace: impl Into<Namespace>, id: impl Into<JobId>) -> Self {
        Self {
            namespace: namespace.into(),
            id: id.into(),
        }
    }
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.id)
    }
}

/// One version of one registration of a job: names an immutable specification.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionKey {
    /// The job.
    pub job: JobKey,
    /// The registration.
    pub uid: JobUid,
    /// The version, from 0; every register and every stop adds one.
    pub version: u64,
}
