//! Constraints of job files: what a node must be.
//!
//! A constraint is compiled once per evaluation and decided once per node class, unless it looks at something
//! `unique`, which is decided node by node. One that makes no sense (a bad pattern) is met by no node.

use regex::Regex;
use rove_model::{
    job::Constraint,
    node::{Node, is_unique_attribute},
};

use super::version::VersionConstraint;

/// One side of a constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target<'j> {
    Literal(&'j str),
    NodeId,
    NodeName,
    Datacenter,
    NodeClass,
    NodePool,
    Attribute(&'j str),
    Meta(&'j str),
    /// Of a form that no node has.
    Unknown,
}

impl<'j> Target<'j> {
    fn parse(text: &'j str) -> Self {
        if !text.starts_with("${") {
            return Self::Literal(text);
        }
        let Some(name) = text.strip_prefix("${").and_then(|t| t.strip_suffix('}')) else {
            return Self::Unknown;
        };
        match name {
            "node.unique.id" => Self::NodeId,
            "node.unique.name" => Self::NodeName,
            "node.datacenter" => Self::Datacenter,
            "node.class" => Self::NodeClass,
            "node.pool" => Self::NodePool,
            _ => match name.split_once('.') {
                Some(("attr", key)) => Self::Attribute(key),
                Some(("meta", key)) => Self::Meta(key),
                _ => Self::Unknown,
            },
        }
    }

    fn value<'a>(&'a self, node: &'a Node, id: &'a str) -> Option<&'a str> {
        match self {
            Self::Literal(text) => Some(text),
            Self::NodeId => Some(id),
            Self::NodeName => Some(&node.name),
            Self::Datacenter => Some(&node.datacenter),
            Self::NodeClass => Some(&node.node_class),
            Self::NodePool => Some(&node.node_pool),
            Self::Attribute(key) => node.attributes.get(*key).map(String::as_str),
            Self::Meta(key) => node.meta.get(*key).map(String::as_str),
            Self::Unknown => None,
        }
    }

    /// Nodes of one class may differ in it.
    fn is_unique(&self) -> bool {
        match self {
            Self::NodeId | Self::NodeName => true,
            Self::Attribute(key) | Self::Meta(key) => is_unique_attribute(key),
            _ => false,
        }
    }
}

#[derive(Debug)]
enum Test {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Pattern(Option<Regex>),
    Version(Option<VersionConstraint>),
    ContainsAll,
    ContainsAny,
    IsSet,
    IsNotSet,
    /// An operand this rove does not know: met by no node.
    Unknown,
}

/// A constraint, ready to be decided.
#[derive(Debug)]
pub(super) struct NodeConstraint<'j> {
    left: Target<'j>,
    right: Target<'j>,
    test: Test,
    /// As placement failures show it.
    pub text: String,
}

impl<'j> NodeConstraint<'j> {
    /// `None` for the constraints that are about other allocs, not about the node.
    pub(super) fn compile(constraint: &'j Constraint) -> Option<Self> {
        let right = constraint.rtarget.as_str();
        let test = match constraint.operand.as_str() {
            "distinct_hosts" | "distinct_property" => return None,
            "" | "=" | "==" | "is" => Test::Equal,
            "!=" | "not" => Test::NotEqual,
            "<" => Test::Less,
            "<=" => Test::LessOrEqual,
            ">" => Test::Greater,
            ">=" => Test::GreaterOrEqual,
            "regexp" => Test::Pattern(Regex::new(right).ok()),
            "version" => Test::Version(VersionConstraint::version(right)),
            "semver" => Test::Version(VersionConstraint::semver(right)),
            "set_contains" | "set_contains_all" => Test::ContainsAll,
            "set_contains_any" => Test::ContainsAny,
            "is_set" => Test::IsSet,
            "is_not_set" => Test::IsNotSet,
            _ => Test::Unknown,
        };
        Some(Self {
            left: Target::parse(&constraint.ltarget),
            right: Target::parse(right),
            test,
            text: format!("{} {} {right}", constraint.ltarget, constraint.operand),
        })
    }

    /// Nodes of one class may differ in it.
    pub(super) fn is_unique(&self) -> bool {
        self.left.is_unique() || self.right.is_unique()
    }

    pub(super) fn is_met_by(&self, node: &Node) -> bool {
        let id = match (&self.left, &self.right) {
            (Target::NodeId, _) | (_, Target::NodeId) => node.id.to_string(),
            _ => String::new(),
        };
        let left = self.left.value(node, &id);
        let right = self.right.value(node, &id);
        match &self.test {
            Test::NotEqual => return left != right,
            Test::IsSet => return left.is_some(),
            Test::IsNotSet => return left.is_none(),
            _ => {}
        }
        let (Some(left), Some(right)) = (left, right) else {
            return false;
        };
        match &self.test {
            Test::Equal => left == right,
            Test::Less => compare(left, right).is_lt(),
            Test::LessOrEqual => compare(left, right).is_le(),
            Test::Greater => compare(left, right).is_gt(),
            Test::GreaterOrEqual => compare(left, right).is_ge(),
            Test::Pattern(pattern) => match (&self.right, pattern) {
                (Target::Literal(_), pattern) => {
                    pattern.as_ref().is_some_and(|regex| regex.is_match(left))
                }
                _ => Regex::new(right).is_ok_and(|regex| regex.is_match(left)),
            },
            Test::Version(version) => version
                .as_ref()
                .is_some_and(|version| version.is_met_by(left)),
            Test::ContainsAll => items(right).all(|item| items(left).any(|has| has == item)),
            Test::ContainsAny => items(right).any(|item| items(left).any(|has| has == item)),
            Test::NotEqual | Test::IsSet | Test::IsNotSet | Test::Unknown => false,
        }
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim)
}

/// As whole numbers, else as numbers, else as text.
fn compare(left: &str, right: &str) -> std::cmp::Ordering {
    if let (Ok(left), Ok(right)) = (left.parse::<i64>(), right.parse::<i64>()) {
        return left.cmp(&right);
    }
    if let (Ok(left), Ok(right)) = (left.parse::<f64>(), right.parse::<f64>())
        && let Some(order) = left.partial_cmp(&right)
    {
        return order;
    }
    left.cmp(right)
}

/// Whether `distinct_hosts` is among `constraints` and in force.
pub(super) fn distinct_hosts<'j>(constraints: impl IntoIterator<Item = &'j Constraint>) -> bool {
    constraints
        .into_iter()
        .filter(|constraint| constraint.operand == "distinct_hosts")
        .any(|constraint| match constraint.rtarget.as_str() {
            "" => true,
            given => matches!(given, "1" | "t" | "T" | "true" | "TRUE" | "True"),
        })
}

/// Something that nodes have a value of, as `${node.datacenter}`.
#[derive(Debug)]
pub(super) struct NodeProperty<'j>(Target<'j>);

impl<'j> NodeProperty<'j> {
    pub(super) fn parse(text: &'j str) -> Self {
        Self(Target::parse(text))
    }

    /// The node's value.
    pub(super) fn value(&self, node: &Node) -> Option<String> {
        let id = match self.0 {
            Target::NodeId => node.id.to_string(),
            _ => String::new(),
        };
        self.0.value(node, &id).map(str::to_owned)
    }
}

/// At most so many allocs on nodes that share a value.
#[derive(Debug)]
pub(super) struct DistinctProperty<'j> {
    property: NodeProperty<'j>,
    name: &'j str,
    pub allowed: u64,
    /// Over all groups of the job.
    pub of_job: bool,
}

impl<'j> DistinctProperty<'j> {
    pub(super) fn of(
        constraints: impl IntoIterator<Item = &'j Constraint>,
        of_job: bool,
    ) -> impl Iterator<Item = Self> {
        constraints
            .into_iter()
            .filter(|constraint| constraint.operand == "distinct_property")
            .map(move |constraint| Self {
                property: NodeProperty::parse(&constraint.ltarget),
                name: &constraint.ltarget,
                allowed: match constraint.rtarget.as_str() {
                    "" => 1,
                    // What is no number allows none, so that it is seen.
                    number => number.parse().unwrap_or(0),
                },
                of_job,
            })
    }

    /// The node's value.
    pub(super) fn value(&self, node: &Node) -> Option<String> {
        self.property.value(node)
    }

    pub(super) fn missing(&self) -> String {
        format!("missing property {:?}", self.name)
    }

    pub(super) fn used_up(&self, value: &str, used: u64) -> String {
        format!(
            "distinct_property: {}={value} used by {used} allocs",
            self.name
        )
    }
}

/// Whether `name` is what `pattern` says, where `*` stands for any text.
pub(super) fn matches_glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let Some(mut part) = parts.next() else {
        return rest.is_empty();
    };
    for next in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
        part = next;
    }
    rest.ends_with(part)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{super::fixtures::node, *};

    fn met(left: &str, operand: &str, right: &str) -> bool {
        let mut node = node(1);
        node.attributes.extend([
            ("kernel.name".to_owned(), "linux".to_owned()),
            ("cpu.numcores".to_owned(), "8".to_owned()),
            ("os.version".to_owned(), "12.11".to_owned()),
            ("nomad.version".to_owned(), "1.6.5".to_owned()),
            ("unique.hostname".to_owned(), "web-1".to_owned()),
        ]);
        node.meta.extend([
            ("tags".to_owned(), "a, b,c".to_owned()),
            ("like".to_owned(), "linux".to_owned()),
            ("empty".to_owned(), String::new()),
        ]);
        node.name = "web-1".to_owned();
        node.node_class = "big".to_owned();
        let constraint = Constraint {
            ltarget: left.to_owned(),
            rtarget: right.to_owned(),
            operand: operand.to_owned(),
        };
        NodeConstraint::compile(&constraint)
            .unwrap()
            .is_met_by(&node)
    }

    #[test]
    fn every_operand_decides_as_the_reference_does() {
        for (left, operand, right, expected) in [
            ("${attr.kernel.name}", "=", "linux", true),
            ("${attr.kernel.name}", "", "linux", true),
            ("${attr.kernel.name}", "is", "plan9", false),
            ("${attr.absent}", "=", "", false),
            ("linux", "==", "${attr.kernel.name}", true),
            ("${attr.kernel.name}", "=", "${meta.like}", true),
            ("${attr.kernel.name}", "!=", "plan9", true),
            ("${attr.absent}", "!=", "plan9", true),
            ("${attr.kernel.name}", "not", "linux", false),
            ("${attr.absent}", "!=", "${meta.absent}", false),
            ("${attr.cpu.numcores}", "<", "16", true),
            ("${attr.cpu.numcores}", ">", "16", false),
            ("${attr.cpu.numcores}", "<=", "8.0", true),
            ("${attr.os.version}", ">=", "9", true),
            ("${attr.kernel.name}", "<", "m", true),
            ("${attr.absent}", "<", "m", false),
            ("${attr.kernel.name}", "regexp", "^li", true),
            ("${attr.kernel.name}", "regexp", "ubuntu|debian", false),
            ("${attr.kernel.name}", "regexp", "(", false),
            ("${attr.nomad.version}", "version", ">= 1.0.0, < 3.0", true),
            ("${attr.nomad.version}", "version", "nonsense", false),
            ("${attr.nomad.version}", "semver", ">= 1.6.5", true),
            ("${attr.absent}", "semver", ">= 1.2.0", false),
            ("${meta.tags}", "set_contains", "a,b", true),
            ("${meta.tags}", "set_contains_all", "a,x", false),
            ("${meta.tags}", "set_contains_any", "x,c", true),
            ("${meta.tags}", "set_contains_any", "x,y", false),
            ("${meta.empty}", "is_set", "", true),
            ("${meta.absent}", "is_set", "", false),
            ("${meta.absent}", "is_not_set", "", true),
            ("${node.class}", "=", "big", true),
            ("${node.unique.name}", "regexp", "^(web|db)-[0-9]+$", true),
            ("${node.datacenter}", "=", "dc1", true),
            ("${node.pool}", "=", "default", true),
            ("${node.unknown}", "=", "x", false),
            ("${attr.kernel.name", "=", "linux", false),
            ("${attr.kernel.name}", "resembles", "linux", false),
        ] {
            assert_eq!(
                met(left, operand, right),
                expected,
                "{left} {operand} {right}"
            );
        }
    }

    #[test]
    fn what_is_unique_to_a_node_is_told_apart() {
        let compile = |left: &str, right: &str| {
            let constraint = Constraint {
                ltarget: left.to_owned(),
                rtarget: right.to_owned(),
                operand: "=".to_owned(),
            };
            NodeConstraint::compile(&constraint).unwrap().is_unique()
        };
        assert!(compile("${node.unique.id}", "x"));
        assert!(compile("x", "${attr.unique.hostname}"));
        assert!(compile("${attr.nomad.advertise.address}", "10.0.0.1:4646"));
        assert!(compile("${meta.unique.x}", "y"));
        assert!(!compile("${node.datacenter}", "${attr.kernel.name}"));
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, expected) in [
            ("dc1", "dc1", true),
            ("dc1", "dc12", false),
            ("*", "dc1", true),
            ("dc*", "dc1", true),
            ("dc*", "xdc1", false),
            ("*1", "dc1", true),
            ("d*1*", "dc12", true),
            ("a*b*a", "aba", true),
            ("a*ba*a", "aba", false),
            ("", "dc1", false),
        ] {
            assert_eq!(matches_glob(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn distinct_hosts_is_on_unless_it_says_false() {
        for (rtarget, on) in [("", true), ("true", true), ("false", false), ("x", false)] {
            let constraint = Constraint {
                operand: "distinct_hosts".to_owned(),
                rtarget: rtarget.to_owned(),
                ..Constraint::default()
            };
            assert_eq!(distinct_hosts([&constraint]), on, "{rtarget}");
        }
    }
}
