//! What in a file is HCL1 and not HCL2, so that a file taken as HCL1 unasked can say why and how to modernise it.

use std::collections::BTreeMap;

use super::literal;
use crate::{diagnostics::Diagnostic, source::Span};

/// Something that HCL2 does not take, or takes otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// `"name" = …` or `"job" "x" {` in a block.
    QuotedName,
    /// `a.b = …`
    DottedName,
    /// `config = { … }`
    AssignedBlock,
    /// `constraint = [{ … }]`
    ListOfBlocks,
    /// `group { "x" { … } }`
    LabelInside,
    /// `a = 1,` in a block.
    Comma,
    /// `port "x" { static = 1 to = 2 }`
    OneLine,
    /// Two `config` blocks.
    Merged,
    /// `datacenters = "dc1"`
    SingleForList,
    /// `enabled = 1`, `count = "0x2"`
    LooseValue,
    /// `\x41`
    Escape,
    /// `${A:-b}`
    OddInterpolation,
    /// `%{`
    OddDirective,
    /// `0x1f`, `0644`
    NumberForm,
    /// The file is JSON.
    Json,
    /// `DEBUG = true` in `env`: HCL2 takes it too, but for another text.
    BoolAsDigit,
}

impl Why {
    /// What it is, in words that go on after "it was read as HCL1: ".
    fn what(self) -> &'static str {
        match self {
            Self::QuotedName => "a name stands in quotes",
            Self::DottedName => "a name has a dot in it",
            Self::AssignedBlock => "a block is assigned with \"=\"",
            Self::ListOfBlocks => "blocks are written as a list",
            Self::LabelInside => "a block's name stands inside of it",
            Self::Comma => "a comma separates two lines of a block",
            Self::OneLine => "a block of several items stands on one line",
            Self::Merged => "two blocks of one kind are taken together",
            Self::SingleForList => "one value stands for a list",
            Self::LooseValue => "a value has another type than its field",
            Self::Escape => "a text has an escape that only HCL1 knows",
            Self::OddInterpolation => "a \"${\" is meant as it stands",
            Self::OddDirective => "a \"%{\" is meant as it stands",
            Self::NumberForm => "a number is not decimal",
            Self::Json => "the file is JSON",
            Self::BoolAsDigit => "a bool stands for a text, which is then 1 or 0",
        }
    }

    /// How HCL2 has it.
    fn how(self) -> &'static str {
        match self {
            Self::QuotedName => {
                "leave the quotes away; a name that needs them goes into a map: meta = { \"a.b\" = \"c\" }"
            }
            Self::DottedName => "put it into a map, in quotes: meta = { \"a.b\" = \"c\" }",
            Self::AssignedBlock => "leave the \"=\" away: config { … }",
            Self::ListOfBlocks => {
                "write each element as a block of its own, without \"= [\" and \"]\""
            }
            Self::LabelInside => "write the name before the brace: group \"x\" { … }",
            Self::Comma => "leave the comma away",
            Self::OneLine => "put each item on a line of its own",
            Self::Merged => "write one block with all that the two hold",
            Self::SingleForList => "put it into brackets: [\"dc1\"]",
            Self::LooseValue => "write it as what it is: true, 2",
            Self::Escape => "write the character itself, or \\uNNNN",
            Self::OddInterpolation => "write $${ for a \"${\" that the task is to see",
            Self::OddDirective => "write %%{ for a \"%{\" that the task is to see",
            Self::NumberForm => "write the number in decimal digits",
            Self::Json => "write it as HCL, or as the API's JSON",
            Self::BoolAsDigit => "write the text that is meant, in quotes: \"true\"",
        }
    }
}

/// What a file shows about its language.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// For each reason the first place and how often there is one.
    seen: BTreeMap<Why, (Span, usize)>,
    /// Something that only HCL2 gives a meaning to: such a file is never taken as HCL1 unasked.
    of_hcl2: bool,
    /// What is taken as HCL1 takes it and most likely is a slip.
    slips: Vec<Diagnostic>,
    /// There were any.
    has_slips: bool,
    /// How many `${` were looked at.
    interpolations: usize,
}

impl Marks {
    /// Remembers one.
    pub(crate) fn note(&mut self, why: Why, span: Span) {
        let seen = self.seen.entry(why).or_insert((span, 0));
        seen.1 += 1;
    }

    /// Interpolations that are looked at.
    const MAX_INTERPOLATIONS: usize = 10_000;
    /// The most slips that are told.
    const MAX_SLIPS: usize = 20;

    /// Something that is taken but hardly meant.
    pub(super) fn slip(&mut self, slip: Diagnostic) {
        self.has_slips = true;
        if self.slips.len() < Self::MAX_SLIPS {
            self.slips.push(slip);
        }
    }

    /// A number with a zero in front.
    pub(super) fn octal(&mut self, span: Span, written: &str, value: i128) {
        self.note(Why::NumberForm, span.clone());
        self.slip(
            Diagnostic::warning(
                "Octal number",
                format!("{written} begins with 0, so HCL1 reads it as octal: it is {value}."),
                Some(span),
            )
            .hint(format!("if the digits are meant, write \"{written}\"")),
        );
    }

    /// Looks at the `${…}` and `%{…}` of a text that begins at `start`.
    pub(super) fn templates(&mut self, raw: &str, start: usize) {
        let mut rest = raw;
        while let Some(at) = rest.find(['$', '%']) {
            let sign = &rest[at..];
            let place = start + (raw.len() - rest.len()) + at;
            if sign.starts_with("$${") || sign.starts_with("%%{") {
                // An escape of HCL2; HCL1 leaves it as it is.
                self.of_hcl2 = true;
                rest = &sign[3..];
            } else if sign.starts_with("${") {
                self.interpolations += 1;
                if self.interpolations > Self::MAX_INTERPOLATIONS {
                    // Nobody knows what is in the others.
                    self.of_hcl2 = true;
                    return;
                }
                let sign = window(sign);
                let end = literal::interpolation_end(sign);
                let inside = sign[2..end].strip_suffix('}').unwrap_or(&sign[2..end]);
                match interpolation(inside.trim()) {
                    Interpolation::Runtime => {}
                    Interpolation::OfHcl2 => self.of_hcl2 = true,
                    Interpolation::Odd => {
                        self.note(Why::OddInterpolation, place..place + end);
                    }
                }
                // Only the opening is passed over: there may be others within.
                rest = &rest[at + 2..];
            } else if let Some(inside) = sign.strip_prefix("%{") {
                let word = inside.trim_start_matches(['~', ' ']);
                if ["if ", "for ", "else", "endif", "endfor"]
                    .iter()
                    .any(|directive| word.starts_with(directive))
                {
                    self.of_hcl2 = true;
                } else {
                    self.note(Why::OddDirective, place..place + 2);
                }
                rest = inside;
            } else {
                rest = &sign[1..];
            }
        }
    }

    /// It is sound HCL1 that HCL2 does not take: it may be taken as HCL1 unasked.
    pub(crate) fn explain(&self) -> bool {
        self.speak_for_hcl1() && !self.has_slips
    }

    /// Something in it is HCL1 alone, and nothing speaks for HCL2.
    pub(crate) fn speak_for_hcl1(&self) -> bool {
        let mut reasons = self.seen.keys().filter(|why| **why != Why::BoolAsDigit);
        reasons.next().is_some() && !self.of_hcl2
    }

    /// What is hardly meant, to be told as warnings.
    pub(crate) fn take_slips(&mut self) -> Vec<Diagnostic> {
        std::mem::take(&mut self.slips)
    }

    /// Why the file was taken as HCL1, and what to change.
    pub(crate) fn warnings(&self) -> Vec<Diagnostic> {
        let told = |(why, (span, count)): (&Why, &(Span, usize))| {
            let more = match count {
                1 => String::new(),
                2 => " (here and once more)".to_owned(),
                count => format!(" (here and {} times more)", count - 1),
            };
            Diagnostic::warning(
                "Job file in HCL1",
                format!(
                    "HCL2 does not take this file, so it was read as HCL1, the language of 2017: {}{more}.",
                    why.what()
                ),
                Some(span.clone()),
            )
            .hint(format!("{}; or say -hcl1 to have it read so without a warning", why.how()))
        };
        let mut warnings: Vec<_> = self.seen.iter().map(told).collect();
        warnings.sort_by_key(|warning| warning.span.as_ref().map(|span| span.start));
        warnings
    }
}

/// The beginning of a text, long enough for any interpolation that is sound: what never closes would else be looked
/// through from each of its openings to the end.
fn window(text: &str) -> &str {
    const LENGTH: usize = 1024;
    let end = (LENGTH.min(text.len())..=text.len()).find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(text.len())]
}

#[derive(Debug, PartialEq, Eq)]
enum Interpolation {
    /// Filled in on the node: `${attr.cpu.arch}`.
    Runtime,
    /// HCL2 evaluates it: `${var.x}`, `${upper("x")}`.
    OfHcl2,
    /// Neither.
    Odd,
}

fn interpolation(inside: &str) -> Interpolation {
    let word_end = inside
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(inside.len());
    let (word, rest) = inside.split_at(word_end);
    if matches!(word, "var" | "local" | "each") && rest.starts_with(['.', '[']) {
        return Interpolation::OfHcl2;
    }
    if !word.is_empty() && rest.trim_start().starts_with('(') {
        return Interpolation::OfHcl2;
    }
    let plain =
        |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']' | '"' | '/');
    if inside.starts_with(|c: char| c.is_alphabetic() || c == '_') && inside.chars().all(plain) {
        return Interpolation::Runtime;
    }
    Interpolation::Odd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolations_speak_for_hcl2_for_hcl1_or_for_neither() {
        for (inside, expected) in [
            ("attr.kernel.name", Interpolation::Runtime),
            ("NOMAD_PORT_http", Interpolation::Runtime),
            ("env[\"HOME\"]", Interpolation::Runtime),
            ("meta.my-key", Interpolation::Runtime),
            ("var.image", Interpolation::OfHcl2),
            ("local[\"x\"]", Interpolation::OfHcl2),
            ("upper(meta.x)", Interpolation::OfHcl2),
            ("variable.x", Interpolation::Runtime),
            ("HOME:-/root}", Interpolation::Odd),
            ("", Interpolation::Odd),
            ("1 + 2", Interpolation::Odd),
        ] {
            assert_eq!(interpolation(inside), expected, "{inside}");
        }
    }

    #[test]
    fn a_text_of_hcl2_is_never_taken_for_hcl1() {
        for (text, of_hcl2, seen) in [
            ("${var.x}", true, 0),
            ("$${x}", true, 0),
            ("%{ if x }", true, 0),
            ("%{~ for x in y ~}", true, 0),
            ("100%{x", false, 1),
            ("${A:-${B}} ${C}", false, 1),
            ("${A:-${var.b}}", true, 1),
            ("cost: 5$, 5%", false, 0),
            ("${", false, 1),
        ] {
            let mut marks = Marks::default();
            marks.templates(text, 0);
            assert_eq!((marks.of_hcl2, marks.seen.len()), (of_hcl2, seen), "{text}");
        }
    }
}
