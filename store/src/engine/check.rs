//! What etcd refuses before it looks at the store; refused alike by every form.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::store::{
    KeyRange, MAX_TXN_BYTES, MAX_TXN_OPS, Op, RangeRequest, StoreError, Txn, WatchRequest,
};

/// Checks a read.
pub(crate) fn check_range(request: &RangeRequest) -> Result<(), StoreError> {
    check_keys(&request.keys)
}

/// Checks a watch. etcd cancels one over an empty range, so such a one is refused everywhere.
pub(crate) fn check_watch(request: &WatchRequest) -> Result<(), StoreError> {
    check_keys(&request.keys)?;
    match &request.keys {
        KeyRange::Span(start, end) if start >= end => Err(StoreError::Invalid(
            "the range to watch holds no key".into(),
        )),
        KeyRange::Key(_) | KeyRange::Span(..) | KeyRange::From(_) => Ok(()),
    }
}

fn check_keys(keys: &KeyRange) -> Result<(), StoreError> {
    match keys {
        KeyRange::Key(key) if key.is_empty() => {
            Err(StoreError::Invalid("key is not provided".into()))
        }
        KeyRange::Key(_) | KeyRange::Span(..) | KeyRange::From(_) => Ok(()),
    }
}

/// Checks a transaction: its size, its keys, and that no branch writes a key twice.
pub(crate) fn check_txn(txn: &Txn) -> Result<(), StoreError> {
    for (what, count) in [
        ("compares", txn.compares.len()),
        ("operations in its first branch", txn.then.len()),
        ("operations in its second branch", txn.otherwise.len()),
    ] {
        if count > MAX_TXN_OPS {
            return Err(StoreError::Invalid(format!(
                "too many operations in txn request: {count} {what}, at most {MAX_TXN_OPS}"
            )));
        }
    }
    for compare in &txn.compares {
        check_keys(&compare.keys)?;
    }
    let bytes = size(txn);
    if bytes > MAX_TXN_BYTES {
        return Err(StoreError::Invalid(format!(
            "request is too large: {bytes} bytes, at most {MAX_TXN_BYTES}"
        )));
    }
    check_branch(&txn.then)?;
    check_branch(&txn.otherwise)
}

fn check_branch(ops: &[Op]) -> Result<(), StoreError> {
    let duplicate = |key: &Bytes| {
        StoreError::Invalid(format!(
            "duplicate key given in txn request: {}",
            String::from_utf8_lossy(key)
        ))
    };
    let mut puts = BTreeSet::new();
    for op in ops {
        match op {
            Op::Range(request) => check_range(request)?,
            Op::Delete(keys) => check_keys(keys)?,
            Op::Put { key, .. } => {
                check_keys(&KeyRange::Key(key.clone()))?;
                if !puts.insert(key) {
                    return Err(duplicate(key));
                }
            }
        }
    }
    for op in ops {
        if let Op::Delete(keys) = op
            && let Some(key) = puts.iter().find(|key| keys.contains(key))
        {
            return Err(duplicate(key));
        }
    }
    Ok(())
}

/// Bytes of keys and values.
pub(crate) fn size(txn: &Txn) -> usize {
    let ops = txn.then.iter().chain(&txn.otherwise).map(|op| match op {
        Op::Put { key, value, .. } => key.len() + value.len(),
        Op::Range(RangeRequest { keys, .. }) | Op::Delete(keys) => keys_size(keys),
    });
    let compares = txn.compares.iter().map(|compare| {
        let operand = match &compare.target {
            crate::store::CompareTarget::Value(value) => value.len(),
            _ => 8,
        };
        keys_size(&compare.keys) + operand
    });
    ops.chain(compares).sum()
}

fn keys_size(keys: &KeyRange) -> usize {
    match keys {
        KeyRange::Key(key) | KeyRange::From(key) => key.len(),
        KeyRange::Span(start, end) => start.len() + end.len(),
    }
}
