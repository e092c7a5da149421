//! What passes between the agent and the store: what is wanted comes in, statuses and the node's own keys go out.

pub(crate) mod desired;
pub(crate) mod registration;
pub(crate) mod status;
