//! Every table of the store, declared once. Whatever has to know the tables is made from these rows: the keys' text
//! ([`crate::keys`]), what State keeps and how two states are told apart ([`crate::state`]), what a full store still
//! takes, who may read and write through the front end.
//!
//! A row is
//!
//! ```text
//! /// What it holds.
//! Table, Key(part: Type, …) = "segment" {
//!     owner: who writes it,
//!     state: field of the state: how the state holds its values,
//!     take: what is checked of a value, and shared or left out, before it is held,
//!     about: where the job is found that a value is about, though it can't be read,
//!     volume: how it is listed,
//!     when_full: what a full store does with a new value,
//!     seen_by: who reads it through the front end,
//!     example: the value that tests write, the n-th of its kind,
//! }
//! ```
//!
//! A key's parts stand behind its segment in their order; an alloc's key names the node first, so that a node's own
//! are one range.

/// Hands the rows to the macro named `$use`.
macro_rules! every_table {
    ($use:ident) => {
        $use! {
            /// `jobs/<ns>/<job>`: which version of a job is wanted, and the eval asked for.
            Registrations, Registration(job: JobKey) = "jobs" {
                owner: Api,
                state: registrations: ById<JobKey, Registration>,
                take: whole,
                about: InKey,
                volume: Few,
                when_full: Refused,
                seen_by: Everyone,
                example: |n| registration(n),
            }
            /// `job-versions/<ns>/<job>/<uid>/<version>`: an immutable specification.
            JobVersions, JobVersion(version: VersionKey) = "job-versions" {
                owner: Api,
                state: job_versions: ById<VersionKey, JobVersion>,
                take: whole,
                about: InKey,
                volume: Large,
                when_full: Refused,
                seen_by: Everyone,
                example: |n| JobVersion { job: job(n) },
            }
            /// `job-evaluated/<ns>/<job>`: the last evaluation made for a job.
            JobEvaluated, JobEvaluated(job: JobKey) = "job-evaluated" {
                owner: JobLoop,
                state: evaluated: ById<JobKey, JobEvaluated>,
                take: whole,
                about: InKey,
                volume: Few,
                when_full: Reserve,
                seen_by: Everyone,
                example: |n| JobEvaluated { uid: JobUid(id(1)), eval: EvalId(id(2)), snapshot: n },
            }
            /// `job-stable/<ns>/<job>`: versions of a job that ran healthy.
            JobStable, JobStable(job: JobKey) = "job-stable" {
                owner: DeploymentLoop,
                state: stable: ById<JobKey, JobStable>,
                take: whole,
                about: InKey,
                volume: Few,
                when_full: Reserve,
                seen_by: Everyone,
                example: |n| JobStable { uid: JobUid(id(1)), versions: BTreeSet::from([n]) },
            }
            /// `job-collected/<ns>/<job>`: counts of a job's allocs that were collected.
            JobCollected, JobCollected(job: JobKey) = "job-collected" {
                owner: Gc,
                state: collected: ById<JobKey, JobCollected>,
                take: whole,
                about: InKey,
                volume: Few,
                when_full: Reserve,
                seen_by: Everyone,
                example: |n| collected(n),
            }
            /// `evals/<id>`: an evaluation.
            Evals, Eval(eval: EvalId) = "evals" {
                owner: Loops,
                state: evals: OfJob<EvalId, Eval>,
                take: named,
                about: InValue,
                volume: Many,
                when_full: Reserve,
                seen_by: Everyone,
                example: |n| Eval { id: EvalId(id(1)), snapshot: n, ..eval(1, "web") },
            }
            /// `plans/<eval>`: the plan of an evaluation.
            Plans, Plan(eval: EvalId) = "plans" {
                owner: Scheduler,
                state: plans: ById<EvalId, Plan>,
                take: whole,
                about: InValue,
                volume: Large,
                when_full: Reserve,
                seen_by: Everyone,
                example: |n| plan(n),
            }
            /// `allocs/<node>/<id>`: what is wanted of an alloc.
            Allocs, Alloc(node: NodeId, alloc: AllocId) = "allocs" {
                owner: Applier,
                state: allocs: Allocs,
                take: alloc,
                about: InValue,
                volume: Many,
                when_full: Refused,
                seen_by: Everyone,
                example: |n| Alloc { job_version: n, ..alloc(1, 1, "web", 1) },
            }
            /// `alloc-status/<node>/<id>`: what is known of an alloc.
            AllocStatuses, AllocStatus(node: NodeId, alloc: AllocId) = "alloc-status" {
                owner: NodesAgent,
                state: alloc_statuses: ById<(NodeId, AllocId), KnownStatus>,
                take: status,
                about: Nowhere,
                volume: Many,
                when_full: Reserve,
                seen_by: Everyone,
                example: |n| AllocStatus { job_version: n, ..status(1, ClientStatus::Running) },
            }
            /// `alloc-control/<node>/<id>`: what was asked of an alloc.
            AllocControls, AllocControl(node: NodeId, alloc: AllocId) = "alloc-control" {
                owner: Api,
                state: alloc_controls: ById<(NodeId, AllocId), AllocControl>,
                take: whole,
                about: Nowhere,
                volume: Few,
                when_full: Reserve,
                seen_by: Everyone,
                example: |n| control(n),
            }
            /// `nodes/<node>`: a node's fingerprint.
            Nodes, Node(node: NodeId) = "nodes" {
                owner: NodesAgent,
                state: nodes: ById<NodeId, Node>,
                take: node,
                about: Nowhere,
                volume: Few,
                when_full: Refused,
                seen_by: Everyone,
                example: |n| node(n),
            }
            /// `node-alive/<node>`: a node is alive; on the node's lease.
            NodesAlive, NodeAlive(node: NodeId) = "node-alive" {
                owner: NodesAgent,
                state: nodes_alive: ById<NodeId, NodeAlive>,
                take: whole,
                about: Nowhere,
                volume: Few,
                when_full: Always,
                seen_by: Everyone,
                example: |n| NodeAlive { since: n.cast_signed() },
            }
            /// `node-status/<node>`: what the servers think of a node.
            NodeStatuses, NodeStatus(node: NodeId) = "node-status" {
                owner: NodeLoop,
                state: node_statuses: ById<NodeId, NodeStatus>,
                take: whole,
                about: Nowhere,
                volume: Few,
                when_full: Reserve,
                seen_by: Everyone,
                example: |n| node_status(n),
            }
            /// `node-control/<node>`: what was asked of a node.
            NodeControls, NodeControl(node: NodeId) = "node-control" {
                owner: Api,
                state: node_controls: ById<NodeId, NodeControl>,
                take: whole,
                about: Nowhere,
                volume: Few,
                when_full: Reserve,
                seen_by: Everyone,
                example: |n| node_control(n),
            }
            /// `node-secret/<node>`: the hash of a node's secret; the state keeps none of it.
            NodeSecrets, NodeSecret(node: NodeId) = "node-secret" {
                owner: FrontEnd,
                state: node_secrets: NotKept<NodeId>,
                take: whole,
                about: Nowhere,
                volume: NotListed,
                when_full: Refused,
                seen_by: Nobody,
                example: |n| n,
            }
            /// `deployments/<id>`: a roll-out.
            Deployments, Deployment(deployment: DeploymentId) = "deployments" {
                owner: DeploymentLoop,
                state: deployments: OfJob<DeploymentId, Deployment>,
                take: named,
                about: InValue,
                volume: Few,
                when_full: Reserve,
                seen_by: Everyone,
                example: |n| deployment(n),
            }
            /// `servers/<name>`: a server that is there; on its lease.
            Servers, Server(name: String) = "servers" {
                owner: Server,
                state: servers: ById<String, Server>,
                take: whole,
                about: Nowhere,
                volume: Few,
                when_full: Always,
                seen_by: Everyone,
                example: |n| server(n),
            }
            /// `leader/<loop>`: who runs a loop; on that server's lease.
            Leaders, Leader(name: String) = "leader" {
                owner: Server,
                state: leaders: ById<String, Leadership>,
                take: whole,
                about: Nowhere,
                volume: Few,
                when_full: Always,
                seen_by: Everyone,
                example: |n| Leadership { server: format!("s{n}") },
            }
        }
    };
}

pub(crate) use every_table;
