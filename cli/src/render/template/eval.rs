//! From a tree and a value to text.

use std::cmp::Ordering;

use serde_json::Value;

use super::parse::{Expr, Node, Pipeline};
use super::{TemplateError, printf};

const FUNCTIONS: &[&str] = &[
    "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index", "slice", "print",
    "printf", "println",
];

/// A template may call it.
pub fn is_function(name: &str) -> bool {
    FUNCTIONS.contains(&name)
}

/// The text.
pub fn run(nodes: &[Node], data: &Value) -> Result<String, TemplateError> {
    let mut scope = Scope {
        variables: vec![("$".to_owned(), data.clone())],
        out: String::new(),
    };
    scope.nodes(nodes, data)?;
    Ok(scope.out)
}

#[derive(PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct Scope {
    variables: Vec<(String, Value)>,
    out: String,
}

impl Scope {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, TemplateError> {
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    /// Variables that a block declares are gone after it.
    fn block(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, TemplateError> {
        let known = self.variables.len();
        let flow = self.nodes(nodes, dot);
        self.variables.truncate(known);
        flow
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, TemplateError> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.set.is_none() {
                    self.out.push_str(&printf::show(&value));
                }
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::If(arms, otherwise) => {
                for (condition, body) in arms {
                    let known = self.variables.len();
                    let holds = truth(&self.pipeline(condition, dot)?);
                    if holds {
                        let flow = self.block(body, dot);
                        self.variables.truncate(known);
                        return flow;
                    }
                }
                return self.block(otherwise, dot);
            }
            Node::With(on, body, otherwise) => {
                let known = self.variables.len();
                let value = self.pipeline(on, dot)?;
                let flow = if truth(&value) {
                    self.block(body, &value)
                } else {
                    self.block(otherwise, dot)
                };
                self.variables.truncate(known);
                return flow;
            }
            Node::Range {
                names,
                over,
                body,
                otherwise,
            } => {
                let value = self.pipeline(over, dot)?;
                let items: Vec<(Value, Value)> = match &value {
                    Value::Null => Vec::new(),
                    Value::Array(items) => items
                        .iter()
                        .enumerate()
                        .map(|(i, v)| (Value::from(i), v.clone()))
                        .collect(),
                    Value::Object(map) => {
                        let mut pairs: Vec<_> = map.iter().collect();
                        pairs.sort_by_key(|(k, _)| (*k).clone());
                        pairs
                            .into_iter()
                            .map(|(k, v)| (Value::String(k.clone()), v.clone()))
                            .collect()
                    }
                    other => {
                        return Err(wrong(
                            over,
                            format!("range can't iterate over {}", printf::show(other)),
                        ));
                    }
                };
                if items.is_empty() {
                    return self.block(otherwise, dot);
                }
                for (key, item) in items {
                    let known = self.variables.len();
                    match names.as_slice() {
                        [one] => self.variables.push((one.clone(), item.clone())),
                        [first, second] => {
                            self.variables.push((first.clone(), key));
                            self.variables.push((second.clone(), item.clone()));
                        }
                        _ => {}
                    }
                    let flow = self.block(body, &item);
                    self.variables.truncate(known);
                    if flow? == Flow::Break {
                        break;
                    }
                }
            }
        }
        Ok(Flow::On)
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, TemplateError> {
        let mut last: Option<Value> = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, dot, last, pipeline)?);
        }
        let value = last.unwrap_or(Value::Null);
        if let Some((name, declare)) = &pipeline.set {
            match self.variables.iter_mut().rev().find(|(n, _)| n == name) {
                Some((_, slot)) if !declare => *slot = value.clone(),
                None if !declare => {
                    return Err(wrong(pipeline, format!("undefined variable {name:?}")));
                }
                _ => self.variables.push((name.clone(), value.clone())),
            }
        }
        Ok(value)
    }

    fn command(
        &mut self,
        command: &[Expr],
        dot: &Value,
        last: Option<Value>,
        at: &Pipeline,
    ) -> Result<Value, TemplateError> {
        let Some((first, rest)) = command.split_first() else {
            return Ok(Value::Null);
        };
        if let Expr::Function(name) = first {
            let mut args = Vec::with_capacity(rest.len() + 1);
            for expr in rest {
                args.push(self.operand(expr, dot, at)?);
            }
            args.extend(last);
            return call(name, &args).map_err(|message| wrong(at, message));
        }
        if !rest.is_empty() || last.is_some() {
            return Err(wrong(at, "can't give argument to non-function"));
        }
        self.operand(first, dot, at)
    }

    fn operand(&mut self, expr: &Expr, dot: &Value, at: &Pipeline) -> Result<Value, TemplateError> {
        match expr {
            Expr::Literal(value) => Ok(value.clone()),
            Expr::Dot(fields) => field(dot, fields, at),
            Expr::Variable(name, fields) => {
                let found = self
                    .variables
                    .iter()
                    .rev()
                    .find(|(n, _)| n == name)
                    .map(|(_, v)| v.clone());
                let value =
                    found.ok_or_else(|| wrong(at, format!("undefined variable {name:?}")))?;
                field(&value, fields, at)
            }
            Expr::Group(pipeline, fields) => {
                let value = self.pipeline(pipeline, dot)?;
                field(&value, fields, at)
            }
            Expr::Function(name) => call(name, &[]).map_err(|message| wrong(at, message)),
        }
    }
}

fn wrong(at: &Pipeline, message: impl Into<String>) -> TemplateError {
    TemplateError::Run {
        at: at.source.clone(),
        message: message.into(),
    }
}

fn field(value: &Value, fields: &[String], at: &Pipeline) -> Result<Value, TemplateError> {
    let mut current = value;
    for name in fields {
        current = match current {
            Value::Object(map) => map.get(name).unwrap_or(&Value::Null),
            Value::Null => &Value::Null,
            other => {
                return Err(wrong(
                    at,
                    format!("can't evaluate field {name} in {}", printf::show(other)),
                ));
            }
        };
    }
    Ok(current.clone())
}

fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(s) => !s.is_empty(),
        Value::Array(a) => !a.is_empty(),
        Value::Object(o) => !o.is_empty(),
    }
}

fn call(name: &str, args: &[Value]) -> Result<Value, String> {
    let needs = |count: usize| {
        if args.len() == count {
            Ok(())
        } else {
            Err(format!(
                "wrong number of args for {name}: want {count} got {}",
                args.len()
            ))
        }
    };
    match name {
        "and" | "or" => {
            let wanted = name == "or";
            let found = args.iter().find(|a| truth(a) == wanted).or(args.last());
            found
                .cloned()
                .ok_or_else(|| format!("wrong number of args for {name}: want at least 1 got 0"))
        }
        "not" => needs(1).map(|()| Value::Bool(!truth(&args[0]))),
        "eq" => match args {
            [first, rest @ ..] if !rest.is_empty() => {
                for other in rest {
                    if compare(first, other)? == Some(Ordering::Equal) {
                        return Ok(Value::Bool(true));
                    }
                }
                Ok(Value::Bool(false))
            }
            _ => Err("missing argument for comparison".to_owned()),
        },
        "ne" => needs(2).and_then(|()| {
            Ok(Value::Bool(
                compare(&args[0], &args[1])? != Some(Ordering::Equal),
            ))
        }),
        "lt" | "le" | "gt" | "ge" => {
            needs(2)?;
            let order = compare(&args[0], &args[1])?.ok_or("incompatible types for comparison")?;
            Ok(Value::Bool(match name {
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                _ => order.is_ge(),
            }))
        }
        "len" => {
            needs(1)?;
            let length = match &args[0] {
                Value::String(s) => s.len(),
                Value::Array(a) => a.len(),
                Value::Object(o) => o.len(),
                Value::Null => 0,
                other => return Err(format!("len of type {}", printf::show(other))),
            };
            Ok(Value::from(length))
        }
        "index" => {
            let Some((first, keys)) = args.split_first() else {
                return Err("missing value for index".to_owned());
            };
            let mut current = first.clone();
            for key in keys {
                current = match (&current, key) {
                    (Value::Array(items), Value::Number(n)) => {
                        let at = n.as_u64().and_then(|n| usize::try_from(n).ok());
                        let found = at.and_then(|at| items.get(at));
                        found.cloned().ok_or_else(|| {
                            format!("error calling index: index out of range: {n}")
                        })?
                    }
                    (Value::Object(map), Value::String(key)) => {
                        map.get(key).cloned().unwrap_or(Value::Null)
                    }
                    (Value::Null, _) => {
                        return Err("error calling index: index of untyped nil".to_owned());
                    }
                    (other, _) => {
                        return Err(format!(
                            "error calling index: can't index {}",
                            printf::show(other)
                        ));
                    }
                };
            }
            Ok(current)
        }
        "slice" => slice(args),
        "print" => Ok(Value::String(
            args.iter().map(printf::show).collect::<Vec<_>>().join(" "),
        )),
        "println" => Ok(Value::String(
            args.iter().map(printf::show).collect::<Vec<_>>().join(" ") + "\n",
        )),
        "printf" => match args.split_first() {
            Some((Value::String(format), rest)) => Ok(Value::String(printf::printf(format, rest))),
            _ => Err("printf needs a format".to_owned()),
        },
        other => Err(format!("function {other:?} not defined")),
    }
}

fn slice(args: &[Value]) -> Result<Value, String> {
    let Some((first, bounds)) = args.split_first() else {
        return Err("missing value for slice".to_owned());
    };
    let bound = |index: usize, default: usize| match bounds.get(index) {
        None => Ok(default),
        Some(value) => value
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| {
                "error calling slice: cannot index slice/array with this type".to_owned()
            }),
    };
    let range = "error calling slice: index out of range";
    match first {
        Value::String(text) => {
            let (from, to) = (bound(0, 0)?, bound(1, text.len())?);
            text.get(from..to)
                .map(|t| Value::String(t.to_owned()))
                .ok_or_else(|| range.to_owned())
        }
        Value::Array(items) => {
            let (from, to) = (bound(0, 0)?, bound(1, items.len())?);
            items
                .get(from..to)
                .map(|t| Value::Array(t.to_vec()))
                .ok_or_else(|| range.to_owned())
        }
        other => Err(format!(
            "error calling slice: can't slice {}",
            printf::show(other)
        )),
    }
}

fn compare(a: &Value, b: &Value) -> Result<Option<Ordering>, String> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => Ok(match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a
                .as_f64()
                .unwrap_or(0.0)
                .partial_cmp(&b.as_f64().unwrap_or(0.0)),
        }),
        (Value::String(a), Value::String(b)) => Ok(Some(a.cmp(b))),
        (Value::Bool(a), Value::Bool(b)) => Ok(Some(a.cmp(b))),
        (Value::Null, Value::Null) => Ok(Some(Ordering::Equal)),
        (Value::Null, _) | (_, Value::Null) => Ok(None),
        _ => Err("incompatible types for comparison".to_owned()),
    }
}
