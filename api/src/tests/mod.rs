#![allow(clippy::unwrap_used)]

mod blocking;
mod client;
mod golden;
mod mistakes;
mod parse;
mod reads;
mod world;
mod writes;
