//! Jobs that hold every block, and diffs in a form that is quick to read.

use rove_model::{
    diff::{DiffType, FieldDiff, JobDiff, ObjectDiff},
    job::Job,
};
use serde_json::Value;

const WHOLE_JOB: &str = r#"{
    "ID": "j", "Name": "j", "Type": "service", "Priority": 50, "Datacenters": ["dc1", "dc2"], "Meta": {"a": "1"},
    "Constraints": [{"LTarget": "${attr.kernel.name}", "RTarget": "linux", "Operand": "="}],
    "Affinities": [{"LTarget": "${node.datacenter}", "RTarget": "dc1", "Operand": "=", "Weight": 50}],
    "Spreads": [{"Attribute": "${node.datacenter}", "Weight": 50,
        "SpreadTarget": [{"Value": "dc1", "Percent": 70}]}],
    "Periodic": {"Spec": "0 * * * *"},
    "ParameterizedJob": {"Payload": "optional", "MetaRequired": ["a"], "MetaOptional": ["b"]},
    "Multiregion": {"Strategy": {"MaxParallel": 1, "OnFailure": "fail_all"},
        "Regions": [{"Name": "west", "Count": 2, "Datacenters": ["w1"]}]},
    "TaskGroups": [{
        "Name": "g", "Count": 1, "Meta": {"x": "y"},
        "EphemeralDisk": {"SizeMB": 300},
        "Update": {"MaxParallel": 1, "Stagger": 30000000000},
        "Networks": [{"Mode": "bridge", "Hostname": "h", "DNS": {"Servers": ["1.1.1.1"]},
            "DynamicPorts": [{"Label": "db", "To": 6379}], "ReservedPorts": [{"Label": "ssh", "Value": 22}]}],
        "Consul": {"Namespace": "ns"},
        "Scaling": {"Min": 1, "Max": 5, "Policy": {"cooldown": "1m"}},
        "Volumes": {"data": {"Type": "csi", "Source": "vol", "AccessMode": "single-node-writer",
            "AttachmentMode": "file-system", "MountOptions": {"FSType": "ext4", "MountFlags": ["ro"]}}},
        "Services": [
            {"Name": "s", "PortLabel": "db", "Tags": ["a", "b"], "Meta": {"m": "1"}, "Checks": [
                {"Name": "up", "Type": "http", "Path": "/", "Interval": 10000000000,
                    "Timeout": 2000000000, "Header": {"X": ["1"]}, "CheckRestart": {"Limit": 3}}]},
            {"Name": "mesh", "PortLabel": "9000", "Connect": {
                "SidecarService": {"Port": "19001", "Proxy": {"LocalServicePort": 8080,
                    "Upstreams": [{"DestinationName": "db", "LocalBindPort": 1}]}},
                "SidecarTask": {"Driver": "docker", "Resources": {"CPU": 250}}}},
            {"Name": "gate", "PortLabel": "9001", "Connect": {"Gateway": {
                "Proxy": {"EnvoyGatewayBindAddresses": {"in": {"Name": "in", "Address": "0.0.0.0", "Port": 80}}},
                "Ingress": {"Listeners": [{"Port": 8080, "Protocol": "http",
                    "Services": [{"Name": "web", "Hosts": ["a"]}]}]}}}}
        ],
        "Tasks": [{
            "Name": "t", "Driver": "docker", "User": "u",
            "Config": {"image": "redis:3.2", "args": ["a"], "port_map": [{"db": 6379}]},
            "Env": {"A": "1"},
            "Resources": {"CPU": 100, "MemoryMB": 64, "Devices": [{"Name": "nvidia/gpu", "Count": 1,
                "Constraints": [{"LTarget": "${device.attr.memory}", "RTarget": "2 GiB", "Operand": ">="}]}]},
            "Artifacts": [{"GetterSource": "https://a", "RelativeDest": "local/"}],
            "Templates": [{"DestPath": "local/a", "EmbeddedTmpl": "x", "Wait": {"Min": 1, "Max": 3},
                "ChangeMode": "script", "ChangeScript": {"Command": "/bin/reload", "Args": ["r"]}}],
            "Vault": {"Policies": ["p"]},
            "DispatchPayload": {"File": "in"},
            "Lifecycle": {"Hook": "poststart"},
            "VolumeMounts": [{"Volume": "data", "Destination": "/d"}],
            "Identity": {"Env": true},
            "CSIPluginConfig": {"ID": "p", "Type": "node"},
            "ScalingPolicies": [{"Type": "vertical_cpu", "Max": 500}]
        }, {"Name": "u", "Driver": "raw_exec", "Config": {"command": "sleep"}}]
    }]
}"#;

/// A job with every block of the specification.
pub fn whole_job() -> Value {
    serde_json::from_str(WHOLE_JOB).expect("JSON")
}

/// The job as it would be stored.
pub fn canonical(job: &Value) -> Job {
    let mut job: Job = serde_json::from_value(job.clone()).expect("a job");
    job.server_canonicalize();
    job
}

/// Everything that changed, a line each: the objects around it with their marks, then the field.
pub fn lines(diff: &JobDiff) -> Vec<String> {
    let mut out = Vec::new();
    block("", &diff.fields, &diff.objects, &mut out);
    for group in &diff.task_groups {
        let place = format!("{}{} ", mark(group.kind), group.name);
        let before = out.len();
        block(&place, &group.fields, &group.objects, &mut out);
        for task in &group.tasks {
            let place = format!("{place}{}{} ", mark(task.kind), task.name);
            let before = out.len();
            block(&place, &task.fields, &task.objects, &mut out);
            if task.kind != DiffType::None && out.len() == before {
                out.push(place.trim_end().to_owned());
            }
        }
        if group.kind != DiffType::None && out.len() == before {
            out.push(place.trim_end().to_owned());
        }
    }
    out
}

fn mark(kind: DiffType) -> &'static str {
    match kind {
        DiffType::None => "",
        DiffType::Added => "+",
        DiffType::Deleted => "-",
        DiffType::Edited => "~",
    }
}

fn block(place: &str, fields: &[FieldDiff], objects: &[ObjectDiff], out: &mut Vec<String>) {
    for field in fields {
        let text = match field.kind {
            DiffType::None => continue,
            DiffType::Added => field.new.clone(),
            DiffType::Deleted => field.old.clone(),
            DiffType::Edited => format!("{} => {}", field.old, field.new),
        };
        out.push(format!("{place}{}{}: {text}", mark(field.kind), field.name));
    }
    for object in objects {
        let place = format!("{place}{}{} ", mark(object.kind), object.name);
        let before = out.len();
        block(&place, &object.fields, &object.objects, out);
        if object.kind != DiffType::None && out.len() == before {
            out.push(place.trim_end().to_owned());
        }
    }
}
