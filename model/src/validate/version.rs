//! Version constraints as `>= 1.2, < 2.0`: checked here, decided on by the scheduler.

use thiserror::Error;

/// How a version is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionOperator {
    /// The same.
    Equal,
    /// Another.
    NotEqual,
    /// Newer.
    Greater,
    /// Older.
    Less,
    /// The same or newer.
    GreaterOrEqual,
    /// The same or older.
    LessOrEqual,
    /// Newer only in its last given number.
    Pessimistic,
}

/// A version: its numbers, and what follows `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The numbers, at least three.
    pub segments: Vec<u64>,
    /// How many were given.
    pub given: usize,
    /// The prerelease, empty for a release.
    pub prerelease: String,
}

/// A list of comparisons that must all hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionConstraint {
    terms: Vec<(VersionOperator, Version)>,
    strict: bool,
}

/// A text that is no version or constraint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VersionError {
    /// Not a comparison with a version.
    #[error("Malformed constraint: {0}")]
    Constraint(String),
    /// Not a version.
    #[error("Malformed version: {0}")]
    Version(String),
}

impl Version {
    /// Reads `1.2.3-beta+build`, a leading `v` allowed; `strict` wants all three numbers and no leading zeros.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str, strict: bool) -> Result<Self, VersionError> {
        let malformed = || VersionError::Version(text.to_owned());
        let body = text.trim();
        let body = body.strip_prefix('v').unwrap_or(body);
        let body = body.split_once('+').map_or(body, |(body, _)| body);
        let digits_end = body
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(body.len());
        let (numbers, rest) = body.split_at(digits_end);
        let prerelease = match rest.as_bytes().first() {
            None => "",
            Some(b'-' | b'~') => &rest[1..],
            // `1.0rc1`: the reference takes letters right after the number.
            Some(byte) if byte.is_ascii_alphabetic() && !strict => rest,
            Some(_) => return Err(malformed()),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '~');
        if (prerelease.is_empty() && !rest.is_empty()) || !prerelease.chars().all(allowed) {
            return Err(malformed());
        }
        let mut segments = Vec::new();
        for number in numbers.split('.') {
            if strict && number.len() > 1 && number.starts_with('0') {
                return Err(malformed());
            }
            segments.push(number.parse().map_err(|_| malformed())?);
        }
        let given = segments.len();
        if strict && given != 3 {
            return Err(malformed());
        }
        while segments.len() < 3 {
            segments.push(0);
        }
        Ok(Self {
            segments,
            given,
            prerelease: prerelease.to_owned(),
        })
    }

    /// Older, same or newer: by numbers, then a prerelease before its release, then part by part.
    #[must_use]
    pub fn compare(&self, other: &Self) -> std::cmp::Ordering {
        let length = self.segments.len().max(other.segments.len());
        let at = |version: &Self, index: usize| version.segments.get(index).copied().unwrap_or(0);
        for index in 0..length {
            let order = at(self, index).cmp(&at(other, index));
            if order.is_ne() {
                return order;
            }
        }
        match (self.prerelease.is_empty(), other.prerelease.is_empty()) {
            (true, true) => std::cmp::Ordering::Equal,
            (true, false) => std::cmp::Ordering::Greater,
            (false, true) => std::cmp::Ordering::Less,
            (false, false) => compare_prereleases(&self.prerelease, &other.prerelease),
        }
    }
}

fn compare_prereleases(left: &str, right: &str) -> std::cmp::Ordering {
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return std::cmp::Ordering::Equal,
            (None, Some(_)) => return std::cmp::Ordering::Less,
            (Some(_), None) => return std::cmp::Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => std::cmp::Ordering::Less,
                (Err(_), Ok(_)) => std::cmp::Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

impl VersionConstraint {
    /// Reads `>= 1.2, < 2.0`. `semver` is the strict form.
    ///
    /// # Errors
    /// When a part is no comparison with a version.
    pub fn parse(text: &str, semver: bool) -> Result<Self, VersionError> {
        const OPERATORS: [(&str, VersionOperator); 7] = [
            (">=", VersionOperator::GreaterOrEqual),
            ("<=", VersionOperator::LessOrEqual),
            ("!=", VersionOperator::NotEqual),
            ("~>", VersionOperator::Pessimistic),
            (">", VersionOperator::Greater),
            ("<", VersionOperator::Less),
            ("=", VersionOperator::Equal),
        ];
        let mut terms = Vec::new();
        for part in text.split(',') {
            let part = part.trim();
            let (operator, version) = OPERATORS
                .iter()
                .find_map(|(sign, operator)| {
                    part.strip_prefix(sign)
                        .map(|version| (*operator, version.trim()))
                })
                .unwrap_or((VersionOperator::Equal, part));
            let pessimistic_semver = semver && operator == VersionOperator::Pessimistic;
            let version = Version::parse(version, false)
                .ok()
                .filter(|_| !pessimistic_semver)
                .ok_or_else(|| VersionError::Constraint(part.to_owned()))?;
            terms.push((operator, version));
        }
        Ok(Self {
            terms,
            strict: semver,
        })
    }

    /// Whether a version fulfils it. Outside of semver a prerelease fulfils a comparison only where the constraint
    /// names a prerelease of the same numbers.
    #[must_use]
    pub fn allows(&self, version: &str) -> bool {
        let Ok(version) = Version::parse(version, self.strict) else {
            return false;
        };
        self.terms
            .iter()
            .all(|(operator, wanted)| self.term_allows(*operator, wanted, &version))
    }

    fn term_allows(&self, operator: VersionOperator, wanted: &Version, version: &Version) -> bool {
        let order = version.compare(wanted);
        let comparable = self.strict
            || match (version.prerelease.is_empty(), wanted.prerelease.is_empty()) {
                (true, _) => {
                    operator != VersionOperator::Pessimistic || wanted.prerelease.is_empty()
                }
                (false, true) => false,
                (false, false) => version.segments == wanted.segments,
            };
        match operator {
            VersionOperator::Equal => order.is_eq(),
            VersionOperator::NotEqual => order.is_ne(),
            VersionOperator::Greater => comparable && order.is_gt(),
            VersionOperator::Less => comparable && order.is_lt(),
            VersionOperator::GreaterOrEqual => comparable && order.is_ge(),
            VersionOperator::LessOrEqual => comparable && order.is_le(),
            VersionOperator::Pessimistic => {
                comparable
                    && order.is_ge()
                    && wanted
                        .segments
                        .iter()
                        .take(wanted.given.saturating_sub(1))
                        .zip(&version.segments)
                        .all(|(wanted, has)| wanted == has)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_the_reference_compares_them() {
        for (constraint, version, semver, allowed) in [
            (">= 1.0.0, < 3.0", "1.6.5", false, true),
            (">= 1.0.0, < 3.0", "3.0", false, false),
            ("> 10", "12", false, true),
            ("~> 1.2", "1.9", false, true),
            ("~> 1.2.3", "1.3.0", false, false),
            (">= 0.6.1", "1.3.0-beta1", false, false),
            (">= 0.6.1", "1.3.0-beta1", true, true),
            ("= 1.2", "1.2.0", false, true),
            ("!= 1.2", "1.2.1", false, true),
            (">= 4.19", "5.15.0-100-generic", false, false),
            (">= 1.2.0", "garbage", true, false),
        ] {
            let parsed = VersionConstraint::parse(constraint, semver).expect(constraint);
            assert_eq!(parsed.allows(version), allowed, "{version} {constraint}");
        }
        for text in ["not a version", "", ">=", "1.x", ">= 1.0 <2"] {
            assert!(VersionConstraint::parse(text, false).is_err(), "{text}");
        }
    }
}
