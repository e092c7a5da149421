//! Who may read and write what.
//!
//! Reads are cut to what may be seen rather than refused, so that `get --prefix /rove/` works for everyone and shows
//! no secret. Writes are refused unless every key of every branch is the node's own.

use bytes::Bytes;
use rove_model::ids::NodeId;
use tonic::Status;

use super::FrontendConfig;
use crate::keys::{Keys, SeenBy, Table};
use crate::store::{KeyRange, Op, Txn};

/// What nobody reads through this port, beside the nodes' secrets: tables that this version doesn't write yet.
const SECRET: [&str; 2] = ["acl", "variables"];

/// Where the secrets are, in order.
fn secrets(keys: &Keys) -> Vec<KeyRange> {
    let mut ranges: Vec<_> = SECRET
        .iter()
        .map(|segment| KeyRange::prefix(format!("{}{segment}/", keys.prefix())))
        .chain(
            Table::ALL
                .iter()
                .filter(|table| table.seen_by() == SeenBy::Nobody)
                .map(|&table| keys.table(table)),
        )
        .collect();
    ranges.sort_by_key(|range| bounds(range).0);
    ranges
}

/// A node that proved itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProvenNode {
    pub(super) id: NodeId,
    /// Derived from the node's stored hash, so every server has the same: marks the leases that are the node's.
    pub(super) lease_key: [u8; 32],
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Anonymous,
    Node(ProvenNode),
    /// Only where everything is open.
    Everyone,
}

/// What a node changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writes {
    /// A lease: that alone fixes nothing.
    Lease,
    /// Its keys.
    Keys,
    /// Its keys, and among them those that it is known by.
    Registers,
}

pub(super) struct Access {
    pub(super) keys: Keys,
    /// What may be read, in order; `None` where everything is open.
    visible: Option<Vec<KeyRange>>,
}

pub(super) fn denied() -> Status {
    // etcd's words: clients compare them.
    Status::permission_denied("etcdserver: permission denied")
}

/// Start and end; no end is the end of all keys.
type Bounds = (Bytes, Option<Bytes>);

fn bounds(keys: &KeyRange) -> Bounds {
    match keys {
        KeyRange::Key(key) => (key.clone(), Some([key, &b"\0"[..]].concat().into())),
        KeyRange::Span(start, end) => (start.clone(), Some(end.clone())),
        KeyRange::From(start) => (start.clone(), None),
    }
}

fn intersect(one: &KeyRange, other: &KeyRange) -> Option<KeyRange> {
    if let KeyRange::Key(key) = one {
        return other.contains(key).then(|| one.clone());
    }
    let (one, other) = (bounds(one), bounds(other));
    let start = one.0.max(other.0);
    let end = match (one.1, other.1) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (end, None) | (None, end) => end,
    };
    match end {
        None => Some(KeyRange::From(start)),
        Some(end) if start < end => Some(KeyRange::Span(start, end)),
        Some(_) => None,
    }
}

fn is_within(inner: &KeyRange, outer: &KeyRange) -> bool {
    let (inner, outer) = (bounds(inner), bounds(outer));
    let ends = match (&inner.1, &outer.1) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(inner), Some(outer)) => inner <= outer,
    };
    outer.0 <= inner.0 && ends
}

impl Access {
    pub(super) fn new(config: &FrontendConfig) -> Self {
        #[cfg(any(test, feature = "conformance"))]
        if config.open {
            return Self {
                keys: config.keys.clone(),
                visible: None,
            };
        }
        let (start, end) = bounds(&config.keys.all());
        let mut visible = Vec::new();
        let mut from = start;
        for secret in secrets(&config.keys) {
            let (hidden, after) = bounds(&secret);
            visible.push(KeyRange::Span(from, hidden));
            from = after.unwrap_or_default();
        }
        visible.push(match end {
            Some(end) => KeyRange::Span(from, end),
            None => KeyRange::From(from),
        });
        Self {
            keys: config.keys.clone(),
            visible: Some(visible),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.visible.is_none()
    }

    /// Everything that is ever shown.
    pub(super) fn served(&self) -> KeyRange {
        if self.is_open() {
            KeyRange::From(Bytes::new())
        } else {
            self.keys.all()
        }
    }

    /// What of `keys` may be read, in order.
    ///
    /// # Errors
    /// When nothing of it may.
    pub(super) fn readable(&self, keys: &KeyRange) -> Result<Vec<KeyRange>, Status> {
        let Some(visible) = &self.visible else {
            return Ok(vec![keys.clone()]);
        };
        let pieces: Vec<_> = visible
            .iter()
            .filter_map(|piece| intersect(keys, piece))
            .collect();
        if pieces.is_empty() {
            return Err(denied());
        }
        Ok(pieces)
    }

    fn is_readable(&self, keys: &KeyRange) -> bool {
        match &self.visible {
            None => true,
            Some(visible) => visible.iter().any(|piece| is_within(keys, piece)),
        }
    }

    fn may_write(&self, caller: &Caller, keys: &KeyRange) -> bool {
        match caller {
            Caller::Anonymous => false,
            Caller::Everyone => true,
            Caller::Node(node) => {
                let mut own = self.keys.written_by_node(node.id);
                own.any(|own| is_within(keys, &own))
            }
        }
    }

    /// What a transaction of a node that writes is to its secret.
    pub(super) fn writes_of(&self, txn: &Txn) -> Writes {
        let tables = [Table::Nodes, Table::NodesAlive].map(|table| self.keys.table(table));
        let registers = txn.then.iter().chain(&txn.otherwise).any(|op| match op {
            Op::Put { key, .. } => tables.iter().any(|table| table.contains(key)),
            Op::Range(_) | Op::Delete(_) => false,
        });
        if registers {
            Writes::Registers
        } else {
            Writes::Keys
        }
    }

    /// Whether the node owns that lease: its id carries a mark that only the node's key makes.
    pub(super) fn owns_lease(caller: &Caller, id: i64) -> bool {
        match caller {
            Caller::Anonymous => false,
            Caller::Everyone => true,
            Caller::Node(node) => super::lease::is_marked(node, id),
        }
    }

    /// Checks a transaction: all it compares and reads must be readable, all it writes, in either branch, the
    /// caller's own.
    pub(super) fn check(&self, caller: &Caller, txn: &Txn) -> Result<(), Status> {
        let compares = txn
            .compares
            .iter()
            .all(|compare| self.is_readable(&compare.keys));
        let steps = txn.then.iter().chain(&txn.otherwise).all(|op| match op {
            Op::Range(request) => self.is_readable(&request.keys),
            Op::Put { key, lease, .. } => {
                self.may_write(caller, &KeyRange::Key(key.clone()))
                    && lease.is_none_or(|lease| Self::owns_lease(caller, lease.0))
            }
            Op::Delete(keys) => self.may_write(caller, keys),
        });
        if compares && steps {
            Ok(())
        } else {
            Err(denied())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::keys::Key;
    use crate::store::{Compare, LeaseId, RangeRequest};

    fn access() -> Access {
        Access::new(&FrontendConfig::new(Keys::default()))
    }

    fn key(text: &str) -> KeyRange {
        KeyRange::Key(text.to_owned().into())
    }

    #[test]
    fn the_key_that_a_secret_is_stored_under_is_hidden_whatever_the_prefix() {
        for prefix in ["/rove/", "/a/b/", "z/"] {
            let keys = Keys::new(prefix);
            let access = Access::new(&FrontendConfig::new(keys.clone()));
            let secret = keys.encode(&Key::NodeSecret(NodeId::from_random([1; 16])));
            assert!(access.readable(&KeyRange::Key(secret.clone())).is_err());
            for piece in access.readable(&keys.all()).unwrap() {
                assert!(!piece.contains(&secret), "{prefix}: {piece:?}");
            }
            assert!(!access.is_readable(&KeyRange::Key(secret.clone())));
        }
    }

    #[test]
    fn a_read_is_cut_to_what_may_be_seen() {
        let span =
            |start: &str, end: &str| KeyRange::Span(start.to_owned().into(), end.to_owned().into());
        let all = vec![
            span("/rove/", "/rove/acl/"),
            span("/rove/acl0", "/rove/node-secret/"),
            span("/rove/node-secret0", "/rove/variables/"),
            span("/rove/variables0", "/rove0"),
        ];
        let rows = [
            ("the prefix", KeyRange::prefix("/rove/"), all.clone()),
            ("everything", KeyRange::From(Bytes::new()), all),
            (
                "one table",
                KeyRange::prefix("/rove/jobs/"),
                vec![KeyRange::prefix("/rove/jobs/")],
            ),
            ("one key", key("/rove/jobs/a"), vec![key("/rove/jobs/a")]),
            ("a secret", key("/rove/node-secret/a"), vec![]),
            ("secrets", KeyRange::prefix("/rove/variables/"), vec![]),
            ("elsewhere", KeyRange::prefix("/other/"), vec![]),
            ("beside a secret", key("/rove/acl"), vec![key("/rove/acl")]),
        ];
        for (what, keys, expected) in rows {
            assert_eq!(
                access().readable(&keys).unwrap_or_default(),
                expected,
                "{what}"
            );
        }
    }

    #[test]
    fn a_node_writes_its_own_keys_and_no_others() {
        let id = NodeId::from_random([1; 16]);
        let other = NodeId::from_random([2; 16]);
        let node = ProvenNode {
            id,
            lease_key: [3; 32],
        };
        let marked = LeaseId(super::super::lease::mark(&node, 77));
        let caller = Caller::Node(node);
        let put = |key: String, lease| Op::Put {
            key: key.into(),
            value: "x".into(),
            lease,
        };
        let rows = [
            ("its node", put(format!("/rove/nodes/{id}"), None), true),
            (
                "on its lease",
                put(format!("/rove/node-alive/{id}"), Some(marked)),
                true,
            ),
            (
                "on a lease not its own",
                put(format!("/rove/node-alive/{id}"), Some(LeaseId(5))),
                false,
            ),
            (
                "a status",
                put(format!("/rove/alloc-status/{id}/a"), None),
                true,
            ),
            (
                "a prefix of a status",
                put(format!("/rove/alloc-status/{id}"), None),
                false,
            ),
            (
                "another's status",
                put(format!("/rove/alloc-status/{other}/a"), None),
                false,
            ),
            (
                "another node",
                put(format!("/rove/nodes/{other}"), None),
                false,
            ),
            (
                "a longer name",
                put(format!("/rove/nodes/{id}x"), None),
                false,
            ),
            (
                "its allocs",
                put(format!("/rove/allocs/{id}/a"), None),
                false,
            ),
            (
                "its secret",
                put(format!("/rove/node-secret/{id}"), None),
                false,
            ),
            ("a job", put("/rove/jobs/default/a".into(), None), false),
            (
                "its statuses",
                Op::Delete(KeyRange::prefix(format!("/rove/alloc-status/{id}/"))),
                true,
            ),
            (
                "all statuses",
                Op::Delete(KeyRange::prefix("/rove/alloc-status/")),
                false,
            ),
            (
                "everything",
                Op::Delete(KeyRange::From(Bytes::new())),
                false,
            ),
            (
                "a read of a secret",
                Op::Range(RangeRequest::new(key("/rove/acl/a"))),
                false,
            ),
            (
                "a read over secrets",
                Op::Range(RangeRequest::new(KeyRange::prefix("/rove/"))),
                false,
            ),
            (
                "a read",
                Op::Range(RangeRequest::new(key("/rove/jobs/default/a"))),
                true,
            ),
        ];
        for (what, op, allowed) in rows {
            let read = matches!(op, Op::Range(_));
            for txn in [
                Txn {
                    then: vec![op.clone()],
                    ..Txn::default()
                },
                Txn {
                    otherwise: vec![op.clone()],
                    ..Txn::default()
                },
            ] {
                assert_eq!(access().check(&caller, &txn).is_ok(), allowed, "{what}");
                let anonymous = access().check(&Caller::Anonymous, &txn).is_ok();
                assert_eq!(anonymous, allowed && read, "{what}, anonymous");
            }
        }
        let compare = Txn {
            compares: vec![Compare::absent(format!("/rove/node-secret/{other}"))],
            ..Txn::default()
        };
        assert!(access().check(&caller, &compare).is_err());
    }
}
