//! What a row of the table of routes is, and which row a call is for.
//!
//! axum's own router can't take ids with slashes in the middle of a path, as `/v1/job/a/b/plan` has them.

use std::{future::Future, pin::Pin, sync::Arc};

use percent_encoding::percent_decode_str;
use rove_model::ids::{JobId, JobKey, Namespace};
use rove_wire::Types;
use serde_json::Value;

use crate::{
    answer::Answer,
    body,
    call::{Call, Verb},
    context::{ApiContext, ServerSide},
    error::ApiError,
    proxy::Incoming,
};

/// What a caller has to be allowed to do, in the words of ACL policies. They are not asked for yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// Everybody may.
    Anyone,
    ListJobs,
    ParseJob,
    ReadJob,
    SubmitJob,
    DispatchJob,
    ReadJobScaling,
    ScaleJob,
    ListScalingPolicies,
    ReadLogs,
    ReadFs,
    AllocExec,
    AllocLifecycle,
    ReadNamespace,
    ReadVolumes,
    Variables,
    NodeRead,
    NodeWrite,
    AgentRead,
    AgentWrite,
    OperatorRead,
    OperatorWrite,
    Plugins,
    /// Only a management token.
    Management,
}

impl Right {
    /// The capability as a policy names it, after the kind of thing that it is about.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Anyone => "none",
            Self::ListJobs => "namespace:list-jobs",
            Self::ParseJob => "namespace:parse-job",
            Self::ReadJob => "namespace:read-job",
            Self::SubmitJob => "namespace:submit-job",
            Self::DispatchJob => "namespace:dispatch-job",
            Self::ReadJobScaling => "namespace:read-job-scaling",
            Self::ScaleJob => "namespace:scale-job",
            Self::ListScalingPolicies => "namespace:list-scaling-policies",
            Self::ReadLogs => "namespace:read-logs",
            Self::ReadFs => "namespace:read-fs",
            Self::AllocExec => "namespace:alloc-exec",
            Self::AllocLifecycle => "namespace:alloc-lifecycle",
            Self::ReadNamespace => "namespace:any",
            Self::ReadVolumes => "namespace:csi-list-volume",
            Self::Variables => "variables",
            Self::NodeRead => "node:read",
            Self::NodeWrite => "node:write",
            Self::AgentRead => "agent:read",
            Self::AgentWrite => "agent:write",
            Self::OperatorRead => "operator:read",
            Self::OperatorWrite => "operator:write",
            Self::Plugins => "plugin:list",
            Self::Management => "management",
        }
    }

    /// Who has it can change something, whatever the method of the call: some calls that read by their method do.
    pub(crate) fn changes(self) -> bool {
        match self {
            Self::SubmitJob
            | Self::DispatchJob
            | Self::ScaleJob
            | Self::AllocExec
            | Self::AllocLifecycle
            | Self::NodeWrite
            | Self::AgentWrite
            | Self::OperatorWrite => true,
            Self::Anyone
            | Self::ListJobs
            | Self::ParseJob
            | Self::ReadJob
            | Self::ReadJobScaling
            | Self::ListScalingPolicies
            | Self::ReadLogs
            | Self::ReadFs
            | Self::ReadNamespace
            | Self::ReadVolumes
            | Self::Variables
            | Self::NodeRead
            | Self::AgentRead
            | Self::OperatorRead
            | Self::Plugins
            | Self::Management => false,
        }
    }
}

/// An answer that is being made.
pub(crate) type Answering<'a> = Pin<Box<dyn Future<Output = Result<Answer, ApiError>> + Send + 'a>>;

/// Who answers a call, and how.
pub(crate) enum Handler {
    /// A server; the agent of a client passes it on to one.
    Server(for<'a> fn(OfServer<'a>) -> Answering<'a>),
    /// The agent that is asked.
    Agent(for<'a> fn(OfAgent<'a>) -> Answering<'a>),
    /// Nomad has it, rove hasn't yet: this.
    NotBuilt(&'static str),
}

/// A call that a server answers.
pub(crate) struct OfServer<'a> {
    pub(crate) context: &'a Arc<ApiContext>,
    pub(crate) server: &'a ServerSide,
    pub(crate) call: &'a Call,
    pub(crate) names: Names,
}

/// A call that the agent answers which is asked.
pub(crate) struct OfAgent<'a> {
    pub(crate) context: &'a Arc<ApiContext>,
    pub(crate) incoming: &'a Incoming,
    pub(crate) call: &'a Call,
    pub(crate) names: Names,
}

impl OfServer<'_> {
    /// What stands in the path for `{id}` or `{name}`.
    pub(crate) fn id(&self) -> &str {
        self.names.id()
    }

    /// The job that the path names, in the namespace of the call.
    pub(crate) fn job(&self) -> JobKey {
        JobKey {
            namespace: Namespace::from(self.call.namespace()),
            id: JobId::from(self.names.id().to_owned()),
        }
    }
}

impl OfAgent<'_> {
    /// What stands in the path for `{id}`.
    pub(crate) fn id(&self) -> &str {
        self.names.id()
    }
}

/// What stood in a path for its names, decoded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// The first of them; every path has one at most.
    fn id(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }
}

/// One row: a method, a path, the right that it takes, and who answers it.
///
/// In a path `{id}` stands for one segment, `{id*}` for one or more.
pub(crate) struct Route {
    pub(crate) verb: Verb,
    pub(crate) path: &'static str,
    pub(crate) right: Right,
    /// What it does, in a sentence.
    pub(crate) about: &'static str,
    pub(crate) handler: Handler,
    /// The most bytes of a body that it takes: what reads or deletes takes none.
    pub(crate) body: usize,
    /// The schema of the body that it takes.
    pub(crate) takes: Option<Schema>,
    /// The schema of the JSON that it gives; none for what gives no JSON.
    pub(crate) gives: Option<Schema>,
}

/// The schema of a type, whose parts are put into [`Types`].
pub(crate) type Schema = fn(&mut Types) -> Value;

impl Route {
    pub(crate) const fn new(
        verb: Verb,
        path: &'static str,
        right: Right,
        about: &'static str,
        handler: Handler,
    ) -> Self {
        Self {
            verb,
            path,
            right,
            about,
            handler,
            body: match verb {
                Verb::Write => body::MOST,
                Verb::Read | Verb::Delete => 0,
            },
            takes: None,
            gives: None,
        }
    }

    /// With the schema of the body that it takes.
    pub(crate) const fn takes(mut self, schema: Schema) -> Self {
        self.takes = Some(schema);
        self
    }

    /// With the schema of the JSON that it gives.
    pub(crate) const fn gives(mut self, schema: Schema) -> Self {
        self.gives = Some(schema);
        self
    }

    /// Its body says little.
    pub(crate) const fn with_small_body(mut self) -> Self {
        self.body = body::SMALL;
        self
    }
}

/// Lets a server answer a call with what the expression comes to.
macro_rules! server {
    (|$r:ident| $answer:expr) => {
        Handler::Server(|$r| {
            Box::pin(async move {
                let _ = &$r;
                $answer.await
            })
        })
    };
}
pub(crate) use server;

/// Lets the agent that is asked answer a call.
macro_rules! agent {
    (|$r:ident| $answer:expr) => {
        Handler::Agent(|$r| Box::pin(async move { $answer.await }))
    };
}
pub(crate) use agent;

/// What a table of rows is written with.
pub(crate) mod rows {
    pub(crate) use super::{
        Handler::{self, NotBuilt},
        Right::*,
        Route, agent, server,
    };
    pub(crate) use crate::call::Verb::{Delete, Read, Write};
    pub(crate) use rove_wire::Described;
}

/// The row for a call, with what its path names. The first row whose path fits decides which path it is.
pub(crate) fn find<'t>(
    tables: &'t [&'t [Route]],
    verb: Verb,
    path: &str,
) -> Result<(&'t Route, Names), ApiError> {
    let path = path.trim_end_matches('/');
    let mut fitting = None;
    for route in tables.iter().copied().flatten() {
        if fitting.is_none_or(|fitting| fitting == route.path)
            && let Some(names) = fit(route.path, path)
        {
            if route.verb == verb {
                return Ok((route, names));
            }
            fitting = Some(route.path);
        }
    }
    match fitting {
        Some(_) => Err(ApiError::MethodNotAllowed),
        None => Err(ApiError::NoSuchPath),
    }
}

/// What stands in `path` for the names of `pattern`, if it fits.
fn fit(pattern: &str, path: &str) -> Option<Names> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return (pattern == path).then(Names::default);
    };
    let (name, after) = rest.split_once('}')?;
    let found = path.strip_prefix(before)?.strip_suffix(after)?;
    let whole = !found.is_empty() && (name.ends_with('*') || !found.contains('/'));
    let decoded = percent_decode_str(found).decode_utf8_lossy().into_owned();
    whole.then(|| Names(vec![decoded]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::routes::table::ROUTES;

    #[test]
    fn a_path_is_told_from_the_ids_in_it() {
        for (path, pattern, id) in [
            ("/v1/job/web", "/v1/job/{job*}", "web"),
            ("/v1/job/web/plan", "/v1/job/{job*}/plan", "web"),
            ("/v1/job/a%2Fb/plan", "/v1/job/{job*}/plan", "a/b"),
            ("/v1/job/a/b/plan", "/v1/job/{job*}/plan", "a/b"),
            ("/v1/job/a/b", "/v1/job/{job*}", "a/b"),
            ("/v1/job/plan", "/v1/job/{job*}", "plan"),
            ("/v1/job/plan/plan", "/v1/job/{job*}/plan", "plan"),
            (
                "/v1/job/tick/periodic/force",
                "/v1/job/{job*}/periodic/force",
                "tick",
            ),
            (
                "/v1/job/web/deployments",
                "/v1/job/{job*}/deployments",
                "web",
            ),
            ("/v1/job/b%C3%BC/", "/v1/job/{job*}", "bü"),
            ("/v1/node/pools", "/v1/node/pools", ""),
            ("/v1/node/x", "/v1/node/{id}", "x"),
            (
                "/v1/deployment/allocations/x",
                "/v1/deployment/allocations/{id}",
                "x",
            ),
            (
                "/v1/operator/raft/configuration",
                "/v1/operator/{call*}",
                "raft/configuration",
            ),
            (
                "/v1/operator/scheduler/configuration",
                "/v1/operator/scheduler/configuration",
                "",
            ),
        ] {
            let verbs = [Verb::Read, Verb::Write, Verb::Delete];
            let (route, names) = verbs
                .into_iter()
                .find_map(|verb| find(ROUTES, verb, path).ok())
                .unwrap_or_else(|| panic!("{path}"));
            assert_eq!((route.path, names.id()), (pattern, id), "{path}");
        }
        for path in [
            "/v1",
            "/v1/",
            "/v1/nope",
            "/v1/job",
            "/v1/job/",
            "/v1/node/x/y/z",
            "/v1/nodes/x",
            "/",
        ] {
            let refused = find(ROUTES, Verb::Read, path).map(|(route, _)| route.path);
            assert!(matches!(refused, Err(ApiError::NoSuchPath)), "{path}");
        }
        for (verb, path) in [
            (Verb::Read, "/v1/job/web/plan"),
            (Verb::Delete, "/v1/jobs"),
            (Verb::Write, "/v1/nodes"),
        ] {
            let refused = find(ROUTES, verb, path).map(|(route, _)| route.path);
            assert!(matches!(refused, Err(ApiError::MethodNotAllowed)), "{path}");
        }
    }

    #[test]
    fn every_row_can_be_reached_and_says_what_it_does() {
        for route in ROUTES.iter().copied().flatten() {
            let path = route.path.replace("{job*}", "a/b").replace('*', "");
            let path = path.replace(['{', '}'], "");
            let (found, _) =
                find(ROUTES, route.verb, &path).unwrap_or_else(|e| panic!("{path}: {e}"));
            assert!(
                std::ptr::eq(found, route),
                "{} hides {}",
                found.path,
                route.path
            );
            assert!(
                route.about.ends_with('.') && !route.right.name().is_empty(),
                "{path}"
            );
        }
    }
}
