//! What packagers and shells take from the description of all commands.

use super::Call;
use crate::args::description::{self, Purpose};
use crate::catalogue;

#[test]
fn every_command_is_described_soundly() {
    catalogue::described("rove").debug_assert();
    for name in catalogue::names() {
        let command = catalogue::named(name).unwrap();
        description::command(command.name, command.flags, Purpose::Parsing).debug_assert();
    }
}

#[tokio::test]
async fn each_shell_is_told_of_every_command_and_its_flags() {
    let call = Call::to("http://127.0.0.1:9");
    for (shell, flags) in [
        (
            "bash",
            ["--check-index", "--replicas", "--bootstrap-expect"],
        ),
        ("zsh", ["--check-index", "--replicas", "--bootstrap-expect"]),
        (
            "fish",
            ["-l check-index", "-l replicas", "-l bootstrap-expect"],
        ),
    ] {
        let ran = call.run(&["completion", shell]).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{shell}");
        for name in catalogue::names().filter(|name| *name != "man-pages") {
            for word in name.split(' ') {
                assert!(ran.out.contains(word), "{name} in {shell}");
            }
        }
        for word in flags.iter().chain(&["alloc-status", "agent"]) {
            assert!(ran.out.contains(word), "{word} in {shell}");
        }
    }
    let ran = call.run(&["completion", "tcsh"]).await;
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("<bash|zsh|fish>"), "{ran:?}");
}

#[tokio::test]
async fn a_manual_page_is_written_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let call = Call::to("http://127.0.0.1:9").folder(folder.path());
    let ran = call.run(&["man-pages", "."]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for name in catalogue::names().filter(|name| *name != "man-pages") {
        let page = format!("nomad-{}.1", name.replace(' ', "-"));
        let text = std::fs::read_to_string(folder.path().join(&page)).expect(&page);
        assert!(text.contains(".SH NAME"), "{page}: {text}");
    }
    let page = std::fs::read_to_string(folder.path().join("nomad-job-run.1")).unwrap();
    assert!(page.contains("check\\-index"), "{page}");
    let ran = call.run(&["man-pages", "made/for/them"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(folder.path().join("made/for/them/nomad.1").exists());
    std::fs::write(folder.path().join("file"), "").unwrap();
    let ran = call.run(&["man-pages", "file/below"]).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("can't be written to \"file/below\": "),
        "{ran:?}"
    );
}
