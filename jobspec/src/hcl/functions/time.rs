//! Dates.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::Offset,
};
use rove_model::duration::Nanos;

use super::{Function, FunctionError, bad, failed, function, text};
use crate::value::Value;

/// How a moment is written.
const RFC_3339: &str = "YYYY-MM-DD'T'hh:mm:ssZ";

pub(super) const FUNCTIONS: &[Function] = &[
    function("formatdate", &[text("format"), text("time")], |a| {
        let moment = Moment::parse(a.text(1)?).map_err(|why| bad(1, why))?;
        moment.format(a.text(0)?).map(Value::String)
    }),
    function("timeadd", &[text("timestamp"), text("duration")], |a| {
        let moment = Moment::parse(a.text(0)?).map_err(failed)?;
        let span: Nanos = a
            .text(1)?
            .parse()
            .map_err(|error| failed(format!("time: {error}")))?;
        moment.add(span)?.format(RFC_3339).map(Value::String)
    }),
    function("timestamp", &[], |_| {
        let now = Moment {
            local: Offset::UTC.to_datetime(Timestamp::now()),
            offset: Offset::UTC,
        };
        now.format(RFC_3339).map(Value::String)
    }),
];

/// A moment and the offset it was given in.
struct Moment {
    local: DateTime,
    offset: Offset,
}

impl Moment {
    /// Reads RFC 3339; the message says at which part it isn't.
    fn parse(text: &str) -> Result<Self, String> {
        Self::parts(text).map_err(|why| format!("not a valid RFC3339 timestamp: {why}"))
    }

    fn parts(text: &str) -> Result<Self, String> {
        let mut rest = Reader { rest: text };
        let year = rest.number(4, "year")?;
        rest.sign('-', "year")?;
        let month = rest.number(2, "month")?;
        if !(1..=12).contains(&month) {
            return Err(format!("cannot use {:?} as month", rest.rest));
        }
        rest.sign('-', "month")?;
        let day = rest.number(2, "day of month")?;
        if !rest.rest.starts_with('T') {
            return Err("missing required time introducer 'T'".to_owned());
        }
        rest.rest = &rest.rest[1..];
        let clock = |rest: &mut Reader<'_>, most: i16, what: &str| {
            let number = rest.number(2, what)?;
            if number > most {
                return Err(format!("cannot use {:?} as {what}", rest.rest));
            }
            Ok(i8::try_from(number).unwrap_or(0))
        };
        let hour = clock(&mut rest, 23, "hour")?;
        rest.sign(':', "hour")?;
        let minute = clock(&mut rest, 59, "minute")?;
        rest.sign(':', "minute")?;
        let second = clock(&mut rest, 59, "second")?;
        let nanos = rest.fraction();
        let offset = rest.offset()?;
        let (month, day) = (i8::try_from(month), i8::try_from(day));
        let date = Date::new(year, month.unwrap_or(0), day.unwrap_or(0))
            .map_err(|_| "day out of range".to_owned())?;
        let time =
            Time::new(hour, minute, second, nanos).map_err(|_| "time out of range".to_owned())?;
        Ok(Self {
            local: DateTime::from_parts(date, time),
            offset,
        })
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

    /// Runs of one letter, anything in single quotes as it stands.
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
                let why = match other.as_bytes().first() {
                    Some(b'Y') => ": year must either be \"YY\" or \"YYYY\"",
                    Some(b'M') => ": month must be \"M\", \"MM\", \"MMM\", or \"MMMM\"",
                    Some(b'D') => ": day of month must either be \"D\" or \"DD\"",
                    Some(b'E') => ": day of week must either be \"EEE\" or \"EEEE\"",
                    Some(b'h') => ": 24-hour must either be \"h\" or \"hh\"",
                    Some(b'H') => ": 12-hour must either be \"H\" or \"HH\"",
                    Some(b'A') => ": must be \"AA\"",
                    Some(b'a') => ": must be \"aa\"",
                    Some(b'm') => ": minute must either be \"m\" or \"mm\"",
                    Some(b's') => ": second must either be \"s\" or \"ss\"",
                    Some(b'Z') => ": timezone must be Z, ZZZZ, or ZZZZZ",
                    _ => "",
                };
                return Err(bad(0, format!("invalid date format verb {other:?}{why}")));
            }
        })
    }
}

/// What is left of a date.
struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    /// So many digits, or one fewer for the hour, as the reference takes it.
    fn number(&mut self, digits: usize, what: &str) -> Result<i16, String> {
        if self.rest.is_empty() {
            return Err(format!("end of string before {what}"));
        }
        let found = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if found != digits && !(what == "hour" && found == 1) {
            return Err(format!("cannot use {:?} as {what}", self.rest));
        }
        let (number, rest) = self.rest.split_at(found);
        self.rest = rest;
        Ok(number.parse().unwrap_or(0))
    }

    fn sign(&mut self, sign: char, after: &str) -> Result<(), String> {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None if self.rest.is_empty() => Err(format!("end of string after {after}")),
            None => Err(format!(
                "found {:?} where {:?} is expected",
                self.rest,
                sign.to_string()
            )),
        }
    }

    /// Nanoseconds after a point.
    fn fraction(&mut self) -> i32 {
        let Some(rest) = self.rest.strip_prefix('.') else {
            return 0;
        };
        let found = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = rest.split_at(found);
        self.rest = rest;
        let nanos: String = digits.chars().chain("000000000".chars()).take(9).collect();
        nanos.parse().unwrap_or(0)
    }

    fn offset(&mut self) -> Result<Offset, String> {
        let text = self.rest;
        let wrong = || format!("cannot use {text:?} as UTC offset");
        if text.is_empty() {
            return Err("end of string before UTC offset".to_owned());
        }
        if let Some(rest) = text.strip_prefix('Z') {
            return match rest {
                "" => Ok(Offset::UTC),
                rest => Err(format!("cannot use {rest:?} as timestamp segment")),
            };
        }
        let sign = match text.as_bytes().first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(wrong()),
        };
        let (hours, minutes) = text[1..].split_once(':').ok_or_else(wrong)?;
        let part = |text: &str, most: i32| {
            let known = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<i32>()
                .ok()
                .filter(|number| known && *number <= most)
        };
        let (hours, minutes) = part(hours, 23).zip(part(minutes, 59)).ok_or_else(wrong)?;
        Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).map_err(|_| wrong())
    }
}
