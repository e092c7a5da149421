//! KV: reads cut to what may be seen, writes checked and passed on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbKeyValue,
    PbKvService, PbPutRequest, PbPutResponse, PbRangeRequest, PbRangeResponse,
    PbRangeStreamResponse, PbResponseOp, PbTxnOpRequest, PbTxnOpResponse, PbTxnRequest,
    PbTxnRequestOp, PbTxnResponse,
};
use futures::stream::Empty;
use rove_model::ids::NodeId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Response, Status, async_trait};

use super::limits::Limits;
use super::sending::Answer;
use super::{Shared, convert};
use crate::frontend::access::{Caller, denied};
use crate::keys::{Key, Table};
use crate::store::{
    CompareOp, CompareTarget, KeyRange, KeyValue, MAX_TXN_OPS, Op, OpResponse, RangeRequest,
    RangeResponse, StoreError, Txn, TxnResponse,
};

/// The most bytes of keys and values in an answer; documented in `docs/agent-configuration.md`.
const MAX_ANSWER: usize = 32 << 20;

/// Pairs read from the store at a time, and keys alone. The first page of pairs is small, for nothing is known of their
/// values yet; the others hold about so many bytes.
const FIRST_PAGE: usize = 32;
const PAGE: usize = 500;
const PAGE_BYTES: usize = 4 << 20;
const KEYS_PAGE: usize = 10_000;

/// Values that a transaction may read, and keys without.
const TXN_VALUES: usize = 32;
const TXN_KEYS: usize = 10_000;

/// A read that compaction overtakes is begun anew so often.
const READ_TRIES: u32 = 4;

/// Reads of more than a page that go on at a time: each may hold the largest answer, and once more as it is encoded.
pub(super) const LONG_READS: usize = 1;

/// Lists that begin at a time, and those that may wait to. When the ring of events has gone round, every node lists what
/// is its own in the same moment.
const LISTS: usize = 16;
const LISTS_WAITING: usize = 8_192;

/// The turns of lists: each holds one until its first page is there, which for most is the only one.
pub(super) struct Lists {
    turns: Semaphore,
    waiting: AtomicUsize,
}

impl Default for Lists {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(LISTS),
            waiting: AtomicUsize::new(0),
        }
    }
}

/// One that waits, counted until it is dropped.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lists {
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Status> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.waiting);
        let busy = || Status::unavailable("rove: too many lists wait for this server, try again");
        if before >= LISTS_WAITING {
            return Err(busy());
        }
        self.turns.acquire().await.map_err(|_| busy())
    }
}

/// The turn of a long read.
type Turn = Option<OwnedSemaphorePermit>;

/// What keeps a transaction's reads small: a span of keys has a limit or no values.
fn reads_little(txn: &Txn) -> bool {
    let little = |ops: &[Op]| {
        let (mut values, mut keys) = (0_usize, 0_usize);
        for op in ops {
            let Op::Range(request) = op else {
                continue;
            };
            if request.count_only {
                continue;
            }
            let most = match request.keys {
                KeyRange::Key(_) => 1,
                KeyRange::Span(..) | KeyRange::From(_) => request.limit.unwrap_or(usize::MAX),
            };
            let of = if request.keys_only {
                &mut keys
            } else {
                &mut values
            };
            *of = of.saturating_add(most);
        }
        values <= TXN_VALUES && keys <= TXN_KEYS
    };
    little(&txn.then) && little(&txn.otherwise)
}

/// An answer, with its place in the budget of what waits to be sent until it is.
fn answered<T>(
    shared: &Shared,
    extensions: &Extensions,
    answer: T,
    bytes: usize,
    turn: Turn,
) -> Result<Response<T>, Status> {
    let charge = shared.waiting.charge(extensions, bytes)?;
    let mut response = Response::new(answer);
    response.extensions_mut().insert(Answer::new(charge, turn));
    Ok(response)
}

/// Why a read gave nothing.
enum Unread {
    Store(StoreError),
    Busy(Status),
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

fn bytes_answered(response: &OpResponse) -> usize {
    match response {
        OpResponse::Range(answer) => answer.kvs.iter().map(bytes_of).sum(),
        OpResponse::Put { previous } => previous.iter().map(bytes_of).sum(),
        OpResponse::Delete { previous } => previous.iter().map(bytes_of).sum(),
    }
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
    /// Reads what may be seen of `request`, all of it at one revision; and gives the turn that a long read has until it
    /// is encoded.
    async fn read(&self, request: RangeRequest) -> Result<(RangeResponse, Turn), Status> {
        let pieces = self.0.access.readable(&request.keys)?;
        let mut turn = None;
        for _ in 0..READ_TRIES {
            match self.pages(&request, &pieces, &mut turn).await {
                // Compaction overtook the pages.
                Err(Unread::Store(StoreError::Compacted { .. })) if request.revision.is_none() => {}
                Err(Unread::Store(error)) => return Err(refused(error)),
                Err(Unread::Busy(status)) => return Err(status),
                Err(Unread::TooLarge) => return Err(too_large()),
                Ok(answer) => return Ok((answer, turn)),
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
        turn: &mut Turn,
    ) -> Result<RangeResponse, Unread> {
        let mut page = if request.keys_only {
            KEYS_PAGE
        } else {
            FIRST_PAGE
        };
        let is_list = !matches!(request.keys, KeyRange::Key(_));
        let mut first = match is_list {
            true => Some(self.0.lists.turn().await.map_err(Unread::Busy)?),
            false => None,
        };
        let mut whole = RangeResponse::default();
        let mut revision = request.revision;
        let mut bytes = 0;
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
                drop(first.take());
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
                if !request.keys_only && !whole.kvs.is_empty() {
                    let each = (bytes / whole.kvs.len()).max(1);
                    page = (PAGE_BYTES / each).clamp(1, PAGE);
                }
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
                    *turn = Arc::clone(&self.0.long_reads).acquire_owned().await.ok();
                }
            }
        }
        Ok(whole)
    }

    async fn write(&self, metadata: &MetadataMap, txn: Txn) -> Result<TxnResponse, Status> {
        let caller = &self.0.caller(metadata)?;
        self.0.access.check(caller, &txn)?;
        if *caller != Caller::Everyone && !txn.is_read() && !is_of_single_keys(&txn) {
            return Err(Status::invalid_argument(
                "rove: a transaction that writes compares and reads single keys only",
            ));
        }
        if *caller != Caller::Everyone && !reads_little(&txn) {
            return Err(Status::invalid_argument(format!(
                "rove: a transaction reads at most {TXN_VALUES} values: read with a range, or with a limit, or keys only"
            )));
        }
        if let Caller::Node(node) = caller
            && !txn.is_read()
        {
            let shared = &*self.0;
            let is_stranger = shared.is_stranger(metadata);
            Limits::sizes(&shared.access.keys, &txn)?;
            self.require_allocs(node.id, &txn, is_stranger).await?;
            shared
                .limits
                .room(&*shared.store, &shared.access.keys, &txn, is_stranger)
                .await?;
            shared.limits.takes(node.id, &txn, is_stranger)?;
            shared
                .writer(metadata, shared.access.writes_of(&txn))
                .await?;
        }
        let answer = self.0.store.txn(txn).await.map_err(refused)?;
        let bytes: usize = answer.responses.iter().map(bytes_answered).sum();
        if bytes > MAX_ANSWER {
            return Err(too_large());
        }
        Ok(answer)
    }
}

impl KvService {
    /// Whether each status that a node writes is of an alloc that it has. Where the transaction itself makes sure of
    /// that, it needn't be looked up, unless that would let in a stranger.
    async fn require_allocs(
        &self,
        node: NodeId,
        txn: &Txn,
        is_stranger: bool,
    ) -> Result<(), Status> {
        let keys = &self.0.access.keys;
        let sure = |alloc: &Bytes| {
            !is_stranger
                && txn.compares.iter().any(|compare| {
                    compare.keys == KeyRange::Key(alloc.clone())
                        && matches!(
                            (&compare.target, compare.op),
                            (
                                CompareTarget::CreateRevision(_)
                                    | CompareTarget::ModRevision(_)
                                    | CompareTarget::Version(_),
                                CompareOp::Greater
                            )
                        )
                })
        };
        let mut wanted = Vec::new();
        for (is_then, op) in txn
            .then
            .iter()
            .map(|op| (true, op))
            .chain(txn.otherwise.iter().map(|op| (false, op)))
        {
            let Op::Put { key, .. } = op else {
                continue;
            };
            if !keys.table(Table::AllocStatuses).contains(key) {
                continue;
            }
            let Ok(Key::AllocStatus(of, alloc)) = keys.parse(key) else {
                return Err(no_alloc(key));
            };
            let alloc = keys.encode(&Key::Alloc(of, alloc));
            if of != node || (is_then && sure(&alloc)) {
                continue;
            }
            wanted.push((key, alloc));
        }
        for part in wanted.chunks(MAX_TXN_OPS) {
            let look = Txn {
                then: part
                    .iter()
                    .map(|(_, alloc)| {
                        Op::Range(RangeRequest {
                            keys_only: true,
                            ..RangeRequest::new(KeyRange::Key(alloc.clone()))
                        })
                    })
                    .collect(),
                ..Txn::default()
            };
            let found = self.0.store.txn(look).await.map_err(refused)?.responses;
            for ((status, _), found) in part.iter().zip(found) {
                if !matches!(found, OpResponse::Range(range) if !range.kvs.is_empty()) {
                    return Err(no_alloc(status));
                }
            }
        }
        Ok(())
    }
}

fn no_alloc(status: &Bytes) -> Status {
    Status::invalid_argument(format!(
        "rove: {} is the status of no alloc that the node has",
        String::from_utf8_lossy(status)
    ))
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
        let (_, extensions, request) = request.into_parts();
        let order = Order::of(&request)?;
        let mut request = convert::range(request)?;
        let cut = order.map(|order| {
            let limit = request.limit.take();
            let keys_only = std::mem::take(&mut request.keys_only);
            (order, limit, keys_only)
        });
        let (mut answer, turn) = self.read(request).await?;
        if let Some((order, limit, keys_only)) = cut {
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
        }
        let bytes = answer.kvs.iter().map(bytes_of).sum();
        answered(&self.0, &extensions, range_response(answer), bytes, turn)
    }

    type RangeStreamStream = Empty<Result<PbRangeStreamResponse, Status>>;

    async fn range_stream(
        &self,
        _: Request<PbRangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        Err(Status::unimplemented("rove: ranges are not streamed"))
    }

    async fn put(&self, request: Request<PbPutRequest>) -> Result<Response<PbPutResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let previous = request.prev_kv;
        let txn = Txn {
            then: vec![convert::put(request)?],
            ..Txn::default()
        };
        let answer = self.write(&metadata, txn).await?;
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
        let (metadata, _, request) = request.into_parts();
        let previous = request.prev_kv;
        let txn = Txn {
            then: vec![convert::delete(request)?],
            ..Txn::default()
        };
        let answer = self.write(&metadata, txn).await?;
        let kvs = match answer.responses.into_iter().next() {
            Some(OpResponse::Delete { previous }) => previous,
            _ => Vec::new(),
        };
        Ok(Response::new(deleted(kvs, previous, answer.revision)))
    }

    async fn txn(&self, request: Request<PbTxnRequest>) -> Result<Response<PbTxnResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
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
        let answer = self.write(&metadata, txn).await?;
        let previous = if answer.succeeded {
            then_previous
        } else {
            otherwise_previous
        };
        let revision = answer.revision;
        let bytes = answer.responses.iter().map(bytes_answered).sum();
        let answer = PbTxnResponse {
            header: Some(convert::header(revision, 0)),
            succeeded: answer.succeeded,
            responses: answer
                .responses
                .into_iter()
                .zip(previous)
                .map(|(response, previous)| response_op(response, previous, revision))
                .collect(),
        };
        answered(&self.0, &extensions, answer, bytes, None)
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
