//! Which nodes could hold an alloc of a group at all, decided once per node class.

use rove_model::{
    job::{Job, TaskGroup},
    node::Node,
    resources::Room,
};

use super::{
    cluster::Cluster,
    constraints::{DistinctProperty, NodeConstraint, distinct_hosts, matches_glob},
    ports::PortAsk,
    preferences::Preferences,
};

/// The pool of jobs that name none.
const DEFAULT_POOL: &str = "default";

/// The built-in pool that every node belongs to.
const POOL_OF_ALL: &str = "all";

/// What placement failures call nodes of a class that was ruled out before.
pub(super) const CLASS_INELIGIBLE: &str = "computed class ineligible";

const DISTINCT_HOSTS: &str = "distinct_hosts";

/// All that an alloc of a group asks of a node.
#[derive(Debug)]
pub(super) struct Requirements<'j> {
    datacenters: &'j [String],
    pool: &'j str,
    job_constraints: Vec<NodeConstraint<'j>>,
    group_constraints: Vec<NodeConstraint<'j>>,
    drivers: Vec<&'j str>,
    /// No two allocs of the job on a node.
    pub distinct_hosts_of_job: bool,
    /// No two allocs of the group on a node.
    pub distinct_hosts_of_group: bool,
    pub distinct_properties: Vec<DistinctProperty<'j>>,
    pub room: Room,
    pub ports: PortAsk<'j>,
    pub preferences: Preferences,
}

/// What is to be said of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ClassVerdict {
    /// In another datacenter or pool: not looked at.
    OutOfScope,
    /// Ruled out, and why.
    RuledOut(String),
    /// Its nodes will do, but for what is to be asked of each.
    Feasible,
}

impl<'j> Requirements<'j> {
    pub(super) fn of(job: &'j Job, group: &'j TaskGroup) -> Self {
        let of_tasks = group.tasks.iter().flat_map(|task| &task.constraints);
        let of_group = || group.constraints.iter().chain(of_tasks.clone());
        let mut drivers = group
            .tasks
            .iter()
            .map(|task| task.driver.as_str())
            .collect::<Vec<_>>();
        drivers.sort_unstable();
        drivers.dedup();
        Self {
            datacenters: &job.datacenters,
            pool: &job.node_pool,
            job_constraints: job
                .constraints
                .iter()
                .filter_map(NodeConstraint::compile)
                .collect(),
            group_constraints: of_group().filter_map(NodeConstraint::compile).collect(),
            drivers,
            distinct_hosts_of_job: distinct_hosts(&job.constraints),
            distinct_hosts_of_group: distinct_hosts(&group.constraints),
            distinct_properties: DistinctProperty::of(&job.constraints, true)
                .chain(DistinctProperty::of(of_group(), false))
                .collect(),
            room: group.room(),
            ports: PortAsk::of(group),
            preferences: Preferences::of(job, group),
        }
    }

    /// The job's node pool.
    pub(super) fn pool(&self) -> &'j str {
        if self.pool.is_empty() {
            DEFAULT_POOL
        } else {
            self.pool
        }
    }

    /// The patterns of the datacenters that the job may use; none means all.
    pub(super) fn datacenters(&self) -> &'j [String] {
        self.datacenters
    }

    /// The drivers that its tasks need.
    pub(super) fn drivers(&self) -> &[&'j str] {
        &self.drivers
    }

    pub(super) fn is_in_pool(&self, node: &Node) -> bool {
        self.pool() == POOL_OF_ALL || node.node_pool == self.pool()
    }

    pub(super) fn is_in_datacenter(&self, node: &Node) -> bool {
        self.datacenters.is_empty()
            || self
                .datacenters
                .iter()
                .any(|pattern| matches_glob(pattern, &node.datacenter))
    }

    /// Whether the job may use nodes of this datacenter and pool.
    pub(super) fn is_in_scope(&self, node: &Node) -> bool {
        self.is_in_pool(node) && self.is_in_datacenter(node)
    }

    /// Why no node like `node` will do; what may differ within a class is left out.
    fn ruled_out(&self, node: &Node) -> Option<String> {
        fn unmet(constraints: &[NodeConstraint<'_>], node: &Node) -> Option<String> {
            constraints
                .iter()
                .find(|constraint| !constraint.is_unique() && !constraint.is_met_by(node))
                .map(|constraint| constraint.text.clone())
        }
        unmet(&self.job_constraints, node)
            .or_else(|| {
                self.drivers
                    .iter()
                    .any(|driver| !has_driver(node, driver))
                    .then(|| "missing drivers".to_owned())
            })
            .or_else(|| unmet(&self.group_constraints, node))
    }

    /// What is to be said of a class, judged by one of its nodes.
    pub(super) fn judge(&self, node: &Node) -> ClassVerdict {
        if !self.is_in_scope(node) {
            return ClassVerdict::OutOfScope;
        }
        self.ruled_out(node)
            .map_or(ClassVerdict::Feasible, ClassVerdict::RuledOut)
    }

    /// Nodes of one class may differ in what is asked.
    pub(super) fn asks_each_node(&self) -> bool {
        self.job_constraints
            .iter()
            .chain(&self.group_constraints)
            .any(NodeConstraint::is_unique)
            || !self.ports.is_empty()
    }

    /// Why this node of a feasible class will not do.
    pub(super) fn ruled_out_alone(&self, node: &Node) -> Option<&str> {
        if !self.ports.is_empty() && node.resources.networks.is_empty() {
            return Some("missing network");
        }
        self.job_constraints
            .iter()
            .chain(&self.group_constraints)
            .find(|constraint| constraint.is_unique() && !constraint.is_met_by(node))
            .map(|constraint| constraint.text.as_str())
    }

    /// Why a node will not do beside the allocs of the job that it has: `of_job` and `of_group` of them, and for each
    /// of the distinct properties how many share its value.
    pub(super) fn ruled_out_beside(&self, of_job: u64, of_group: u64) -> Option<&'static str> {
        let taken = (self.distinct_hosts_of_job && of_job > 0)
            || (self.distinct_hosts_of_group && of_group > 0);
        taken.then_some(DISTINCT_HOSTS)
    }

    /// The verdict on every class, by its place in the cluster; one without ready nodes is out of scope.
    pub(super) fn judge_all(&self, cluster: &Cluster) -> Vec<ClassVerdict> {
        cluster
            .classes
            .iter()
            .map(|class| {
                class
                    .members
                    .first()
                    .and_then(|slot| cluster.node(*slot))
                    .map_or(ClassVerdict::OutOfScope, |node| self.judge(node))
            })
            .collect()
    }
}

/// Whether a task of that driver can be started there.
pub(super) fn has_driver(node: &Node, name: &str) -> bool {
    node.drivers
        .get(name)
        .is_some_and(|driver| driver.detected && driver.healthy)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rove_model::job::Constraint;

    use super::{
        super::fixtures::{job, node},
        *,
    };

    fn constraint(left: &str, right: &str) -> Constraint {
        Constraint {
            ltarget: left.to_owned(),
            rtarget: right.to_owned(),
            operand: "=".to_owned(),
        }
    }

    #[test]
    fn a_class_is_judged_by_place_then_job_then_drivers_then_group() {
        let ruled_out = |text: &str| ClassVerdict::RuledOut(text.to_owned());
        type Change = fn(&mut Job, &mut Node);
        let rows: [(&str, Change, ClassVerdict); 9] = [
            ("as it is", |_, _| {}, ClassVerdict::Feasible),
            (
                "another datacenter",
                |job, _| job.datacenters = vec!["moon-*".to_owned()],
                ClassVerdict::OutOfScope,
            ),
            (
                "any datacenter",
                |job, _| job.datacenters = vec!["*".to_owned()],
                ClassVerdict::Feasible,
            ),
            (
                "another pool",
                |_, node| node.node_pool = "gpu".to_owned(),
                ClassVerdict::OutOfScope,
            ),
            (
                "the pool of all",
                |job, node| {
                    job.node_pool = "all".to_owned();
                    node.node_pool = "gpu".to_owned();
                },
                ClassVerdict::Feasible,
            ),
            (
                "the job's constraint comes before a missing driver",
                |job, node| {
                    job.constraints = vec![constraint("${attr.kernel.name}", "plan9")];
                    node.drivers.clear();
                },
                ruled_out("${attr.kernel.name} = plan9"),
            ),
            (
                "an unhealthy driver is as a missing one",
                |job, node| {
                    job.task_groups[0].constraints = vec![constraint("${meta.rack}", "r9")];
                    for driver in node.drivers.values_mut() {
                        driver.healthy = false;
                    }
                },
                ruled_out("missing drivers"),
            ),
            (
                "the constraint of a task",
                |job, _| {
                    job.task_groups[0].tasks[0].constraints =
                        vec![constraint("${meta.rack}", "r9")];
                },
                ruled_out("${meta.rack} = r9"),
            ),
            (
                "what is unique is not asked of a class",
                |job, _| {
                    job.constraints = vec![constraint("${node.unique.name}", "other")];
                },
                ClassVerdict::Feasible,
            ),
        ];
        for (what, change, expected) in rows {
            let (mut job, mut node) = (job("j", 1), node(1));
            change(&mut job, &mut node);
            let requirements = Requirements::of(&job, &job.task_groups[0]);
            assert_eq!(requirements.judge(&node), expected, "{what}");
        }
    }

    #[test]
    fn what_is_unique_is_asked_of_each_node() {
        let mut job = job("j", 1);
        job.constraints = vec![constraint("${node.unique.name}", "node-2")];
        let requirements = Requirements::of(&job, &job.task_groups[0]);
        assert!(requirements.asks_each_node());
        assert_eq!(
            requirements.ruled_out_alone(&node(1)),
            Some("${node.unique.name} = node-2")
        );
        assert_eq!(requirements.ruled_out_alone(&node(2)), None);
    }
}
