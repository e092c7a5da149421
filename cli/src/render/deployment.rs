//! Deployments: one with its groups, and lists.

use super::table::{Fields, Table};
use super::time;
use crate::render::short;
use rove_wire::Deployment;

/// A deployment with the progress of its groups; headings through `bold`.
pub fn whole(deployment: &Deployment, length: usize, bold: &dyn Fn(&str) -> String) -> String {
    let mut fields = Fields::new();
    fields
        .add("ID", short(&deployment.id, length))
        .add("Job ID", &deployment.job)
        .add("Job Version", deployment.job_version.to_string())
        .add("Status", &deployment.status)
        .add("Description", &deployment.description);
    let mut text = fields.render();
    if !deployment.groups.is_empty() {
        text.push_str(&format!("\n\n{}\n{}", bold("Deployed"), groups(deployment)));
    }
    text
}

/// The progress of each group.
pub fn groups(deployment: &Deployment) -> String {
    let groups = &deployment.groups;
    let reverts = groups.values().any(|g| g.auto_revert);
    let canaries = groups.values().any(|g| g.canaries > 0);
    let deadline = groups.values().any(|g| g.progress != 0);
    let mut headings = vec!["Task Group"];
    headings.extend(reverts.then_some("Auto Revert"));
    headings.extend(canaries.then_some("Promoted"));
    headings.push("Desired");
    headings.extend(canaries.then_some("Canaries"));
    headings.extend(["Placed", "Healthy", "Unhealthy"]);
    headings.extend(deadline.then_some("Progress Deadline"));
    let mut table = Table::new(headings);
    for (name, group) in groups {
        let mut row = vec![name.clone()];
        if reverts {
            row.push(group.auto_revert.to_string());
        }
        if canaries {
            row.push(if group.canaries > 0 {
                group.promoted.to_string()
            } else {
                "N/A".to_owned()
            });
        }
        row.push(group.desired.to_string());
        if canaries {
            row.push(if group.canaries > 0 {
                group.canaries.to_string()
            } else {
                "N/A".to_owned()
            });
        }
        row.extend([group.placed, group.healthy, group.unhealthy].map(|n| n.to_string()));
        if deadline {
            row.push(time::stamp_text(group.require_by.as_deref()));
        }
        table.row(row);
    }
    table.render()
}

/// A list of deployments, with their namespaces if `namespaces`.
pub fn list(deployments: &[Deployment], length: usize, namespaces: bool) -> String {
    if deployments.is_empty() {
        return "No deployments found".to_owned();
    }
    let mut headings = vec!["ID"];
    headings.extend(namespaces.then_some("Namespace"));
    headings.extend(["Job ID", "Job Version", "Status", "Description"]);
    let mut table = Table::new(headings);
    for deployment in deployments {
        let mut row = vec![short(&deployment.id, length)];
        if namespaces {
            row.push(deployment.namespace.clone());
        }
        row.extend([
            deployment.job.clone(),
            deployment.job_version.to_string(),
            deployment.status.to_string(),
            deployment.description.clone(),
        ]);
        table.row(row);
    }
    table.render()
}
