//! The commands, a folder or file for each noun.

pub mod alloc;
pub mod completion;
pub mod deployment;
pub mod eval;
pub mod files;
pub mod job;
pub mod lookup;
pub mod monitor;
pub mod node;
pub mod operator;
pub mod server;
pub mod status;
pub mod system;
pub mod version;
