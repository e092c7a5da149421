//! The loops, one module each: what wakes them and what they decide.

pub mod alloc;
pub mod applier;
pub mod asking;
pub mod deployment;
mod gains;
pub mod gc;
pub mod job;
pub mod node;
pub mod scheduler;
#[cfg(test)]
pub(crate) mod testing;
