//! Constraints that follow from what a job uses. Registration adds them, so that its allocs come to nodes that can
//! run them; they are shown in plans and with the job.

use crate::job::{Constraint, Job, TaskGroup};

impl Job {
    /// Adds the constraints that the groups imply and don't have.
    pub fn add_implied_constraints(&mut self) {
        for group in &mut self.task_groups {
            for constraint in implied(group) {
                if !group.constraints.contains(&constraint) {
                    group.constraints.push(constraint);
                }
            }
        }
    }
}

/// Services that rove announces itself want an agent that announces; their checks want one that checks.
fn implied(group: &TaskGroup) -> Vec<Constraint> {
    let of_tasks = group.tasks.iter().flat_map(|task| &task.services);
    let mut own = group
        .services
        .iter()
        .chain(of_tasks)
        .filter(|service| service.provider == "nomad")
        .peekable();
    let mut constraints = Vec::new();
    if own.peek().is_some() {
        constraints.push(constraint("${attr.nomad.service_discovery}", "=", "true"));
    }
    if own.any(|service| !service.checks.is_empty()) {
        constraints.push(constraint("${attr.nomad.version}", "semver", ">= 1.4.0"));
    }
    constraints
}

fn constraint(ltarget: &str, operand: &str, rtarget: &str) -> Constraint {
    Constraint {
        ltarget: ltarget.to_owned(),
        rtarget: rtarget.to_owned(),
        operand: operand.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn services_and_their_checks_imply_constraints_once() {
        for (services, wanted) in [
            (json!([]), &[][..]),
            (
                json!([{"Name": "a", "Provider": "consul", "Checks": [{}]}]),
                &[],
            ),
            (
                json!([{"Name": "a", "Provider": "nomad"}]),
                &["${attr.nomad.service_discovery}"],
            ),
            (
                json!([{"Name": "a", "Provider": "nomad"}, {"Name": "b", "Provider": "nomad", "Checks": [{}]}]),
                &["${attr.nomad.service_discovery}", "${attr.nomad.version}"],
            ),
        ] {
            let mut job: Job = serde_json::from_value(
                json!({"ID": "j", "TaskGroups": [{"Name": "g", "Services": services.clone()}]}),
            )
            .expect("a job");
            job.add_implied_constraints();
            job.add_implied_constraints();
            let found: Vec<&str> = job.task_groups[0]
                .constraints
                .iter()
                .map(|constraint| constraint.ltarget.as_str())
                .collect();
            assert_eq!(found, wanted, "{services}");
        }
    }
}
