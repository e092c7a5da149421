//! Reading everything at one revision, and telling two states apart.

use futures::{StreamExt, TryStreamExt, stream};
use rove_model::ids::Revision;

use super::{State, Table};
use crate::{
    keys::{Key, Keys, Volume},
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
    for &table in Table::ALL {
        match table.volume() {
            Volume::NotListed => {}
            Volume::Few => parts.push((keys.table(table), PAGE)),
            Volume::Large => parts.push((keys.table(table), PAGE_OF_LARGE)),
            Volume::Many => {
                for digit in "0123456789abcdef".chars() {
                    let prefix = format!("{}{}/{digit}", keys.prefix(), table.segment());
                    parts.push((KeyRange::prefix(prefix), PAGE));
                }
            }
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

impl State {
    /// The keys in which this state differs from an `older` one. Where it was made of that one by changes, what both
    /// share is not looked at.
    #[must_use]
    pub fn changed_since(&self, older: &Self) -> Vec<Key> {
        difference(older, self)
    }
}

/// The keys in which two states differ: what is in one alone, was written since, or can be read in one only.
pub(super) fn difference(old: &State, new: &State) -> Vec<Key> {
    let mut keys = Vec::new();
    old.tables.differing(&new.tables, &mut |key| keys.push(key));
    old.unreadable.differing(&new.unreadable, &mut |key| {
        // What could be read in one of them differs there already.
        if old.revisions(key).is_none() && new.revisions(key).is_none() {
            keys.push(key.clone());
        }
    });
    keys
}
