//! `completion` and the manual pages, from clap's description of all commands.

use clap_complete::Shell;

use crate::command::{Command, Context};
use crate::failure::{Failure, Outcome, plain};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "completion",
        usage: "completion <bash|zsh|fish>",
        about: "Prints a script that completes commands and flags in a shell.\n\n\
                bash: source <(rove completion bash). zsh: rove completion zsh > \"${fpath[1]}/_rove\". fish: rove \
                completion fish > ~/.config/fish/completions/rove.fish.",
        flags: &[],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(completion(cx)),
    },
    Command {
        name: "man-pages",
        usage: "man-pages <folder>",
        about: "Writes a manual page for each command into a folder, which is made if it is missing.",
        flags: &[],
        verb: false,
        misuse: 1,
        run: |cx| Box::pin(man_pages(cx)),
    },
];

async fn completion(cx: &mut Context) -> Outcome {
    let complaint = "This command takes one argument: <bash|zsh|fish>";
    let [shell] = cx.arguments(complaint)?;
    let shell = match shell.as_str() {
        "bash" => Shell::Bash,
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => return Err(Failure::usage(complaint)),
    };
    let mut script = Vec::new();
    let mut all = (cx.all_commands)(&cx.program);
    clap_complete::generate(shell, &mut all, cx.program.clone(), &mut script);
    cx.ui.write(&script);
    Ok(0)
}

async fn man_pages(cx: &mut Context) -> Outcome {
    let [folder] = cx.arguments("This command takes one argument: <folder>")?;
    let all = (cx.all_commands)(&cx.program);
    let path = cx.folder.join(&folder);
    let made = std::fs::create_dir_all(&path);
    made.and_then(|()| clap_mangen::generate_to(all, &path))
        .map_err(|e| {
            Failure::new(format!(
                "Manual pages can't be written to {folder:?}: {}",
                plain(&e)
            ))
        })?;
    Ok(0)
}
