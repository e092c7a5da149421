//! What a store that is full still takes: whatever its way out of that state needs. Without leases nobody is elected
//! and nothing is collected; without stops and the records of what loops decide on them, nothing ever ends.

use rove_model::encoding;
use rove_model::registration::Registration;

use crate::keys::{Key, Keys, Table, WhenFull};
use crate::store::{Op, StoreError, Txn};

/// An overwritten value may be larger by so much: a word on why an alloc is to stop, an event of a task.
const GROWTH: usize = 1 << 10;

/// A new record of what a loop or an operator decided is no larger.
const RECORD: usize = 16 << 10;

/// How a full store takes a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    /// Not at all.
    Refused,
    /// Within a reserve above the quota.
    Reserve,
    /// Always.
    Always,
}

impl Need {
    /// The most bytes in use at which a transaction of this need is taken.
    pub(super) fn limit(self, quota: u64) -> u64 {
        match self {
            Self::Refused => quota,
            Self::Reserve => quota.saturating_add(quota / 8),
            Self::Always => u64::MAX,
        }
    }
}

/// What `txn` is to a full store; `length` gives the length of the value that a key has now.
pub(super) fn need(
    keys: &Keys,
    txn: &Txn,
    length: impl Fn(&bytes::Bytes) -> Result<Option<usize>, StoreError>,
) -> Result<Need, StoreError> {
    let ops = || txn.then.iter().chain(&txn.otherwise);
    if !ops().any(|op| matches!(op, Op::Put { .. })) {
        return Ok(Need::Always);
    }
    let deletes = ops().any(|op| matches!(op, Op::Delete(_)));
    let mut stops = false;
    let mut grows = false;
    let mut need = Need::Always;
    for op in ops() {
        let Op::Put { key, value, .. } = op else {
            continue;
        };
        let known = keys.parse(key).ok();
        stops |= matches!(known, Some(Key::Registration(_)))
            && encoding::decode::<Registration>(value).is_ok_and(|job| job.stop || job.purge);
        let table = known.map(|key| key.table());
        let before = length(key)?;
        let when_full = table.map_or(WhenFull::Refused, Table::when_full);
        let one = match (when_full, before) {
            (WhenFull::Always, _) => Need::Always,
            (_, Some(before)) if value.len() <= before + GROWTH => Need::Reserve,
            (WhenFull::Reserve, _) if value.len() <= RECORD => Need::Reserve,
            (WhenFull::Reserve | WhenFull::Refused, _) => Need::Refused,
        };
        grows |= one == Need::Refused;
        need = need.min(one);
    }
    Ok(if stops || (deletes && !grows) {
        Need::Always
    } else {
        need
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rove_model::eval::TriggeredBy;
    use rove_model::ids::{AllocId, EvalId, JobKey, JobUid, NodeId};
    use rove_model::registration::EvalRequest;

    use super::*;
    use crate::store::KeyRange;

    #[test]
    fn a_full_store_takes_what_leads_out_of_that_and_nothing_that_fills_it() {
        let keys = Keys::default();
        let node = NodeId::from_random([1; 16]);
        let alloc = AllocId::from_random([2; 16]);
        let job = JobKey::new("default", "web");
        let put = |key: &Key, length: usize| Op::put(keys.encode(key), vec![1; length]);
        let registration = |stop| {
            let registration = Registration {
                uid: JobUid::from_random([3; 16]),
                version: 1,
                stop,
                purge: false,
                eval: EvalRequest {
                    id: EvalId::from_random([4; 16]),
                    triggered_by: TriggeredBy::JobRegister,
                    priority: 50,
                    create_time: 1,
                },
                no_shutdown_delay: false,
                scalings: Vec::new(),
            };
            let value = encoding::encode(&registration).unwrap();
            Op::put(keys.encode(&Key::Registration(job.clone())), value)
        };
        let existing = keys.encode(&Key::Alloc(node, alloc));
        let length = |key: &bytes::Bytes| Ok((*key == existing).then_some(2_000));
        let new = Key::Alloc(node, AllocId::from_random([9; 16]));
        let eval = Key::Eval(EvalId::from_random([4; 16]));
        let delete = || Op::Delete(KeyRange::prefix("/rove/evals/"));
        let rows = [
            ("only deletes", vec![delete()], Need::Always),
            (
                "an election",
                vec![put(&Key::Leader("gc".into()), 90)],
                Need::Always,
            ),
            (
                "a server",
                vec![put(&Key::Server("a".into()), 900)],
                Need::Always,
            ),
            (
                "a sign of life",
                vec![put(&Key::NodeAlive(node), 90)],
                Need::Always,
            ),
            ("a job", vec![registration(false)], Need::Refused),
            ("the stop of a job", vec![registration(true)], Need::Always),
            ("an alloc", vec![put(&new, 100)], Need::Refused),
            (
                "an alloc's change",
                vec![put(&Key::Alloc(node, alloc), 2_100)],
                Need::Reserve,
            ),
            (
                "an alloc that grows",
                vec![put(&Key::Alloc(node, alloc), 9_000)],
                Need::Refused,
            ),
            ("an eval", vec![put(&eval, 900)], Need::Reserve),
            ("a huge eval", vec![put(&eval, 90_000)], Need::Refused),
            (
                "what gc leaves",
                vec![delete(), put(&eval, 900)],
                Need::Always,
            ),
            (
                "an alloc beside a delete",
                vec![delete(), put(&new, 900)],
                Need::Refused,
            ),
            ("a foreign key", vec![Op::put("a", "1")], Need::Refused),
        ];
        for (what, then, expected) in rows {
            let txn = Txn {
                then,
                ..Txn::default()
            };
            assert_eq!(need(&keys, &txn, length).unwrap(), expected, "{what}");
        }
    }
}
