//! Types of values and variables: read from an expression, found from a value, made common to two, converted to.

use std::{cmp::Ordering, collections::BTreeMap};

use hcl_edit::expr::{Expression, ObjectKey};

use crate::value::Value;

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
    Object(BTreeMap<String, Field>),
}

/// A field of an object type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    wanted: Type,
    /// What it is where it is absent; `None` for a field that must be there.
    default: Option<Value>,
}

impl Type {
    /// As people name it, as `list of string`.
    pub(crate) fn name(&self) -> String {
        let of = |what: &str, element: &Self| match element {
            Self::Any => format!("{what} of any single type"),
            element => format!("{what} of {}", element.name()),
        };
        match self {
            Self::Any => "any type".to_owned(),
            Self::Bool => "bool".to_owned(),
            Self::Number => "number".to_owned(),
            Self::String => "string".to_owned(),
            Self::List(element) => of("list", element),
            Self::Set(element) => of("set", element),
            Self::Map(element) => of("map", element),
            Self::Tuple(_) => "tuple".to_owned(),
            Self::Object(_) => "object".to_owned(),
        }
    }
}

/// What is wrong with a type, and where.
pub(crate) struct Mistake<'e> {
    pub(crate) detail: String,
    pub(crate) at: &'e Expression,
}

/// Reads a type.
pub(crate) fn parse(expression: &Expression) -> Result<Type, Mistake<'_>> {
    let wrong = |detail: String| Mistake {
        detail,
        at: expression,
    };
    match expression {
        Expression::Variable(name) => match name.as_str() {
            "any" => Ok(Type::Any),
            "bool" => Ok(Type::Bool),
            "number" => Ok(Type::Number),
            "string" => Ok(Type::String),
            name @ ("list" | "set" | "map") => Err(wrong(format!(
                "The {name} type constructor requires one argument specifying the element type."
            ))),
            "tuple" => Err(wrong(
                "The tuple type constructor requires one argument specifying the element types as a list.".to_owned(),
            )),
            "object" => Err(wrong(
                "The object type constructor requires one argument specifying the attribute types and values as a map.".to_owned(),
            )),
            other => Err(wrong(format!(
                "The keyword {other:?} is not a valid type specification."
            ))),
        },
        Expression::Parenthesis(inner) => parse(inner.inner()),
        Expression::FuncCall(call) => {
            let name = call.name.name.as_str();
            if !matches!(name, "list" | "set" | "map" | "tuple" | "object") {
                return Err(wrong(match name {
                    "any" | "bool" | "number" | "string" => {
                        format!("Primitive type keyword {name:?} does not expect arguments.")
                    }
                    _ => format!("Keyword {name:?} is not a valid type constructor."),
                }));
            }
            let argument = match (call.args.get(0), call.args.get(1)) {
                (Some(argument), None) => argument,
                (_, second) => {
                    return Err(Mistake {
                        detail: format!(
                            "The {name} type constructor requires one argument specifying the element type."
                        ),
                        at: second.unwrap_or(expression),
                    });
                }
            };
            match name {
                "list" => Ok(Type::List(Box::new(parse(argument)?))),
                "set" => Ok(Type::Set(Box::new(parse(argument)?))),
                "map" => Ok(Type::Map(Box::new(parse(argument)?))),
                "tuple" => match argument {
                    Expression::Array(array) => {
                        Ok(Type::Tuple(array.iter().map(parse).collect::<Result<_, _>>()?))
                    }
                    _ => Err(Mistake {
                        detail: "Tuple type constructor requires a list of element types."
                            .to_owned(),
                        at: argument,
                    }),
                },
                _ => object(argument),
            }
        }
        _ => Err(wrong("A type specification is either a primitive type keyword (bool, number, string) or a complex type constructor call, like list(string).".to_owned())),
    }
}

fn object(argument: &Expression) -> Result<Type, Mistake<'_>> {
    let Expression::Object(object) = argument else {
        return Err(Mistake {
            detail: "Object type constructor requires a map whose keys are attribute names and whose values are the corresponding attribute types.".to_owned(),
            at: argument,
        });
    };
    let mut fields = BTreeMap::new();
    for (key, value) in object {
        let name = match key {
            ObjectKey::Ident(name) => name.as_str().to_owned(),
            ObjectKey::Expression(Expression::String(name)) => name.as_str().to_owned(),
            ObjectKey::Expression(Expression::Variable(name)) => name.as_str().to_owned(),
            ObjectKey::Expression(other) => {
                return Err(Mistake {
                    detail: "Object constructor map keys must be attribute names.".to_owned(),
                    at: other,
                });
            }
        };
        fields.insert(name, field(value.expr())?);
    }
    Ok(Type::Object(fields))
}

/// `optional(type)` and `optional(type, default)` beside a plain type.
fn field(expression: &Expression) -> Result<Field, Mistake<'_>> {
    let Expression::FuncCall(call) = expression else {
        return parse(expression).map(|wanted| Field {
            wanted,
            default: None,
        });
    };
    if call.name.name.as_str() != "optional" {
        return parse(expression).map(|wanted| Field {
            wanted,
            default: None,
        });
    }
    let wrong = |detail: &str| Mistake {
        detail: detail.to_owned(),
        at: expression,
    };
    let wanted = match (call.args.get(0), call.args.get(2)) {
        (Some(wanted), None) => parse(wanted)?,
        _ => {
            return Err(wrong(
                "The optional modifier takes a type and, if wanted, a default value.",
            ));
        }
    };
    let default = match call.args.get(1) {
        None => Value::Null,
        Some(value) => super::eval::constant(value)
            .and_then(|value| convert(value, &wanted).ok())
            .ok_or_else(|| {
                wrong("The default of an optional attribute is a constant of the attribute's type.")
            })?,
    };
    Ok(Field {
        wanted,
        default: Some(default),
    })
}

/// The type of a value as it is written: a list is a tuple, a map an object.
pub(crate) fn of(value: &Value) -> Type {
    match value {
        Value::Null | Value::Unknown => Type::Any,
        Value::Bool(_) => Type::Bool,
        Value::Number(_) => Type::Number,
        Value::String(_) => Type::String,
        Value::List(list) => Type::Tuple(list.iter().map(of).collect()),
        Value::Map(map) => Type::Object(
            map.iter()
                .map(|(key, value)| {
                    let field = Field {
                        wanted: of(value),
                        default: None,
                    };
                    (key.clone(), field)
                })
                .collect(),
        ),
    }
}

/// The type that both convert to.
pub(crate) fn unify(a: &Type, b: &Type) -> Option<Type> {
    use Type::{Any, Bool, List, Map, Number, Object, Set, String, Tuple};
    match (a, b) {
        (a, b) if a == b => Some(a.clone()),
        (Any, other) | (other, Any) => Some(other.clone()),
        (String, Number | Bool) | (Number | Bool, String) => Some(String),
        (Tuple(a), Tuple(b)) if a.len() == b.len() => {
            let each = a.iter().zip(b).map(|(a, b)| unify(a, b));
            Some(Tuple(each.collect::<Option<_>>()?))
        }
        (Tuple(_) | List(_), Tuple(_) | List(_)) => {
            Some(List(Box::new(common(elements(a).chain(elements(b)))?)))
        }
        (Tuple(_) | List(_) | Set(_), Tuple(_) | List(_) | Set(_)) => {
            Some(Set(Box::new(common(elements(a).chain(elements(b)))?)))
        }
        (Object(a), Object(b)) if a.keys().eq(b.keys()) => {
            let fields = a.iter().zip(b.values()).map(|((name, a), b)| {
                let wanted = unify(&a.wanted, &b.wanted)?;
                let field = Field {
                    wanted,
                    default: None,
                };
                Some((name.clone(), field))
            });
            Some(Object(fields.collect::<Option<_>>()?))
        }
        (Object(_) | Map(_), Object(_) | Map(_)) => {
            Some(Map(Box::new(common(elements(a).chain(elements(b)))?)))
        }
        _ => None,
    }
}

/// The types of a collection's elements.
fn elements(of: &Type) -> Box<dyn Iterator<Item = &Type> + '_> {
    match of {
        Type::List(element) | Type::Set(element) | Type::Map(element) => {
            Box::new(std::iter::once(&**element))
        }
        Type::Tuple(types) => Box::new(types.iter()),
        Type::Object(fields) => Box::new(fields.values().map(|field| &field.wanted)),
        _ => Box::new(std::iter::empty()),
    }
}

/// The type that all convert to.
pub(crate) fn common<'t>(types: impl IntoIterator<Item = &'t Type>) -> Option<Type> {
    let mut types = types.into_iter();
    let first = types.next().cloned().unwrap_or(Type::Any);
    types.try_fold(first, |all, next| unify(&all, next))
}

/// Elements of one type: that of the constraint, or the one that all convert to.
fn alike<'v>(
    values: impl Iterator<Item = &'v Value>,
    element: &Type,
    what: &str,
) -> Result<Type, String> {
    if *element != Type::Any {
        return Ok(element.clone());
    }
    let types: Vec<Type> = values.map(of).collect();
    common(&types).ok_or_else(|| format!("all {what} elements must have the same type"))
}

/// A value as this type; the message says what is required.
pub(crate) fn convert(value: Value, wanted: &Type) -> Result<Value, String> {
    if matches!(value, Value::Null | Value::Unknown) {
        return Ok(value);
    }
    let required = || Err(format!("{} required", wanted.name()));
    match wanted {
        Type::Any => Ok(value),
        Type::Bool => match (value.to_bool(), value) {
            (Some(known), _) => Ok(Value::Bool(known)),
            (None, Value::String(_)) => Err("a bool is required".to_owned()),
            _ => required(),
        },
        Type::Number => match (value.to_number(), value) {
            (Some(number), _) => Ok(Value::Number(number)),
            (None, Value::String(_)) => Err("a number is required".to_owned()),
            _ => required(),
        },
        Type::String => match value.to_text() {
            Some(text) => Ok(Value::String(text)),
            None => required(),
        },
        Type::List(element) | Type::Set(element) => {
            let Value::List(list) = value else {
                return required();
            };
            let is_set = matches!(wanted, Type::Set(_));
            let element = alike(list.iter(), element, if is_set { "set" } else { "list" })?;
            let mut list = list
                .into_iter()
                .enumerate()
                .map(|(index, value)| {
                    convert(value, &element).map_err(|why| format!("element {index}: {why}"))
                })
                .collect::<Result<Vec<_>, _>>()?;
            if is_set {
                as_set(&mut list);
            }
            Ok(Value::List(list))
        }
        Type::Map(element) => {
            let Value::Map(map) = value else {
                return required();
            };
            let element = alike(map.values(), element, "map")?;
            let map = map
                .into_iter()
                .map(|(key, value)| {
                    convert(value, &element)
                        .map_err(|why| format!("element {key:?}: {why}"))
                        .map(|value| (key, value))
                })
                .collect::<Result<_, _>>()?;
            Ok(Value::Map(map))
        }
        Type::Tuple(types) => {
            let Value::List(list) = value else {
                return required();
            };
            if list.len() != types.len() {
                return Err(format!(
                    "tuple required: one of {} elements, not {}",
                    types.len(),
                    list.len()
                ));
            }
            let list = list
                .into_iter()
                .zip(types)
                .enumerate()
                .map(|(index, (value, wanted))| {
                    convert(value, wanted).map_err(|why| format!("element {index}: {why}"))
                })
                .collect::<Result<_, _>>()?;
            Ok(Value::List(list))
        }
        Type::Object(fields) => {
            let Value::Map(mut map) = value else {
                return required();
            };
            let mut out = BTreeMap::new();
            for (name, field) in fields {
                let value = match (map.remove(name), &field.default) {
                    (Some(Value::Null) | None, Some(default)) => default.clone(),
                    (Some(value), _) => convert(value, &field.wanted)
                        .map_err(|why| format!("attribute {name:?}: {why}"))?,
                    (None, None) => return Err(format!("attribute {name:?} is required")),
                };
                out.insert(name.clone(), value);
            }
            Ok(Value::Map(out))
        }
    }
}

/// In the order of a set, each once.
pub(crate) fn as_set(list: &mut Vec<Value>) {
    list.sort_by(order);
    list.dedup();
}

/// The order of a set's elements: numbers by value, texts by their characters, anything else by what it prints as.
pub(crate) fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.compare(b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ => a.to_json().to_string().cmp(&b.to_json().to_string()),
    }
}
