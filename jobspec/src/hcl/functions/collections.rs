//! Functions on lists, sets and maps.

use std::collections::BTreeMap;

use super::{
    Arguments, Function, FunctionError, Kind, NOT_WHOLE, Outcome, any, bad, bounded, failed,
    function, number, parameter, size, text, variadic,
};
use crate::{
    hcl::{
        eval::size_of_value,
        types::{self, Type},
    },
    value::Value,
};

/// The most combinations that `setproduct` makes.
const MAX_PRODUCT: usize = 100_000;

pub(super) const FUNCTIONS: &[Function] = &[
    function(
        "chunklist",
        &[parameter("list", Kind::List), number("size")],
        |a| {
            let size = usize::try_from(a.whole(1)?)
                .map_err(|_| failed("the size argument must be positive"))?;
            let list = a.list(0)?;
            if size == 0 {
                return Ok(Value::List(vec![Value::List(list.to_vec())]));
            }
            let chunks = list.chunks(size).map(|chunk| Value::List(chunk.to_vec()));
            Ok(Value::List(chunks.collect()))
        },
    ),
    variadic("coalesce", &[], parameter("vals", Kind::Nullable), |a| {
        let types: Vec<Type> = a.list.iter().map(types::of).collect();
        let common = types::common(&types).filter(|_| !types.is_empty());
        let common = common.ok_or_else(|| failed("all arguments must have the same type"))?;
        let first = a.list.iter().find(|value| **value != Value::Null);
        let first = first.ok_or_else(|| failed("no non-null arguments"))?;
        types::convert(first.clone(), &common).map_err(failed)
    }),
    variadic(
        "coalescelist",
        &[],
        parameter("vals", Kind::Nullable),
        |a| {
            if a.list.is_empty() {
                return Err(failed("at least one argument is required"));
            }
            for value in &a.list {
                match value {
                    Value::Null => {}
                    Value::List(list) if list.is_empty() => {}
                    Value::List(_) => return Ok(value.clone()),
                    _ => return Err(failed("coalescelist arguments must be lists or tuples")),
                }
            }
            Err(failed("no non-null arguments"))
        },
    ),
    function("compact", &[parameter("list", Kind::Texts)], |a| {
        let full = |value: &&Value| !matches!(value, Value::Null) && **value != Value::text("");
        Ok(Value::List(
            a.list(0)?.iter().filter(full).cloned().collect(),
        ))
    }),
    variadic("concat", &[], any("seqs"), |a| {
        if a.list.is_empty() {
            return Err(failed("at least one argument is required"));
        }
        let mut all = Vec::new();
        for (index, value) in a.list.iter().enumerate() {
            let Value::List(list) = value else {
                return Err(bad(
                    index,
                    format!(
                        "all arguments must be lists or tuples; got {}",
                        value.type_name()
                    ),
                ));
            };
            all.extend_from_slice(list);
        }
        Ok(Value::List(all))
    }),
    function("contains", &[any("list"), any("value")], |a| {
        let list = a
            .list(0)
            .map_err(|_| failed("argument must be list, tuple, or set"))?;
        Ok(Value::Bool(list.contains(&a.list[1])))
    }),
    function("distinct", &[parameter("list", Kind::List)], |a| {
        let mut kept: Vec<&Value> = Vec::new();
        let mut texts = std::collections::HashSet::new();
        // By how they are shown: to compare each with each would take too long.
        let mut others = std::collections::HashSet::new();
        for value in a.list(0)? {
            let is_new = match value {
                Value::String(text) => texts.insert(text),
                other => others.insert(format!("{other:?}")),
            };
            if is_new {
                kept.push(value);
            }
        }
        Ok(Value::List(kept.into_iter().cloned().collect()))
    }),
    function("element", &[any("list"), number("index")], |a| {
        let list = a.list(0).map_err(|_| {
            failed(format!(
                "cannot read elements from {}",
                a.list[0].type_name()
            ))
        })?;
        let index = a.number(1)?.as_i64();
        let index = index.ok_or_else(|| failed(format!("invalid index: {NOT_WHOLE}")))?;
        let index = usize::try_from(index)
            .map_err(|_| failed("cannot use element function with a negative index"))?;
        if list.is_empty() {
            return Err(failed("cannot use element function with an empty list"));
        }
        Ok(list[index % list.len()].clone())
    }),
    function("flatten", &[any("list")], |a| {
        let list = a
            .list(0)
            .map_err(|_| failed("can only flatten lists, sets and tuples"))?;
        let mut flat = Vec::new();
        flatten(list, &mut flat);
        Ok(Value::List(flat))
    }),
    function("index", &[any("collection"), any("key")], index),
    function("keys", &[any("inputMap")], |a| {
        let map = a.map(0, bad(0, "must have map or object type"))?;
        Ok(Value::List(map.keys().map(Value::text).collect()))
    }),
    function("length", &[any("collection")], |a| {
        let length = match &a.list[0] {
            Value::List(list) => list.len(),
            Value::Map(map) => map.len(),
            _ => return Err(failed("collection must be a list, a map or a tuple")),
        };
        Ok(size(length))
    }),
    function(
        "lookup",
        &[any("inputMap"), text("key"), any("default")],
        |a| {
            let map = a.map(0, bad(0, "lookup() requires a map as the first argument"))?;
            let found = map.get(a.text(1)?);
            Ok(found.unwrap_or(&a.list[2]).clone())
        },
    ),
    variadic("merge", &[], parameter("maps", Kind::Nullable), |a| {
        let mut merged = BTreeMap::new();
        for value in &a.list {
            match value {
                Value::Null => {}
                Value::Map(map) => merged.extend(map.clone()),
                other => {
                    return Err(failed(format!(
                        "arguments must be maps or objects, got {:?}",
                        other.type_name()
                    )));
                }
            }
        }
        Ok(Value::Map(merged))
    }),
    function("reverse", &[any("list")], |a| {
        let list = a.list(0).map_err(|_| {
            bad(
                0,
                format!(
                    "can only reverse list or tuple values, not {}",
                    a.list[0].type_name()
                ),
            )
        })?;
        Ok(Value::List(list.iter().rev().cloned().collect()))
    }),
    variadic(
        "setintersection",
        &[parameter("first_set", Kind::Set)],
        parameter("other_sets", Kind::Set),
        |a| {
            let sets = sets(a)?;
            let (first, others) = sets.split_first().unwrap_or((&EMPTY, &[]));
            let common = first.iter().filter(|value| {
                others.iter().all(|set| {
                    set.binary_search_by(|other| types::order(other, value))
                        .is_ok()
                })
            });
            Ok(Value::List(common.cloned().collect()))
        },
    ),
    variadic("setproduct", &[], any("sets"), product),
    function(
        "setsubtract",
        &[parameter("a", Kind::Set), parameter("b", Kind::Set)],
        |a| {
            let sets = sets(a)?;
            let left = sets[0].iter().filter(|value| {
                sets[1]
                    .binary_search_by(|other| types::order(other, value))
                    .is_err()
            });
            Ok(Value::List(left.cloned().collect()))
        },
    ),
    variadic(
        "setunion",
        &[parameter("first_set", Kind::Set)],
        parameter("other_sets", Kind::Set),
        |a| {
            let mut all = sets(a)?.concat();
            types::as_set(&mut all);
            Ok(Value::List(all))
        },
    ),
    function(
        "slice",
        &[any("list"), number("start_index"), number("end_index")],
        slice,
    ),
    function("sort", &[parameter("list", Kind::Texts)], |a| {
        let mut texts = Vec::new();
        for (index, value) in a.list(0)?.iter().enumerate() {
            match value {
                Value::String(text) => texts.push(text.clone()),
                _ => {
                    return Err(failed(format!(
                        "given list element {index} is null; a null string cannot be sorted"
                    )));
                }
            }
        }
        texts.sort();
        Ok(Value::List(texts.into_iter().map(Value::String).collect()))
    }),
    function("values", &[any("mapping")], |a| {
        let map = a.map(0, failed("values() requires a map as the first argument"))?;
        Ok(Value::List(map.values().cloned().collect()))
    }),
    function(
        "zipmap",
        &[parameter("keys", Kind::Texts), any("values")],
        |a| {
            let keys = a.list(0)?;
            let values = a
                .list(1)
                .map_err(|_| failed("values argument must be a list or tuple value"))?;
            if keys.len() != values.len() {
                return Err(failed(format!(
                    "number of keys ({}) does not match number of values ({})",
                    keys.len(),
                    values.len()
                )));
            }
            let pairs = keys.iter().zip(values).enumerate();
            let pairs = pairs.map(|(index, (key, value))| match key {
                Value::String(key) => Ok((key.clone(), value.clone())),
                _ => Err(failed(format!("keys list has null value at index {index}"))),
            });
            Ok(Value::Map(pairs.collect::<Result<_, _>>()?))
        },
    ),
];

static EMPTY: Vec<Value> = Vec::new();

fn flatten(list: &[Value], flat: &mut Vec<Value>) {
    for value in list {
        match value {
            Value::List(inner) => flatten(inner, flat),
            other => flat.push(other.clone()),
        }
    }
}

fn index(a: &Arguments<'_>) -> Outcome {
    match (&a.list[0], &a.list[1]) {
        (Value::List(list), key) => {
            let Value::Number(number) = key else {
                return Err(failed("key for tuple must be number"));
            };
            let index = number
                .as_i64()
                .ok_or_else(|| failed(format!("invalid key for tuple: {NOT_WHOLE}")))?;
            let found = usize::try_from(index)
                .ok()
                .and_then(|index| list.get(index));
            found.cloned().ok_or_else(|| {
                failed(format!(
                    "key must be between 0 and {} inclusive",
                    list.len()
                ))
            })
        }
        (Value::Map(map), key) => {
            let found = key.to_text().and_then(|key| map.get(&key));
            found
                .cloned()
                .ok_or_else(|| failed("the given key does not identify an element"))
        }
        _ => Err(failed("collection must be a list, a map or a tuple")),
    }
}

/// All arguments as sets of one type.
fn sets(a: &Arguments<'_>) -> Result<Vec<Vec<Value>>, FunctionError> {
    let types: Vec<Type> = a
        .list
        .iter()
        .flat_map(|set| match set {
            Value::List(list) => list.iter().map(types::of).collect(),
            _ => Vec::new(),
        })
        .collect();
    let common = types::common(&types)
        .ok_or_else(|| failed("given sets must all have compatible element types"))?;
    let mut sets = Vec::new();
    for index in 0..a.list.len() {
        let mut set = Vec::new();
        for value in a.list(index)? {
            set.push(types::convert(value.clone(), &common).map_err(failed)?);
        }
        types::as_set(&mut set);
        sets.push(set);
    }
    Ok(sets)
}

/// Every combination of an element of each.
fn product(a: &Arguments<'_>) -> Outcome {
    if a.list.len() < 2 {
        return Err(failed("at least two arguments are required"));
    }
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for index in 0..a.list.len() {
        let list = a
            .list(index)
            .map_err(|_| bad(index, "a set or a list is required"))?;
        if rows.len().saturating_mul(list.len()) > MAX_PRODUCT {
            return Err(failed(format!("more than {MAX_PRODUCT} combinations")));
        }
        let row: usize = rows
            .first()
            .map_or(0, |row| row.iter().map(size_of_value).sum());
        let largest = list.iter().map(size_of_value).max().unwrap_or(0);
        bounded(rows.len().saturating_mul(list.len()), row + largest)?;
        rows = rows
            .iter()
            .flat_map(|row| {
                list.iter().map(move |value| {
                    let mut row = row.clone();
                    row.push(value.clone());
                    row
                })
            })
            .collect();
    }
    Ok(Value::List(rows.into_iter().map(Value::List).collect()))
}

fn slice(a: &Arguments<'_>) -> Outcome {
    let list = a
        .list(0)
        .map_err(|_| bad(0, "must be a list or tuple value"))?;
    let whole = |index: usize, what: &str| {
        let number = a.number(index)?.as_i64();
        number.ok_or_else(|| bad(index, format!("invalid {what} index: {NOT_WHOLE}")))
    };
    let (start, end) = (whole(1, "start")?, whole(2, "end")?);
    let from =
        usize::try_from(start).map_err(|_| bad(1, "start index must not be less than zero"))?;
    let to = usize::try_from(end).ok().filter(|to| *to <= list.len());
    let Some(to) = to else {
        return Err(bad(
            2,
            if end < 0 {
                "end index must not be less than zero"
            } else {
                "end index must not be greater than the length of the list"
            },
        ));
    };
    if from > to {
        return Err(bad(1, "start index must not be greater than end index"));
    }
    Ok(Value::List(list[from..to].to_vec()))
}
