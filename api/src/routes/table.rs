//! The table of all calls: what answers 501, the OpenAPI document and, later, what a token has to allow, come from it.
//! Each module has the rows of the calls that it answers.

use super::{
    agent, allocs, client, deployments, evals, events, job, jobs, nodes, plan, route::Route,
    search, system, versions,
};

/// Every call there is. Of paths that fit the same call the first is taken: the job's own are last, as `{job*}` takes
/// whatever comes behind it.
pub(crate) static ROUTES: &[&[Route]] = &[
    versions::ROUTES,
    plan::ROUTES,
    search::ROUTES,
    events::ROUTES,
    jobs::ROUTES,
    evals::ROUTES,
    allocs::ROUTES,
    deployments::ROUTES,
    nodes::ROUTES,
    agent::ROUTES,
    client::ROUTES,
    system::ROUTES,
    job::ROUTES,
];
