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

use crate::{store::KeyRange, tables::every_table};

/// What stands before every key unless the operator says otherwise.
pub const DEFAULT_PREFIX: &str = "/rove/";

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Digits of a version: those of `u64::MAX`, so that keys sort as their versions do.
const VERSION_DIGITS: usize = 20;

/// Who writes a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The HTTP API, for a user.
    Api,
    /// Every loop that asks for an evaluation, the scheduler and the applier.
    Loops,
    /// The job loop.
    JobLoop,
    /// The scheduler; the applier removes what it has done.
    Scheduler,
    /// The applier.
    Applier,
    /// The deployment loop; the applier creates.
    DeploymentLoop,
    /// The node loop.
    NodeLoop,
    /// Garbage collection.
    Gc,
    /// The agent of the node that the key names, and no other.
    NodesAgent,
    /// The store's front end.
    FrontEnd,
    /// The server that the value names.
    Server,
}

/// Where the job is found that a value is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// In the key.
    InKey,
    /// In the value, by the names that all values have it under.
    InValue,
    /// Nowhere.
    Nowhere,
}

/// How a table is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Volume {
    /// One range.
    Few,
    /// Sixteen ranges at once: its keys begin with a random id.
    Many,
    /// One range of values that may be large: specifications and plans.
    Large,
    /// Not at all.
    NotListed,
}

/// What a full store does with a new value of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WhenFull {
    /// It fills the store.
    Refused,
    /// A small one is taken from the reserve: a loop's record of what it decided.
    Reserve,
    /// Without it nobody leads or lives.
    Always,
}

/// Who reads a table through the front end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SeenBy {
    Everyone,
    Nobody,
}

/// One of the things that a key names. It takes one segment or more.
trait Part: Sized {
    /// Writes its segments, each behind a `/`.
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// Takes its segments; a second spelling gets through here and is refused by the caller.
    fn read<'a>(segments: &mut impl Iterator<Item = &'a str>) -> Option<Self>;

    fn job(&self) -> Option<&JobKey> {
        None
    }

    fn node(&self) -> Option<NodeId> {
        None
    }
}

impl Part for JobKey {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "/{}/{}",
            escape(self.namespace.as_str()),
            escape(self.id.as_str())
        )
    }

    fn read<'a>(segments: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        Some(Self {
            namespace: Namespace::from(&*unescape(segments.next()?)?),
            id: JobId::from(&*unescape(segments.next()?)?),
        })
    }

    fn job(&self) -> Option<&JobKey> {
        Some(self)
    }
}

impl Part for VersionKey {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.job.write(f)?;
        write!(
            f,
            "/{}/{:0width$}",
            self.uid,
            self.version,
            width = VERSION_DIGITS
        )
    }

    fn read<'a>(segments: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        Some(Self {
            job: JobKey::read(segments)?,
            uid: JobUid(Uuid::parse_str(segments.next()?).ok()?),
            version: segments.next()?.parse().ok()?,
        })
    }

    fn job(&self) -> Option<&JobKey> {
        Some(&self.job)
    }
}

impl Part for NodeId {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{self}")
    }

    fn read<'a>(segments: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        segments.next()?.parse().ok()
    }

    fn node(&self) -> Option<NodeId> {
        Some(*self)
    }
}

/// Ids that are written as they are shown.
macro_rules! plain_part {
    ($($id:ty),+) => {$(
        impl Part for $id {
            fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "/{self}")
            }

            fn read<'a>(segments: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
                segments.next()?.parse().ok()
            }
        }
    )+};
}

plain_part!(AllocId, EvalId, DeploymentId);

impl Part for String {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", escape(self))
    }

    fn read<'a>(segments: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        Some(unescape(segments.next()?)?.into_owned())
    }
}

macro_rules! tables_and_keys {
    ($(
        $(#[doc = $doc:literal])+
        $table:ident, $key:ident($($part:ident: $Part:ty),+) = $segment:literal {
            owner: $owner:ident,
            state: $field:ident: $Rows:ty,
            take: $take:ident,
            about: $about:ident,
            volume: $volume:ident,
            when_full: $when_full:ident,
            seen_by: $seen_by:ident,
            example: $example:expr,
        }
    )+) => {
        /// One of the kinds of keys: the first segment after the prefix.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Table {
            $($(#[doc = $doc])+ $table,)+
        }

        /// A key, without its prefix.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Key {
            $($(#[doc = $doc])+ $key($($Part),+),)+
        }

        impl Table {
            /// Every table.
            pub const ALL: &'static [Self] = &[$(Self::$table),+];

            /// The first segment of its keys.
            #[must_use]
            pub const fn segment(self) -> &'static str {
                match self {
                    $(Self::$table => $segment,)+
                }
            }

            /// Who writes it.
            #[must_use]
            pub const fn owner(self) -> Owner {
                match self {
                    $(Self::$table => Owner::$owner,)+
                }
            }

            pub(crate) const fn about(self) -> About {
                match self {
                    $(Self::$table => About::$about,)+
                }
            }

            pub(crate) const fn volume(self) -> Volume {
                match self {
                    $(Self::$table => Volume::$volume,)+
                }
            }

            pub(crate) const fn when_full(self) -> WhenFull {
                match self {
                    $(Self::$table => WhenFull::$when_full,)+
                }
            }

            pub(crate) const fn seen_by(self) -> SeenBy {
                match self {
                    $(Self::$table => SeenBy::$seen_by,)+
                }
            }

            /// How many things its keys name.
            const fn parts(self) -> usize {
                match self {
                    $(Self::$table => [$(stringify!($part)),+].len(),)+
                }
            }

            fn of_segment(segment: &str) -> Option<Self> {
                match segment {
                    $($segment => Some(Self::$table),)+
                    _ => None,
                }
            }

            /// Takes the segments after its own apart; a second spelling of a key gets through here and is refused by
            /// the caller.
            fn key(self, rest: &str) -> Option<Key> {
                let mut segments = rest.split('/');
                let key = match self {
                    $(Self::$table => Key::$key($(<$Part>::read(&mut segments)?),+),)+
                };
                segments.next().is_none().then_some(key)
            }
        }

        impl Key {
            /// Its table.
            #[must_use]
            pub const fn table(&self) -> Table {
                match self {
                    $(Self::$key(..) => Table::$table,)+
                }
            }

            /// The job that it names.
            #[must_use]
            pub fn job(&self) -> Option<&JobKey> {
                match self {
                    $(Self::$key($($part),+) => None$(.or($part.job()))+,)+
                }
            }

            /// The node that it names.
            #[must_use]
            pub fn node(&self) -> Option<NodeId> {
                match self {
                    $(Self::$key($($part),+) => None$(.or($part.node()))+,)+
                }
            }
        }

        impl fmt::Display for Key {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.table().segment())?;
                match self {
                    $(Self::$key($($part),+) => {
                        $($part.write(f)?;)+
                    })+
                }
                Ok(())
            }
        }
    };
}

every_table!(tables_and_keys);

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
        table
            .key(rest)
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

    /// Everything that a node's agent writes.
    pub(crate) fn written_by_node(&self, node: NodeId) -> impl Iterator<Item = KeyRange> {
        Table::ALL
            .iter()
            .filter(|table| table.owner() == Owner::NodesAgent)
            .map(move |&table| {
                if table.parts() == 1 {
                    let key = format!("{}{}/{node}", self.prefix, table.segment());
                    KeyRange::Key(key.into())
                } else {
                    self.of_node(table, node)
                }
            })
    }

    fn of_node(&self, table: Table, node: NodeId) -> KeyRange {
        KeyRange::prefix(format!("{}{}/{node}/", self.prefix, table.segment()))
    }
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
