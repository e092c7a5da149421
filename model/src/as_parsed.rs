//! A job as a parser gives it, before defaults: what nobody wrote is `null`.
//!
//! The structs of [`crate::job`] keep an empty text or a zero where nothing is said, which is enough for whoever works
//! with a job. A client that looks at a job that was only parsed can tell "not said" from zero, so here is that form.
//! Which fields are `null` is said where they are declared.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};

use crate::job::{
    Declared as _, InOrder, Job, PeriodicConfig,
    declare::{Block, Kind, Stage},
};

/// A job that was read and not canonicalised, for output.
#[derive(Clone, Debug)]
pub struct AsParsed {
    object: Map<String, Json>,
}

impl AsParsed {
    /// The job with what the reference's parser fills in by itself: the name, and the defaults that are declared `at
    /// Parsing`. `written` tells whether the file names a field of the job, by the field's name in job files.
    #[must_use]
    pub fn new(job: &Job, written: &dyn Fn(&str) -> bool) -> Self {
        let mut job = job.clone();
        if job.name.is_empty() {
            job.name.clone_from(&job.id);
        }
        if let Some(periodic) = &mut job.periodic
            && (!periodic.spec.is_empty() || !periodic.specs.is_empty())
        {
            periodic.spec_type.get_or_insert_with(|| "cron".to_owned());
        }
        job.fill_defaults(Stage::Parsing);
        let Ok(Json::Object(mut object)) = serde_json::to_value(&job) else {
            // A job is made of texts, numbers and maps by text: JSON holds it.
            return Self { object: Map::new() };
        };
        leave_null(Job::BLOCK, &mut object, written);
        if let Some(Json::Object(periodic)) = object.get_mut("Periodic") {
            leave_null(PeriodicConfig::BLOCK, periodic, &|_| false);
        }
        Self { object }
    }
}

/// Makes `null` what is declared so and not said.
fn leave_null(
    block: &'static Block,
    object: &mut Map<String, Json>,
    written: &dyn Fn(&str) -> bool,
) {
    let unsaid = (block.unsaid)();
    for field in block.fields {
        let value = object.entry(field.json).or_insert(Json::Null);
        let is_written = matches!(field.kind, Kind::Bool) && written(field.name);
        if field.null && *value == unsaid[field.json] && !is_written {
            *value = Json::Null;
        }
    }
}

impl Serialize for AsParsed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        InOrder::new(Job::BLOCK, &self.object).serialize(serializer)
    }
}
