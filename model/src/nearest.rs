//! Which known name somebody meant who wrote another.

/// The longest name that is compared: how far two names are apart is measured in the product of their lengths, and
/// whoever wrote a longer one did not slip.
const LONGEST: usize = 100;

/// The known name that a misspelt one most likely means.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // What is longer or shorter by more is further away, and need not be measured: a name may be very long.
    if name.len() > LONGEST {
        return None;
    }
    let length = name.chars().count();
    known
        .into_iter()
        .filter(|candidate| candidate.chars().count().abs_diff(length) < 3)
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| {
            (1..3).contains(distance) && *distance < candidate.len().min(name.len())
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_near_and_another_word_is_not() {
        let long = "a".repeat(1_000_000);
        let longer = format!("{long}b");
        for (name, known, expected) in [
            ("imgae", &["image", "ports"][..], Some("image")),
            ("dokcer", &["docker", "raw_exec"], Some("docker")),
            ("port", &["ports", "port_map"], Some("ports")),
            ("xylophone", &["image", "ports"], None),
            ("", &["image"], None),
            (&long, &[longer.as_str()], None),
            ("a", &[], None),
        ] {
            assert_eq!(nearest(name, known.iter().copied()), expected, "{name}");
        }
    }
}
