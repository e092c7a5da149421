#![allow(clippy::unwrap_used)]

mod feeding;
mod memory;
mod script;
mod tables;
mod taking_in;
