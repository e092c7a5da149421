//! Whether a schedule can be read; running it is the periodic loop's.

const MACROS: [&str; 7] = [
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
];

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const SECOND: Field = Field {
    name: "second",
    min: 0,
    max: 59,
    names: &[],
};
const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        min: 0,
        max: 59,
        names: &[],
    },
    Field {
        name: "hour",
        min: 0,
        max: 23,
        names: &[],
    },
    Field {
        name: "day-of-month",
        min: 1,
        max: 31,
        names: &[],
    },
    Field {
        name: "month",
        min: 1,
        max: 12,
        names: &MONTHS,
    },
    Field {
        name: "day-of-week",
        min: 0,
        max: 7,
        names: &DAYS,
    },
];
const YEAR: Field = Field {
    name: "year",
    min: 1970,
    max: 2099,
    names: &[],
};

/// Whether `spec` is a cron line of five to seven fields, or a name as `@daily`.
pub(super) fn check(spec: &str) -> Result<(), String> {
    let spec = spec.trim();
    if MACROS.contains(&spec) {
        return Ok(());
    }
    let parts: Vec<&str> = spec.split_whitespace().collect();
    let fields: Vec<&Field> = match parts.len() {
        0..=4 => return Err("missing field(s)".to_owned()),
        5 => FIELDS.iter().collect(),
        6 => FIELDS.iter().chain([&YEAR]).collect(),
        7 => [&SECOND]
            .into_iter()
            .chain(&FIELDS)
            .chain([&YEAR])
            .collect(),
        _ => return Err("too many fields".to_owned()),
    };
    for (field, part) in fields.iter().zip(parts) {
        for term in part.split(',') {
            if !field.takes(term) {
                return Err(format!("syntax error in {} field: '{term}'", field.name));
            }
        }
    }
    Ok(())
}

impl Field {
    fn takes(&self, term: &str) -> bool {
        let (range, step) = match term.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (term, None),
        };
        if step.is_some_and(|step| {
            !step
                .parse::<u32>()
                .is_ok_and(|step| step >= 1 && step <= self.max)
        }) {
            return false;
        }
        if matches!(range, "*" | "?") {
            return true;
        }
        // `L`, `15W`, `5#3` and the like.
        let special = match self.name {
            "day-of-month" => {
                matches!(range, "L" | "LW")
                    || range
                        .strip_suffix('W')
                        .is_some_and(|day| self.value(day).is_some())
            }
            "day-of-week" => {
                range
                    .strip_suffix('L')
                    .is_some_and(|day| self.value(day).is_some())
                    || range.split_once('#').is_some_and(|(day, week)| {
                        self.value(day).is_some() && matches!(week, "1" | "2" | "3" | "4" | "5")
                    })
            }
            _ => false,
        };
        if special {
            return true;
        }
        match range.split_once('-') {
            Some((from, to)) => match (self.value(from), self.value(to)) {
                (Some(from), Some(to)) => from <= to,
                _ => false,
            },
            None => self.value(range).is_some(),
        }
    }

    fn value(&self, text: &str) -> Option<u32> {
        if let Ok(number) = text.parse() {
            return (self.min..=self.max).contains(&number).then_some(number);
        }
        let text = text.to_ascii_lowercase();
        let index = self.names.iter().position(|name| {
            text.starts_with(name)
                && text.len() >= name.len()
                && text.chars().all(|c| c.is_ascii_lowercase())
        })?;
        u32::try_from(index).ok().map(|index| index + self.min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_told_from_mistakes() {
        for good in [
            "*/15 2-4 * * *",
            "0 6 * * *",
            "@daily",
            "0 3 1 1 *",
            "0 0 L * MON-FRI",
            "0 0 * jan,feb 5#2",
            "30 0 0 * * * 2030",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, error) in [
            ("61 * * *", "missing field(s)"),
            ("61 * * * *", "syntax error in minute field: '61'"),
            ("* * * * 9", "syntax error in day-of-week field: '9'"),
            ("* 5-2 * * *", "syntax error in hour field: '5-2'"),
            ("*/0 * * * *", "syntax error in minute field: '*/0'"),
            ("", "missing field(s)"),
        ] {
            assert_eq!(check(bad), Err(error.to_owned()), "{bad}");
        }
    }
}
