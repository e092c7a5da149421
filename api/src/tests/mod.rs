#![allow(clippy::unwrap_used)]

mod blocking;
mod client;
mod golden;
mod limits;
mod mistakes;
mod parse;
mod reads;
mod schemas;
mod world;
mod writes;
