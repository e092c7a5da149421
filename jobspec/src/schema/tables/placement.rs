//! Where allocs are placed: constraints, affinities, spreads.

use super::{row, shapes::finish_constraint};
use crate::schema::{Kind, Table};

/// The fields of `constraint`.
pub(super) static CONSTRAINT: Table = Table {
    title: "constraint",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "attribute",
            "",
            "LTarget",
            Kind::Text,
            "What is looked at, as ${attr.kernel.name} or ${meta.rack}."),
        row(
            "operator",
            "",
            "Operand",
            Kind::Text,
            "How attribute and value are compared: =, !=, >, >=, <, <=, regexp, version, semver, set_contains, set_contains_all, set_contains_any, is_set, is_not_set, distinct_hosts or distinct_property.").default("="),
        row(
            "value",
            "",
            "RTarget",
            Kind::Text,
            "What the attribute is compared with."),
        row(
            "version",
            "",
            "~version",
            Kind::Text,
            "Short for operator = \"version\".",
        ),
        row(
            "semver",
            "",
            "~semver",
            Kind::Text,
            "Short for operator = \"semver\".",
        ),
        row(
            "regexp",
            "",
            "~regexp",
            Kind::Text,
            "Short for operator = \"regexp\".",
        ),
        row(
            "set_contains",
            "",
            "~set_contains",
            Kind::Text,
            "Short for operator = \"set_contains\".",
        ),
        row(
            "set_contains_all",
            "",
            "~set_contains_all",
            Kind::Text,
            "Short for operator = \"set_contains_all\".",
        ),
        row(
            "set_contains_any",
            "",
            "~set_contains_any",
            Kind::Text,
            "Short for operator = \"set_contains_any\".",
        ),
        row(
            "distinct_hosts",
            "",
            "~distinct_hosts",
            Kind::Bool,
            "No two allocs of the job, or of the group, on one node.").default("false"),
        row(
            "distinct_property",
            "",
            "~distinct_property",
            Kind::Text,
            "So many allocs as value says, 1 by default, for each value of this attribute."),
    ],
    finish: Some(finish_constraint),
};

/// The fields of `affinity`.
pub(super) static AFFINITY: Table = Table {
    title: "affinity",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "attribute",
            "",
            "LTarget",
            Kind::Text,
            "What is looked at, as ${attr.kernel.name} or ${meta.rack}."),
        row(
            "operator",
            "",
            "Operand",
            Kind::Text,
            "How attribute and value are compared: =, !=, >, >=, <, <=, regexp, version, semver, set_contains_all or set_contains_any.").default("="),
        row(
            "value",
            "",
            "RTarget",
            Kind::Text,
            "What the attribute is compared with."),
        row(
            "version",
            "",
            "~version",
            Kind::Text,
            "Short for operator = \"version\".",
        ),
        row(
            "semver",
            "",
            "~semver",
            Kind::Text,
            "Short for operator = \"semver\".",
        ),
        row(
            "regexp",
            "",
            "~regexp",
            Kind::Text,
            "Short for operator = \"regexp\".",
        ),
        row(
            "set_contains",
            "",
            "~set_contains",
            Kind::Text,
            "Short for operator = \"set_contains\".",
        ),
        row(
            "set_contains_all",
            "",
            "~set_contains_all",
            Kind::Text,
            "Short for operator = \"set_contains_all\".",
        ),
        row(
            "set_contains_any",
            "",
            "~set_contains_any",
            Kind::Text,
            "Short for operator = \"set_contains_any\".",
        ),
        row(
            "weight",
            "",
            "Weight",
            Kind::Integer,
            "From -100 to 100, but not 0. Below 0 keeps allocs away from such nodes.").default("50"),
    ],
    finish: Some(finish_constraint),
};

/// The fields of `spread`.
pub(super) static SPREAD: Table = Table {
    title: "spread",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "attribute",
            "",
            "Attribute",
            Kind::Text,
            "The attribute over whose values allocs are spread, as ${node.datacenter}.",
        ),
        row(
            "weight",
            "",
            "Weight",
            Kind::Integer,
            "From 1 to 100: how much this spread counts beside others and affinities.",
        )
        .default("50"),
        row(
            "target",
            "targets",
            "SpreadTarget",
            Kind::Blocks(&SPREAD_TARGET),
            "The share of one value; without any, all values get the same.",
        ),
    ],
    finish: None,
};

/// The fields of `target`.
pub(super) static SPREAD_TARGET: Table = Table {
    title: "target",
    label: Some("Value"),
    label_optional: true,
    restore: None,
    fields: &[
        row(
            "value",
            "",
            "Value",
            Kind::Text,
            "The value of the attribute.",
        )
        .default("the label"),
        row(
            "percent",
            "",
            "Percent",
            Kind::Integer,
            "Its share of the allocs.",
        )
        .default("0")
        .unit("%"),
    ],
    finish: None,
};
