#![allow(clippy::unwrap_used)]

mod blocked;
mod cache;
mod causes;
mod dry_run;
mod every_node;
mod lifecycle;
mod placement;
mod properties;
mod reference;
mod rollout;
