#![allow(clippy::expect_used)]

use super::*;

fn formatted(text: &str) -> String {
    format("a.hcl", text).unwrap_or_else(|findings| panic!("{findings}\n{text}"))
}

#[test]
fn each_rule_of_the_layout_holds() {
    for (what, given, expected) in [
        (
            "indentation",
            "a {\nb {\n\tc = 1\n    }\n }\n",
            "a {\n  b {\n    c = 1\n  }\n}\n",
        ),
        (
            "equal signs in a column",
            "a = 1\nlong=2\n\nb =3\n",
            "a    = 1\nlong = 2\n\nb = 3\n",
        ),
        (
            "a comment between parts the column",
            "a = 1\n# c\nlong = 2\n",
            "a = 1\n# c\nlong = 2\n",
        ),
        (
            "comments in a column",
            "a = 1 # x\nlong = 22   // y\nb {} /* z */\n",
            "a    = 1  # x\nlong = 22 // y\nb {}      /* z */\n",
        ),
        (
            "an object of several lines stands alone",
            "long = 1\na = {\nb=1\ncc=2\n}\n",
            "long = 1\na = {\n  b  = 1\n  cc = 2\n}\n",
        ),
        (
            "labels and braces",
            "job   \"a\"\"b\"{\n}\n",
            "job \"a\" \"b\" {\n}\n",
        ),
        ("an empty block", "a { }\nb{}\n", "a {}\nb {}\n"),
        (
            "a block on one line",
            "port \"http\" {to=8080}\n",
            "port \"http\" { to = 8080 }\n",
        ),
        ("a list", "a = [ 1,2 , 3 ]\n", "a = [1, 2, 3]\n"),
        (
            "a list of several lines",
            "a = [\n1,\n  [2,\n3],\n]\n",
            "a = [\n  1,\n  [2,\n  3],\n]\n",
        ),
        (
            "brackets opened together",
            "a = f([{\nb = 1\n}])\n",
            "a = f([{\n  b = 1\n}])\n",
        ),
        ("operators", "a = 1+2*-3 - -b\n", "a = 1 + 2 * -3 - -b\n"),
        ("not", "a = ! b&&!(c==d)\n", "a = !b && !(c == d)\n"),
        ("a conditional", "a = b?c:-1\n", "a = b ? c : -1\n"),
        (
            "calls and indexes",
            "a = f (b [0], c . d, e...)\n",
            "a = f(b[0], c.d, e...)\n",
        ),
        ("a splat", "a = b [*] . c\n", "a = b[*].c\n"),
        (
            "for expressions",
            "a = {for k,v in (b):k=>v if v!=null}\nc = [for x in [1,2]:x]\n",
            "a = { for k, v in (b) : k => v if v != null }\nc = [for x in [1, 2] : x]\n",
        ),
        (
            "an object on one line",
            "a = {b=1,\"c\"=2}\n",
            "a = { b = 1, \"c\" = 2 }\n",
        ),
        (
            "strings keep their inside",
            "a   = \"${ b.c }  $${ x ${f(\"}\")} %{ if x }y%{ endif }\"\n",
            "a = \"${ b.c }  $${ x ${f(\"}\")} %{ if x }y%{ endif }\"\n",
        ),
        (
            "heredocs keep their lines, and their arguments the column",
            "a {\ndata = <<EOH\n  x   =  1\nEOH\ndestination=\"x\"\nb = <<-X\n   y\n  X\n}\n",
            "a {\n  data        = <<EOH\n  x   =  1\nEOH\n  destination = \"x\"\n  b           = <<-X\n   y\n  X\n}\n",
        ),
        (
            "blank lines stay",
            "\n\na = 1\n  \n\nb = 2\n\n",
            "\n\na = 1\n\n\nb = 2\n\n",
        ),
        ("the last line gets its end", "a = 1", "a = 1\n"),
        ("a comment at the end", "a = 1 # c", "a = 1 # c\n"),
        (
            "blanks behind a comment go",
            "a = 1 # c  \n// d\t\n",
            "a = 1 # c\n// d\n",
        ),
        ("nothing", "", ""),
        ("only a comment", "  # c\n", "# c\n"),
        (
            "ends of lines as on Windows",
            "a {\r\nb=1\r\n}\r\n",
            "a {\r\n  b = 1\r\n}\r\n",
        ),
        (
            "a comment of several lines",
            "a {\n/* x\n   y */\nb = 1\n}\n",
            "a {\n  /* x\n   y */\n  b = 1\n}\n",
        ),
        (
            "columns count characters",
            "ä = 1\nbb = 2\n",
            "ä  = 1\nbb = 2\n",
        ),
        ("a mark of the byte order goes", "\u{feff}a=1\n", "a = 1\n"),
    ] {
        // `f([{` and its like need a body that parses.
        let ours = formatted(given);
        assert_eq!(ours, expected, "{what}");
        assert_eq!(formatted(&ours), ours, "{what}, again");
    }
}

#[test]
fn what_is_no_hcl_is_refused_with_its_place() {
    for (text, place) in [
        ("a {\n b = \n}\n", (2, 6)),
        ("a {\n", (2, 1)),
        ("a = \"x\n", (1, 7)),
    ] {
        let findings = format("a.hcl", text).expect_err(text);
        assert_eq!(findings.position(&findings.list[0]), Some(place), "{text}");
    }
}

#[test]
fn a_change_of_a_token_is_noticed() {
    assert!(same_tokens("a  = [1,2]", "a = [1, 2]\n"));
    for (before, after) in [
        ("a = 1", "a = 2"),
        ("a = \"x  y\"", "a = \"x y\""),
        ("a = 1\nb = 2", "a = 1 b = 2"),
        ("a = b - c", "a = b-c"),
        ("a = 1\n", "a = 1"),
    ] {
        assert!(!same_tokens(before, after), "{before:?} and {after:?}");
    }
}

const SAMPLE: &str = r#"# what it is
job "web" { # c
  type        = "service"
  datacenters = ["dc1", "dc2"] // d
  meta = {
    "a.b" = "${ NOMAD_ALLOC_ID }"
    c     = -1
  }

  group "app" {
    count = var.n > 1 && !var.off ? var.n * 2 : 1
    network {
      port "http" { to = 8080 }
    }
    dynamic "task" {
      for_each = [for x in ["a", "b"] : upper(x) if x != "c"]
      labels   = [task.value]
      content {
        driver = "exec"
        config {
          args = concat(local.list[0], local.all[*].name...)
          script = <<-EOH
            a   =  ${ b.c }
          EOH
          last = { for k, v in local.m : k => v }
        }
      }
    }
  }
}
"#;

/// The tokens of a text with other blanks between them: none only where there were none.
fn with_other_blanks(text: &str, mut blanks: impl Iterator<Item = u8>) -> String {
    let mut out = String::new();
    let mut end = 0;
    for token in tokens::tokens(text) {
        let had_some = token.span.start > end;
        let count = usize::from(blanks.next().unwrap_or(0) % 4) + usize::from(had_some);
        let tab = blanks.next().unwrap_or(0).is_multiple_of(3);
        out.extend(std::iter::repeat_n(if tab { '\t' } else { ' ' }, count));
        out.push_str(&text[token.span.clone()]);
        end = token.span.end;
    }
    out
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(rove_testkit::cases(64)))]

    #[test]
    fn blanks_between_tokens_make_no_difference(blanks in proptest::collection::vec(proptest::prelude::any::<u8>(), 600)) {
        let other = with_other_blanks(SAMPLE, blanks.into_iter());
        let expected = formatted(SAMPLE);
        proptest::prop_assert_eq!(formatted(&other), expected);
    }

    #[test]
    fn no_text_makes_it_panic_and_what_is_laid_out_stays(text in "[a-c ={}\\[\\]()\"$%<>\\-#/*\\n\\t.,?:!&é0-9]{0,60}|(?s).{0,60}") {
        if let Ok(once) = format("a.hcl", &text) {
            proptest::prop_assert_eq!(format("a.hcl", &once).ok(), Some(once));
        }
        let _ = tokens::tokens(&text);
    }

    #[test]
    fn damaged_hcl_is_refused_or_laid_out_for_good(at in 0_usize..900, cut in 0_usize..20, insert in "[ \\n={}\\[\\]\"$<~a#-]{0,4}") {
        let at = at.min(SAMPLE.len());
        let end = (at + cut).min(SAMPLE.len());
        let mut text = SAMPLE.to_owned();
        text.replace_range(at..end, &insert);
        if let Ok(once) = format("a.hcl", &text) {
            proptest::prop_assert_eq!(format("a.hcl", &once).ok(), Some(once));
        }
    }
}
