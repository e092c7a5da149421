//! A job as JSON in the API's shape and order: what was said, no more and no less.

use rove_model::job::{
    Declared as _, InOrder, Job,
    declare::{Block, Kind},
};
use serde::Serialize;
use serde_json::{Map, Value as Json};

/// A job that was read, under `Job`, in the API's order: what it says, no more and no less.
pub(crate) fn as_written(job: &Job) -> String {
    #[derive(Serialize)]
    struct Wrapped<'a> {
        #[serde(rename = "Job")]
        job: InOrder<'a>,
    }
    // A job is made of texts, numbers and maps by text: JSON holds it, and memory takes it.
    let Ok(Json::Object(mut object)) = serde_json::to_value(job) else {
        return String::new();
    };
    leave_out_unsaid(Job::BLOCK, &mut object);
    let mut out = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut out, format);
    let job = InOrder::new(Job::BLOCK, &object);
    if (Wrapped { job }).serialize(&mut writer).is_err() {
        return String::new();
    }
    out.push(b'\n');
    String::from_utf8_lossy(&out).into_owned()
}

/// Takes out what reads the same when it is left out. A block that is there stays, even if it says nothing.
fn leave_out_unsaid(block: &'static Block, object: &mut Map<String, Json>) {
    let unsaid = (block.unsaid)();
    for field in block.fields {
        let Some(value) = object.get_mut(field.json) else {
            continue;
        };
        if value.is_null() || *value == unsaid[field.json] {
            object.remove(field.json);
            continue;
        }
        match (field.kind, value) {
            (Kind::Block(inner), Json::Object(object)) => leave_out_unsaid(inner, object),
            (Kind::Blocks(inner), Json::Array(list)) => {
                for object in list.iter_mut().filter_map(Json::as_object_mut) {
                    leave_out_unsaid(inner, object);
                }
            }
            (Kind::NamedBlocks(inner), Json::Object(map)) => {
                for object in map.values_mut().filter_map(Json::as_object_mut) {
                    leave_out_unsaid(inner, object);
                }
            }
            _ => {}
        }
    }
}
