#![allow(clippy::unwrap_used)]

mod feeding;
mod memory;
mod script;
mod taking_in;
