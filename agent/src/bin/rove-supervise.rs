//! `rove supervise` alone, for tests of this crate, which has no `rove` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    rove_agent::supervisor::main(&args)
}
