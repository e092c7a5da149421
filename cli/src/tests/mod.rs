//! Commands against recorded answers, their text against the recorded text of the reference.

#![allow(clippy::unwrap_used, missing_docs)]

mod allocs;
mod completion;
mod documents;
mod files;
mod jobs;
mod misc;
mod mistakes;
mod recorded;
mod refusals;
mod runs;
mod server;
mod verbs;
mod words;

use std::io::{Cursor, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::clock::Clock;
use crate::dispatch::{self, World};
use crate::env::Env;
use crate::ui::Ui;

/// What a command left behind.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    pub out: String,
    pub err: String,
    pub code: u8,
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// How a test calls the program.
pub struct Call {
    pub program: &'static str,
    pub vars: Vec<(String, String)>,
    pub input: String,
    pub now: i64,
    pub folder: PathBuf,
    pub live: bool,
}

impl Call {
    pub fn to(address: &str) -> Self {
        Self {
            program: "nomad",
            vars: vec![("NOMAD_ADDR".to_owned(), address.to_owned())],
            input: String::new(),
            now: 0,
            folder: std::env::temp_dir(),
            live: false,
        }
    }

    pub fn at(mut self, now: i64) -> Self {
        self.now = now;
        self
    }

    pub fn typing(mut self, input: &str) -> Self {
        self.input = input.to_owned();
        self
    }

    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    pub async fn run(&self, words: &[&str]) -> Ran {
        let (out, err) = (Sink::default(), Sink::default());
        let code = self.run_into(words, &out, &err).await;
        Ran {
            out: out.text(),
            err: err.text(),
            code,
        }
    }

    /// Runs a command that does not end by itself until its output is as wanted.
    pub async fn run_until(&self, words: &[&str], wanted: impl Fn(&str) -> bool) -> String {
        let (out, err) = (Sink::default(), Sink::default());
        let enough = async {
            while !wanted(&out.text()) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            code = self.run_into(words, &out, &err) => panic!("it ended with {code}: {} {}", out.text(), err.text()),
            () = enough => out.text(),
            () = tokio::time::sleep(rove_testkit::PATIENCE) => panic!("only this came: {}", out.text()),
        }
    }

    async fn run_into(&self, words: &[&str], out: &Sink, err: &Sink) -> u8 {
        let mut ui = Ui::plain(
            Box::new(out.clone()),
            Box::new(err.clone()),
            Box::new(Cursor::new(self.input.clone().into_bytes())),
        );
        ui.live = self.live;
        let world = World {
            program: self.program.to_owned(),
            env: Env::from_pairs(self.vars.iter().map(|(k, v)| (k.as_str(), v.as_str()))),
            ui,
            clock: Clock::Fixed(self.now),
            folder: self.folder.clone(),
        };
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        dispatch::run(&words, world).await.0
    }
}
