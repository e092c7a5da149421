//! Why a placement failed, or how well the nodes fitted.

use super::quote::quoted;
use super::table::Table;
use rove_model::eval::AllocMetric;

/// One line per reason, each after `prefix`, without a final line end.
pub fn reasons(metrics: &AllocMetric, prefix: &str) -> String {
    let mut lines = Vec::new();
    if metrics.nodes_evaluated == 0 {
        lines.push("No nodes were eligible for evaluation".to_owned());
    }
    for (datacenter, available) in &metrics.nodes_available {
        if *available == 0 {
            lines.push(format!(
                "No nodes are available in datacenter {}",
                quoted(datacenter)
            ));
        }
    }
    for (class, count) in &metrics.class_filtered {
        lines.push(format!(
            "Class {}: {count} nodes excluded by filter",
            quoted(class)
        ));
    }
    for (constraint, count) in &metrics.constraint_filtered {
        lines.push(format!(
            "Constraint {}: {count} nodes excluded by filter",
            quoted(constraint)
        ));
    }
    if metrics.nodes_exhausted > 0 {
        lines.push(format!(
            "Resources exhausted on {} nodes",
            metrics.nodes_exhausted
        ));
    }
    for (class, count) in &metrics.class_exhausted {
        lines.push(format!(
            "Class {} exhausted on {count} nodes",
            quoted(class)
        ));
    }
    for (dimension, count) in &metrics.dimension_exhausted {
        lines.push(format!(
            "Dimension {} exhausted on {count} nodes",
            quoted(dimension)
        ));
    }
    lines.extend(metrics.causes.iter().cloned());
    lines
        .iter()
        .map(|line| format!("{prefix}* {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// `(failed to place 3 allocations)`.
pub fn failed_count(metrics: &AllocMetric) -> String {
    let noun = if metrics.coalesced_failures > 0 {
        "allocations"
    } else {
        "allocation"
    };
    format!(
        "(failed to place {} {noun})",
        metrics.coalesced_failures + 1
    )
}

/// How each node was ranked.
pub fn scores(metrics: &AllocMetric) -> String {
    let Some(first) = metrics.score_meta_data.first() else {
        return String::new();
    };
    let names: Vec<&String> = first.scores.keys().collect();
    let mut headings = vec!["Node".to_owned()];
    headings.extend(names.iter().map(|n| (*n).clone()));
    headings.push("final score".to_owned());
    let mut table = Table::new(headings);
    for node in &metrics.score_meta_data {
        let mut row = vec![node.node_id.to_string()];
        row.extend(
            names
                .iter()
                .map(|n| significant(node.scores.get(*n).copied().unwrap_or(0.0))),
        );
        row.push(significant(node.norm_score));
        table.row(row);
    }
    table.render()
}

/// Three significant digits, as Go's `%.3g`.
pub fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 {
            "0".to_owned()
        } else {
            value.to_string()
        };
    }
    let text = format!("{value:.2e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..3).contains(&exponent) {
        let mantissa = trim(mantissa);
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    let decimals = usize::try_from(2 - exponent).unwrap_or(0);
    trim(&format!("{value:.decimals$}")).to_owned()
}

fn trim(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_significant_digits() {
        let cases = [
            (0.0, "0"),
            (0.01603700801747168, "0.016"),
            (0.0221234, "0.0221"),
            (1.0, "1"),
            (-0.5, "-0.5"),
            (12.3456, "12.3"),
            (123.9, "124"),
            (12345.0, "1.23e+04"),
            (0.00001234, "1.23e-05"),
        ];
        for (value, text) in cases {
            assert_eq!(significant(value), text);
        }
    }

    #[test]
    fn every_reason_has_its_line() {
        let metrics = AllocMetric {
            nodes_available: [("dc9".to_owned(), 0)].into(),
            constraint_filtered: [("${attr.kernel.name} = plan9".to_owned(), 2)].into(),
            nodes_exhausted: 1,
            dimension_exhausted: [("memory".to_owned(), 1)].into(),
            coalesced_failures: 2,
            ..AllocMetric::default()
        };
        assert_eq!(
            reasons(&metrics, "  "),
            "  * No nodes were eligible for evaluation\n  * No nodes are available in datacenter \"dc9\"\n  * Constraint \"${attr.kernel.name} = plan9\": 2 nodes excluded by filter\n  * Resources exhausted on 1 nodes\n  * Dimension \"memory\" exhausted on 1 nodes"
        );
        assert_eq!(failed_count(&metrics), "(failed to place 3 allocations)");
    }
}
