//! The layout of the keys under `/rove/`: the one place where their text is put together and taken apart.
//!
//! Each key has exactly one spelling: a segment escapes all but letters, digits, `-`, `_`, `.` and `~`, ids are
//! lower-case UUIDs, versions have 20 digits. What is spelt otherwise is no key of ours.

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rove_model::ids::{
    AllocId, DeploymentId, EvalId, JobId, JobKey, JobUid, Namespace, NodeId, VersionKey,
};
use thiserror::Error;
use uuid::Uuid;

use crate::store::KeyRange;

/// What stands before every key unless the operator says otherwise.
pub const DEFAULT_PREFIX: &str = "/rove/";

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Digits of a version: those of `u64::MAX`, so that keys sort as their versions do.
const VERSION_DIGITS: usize = 20;

/// One of the kinds of keys: the first segment after the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// `jobs/<ns>/<job>`.
    Registrations,
    /// `job-versions/<ns>/<job>/<uid>/<version>`.
    JobVersions,
    /// `job-evaluated/<ns>/<job>`.
    JobEvaluated,
    /// `job-stable/<ns>/<job>`.
    JobStable,
    /// `job-collected/<ns>/<job>`.
    JobCollected,
    /// `evals/<id>`.
    Evals,
    /// `plans/<eval>`.
    Plans,
    /// `allocs/<node>/<id>`.
    Allocs,
    /// `alloc-status/<node>/<id>`.
    AllocStatuses,
    /// `alloc-control/<node>/<id>`.
    AllocControls,
    /// `nodes/<node>`.
    Nodes,
    /// `node-alive/<node>`.
    NodesAlive,
    /// `node-status/<node>`.
    NodeStatuses,
    /// `node-control/<node>`.
    NodeControls,
    /// `node-secret/<node>`: kept out of State.
    NodeSecrets,
    /// `deployments/<id>`.
    Deployments,
    /// `servers/<name>`.
    Servers,
    /// `leader/<loop>`.
    Leaders,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 18] = [
        Self::Registrations,
        Self::JobVersions,
        Self::JobEvaluated,
        Self::JobStable,
        Self::JobCollected,
        Self::Evals,
        Self::Plans,
        Self::Allocs,
        Self::AllocStatuses,
        Self::AllocControls,
        Self::Nodes,
        Self::NodesAlive,
        Self::NodeStatuses,
        Self::NodeControls,
        Self::NodeSecrets,
        Self::Deployments,
        Self::Servers,
        Self::Leaders,
    ];

    /// The first segment of its keys.
    #[must_use]
    pub const fn segment(self) -> &'static str {
        match self {
            Self::Registrations => "jobs",
            Self::JobVersions => "job-versions",
            Self::JobEvaluated => "job-evaluated",
            Self::JobStable => "job-stable",
            Self::JobCollected => "job-collected",
            Self::Evals => "evals",
            Self::Plans => "plans",
            Self::Allocs => "allocs",
            Self::AllocStatuses => "alloc-status",
            Self::AllocControls => "alloc-control",
            Self::Nodes => "nodes",
            Self::NodesAlive => "node-alive",
            Self::NodeStatuses => "node-status",
            Self::NodeControls => "node-control",
            Self::NodeSecrets => "node-secret",
            Self::Deployments => "deployments",
            Self::Servers => "servers",
            Self::Leaders => "leader",
        }
    }

    fn of_segment(segment: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|table| table.segment() == segment)
    }
}

/// A key, without its prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Which version of a job is wanted.
    Registration(JobKey),
    /// An immutable specification.
    JobVersion(VersionKey),
    /// The last evaluation made for a job.
    JobEvaluated(JobKey),
    /// Versions of a job that ran healthy.
    JobStable(JobKey),
    /// Counts of a job's allocs that were collected.
    JobCollected(JobKey),
    /// An evaluation.
    Eval(EvalId),
    /// The plan of an evaluation.
    Plan(EvalId),
    /// What is wanted of an alloc.
    Alloc(NodeId, AllocId),
    /// What is known of an alloc.
    AllocStatus(NodeId, AllocId),
    /// What was asked of an alloc.
    AllocControl(NodeId, AllocId),
    /// A node's fingerprint.
    Node(NodeId),
    /// A node is alive.
    NodeAlive(NodeId),
    /// What the servers think of a node.
    NodeStatus(NodeId),
    /// What was asked of a node.
    NodeControl(NodeId),
    /// The hash of a node's secret.
    NodeSecret(NodeId),
    /// A roll-out.
    Deployment(DeploymentId),
    /// A server.
    Server(String),
    /// Who runs a loop.
    Leader(String),
}

impl Key {
    /// Its table.
    #[must_use]
    pub const fn table(&self) -> Table {
        match self {
            Self::Registration(_) => Table::Registrations,
            Self::JobVersion(_) => Table::JobVersions,
            Self::JobEvaluated(_) => Table::JobEvaluated,
            Self::JobStable(_) => Table::JobStable,
            Self::JobCollected(_) => Table::JobCollected,
            Self::Eval(_) => Table::Evals,
            Self::Plan(_) => Table::Plans,
            Self::Alloc(..) => Table::Allocs,
            Self::AllocStatus(..) => Table::AllocStatuses,
            Self::AllocControl(..) => Table::AllocControls,
            Self::Node(_) => Table::Nodes,
            Self::NodeAlive(_) => Table::NodesAlive,
            Self::NodeStatus(_) => Table::NodeStatuses,
            Self::NodeControl(_) => Table::NodeControls,
            Self::NodeSecret(_) => Table::NodeSecrets,
            Self::Deployment(_) => Table::Deployments,
            Self::Server(_) => Table::Servers,
            Self::Leader(_) => Table::Leaders,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.table().segment())?;
        match self {
            Self::Registration(job)
            | Self::JobEvaluated(job)
            | Self::JobStable(job)
            | Self::JobCollected(job) => write_job(f, job),
            Self::JobVersion(key) => {
                write_job(f, &key.job)?;
                write!(
                    f,
                    "/{}/{:0width$}",
                    key.uid,
                    key.version,
                    width = VERSION_DIGITS
                )
            }
            Self::Eval(id) | Self::Plan(id) => write!(f, "/{id}"),
            Self::Alloc(node, id) | Self::AllocStatus(node, id) | Self::AllocControl(node, id) => {
                write!(f, "/{node}/{id}")
            }
            Self::Node(id)
            | Self::NodeAlive(id)
            | Self::NodeStatus(id)
            | Self::NodeControl(id)
            | Self::NodeSecret(id) => write!(f, "/{id}"),
            Self::Deployment(id) => write!(f, "/{id}"),
            Self::Server(name) | Self::Leader(name) => write!(f, "/{}", escape(name)),
        }
    }
}

fn write_job(f: &mut fmt::Formatter<'_>, job: &JobKey) -> fmt::Result {
    write!(
        f,
        "/{}/{}",
        escape(job.namespace.as_str()),
        escape(job.id.as_str())
    )
}

fn escape(segment: &str) -> impl fmt::Display {
    utf8_percent_encode(segment, ESCAPED)
}

/// Why some bytes are no key of ours.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// It does not begin with the prefix.
    #[error("the key {0:?} is not under the prefix")]
    Foreign(String),
    /// No table has that name.
    #[error("the key {0:?} is of no known kind")]
    UnknownTable(String),
    /// The rest is not what such a key has.
    #[error("the key {0:?} is not well-formed")]
    Malformed(String),
}

/// The keys of one cluster: all begin with its prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    prefix: Arc<str>,
}

impl Default for Keys {
    fn default() -> Self {
        Self::new(DEFAULT_PREFIX)
    }
}

impl Keys {
    /// The keys under `prefix`, which is given a `/` at its end if it has none.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        let prefix = if prefix.ends_with('/') {
            prefix.into()
        } else {
            format!("{prefix}/").into()
        };
        Self { prefix }
    }

    /// The prefix, with its `/`.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The bytes of `key`.
    #[must_use]
    pub fn encode(&self, key: &Key) -> Bytes {
        format!("{}{key}", self.prefix).into()
    }

    /// The key that `bytes` spell.
    ///
    /// # Errors
    /// When they are not under the prefix, of no known kind, or not spelt as [`Keys::encode`] does.
    pub fn parse(&self, bytes: &[u8]) -> Result<Key, KeyError> {
        let shown = || String::from_utf8_lossy(bytes).into_owned();
        let path = std::str::from_utf8(bytes)
            .ok()
            .and_then(|text| text.strip_prefix(&*self.prefix))
            .ok_or_else(|| KeyError::Foreign(shown()))?;
        let (segment, rest) = path
            .split_once('/')
            .ok_or_else(|| KeyError::UnknownTable(shown()))?;
        let table = Table::of_segment(segment).ok_or_else(|| KeyError::UnknownTable(shown()))?;
        parse_rest(table, rest)
            .filter(|key| key.to_string() == path)
            .ok_or_else(|| KeyError::Malformed(shown()))
    }

    /// Every key of the cluster.
    #[must_use]
    pub fn all(&self) -> KeyRange {
        KeyRange::prefix(self.prefix.to_string())
    }

    /// Every key of a table.
    #[must_use]
    pub fn table(&self, table: Table) -> KeyRange {
        KeyRange::prefix(format!("{}{}/", self.prefix, table.segment()))
    }

    /// What is wanted on a node.
    #[must_use]
    pub fn allocs_of_node(&self, node: NodeId) -> KeyRange {
        self.of_node(Table::Allocs, node)
    }

    /// What is known of a node's allocs.
    #[must_use]
    pub fn alloc_statuses_of_node(&self, node: NodeId) -> KeyRange {
        self.of_node(Table::AllocStatuses, node)
    }

    /// What was asked of a node's allocs.
    #[must_use]
    pub fn alloc_controls_of_node(&self, node: NodeId) -> KeyRange {
        self.of_node(Table::AllocControls, node)
    }

    /// Every version of a job, of former registrations too.
    #[must_use]
    pub fn versions_of_job(&self, job: &JobKey) -> KeyRange {
        KeyRange::prefix(format!(
            "{}{}/{}/{}/",
            self.prefix,
            Table::JobVersions.segment(),
            escape(job.namespace.as_str()),
            escape(job.id.as_str())
        ))
    }

    /// Every version of one registration of a job.
    #[must_use]
    pub fn versions_of_registration(&self, job: &JobKey, uid: JobUid) -> KeyRange {
        KeyRange::prefix(format!(
            "{}{}/{}/{}/{uid}/",
            self.prefix,
            Table::JobVersions.segment(),
            escape(job.namespace.as_str()),
            escape(job.id.as_str())
        ))
    }

    fn of_node(&self, table: Table, node: NodeId) -> KeyRange {
        KeyRange::prefix(format!("{}{}/{node}/", self.prefix, table.segment()))
    }
}

/// Takes the segments apart; a second spelling of a key gets through here and is refused by the caller.
fn parse_rest(table: Table, rest: &str) -> Option<Key> {
    let parts: Vec<&str> = rest.split('/').collect();
    let job = |ns: &str, id: &str| {
        Some(JobKey {
            namespace: Namespace::from(&*unescape(ns)?),
            id: JobId::from(&*unescape(id)?),
        })
    };
    let node = |text: &str| Uuid::parse_str(text).ok().map(NodeId);
    let alloc = |text: &str| Uuid::parse_str(text).ok().map(AllocId);
    let eval = |text: &str| Uuid::parse_str(text).ok().map(EvalId);
    Some(match (table, parts.as_slice()) {
        (Table::Registrations, [ns, id]) => Key::Registration(job(ns, id)?),
        (Table::JobVersions, [ns, id, uid, version]) => Key::JobVersion(VersionKey {
            job: job(ns, id)?,
            uid: JobUid(Uuid::parse_str(uid).ok()?),
            version: version.parse().ok()?,
        }),
        (Table::JobEvaluated, [ns, id]) => Key::JobEvaluated(job(ns, id)?),
        (Table::JobStable, [ns, id]) => Key::JobStable(job(ns, id)?),
        (Table::JobCollected, [ns, id]) => Key::JobCollected(job(ns, id)?),
        (Table::Evals, [id]) => Key::Eval(eval(id)?),
        (Table::Plans, [id]) => Key::Plan(eval(id)?),
        (Table::Allocs, [on, id]) => Key::Alloc(node(on)?, alloc(id)?),
        (Table::AllocStatuses, [on, id]) => Key::AllocStatus(node(on)?, alloc(id)?),
        (Table::AllocControls, [on, id]) => Key::AllocControl(node(on)?, alloc(id)?),
        (Table::Nodes, [id]) => Key::Node(node(id)?),
        (Table::NodesAlive, [id]) => Key::NodeAlive(node(id)?),
        (Table::NodeStatuses, [id]) => Key::NodeStatus(node(id)?),
        (Table::NodeControls, [id]) => Key::NodeControl(node(id)?),
        (Table::NodeSecrets, [id]) => Key::NodeSecret(node(id)?),
        (Table::Deployments, [id]) => Key::Deployment(DeploymentId(Uuid::parse_str(id).ok()?)),
        (Table::Servers, [name]) => Key::Server(unescape(name)?.into_owned()),
        (Table::Leaders, [name]) => Key::Leader(unescape(name)?.into_owned()),
        _ => return None,
    })
}

fn unescape(segment: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(segment).decode_utf8().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uuid() -> impl Strategy<Value = Uuid> {
        any::<[u8; 16]>().prop_map(Uuid::from_bytes)
    }

    fn job() -> impl Strategy<Value = JobKey> {
        (any::<String>(), any::<String>()).prop_map(|(namespace, id)| JobKey::new(namespace, id))
    }

    fn key() -> impl Strategy<Value = Key> {
        let pair = || (uuid(), uuid()).prop_map(|(node, id)| (NodeId(node), AllocId(id)));
        prop_oneof![
            job().prop_map(Key::Registration),
            (job(), uuid(), any::<u64>()).prop_map(|(job, uid, version)| Key::JobVersion(
                VersionKey {
                    job,
                    uid: JobUid(uid),
                    version
                }
            )),
            job().prop_map(Key::JobEvaluated),
            job().prop_map(Key::JobStable),
            job().prop_map(Key::JobCollected),
            uuid().prop_map(|id| Key::Eval(EvalId(id))),
            uuid().prop_map(|id| Key::Plan(EvalId(id))),
            pair().prop_map(|(node, id)| Key::Alloc(node, id)),
            pair().prop_map(|(node, id)| Key::AllocStatus(node, id)),
            pair().prop_map(|(node, id)| Key::AllocControl(node, id)),
            uuid().prop_map(|id| Key::Node(NodeId(id))),
            uuid().prop_map(|id| Key::NodeAlive(NodeId(id))),
            uuid().prop_map(|id| Key::NodeStatus(NodeId(id))),
            uuid().prop_map(|id| Key::NodeControl(NodeId(id))),
            uuid().prop_map(|id| Key::NodeSecret(NodeId(id))),
            uuid().prop_map(|id| Key::Deployment(DeploymentId(id))),
            any::<String>().prop_map(Key::Server),
            any::<String>().prop_map(Key::Leader),
        ]
    }

    proptest! {
        #[test]
        fn a_key_comes_back_as_it_was_and_lies_in_its_ranges(key in key()) {
            let keys = Keys::default();
            let bytes = keys.encode(&key);
            prop_assert!(keys.all().contains(&bytes));
            prop_assert!(keys.table(key.table()).contains(&bytes));
            match &key {
                Key::Alloc(node, _) => prop_assert!(keys.allocs_of_node(*node).contains(&bytes)),
                Key::JobVersion(version) => {
                    prop_assert!(keys.versions_of_job(&version.job).contains(&bytes));
                    prop_assert!(
                        keys.versions_of_registration(&version.job, version.uid).contains(&bytes)
                    );
                }
                _ => {}
            }
            prop_assert_eq!(keys.parse(&bytes).unwrap(), key);
        }

        #[test]
        fn bytes_that_parse_are_the_ones_that_are_written(path in "[a-z-]{0,12}(/[%0-9A-Za-z.]{0,36}){0,5}") {
            let keys = Keys::default();
            let bytes = format!("/rove/{path}");
            if let Ok(key) = keys.parse(bytes.as_bytes()) {
                prop_assert_eq!(keys.encode(&key), bytes);
            }
        }

        #[test]
        fn versions_sort_as_numbers(a: u64, b: u64) {
            let keys = Keys::default();
            let encode = |version| {
                keys.encode(&Key::JobVersion(VersionKey {
                    job: JobKey::new("default", "web"),
                    uid: JobUid(Uuid::nil()),
                    version,
                }))
            };
            prop_assert_eq!(a.cmp(&b), encode(a).cmp(&encode(b)));
        }
    }

    #[test]
    fn keys_are_spelt_as_the_documentation_says() {
        let keys = Keys::default();
        let uid = "11111111-2222-3333-4444-555555555555";
        let id = Uuid::parse_str(uid).unwrap();
        for (what, key, text) in [
            (
                "a plain job",
                Key::Registration(JobKey::new("default", "redis")),
                "/rove/jobs/default/redis".to_owned(),
            ),
            (
                "a job with a slash, a percent sign and a space",
                Key::Registration(JobKey::new("default", "a/b%2F c")),
                "/rove/jobs/default/a%2Fb%252F%20c".to_owned(),
            ),
            (
                "a job outside ASCII",
                Key::JobStable(JobKey::new("équipe", "ü")),
                "/rove/job-stable/%C3%A9quipe/%C3%BC".to_owned(),
            ),
            (
                "a version",
                Key::JobVersion(VersionKey {
                    job: JobKey::new("default", "redis"),
                    uid: JobUid(id),
                    version: 7,
                }),
                format!("/rove/job-versions/default/redis/{uid}/00000000000000000007"),
            ),
            (
                "an alloc",
                Key::Alloc(NodeId(id), AllocId(id)),
                format!("/rove/allocs/{uid}/{uid}"),
            ),
            (
                "a server",
                Key::Server("n1.global".to_owned()),
                "/rove/servers/n1.global".to_owned(),
            ),
        ] {
            assert_eq!(keys.encode(&key), text, "{what}");
            assert_eq!(keys.parse(text.as_bytes()).unwrap(), key, "{what}");
        }
    }

    #[test]
    fn what_is_no_key_of_ours_is_refused() {
        let keys = Keys::default();
        for (what, text) in [
            ("nothing", &b""[..]),
            ("the prefix alone", b"/rove/"),
            ("a table alone", b"/rove/jobs"),
            ("another prefix", b"/other/jobs/default/web"),
            ("an unknown table", b"/rove/colours/red"),
            ("a segment too few", b"/rove/jobs/default"),
            ("a segment too many", b"/rove/jobs/default/a/b"),
            ("an id that is none", b"/rove/evals/zz"),
            (
                "an id in capitals",
                b"/rove/evals/AAAAAAAA-2222-3333-4444-555555555555",
            ),
            ("a needless escape", b"/rove/jobs/default/%61"),
            ("an escape in small letters", b"/rove/jobs/default/a%2fb"),
            ("an escape of broken UTF-8", b"/rove/jobs/default/%ff"),
            (
                "a version without its zeros",
                b"/rove/job-versions/default/a/11111111-2222-3333-4444-555555555555/7",
            ),
            ("bytes that are no text", b"/rove/jobs/\xff/a"),
        ] {
            assert!(keys.parse(text).is_err(), "{what}");
        }
    }

    #[test]
    fn another_prefix_keeps_clusters_apart() {
        let ours = Keys::new("/clusters/a");
        assert_eq!(ours.prefix(), "/clusters/a/");
        let key = Key::Leader("job".to_owned());
        let bytes = ours.encode(&key);
        assert_eq!(ours.parse(&bytes).unwrap(), key);
        assert!(Keys::default().parse(&bytes).is_err());
        assert!(!Keys::new("/clusters/ab").all().contains(&bytes));
    }
}
