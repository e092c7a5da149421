//! What the end-to-end tests and benches share: the built binary, hosts, commands with a deadline, conditions waited for.

pub mod cluster;
pub mod command;
pub mod dev;
pub mod engine;
pub mod etcd;
pub mod measure;
pub mod netns;
pub mod text;
pub mod tls;
