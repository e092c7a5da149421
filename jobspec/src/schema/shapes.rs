//! What a block says, to the shape that the API has it in, and back.

use serde_json::{Map, Value as Json};

use super::language::SHORT_FORMS;

/// Takes a pseudo field out.
fn take(object: &mut Map<String, Json>, name: &str) -> Option<Json> {
    object.remove(name).filter(|value| !value.is_null())
}

/// Vault is inherited by the tasks.
pub(super) fn finish_job(job: &mut Map<String, Json>) {
    if let Some(vault) = take(job, "~Vault")
        && let Some(Json::Array(groups)) = job.get_mut("TaskGroups")
    {
        for group in groups {
            inherit_vault(group, &vault);
        }
    }
}

pub(super) fn finish_group(group: &mut Map<String, Json>) {
    if let Some(vault) = take(group, "~Vault") {
        let mut whole = Json::Object(std::mem::take(group));
        inherit_vault(&mut whole, &vault);
        if let Json::Object(whole) = whole {
            *group = whole;
        }
    }
}

fn inherit_vault(group: &mut Json, vault: &Json) {
    if let Some(Json::Array(tasks)) = group.get_mut("Tasks") {
        for task in tasks {
            if task["Vault"].is_null() {
                task["Vault"] = vault.clone();
            }
        }
    }
}

/// The short forms of constraints: `regexp = "x"` for `operator = "regexp"`, `value = "x"`.
pub(super) fn finish_constraint(constraint: &mut Map<String, Json>) {
    for short in &SHORT_FORMS {
        if let Some(value) = take(constraint, short.json)
            && value != ""
        {
            constraint.insert("Operand".to_owned(), short.name.into());
            constraint.insert("RTarget".to_owned(), value);
        }
    }
    if let Some(Json::Bool(distinct)) = take(constraint, "~distinct_hosts") {
        constraint.insert("Operand".to_owned(), "distinct_hosts".into());
        constraint.insert("RTarget".to_owned(), distinct.to_string().into());
    }
    if let Some(attribute) = take(constraint, "~distinct_property")
        && attribute != ""
    {
        constraint.insert("Operand".to_owned(), "distinct_property".into());
        constraint.insert("LTarget".to_owned(), attribute);
    }
    let operand = constraint.get("Operand").and_then(Json::as_str);
    if operand.unwrap_or_default().is_empty() {
        constraint.insert("Operand".to_owned(), "=".into());
    }
}

/// Ports with a number and ports without are two lists.
pub(super) fn finish_network(network: &mut Map<String, Json>) {
    if let Some(Json::Array(ports)) = take(network, "~Ports") {
        let is_set = |port: &Json| port["Value"].as_i64().unwrap_or(0) > 0;
        let (reserved, dynamic): (Vec<Json>, Vec<Json>) = ports.into_iter().partition(is_set);
        network.insert("ReservedPorts".to_owned(), Json::Array(reserved));
        network.insert("DynamicPorts".to_owned(), Json::Array(dynamic));
    }
}

/// One list of ports again, those with a number first.
pub(super) fn restore_network(network: &mut Map<String, Json>) {
    let mut ports = Vec::new();
    for name in ["ReservedPorts", "DynamicPorts"] {
        if let Some(Json::Array(list)) = network.remove(name) {
            ports.extend(list);
        }
    }
    network.insert("~Ports".to_owned(), Json::Array(ports));
}

pub(super) fn finish_scaling(scaling: &mut Map<String, Json>) {
    scaling.entry("Type").or_insert_with(|| "horizontal".into());
}

/// `cpu` and `mem` are short for the names of the policies.
pub(super) fn finish_task_scaling(scaling: &mut Map<String, Json>) {
    let short = scaling.get("Type").and_then(Json::as_str);
    let name = match short.map(str::to_ascii_lowercase).as_deref() {
        Some("cpu") => "vertical_cpu",
        Some("mem") => "vertical_mem",
        _ => return,
    };
    scaling.insert("Type".to_owned(), name.into());
}

pub(super) fn restore_task_scaling(scaling: &mut Map<String, Json>) {
    let name = match scaling.get("Type").and_then(Json::as_str) {
        Some("vertical_cpu") => "cpu",
        Some("vertical_mem") => "mem",
        _ => return,
    };
    scaling.insert("Type".to_owned(), name.into());
}
