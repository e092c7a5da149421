//! Jobs that must be refused: at the right place, for the right field, in words that help.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rove_jobspec::{Diagnostics, ParseOptions, parse_hcl, parse_json, to_yaml};
use rove_model::validate::validate;
use serde_json::json;

/// Everything that is wrong with a job file, when it is read or when the job is looked at.
fn complaints(text: &str) -> Option<Diagnostics> {
    let parsed = match parse_hcl("job.hcl", text, &ParseOptions::default()) {
        Ok(parsed) => parsed,
        Err(findings) => return Some(findings),
    };
    let mut job = parsed.job.clone();
    job.server_canonicalize();
    let report = validate(&job).errors;
    (!report.is_empty()).then(|| parsed.locate(&report))
}

/// A whole job around the text, with every brace at the end of a line.
fn file(text: &str) -> String {
    let whole = match text.split_once(' ') {
        Some(("job:", text)) => {
            format!("job \"j\" {{ {text}\n group \"g\" {{ task \"t\" {{ driver = \"d\" }} }} }}")
        }
        Some(("task:", text)) => {
            format!("job \"j\" {{ group \"g\" {{ task \"t\" {{ {text}\n driver = \"d\" }} }} }}")
        }
        _ => format!("job \"j\" {{ group \"g\" {{ {text}\n task \"t\" {{ driver = \"d\" }} }} }}"),
    };
    whole.replace("{ ", "{\n").replace(" }", "\n}")
}

/// The text, what is underlined (`^` before it), the field, and a part of what is said.
const ROWS: &[(&str, &str, &str)] = &[
    (
        "^cuont = 3",
        "group[\"g\"].cuont",
        "Did you mean \"count\"?",
    ),
    (
        "count = ^true",
        "group[\"g\"].count",
        "a number is required",
    ),
    ("count = ^1.5", "group[\"g\"].count", "whole number"),
    ("count = ^[1]", "group[\"g\"].count", "a number is required"),
    ("count = ^-3", "group[\"g\"].count", "can't be negative"),
    (
        "count = ^1000001",
        "group[\"g\"].count",
        "can't be above 1000000",
    ),
    (
        "job: datacenters = ^\"dc1\"",
        "datacenters",
        "list of string required",
    ),
    (
        "job: datacenters = ^[\"\"]",
        "datacenters",
        "non-empty string",
    ),
    ("job: priority = ^0", "priority", "between [1, 100]"),
    ("job: priority = ^101", "priority", "between [1, 100]"),
    (
        "job: type = ^\"cron\"",
        "type",
        "Invalid job type: \"cron\"",
    ),
    ("job: ^migrat {}", "migrat", "Did you mean \"migrate\"?"),
    (
        "job: ^update = {}",
        "update",
        "define a block of type \"update\"",
    ),
    (
        "job: update {}\n ^update {}",
        "update[1]",
        "Only one update block is allowed",
    ),
    (
        "job: constraint ^\"x\" {}",
        "constraint[\"x\"]",
        "No labels are expected",
    ),
    (
        "network ^\"x\" {}",
        "group[\"g\"].network[\"x\"]",
        "No labels are expected",
    ),
    (
        "shutdown_delay = ^\"-1s\"",
        "group[\"g\"].shutdown_delay",
        "must be a positive value",
    ),
    (
        "shutdown_delay = ^\"5\"",
        "group[\"g\"].shutdown_delay",
        "missing unit",
    ),
    (
        "shutdown_delay = ^\"1 s\"",
        "group[\"g\"].shutdown_delay",
        "unknown unit",
    ),
    (
        "shutdown_delay = ^[]",
        "group[\"g\"].shutdown_delay",
        "a duration is required",
    ),
    (
        "stop_after_client_disconnect = \"1s\"\n max_client_disconnect = ^\"1s\"",
        "group[\"g\"].max_client_disconnect",
        "both",
    ),
    (
        "max_client_disconnect = ^\"-1s\"",
        "group[\"g\"].max_client_disconnect",
        "cannot be negative",
    ),
    (
        "ephemeral_disk { size = ^5 }",
        "group[\"g\"].ephemeral_disk.size",
        "minimum DiskMB value is 10",
    ),
    (
        "restart { mode = ^\"never\" }",
        "group[\"g\"].restart.mode",
        "Unsupported restart mode",
    ),
    (
        "restart { interval = ^\"1s\" }",
        "group[\"g\"].restart.interval",
        "can not be less than 5s",
    ),
    (
        "restart { \n mode = \"delay\"\n attempts = ^0\n }",
        "group[\"g\"].restart.attempts",
        "ambiguous",
    ),
    (
        "reschedule { delay = ^\"1s\" }",
        "group[\"g\"].reschedule.delay",
        "cannot be less than 5s",
    ),
    (
        "reschedule { delay_function = ^\"linear\" }",
        "group[\"g\"].reschedule.delay_function",
        "Invalid delay function",
    ),
    (
        "update { health_check = ^\"luck\" }",
        "group[\"g\"].update.health_check",
        "Invalid health check",
    ),
    (
        "update { auto_promote = ^true }",
        "group[\"g\"].update.auto_promote",
        "requires a Canary count",
    ),
    (
        "update { canary = ^-1 }",
        "group[\"g\"].update.canary",
        "less than zero",
    ),
    (
        "update { healthy_deadline = ^\"20m\" }",
        "group[\"g\"].update.healthy_deadline",
        "less than progress deadline",
    ),
    (
        "update { min_healthy_time = ^\"10m\" }",
        "group[\"g\"].update.min_healthy_time",
        "less than healthy deadline",
    ),
    (
        "migrate { health_check = ^\"luck\" }",
        "group[\"g\"].migrate.health_check",
        "Invalid HealthCheck",
    ),
    // Inherited blocks are told where they stand.
    (
        "job: update { max_parallel = ^-1 }",
        "group[\"g\"].update.max_parallel",
        "less than zero",
    ),
    (
        "job: reschedule { delay_function = ^\"x\" }",
        "group[\"g\"].reschedule.delay_function",
        "Invalid delay function",
    ),
    (
        "job: type = \"batch\"\n ^migrate {}",
        "group[\"g\"].migrate",
        "does not allow migrate block",
    ),
    (
        "job: vault { policies = ^[\"root\"] }",
        "group[\"g\"].task[\"t\"].vault.policies",
        "Can not specify \"root\" policy",
    ),
    // Constraints and the like.
    (
        "constraint { regexp = ^\"(\" }",
        "group[\"g\"].constraint.value",
        "failed to compile",
    ),
    (
        "^constraint { attribute = \"a\" }",
        "group[\"g\"].constraint.value",
        "requires an RTarget",
    ),
    (
        "constraint { \n operator = \"is_set\"\n attribute = \"a\"\n value = ^\"b\"\n }",
        "group[\"g\"].constraint.value",
        "does not support an RTarget",
    ),
    (
        "constraint { \n distinct_property = \"a\"\n value = ^\"x\"\n }",
        "group[\"g\"].constraint.value",
        "to uint64",
    ),
    (
        "task: constraint { distinct_hosts = ^true }",
        "group[\"g\"].task[\"t\"].constraint.operator",
        "disallowed Operand at task level",
    ),
    (
        "affinity { \n attribute = \"a\"\n value = \"b\"\n weight = ^0\n }",
        "group[\"g\"].affinity.weight",
        "cannot be zero",
    ),
    (
        "affinity { \n attribute = \"a\"\n value = \"b\"\n weight = ^101\n }",
        "group[\"g\"].affinity.weight",
        "[-100,100]",
    ),
    (
        "spread { \n attribute = \"a\"\n weight = ^0\n }",
        "group[\"g\"].spread.weight",
        "positive weight",
    ),
    (
        "^spread {}",
        "group[\"g\"].spread.attribute",
        "Missing spread attribute",
    ),
    (
        "spread { \n attribute = \"a\"\n target \"x\" { percent = 60 }\n ^target \"x\" { percent = 10 }\n }",
        "group[\"g\"].spread.target[\"x\"]",
        "already defined",
    ),
    (
        "^spread { \n attribute = \"a\"\n target \"x\" { percent = 60 }\n target \"y\" { percent = 50 }\n }",
        "group[\"g\"].spread",
        "greater than 100%",
    ),
    // Schedules.
    (
        "job: ^periodic { cron = \"@daily\" }",
        "periodic",
        "can only be used with",
    ),
    (
        "job: type = \"batch\"\n periodic { cron = ^\"* * *\" }",
        "periodic.cron",
        "Invalid cron spec",
    ),
    (
        "job: type = \"batch\"\n periodic { \n cron = \"@daily\"\n time_zone = ^\"Mars/North\"\n }",
        "periodic.time_zone",
        "Invalid time zone",
    ),
    (
        "job: type = \"batch\"\n periodic { \n cron = \"@daily\"\n crons = ^[\"@daily\"]\n }",
        "periodic.crons",
        "Only cron or crons",
    ),
    (
        "job: type = \"batch\"\n ^periodic {}",
        "periodic",
        "Must specify a spec",
    ),
    (
        "job: ^parameterized {}",
        "parameterized",
        "can only be used with",
    ),
    (
        "job: type = \"batch\"\n parameterized { payload = ^\"maybe\" }",
        "parameterized.payload",
        "Unknown payload requirement",
    ),
    (
        "job: type = \"batch\"\n parameterized { \n meta_required = [\"a\"]\n meta_optional = ^[\"a\"]\n }",
        "parameterized.meta_optional",
        "disjoint",
    ),
    // Networks.
    (
        "network { port \"a\" { static = ^70000 } }",
        "group[\"g\"].network.port[\"a\"].static",
        "cannot be greater than 65535",
    ),
    (
        "network { port \"a\" { to = ^-2 } }",
        "group[\"g\"].network.port[\"a\"].to",
        "negative value -2",
    ),
    (
        "network { \n port \"a\" {}\n ^port \"a\" {}\n }",
        "group[\"g\"].network.port[\"a\"]",
        "already in use",
    ),
    (
        "network { hostname = ^\"-x-\" }",
        "group[\"g\"].network.hostname",
        "not a valid DNS name",
    ),
    (
        "network { ^port {} }",
        "",
        "All port blocks must have 1 labels",
    ),
    // Volumes.
    (
        "volume \"v\" { \n type = ^\"nfs\"\n source = \"s\"\n }",
        "group[\"g\"].volume[\"v\"].type",
        "unrecognized type nfs",
    ),
    (
        "^volume \"v\" { type = \"host\" }",
        "group[\"g\"].volume[\"v\"].source",
        "empty source",
    ),
    (
        "volume \"v\" { \n type = \"host\"\n source = \"s\"\n access_mode = ^\"x\"\n }",
        "group[\"g\"].volume[\"v\"].access_mode",
        "cannot have an access mode",
    ),
    (
        "^volume \"v\" { \n type = \"csi\"\n source = \"s\"\n access_mode = \"single-node-writer\"\n }",
        "group[\"g\"].volume[\"v\"].attachment_mode",
        "must have an attachment mode",
    ),
    (
        "count = 2\n volume \"v\" { \n type = \"csi\"\n source = \"s\"\n attachment_mode = \"file-system\"\n access_mode = ^\"single-node-writer\"\n }",
        "group[\"g\"].volume[\"v\"].access_mode",
        "only one reader or writer",
    ),
    (
        "^volume \"v\" { \n type = \"csi\"\n source = \"s\"\n attachment_mode = \"file-system\"\n access_mode = \"multi-node-reader-only\"\n }",
        "group[\"g\"].volume[\"v\"].read_only",
        "must be read-only",
    ),
    // Scaling.
    (
        "^scaling {}",
        "group[\"g\"].scaling.max",
        "\"max\" is required",
    ),
    (
        "scaling { \n max = 2\n type = ^\"vertical\"\n }",
        "group[\"g\"].scaling.type",
        "invalid type",
    ),
    (
        "scaling { \n min = 3\n max = ^2\n }",
        "group[\"g\"].scaling.max",
        "less than minimum",
    ),
    (
        "count = 5\n scaling { max = ^2 }",
        "group[\"g\"].scaling.max",
        "greater than maximum",
    ),
    (
        "task: ^scaling \"disk\" {}",
        "group[\"g\"].task[\"t\"].scaling[\"disk\"].name",
        "must be \"cpu\" or \"mem\"",
    ),
    (
        "task: scaling \"cpu\" {}\n ^scaling \"cpu\" {}",
        "group[\"g\"].task[\"t\"].scaling[\"cpu\"]",
        "Only one scaling block",
    ),
    // Services.
    (
        "service { name = ^\"no_underscores\" }",
        "group[\"g\"].service[\"no_underscores\"].name",
        "RFC 1123",
    ),
    (
        "service { provider = ^\"etcd\" }",
        "group[\"g\"].service[\"j-g\"].provider",
        "must be \"consul\", or \"nomad\"",
    ),
    (
        "service { address_mode = ^\"driver\" }",
        "group[\"g\"].service[\"j-g\"].address_mode",
        "only services defined in a \"task\" block",
    ),
    (
        "service { address_mode = ^\"x\" }",
        "group[\"g\"].service[\"j-g\"].address_mode",
        "must be \"auto\"",
    ),
    (
        "service { on_update = ^\"x\" }",
        "group[\"g\"].service[\"j-g\"].on_update",
        "on_update must be",
    ),
    (
        "service { \n address = ^\"1.2.3.4\"\n address_mode = \"host\"\n }",
        "group[\"g\"].service[\"j-g\"].address",
        "if address is set",
    ),
    (
        "service {}\n ^service {}",
        "group[\"g\"].service[\"j-g\"]",
        "not unique",
    ),
    (
        "service {}\n service { \n name = \"b\"\n provider = ^\"nomad\"\n }",
        "group[\"g\"].service[\"b\"].provider",
        "Multiple service providers",
    ),
    (
        "service { ^check { type = \"tcp\" } }",
        "group[\"g\"].service[\"j-g\"].check.port",
        "requires a port",
    ),
    (
        "service { \n port = \"p\"\n ^check { type = \"tcp\" }\n }",
        "group[\"g\"].service[\"j-g\"].check.interval",
        "missing required value interval",
    ),
    (
        "service { \n port = \"p\"\n check { \n type = \"tcp\"\n interval = ^\"10ms\"\n }\n }",
        "group[\"g\"].service[\"j-g\"].check.interval",
        "cannot be lower than 1s",
    ),
    (
        "service { \n port = \"p\"\n ^check { \n type = \"http\"\n interval = \"1s\"\n timeout = \"1s\"\n }\n }",
        "group[\"g\"].service[\"j-g\"].check.path",
        "must have http path",
    ),
    (
        "service { \n check { \n type = \"script\"\n command = \"c\"\n interval = \"1s\"\n timeout = \"1s\"\n task = ^\"nobody\"\n }\n }",
        "group[\"g\"].service[\"j-g\"].check.task",
        "non-existent task nobody",
    ),
    (
        "service { \n check { \n type = \"script\"\n command = \"c\"\n interval = \"1s\"\n timeout = \"1s\"\n success_before_passing = ^2\n }\n }",
        "group[\"g\"].service[\"j-g\"].check.success_before_passing",
        "not supported for check of type",
    ),
    (
        "service { \n port = \"p\"\n provider = \"nomad\"\n check { \n type = ^\"grpc\"\n interval = \"1s\"\n timeout = \"1s\"\n }\n }",
        "group[\"g\"].service[\"j-g\"].check.type",
        "must be one of tcp, http",
    ),
    (
        "service { \n port = \"p\"\n provider = \"nomad\"\n check { \n type = \"http\"\n path = \"/\"\n method = ^\"LOOK\"\n interval = \"1s\"\n timeout = \"1s\"\n }\n }",
        "group[\"g\"].service[\"j-g\"].check.method",
        "not supported in Nomad http check",
    ),
    (
        "service { \n port = \"p\"\n check { \n type = \"tcp\"\n interval = \"1s\"\n timeout = \"1s\"\n check_restart { limit = ^-1 }\n }\n }",
        "group[\"g\"].service[\"j-g\"].check.check_restart.limit",
        "greater than or equal to 0",
    ),
    (
        "service { \n port = \"p\"\n check { \n type = \"tcp\"\n interval = \"1s\"\n timeout = \"1s\"\n on_update = ^\"ignore\"\n check_restart { limit = 1 }\n }\n }",
        "group[\"g\"].service[\"j-g\"].check.on_update",
        "not compatible with check_restart",
    ),
    (
        "task: service { port = ^\"ghost\" }",
        "group[\"g\"].task[\"t\"].service[\"j-g-t\"].port",
        "does not exist",
    ),
    (
        "task: service { ^connect { native = true } }",
        "group[\"g\"].task[\"t\"].service[\"j-g-t\"].connect",
        "only services defined in a \"group\"",
    ),
    (
        "task: service { task = ^\"other\" }",
        "group[\"g\"].task[\"t\"].service[\"j-g-t\"].task",
        "task the service belongs to",
    ),
    // Connect.
    (
        "network { mode = ^\"host\" }\n service { connect { sidecar_service {} } }",
        "group[\"g\"].network.mode",
        "requires bridge network",
    ),
    (
        "service { connect { ^sidecar_service {} } }",
        "group[\"g\"].service[\"j-g\"].connect.sidecar_service",
        "exactly 1 network",
    ),
    (
        "service { ^connect {} }",
        "group[\"g\"].service[\"j-g\"].connect",
        "exclusively native",
    ),
    (
        "service { connect { native = ^true } }",
        "group[\"g\"].service[\"j-g\"].connect.native",
        "requires setting the task",
    ),
    (
        "network { mode = \"bridge\" }\n service { connect { gateway { ^ingress {} } } }",
        "group[\"g\"].service[\"j-g\"].connect.gateway.ingress",
        "at least one listener",
    ),
    (
        "network { mode = \"bridge\" }\n service { connect { ^gateway {} } }",
        "group[\"g\"].service[\"j-g\"].connect.gateway",
        "One Consul Gateway",
    ),
    (
        "service { \n port = \"p\"\n check { \n type = \"http\"\n path = \"/\"\n interval = \"1s\"\n timeout = \"1s\"\n expose = ^true\n }\n }",
        "group[\"g\"].service[\"j-g\"].check.expose",
        "requires use of sidecar_proxy",
    ),
    // Tasks.
    ("^task {}", "", "All task blocks must have 1 labels"),
    (
        "task \"a\" ^\"b\" {}",
        "group[\"g\"].task[\"a\"]",
        "Only 1 labels",
    ),
    (
        "^task \"a/b\" { driver = \"d\" }",
        "group[\"g\"].task[\"a/b\"]",
        "cannot include slashes",
    ),
    (
        "^task \"a\" {}",
        "group[\"g\"].task[\"a\"].driver",
        "Missing task driver",
    ),
    (
        "task: kill_timeout = ^\"-1s\"",
        "group[\"g\"].task[\"t\"].kill_timeout",
        "positive value",
    ),
    (
        "task: kill_timeout = ^\"1h\"",
        "group[\"g\"].task[\"t\"].kill_timeout",
        "longer than the group's ProgressDeadline",
    ),
    (
        "task: resources { cpu = ^0 }",
        "group[\"g\"].task[\"t\"].resources.cpu",
        "minimum CPU value is 1",
    ),
    (
        "task: resources { memory = ^9 }",
        "group[\"g\"].task[\"t\"].resources.memory",
        "minimum MemoryMB value is 10",
    ),
    (
        "task: resources { \n cpu = 1\n cores = ^1\n }",
        "group[\"g\"].task[\"t\"].resources.cores",
        "not both",
    ),
    (
        "task: resources { memory_max = ^20 }",
        "group[\"g\"].task[\"t\"].resources.memory_max",
        "should be larger than",
    ),
    (
        "task: resources { device \"gpu\" { constraint { operator = ^\"distinct_hosts\" } } }",
        "group[\"g\"].task[\"t\"].resources.device[\"gpu\"].constraint.operator",
        "unsupported operand",
    ),
    (
        "task: logs { max_files = ^0 }",
        "group[\"g\"].task[\"t\"].logs.max_files",
        "minimum number of files is 1",
    ),
    (
        "task: ^logs { max_file_size = 50 }",
        "group[\"g\"].task[\"t\"].logs",
        "less than requested disk capacity",
    ),
    (
        "task: ^artifact {}",
        "group[\"g\"].task[\"t\"].artifact.source",
        "source must be specified",
    ),
    (
        "task: artifact { \n source = \"s\"\n mode = ^\"tree\"\n }",
        "group[\"g\"].task[\"t\"].artifact.mode",
        "must be one of: any, file, dir",
    ),
    (
        "task: artifact { \n source = \"s\"\n destination = ^\"../../x\"\n }",
        "group[\"g\"].task[\"t\"].artifact.destination",
        "escapes allocation directory",
    ),
    (
        "task: artifact { \n source = \"s\"\n options { checksum = ^\"md5:12\" }\n }",
        "group[\"g\"].task[\"t\"].artifact.options.checksum",
        "md5 has 32 hex digits, this has 2",
    ),
    (
        "task: ^template { destination = \"local/x\" }",
        "group[\"g\"].task[\"t\"].template",
        "source path or have an embedded template",
    ),
    (
        "task: ^template { data = \"x\" }",
        "group[\"g\"].task[\"t\"].template.destination",
        "Must specify a destination",
    ),
    (
        "task: template { \n data = \"x\"\n destination = \"x\"\n change_mode = ^\"reload\"\n }",
        "group[\"g\"].task[\"t\"].template.change_mode",
        "noop, signal, script, restart",
    ),
    (
        "task: template { \n data = \"x\"\n destination = \"x\"\n change_mode = ^\"script\"\n }",
        "group[\"g\"].task[\"t\"].template.change_mode",
        "change script",
    ),
    (
        "task: template { \n data = \"x\"\n destination = \"x\"\n perms = ^\"0999\"\n }",
        "group[\"g\"].task[\"t\"].template.perms",
        "as octal",
    ),
    (
        "task: template { \n data = \"x\"\n destination = \"x\"\n wait { \n min = ^\"9s\"\n max = \"1s\"\n }\n }",
        "group[\"g\"].task[\"t\"].template.wait.min",
        "greater than max",
    ),
    (
        "task: lifecycle { hook = ^\"before\" }",
        "group[\"g\"].task[\"t\"].lifecycle.hook",
        "invalid hook: before",
    ),
    (
        "task: dispatch_payload { file = ^\"../../../x\" }",
        "group[\"g\"].task[\"t\"].dispatch_payload.file",
        "escapes allocation directory",
    ),
    (
        "task: volume_mount { volume = ^\"ghost\" }",
        "group[\"g\"].task[\"t\"].volume_mount.volume",
        "undefined volume ghost",
    ),
    (
        "task: csi_plugin { \n id = \"x\"\n type = ^\"disk\"\n }",
        "group[\"g\"].task[\"t\"].csi_plugin.type",
        "must be one of",
    ),
    (
        "task: ^config = {}",
        "group[\"g\"].task[\"t\"].config",
        "define a block of type \"config\"",
    ),
    (
        "task: env { A = ^[1] }",
        "group[\"g\"].task[\"t\"].env.A",
        "string required",
    ),
];

#[test]
fn every_mistake_is_told_at_its_place() {
    assert!(ROWS.len() >= 40, "{}", ROWS.len());
    let mut bad = Vec::new();
    for (text, field, words) in ROWS {
        let marked = file(text);
        let at = marked.find('^').expect(text);
        let text = marked.replacen('^', "", 1);
        let Some(findings) = complaints(&text) else {
            bad.push(format!("{marked}\nis taken"));
            continue;
        };
        let hit = findings.errors().any(|finding| {
            let start = finding.span.as_ref().map(|span| span.start);
            // A text's place is inside its quotes.
            let is_there = start == Some(at) || start == Some(at + 1);
            is_there
                && (field.is_empty() || finding.field.as_deref() == Some(*field))
                && format!("{} {}", finding.summary, finding.detail).contains(words)
        });
        if !hit {
            bad.push(format!(
                "{marked}\n{field}: {words:?} is not in\n{}",
                findings.render(false)
            ));
        }
    }
    assert!(
        bad.is_empty(),
        "{} of them:\n{}",
        bad.len(),
        bad.join("\n\n")
    );
}

#[test]
fn mistakes_in_json_are_all_told_at_their_places() {
    let text = r#"{
  "Job": {
    "ID": "j",
    "Priority": "high",
    "Colour": "red",
    "TaskGroups": [
      {
        "Name": "g",
        "Count": "3",
        "Netwroks": [],
        "Tasks": [{"Name": "t", "Driver": 5, "KillTimeout": "1 parsec", "Services": [{"Tags": ["a", 1]}]}]
      }
    ]
  }
}"#;
    let findings = parse_json("job.json", text, &ParseOptions::default()).unwrap_err();
    let told: Vec<_> = findings
        .errors()
        .map(|finding| {
            (
                findings.position(finding).unwrap().0,
                finding.field.clone().unwrap_or_default(),
            )
        })
        .collect();
    for place in [
        (4, "Priority"),
        (9, "TaskGroups[0].Count"),
        (11, "TaskGroups[0].Tasks[0].Driver"),
        (11, "TaskGroups[0].Tasks[0].KillTimeout"),
        (11, "TaskGroups[0].Tasks[0].Services[0].Tags[1]"),
    ] {
        assert!(
            told.contains(&(place.0, place.1.to_owned())),
            "{place:?} isn't in {told:?}\n{findings}"
        );
    }
    let warnings: Vec<_> = findings
        .list
        .iter()
        .filter(|finding| finding.summary == "Unknown field")
        .map(|finding| (findings.position(finding).unwrap(), finding.detail.clone()))
        .collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert_eq!(warnings[0].0, (5, 5));
    assert_eq!(warnings[1].0, (10, 9));
    assert!(
        warnings[1].1.contains("Did you mean \"Networks\"?"),
        "{warnings:?}"
    );
}

#[test]
fn json_is_taken_with_warnings_and_in_any_case() {
    let text = r#"{"id": "j", "taskgroups": [{"name": "g", "Volumes": {"v": {"Type": "nfs"}},
        "Networks": [{"ReservedPorts": [{"Label": "a", "Value": 80}], "DynamicPorts": [{"Label": "b", "To": -9}]}],
        "Tasks": [{"Name": "t", "Driver": "d", "Resuorces": {}}]}]}"#;
    let parsed = parse_json("job.json", text, &ParseOptions::default()).unwrap();
    assert_eq!(parsed.job.task_groups[0].tasks[0].name, "t");
    assert_eq!(parsed.warnings.list.len(), 1);
    assert!(
        parsed.warnings.list[0]
            .detail
            .contains("Did you mean \"Resources\"?")
    );
    let mut job = parsed.job.clone();
    job.server_canonicalize();
    let found = parsed.locate(&validate(&job).errors);
    let lines: Vec<_> = found
        .errors()
        .map(|finding| {
            (
                found.source.slice(finding.span.as_ref().unwrap()),
                finding.field.clone().unwrap(),
            )
        })
        .collect();
    assert!(
        lines.contains(&("\"nfs\"", "group[\"g\"].volume[\"v\"].type".to_owned())),
        "{lines:?}"
    );
    assert!(
        lines.contains(&("-9", "group[\"g\"].network.port[\"b\"].to".to_owned())),
        "{lines:?}"
    );
}

#[test]
fn validation_points_into_yaml() {
    let job = serde_json::from_value(json!({"ID": "j", "TaskGroups": [{"Name": "g", "Count": -1,
        "Tasks": [{"Name": "t", "Driver": "d", "Resources": {"MemoryMB": 1}}]}]}))
    .unwrap();
    let text = to_yaml(&job);
    let parsed = rove_jobspec::parse_yaml("job.yaml", &text, &ParseOptions::default()).unwrap();
    let mut job = parsed[0].job.clone();
    job.server_canonicalize();
    let found = parsed[0].locate(&validate(&job).errors);
    let places: Vec<_> = found
        .errors()
        .map(|finding| found.source.slice(finding.span.as_ref().unwrap()))
        .collect();
    assert_eq!(places, ["-1", "1"], "{text}");
}

#[test]
fn what_has_no_effect_is_said_and_taken() {
    let text = file("task: lifecycle { sidecar = true }\n logs { enabled = false }");
    let parsed = parse_hcl("job.hcl", &text, &ParseOptions::default()).unwrap();
    let said: Vec<_> = parsed
        .warnings
        .list
        .iter()
        .map(|found| found.summary.as_str())
        .collect();
    assert_eq!(said, ["Lifecycle without a hook", "Deprecated argument"]);
    let mut job = parsed.job;
    job.server_canonicalize();
    let log = job.task_groups[0].tasks[0].log_config.as_ref().unwrap();
    assert!(log.is_disabled());
}
