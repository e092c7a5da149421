//! Forgets secrets of nodes that are not there: of one that logged in and never registered, or whose other keys were
//! collected. A secret that is unused when it is looked at, and unchanged and unused a while later, goes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rove_model::ids::{NodeId, Revision};
use tokio::time::{MissedTickBehavior, interval};

use super::Shared;
use crate::keys::{Key, Table};
use crate::store::{Compare, KeyRange, Op, RangeRequest, StoreError, Txn};

/// Between two looks.
pub(super) const EVERY: Duration = Duration::from_secs(1_800);

/// Keys read at a time.
const PAGE: usize = 1_000;

/// Looks every so often, for ever.
pub(super) async fn run(shared: &Shared, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unused = BTreeMap::new();
    loop {
        ticks.tick().await;
        match look(shared, &unused).await {
            Ok(found) => unused = found,
            Err(error) => tracing::debug!(%error, "unused secrets could not be looked for"),
        }
    }
}

/// The nodes whose secret is unused now, and when it was written. Those that were so `before` are forgotten.
async fn look(
    shared: &Shared,
    before: &BTreeMap<NodeId, Revision>,
) -> Result<BTreeMap<NodeId, Revision>, StoreError> {
    let mut used = BTreeSet::new();
    for table in [Table::Nodes, Table::NodesAlive] {
        used.extend(nodes(shared, table).await?.into_keys());
    }
    let mut unused = nodes(shared, Table::NodeSecrets).await?;
    unused.retain(|id, _| !used.contains(id));
    for (id, revision) in &unused {
        if before.get(id) == Some(revision) {
            forget(shared, *id, *revision).await?;
        }
    }
    Ok(unused)
}

async fn forget(shared: &Shared, id: NodeId, revision: Revision) -> Result<(), StoreError> {
    let keys = &shared.access.keys;
    let secret = keys.encode(&Key::NodeSecret(id));
    let txn = Txn {
        compares: vec![
            Compare::unchanged(secret.clone(), revision),
            Compare::absent(keys.encode(&Key::Node(id))),
            Compare::absent(keys.encode(&Key::NodeAlive(id))),
        ],
        then: vec![Op::delete(secret)],
        ..Txn::default()
    };
    if shared.store.txn(txn).await?.succeeded {
        tracing::info!(node = %id, "the secret of a node that is not there is forgotten");
    }
    Ok(())
}

/// The nodes that have a key in a table, and the revision of that.
async fn nodes(shared: &Shared, table: Table) -> Result<BTreeMap<NodeId, Revision>, StoreError> {
    let keys = &shared.access.keys;
    let mut found = BTreeMap::new();
    let mut rest: Option<KeyRange> = Some(keys.table(table));
    while let Some(range) = rest {
        let request = RangeRequest {
            limit: Some(PAGE),
            keys_only: true,
            ..RangeRequest::new(range.clone())
        };
        let part = shared.store.range(request).await?;
        rest = part
            .kvs
            .last()
            .filter(|_| part.more)
            .and_then(|last| range.after(&last.key));
        for kv in &part.kvs {
            if let Ok(Key::Node(id) | Key::NodeAlive(id) | Key::NodeSecret(id)) =
                keys.parse(&kv.key)
            {
                found.insert(id, kv.mod_revision);
            }
        }
    }
    Ok(found)
}
