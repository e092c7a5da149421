//! The tables, by what they describe.

mod connect;
mod files;
mod gateway;
mod group;
mod job;
mod placement;
mod policy;
mod resources;
mod service;
mod shapes;
mod task;

pub use job::JOB;

use super::{Field, Kind};

const fn row(
    name: &'static str,
    plural: &'static str,
    json: &'static str,
    kind: Kind,
    doc: &'static str,
) -> Field {
    Field {
        name,
        plural,
        json,
        kind,
        doc,
        default: "",
        unit: "",
        values: &[],
    }
}
