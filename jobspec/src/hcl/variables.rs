//! `variable`, `variables` and `locals` blocks.
//!
//! A variable's value is, weakest first: its default, `NOMAD_VAR_<name>`, `ROVE_VAR_<name>`, the variable files in
//! order, the given values in order. What is given as text stands as it is for a variable of type string or number or
//! of no type, and is an expression for any other. The value of a sensitive variable is never said.

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
    diagnostics::{Diagnostic, Severity, nearest, unknown_argument, unknown_block},
    source::{Source, Span},
    value::Value,
};

struct Variable<'b> {
    name: String,
    place: Span,
    wanted: types::Type,
    /// Whether the declaration says a type.
    typed: bool,
    sensitive: bool,
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
                    let place = variable.value_span.as_ref().unwrap_or(&variable.place);
                    evaluator.found.push(
                        Diagnostic::error(
                            "Invalid value for variable",
                            format!("{what}: {why}."),
                            Some(place.clone()),
                        )
                        .field(format!("variable[{:?}]", variable.name))
                        .hint(format!("the type is {}", variable.wanted.name())),
                    );
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
                    .field(format!("variable[{:?}]", variable.name))
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
        if variable.sensitive {
            evaluator.keep_secret(&value);
        }
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
                let [label] = block.labels.as_slice() else {
                    let summary = if block.labels.is_empty() {
                        "Missing name for variable"
                    } else {
                        "Extraneous label for variable"
                    };
                    evaluator.found.push(Diagnostic::error(
                        summary,
                        "All variable blocks must have 1 labels (name).",
                        Some(header(block)),
                    ));
                    continue;
                };
                let mut variable = Variable {
                    name: label.as_str().to_owned(),
                    place: header(block),
                    wanted: types::Type::Any,
                    typed: false,
                    sensitive: false,
                    value: None,
                    value_span: None,
                    value_is_default: true,
                    validations: block.body.get_blocks("validation").collect(),
                };
                declaration(block, &mut variable, evaluator);
                add(&mut variables, variable, source, evaluator);
            }
            "variables" => {
                only_attributes(block, evaluator);
                for attribute in block.body.attributes() {
                    let variable = Variable {
                        name: attribute.key.as_str().to_owned(),
                        place: span_of(attribute.key.span()),
                        wanted: types::Type::Any,
                        typed: false,
                        sensitive: false,
                        value: Some(evaluator.eval_shallow(&attribute.value)),
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

/// Reports what isn't `name = value` in a block of nothing else.
fn only_attributes(block: &structure::Block, evaluator: &mut Evaluator<'_>) {
    let kind = block.ident.as_str();
    if let Some(label) = block.labels.first() {
        evaluator.found.push(Diagnostic::error(
            format!("Extraneous label for {kind}"),
            format!("No labels are expected for {kind} blocks."),
            super::label_span(label),
        ));
    }
    for inner in block.body.blocks() {
        let finding = unknown_block(inner.ident.as_str(), header(inner), []);
        evaluator
            .found
            .push(finding.hint(format!("{kind} holds names with values: name = {{ … }}")));
    }
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
                    Ok(wanted) => {
                        variable.wanted = wanted;
                        variable.typed = true;
                    }
                    Err(mistake) => evaluator.found.push(Diagnostic::error(
                        "Invalid type specification",
                        mistake.detail,
                        mistake.at.span(),
                    )),
                },
                "default" => {
                    variable.value = Some(evaluator.eval_shallow(&attribute.value));
                    variable.value_span = attribute.value.span();
                }
                "description" => {
                    if !matches!(
                        attribute.value,
                        Expression::String(_) | Expression::HeredocTemplate(_)
                    ) {
                        evaluator.found.push(Diagnostic::error(
                            "Invalid description",
                            "The description of a variable is a plain text.",
                            attribute.value.span(),
                        ));
                    }
                }
                "sensitive" => match evaluator.eval_shallow(&attribute.value) {
                    Value::Bool(sensitive) => variable.sensitive = sensitive,
                    Value::Unknown => {}
                    _ => evaluator.found.push(Diagnostic::error(
                        "Unsuitable value type",
                        "Unsuitable value: a bool is required",
                        attribute.value.span(),
                    )),
                },
                other => evaluator.found.push(unknown_argument(
                    other,
                    span_of(attribute.key.span()),
                    ["type", "default", "description", "sensitive"],
                )),
            },
            Structure::Block(inner) if inner.ident.as_str() == "validation" => {}
            Structure::Block(inner) => evaluator.found.push(unknown_block(
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
                let value = given(text, &key, variable, evaluator);
                set(variable, value);
            }
        }
    }
    let names: Vec<String> = variables.iter().map(|known| known.name.clone()).collect();
    for (name, text) in &options.variable_files {
        for (key, value) in file_values(name, text, evaluator) {
            match variables.iter_mut().find(|known| known.name == key) {
                Some(variable) => set(variable, Some(value)),
                None => undeclared(&key, &format!("in {name}"), &names, options, evaluator),
            }
        }
    }
    for (key, text) in &options.variables {
        match variables.iter_mut().find(|known| known.name == *key) {
            Some(variable) => {
                let value = given(text, &format!("-var {key}"), variable, evaluator);
                set(variable, value);
            }
            None => undeclared(key, "on the command line", &names, options, evaluator),
        }
    }
}

fn set(variable: &mut Variable<'_>, value: Option<Value>) {
    // What is wrong was reported: nothing more is said of it.
    variable.value = Some(value.unwrap_or(Value::Unknown));
    variable.value_span = None;
    variable.value_is_default = false;
}

fn undeclared(
    key: &str,
    place: &str,
    names: &[String],
    options: &ParseOptions,
    evaluator: &mut Evaluator<'_>,
) {
    let near = nearest(key, names.iter().map(String::as_str));
    let mut finding = Diagnostic::error(
        "Undefined variable",
        format!(
            "A {key:?} variable was set {place} but was not found in known variables. To declare variable {key:?}, place a variable block in the job file."
        ),
        None,
    );
    if !options.strict_variables {
        finding.severity = Severity::Warning;
    }
    finding.hint = near.map(|near| format!("did you mean {near:?}?"));
    finding.placeless = true;
    evaluator.found.push(finding);
}

/// A value given as text; `None` where it is wrong, which is reported.
fn given(
    text: &str,
    origin: &str,
    variable: &Variable<'_>,
    evaluator: &mut Evaluator<'_>,
) -> Option<Value> {
    let as_it_stands =
        !variable.typed || matches!(variable.wanted, types::Type::String | types::Type::Number);
    if as_it_stands {
        return Some(Value::String(text.to_owned()));
    }
    let parsed = text.parse::<Expression>().ok();
    let value = parsed.and_then(|expression| match expression {
        // A bare word is no value.
        Expression::Variable(_) | Expression::Traversal(_) => None,
        expression => super::eval::constant(&expression),
    });
    if value.is_some() {
        return value;
    }
    if variable.wanted == types::Type::Any {
        return Some(Value::String(text.to_owned()));
    }
    let said = if variable.sensitive {
        "a text".to_owned()
    } else {
        format!("{text:?}")
    };
    let mut finding = Diagnostic::error(
        "Invalid value for variable",
        format!(
            "{origin} gives {said}, which is no value of type {}.",
            variable.wanted.name()
        ),
        Some(variable.place.clone()),
    )
    .field(format!("variable[{:?}]", variable.name))
    .hint("write it as in a job file: [\"a\", \"b\"], { key = \"value\" }, true");
    finding.placeless = true;
    evaluator.found.push(finding);
    None
}

/// What a variable file sets.
fn file_values(name: &str, text: &str, evaluator: &mut Evaluator<'_>) -> Vec<(String, Value)> {
    let source = Source::new(name, text);
    let fail = |detail: String, evaluator: &mut Evaluator<'_>| {
        let mut finding = Diagnostic::error("Invalid variable file", detail, None);
        finding.placeless = true;
        evaluator.found.push(finding);
    };
    let is_json = std::path::Path::new(name)
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("json"));
    if is_json {
        return match serde_json::from_str::<BTreeMap<String, serde_json::Value>>(&source.text) {
            Ok(map) => map
                .into_iter()
                .map(|(key, value)| (key, Value::from_json(&value)))
                .collect(),
            Err(error) => {
                let text = error.to_string();
                let why = text.split(" at line ").next().unwrap_or_default();
                fail(
                    format!("{name}:{}:{}: {why}", error.line(), error.column()),
                    evaluator,
                );
                Vec::new()
            }
        };
    }
    if let Some(finding) = super::scan::scan(&source.text) {
        let place = finding.span.map(|span| source.position(span.start));
        let place = place.map_or(String::new(), |at| format!(":{}:{}", at.line, at.column));
        fail(format!("{name}{place}: {}", finding.detail), evaluator);
        return Vec::new();
    }
    let body = match hcl_edit::parser::parse_body(&source.text) {
        Ok(body) => body,
        Err(error) => {
            let finding = super::syntax_error(&source, &error);
            let place = error.location();
            fail(
                format!(
                    "{name}:{}:{}: {}",
                    place.line(),
                    place.column(),
                    finding.detail
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
                let value = inner.eval_shallow(&attribute.value);
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
        for attribute in block.body.attributes() {
            let name = attribute.key.as_str();
            if !matches!(name, "condition" | "error_message") {
                evaluator.found.push(unknown_argument(
                    name,
                    span_of(attribute.key.span()),
                    ["condition", "error_message"],
                ));
            }
        }
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
                    Diagnostic::error(summary, detail, Some(place))
                        .related(rule, "the rule")
                        .field(format!("variable[{:?}]", variable.name)),
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
        only_attributes(block, evaluator);
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
        let value = evaluator.eval_shallow(&attribute.value);
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
    for circle in circles(&waiting, &index, &done) {
        let names: Vec<&str> = circle
            .iter()
            .map(|at| waiting[*at].0.key.as_str())
            .collect();
        let first = waiting[circle[0]].0;
        let mut finding = Diagnostic::error(
            "Circular local",
            format!(
                "{} needs its own value: {} → {}.",
                names[0],
                names.join(" → "),
                names[0]
            ),
            first.key.span(),
        );
        if let Some(second) = circle.get(1).and_then(|at| waiting[*at].0.key.span()) {
            finding = finding.related(second, "needed here");
        }
        evaluator.found.push(finding);
    }
    for ((attribute, _), _) in waiting.iter().zip(done).filter(|(_, done)| !done) {
        let name = attribute.key.as_str();
        evaluator.scope.add_to("local", name, Value::Unknown);
    }
}

/// The circles among the locals that have no value, each once.
fn circles(
    waiting: &[(&structure::Attribute, Vec<String>)],
    index: &HashMap<String, usize>,
    done: &[bool],
) -> Vec<Vec<usize>> {
    let mut circles = Vec::new();
    // Which walk has been at a local.
    let mut walked = vec![0; waiting.len()];
    for start in 0..waiting.len() {
        let mut at = start;
        let mut path = Vec::new();
        while !done[at] && walked[at] == 0 {
            walked[at] = start + 1;
            path.push(at);
            let needs = waiting[at].1.iter().filter_map(|need| index.get(need));
            // Each that isn't done needs another such.
            match needs.copied().find(|need| !done[*need]) {
                Some(next) => at = next,
                None => break,
            }
        }
        if walked[at] == start + 1
            && let Some(begin) = path.iter().position(|on| *on == at)
            && path.len() > begin
            && !done[at]
        {
            circles.push(path.split_off(begin));
        }
    }
    circles
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
