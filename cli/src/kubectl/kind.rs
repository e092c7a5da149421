//! What the verbs work on, and how it is named on the command line.

use crate::args::nearest;
use crate::failure::Failure;

/// A kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A job.
    Job,
    /// A node.
    Node,
    /// An alloc.
    Alloc,
    /// An evaluation.
    Eval,
    /// A deployment.
    Deployment,
}

/// Every kind with the names it goes by, its own first: singular, plural, others.
const NAMES: &[(Kind, &[&str])] = &[
    (Kind::Job, &["job", "jobs"]),
    (Kind::Node, &["node", "nodes", "no"]),
    (
        Kind::Alloc,
        &[
            "alloc",
            "allocs",
            "allocation",
            "allocations",
            "pod",
            "pods",
            "po",
        ],
    ),
    (
        Kind::Eval,
        &["eval", "evals", "evaluation", "evaluations", "ev"],
    ),
    (
        Kind::Deployment,
        &["deployment", "deployments", "deploy", "deploys"],
    ),
];

impl Kind {
    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        // "jobs.v1.batch" names the group that kubectl has for jobs.
        let name = name.split('.').next().unwrap_or_default();
        NAMES
            .iter()
            .find(|(_, names)| names.contains(&name))
            .map(|(kind, _)| *kind)
    }

    /// `job`.
    pub fn singular(self) -> &'static str {
        self.name(0)
    }

    /// `jobs`.
    pub fn plural(self) -> &'static str {
        self.name(1)
    }

    fn name(self, index: usize) -> &'static str {
        NAMES
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, names)| names[index])
    }

    /// As a manifest names it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Job => "Job",
            Self::Node => "Node",
            Self::Alloc => "Alloc",
            Self::Eval => "Eval",
            Self::Deployment => "Deployment",
        }
    }

    /// There may be one of the same name in every namespace.
    pub fn namespaced(self) -> bool {
        self != Self::Node
    }
}

/// All of a kind, or one by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What it is.
    pub kind: Kind,
    /// Its name or the beginning of its id.
    pub name: Option<String>,
}

/// What `jobs`, `job x y`, `jobs,nodes` and `job/x node/y` name.
pub fn targets(words: &[String]) -> Result<Vec<Target>, Failure> {
    let Some((first, rest)) = words.split_first() else {
        return Err(Failure::new(
            "error: You must specify the type of resource: job, node, alloc, eval or deployment",
        ));
    };
    if first.contains('/') {
        return words.iter().map(|word| one(word)).collect();
    }
    if let Some(word) = rest
        .iter()
        .find(|w| w.contains('/') && Kind::parse(w.split('/').next().unwrap_or("")).is_some())
    {
        return Err(Failure::new(format!(
            "error: there is no need to specify a resource type as a separate argument when passing arguments in \
             resource/name form (e.g. '{word}')"
        )));
    }
    let kinds: Vec<Kind> = first.split(',').map(kind).collect::<Result<_, _>>()?;
    if rest.is_empty() {
        return Ok(kinds
            .into_iter()
            .map(|kind| Target { kind, name: None })
            .collect());
    }
    Ok(kinds
        .iter()
        .flat_map(|kind| {
            rest.iter().map(|name| Target {
                kind: *kind,
                name: Some(name.clone()),
            })
        })
        .collect())
}

fn one(word: &str) -> Result<Target, Failure> {
    match word.split_once('/') {
        Some((name, rest)) if !rest.is_empty() => Ok(Target {
            kind: kind(name)?,
            name: Some(rest.to_owned()),
        }),
        _ => Err(Failure::new(format!(
            "error: arguments in resource/name form must have a single resource and name, not {word:?}"
        ))),
    }
}

fn kind(name: &str) -> Result<Kind, Failure> {
    Kind::parse(name).ok_or_else(|| {
        let known = NAMES.iter().flat_map(|(_, names)| names.iter().copied());
        let meant = match nearest(&name.to_ascii_lowercase(), known) {
            Some(near) => format!("did you mean {near:?}?"),
            None => "there are jobs, nodes, allocs, evals and deployments".to_owned(),
        };
        Failure::new(format!(
            "error: the server doesn't have a resource type {name:?}; {meant}"
        ))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(text: &str) -> Result<Vec<(Kind, Option<String>)>, String> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let found = targets(&words).map_err(|f| f.message)?;
        Ok(found.into_iter().map(|t| (t.kind, t.name)).collect())
    }

    #[test]
    fn things_are_named_as_kubectl_names_them() {
        let named = |kind, name: &str| (kind, Some(name.to_owned()));
        assert_eq!(read("jobs").unwrap(), [(Kind::Job, None)]);
        assert_eq!(read("Deploy").unwrap(), [(Kind::Deployment, None)]);
        assert_eq!(
            read("jobs,no").unwrap(),
            [(Kind::Job, None), (Kind::Node, None)]
        );
        assert_eq!(
            read("job a b").unwrap(),
            [named(Kind::Job, "a"), named(Kind::Job, "b")]
        );
        assert_eq!(
            read("job/a alloc/12").unwrap(),
            [named(Kind::Job, "a"), named(Kind::Alloc, "12")]
        );
        assert_eq!(
            read("job/disp/dispatch-1").unwrap(),
            [named(Kind::Job, "disp/dispatch-1")]
        );
        assert_eq!(
            read("job disp/dispatch-1").unwrap(),
            [named(Kind::Job, "disp/dispatch-1")]
        );
        assert!(
            read("frob")
                .unwrap_err()
                .contains("doesn't have a resource type \"frob\"")
        );
        assert!(read("").unwrap_err().contains("You must specify"));
        assert!(read("job/").unwrap_err().contains("resource/name form"));
        assert!(
            read("job node/x")
                .unwrap_err()
                .contains("no need to specify")
        );
    }
}
