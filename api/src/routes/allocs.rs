//! `/v1/allocations`, `/v1/allocation/<id>`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use rove_controllers::facts::alloc_index;
use rove_model::{
    alloc::{Alloc, AllocControl, AllocStatus, DesiredStatus},
    encoding::decode,
    ids::{AllocId, EvalId, JobKey, Revision},
};
use rove_store::{
    keys::Key,
    state::{State, Stored, Table},
    store::{KeyRange, MAX_TXN_OPS, Op, OpResponse, RangeRequest, Txn},
};
use rove_wire::{AllocStopped, AllocStub};

use super::UuidPrefix;
use super::route::rows::*;
use crate::{
    answer::{Answer, Meta},
    blocking,
    call::{Call, Namespaces},
    context::{ApiContext, ServerSide},
    error::ApiError,
    long_work::off_the_workers,
    page::{ByAge, ById, Page, Paging},
    view::alloc::{self, FromStore, ListOptions, Successors},
    write,
};

/// The calls that are answered here.
#[rustfmt::skip]
pub(super) static ROUTES: &[Route] = &[
    Route::new(Read, "/v1/allocations", ReadJob, "Lists the allocs.",
        server!(|r| list(r.server, r.call)))
        .gives(<Vec<AllocStub>>::schema),
    Route::new(Read, "/v1/allocation/{id}", ReadJob, "Gives an alloc.",
        server!(|r| read(r.server, r.call, r.id())))
        .gives(rove_wire::Alloc::schema),
    Route::new(Write, "/v1/allocation/{id}/stop", AllocLifecycle, "Stops an alloc; another is placed.",
        server!(|r| stop(r.context, r.server, r.call, r.id())))
        .gives(AllocStopped::schema),
];

/// What allocs are made of.
pub(super) const TABLES: [Table; 3] = [Table::Allocs, Table::AllocStatuses, Table::AllocControls];

/// Up to so many allocs a list shows the events of their tasks too: they are read from the store.
const WITH_EVENTS: usize = MAX_TXN_OPS;

type Events = HashMap<AllocId, AllocStatus>;

fn options(call: &Call) -> Result<ListOptions, ApiError> {
    Ok(ListOptions {
        resources: call.params.flag("resources")?.unwrap_or(false),
        task_states: call.params.flag("task_states")?.unwrap_or(true),
    })
}

/// The views of a list's allocs, in its order, as an answer's body.
async fn stubs(
    server: &ServerSide,
    call: &Call,
    state: &State,
    allocs: &[Arc<Stored<Alloc>>],
    options: ListOptions,
) -> Result<Answer, ApiError> {
    let events = if options.task_states && allocs.len() <= WITH_EVENTS {
        statuses(server, allocs).await
    } else {
        Events::new()
    };
    off_the_workers(|| {
        let mut successors: BTreeMap<JobKey, Successors> = BTreeMap::new();
        let stubs: Vec<AllocStub> = allocs
            .iter()
            .map(|one| {
                let job = one.job();
                let next = successors
                    .entry(job)
                    .or_insert_with_key(|job| alloc::successors(state, job))
                    .get(&one.id)
                    .copied();
                if let Some(whole) = events.get(&one.id) {
                    return alloc::stub(state, one, next, Some(whole), options);
                }
                let known = state.alloc_status(one.id).map(|status| &status.value);
                alloc::stub(state, one, next, known, options)
            })
            .collect();
        Answer::json(call, &stubs)
    })
    .await
}

/// What the agents said of these allocs, task events included; without those that can't be read.
async fn statuses(server: &ServerSide, allocs: &[Arc<Stored<Alloc>>]) -> Events {
    if allocs.is_empty() {
        return Events::new();
    }
    let read = Txn {
        then: allocs
            .iter()
            .map(|alloc| {
                let key = server
                    .keys
                    .encode(&Key::AllocStatus(alloc.node_id, alloc.id));
                Op::Range(RangeRequest::new(KeyRange::Key(key)))
            })
            .collect(),
        ..Txn::default()
    };
    let answer = match server.store.txn(read).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::warn!(%error, "task events can't be read from the store");
            return Events::new();
        }
    };
    answer
        .responses
        .iter()
        .filter_map(|response| match response {
            OpResponse::Range(found) => found.kvs.first(),
            _ => None,
        })
        .filter_map(|kv| decode::<AllocStatus>(&kv.value).ok())
        .map(|status| (status.id, status))
        .collect()
}

/// A list of allocs that belong to something.
pub(super) async fn of(
    server: &ServerSide,
    call: &Call,
    which: impl Fn(&State) -> Vec<Arc<Stored<Alloc>>>,
) -> Result<Answer, ApiError> {
    let options = options(call)?;
    let index = |state: &State| newest(state, &which(state));
    let state = blocking::wait(server, &call.params, index).await?;
    let allocs = which(&state);
    let answer = stubs(server, call, &state, &allocs, options).await?;
    Ok(answer.with_meta(Meta::of(&state, newest(&state, &allocs))))
}

/// As [`of`], with each alloc in full.
pub(super) async fn of_in_full(
    server: &ServerSide,
    call: &Call,
    which: impl Fn(&State) -> Vec<Arc<Stored<Alloc>>>,
) -> Result<Answer, ApiError> {
    let index = |state: &State| newest(state, &which(state));
    let state = blocking::wait(server, &call.params, index).await?;
    let allocs = which(&state);
    let mut events = if allocs.len() <= WITH_EVENTS {
        statuses(server, &allocs).await
    } else {
        Events::new()
    };
    let answer = off_the_workers(|| {
        let list: Vec<_> = allocs
            .iter()
            .map(|one| {
                let more = FromStore {
                    alloc: None,
                    status: events.remove(&one.id),
                };
                alloc::full(&state, one, &more)
            })
            .collect();
        Answer::json(call, &list)
    })
    .await?;
    Ok(answer.with_meta(Meta::of(&state, newest(&state, &allocs))))
}

fn newest(state: &State, allocs: &[Arc<Stored<Alloc>>]) -> Revision {
    allocs
        .iter()
        .map(|alloc| alloc_index(state, alloc))
        .max()
        .unwrap_or_else(|| state.table_index(Table::Allocs))
}

pub(super) async fn list(server: &ServerSide, call: &Call) -> Result<Answer, ApiError> {
    let paging = Paging::of(call)?;
    let options = options(call)?;
    let prefix = super::uuid_prefix(call, "alloc")?;
    let index = |state: &State| state.newest_of(&TABLES);
    let state = blocking::wait(server, &call.params, index).await?;
    let namespaces = call.namespaces();
    let page =
        off_the_workers(|| page(&state, &paging, &namespaces, prefix.as_ref(), options)).await?;
    let body = stubs(server, call, &state, &page.entries, options).await?;
    Ok(body
        .with_meta(Meta::of(&state, index(&state)))
        .with_next_token(page.next_token))
}

fn page(
    state: &State,
    paging: &Paging,
    namespaces: &Namespaces,
    prefix: Option<&UuidPrefix>,
    options: ListOptions,
) -> Result<Page<Arc<Stored<Alloc>>>, ApiError> {
    let mut list: Vec<_> = state
        .allocs()
        .filter(|alloc| namespaces.contains(alloc.namespace.as_str()))
        .filter(|alloc| prefix.is_none_or(|prefix| prefix.fits(alloc.id.0)))
        .cloned()
        .collect();
    let view = |one: &Arc<Stored<Alloc>>| {
        alloc::stub(
            state,
            one,
            None,
            state.alloc_status(one.id).map(|s| &s.value),
            options,
        )
    };
    let whole = |one: &Arc<Stored<Alloc>>| alloc::full(state, one, &FromStore::default());
    if prefix.is_some() {
        let token = |alloc: &Arc<Stored<Alloc>>| ById(alloc.id.0);
        paging.sort(&mut list, token);
        paging.page(list, token, view, whole)
    } else {
        let token = |alloc: &Arc<Stored<Alloc>>| ByAge(alloc.create, alloc.id.0);
        paging.sort(&mut list, token);
        paging.page(list, token, view, whole)
    }
}

fn index_of(state: &State, id: AllocId) -> Revision {
    match state.alloc(id) {
        Some(alloc) => alloc_index(state, alloc)
            .max(state.alloc_control(id).map_or(0, |control| control.modify)),
        None => state.table_index(Table::Allocs),
    }
}

pub(super) async fn read(server: &ServerSide, call: &Call, id: &str) -> Result<Answer, ApiError> {
    let id: AllocId = super::uuid(id, "alloc")?;
    let state = blocking::wait(server, &call.params, |state| index_of(state, id)).await?;
    let meta = Meta::of(&state, index_of(&state, id));
    Ok(match state.alloc(id) {
        None => Answer::missing("alloc not found"),
        Some(alloc) => {
            let more = from_store(server, alloc).await;
            Answer::json(call, &alloc::full(&state, alloc, &more))?
        }
    }
    .with_meta(meta))
}

/// What State leaves out of an alloc. Without it when the store can't be read: what is known is better than nothing.
async fn from_store(server: &ServerSide, alloc: &Alloc) -> FromStore {
    let range = |key: Key| Op::Range(RangeRequest::new(KeyRange::Key(server.keys.encode(&key))));
    let read = Txn {
        then: vec![
            range(Key::Alloc(alloc.node_id, alloc.id)),
            range(Key::AllocStatus(alloc.node_id, alloc.id)),
        ],
        ..Txn::default()
    };
    let answer = match server.store.txn(read).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::warn!(%error, alloc = %alloc.id, "an alloc's events can't be read from the store");
            return FromStore::default();
        }
    };
    let value = |index: usize| match answer.responses.get(index) {
        Some(OpResponse::Range(found)) => found.kvs.first().map(|kv| kv.value.clone()),
        _ => None,
    };
    FromStore {
        alloc: value(0).and_then(|bytes| decode(&bytes).ok()),
        status: value(1).and_then(|bytes| decode(&bytes).ok()),
    }
}

/// Asks for an alloc to be stopped and replaced.
pub(super) async fn stop(
    context: &ApiContext,
    server: &ServerSide,
    call: &Call,
    id: &str,
) -> Result<Answer, ApiError> {
    let id: AllocId = super::uuid(id, "alloc")?;
    let state = blocking::ready(server).await?;
    let Some(alloc) = state.alloc(id) else {
        return Err(ApiError::NotFound("alloc not found".to_owned()));
    };
    if alloc.desired_status != DesiredStatus::Run {
        let index = index_of(&state, id);
        let answer = AllocStopped {
            eval: String::new(),
            index,
        };
        return Ok(Answer::json(call, &answer)?.with_index(index));
    }
    let mut eval = EvalId::from_random(context.sources.random());
    let key = Key::AllocControl(alloc.node_id, id);
    let no_shutdown_delay = call.params.flag("no_shutdown_delay")?.unwrap_or(false);
    let index = write::update(context, server, &key, |state| {
        let asked = state.alloc_control(id);
        // Whoever asked first waits for that evaluation: it is the one that is made.
        eval = asked.and_then(|asked| asked.stop).unwrap_or(eval);
        Ok(AllocControl {
            stop: Some(eval),
            no_shutdown_delay: no_shutdown_delay
                || asked.is_some_and(|asked| asked.no_shutdown_delay),
        })
    })
    .await?;
    let answer = AllocStopped {
        eval: eval.to_string(),
        index,
    };
    Ok(Answer::json(call, &answer)?.with_index(index))
}
