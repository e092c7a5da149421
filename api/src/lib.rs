//! The HTTP API: `/v1` as Nomad's clients expect it.
//!
//! It decides nothing: it validates, writes what is wanted to the store, and answers from State. Paths, shapes,
//! status codes and texts are Nomad 1.6's; what rove does not have yet is refused by name.

mod answer;
mod blocking;
mod body;
mod call;
mod connections;
pub mod context;
mod error;
mod filter;
mod local;
mod long_work;
mod origin;
mod page;
mod proof;
mod proxy;
mod quota;
mod routes;
mod serve;
#[cfg(test)]
mod tests;
mod time;
mod view;
mod write;

pub use context::{AgentInfo, ApiContext, Mode, ServerSide, Sources, SystemSources};
pub use local::LocalAgent;
pub use routes::{openapi, router};
pub use serve::{Limits, serve};
