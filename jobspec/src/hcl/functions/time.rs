//! Dates. Nothing here knows what time it is.

use jiff::{Timestamp, civil::DateTime, tz::Offset};
use rove_model::duration::Nanos;

use super::{Function, FunctionError, bad, failed, function};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function("formatdate", 2, 2, |a| {
        let (format, moment) = (a.text(0)?, Moment::parse(&a.text(1)?, 1)?);
        moment.format(&format).map(Value::String)
    }),
    function("timeadd", 2, 2, |a| {
        let moment = Moment::parse(&a.text(0)?, 0)?;
        let text = a.text(1)?;
        let span: Nanos = text
            .parse()
            .map_err(|error| bad(1, format!("time: {error}")))?;
        moment
            .add(span)?
            .format("YYYY-MM-DD'T'hh:mm:ssZ")
            .map(Value::String)
    }),
];

/// A moment and the offset it was given in.
struct Moment {
    local: DateTime,
    offset: Offset,
}

impl Moment {
    /// Reads RFC 3339.
    fn parse(text: &str, argument: usize) -> Result<Self, FunctionError> {
        let invalid = || bad(argument, format!("not a valid RFC3339 timestamp: {text:?}"));
        let split = text
            .get(10..)
            .and_then(|rest| rest.find(['Z', '+', '-']))
            .map(|at| at + 10)
            .ok_or_else(invalid)?;
        let (local, offset) = (text.get(..split), text.get(split..));
        let (local, offset) = local.zip(offset).ok_or_else(invalid)?;
        let offset = match offset {
            "Z" => Offset::UTC,
            offset => {
                let digits = offset.get(1..).and_then(|rest| rest.split_once(':'));
                let (hours, minutes) = digits.ok_or_else(invalid)?;
                let hours: i32 = hours.parse().map_err(|_| invalid())?;
                let minutes: i32 = minutes.parse().map_err(|_| invalid())?;
                if !(0..24).contains(&hours) || !(0..60).contains(&minutes) {
                    return Err(invalid());
                }
                let sign = if offset.starts_with('-') { -1 } else { 1 };
                Offset::from_seconds(sign * (hours * 3_600 + minutes * 60))
                    .map_err(|_| invalid())?
            }
        };
        let local = local.parse().map_err(|_| invalid())?;
        Ok(Self { local, offset })
    }

    fn add(self, span: Nanos) -> Result<Self, FunctionError> {
        let too_far = |_| failed("the result is out of range");
        let at: Timestamp = self.offset.to_timestamp(self.local).map_err(too_far)?;
        let at = at
            .checked_add(jiff::SignedDuration::from_nanos(span.0))
            .map_err(too_far)?;
        Ok(Self {
            local: self.offset.to_datetime(at),
            offset: self.offset,
        })
    }

    /// Go-cty's own letters: runs of one letter, anything in single quotes as it stands.
    fn format(&self, format: &str) -> Result<String, FunctionError> {
        let mut out = String::new();
        let mut rest = format.chars().peekable();
        while let Some(c) = rest.next() {
            if c == '\'' {
                self.quoted(&mut rest, &mut out)?;
                continue;
            }
            if !c.is_ascii_alphabetic() {
                out.push(c);
                continue;
            }
            let mut run = c.to_string();
            while let Some(next) = rest.next_if_eq(&c) {
                run.push(next);
            }
            out.push_str(&self.part(&run)?);
        }
        Ok(out)
    }

    fn quoted(
        &self,
        rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
        out: &mut String,
    ) -> Result<(), FunctionError> {
        loop {
            match rest.next() {
                Some('\'') if rest.next_if_eq(&'\'').is_some() => out.push('\''),
                Some('\'') => return Ok(()),
                Some(c) => out.push(c),
                None => return Err(bad(0, "unterminated literal '")),
            }
        }
    }

    fn part(&self, run: &str) -> Result<String, FunctionError> {
        const MONTHS: [&str; 12] = [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ];
        const DAYS: [&str; 7] = [
            "Monday",
            "Tuesday",
            "Wednesday",
            "Thursday",
            "Friday",
            "Saturday",
            "Sunday",
        ];
        let local = self.local;
        let month = MONTHS[usize::from(local.month().unsigned_abs().clamp(1, 12)) - 1];
        let day = DAYS[usize::from(local.weekday().to_monday_zero_offset().unsigned_abs()).min(6)];
        let hour12 = match local.hour() % 12 {
            0 => 12,
            hour => hour,
        };
        let seconds = self.offset.seconds();
        let sign = if seconds < 0 { '-' } else { '+' };
        let (hours, minutes) = (seconds.abs() / 3_600, seconds.abs() / 60 % 60);
        Ok(match run {
            "YYYY" => format!("{:04}", local.year()),
            "YY" => format!("{:02}", local.year().rem_euclid(100)),
            "MMMM" => month.to_owned(),
            "MMM" => month[..3].to_owned(),
            "MM" => format!("{:02}", local.month()),
            "M" => local.month().to_string(),
            "DD" => format!("{:02}", local.day()),
            "D" => local.day().to_string(),
            "EEEE" => day.to_owned(),
            "EEE" => day[..3].to_owned(),
            "hh" => format!("{:02}", local.hour()),
            "h" => local.hour().to_string(),
            "HH" => format!("{hour12:02}"),
            "H" => hour12.to_string(),
            "AA" => if local.hour() < 12 { "AM" } else { "PM" }.to_owned(),
            "aa" => if local.hour() < 12 { "am" } else { "pm" }.to_owned(),
            "mm" => format!("{:02}", local.minute()),
            "m" => local.minute().to_string(),
            "ss" => format!("{:02}", local.second()),
            "s" => local.second().to_string(),
            "ZZZZZ" => format!("{sign}{hours:02}:{minutes:02}"),
            "ZZZZ" => format!("{sign}{hours:02}{minutes:02}"),
            "ZZZ" if seconds == 0 => "UTC".to_owned(),
            "ZZZ" => format!("{sign}{hours:02}{minutes:02}"),
            "Z" if seconds == 0 => "Z".to_owned(),
            "Z" => format!("{sign}{hours:02}:{minutes:02}"),
            other => {
                return Err(bad(
                    0,
                    format!(
                        "invalid date format verb {other:?}: literal letters stand in single quotes"
                    ),
                ));
            }
        })
    }
}
