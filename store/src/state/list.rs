//! Reading everything at one revision, and telling two states apart.

use std::cmp::Ordering;

use futures::{StreamExt, TryStreamExt, stream};
use rove_model::ids::Revision;

use super::{ById, State, Table};
use crate::{
    keys::{Key, Keys},
    store::{KeyRange, KeyValue, RangeRequest, Store, StoreError},
};

/// Up to so many keys are read in one go: the common small cluster needs no more than that.
const SMALL: u64 = 500;

/// Keys a page, where values are some 1 KB.
const PAGE: usize = 1_000;

/// Keys a page, where a value may be large: specifications and plans.
const PAGE_OF_LARGE: usize = 64;

/// Pages under way at once: four keep etcd busy, more do not make it faster.
const IN_FLIGHT: usize = 4;

/// The state at one revision, and the newest pair it was made of.
pub(super) struct Listed {
    pub(super) state: State,
    pub(super) newest: Option<KeyValue>,
}

/// Reads all keys as of `revision`; `count` of them are expected.
pub(super) async fn list(
    store: &dyn Store,
    keys: &Keys,
    revision: Revision,
    count: u64,
) -> Result<Listed, StoreError> {
    let mut listed = Listed {
        state: State::new(keys.clone()),
        newest: None,
    };
    let ranges = if count <= SMALL {
        vec![(keys.all(), PAGE)]
    } else {
        parts(keys)
    };
    let mut pages = stream::iter(ranges)
        .map(|(range, page)| pages(store, range, page, revision))
        .flatten_unordered(IN_FLIGHT);
    while let Some(page) = pages.try_next().await? {
        for kv in &page {
            if listed
                .newest
                .as_ref()
                .is_none_or(|newest| newest.mod_revision < kv.mod_revision)
            {
                listed.newest = Some(kv.clone());
            }
        }
        listed.state.load(&page, revision);
        // Decoding a page takes milliseconds: let others run.
        tokio::task::yield_now().await;
    }
    listed.state.load(&[], revision);
    Ok(listed)
}

/// The ranges that are read in parallel: one a table, sixteen where keys begin with a random id and are many.
fn parts(keys: &Keys) -> Vec<(KeyRange, usize)> {
    let mut parts = Vec::new();
    for table in Table::ALL {
        match table {
            Table::NodeSecrets => {}
            Table::Allocs | Table::AllocStatuses | Table::Evals => {
                for digit in "0123456789abcdef".chars() {
                    let prefix = format!("{}{}/{digit}", keys.prefix(), table.segment());
                    parts.push((KeyRange::prefix(prefix), PAGE));
                }
            }
            Table::JobVersions | Table::Plans => parts.push((keys.table(table), PAGE_OF_LARGE)),
            _ => parts.push((keys.table(table), PAGE)),
        }
    }
    parts
}

/// The pages of one range at one revision, one after the other.
fn pages<'a>(
    store: &'a dyn Store,
    range: KeyRange,
    page: usize,
    revision: Revision,
) -> stream::BoxStream<'a, Result<Vec<KeyValue>, StoreError>> {
    stream::try_unfold(Some(range), move |rest| async move {
        let Some(range) = rest else {
            return Ok(None);
        };
        let answer = store
            .range(RangeRequest {
                revision: Some(revision),
                limit: Some(page),
                ..RangeRequest::new(range.clone())
            })
            .await?;
        let rest = match answer.kvs.last() {
            Some(last) if answer.more => range.after(&last.key),
            _ => None,
        };
        Ok(Some((answer.kvs, rest)))
    })
    .boxed()
}

/// The keys in which two states differ.
pub(super) fn difference(old: &State, new: &State) -> Vec<Key> {
    let mut keys = Vec::new();
    let out = &mut keys;
    compare(&old.registrations, &new.registrations, out, |k| {
        Key::Registration(k.clone())
    });
    compare(&old.job_versions, &new.job_versions, out, |k| {
        Key::JobVersion(k.clone())
    });
    compare(&old.evaluated, &new.evaluated, out, |k| {
        Key::JobEvaluated(k.clone())
    });
    compare(&old.stable, &new.stable, out, |k| Key::JobStable(k.clone()));
    compare(&old.collected, &new.collected, out, |k| {
        Key::JobCollected(k.clone())
    });
    compare(&old.evals, &new.evals, out, |k| Key::Eval(*k));
    compare(&old.plans, &new.plans, out, |k| Key::Plan(*k));
    // The index by node, because an alloc's key names its node.
    compare(
        &old.allocs_of_node,
        &new.allocs_of_node,
        out,
        |(node, id)| Key::Alloc(*node, *id),
    );
    compare(
        &old.alloc_statuses,
        &new.alloc_statuses,
        out,
        |(id, node)| Key::AllocStatus(*node, *id),
    );
    compare(
        &old.alloc_controls,
        &new.alloc_controls,
        out,
        |(id, node)| Key::AllocControl(*node, *id),
    );
    compare(&old.nodes, &new.nodes, out, |k| Key::Node(*k));
    compare(&old.nodes_alive, &new.nodes_alive, out, |k| {
        Key::NodeAlive(*k)
    });
    compare(&old.node_statuses, &new.node_statuses, out, |k| {
        Key::NodeStatus(*k)
    });
    compare(&old.node_controls, &new.node_controls, out, |k| {
        Key::NodeControl(*k)
    });
    compare(&old.deployments, &new.deployments, out, |k| {
        Key::Deployment(*k)
    });
    compare(&old.servers, &new.servers, out, |k| Key::Server(k.clone()));
    compare(&old.leaders, &new.leaders, out, |k| Key::Leader(k.clone()));
    keys
}

/// Walks two maps side by side and notes what is in one alone, or was written since.
fn compare<K: Ord + Clone, T: PartialEq>(
    old: &ById<K, T>,
    new: &ById<K, T>,
    out: &mut Vec<Key>,
    key: impl Fn(&K) -> Key,
) {
    let (mut left, mut right) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        match order {
            Ordering::Less => out.extend(left.next().map(|(k, _)| key(k))),
            Ordering::Greater => out.extend(right.next().map(|(k, _)| key(k))),
            Ordering::Equal => {
                if let (Some((k, a)), Some((_, b))) = (left.next(), right.next())
                    && a != b
                {
                    out.push(key(k));
                }
            }
        }
    }
}
