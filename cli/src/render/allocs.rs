//! Lists of allocs, evaluations and jobs.

use super::table::Table;
use super::{FULL, or_none, short, time};
use rove_model::eval::EvalStatus;
use rove_wire::{AllocStub, Eval, JobStub, status_text};

/// Allocs of a job; whole ids and times when `verbose`.
pub fn list(allocs: &[AllocStub], verbose: bool, now: i64) -> String {
    if allocs.is_empty() {
        return "No allocations placed".to_owned();
    }
    if verbose {
        let mut table = Table::new([
            "ID",
            "Eval ID",
            "Node ID",
            "Node Name",
            "Task Group",
            "Version",
            "Desired",
            "Status",
            "Created",
            "Modified",
        ]);
        for alloc in allocs {
            table.row([
                alloc.id.clone(),
                alloc.eval.clone(),
                alloc.node.clone(),
                alloc.node_name.clone(),
                alloc.group.clone(),
                alloc.version().to_string(),
                alloc.desired.to_string(),
                alloc.client.to_string(),
                time::stamp(alloc.create_time),
                time::stamp(alloc.modify_time),
            ]);
        }
        return table.render();
    }
    let mut table = Table::new([
        "ID",
        "Node ID",
        "Task Group",
        "Version",
        "Desired",
        "Status",
        "Created",
        "Modified",
    ]);
    for alloc in allocs {
        table.row([
            short(&alloc.id, super::SHORT),
            short(&alloc.node, super::SHORT),
            alloc.group.clone(),
            alloc.version().to_string(),
            alloc.desired.to_string(),
            alloc.client.to_string(),
            time::ago(alloc.create_time, now),
            time::ago(alloc.modify_time, now),
        ]);
    }
    table.render()
}

/// Allocs of a node: as [`list`], without the node's name.
pub fn on_node(allocs: &[AllocStub], verbose: bool, now: i64) -> String {
    if !verbose || allocs.is_empty() {
        return list(allocs, false, now);
    }
    let mut table = Table::new([
        "ID",
        "Eval ID",
        "Node ID",
        "Task Group",
        "Version",
        "Desired",
        "Status",
        "Created",
        "Modified",
    ]);
    for alloc in allocs {
        table.row([
            alloc.id.clone(),
            alloc.eval.clone(),
            alloc.node.clone(),
            alloc.group.clone(),
            alloc.version().to_string(),
            alloc.desired.to_string(),
            alloc.client.to_string(),
            time::stamp(alloc.create_time),
            time::stamp(alloc.modify_time),
        ]);
    }
    table.render()
}

/// Newest first, as every list of allocs is shown.
pub fn newest_first(allocs: &mut [AllocStub]) {
    allocs.sort_by_key(|a| std::cmp::Reverse(a.create_index));
}

/// Whether placing failed, as the lists show it.
pub fn placement_failures(eval: &Eval) -> String {
    if eval.status == EvalStatus::Blocked {
        "N/A - In Progress".to_owned()
    } else {
        (!eval.failed.is_empty()).to_string()
    }
}

/// Evaluations of one job.
pub fn evals_of_job(evals: &[Eval], length: usize) -> String {
    let mut table = Table::new([
        "ID",
        "Priority",
        "Triggered By",
        "Status",
        "Placement Failures",
    ]);
    for eval in evals {
        table.row([
            short(&eval.id, length),
            eval.priority.to_string(),
            eval.triggered_by.to_string(),
            eval.status.to_string(),
            placement_failures(eval),
        ]);
    }
    table.render()
}

/// Evaluations of all jobs.
pub fn evals(evals: &[Eval], length: usize) -> String {
    let mut table = Table::new([
        "ID",
        "Priority",
        "Triggered By",
        "Job ID",
        "Namespace",
        "Node ID",
        "Status",
        "Placement Failures",
    ]);
    for eval in evals {
        table.row([
            short(&eval.id, length),
            eval.priority.to_string(),
            eval.triggered_by.to_string(),
            or_none(&eval.job).to_owned(),
            eval.namespace.clone(),
            short(&eval.node, length),
            eval.status.to_string(),
            placement_failures(eval),
        ]);
    }
    table.render()
}

/// Jobs, with their namespaces if `namespaces`.
pub fn jobs(jobs: &[JobStub], namespaces: bool) -> String {
    let mut headings = vec!["ID"];
    headings.extend(namespaces.then_some("Namespace"));
    headings.extend(["Type", "Priority", "Status", "Submit Date"]);
    let mut table = Table::new(headings);
    for job in jobs {
        let mut row = vec![job.id.clone()];
        if namespaces {
            row.push(job.namespace.clone());
        }
        row.extend([
            job.type_name(),
            job.priority.to_string(),
            status_text(&job.status, job.stop),
            time::stamp(job.submit_time),
        ]);
        table.row(row);
    }
    table.render()
}

/// How long ids are shown.
pub fn length(verbose: bool) -> usize {
    if verbose { FULL } else { super::SHORT }
}
