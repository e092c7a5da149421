//! The literal text of heredocs: markers (`~`) and the indentation of `<<-` taken away, line by line, in the order
//! in which the reference does it (markers first, each within its own line).

use std::collections::HashMap;

use hcl_edit::{
    Span as _,
    template::{Directive, Element, HeredocTemplate, Strip, Template},
};

use crate::source::Source;

enum Token {
    /// One line, or part of one, of the literal that begins at this byte.
    Text { literal: usize, text: String },
    /// An interpolation or directive; whether it strips before and after itself.
    Mark { before: bool, after: bool },
}

/// The text of every literal of a heredoc, by where it begins in the file.
pub(super) fn literals(source: &Source, heredoc: &HeredocTemplate) -> HashMap<usize, String> {
    let mut tokens = Vec::new();
    collect(source, &heredoc.template, &mut tokens);
    strip(&mut tokens);
    if heredoc.indent().is_some() {
        dedent(&mut tokens);
    }
    let mut texts: HashMap<usize, String> = HashMap::new();
    for token in tokens {
        if let Token::Text { literal, text } = token {
            texts.entry(literal).or_default().push_str(&text);
        }
    }
    texts
}

fn collect(source: &Source, template: &Template, tokens: &mut Vec<Token>) {
    let mark = |strip: Strip| Token::Mark {
        before: matches!(strip, Strip::Start | Strip::Both),
        after: matches!(strip, Strip::End | Strip::Both),
    };
    for element in template {
        match element {
            Element::Literal(text) => {
                let Some(span) = text.span() else { continue };
                let raw = source.slice(&span);
                let raw = raw.replace("$${", "${").replace("%%{", "%{");
                for line in raw.split_inclusive('\n') {
                    tokens.push(Token::Text {
                        literal: span.start,
                        text: line.to_owned(),
                    });
                }
            }
            Element::Interpolation(interpolation) => tokens.push(mark(interpolation.strip)),
            Element::Directive(directive) => match &**directive {
                Directive::If(directive) => {
                    tokens.push(mark(directive.if_expr.strip));
                    collect(source, &directive.if_expr.template, tokens);
                    if let Some(part) = &directive.else_expr {
                        tokens.push(mark(part.strip));
                        collect(source, &part.template, tokens);
                    }
                    tokens.push(mark(directive.endif_expr.strip));
                }
                Directive::For(directive) => {
                    tokens.push(mark(directive.for_expr.strip));
                    collect(source, &directive.for_expr.template, tokens);
                    tokens.push(mark(directive.endfor_expr.strip));
                }
            },
        }
    }
}

fn strip(tokens: &mut [Token]) {
    for index in 0..tokens.len() {
        let Token::Mark { before, after } = tokens[index] else {
            continue;
        };
        if before
            && let Some(Token::Text { text, .. }) =
                index.checked_sub(1).and_then(|index| tokens.get_mut(index))
        {
            text.truncate(text.trim_end().len());
        }
        if after && let Some(Token::Text { text, .. }) = tokens.get_mut(index + 1) {
            *text = text.trim_start().to_owned();
        }
    }
}

fn dedent(tokens: &mut [Token]) {
    let mut at_line_start = true;
    let mut least = usize::MAX;
    let mut lines = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if std::mem::take(&mut at_line_start) {
            let spaces = match token {
                Token::Text { text, .. }
                    if text.trim_start().is_empty() && text.ends_with('\n') =>
                {
                    usize::MAX
                }
                Token::Text { text, .. } => {
                    lines.push(index);
                    text.chars().take_while(|c| c.is_whitespace()).count()
                }
                Token::Mark { .. } => 0,
            };
            least = least.min(spaces);
        }
        if let Token::Text { text, .. } = token {
            at_line_start = text.ends_with('\n');
        }
    }
    for index in lines {
        if let Token::Text { text, .. } = &mut tokens[index] {
            *text = text.chars().skip(least).collect();
        }
    }
}
