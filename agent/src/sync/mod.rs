//! What passes between the agent and the store: what is wanted comes in, statuses and the node's own keys go out.

use std::time::Duration;

/// The longest pause before a call that failed is tried again: short enough that an outage isn't much longer here than
/// for others, and with 5,000 nodes some thousand calls a second.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(crate) mod desired;
pub(crate) mod registration;
pub(crate) mod status;
