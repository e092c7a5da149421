//! Functions on numbers.

use std::cmp::Ordering;

use super::{
    Arguments, Function, FunctionError, NOT_WHOLE, Outcome, any, bad, failed, function, number,
    variadic,
};
use crate::value::{Number, Value};

/// The most elements that `range` makes, as in the reference.
const MAX_RANGE: usize = 1_024;

pub(super) const FUNCTIONS: &[Function] = &[
    function("abs", &[number("num")], |a| {
        Ok(Value::Number(a.number(0)?.absolute()))
    }),
    function("ceil", &[number("num")], |a| {
        Ok(Value::Number(a.number(0)?.ceil()))
    }),
    function("floor", &[number("num")], |a| {
        Ok(Value::Number(a.number(0)?.floor()))
    }),
    function("log", &[number("num"), number("base")], |a| {
        hardware(a, |number, base| number.ln() / base.ln())
    }),
    variadic("max", &[], number("numbers"), |a| {
        extreme(a, Ordering::Greater)
    }),
    variadic("min", &[], number("numbers"), |a| {
        extreme(a, Ordering::Less)
    }),
    function("parseint", &[any("number"), number("base")], parse_int),
    function("pow", &[number("num"), number("power")], |a| {
        hardware(a, f64::powf)
    }),
    variadic("range", &[], number("params"), range),
    function("signum", &[number("num")], |a| {
        let number = a.number(0)?;
        if !number.is_whole() {
            return Err(failed(NOT_WHOLE));
        }
        Ok(Value::int(match number.compare(&Number::Int(0)) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }))
    }),
];

/// What hardware floats make of two numbers.
fn hardware(a: &Arguments<'_>, compute: fn(f64, f64) -> f64) -> Outcome {
    let result = compute(a.number(0)?.as_f64(), a.number(1)?.as_f64());
    Number::from_f64(result)
        .map(Value::Number)
        .ok_or_else(|| failed("the result is infinite or not a number"))
}

fn extreme(a: &Arguments<'_>, wanted: Ordering) -> Outcome {
    if a.list.is_empty() {
        return Err(failed("must pass at least one number"));
    }
    let mut best = a.number(0)?;
    for index in 1..a.list.len() {
        let number = a.number(index)?;
        if number.compare(best) == wanted {
            best = number;
        }
    }
    Ok(Value::Number(best.clone()))
}

fn parse_int(a: &Arguments<'_>) -> Outcome {
    let Value::String(text) = &a.list[0] else {
        return Err(bad(
            0,
            format!(
                "first argument must be a string, not {}",
                a.list[0].type_name()
            ),
        ));
    };
    let base = a.number(1)?.as_i64().ok_or_else(|| bad(1, NOT_WHOLE))?;
    let base = u32::try_from(base)
        .ok()
        .filter(|base| (2..=62).contains(base))
        .ok_or_else(|| bad(1, "base must be a whole number between 2 and 62 inclusive"))?;
    Number::parse_base(text, base)
        .map(Value::Number)
        .ok_or_else(|| bad(0, format!("cannot parse {text:?} as a base {base} integer")))
}

fn range(a: &Arguments<'_>) -> Outcome {
    let nought = Number::Int(0);
    let one = Number::Int(1);
    let (start, end) = match a.list.len() {
        1 => (nought.clone(), a.number(0)?.clone()),
        2 | 3 => (a.number(0)?.clone(), a.number(1)?.clone()),
        _ => return Err(failed("must have one, two, or three arguments")),
    };
    let falls = end.compare(&start).is_lt();
    let step = match a.list.len() {
        3 => a.number(2)?.clone(),
        _ if falls => one.negated(),
        _ => one,
    };
    let sign = step.compare(&nought);
    if sign.is_gt() && falls {
        return Err(bad(
            1,
            "end must be greater than start when step is positive",
        ));
    }
    if sign.is_lt() && end.compare(&start).is_gt() {
        return Err(bad(1, "end must be less than start when step is negative"));
    }
    let too_many = || -> FunctionError {
        failed(format!(
            "more than {MAX_RANGE} values were generated; either decrease the difference between start and end or use a smaller step"
        ))
    };
    let mut list = Vec::new();
    let mut value = start;
    loop {
        let order = value.compare(&end);
        if order.is_eq() || (sign.is_gt() && order.is_gt()) || (sign.is_lt() && order.is_lt()) {
            return Ok(Value::List(list));
        }
        if list.len() == MAX_RANGE {
            return Err(too_many());
        }
        let next = value.plus(&step).ok_or_else(too_many)?;
        list.push(Value::Number(std::mem::replace(&mut value, next)));
    }
}
