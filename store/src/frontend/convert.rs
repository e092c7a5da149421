//! Between etcd's messages and the store's types.

use etcd_client::proto::{
    PbCompare, PbDeleteRequest, PbKeyValue, PbPutRequest, PbRangeRequest, PbResponseHeader,
    PbTargetUnion,
};
use rove_model::ids::Revision;
use tonic::Status;

use crate::store::{
    Compare, CompareOp, CompareTarget, KeyRange, KeyValue, LeaseId, Op, RangeRequest, StoreError,
};

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// etcd reads what is not above 0 as absent.
pub(super) fn positive(number: i64) -> Option<u64> {
    u64::try_from(number).ok().filter(|number| *number > 0)
}

pub(super) fn header(revision: Revision, store_id: u64) -> PbResponseHeader {
    PbResponseHeader {
        cluster_id: store_id,
        member_id: 1,
        revision: signed(revision),
        raft_term: 1,
    }
}

/// An error in etcd's words, for clients tell errors apart by them.
pub(super) fn status(error: &StoreError) -> Status {
    match error {
        StoreError::Compacted { .. } => {
            Status::out_of_range("etcdserver: mvcc: required revision has been compacted")
        }
        StoreError::FutureRevision { .. } => {
            Status::out_of_range("etcdserver: mvcc: required revision is a future revision")
        }
        StoreError::LeaseNotFound(_) => Status::not_found("etcdserver: requested lease not found"),
        StoreError::LeaseExists(_) => {
            Status::failed_precondition("etcdserver: lease already exists")
        }
        StoreError::NoSpace => {
            Status::resource_exhausted("etcdserver: mvcc: database space exceeded")
        }
        StoreError::Invalid(why) => Status::invalid_argument(format!("etcdserver: {}", strip(why))),
        StoreError::PermissionDenied(_) => super::access::denied(),
        StoreError::Unavailable(why) => Status::unavailable(format!("etcdserver: {why}")),
        StoreError::Disk(why) => Status::unavailable(format!("etcdserver: disk: {why}")),
        StoreError::Corrupt(why) => {
            Status::unavailable(format!("etcdserver: the store's file is damaged: {why}"))
        }
    }
}

fn strip(why: &str) -> &str {
    why.strip_prefix("etcdserver: ").unwrap_or(why)
}

pub(super) fn keys(key: Vec<u8>, end: Vec<u8>) -> KeyRange {
    match end.as_slice() {
        [] => KeyRange::Key(key.into()),
        [0] => KeyRange::From(key.into()),
        _ => KeyRange::Span(key.into(), end.into()),
    }
}

fn no_key() -> Status {
    Status::invalid_argument("etcdserver: key is not provided")
}

/// The request without its order, which the store doesn't know.
pub(super) fn range(request: PbRangeRequest) -> Result<RangeRequest, Status> {
    if request.key.is_empty() {
        return Err(no_key());
    }
    if request.min_mod_revision != 0
        || request.max_mod_revision != 0
        || request.min_create_revision != 0
        || request.max_create_revision != 0
    {
        return Err(Status::unimplemented(
            "rove: ranges are not filtered by revision",
        ));
    }
    Ok(RangeRequest {
        keys: keys(request.key, request.range_end),
        revision: positive(request.revision),
        limit: usize::try_from(request.limit)
            .ok()
            .filter(|limit| *limit > 0),
        keys_only: request.keys_only,
        count_only: request.count_only,
    })
}

pub(super) fn put(request: PbPutRequest) -> Result<Op, Status> {
    if request.key.is_empty() {
        return Err(no_key());
    }
    if request.ignore_value || request.ignore_lease {
        return Err(Status::unimplemented(
            "rove: a put gives both the value and the lease",
        ));
    }
    Ok(Op::Put {
        key: request.key.into(),
        value: request.value.into(),
        lease: (request.lease != 0).then_some(LeaseId(request.lease)),
    })
}

pub(super) fn delete(request: PbDeleteRequest) -> Result<Op, Status> {
    if request.key.is_empty() {
        return Err(no_key());
    }
    Ok(Op::Delete(keys(request.key, request.range_end)))
}

pub(super) fn compare(compare: PbCompare) -> Result<Compare, Status> {
    if compare.key.is_empty() {
        return Err(no_key());
    }
    let op = match compare.result {
        0 => CompareOp::Equal,
        1 => CompareOp::Greater,
        2 => CompareOp::Less,
        3 => CompareOp::NotEqual,
        other => {
            return Err(Status::invalid_argument(format!(
                "etcdserver: unknown comparison {other}"
            )));
        }
    };
    // No revision or version is negative, so a negative operand is as one above all, or below.
    let number = |number: i64| {
        u64::try_from(number)
            .map_err(|_| Status::invalid_argument("etcdserver: a compare with a negative number"))
    };
    let target = match (compare.target, compare.target_union) {
        (0, Some(PbTargetUnion::Version(version))) => CompareTarget::Version(number(version)?),
        (1, Some(PbTargetUnion::CreateRevision(revision))) => {
            CompareTarget::CreateRevision(number(revision)?)
        }
        (2, Some(PbTargetUnion::ModRevision(revision))) => {
            CompareTarget::ModRevision(number(revision)?)
        }
        (3, Some(PbTargetUnion::Value(value))) => CompareTarget::Value(value.into()),
        (4, Some(PbTargetUnion::Lease(lease))) => CompareTarget::Lease(lease),
        // As etcd: an operand left out is 0, or empty.
        (0, None) => CompareTarget::Version(0),
        (1, None) => CompareTarget::CreateRevision(0),
        (2, None) => CompareTarget::ModRevision(0),
        (4, None) => CompareTarget::Lease(0),
        _ => {
            return Err(Status::invalid_argument(
                "etcdserver: a compare whose operand is not its target's",
            ));
        }
    };
    Ok(Compare {
        keys: keys(compare.key, compare.range_end),
        target,
        op,
    })
}

pub(super) fn key_value(kv: KeyValue) -> PbKeyValue {
    PbKeyValue {
        key: kv.key.to_vec(),
        create_revision: signed(kv.create_revision),
        mod_revision: signed(kv.mod_revision),
        version: signed(kv.version),
        value: kv.value.to_vec(),
        lease: kv.lease.map_or(0, |lease| lease.0),
    }
}
