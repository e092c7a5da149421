//! Commands with a deadline, and conditions that are waited for.

use std::{
    io::Read,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

pub use rove_testkit::{PATIENCE, available, workspace};

/// What a command printed and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
}

impl Output {
    /// Its standard output, when it ended with `code`.
    ///
    /// # Panics
    /// When it did not.
    #[must_use]
    pub fn expect_code(self, code: i32) -> String {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self.stdout
    }

    /// Its standard output, when it ended with 0.
    ///
    /// # Panics
    /// When it did not.
    #[must_use]
    pub fn ok(self) -> String {
        self.expect_code(0)
    }
}

/// Runs `command` to its end, or kills it when [`PATIENCE`] is at its end.
///
/// # Panics
/// When it can't be started.
pub fn run(command: &mut Command) -> Output {
    let what = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{what} can't be started: {error}"));
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let status = wait(&mut child).unwrap_or_else(|| {
        let _ = child.kill();
        let _ = child.wait();
        panic!("{what} did not end within {PATIENCE:?}")
    });
    Output {
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
        code: status.code().unwrap_or(-1),
    }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Waits for `child`; `None` when it still runs after [`PATIENCE`].
pub fn wait(child: &mut Child) -> Option<ExitStatus> {
    let end = Instant::now() + PATIENCE;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(10)),
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Waits until `condition` gives a value, and gives it.
///
/// # Panics
/// When it gives none within [`PATIENCE`]; says what was waited for and what `condition` said last.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match condition() {
            Ok(value) => return value,
            Err(last) => {
                assert!(
                    Instant::now() < end,
                    "{what}: not within {PATIENCE:?}; last: {last}"
                );
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// The rove binary under test: `$ROVE_BIN`, or the one beside this program, or beside this test's own folder.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn rove() -> PathBuf {
    if let Some(path) = std::env::var_os("ROVE_BIN") {
        return path.into();
    }
    let program = std::env::current_exe().expect("a running program knows its path");
    let mut beside = program
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("rove"));
    beside.find(|path| path.is_file()).unwrap_or_else(|| {
        panic!(
            "no rove beside {}: build the binary `rove` in the same profile first",
            program.display()
        )
    })
}
