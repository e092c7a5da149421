#![allow(clippy::unwrap_used)]

use super::*;

const FLAGS: &[Flag] = &[
    switch("detach", "Do not wait."),
    number("check-index", "index", "Only if unchanged."),
    many("var", "name=value", "A variable."),
    text("output", "wide|json", "How to print.").also(&["o"]),
];

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn read(text: &str) -> Result<Parsed, ParseError> {
    parse(&words(text), &[FLAGS], false)
}

#[test]
fn flags_take_one_dash_or_two_a_blank_or_an_equal_sign() {
    for text in [
        "-check-index 7 -detach file",
        "--check-index=7 --detach file",
        "-check-index=7 -detach=true file",
        "file -detach --check-index 7",
        "-detach=1 -check-index 7 -- file",
    ] {
        let parsed = read(text).unwrap();
        assert_eq!(parsed.number("check-index"), Some(7), "{text}");
        assert!(parsed.is("detach"), "{text}");
        assert_eq!(parsed.positional, ["file"], "{text}");
    }
}

#[test]
fn a_lone_dash_is_an_argument_and_two_dashes_end_the_flags() {
    assert_eq!(read("-detach -").unwrap().positional, ["-"]);
    assert_eq!(read("-- -detach").unwrap().positional, ["-detach"]);
}

#[test]
fn a_switch_can_be_turned_off_and_a_repeated_flag_keeps_all() {
    let parsed = read("-detach=false -var a=1 -var b=2=3").unwrap();
    assert!(!parsed.is("detach"));
    assert_eq!(parsed.switch("detach"), Some(false));
    assert_eq!(parsed.all("var"), ["a=1", "b=2=3"]);
    assert_eq!(parsed.switch("nothing"), None);
}

#[test]
fn what_is_wrong_is_said_in_gos_words() {
    let cases = [
        ("-bogus x", "flag provided but not defined: -bogus"),
        ("--bogus=3", "flag provided but not defined: -bogus"),
        ("-check-index", "flag needs an argument: -check-index"),
        (
            "-check-index x",
            "invalid value \"x\" for flag -check-index: parse error",
        ),
        (
            "-detach=maybe",
            "invalid boolean value \"maybe\" for -detach: parse error",
        ),
        ("---detach", "bad flag syntax: ---detach"),
        ("-=x", "bad flag syntax: -=x"),
        ("-ojson", "flag provided but not defined: -ojson"),
    ];
    for (text, message) in cases {
        assert_eq!(read(text).unwrap_err().to_string(), message);
    }
    assert_eq!(read("x -h"), Err(ParseError::Help));
    assert_eq!(read("--help"), Err(ParseError::Help));
}

#[test]
fn a_short_flag_may_have_its_value_attached_where_kubectls_verbs_have_it() {
    let parsed = parse(&words("jobs -ojson"), &[FLAGS], true).unwrap();
    assert_eq!(parsed.last("output"), Some("json"));
    let parsed = parse(&words("-o=wide jobs"), &[FLAGS], true).unwrap();
    assert_eq!(parsed.last("output"), Some("wide"));
    for unknown in ["-oyaml", "-outputjson", "-dtrue"] {
        assert!(parse(&words(unknown), &[FLAGS], true).is_err(), "{unknown}");
    }
    assert_eq!(
        parse(&words("--ojson"), &[FLAGS], true).unwrap_err(),
        ParseError::Unknown {
            name: "ojson".into(),
            near: None
        }
    );
}

#[test]
fn a_value_may_begin_with_a_character_of_several_bytes() {
    assert_eq!(
        parse(&words("-é"), &[FLAGS], true).unwrap_err(),
        ParseError::Unknown {
            name: "é".into(),
            near: None
        }
    );
}

#[test]
fn help_names_every_flag_once() {
    let text = help::of_command(
        "rove job run [options] <path>",
        "Runs a job.\n\nAnd waits.",
        &[FLAGS, COMMON],
    );
    assert!(
        text.starts_with("Usage: rove job run [options] <path>\n\n  Runs a job.\n\n  And waits.\n")
    );
    for flag in FLAGS.iter().chain(COMMON) {
        let shown = text
            .lines()
            .filter(|l| l.split([' ', ',']).any(|w| w == format!("-{}", flag.name)))
            .count();
        assert!(shown >= 1, "{} is shown", flag.name);
    }
    assert!(text.contains("\n  -o, -output <wide|json>\n      How to print.\n"));
}

proptest::proptest! {
    #[test]
    fn no_words_make_the_parser_panic(words in proptest::collection::vec("[-=a-zé0-9]{0,12}|.{0,6}", 0..6)) {
        let _ = parse(&words, &[FLAGS, COMMON], true);
        let _ = parse(&words, &[FLAGS, COMMON], false);
    }
}
