//! The whole agent over a store in memory: with the mock driver under a clock that stands still, and with processes.
#![allow(clippy::unwrap_used)] // tests

mod faults;
mod flaky;
mod forgotten;
mod life;
mod processes;
mod recovery;
mod world;
