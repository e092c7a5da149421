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
    KeyValue, MAX_TXN_OPS, Op, OpResponse, RangeRequest, RangeResponse, StoreError, Txn,
    TxnResponse,
};

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
        let part = |keys| RangeRequest {
            keys,
            ..request.clone()
        };
        if let [keys] = &pieces[..] {
            return self
                .0
                .store
                .range(part(keys.clone()))
                .await
                .map_err(refused);
        }
        let txn = Txn {
            then: pieces
                .into_iter()
                .map(|keys| Op::Range(part(keys)))
                .collect(),
            ..Txn::default()
        };
        let answer = self.0.store.txn(txn).await.map_err(refused)?;
        let mut whole = RangeResponse {
            revision: answer.revision,
            ..RangeResponse::default()
        };
        for response in answer.responses {
            if let OpResponse::Range(part) = response {
                whole.kvs.extend(part.kvs);
                whole.count += part.count;
                whole.more |= part.more;
            }
        }
        if let Some(limit) = request.limit
            && whole.kvs.len() > limit
        {
            whole.kvs.truncate(limit);
            whole.more = true;
        }
        Ok(whole)
    }

    async fn write(&self, caller: &Caller, txn: Txn) -> Result<TxnResponse, Status> {
        self.0.access.check(caller, &txn)?;
        self.0.store.txn(txn).await.map_err(refused)
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
