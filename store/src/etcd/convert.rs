//! Between the store's types and etcd's, and etcd's errors by the texts it has for them.

use etcd_client::proto::{PbKeyValue, PbRangeResponse, PbTxnOpResponse, PbTxnResponse};
use etcd_client::{DeleteOptions, Error, GetOptions, PutOptions, StatusResponse, TxnOp};
use rove_model::{causes::with_causes, ids::Revision};
use tonic::Code;

use super::Context;
use crate::store::{
    Compare, CompareOp, CompareTarget, KeyRange, KeyValue, LeaseId, Op, OpResponse, RangeRequest,
    RangeResponse, StoreError, StoreStatus, Txn, TxnResponse,
};

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A range as etcd has it: no end for one key, `\0` for all from the key on, and the key itself where there is none.
pub(super) fn bounds(keys: &KeyRange) -> (Vec<u8>, Option<Vec<u8>>) {
    // No key is empty, so from the empty key on is from the least key on.
    let least = |key: &[u8]| {
        if key.is_empty() {
            vec![0]
        } else {
            key.to_vec()
        }
    };
    match keys {
        KeyRange::Key(key) => (key.to_vec(), None),
        KeyRange::From(start) => (least(start), Some(vec![0])),
        KeyRange::Span(start, end) if start < end && end.as_ref() != [0] => {
            (least(start), Some(end.to_vec()))
        }
        KeyRange::Span(..) => (vec![1], Some(vec![1])),
    }
}

pub(super) fn get(request: &RangeRequest) -> (Vec<u8>, GetOptions) {
    let (key, end) = bounds(&request.keys);
    let mut options = GetOptions::new()
        .with_revision(signed(request.revision.unwrap_or(0)))
        .with_limit(
            request
                .limit
                .map_or(0, |limit| i64::try_from(limit).unwrap_or(i64::MAX)),
        );
    if let Some(end) = end {
        options = options.with_range(end);
    }
    if request.keys_only {
        options = options.with_keys_only();
    }
    if request.count_only {
        options = options.with_count_only();
    }
    (key, options)
}

fn compare(compare: &Compare) -> etcd_client::Compare {
    let (key, end) = bounds(&compare.keys);
    let op = match compare.op {
        CompareOp::Equal => etcd_client::CompareOp::Equal,
        CompareOp::Greater => etcd_client::CompareOp::Greater,
        CompareOp::Less => etcd_client::CompareOp::Less,
        CompareOp::NotEqual => etcd_client::CompareOp::NotEqual,
    };
    let made = match &compare.target {
        CompareTarget::CreateRevision(revision) => {
            etcd_client::Compare::create_revision(key, op, signed(*revision))
        }
        CompareTarget::ModRevision(revision) => {
            etcd_client::Compare::mod_revision(key, op, signed(*revision))
        }
        CompareTarget::Version(version) => etcd_client::Compare::version(key, op, signed(*version)),
        CompareTarget::Value(value) => etcd_client::Compare::value(key, op, value.to_vec()),
        CompareTarget::Lease(lease) => etcd_client::Compare::lease(key, op, *lease),
    };
    match end {
        Some(end) => made.with_range(end),
        None => made,
    }
}

fn step(op: &Op) -> TxnOp {
    match op {
        Op::Range(request) => {
            let (key, options) = get(request);
            TxnOp::get(key, Some(options))
        }
        Op::Put { key, value, lease } => {
            let mut options = PutOptions::new().with_prev_key();
            if let Some(lease) = lease {
                options = options.with_lease(lease.0);
            }
            TxnOp::put(key.to_vec(), value.to_vec(), Some(options))
        }
        Op::Delete(keys) => {
            let (key, end) = bounds(keys);
            let mut options = DeleteOptions::new().with_prev_key();
            if let Some(end) = end {
                options = options.with_range(end);
            }
            TxnOp::delete(key, Some(options))
        }
    }
}

pub(super) fn txn(txn: &Txn) -> etcd_client::Txn {
    let mut made = etcd_client::Txn::new();
    if !txn.compares.is_empty() {
        made = made.when(txn.compares.iter().map(compare).collect::<Vec<_>>());
    }
    if !txn.then.is_empty() {
        made = made.and_then(txn.then.iter().map(step).collect::<Vec<_>>());
    }
    if !txn.otherwise.is_empty() {
        made = made.or_else(txn.otherwise.iter().map(step).collect::<Vec<_>>());
    }
    made
}

pub(super) fn key_value(kv: PbKeyValue) -> KeyValue {
    KeyValue {
        key: kv.key.into(),
        value: kv.value.into(),
        create_revision: unsigned(kv.create_revision),
        mod_revision: unsigned(kv.mod_revision),
        version: unsigned(kv.version),
        lease: (kv.lease != 0).then_some(LeaseId(kv.lease)),
    }
}

pub(super) fn range_response(answer: PbRangeResponse) -> RangeResponse {
    RangeResponse {
        revision: answer.header.map_or(0, |header| unsigned(header.revision)),
        kvs: answer.kvs.into_iter().map(key_value).collect(),
        more: answer.more,
        count: unsigned(answer.count),
    }
}

pub(super) fn txn_response(answer: PbTxnResponse) -> Result<TxnResponse, StoreError> {
    let revision = answer.header.map_or(0, |header| unsigned(header.revision));
    let responses = answer
        .responses
        .into_iter()
        .map(|response| match response.response {
            Some(PbTxnOpResponse::ResponseRange(range)) => {
                Ok(OpResponse::Range(range_response(range)))
            }
            Some(PbTxnOpResponse::ResponsePut(put)) => Ok(OpResponse::Put {
                previous: put.prev_kv.map(key_value),
            }),
            Some(PbTxnOpResponse::ResponseDeleteRange(delete)) => Ok(OpResponse::Delete {
                previous: delete.prev_kvs.into_iter().map(key_value).collect(),
            }),
            Some(PbTxnOpResponse::ResponseTxn(_)) | None => Err(StoreError::Unavailable(
                "the answer is not what was asked for".to_owned(),
            )),
        })
        .collect::<Result<_, _>>()?;
    Ok(TxnResponse {
        revision,
        succeeded: answer.succeeded,
        responses,
    })
}

pub(super) fn status(answer: &StatusResponse) -> StoreStatus {
    let header = answer.header();
    StoreStatus {
        quota_counts_use: false,
        revision: header.map_or(0, |header| unsigned(header.revision())),
        db_size: unsigned(answer.db_size()),
        db_size_in_use: unsigned(answer.raft_used_db_size()),
        // etcd tells its quota from 3.6 on.
        quota: (answer.db_size_quota() > 0).then(|| unsigned(answer.db_size_quota())),
        version: answer.version().to_owned(),
        store_id: header.map_or(0, |header| header.cluster_id()),
    }
}

/// What an error says of the connection that it came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is alive: the answer is about the call.
    Alive,
    /// The server answers, and has trouble of its own: it may be alone in that.
    Doubtful,
    /// It is broken.
    Broken,
}

pub(super) fn verdict(error: &Error) -> Verdict {
    match error {
        Error::GRpcStatus(status) => match status.code() {
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Unknown
            | Code::Cancelled
            | Code::Internal
            | Code::Aborted => {
                // Words of a server, not of the transport.
                let is_answer = ["etcdserver: ", "rove: "]
                    .iter()
                    .any(|name| status.message().starts_with(name));
                if is_answer {
                    Verdict::Doubtful
                } else {
                    Verdict::Broken
                }
            }
            _ => Verdict::Alive,
        },
        Error::LeaseKeepAliveError(why) if why == LEASE_NOT_FOUND => Verdict::Alive,
        _ => Verdict::Broken,
    }
}

/// The client's own words for a lease that has gone.
const LEASE_NOT_FOUND: &str = "lease not found";

pub(super) fn error(error: &Error, context: Context) -> StoreError {
    let lease = || StoreError::LeaseNotFound(context.lease.unwrap_or(LeaseId(0)));
    match error {
        Error::GRpcStatus(status) => status_error(status, context),
        Error::LeaseKeepAliveError(why) if why == LEASE_NOT_FOUND => lease(),
        Error::InvalidArgs(why) => StoreError::Invalid(why.clone()),
        Error::InvalidUri(why) => StoreError::Invalid(why.to_string()),
        Error::TransportError(why) => StoreError::Unavailable(with_causes(why)),
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// etcd tells its errors apart by text only (`rpctypes` of its sources).
pub(super) fn status_error(status: &tonic::Status, context: Context) -> StoreError {
    let message = status.message();
    let requested: Revision = context.revision;
    if message.contains("required revision has been compacted") {
        return StoreError::Compacted {
            requested,
            oldest: 0,
        };
    }
    if message.contains("required revision is a future revision") {
        return StoreError::FutureRevision {
            requested,
            current: 0,
        };
    }
    if message.contains("requested lease not found") {
        return StoreError::LeaseNotFound(context.lease.unwrap_or(LeaseId(0)));
    }
    if message.contains("lease already exists") {
        return StoreError::LeaseExists(context.lease.unwrap_or(LeaseId(0)));
    }
    if message.contains("database space exceeded") {
        return StoreError::NoSpace;
    }
    if message.contains("authentication failed")
        || message.contains("authentication is not enabled")
    {
        return StoreError::PermissionDenied(message.to_owned());
    }
    match status.code() {
        Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented => {
            StoreError::Invalid(message.to_owned())
        }
        Code::PermissionDenied | Code::Unauthenticated => {
            StoreError::PermissionDenied(message.to_owned())
        }
        code => StoreError::Unavailable(format!("{code:?}: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_etcds_texts() {
        let context = Context {
            revision: 7,
            lease: Some(LeaseId(9)),
        };
        let rows = [
            (
                Code::OutOfRange,
                "etcdserver: mvcc: required revision has been compacted",
                "revision 7 was compacted away, the oldest kept is 0",
            ),
            (
                Code::OutOfRange,
                "etcdserver: mvcc: required revision is a future revision",
                "revision 7 is in the future, the store is at 0",
            ),
            (
                Code::NotFound,
                "etcdserver: requested lease not found",
                "lease LeaseId(9) was not found",
            ),
            (
                Code::FailedPrecondition,
                "etcdserver: lease already exists",
                "lease LeaseId(9) exists already",
            ),
            (
                Code::ResourceExhausted,
                "etcdserver: mvcc: database space exceeded",
                "the store is out of space",
            ),
            (
                Code::InvalidArgument,
                "etcdserver: authentication failed, invalid user ID or password",
                "permission denied: etcdserver: authentication failed, invalid user ID or password",
            ),
            (
                Code::InvalidArgument,
                "etcdserver: key is not provided",
                "the store refused the request: etcdserver: key is not provided",
            ),
            (
                Code::PermissionDenied,
                "etcdserver: permission denied",
                "permission denied: etcdserver: permission denied",
            ),
            (
                Code::Unavailable,
                "etcdserver: no leader",
                "the store is unavailable: Unavailable: etcdserver: no leader",
            ),
        ];
        for (code, message, expected) in rows {
            let status = tonic::Status::new(code, message);
            assert_eq!(status_error(&status, context).to_string(), expected);
        }
    }

    #[test]
    fn ranges_are_put_as_etcd_wants_them() {
        type Row<'a> = (KeyRange, &'a [u8], Option<&'a [u8]>);
        let rows: [Row<'_>; 6] = [
            (KeyRange::Key("a".into()), b"a", None),
            (KeyRange::From("a".into()), b"a", Some(b"\0")),
            (KeyRange::From("".into()), b"\0", Some(b"\0")),
            (KeyRange::prefix("a/"), b"a/", Some(b"a0")),
            // Nothing must not become everything.
            (
                KeyRange::Span("b".into(), "a".into()),
                b"\x01",
                Some(b"\x01"),
            ),
            (
                KeyRange::Span("".into(), "\0".into()),
                b"\x01",
                Some(b"\x01"),
            ),
        ];
        for (keys, key, end) in rows {
            assert_eq!(bounds(&keys), (key.to_vec(), end.map(<[u8]>::to_vec)));
        }
    }
}
