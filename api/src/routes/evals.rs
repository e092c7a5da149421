//! `/v1/evaluations`, `/v1/evaluation/<id>`.

use std::sync::Arc;

use rove_controllers::facts;
use rove_model::{
    eval::Eval,
    ids::{EvalId, Revision},
};
use rove_store::state::{State, Stored, Table};
use rove_wire::{AllocStub, EvalCount};

use super::allocs;
use super::route::rows::*;
use crate::{
    answer::{Answer, Meta},
    blocking,
    call::Call,
    context::ServerSide,
    error::ApiError,
    long_work::off_the_workers,
    page::{ByAge, ById, Paging},
    view,
};

/// The calls that are answered here.
#[rustfmt::skip]
pub(super) static ROUTES: &[Route] = &[
    Route::new(Read, "/v1/evaluations", ReadJob, "Lists the evaluations.",
        server!(|r| list(r.server, r.call)))
        .gives(<Vec<rove_wire::Eval>>::schema),
    Route::new(Read, "/v1/evaluations/count", ReadJob, "Counts the evaluations.",
        server!(|r| count(r.server, r.call)))
        .gives(EvalCount::schema),
    Route::new(Read, "/v1/evaluation/{id}", ReadJob, "Gives an evaluation.",
        server!(|r| read(r.server, r.call, r.id())))
        .gives(rove_wire::Eval::schema),
    Route::new(Read, "/v1/evaluation/{id}/allocations", ReadJob, "Lists the allocs that an evaluation made or changed.",
        server!(|r| allocations(r.server, r.call, r.id())))
        .gives(<Vec<AllocStub>>::schema),
];

/// What evaluations are made of, those that are only asked for included.
pub(super) const TABLES: [Table; 3] = [Table::Evals, Table::Registrations, Table::AllocControls];

/// Every evaluation, those that are only asked for included.
fn all(state: &State) -> impl Iterator<Item = Arc<Stored<Eval>>> {
    let asked = state
        .registrations()
        .filter_map(|(key, _)| facts::asked_eval(state, key).map(Arc::new));
    state.evals().cloned().chain(asked)
}

fn wanted(call: &Call, eval: &Eval) -> bool {
    let is = |name: &str, value: &str| call.params.get(name).is_none_or(|wanted| wanted == value);
    let status = serde_json::to_value(eval.status).unwrap_or_default();
    call.namespaces().contains(eval.namespace.as_str())
        && is("status", status.as_str().unwrap_or_default())
        && is("job", eval.job_id.as_str())
}

pub(super) async fn list(server: &ServerSide, call: &Call) -> Result<Answer, ApiError> {
    let paging = Paging::of(call)?;
    let index = |state: &State| state.newest_of(&TABLES);
    let prefix = super::uuid_prefix(call, "eval")?;
    let state = blocking::wait(server, &call.params, index).await?;
    off_the_workers(|| {
        let mut evals: Vec<_> = all(&state)
            .filter(|eval| wanted(call, eval))
            .filter(|eval| prefix.as_ref().is_none_or(|prefix| prefix.fits(eval.id.0)))
            .collect();
        let view = |eval: &Arc<Stored<Eval>>| view::eval::of(eval);
        let page = if prefix.is_some() {
            let token = |eval: &Arc<Stored<Eval>>| ById(eval.id.0);
            paging.sort(&mut evals, token);
            paging.page(evals, token, view, view::eval::left_out)?
        } else {
            let token = |eval: &Arc<Stored<Eval>>| ByAge(eval.create, eval.id.0);
            paging.sort(&mut evals, token);
            paging.page(evals, token, view, view::eval::left_out)?
        };
        let list: Vec<rove_wire::Eval> = page.entries.iter().map(view).collect();
        Ok(Answer::json(call, &list)?
            .with_meta(Meta::of(&state, index(&state)))
            .with_next_token(page.next_token))
    })
    .await
}

pub(super) async fn count(server: &ServerSide, call: &Call) -> Result<Answer, ApiError> {
    let index = |state: &State| state.newest_of(&TABLES);
    let state = blocking::wait(server, &call.params, index).await?;
    let count = off_the_workers(|| all(&state).filter(|eval| wanted(call, eval)).count()).await;
    let meta = Meta::of(&state, index(&state));
    let answer = rove_wire::EvalCount {
        count: count as u64,
        index: meta.index,
        known_leader: meta.known_leader,
        ..rove_wire::EvalCount::default()
    };
    Ok(Answer::json(call, &answer)?.with_meta(meta))
}

fn index_of(state: &State, id: EvalId) -> Revision {
    match state.eval(id) {
        Some(eval) => eval.modify,
        None => facts::eval(state, id).map_or(state.newest_of(&TABLES), |eval| eval.modify),
    }
}

pub(super) async fn read(server: &ServerSide, call: &Call, id: &str) -> Result<Answer, ApiError> {
    let id: EvalId = super::uuid(id, "eval")?;
    let related = call.params.flag("related")?.unwrap_or(false);
    let state = blocking::wait(server, &call.params, |state| index_of(state, id)).await?;
    let meta = Meta::of(&state, index_of(&state, id));
    Ok(match facts::eval(&state, id) {
        None => Answer::missing("eval not found"),
        Some(eval) => {
            let view = if related {
                view::eval::with_related(&state, &eval)
            } else {
                view::eval::of(&eval)
            };
            Answer::json(call, &view)?
        }
    }
    .with_meta(meta))
}

pub(super) async fn allocations(
    server: &ServerSide,
    call: &Call,
    id: &str,
) -> Result<Answer, ApiError> {
    let id: EvalId = super::uuid(id, "eval")?;
    allocs::of(server, call, |state| {
        state.allocs_of_eval(id).cloned().collect()
    })
    .await
}
