//! `for` expressions.

use hcl_edit::{Span as _, expr::ForExpr};

use super::*;

impl Evaluator<'_> {
    pub(super) fn for_expression(&mut self, expression: &ForExpr) -> Value {
        let collection = self.eval(&expression.intro.collection_expr);
        let type_name = collection.type_name();
        let unknown = collection == Value::Unknown;
        let Some(pairs) = pairs(collection) else {
            if unknown {
                return Value::Unknown;
            }
            if type_name == "null" {
                return self.fail(
                    "Iteration over null value",
                    "A null value cannot be used as the collection in a 'for' expression.",
                    expression.intro.collection_expr.span(),
                );
            }
            return self.fail(
                "Iteration over non-iterable value",
                format!(
                    "A value of type {type_name} cannot be used as the collection in a 'for' expression."
                ),
                expression.intro.collection_expr.span(),
            );
        };
        let mut list = Vec::new();
        let mut map: BTreeMap<String, Value> = BTreeMap::new();
        let mark = self.scope.mark();
        for (key, value) in pairs {
            self.scope.back_to(mark);
            if let Some(name) = &expression.intro.key_var {
                self.scope.set(name.as_str(), key);
            }
            self.scope.set(expression.intro.value_var.as_str(), value);
            if let Some(condition) = &expression.cond {
                let holds = self.eval(&condition.expr);
                match holds.to_bool() {
                    Some(true) => {}
                    Some(false) => continue,
                    None if holds == Value::Unknown => continue,
                    None => {
                        let (summary, detail) = if holds == Value::Null {
                            (
                                "Condition is null",
                                "The value of the 'if' clause must not be null.",
                            )
                        } else {
                            (
                                "Invalid 'for' condition",
                                "The 'if' clause value is invalid: a bool is required.",
                            )
                        };
                        self.fail(summary, detail, condition.expr.span());
                        break;
                    }
                }
            }
            let key = expression
                .key_expr
                .as_ref()
                .map(|key| (self.eval(key), key.span()));
            let value = self.eval(&expression.value_expr);
            if self.exhausted {
                break;
            }
            let Some((key, key_span)) = key else {
                list.push(value);
                continue;
            };
            let Some(name) = key.to_text() else {
                if key != Value::Unknown {
                    let detail = if key == Value::Null {
                        "Key expression in 'for' expression must not produce a null value."
                    } else {
                        "The key expression produced an invalid result: string required."
                    };
                    self.fail("Invalid object key", detail, key_span);
                }
                continue;
            };
            if expression.grouping {
                match map.entry(name).or_insert_with(|| Value::List(Vec::new())) {
                    Value::List(group) => group.push(value),
                    other => *other = value,
                }
                continue;
            }
            match map.entry(name) {
                Entry::Vacant(entry) => {
                    entry.insert(value);
                }
                Entry::Occupied(entry) => {
                    let detail = format!(
                        "Two different items produced the key {:?} in this 'for' expression. If duplicates are expected, use the ellipsis (...) after the value expression to enable grouping by key.",
                        entry.key()
                    );
                    self.fail("Duplicate object key", detail, key_span);
                }
            }
        }
        self.scope.back_to(mark);
        if self.exhausted {
            return Value::Unknown;
        }
        if expression.key_expr.is_some() {
            Value::Map(map)
        } else {
            Value::List(list)
        }
    }
}

/// Keys and values of what can be iterated over.
pub(crate) fn pairs(value: Value) -> Option<Vec<(Value, Value)>> {
    match value {
        Value::List(list) => Some(
            (0_i128..)
                .zip(list)
                .map(|(index, value)| (Value::int(index), value))
                .collect(),
        ),
        Value::Map(map) => Some(
            map.into_iter()
                .map(|(key, value)| (Value::String(key), value))
                .collect(),
        ),
        _ => None,
    }
}
