//! KV: reads cut to what may be seen, writes checked and passed on.

use std::sync::Arc;

use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbKeyValue,
    PbKvService, PbPutRequest, PbPutResponse, PbRangeRequest, PbRangeResponse,
    PbRangeStreamResponse, PbResponseOp, PbTxnOpRequest, PbTxnOpResponse, PbTxnRequest,
    PbTxnRequestOp, PbTxnResponse,
};
use futures::stream::Empty;
use tonic::{Request, Response, Status, async_trait};

use super::{Shared, convert};
use crate::frontend::access::{Caller, denied};
use crate::store::{
    KeyRange, KeyValue, MAX_TXN_OPS, Op, OpResponse, RangeRequest, RangeResponse, StoreError, Txn,
    TxnResponse,
};

/// The most bytes of keys and values in an answer; documented in `docs/agent-configuration.md`.
const MAX_ANSWER: usize = 64 << 20;

/// Pairs read from the store at a time, and keys alone.
const PAGE: usize = 500;
const KEYS_PAGE: usize = 10_000;

/// A read that compaction overtakes is begun anew so often.
const READ_TRIES: u32 = 4;

/// Reads of more than a page that go on at a time.
pub(super) const LONG_READS: usize = 4;

/// Why a read gave nothing.
enum Unread {
    Store(StoreError),
    TooLarge,
}

fn too_large() -> Status {
    Status::invalid_argument(format!(
        "etcdserver: the response is too large: above {} MiB; read with --limit, page by page, or --keys-only",
        MAX_ANSWER >> 20
    ))
}

fn bytes_of(kv: &KeyValue) -> usize {
    kv.key.len() + kv.value.len()
}

/// Whether a transaction looks at no span of keys: it does so where nothing else can be written meanwhile.
fn is_of_single_keys(txn: &Txn) -> bool {
    let single = |keys: &KeyRange| matches!(keys, KeyRange::Key(_));
    let reads = txn.then.iter().chain(&txn.otherwise).all(|op| match op {
        Op::Range(request) => single(&request.keys),
        Op::Put { .. } | Op::Delete(_) => true,
    });
    reads && txn.compares.iter().all(|compare| single(&compare.keys))
}

pub(super) struct KvService(pub(super) Arc<Shared>);

fn refused(error: StoreError) -> Status {
    convert::status(&error)
}

/// How a range is to be ordered, if not as the store does.
#[derive(Clone, Copy)]
struct Order {
    descending: bool,
    target: i32,
}

impl Order {
    /// Keys upwards is how they come.
    fn of(request: &PbRangeRequest) -> Result<Option<Self>, Status> {
        if !(0..=2).contains(&request.sort_order) || !(0..=4).contains(&request.sort_target) {
            return Err(Status::invalid_argument("etcdserver: invalid sort option"));
        }
        let order = Self {
            descending: request.sort_order == 2,
            target: request.sort_target,
        };
        let natural = order.target == 0 && !order.descending;
        // As etcd: a target without an order is ascending.
        Ok((!natural).then_some(order))
    }

    fn sort(self, kvs: &mut [KeyValue]) {
        match self.target {
            1 => kvs.sort_by_key(|kv| kv.version),
            2 => kvs.sort_by_key(|kv| kv.create_revision),
            3 => kvs.sort_by_key(|kv| kv.mod_revision),
            4 => kvs.sort_by(|one, other| one.value.cmp(&other.value)),
            _ => {}
        }
        if self.descending {
            kvs.reverse();
        }
    }
}

impl KvService {
    /// Reads what may be seen of `request`, all of it at one revision.
    async fn read(&self, request: RangeRequest) -> Result<RangeResponse, Status> {
        let pieces = self.0.access.readable(&request.keys)?;
        for _ in 0..READ_TRIES {
            match self.pages(&request, &pieces).await {
                // Compaction overtook the pages.
                Err(Unread::Store(StoreError::Compacted { .. })) if request.revision.is_none() => {}
                Err(Unread::Store(error)) => return Err(refused(error)),
                Err(Unread::TooLarge) => return Err(too_large()),
                Ok(answer) => return Ok(answer),
            }
        }
        Err(Status::unavailable(
            "etcdserver: compaction overtook the read, try again",
        ))
    }

    /// Reads `pieces` page by page, so that neither the store nor this server has to hold more than what is answered
    /// in the end.
    async fn pages(
        &self,
        request: &RangeRequest,
        pieces: &[KeyRange],
    ) -> Result<RangeResponse, Unread> {
        let page = if request.keys_only { KEYS_PAGE } else { PAGE };
        let mut whole = RangeResponse::default();
        let mut revision = request.revision;
        let mut bytes = 0;
        let mut turn = None;
        for piece in pieces {
            let mut keys = piece.clone();
            let mut counted = false;
            loop {
                let left = request.limit.map(|limit| limit - whole.kvs.len());
                let part = RangeRequest {
                    keys: keys.clone(),
                    revision,
                    limit: Some(left.map_or(page, |left| left.min(page))),
                    keys_only: request.keys_only,
                    // Behind the limit the rest is counted all the same.
                    count_only: request.count_only || left == Some(0),
                };
                let is_counted = part.count_only;
                let part = self.0.store.range(part).await.map_err(Unread::Store)?;
                if whole.revision == 0 {
                    whole.revision = part.revision;
                }
                revision.get_or_insert(part.revision);
                if !counted {
                    whole.count += part.count;
                    counted = true;
                }
                bytes += part.kvs.iter().map(bytes_of).sum::<usize>();
                if bytes > MAX_ANSWER {
                    return Err(Unread::TooLarge);
                }
                let next = part.kvs.last().and_then(|kv| keys.after(&kv.key));
                whole.kvs.extend(part.kvs);
                if is_counted {
                    whole.more |= !request.count_only && part.count > 0;
                    break;
                }
                let Some(next) = next.filter(|_| part.more) else {
                    break;
                };
                if request.limit == Some(whole.kvs.len()) {
                    whole.more = true;
                    break;
                }
                keys = next;
                if turn.is_none() {
                    // Long reads take turns: each may hold the largest answer.
                    turn = self.0.long_reads.acquire().await.ok();
                }
            }
        }
        Ok(whole)
    }

    async fn write(&self, caller: &Caller, txn: Txn) -> Result<TxnResponse, Status> {
        self.0.access.check(caller, &txn)?;
        if *caller != Caller::Everyone && !txn.is_read() && !is_of_single_keys(&txn) {
            return Err(Status::invalid_argument(
                "rove: a transaction that writes compares and reads single keys only",
            ));
        }
        let answer = self.0.store.txn(txn).await.map_err(refused)?;
        let bytes: usize = answer
            .responses
            .iter()
            .map(|response| match response {
                OpResponse::Range(answer) => answer.kvs.iter().map(bytes_of).sum(),
                OpResponse::Put { .. } | OpResponse::Delete { .. } => 0,
            })
            .sum();
        if bytes > MAX_ANSWER {
            return Err(too_large());
        }
        Ok(answer)
    }
}

fn range_response(answer: RangeResponse) -> PbRangeResponse {
    PbRangeResponse {
        header: Some(convert::header(answer.revision, 0)),
        kvs: answer.kvs.into_iter().map(convert::key_value).collect(),
        more: answer.more,
        count: convert::signed(answer.count),
    }
}

/// A step of a transaction, and whether it asked for what was there before.
fn step(op: PbTxnRequestOp) -> Result<(Op, bool), Status> {
    match op.request {
        Some(PbTxnOpRequest::RequestRange(request)) => {
            if Order::of(&request)?.is_some() {
                return Err(Status::unimplemented(
                    "rove: reads in a transaction are in the order of their keys",
                ));
            }
            Ok((Op::Range(convert::range(request)?), false))
        }
        Some(PbTxnOpRequest::RequestPut(request)) => {
            let previous = request.prev_kv;
            Ok((convert::put(request)?, previous))
        }
        Some(PbTxnOpRequest::RequestDeleteRange(request)) => {
            let previous = request.prev_kv;
            Ok((convert::delete(request)?, previous))
        }
        // They would evade the limits, and every check of the keys.
        Some(PbTxnOpRequest::RequestTxn(_)) => Err(denied()),
        None => Err(Status::invalid_argument("etcdserver: an empty step")),
    }
}

fn response_op(response: OpResponse, previous: bool, revision: u64) -> PbResponseOp {
    let response = match response {
        OpResponse::Range(answer) => PbTxnOpResponse::ResponseRange(range_response(answer)),
        OpResponse::Put { previous: kv } => PbTxnOpResponse::ResponsePut(PbPutResponse {
            header: Some(convert::header(revision, 0)),
            prev_kv: kv.filter(|_| previous).map(convert::key_value),
        }),
        OpResponse::Delete { previous: kvs } => {
            PbTxnOpResponse::ResponseDeleteRange(deleted(kvs, previous, revision))
        }
    };
    PbResponseOp {
        response: Some(response),
    }
}

fn deleted(kvs: Vec<KeyValue>, previous: bool, revision: u64) -> PbDeleteResponse {
    let count = kvs.len();
    let prev_kvs: Vec<PbKeyValue> = if previous {
        kvs.into_iter().map(convert::key_value).collect()
    } else {
        Vec::new()
    };
    PbDeleteResponse {
        header: Some(convert::header(revision, 0)),
        deleted: i64::try_from(count).unwrap_or(i64::MAX),
        prev_kvs,
    }
}

#[async_trait]
impl PbKvService for KvService {
    async fn range(
        &self,
        request: Request<PbRangeRequest>,
    ) -> Result<Response<PbRangeResponse>, Status> {
        self.0.caller(request.metadata())?;
        let request = request.into_inner();
        let order = Order::of(&request)?;
        let mut request = convert::range(request)?;
        let Some(order) = order else {
            return Ok(Response::new(range_response(self.read(request).await?)));
        };
        let limit = request.limit.take();
        let keys_only = std::mem::take(&mut request.keys_only);
        let mut answer = self.read(request).await?;
        order.sort(&mut answer.kvs);
        if let Some(limit) = limit
            && answer.kvs.len() > limit
        {
            answer.kvs.truncate(limit);
            answer.more = true;
        }
        if keys_only {
            for kv in &mut answer.kvs {
                kv.value.clear();
            }
        }
        Ok(Response::new(range_response(answer)))
    }

    type RangeStreamStream = Empty<Result<PbRangeStreamResponse, Status>>;

    async fn range_stream(
        &self,
        _: Request<PbRangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        Err(Status::unimplemented("rove: ranges are not streamed"))
    }

    async fn put(&self, request: Request<PbPutRequest>) -> Result<Response<PbPutResponse>, Status> {
        let caller = self.0.caller(request.metadata())?;
        let request = request.into_inner();
        let previous = request.prev_kv;
        let txn = Txn {
            then: vec![convert::put(request)?],
            ..Txn::default()
        };
        let answer = self.write(&caller, txn).await?;
        let prev_kv = match answer.responses.into_iter().next() {
            Some(OpResponse::Put { previous: kv }) if previous => kv.map(convert::key_value),
            _ => None,
        };
        Ok(Response::new(PbPutResponse {
            header: Some(convert::header(answer.revision, 0)),
            prev_kv,
        }))
    }

    async fn delete_range(
        &self,
        request: Request<PbDeleteRequest>,
    ) -> Result<Response<PbDeleteResponse>, Status> {
        let caller = self.0.caller(request.metadata())?;
        let request = request.into_inner();
        let previous = request.prev_kv;
        let txn = Txn {
            then: vec![convert::delete(request)?],
            ..Txn::default()
        };
        let answer = self.write(&caller, txn).await?;
        let kvs = match answer.responses.into_iter().next() {
            Some(OpResponse::Delete { previous }) => previous,
            _ => Vec::new(),
        };
        Ok(Response::new(deleted(kvs, previous, answer.revision)))
    }

    async fn txn(&self, request: Request<PbTxnRequest>) -> Result<Response<PbTxnResponse>, Status> {
        let caller = self.0.caller(request.metadata())?;
        let request = request.into_inner();
        // Before anything is made of them.
        if request.compare.len() > MAX_TXN_OPS
            || request.success.len() > MAX_TXN_OPS
            || request.failure.len() > MAX_TXN_OPS
        {
            return Err(Status::invalid_argument(
                "etcdserver: too many operations in txn request",
            ));
        }
        let compares = request
            .compare
            .into_iter()
            .map(convert::compare)
            .collect::<Result<_, _>>()?;
        let branch = |ops: Vec<PbTxnRequestOp>| -> Result<(Vec<Op>, Vec<bool>), Status> {
            let steps: Vec<_> = ops.into_iter().map(step).collect::<Result<_, _>>()?;
            Ok(steps.into_iter().unzip())
        };
        let (then, then_previous) = branch(request.success)?;
        let (otherwise, otherwise_previous) = branch(request.failure)?;
        let txn = Txn {
            compares,
            then,
            otherwise,
        };
        let answer = self.write(&caller, txn).await?;
        let previous = if answer.succeeded {
            then_previous
        } else {
            otherwise_previous
        };
        let revision = answer.revision;
        Ok(Response::new(PbTxnResponse {
            header: Some(convert::header(revision, 0)),
            succeeded: answer.succeeded,
            responses: answer
                .responses
                .into_iter()
                .zip(previous)
                .map(|(response, previous)| response_op(response, previous, revision))
                .collect(),
        }))
    }

    async fn compact(
        &self,
        request: Request<PbCompactionRequest>,
    ) -> Result<Response<PbCompactionResponse>, Status> {
        if self.0.caller(request.metadata())? != Caller::Everyone {
            return Err(denied());
        }
        let revision = convert::positive(request.into_inner().revision).unwrap_or(0);
        self.0.store.compact(revision).await.map_err(refused)?;
        self.0.hub.compacted(revision);
        Ok(Response::new(PbCompactionResponse {
            header: Some(convert::header(self.0.hub.head(), 0)),
        }))
    }
}
