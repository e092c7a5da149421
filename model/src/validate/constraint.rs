//! Constraints, affinities, spreads.

use super::{FieldPath, Report, VersionConstraint};
use crate::job::{Affinity, Constraint, Spread};

pub(super) fn constraints(list: &[Constraint], path: &FieldPath, errors: &mut Report) {
    for (index, constraint) in list.iter().enumerate() {
        let path = path.block("constraint", index, "");
        let mut inner = Report::default();
        one_constraint(constraint, &path, &mut inner);
        errors.nest(
            &format!("Constraint {} validation failed: ", index + 1),
            inner,
        );
    }
}

fn one_constraint(constraint: &Constraint, path: &FieldPath, errors: &mut Report) {
    let operand = constraint.operand.as_str();
    let value = constraint.rtarget.as_str();
    let at = |field| path.field(field);
    if operand.is_empty() {
        errors.add(at("operator"), "Missing constraint operand");
    }
    match operand {
        "distinct_hosts" => {}
        "set_contains" | "set_contains_all" | "set_contains_any" => {
            if value.is_empty() {
                errors.add(at("value"), "Set contains constraint requires an RTarget");
            }
        }
        "regexp" => {
            if let Err(error) = regex::Regex::new(value) {
                errors.add(
                    at("value"),
                    format!("Regular expression failed to compile: {}", one_line(&error)),
                );
            }
        }
        "version" => {
            if let Err(error) = VersionConstraint::parse(value, false) {
                errors.add(
                    at("value"),
                    format!("Version constraint is invalid: {error}"),
                );
            }
        }
        "semver" => {
            if let Err(error) = VersionConstraint::parse(value, true) {
                errors.add(
                    at("value"),
                    format!("Semver constraint is invalid: {error}"),
                );
            }
        }
        "distinct_property" => match value.parse::<u64>() {
            _ if value.is_empty() => {}
            Ok(0) => errors.add(
                at("value"),
                "Distinct Property must have an allowed count of 1 or greater: 0 < 1",
            ),
            Ok(_) => {}
            Err(error) => errors.add(
                at("value"),
                format!("Failed to convert RTarget {value:?} to uint64: {error}"),
            ),
        },
        "is_set" | "is_not_set" => {
            if !value.is_empty() {
                errors.add(
                    at("value"),
                    format!("Operator {operand:?} does not support an RTarget"),
                );
            }
        }
        "=" | "==" | "is" | "!=" | "not" | "<" | "<=" | ">" | ">=" => {
            if value.is_empty() {
                errors.add(
                    at("value"),
                    format!("Operator {operand:?} requires an RTarget"),
                );
            }
        }
        _ => errors.add(
            at("operator"),
            format!("Unknown constraint type {operand:?}"),
        ),
    }
    if operand != "distinct_hosts" && constraint.ltarget.is_empty() {
        errors.add(
            at("attribute"),
            "No LTarget provided but is required by constraint",
        );
    }
}

/// The reason of a bad pattern: the last line, as the lines before draw the pattern.
fn one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or(&text).trim().to_owned()
}

pub(super) fn affinities(list: &[Affinity], system: bool, path: &FieldPath, errors: &mut Report) {
    if system {
        if !list.is_empty() {
            errors.add(
                path.block("affinity", 0, ""),
                "System jobs may not have an affinity block",
            );
        }
        return;
    }
    for (index, affinity) in list.iter().enumerate() {
        let path = path.block("affinity", index, "");
        let mut inner = Report::default();
        one_affinity(affinity, &path, &mut inner);
        errors.nest(
            &format!("Affinity {} validation failed: ", index + 1),
            inner,
        );
    }
}

fn one_affinity(affinity: &Affinity, path: &FieldPath, errors: &mut Report) {
    let operand = affinity.operand.as_str();
    let value = affinity.rtarget.as_str();
    let at = |field| path.field(field);
    if operand.is_empty() {
        errors.add(at("operator"), "Missing affinity operand");
    }
    match operand {
        "set_contains" | "set_contains_all" | "set_contains_any" => {
            if value.is_empty() {
                errors.add(at("value"), "Set contains operators require an RTarget");
            }
        }
        "regexp" => {
            if let Err(error) = regex::Regex::new(value) {
                errors.add(
                    at("value"),
                    format!("Regular expression failed to compile: {}", one_line(&error)),
                );
            }
        }
        "version" => {
            if let Err(error) = VersionConstraint::parse(value, false) {
                errors.add(at("value"), format!("Version affinity is invalid: {error}"));
            }
        }
        "semver" => {
            if let Err(error) = VersionConstraint::parse(value, true) {
                errors.add(at("value"), format!("Semver affinity is invalid: {error}"));
            }
        }
        "=" | "==" | "is" | "!=" | "not" | "<" | "<=" | ">" | ">=" => {
            if value.is_empty() {
                errors.add(
                    at("value"),
                    format!("Operator {operand:?} requires an RTarget"),
                );
            }
        }
        _ => errors.add(
            at("operator"),
            format!("Unknown affinity operator {operand:?}"),
        ),
    }
    if affinity.ltarget.is_empty() {
        errors.add(at("attribute"), "No LTarget provided but is required");
    }
    let weight = affinity.weight.unwrap_or(50);
    if !(-100..=100).contains(&weight) {
        errors.add(
            at("weight"),
            "Affinity weight must be within the range [-100,100]",
        );
    }
    if weight == 0 {
        errors.add(at("weight"), "Affinity weight cannot be zero");
    }
}

pub(super) fn spreads(list: &[Spread], system: bool, path: &FieldPath, errors: &mut Report) {
    if system {
        if !list.is_empty() {
            errors.add(
                path.block("spread", 0, ""),
                "System jobs may not have a spread block",
            );
        }
        return;
    }
    for (index, spread) in list.iter().enumerate() {
        let path = path.block("spread", index, "");
        let mut inner = Report::default();
        one_spread(spread, &path, &mut inner);
        errors.nest(&format!("Spread {} validation failed: ", index + 1), inner);
    }
}

fn one_spread(spread: &Spread, path: &FieldPath, errors: &mut Report) {
    if spread.attribute.is_empty() {
        errors.add(path.field("attribute"), "Missing spread attribute");
    }
    if !(1..=100).contains(&spread.weight.unwrap_or(50)) {
        errors.add(
            path.field("weight"),
            "Spread block must have a positive weight from 0 to 100",
        );
    }
    let mut sum: i64 = 0;
    for (index, target) in spread.spread_target.iter().enumerate() {
        let at = path.block("target", index, &target.value);
        if spread.spread_target[..index]
            .iter()
            .any(|earlier| earlier.value == target.value)
        {
            errors.add(
                at.clone(),
                format!("Spread target value {:?} already defined", target.value),
            );
        }
        if !(0..=100).contains(&target.percent) {
            errors.add(
                at.field("percent"),
                format!(
                    "Spread target percentage for value {:?} must be between 0 and 100",
                    target.value
                ),
            );
        }
        sum = sum.saturating_add(target.percent);
    }
    if sum > 100 {
        errors.add(
            path.clone(),
            format!("Sum of spread target percentages must not be greater than 100%; got {sum}%"),
        );
    }
}
