//! Types of variables: read from an expression, and values converted to them.

use std::collections::BTreeMap;

use hcl_edit::expr::{Expression, ObjectKey};

use crate::value::{Number, Value};

/// A type constraint.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    Any,
    Bool,
    Number,
    String,
    List(Box<Type>),
    Set(Box<Type>),
    Map(Box<Type>),
    Tuple(Vec<Type>),
    /// Fields and whether they may be absent.
    Object(BTreeMap<String, (Type, bool)>),
}

/// Reads a type; the message says what is wrong.
pub(crate) fn parse(expression: &Expression) -> Result<Type, String> {
    match expression {
        Expression::Variable(name) => match name.as_str() {
            "any" => Ok(Type::Any),
            "bool" => Ok(Type::Bool),
            "number" => Ok(Type::Number),
            "string" => Ok(Type::String),
            "list" => Ok(Type::List(Box::new(Type::Any))),
            "set" => Ok(Type::Set(Box::new(Type::Any))),
            "map" => Ok(Type::Map(Box::new(Type::Any))),
            other => Err(format!("The keyword {other:?} is not a valid type specification.")),
        },
        Expression::Parenthesis(inner) => parse(inner.inner()),
        Expression::FuncCall(call) => {
            let name = call.name.name.as_str();
            let mut arguments = call.args.iter();
            let (Some(argument), None) = (arguments.next(), arguments.next()) else {
                return Err(format!("The {name} type constructor requires one argument."));
            };
            match name {
                "list" => Ok(Type::List(Box::new(parse(argument)?))),
                "set" => Ok(Type::Set(Box::new(parse(argument)?))),
                "map" => Ok(Type::Map(Box::new(parse(argument)?))),
                "tuple" => match argument {
                    Expression::Array(array) => {
                        Ok(Type::Tuple(array.iter().map(parse).collect::<Result<_, _>>()?))
                    }
                    _ => Err("Tuple type constructor requires a list of element types.".to_owned()),
                },
                "object" => match argument {
                    Expression::Object(object) => {
                        let mut fields = BTreeMap::new();
                        for (key, value) in object {
                            let name = match key {
                                ObjectKey::Ident(name) => name.as_str().to_owned(),
                                ObjectKey::Expression(Expression::String(name)) => {
                                    name.as_str().to_owned()
                                }
                                ObjectKey::Expression(_) => {
                                    return Err("Object constructor map keys must be attribute names.".to_owned());
                                }
                            };
                            fields.insert(name, field(value.expr())?);
                        }
                        Ok(Type::Object(fields))
                    }
                    _ => Err("Object type constructor requires a map whose keys are attribute names and whose values are the corresponding attribute types.".to_owned()),
                },
                other => Err(format!("Keyword {other:?} is not a valid type constructor.")),
            }
        }
        _ => Err("A type specification is a primitive type keyword (bool, number, string) or a complex type constructor call, like list(string).".to_owned()),
    }
}

fn field(expression: &Expression) -> Result<(Type, bool), String> {
    if let Expression::FuncCall(call) = expression
        && call.name.name.as_str() == "optional"
    {
        let argument = call
            .args
            .iter()
            .next()
            .ok_or("The optional modifier requires a type.")?;
        return Ok((parse(argument)?, true));
    }
    Ok((parse(expression)?, false))
}

/// A value as this type; the message says what is required.
pub(crate) fn convert(value: Value, wanted: &Type) -> Result<Value, String> {
    if matches!(value, Value::Null | Value::Unknown) {
        return Ok(value);
    }
    let required = |what: &str| format!("{what} required");
    match wanted {
        Type::Any => Ok(value),
        Type::Bool => value
            .to_bool()
            .map(Value::Bool)
            .ok_or_else(|| required("a bool is")),
        Type::Number => value
            .to_number()
            .map(Value::Number)
            .ok_or_else(|| required("a number is")),
        Type::String => value
            .to_text()
            .map(Value::String)
            .ok_or_else(|| required("string")),
        Type::List(element) | Type::Set(element) => {
            let Value::List(list) = value else {
                return Err(required("list of values is"));
            };
            let mut list = list
                .into_iter()
                .enumerate()
                .map(|(index, value)| {
                    convert(value, element).map_err(|why| format!("element {index}: {why}"))
                })
                .collect::<Result<Vec<_>, _>>()?;
            if matches!(wanted, Type::Set(_)) {
                list.sort_by_key(sort_key);
                list.dedup();
            }
            Ok(Value::List(list))
        }
        Type::Map(element) => {
            let Value::Map(map) = value else {
                return Err(required("map of values is"));
            };
            let map = map
                .into_iter()
                .map(|(key, value)| {
                    convert(value, element)
                        .map(|value| (key.clone(), value))
                        .map_err(|why| format!("element {key:?}: {why}"))
                })
                .collect::<Result<_, _>>()?;
            Ok(Value::Map(map))
        }
        Type::Tuple(types) => {
            let Value::List(list) = value else {
                return Err(required("tuple is"));
            };
            if list.len() != types.len() {
                return Err(format!("tuple of {} elements is required", types.len()));
            }
            let list = list
                .into_iter()
                .zip(types)
                .map(|(value, wanted)| convert(value, wanted))
                .collect::<Result<_, _>>()?;
            Ok(Value::List(list))
        }
        Type::Object(fields) => {
            let Value::Map(mut map) = value else {
                return Err(required("object is"));
            };
            let mut out = BTreeMap::new();
            for (name, (wanted, optional)) in fields {
                let value = match map.remove(name) {
                    Some(value) => convert(value, wanted)
                        .map_err(|why| format!("attribute {name:?}: {why}"))?,
                    None if *optional => Value::Null,
                    None => return Err(format!("attribute {name:?} is required")),
                };
                out.insert(name.clone(), value);
            }
            Ok(Value::Map(out))
        }
    }
}

/// Numbers by value, anything else by what it prints as.
fn sort_key(value: &Value) -> (i128, String) {
    match value {
        Value::Number(Number::Int(number)) => (*number, String::new()),
        other => (0, other.to_json().to_string()),
    }
}
