//! One task: its life as a state machine, its restarts, its events, and what it is told of its surroundings.

pub mod env;
pub mod events;
pub mod hook;
pub mod interpolate;
pub mod machine;
pub mod restart;
