//! `variable`, `variables` and `locals` blocks.
//!
//! A variable's value is, weakest first: its default, `NOMAD_VAR_<name>`, `ROVE_VAR_<name>`, the variable files in
//! order, the given values in order.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use hcl_edit::{
    Span as _,
    expr::{Expression, Traversal, TraversalOperator},
    structure::{self, Structure},
    visit::{Visit, visit_expr, visit_traversal},
};

use super::{eval::Evaluator, header, span_of, types};
use crate::{
    ParseOptions,
    diagnostics::{Diagnostic, nearest},
    source::{Source, Span},
    value::Value,
};

struct Variable<'b> {
    name: String,
    place: Span,
    wanted: types::Type,
    value: Option<Value>,
    /// Where its value is written, if in this file.
    value_span: Option<Span>,
    value_is_default: bool,
    validations: Vec<&'b structure::Block>,
}

/// Puts `var` and `local` into the evaluator's scope.
pub(super) fn define(
    body: &structure::Body,
    source: &Source,
    options: &ParseOptions,
    evaluator: &mut Evaluator<'_>,
) {
    let mut variables = declared(body, source, evaluator);
    set_from_outside(&mut variables, options, evaluator);
    let used = used_variables(body);
    let mut values = BTreeMap::new();
    for variable in &mut variables {
        let value = match variable.value.take() {
            Some(value) => {
                let given = types::convert(value, &variable.wanted);
                given.unwrap_or_else(|why| {
                    let what = if variable.value_is_default {
                        "This default value is not compatible with the variable's type constraint"
                    } else {
                        "The given value is not compatible with the variable's type constraint"
                    };
                    evaluator.found.push(Diagnostic::error(
                        "Invalid value for variable",
                        format!("{what}: {why}."),
                        Some(
                            variable
                                .value_span
                                .clone()
                                .unwrap_or(variable.place.clone()),
                        ),
                    ));
                    Value::Unknown
                })
            }
            None => {
                if used.contains(&variable.name) {
                    let mut finding = Diagnostic::error(
                        format!("Unset variable {:?}", variable.name),
                        "A used variable must be set or have a default value; see https://www.nomadproject.io/docs/job-specification/hcl2/variables for details.",
                        Some(variable.place.clone()),
                    )
                    .hint(format!(
                        "give it with -var {name}=…, in a -var-file, as NOMAD_VAR_{name}, or write a default",
                        name = variable.name
                    ));
                    finding.placeless = true;
                    evaluator.found.push(finding);
                }
                Value::Unknown
            }
        };
        values.insert(variable.name.clone(), value);
    }
    evaluator.scope.set("var", Value::Map(values));
    for variable in &variables {
        validate(variable, source, evaluator);
    }
    locals(body, source, evaluator);
}

/// The declarations with their defaults.
fn declared<'b>(
    body: &'b structure::Body,
    source: &Source,
    evaluator: &mut Evaluator<'_>,
) -> Vec<Variable<'b>> {
    let mut variables: Vec<Variable<'b>> = Vec::new();
    for block in body.blocks() {
        match block.ident.as_str() {
            "variable" => {
                let Some(label) = block.labels.first() else {
                    evaluator.found.push(Diagnostic::error(
                        "Missing name for variable",
                        "All variable blocks must have 1 labels (name).",
                        Some(header(block)),
                    ));
                    continue;
                };
                let mut variable = Variable {
                    name: label.as_str().to_owned(),
                    place: header(block),
                    wanted: types::Type::Any,
                    value: None,
                    value_span: None,
                    value_is_default: true,
                    validations: block.body.get_blocks("validation").collect(),
                };
                declaration(block, &mut variable, evaluator);
                add(&mut variables, variable, source, evaluator);
            }
            "variables" => {
                for attribute in block.body.attributes() {
                    let variable = Variable {
                        name: attribute.key.as_str().to_owned(),
                        place: span_of(attribute.key.span()),
                        wanted: types::Type::Any,
                        value: Some(evaluator.eval(&attribute.value)),
                        value_span: attribute.value.span(),
                        value_is_default: true,
                        validations: Vec::new(),
                    };
                    add(&mut variables, variable, source, evaluator);
                }
            }
            _ => {}
        }
    }
    variables
}

fn declaration(
    block: &structure::Block,
    variable: &mut Variable<'_>,
    evaluator: &mut Evaluator<'_>,
) {
    for item in &block.body {
        match item {
            Structure::Attribute(attribute) => match attribute.key.as_str() {
                "type" => match types::parse(&attribute.value) {
                    Ok(wanted) => variable.wanted = wanted,
                    Err(detail) => evaluator.found.push(Diagnostic::error(
                        "Invalid type specification",
                        detail,
                        attribute.value.span(),
                    )),
                },
                "default" => {
                    variable.value = Some(evaluator.eval(&attribute.value));
                    variable.value_span = attribute.value.span();
                }
                "description" | "sensitive" => {}
                other => evaluator.found.push(super::unknown_argument(
                    other,
                    span_of(attribute.key.span()),
                    ["type", "default", "description", "sensitive"],
                )),
            },
            Structure::Block(inner) if inner.ident.as_str() == "validation" => {}
            Structure::Block(inner) => evaluator.found.push(super::unknown_block(
                inner.ident.as_str(),
                header(inner),
                ["validation"],
            )),
        }
    }
}

fn add<'b>(
    variables: &mut Vec<Variable<'b>>,
    variable: Variable<'b>,
    source: &Source,
    evaluator: &mut Evaluator<'_>,
) {
    match variables.iter().find(|known| known.name == variable.name) {
        Some(first) => evaluator.found.push(
            Diagnostic::error(
                "Duplicate variable",
                format!(
                    "Duplicate {} variable definition found. The first was at {}:{}.",
                    variable.name,
                    source.name,
                    source.range(&first.place)
                ),
                Some(variable.place),
            )
            .related(first.place.clone(), "the first one"),
        ),
        None => variables.push(variable),
    }
}

/// Values from the environment, files and the command line.
fn set_from_outside(
    variables: &mut [Variable<'_>],
    options: &ParseOptions,
    evaluator: &mut Evaluator<'_>,
) {
    for prefix in ["NOMAD_VAR_", "ROVE_VAR_"] {
        for variable in variables.iter_mut() {
            let key = format!("{prefix}{}", variable.name);
            if let Some((_, text)) = options.environment.iter().find(|(name, _)| *name == key) {
                set(variable, given(text, &key, &variable.wanted, evaluator));
            }
        }
    }
    let names: Vec<String> = variables.iter().map(|known| known.name.clone()).collect();
    for (name, text) in &options.variable_files {
        for (key, value) in file_values(name, text, evaluator) {
            match variables.iter_mut().find(|known| known.name == key) {
                Some(variable) => set(variable, Some(value)),
                None => undeclared(&key, &format!("in {name}"), &names, evaluator),
            }
        }
    }
    for (key, text) in &options.variables {
        match variables.iter_mut().find(|known| known.name == *key) {
            Some(variable) => {
                let value = given(text, &format!("-var {key}"), &variable.wanted, evaluator);
                set(variable, value);
            }
            None => undeclared(key, "on the command line", &names, evaluator),
        }
    }
}

fn set(variable: &mut Variable<'_>, value: Option<Value>) {
    if let Some(value) = value {
        variable.value = Some(value);
        variable.value_span = None;
        variable.value_is_default = false;
    }
}

fn undeclared(key: &str, place: &str, names: &[String], evaluator: &mut Evaluator<'_>) {
    let near = nearest(key, names.iter().map(String::as_str));
    let mut finding = Diagnostic::error(
        "Undefined variable",
        format!(
            "A {key:?} variable was set {place} but was not found in known variables. To declare variable {key:?}, place a variable block in the job file."
        ),
        None,
    );
    finding.hint = near.map(|near| format!("did you mean {near:?}?"));
    finding.placeless = true;
    evaluator.found.push(finding);
}

/// A value given as text: for a string as it stands, for anything else an expression.
fn given(
    text: &str,
    origin: &str,
    wanted: &types::Type,
    evaluator: &mut Evaluator<'_>,
) -> Option<Value> {
    if matches!(wanted, types::Type::String) {
        return Some(Value::String(text.to_owned()));
    }
    let parsed = text.parse::<Expression>();
    match parsed {
        Ok(expression) => match literal(&expression, text) {
            Some(value) => Some(value),
            None if *wanted == types::Type::Any => Some(Value::String(text.to_owned())),
            None => {
                invalid_given(text, origin, evaluator);
                None
            }
        },
        Err(_) if *wanted == types::Type::Any => Some(Value::String(text.to_owned())),
        Err(_) => {
            invalid_given(text, origin, evaluator);
            None
        }
    }
}

fn invalid_given(text: &str, origin: &str, evaluator: &mut Evaluator<'_>) {
    let mut finding = Diagnostic::error(
        "Invalid value for variable",
        format!("{origin} gives {text:?}, which is no value of the variable's type."),
        None,
    );
    finding.placeless = true;
    evaluator.found.push(finding);
}

/// An expression of literals, evaluated on its own.
fn literal(expression: &Expression, text: &str) -> Option<Value> {
    if matches!(
        expression,
        Expression::Variable(_) | Expression::Traversal(_)
    ) {
        return None;
    }
    let source = Source::new("value", text);
    let mut evaluator = Evaluator::new(&source, &super::functions::NoFiles);
    let value = evaluator.eval(expression);
    evaluator.found.is_empty().then_some(value)
}

/// What a variable file sets.
fn file_values(name: &str, text: &str, evaluator: &mut Evaluator<'_>) -> Vec<(String, Value)> {
    let source = Source::new(name, text);
    let fail = |detail: String, evaluator: &mut Evaluator<'_>| {
        let mut finding = Diagnostic::error("Invalid variable file", detail, None);
        finding.placeless = true;
        evaluator.found.push(finding);
    };
    let body = match hcl_edit::parser::parse_body(&source.text) {
        Ok(body) => body,
        Err(error) => {
            let place = error.location();
            fail(
                format!(
                    "{name}:{}:{}: {}",
                    place.line(),
                    place.column(),
                    error.message()
                ),
                evaluator,
            );
            return Vec::new();
        }
    };
    let mut inner = Evaluator::new(&source, &super::functions::NoFiles);
    let mut values = Vec::new();
    for item in &body {
        match item {
            Structure::Attribute(attribute) => {
                let value = inner.eval(&attribute.value);
                values.push((attribute.key.as_str().to_owned(), value));
            }
            Structure::Block(block) => fail(
                format!(
                    "{name}: a variable file holds assignments only, not {:?} blocks",
                    block.ident.as_str()
                ),
                evaluator,
            ),
        }
    }
    for finding in inner.found {
        let place = finding.span.map(|span| source.position(span.start));
        let place = place.map_or(String::new(), |at| format!(":{}:{}", at.line, at.column));
        fail(format!("{name}{place}: {}", finding.detail), evaluator);
    }
    values
}

fn validate(variable: &Variable<'_>, source: &Source, evaluator: &mut Evaluator<'_>) {
    for block in &variable.validations {
        let (Some(condition), Some(message)) = (
            block.body.get_attribute("condition"),
            block.body.get_attribute("error_message"),
        ) else {
            evaluator.found.push(Diagnostic::error(
                "Invalid validation",
                "A validation block needs condition and error_message.",
                Some(header(block)),
            ));
            continue;
        };
        let holds = evaluator.eval(&condition.value);
        match holds.to_bool() {
            Some(true) => {}
            Some(false) => {
                let message = evaluator.eval(&message.value).to_text().unwrap_or_default();
                let rule = header(block);
                let summary = if variable.value_is_default {
                    "Invalid value for default variable"
                } else {
                    "Invalid value for variable"
                };
                let detail = format!(
                    "{message}\n\nThis was checked by the validation rule at {}:{}.",
                    source.name,
                    source.range(&rule)
                );
                let place = variable
                    .value_span
                    .clone()
                    .unwrap_or(variable.place.clone());
                evaluator.found.push(
                    Diagnostic::error(summary, detail, Some(place)).related(rule, "the rule"),
                );
            }
            None if holds == Value::Unknown => {}
            None => evaluator.found.push(Diagnostic::error(
                "Invalid validation",
                "The condition must be true or false.",
                condition.value.span(),
            )),
        }
    }
}

/// Locals in an order in which each comes after those it needs.
fn locals(body: &structure::Body, source: &Source, evaluator: &mut Evaluator<'_>) {
    let mut waiting: Vec<(&structure::Attribute, Vec<String>)> = Vec::new();
    let mut seen: HashSet<&str> = HashSet::new();
    for block in body.get_blocks("locals") {
        for attribute in block.body.attributes() {
            let name = attribute.key.as_str();
            let known = !seen.insert(name);
            if known
                && let Some((first, _)) =
                    waiting.iter().find(|(other, _)| other.key.as_str() == name)
            {
                let place = span_of(first.key.span());
                evaluator.found.push(
                    Diagnostic::error(
                        "Duplicate local",
                        format!(
                            "Duplicate {name} local definition found. The first was at {}:{}.",
                            source.name,
                            source.range(&place)
                        ),
                        attribute.key.span(),
                    )
                    .related(place, "the first one"),
                );
                continue;
            }
            waiting.push((attribute, names_under("local", &attribute.value)));
        }
    }
    let index: HashMap<String, usize> = waiting
        .iter()
        .enumerate()
        .map(|(at, (attribute, _))| (attribute.key.as_str().to_owned(), at))
        .collect();
    // How many others each still needs, and who needs it.
    let mut missing = vec![0_usize; waiting.len()];
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); waiting.len()];
    for (at, (_, needs)) in waiting.iter().enumerate() {
        for need in needs.iter().filter_map(|need| index.get(need)) {
            missing[at] += 1;
            needed_by[*need].push(at);
        }
    }
    evaluator.scope.set("local", Value::Map(BTreeMap::new()));
    let mut ready: VecDeque<usize> = (0..waiting.len()).filter(|at| missing[*at] == 0).collect();
    let mut done = vec![false; waiting.len()];
    while let Some(at) = ready.pop_front() {
        let attribute = waiting[at].0;
        let value = evaluator.eval(&attribute.value);
        evaluator
            .scope
            .add_to("local", attribute.key.as_str(), value);
        done[at] = true;
        for next in &needed_by[at] {
            missing[*next] -= 1;
            if missing[*next] == 0 {
                ready.push_back(*next);
            }
        }
    }
    for ((attribute, _), _) in waiting.iter().zip(done).filter(|(_, done)| !done) {
        let name = attribute.key.as_str();
        evaluator.found.push(Diagnostic::error(
            "Circular local",
            format!("{name} needs its own value."),
            attribute.key.span(),
        ));
        evaluator.scope.add_to("local", name, Value::Unknown);
    }
}

/// Names of variables that anything in the file uses.
fn used_variables(body: &structure::Body) -> Vec<String> {
    let mut finder = Finder {
        root: "var",
        names: Vec::new(),
    };
    finder.visit_body(body);
    finder.names
}

fn names_under(root: &'static str, expression: &Expression) -> Vec<String> {
    let mut finder = Finder {
        root,
        names: Vec::new(),
    };
    finder.visit_expr(expression);
    finder.names
}

struct Finder {
    root: &'static str,
    names: Vec<String>,
}

impl Visit for Finder {
    fn visit_expr(&mut self, expression: &Expression) {
        visit_expr(self, expression);
    }

    fn visit_traversal(&mut self, traversal: &Traversal) {
        if let Expression::Variable(root) = &traversal.expr
            && root.as_str() == self.root
            && let Some(first) = traversal.operators.first()
        {
            match first.value() {
                TraversalOperator::GetAttr(name) => self.names.push(name.as_str().to_owned()),
                TraversalOperator::Index(Expression::String(name)) => {
                    self.names.push(name.as_str().to_owned());
                }
                _ => {}
            }
        }
        visit_traversal(self, traversal);
    }
}
