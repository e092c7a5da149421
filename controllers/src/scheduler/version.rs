//! Version numbers, compared as the `version` and `semver` constraints of job files do.
//!
//! `version` takes what people write (`1.2`, `v3`, `2.4.1beta`) and lets a pre-release match only a constraint that
//! names one; `semver` takes semantic versions and orders pre-releases.

use std::cmp::Ordering;

/// A version number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    /// At least three.
    segments: Vec<u64>,
    /// How many were written.
    written: usize,
    /// Without the hyphen; empty for a release.
    pre_release: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grammar {
    Version,
    Semver,
}

/// One comparison of a constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// `~>`: only the last written segment may be greater.
    Pessimistic,
}

/// A constraint on a version, as `>= 1.2, < 2`.
#[derive(Clone, Debug)]
pub(super) struct VersionConstraint {
    grammar: Grammar,
    parts: Vec<(Comparison, Version)>,
}

impl VersionConstraint {
    /// The constraint `text` under the operand `version`; `None` when it is none.
    pub(super) fn version(text: &str) -> Option<Self> {
        Self::parse(text, Grammar::Version)
    }

    /// The constraint `text` under the operand `semver`; `None` when it is none.
    pub(super) fn semver(text: &str) -> Option<Self> {
        Self::parse(text, Grammar::Semver)
    }

    fn parse(text: &str, grammar: Grammar) -> Option<Self> {
        let parts = text
            .split(',')
            .map(|part| {
                let part = part.trim();
                let digits = part.find(|c: char| !"=!<>~".contains(c))?;
                let (operator, version) = part.split_at(digits);
                let comparison = match operator {
                    "" | "=" => Comparison::Equal,
                    "!=" => Comparison::NotEqual,
                    "<" => Comparison::Less,
                    "<=" => Comparison::LessOrEqual,
                    ">" => Comparison::Greater,
                    ">=" => Comparison::GreaterOrEqual,
                    "~>" if grammar == Grammar::Version => Comparison::Pessimistic,
                    _ => return None,
                };
                Some((comparison, Version::parse(version.trim(), grammar)?))
            })
            .collect::<Option<_>>()?;
        Some(Self { grammar, parts })
    }

    /// Whether `text` is a version that fulfils it.
    pub(super) fn is_met_by(&self, text: &str) -> bool {
        Version::parse(text.trim(), self.grammar).is_some_and(|version| {
            self.parts
                .iter()
                .all(|(comparison, wanted)| self.holds(*comparison, &version, wanted))
        })
    }

    fn holds(&self, comparison: Comparison, version: &Version, wanted: &Version) -> bool {
        let order = version.compare(wanted);
        let pre_release = self.grammar == Grammar::Semver || version.may_be_compared_with(wanted);
        match comparison {
            Comparison::Equal => order == Ordering::Equal,
            Comparison::NotEqual => order != Ordering::Equal,
            Comparison::Less => pre_release && order == Ordering::Less,
            Comparison::LessOrEqual => pre_release && order != Ordering::Greater,
            Comparison::Greater => pre_release && order == Ordering::Greater,
            Comparison::GreaterOrEqual => pre_release && order != Ordering::Less,
            Comparison::Pessimistic => {
                let fixed = wanted.written.saturating_sub(1);
                pre_release
                    && (wanted.pre_release.is_empty() || !version.pre_release.is_empty())
                    && order != Ordering::Less
                    && version
                        .segments
                        .iter()
                        .take(fixed)
                        .eq(wanted.segments.iter().take(fixed))
            }
        }
    }
}

impl Version {
    fn parse(text: &str, grammar: Grammar) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, metadata) = match text.split_once('+') {
            Some((text, metadata)) => (text, Some(metadata)),
            None => (text, None),
        };
        let is_label = |label: &str| {
            !label.is_empty()
                && label.split('.').all(|part| {
                    !part.is_empty()
                        && part
                            .chars()
                            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '~')
                })
        };
        if metadata.is_some_and(|metadata| !is_label(metadata)) {
            return None;
        }
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let pre_release = match rest.strip_prefix('-') {
            Some(label) => label,
            // `1.2beta` is read by `version` alone.
            None if grammar == Grammar::Version || rest.is_empty() => rest,
            None => return None,
        };
        if !rest.is_empty() && !is_label(pre_release) {
            return None;
        }
        let mut segments = numbers
            .split('.')
            .map(|segment| segment.parse().ok())
            .collect::<Option<Vec<u64>>>()?;
        let written = segments.len();
        while segments.len() < 3 {
            segments.push(0);
        }
        Some(Self {
            segments,
            written,
            pre_release: pre_release.to_owned(),
        })
    }

    fn compare(&self, other: &Self) -> Ordering {
        let longest = self.segments.len().max(other.segments.len());
        let segment = |version: &Self, at: usize| version.segments.get(at).copied().unwrap_or(0);
        for at in 0..longest {
            let order = segment(self, at).cmp(&segment(other, at));
            if order != Ordering::Equal {
                return order;
            }
        }
        match (self.pre_release.is_empty(), other.pre_release.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => compare_labels(&self.pre_release, &other.pre_release),
        }
    }

    /// A pre-release is only ordered against a constraint that names one of the same release.
    fn may_be_compared_with(&self, wanted: &Self) -> bool {
        match (self.pre_release.is_empty(), wanted.pre_release.is_empty()) {
            (false, false) => self.segments == wanted.segments,
            (false, true) => false,
            (true, _) => true,
        }
    }
}

fn compare_labels(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(left), Some(right)) => match (left.parse::<u64>(), right.parse::<u64>()) {
                (Ok(left), Ok(right)) => left.cmp(&right),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => left.cmp(right),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn versions_are_compared_as_people_write_them() {
        for (version, constraint, met) in [
            ("1.6.5", ">= 1.0.0, < 3.0", true),
            ("3.0", ">= 1.0.0, < 3.0", false),
            ("v1.2", "1.2.0", true),
            ("1.2", "= 1.2.1", false),
            ("1.2.4", "!= 1.2.3", true),
            ("1.2.9", "~> 1.2.3", true),
            ("1.3.0", "~> 1.2.3", false),
            ("1.9", "~> 1.2", true),
            ("2.0", "~> 1.2", false),
            ("1.2.2", "~> 1.2.3", false),
            ("20.10.24+dfsg1", "> 20.10.2", true),
            ("12.11", "> 10", true),
            ("6.18.44-fc-v595", ">= 4", false),
            ("1.7.0-beta1", ">= 1.7.0-alpha1", true),
            ("1.8.0-beta1", ">= 1.7.0-alpha1", false),
            ("1.7.0", ">= 1.7.0-beta1", true),
            ("1.7.0", "~> 1.7.0-beta1", false),
            ("2.4.1beta", "2.4.1-beta", true),
            ("not a version", ">= 1", false),
            ("", ">= 1", false),
            ("1.2.3.4", "> 1.2.3", true),
        ] {
            let parsed = VersionConstraint::version(constraint).unwrap();
            assert_eq!(parsed.is_met_by(version), met, "{version} {constraint}");
        }
    }

    #[test]
    fn semantic_versions_order_their_pre_releases() {
        for (version, constraint, met) in [
            ("1.7.0-beta.2", ">= 1.7.0-beta.1", true),
            ("1.7.0-beta.2", ">= 1.7.0-beta.11", false),
            ("1.7.0-alpha", "< 1.7.0-beta", true),
            ("1.7.0-1", "< 1.7.0-alpha", true),
            ("1.7.0-beta.1", ">= 1.6.0", true),
            ("1.7.0-beta.1", "< 1.7.0", true),
            ("1.7.0", "> 1.7.0-rc1", true),
            ("1.7.0+build7", "= 1.7.0", true),
            ("1.7beta", ">= 1.0.0", false),
        ] {
            let parsed = VersionConstraint::semver(constraint).unwrap();
            assert_eq!(parsed.is_met_by(version), met, "{version} {constraint}");
        }
    }

    #[test]
    fn what_is_no_constraint_is_none() {
        for text in ["", ">=", "~ 1", "=> 1", ">= 1,", "1..2", "x", ">= 1 2"] {
            assert!(VersionConstraint::version(text).is_none(), "{text:?}");
        }
        assert!(VersionConstraint::semver("~> 1.2.3").is_none());
    }
}
