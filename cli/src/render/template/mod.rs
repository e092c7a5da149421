//! Templates written as Go's `text/template` has them, over JSON: what people use with `-t`.
//!
//! Fields, variables, pipelines, `if`/`else`, `range`, `with`, `break`, `continue`, comparisons, `and`/`or`/`not`,
//! `index`, `len`, `print`, `printf`, `println`. Named templates are refused.

mod eval;
mod parse;
mod printf;

use serde_json::Value;

/// Why a template can't be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TemplateError {
    /// It is not written right.
    #[error("template: format:{line}: {message}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// It asks for what can't be done with this value.
    #[error("template: format: executing \"format\" at <{at}>: {message}")]
    Run {
        /// The action.
        at: String,
        /// What is wrong.
        message: String,
    },
}

/// `data` through `template`.
pub fn render(template: &str, data: &Value) -> Result<String, TemplateError> {
    let nodes = parse::parse(template)?;
    eval::run(&nodes, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> Value {
        serde_json::json!({
            "ID": "cache", "Status": "running", "Priority": 50, "Stable": true, "Meta": null, "Score": 0.5,
            "Big": 1795324588194454788_i64,
            "Datacenters": ["dc1", "dc2"],
            "TaskGroups": [{"Name": "a", "Count": 1, "Tasks": [{"Name": "t"}]}, {"Name": "b", "Count": 3, "Tasks": []}],
            "Attr": {"kernel.name": "linux", "cpu": "x"},
        })
    }

    #[test]
    fn templates_that_people_write_work() {
        let cases = [
            ("{{.ID}} {{.Status}}", "cache running"),
            ("{{ .ID -}}   \n x", "cachex"),
            ("a \n {{- .ID}}", "acache"),
            (
                "{{range .TaskGroups}}{{.Name}}={{.Count}} {{end}}",
                "a=1 b=3 ",
            ),
            (
                "{{range $i, $g := .TaskGroups}}{{if $i}}, {{end}}{{$g.Name}}{{end}}",
                "a, b",
            ),
            (
                "{{range $k, $v := .Attr}}{{$k}}:{{$v}};{{end}}",
                "cpu:x;kernel.name:linux;",
            ),
            ("{{range .Meta}}x{{else}}none{{end}}", "none"),
            (
                "{{if and .Stable (gt .Priority 10)}}yes{{else}}no{{end}}",
                "yes",
            ),
            (
                "{{if eq .Status \"dead\" \"running\"}}known{{end}}",
                "known",
            ),
            ("{{if not .Meta}}empty{{else if .ID}}full{{end}}", "empty"),
            (
                "{{with .Datacenters}}{{index . 1}} of {{len .}}{{end}}",
                "dc2 of 2",
            ),
            ("{{index .Attr \"kernel.name\"}}", "linux"),
            ("{{(index .TaskGroups 0).Name}}", "a"),
            (
                "{{printf \"%-6s|%3d|%q|%v|%.2f|%05d|%t|%%\" .ID .Priority .ID .Datacenters .Score 42 .Stable}}",
                "cache | 50|\"cache\"|[dc1 dc2]|0.50|00042|true|%",
            ),
            ("{{.ID | printf \"%s!\" | len}}", "6"),
            (
                "{{$x := .ID}}{{range .Datacenters}}{{$x}}-{{.}} {{$.Priority}} {{end}}",
                "cache-dc1 50 cache-dc2 50 ",
            ),
            ("{{/* nothing */}}{{`raw`}}{{\"\\n\"}}", "raw\n"),
            ("{{.Nope}}|{{.Meta}}", "<no value>|<no value>"),
            ("{{.Attr}}", "map[cpu:x kernel.name:linux]"),
            (
                "{{range .TaskGroups}}{{if eq .Name \"b\"}}{{break}}{{end}}{{.Name}}{{end}}",
                "a",
            ),
            (
                "{{range .TaskGroups}}{{if eq .Name \"a\"}}{{continue}}{{end}}{{.Name}}{{end}}",
                "b",
            ),
            ("{{.Big}} {{.Score}}", "1795324588194454788 0.5"),
            ("{{println .ID 1 2}}", "cache 1 2\n"),
            ("{{or .Meta .ID}} {{and .ID .Meta}}", "cache <no value>"),
            ("{{slice .ID 1 3}}", "ac"),
            (
                "{{$n := 0}}{{range .TaskGroups}}{{$n = .Count}}{{end}}{{$n}}",
                "3",
            ),
        ];
        for (template, expected) in cases {
            assert_eq!(
                render(template, &data()).as_deref(),
                Ok(expected),
                "{template}"
            );
        }
    }

    #[test]
    fn a_template_that_is_wrong_is_refused_with_its_place() {
        let cases = [
            ("{{.ID", "unclosed action"),
            ("\n{{if .ID}}x", "unexpected EOF"),
            ("{{end}}", "unexpected {{end}}"),
            ("{{else}}", "unexpected {{else}}"),
            ("{{frob .ID}}", "function \"frob\" not defined"),
            ("{{$x}}", "undefined variable \"$x\""),
            ("{{template \"x\"}}", "named templates are not supported"),
            ("{{.ID.Name}}", "can't evaluate field Name"),
            ("{{index .Datacenters 9}}", "out of range"),
            ("{{range .ID}}{{end}}", "can't iterate over"),
            ("{{lt .ID 3}}", "incompatible types for comparison"),
            ("{{\"open}}", "unterminated"),
            ("{{}}", "missing value for command"),
            ("{{(.ID}}", "unclosed left paren"),
            ("{{break}}", "outside"),
        ];
        for (template, part) in cases {
            let error = render(template, &data()).map_err(|e| e.to_string());
            assert!(
                error.as_ref().is_err_and(|e| e.contains(part)),
                "{template}: {error:?}"
            );
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_crash() {
        let deep = format!("{{{{{}.ID{}}}}}", "(".repeat(5_000), ")".repeat(5_000));
        assert!(render(&deep, &data()).is_err());
        let deep = format!("{}x{}", "{{if .ID}}".repeat(5_000), "{{end}}".repeat(5_000));
        assert!(render(&deep, &data()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_a_template_panic(text in "[{}().|$a-z\"`:=, %d0-9/*-]{0,60}", any in ".{0,40}") {
            let _ = render(&text, &data());
            let _ = render(&any, &data());
            let _ = render(&format!("{{{{{text}}}}}"), &data());
            let _ = render(&format!("{{{{printf {any:?} .ID .Priority}}}}"), &data());
        }
    }
}
