//! One change of a job at a time: what the diff says of it, and whether running allocs take it over as they run.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;

use rove_model::{
    diff::{DiffType, annotate, diff},
    plan::DesiredUpdates,
    replacement::has_to_replace,
};
use serde_json::{Value, json};
use support::{canonical, lines, whole_job};

/// What becomes of running allocs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    InPlace,
    Replaced,
}
use Fate::{InPlace, Replaced};

struct Row {
    change: &'static str,
    at: &'static str,
    to: Value,
    shown: &'static [&'static str],
    fate: Fate,
}

fn row(
    change: &'static str,
    at: &'static str,
    to: Value,
    fate: Fate,
    shown: &'static [&'static str],
) -> Row {
    Row {
        change,
        at,
        to,
        shown,
        fate,
    }
}

const G: &str = "/TaskGroups/0";
const T: &str = "/TaskGroups/0/Tasks/0";

/// `job` with another value at a path; null removes, `-` at the end of a path appends to a list.
fn changed(job: &Value, path: &str, to: Value) -> Value {
    let mut job = job.clone();
    let (parent, last) = path.rsplit_once('/').expect("a path");
    // Blocks on the way that aren't there are made.
    let mut at = &mut job;
    for part in parent.split('/').skip(1) {
        at = match part.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[part],
        };
    }
    match (at, to) {
        (Value::Array(list), Value::Null) => {
            list.remove(last.parse().expect("an index"));
        }
        (Value::Array(list), to) if last == "-" => list.push(to),
        (Value::Array(list), to) => list[last.parse::<usize>().expect("an index")] = to,
        (object, to) => object[last] = to,
    }
    job
}

fn check(rows: &[Row], base: &str) {
    let mut wrong = Vec::new();
    for row in rows {
        let old = whole_job();
        let new = changed(&old, &format!("{base}{}", row.at), row.to.clone());
        let (old, new) = (canonical(&old), canonical(&new));
        let shown = lines(&diff(Some(&old), Some(&new), false));
        let fate = if has_to_replace(&old, &new, "g") {
            Replaced
        } else {
            InPlace
        };
        // An ellipsis stands for lines that are left out.
        let as_wanted = match row.shown.split_last() {
            Some((&"…", wanted)) => wanted.iter().all(|line| shown.iter().any(|s| s == line)),
            _ => shown == row.shown,
        };
        if !as_wanted || fate != row.fate {
            wrong.push(format!("{}: {fate:?}, {shown:#?}", row.change));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_change_of_the_job() {
    check(
        &[
            row(
                "priority",
                "/Priority",
                json!(70),
                InPlace,
                &["~Priority: 50 => 70"],
            ),
            row("name", "/Name", json!("k"), InPlace, &["~Name: j => k"]),
            row(
                "all at once",
                "/AllAtOnce",
                json!(true),
                InPlace,
                &["~AllAtOnce: false => true"],
            ),
            row(
                "node pool",
                "/NodePool",
                json!("gpu"),
                InPlace,
                &["~NodePool: default => gpu"],
            ),
            row(
                "stop",
                "/Stop",
                json!(true),
                InPlace,
                &["~Stop: false => true"],
            ),
            row(
                "meta, edited",
                "/Meta/a",
                json!("2"),
                Replaced,
                &["~Meta[a]: 1 => 2"],
            ),
            row(
                "meta, added",
                "/Meta/b",
                json!("2"),
                Replaced,
                &["+Meta[b]: 2"],
            ),
            row(
                "meta, removed",
                "/Meta",
                json!({}),
                Replaced,
                &["-Meta[a]: 1"],
            ),
            row(
                "datacenters",
                "/Datacenters",
                json!(["dc1", "dc3"]),
                InPlace,
                &[
                    "~Datacenters +Datacenters: dc3",
                    "~Datacenters -Datacenters: dc2",
                ],
            ),
            row(
                "datacenters in another order",
                "/Datacenters",
                json!(["dc2", "dc1"]),
                InPlace,
                &[],
            ),
            row(
                "constraint",
                "/Constraints/0/RTarget",
                json!("darwin"),
                InPlace,
                &[
                    "+Constraint +LTarget: ${attr.kernel.name}",
                    "+Constraint +Operand: =",
                    "+Constraint +RTarget: darwin",
                    "-Constraint -LTarget: ${attr.kernel.name}",
                    "-Constraint -Operand: =",
                    "-Constraint -RTarget: linux",
                ],
            ),
            row(
                "affinity",
                "/Affinities/0/Weight",
                json!(-20),
                Replaced,
                &["+Affinity +Weight: -20", "-Affinity -Weight: 50", "…"],
            ),
            row(
                "spread",
                "/Spreads/0/SpreadTarget/0/Percent",
                json!(60),
                Replaced,
                &[
                    "~Spread +SpreadTarget +Percent: 60",
                    "~Spread +SpreadTarget +Value: dc1",
                    "~Spread -SpreadTarget -Percent: 70",
                    "~Spread -SpreadTarget -Value: dc1",
                ],
            ),
            row(
                "spread's weight",
                "/Spreads/0/Weight",
                json!(10),
                Replaced,
                &["~Spread ~Weight: 50 => 10"],
            ),
            row(
                "schedule",
                "/Periodic/Spec",
                json!("5 * * * *"),
                InPlace,
                &["~Periodic ~Spec: 0 * * * * => 5 * * * *"],
            ),
            row(
                "schedules",
                "/Periodic/Specs",
                json!(["5 * * * *"]),
                InPlace,
                &["~Periodic +Specs +Specs: 5 * * * *"],
            ),
            row(
                "schedule removed",
                "/Periodic",
                Value::Null,
                InPlace,
                &[
                    "-Periodic -Enabled: true",
                    "-Periodic -ProhibitOverlap: false",
                    "-Periodic -Spec: 0 * * * *",
                    "-Periodic -SpecType: cron",
                    "-Periodic -TimeZone: UTC",
                ],
            ),
            row(
                "payload",
                "/ParameterizedJob/Payload",
                json!("required"),
                InPlace,
                &["~ParameterizedJob ~Payload: optional => required"],
            ),
            row(
                "dispatch keys",
                "/ParameterizedJob/MetaRequired",
                json!(["c"]),
                InPlace,
                &[
                    "~ParameterizedJob ~MetaRequired +MetaRequired: c",
                    "~ParameterizedJob ~MetaRequired -MetaRequired: a",
                ],
            ),
            row(
                "region's count",
                "/Multiregion/Regions/0/Count",
                json!(3),
                InPlace,
                &["~Multiregion ~Region ~Count: 2 => 3"],
            ),
            row(
                "region's datacenters",
                "/Multiregion/Regions/0/Datacenters",
                json!(["w2"]),
                InPlace,
                &[
                    "~Multiregion ~Region ~Datacenters +Datacenters: w2",
                    "~Multiregion ~Region ~Datacenters -Datacenters: w1",
                ],
            ),
            row(
                "strategy",
                "/Multiregion/Strategy/MaxParallel",
                json!(2),
                InPlace,
                &["~Multiregion ~Strategy ~MaxParallel: 1 => 2"],
            ),
            row(
                "consul's namespace",
                "/ConsulNamespace",
                json!("team"),
                InPlace,
                &["+ConsulNamespace: team"],
            ),
            row(
                "update of the job alone",
                "/Update/Stagger",
                json!(5_000_000_000_i64),
                InPlace,
                &["~Update ~Stagger: 30000000000 => 5000000000"],
            ),
        ],
        "",
    );
}

#[test]
fn a_change_of_a_group() {
    check(
        &[
            row("count", "/Count", json!(3), InPlace, &["~g ~Count: 1 => 3"]),
            row(
                "meta",
                "/Meta/x",
                json!("z"),
                Replaced,
                &["~g ~Meta[x]: y => z"],
            ),
            row(
                "constraint added",
                "/Constraints",
                json!([{"LTarget": "${attr.cpu.arch}", "RTarget": "arm64", "Operand": "!="}]),
                InPlace,
                &[
                    "~g +Constraint +LTarget: ${attr.cpu.arch}",
                    "~g +Constraint +Operand: !=",
                    "~g +Constraint +RTarget: arm64",
                ],
            ),
            row(
                "affinity added",
                "/Affinities",
                json!([{"LTarget": "${meta.rack}", "RTarget": "r1", "Operand": "="}]),
                Replaced,
                &[
                    "~g +Affinity +LTarget: ${meta.rack}",
                    "~g +Affinity +Operand: =",
                    "~g +Affinity +RTarget: r1",
                    "~g +Affinity +Weight: 50",
                ],
            ),
            row(
                "spread added",
                "/Spreads",
                json!([{"Attribute": "${meta.rack}"}]),
                Replaced,
                &[
                    "~g +Spread +Attribute: ${meta.rack}",
                    "~g +Spread +Weight: 50",
                ],
            ),
            row(
                "restart attempts",
                "/RestartPolicy/Attempts",
                json!(9),
                InPlace,
                &["~g ~RestartPolicy ~Attempts: 2 => 9", "~g ~t", "~g ~u"],
            ),
            row(
                "restart renders templates",
                "/RestartPolicy/RenderTemplates",
                json!(true),
                Replaced,
                &[
                    "~g ~RestartPolicy ~RenderTemplates: false => true",
                    "~g ~t",
                    "~g ~u",
                ],
            ),
            row(
                "reschedule",
                "/ReschedulePolicy/Unlimited",
                json!(false),
                InPlace,
                &["~g ~ReschedulePolicy ~Unlimited: true => false"],
            ),
            row(
                "migrate",
                "/Migrate/MaxParallel",
                json!(2),
                InPlace,
                &["~g ~MigrateStrategy ~MaxParallel: 1 => 2"],
            ),
            row(
                "disk",
                "/EphemeralDisk/SizeMB",
                json!(500),
                Replaced,
                &["~g ~EphemeralDisk ~SizeMB: 300 => 500"],
            ),
            row(
                "sticky disk",
                "/EphemeralDisk/Sticky",
                json!(true),
                Replaced,
                &["~g ~EphemeralDisk ~Sticky: false => true"],
            ),
            row(
                "consul",
                "/Consul/Namespace",
                json!("other"),
                Replaced,
                &["~g ~Consul ~Namespace: ns => other"],
            ),
            row(
                "update",
                "/Update/MaxParallel",
                json!(2),
                InPlace,
                &["~g ~Update ~MaxParallel: 1 => 2"],
            ),
            row(
                "canaries",
                "/Update/Canary",
                json!(1),
                InPlace,
                &["~g ~Update ~Canary: 0 => 1"],
            ),
            row(
                "stagger",
                "/Update/Stagger",
                json!(1_000_000_000_i64),
                InPlace,
                &["~g ~Update ~Stagger: 30000000000 => 1000000000"],
            ),
            row(
                "shutdown delay",
                "/ShutdownDelay",
                json!(5_000_000_000_i64),
                InPlace,
                &["~g +ShutdownDelay: 5000000000"],
            ),
            row(
                "stop after disconnect",
                "/StopAfterClientDisconnect",
                json!(60_000_000_000_i64),
                InPlace,
                &["~g +StopAfterClientDisconnect: 60000000000"],
            ),
            row(
                "max disconnect",
                "/MaxClientDisconnect",
                json!(60_000_000_000_i64),
                InPlace,
                &["~g +MaxClientDisconnect: 60000000000"],
            ),
            row(
                "network mode",
                "/Networks/0/Mode",
                json!("host"),
                Replaced,
                &["~g +Network +Mode: host", "~g -Network -Mode: bridge", "…"],
            ),
            row(
                "static port",
                "/Networks/0/ReservedPorts/0/Value",
                json!(2222),
                Replaced,
                &[
                    "~g +Network +Static Port +Value: 2222",
                    "~g -Network -Static Port -Value: 22",
                    "…",
                ],
            ),
            row(
                "port's host network",
                "/Networks/0/DynamicPorts/0/HostNetwork",
                json!("public"),
                Replaced,
                &[
                    "~g +Network +Dynamic Port +HostNetwork: public",
                    "~g -Network -Dynamic Port -HostNetwork: default",
                    "…",
                ],
            ),
            row(
                "dns",
                "/Networks/0/DNS/Searches",
                json!(["a", "b"]),
                Replaced,
                &["~g +Network +DNS +Searches: a,b", "…"],
            ),
            row(
                "network device",
                "/Networks/0/Device",
                json!("eth1"),
                InPlace,
                &["~g +Network +Device: eth1", "…"],
            ),
            row(
                "scaling limit",
                "/Scaling/Max",
                json!(9),
                InPlace,
                &["~g ~Scaling ~Max: 5 => 9"],
            ),
            row(
                "scaling rule",
                "/Scaling/Policy/cooldown",
                json!("2m"),
                InPlace,
                &["~g ~Scaling ~Policy ~cooldown: 1m => 2m"],
            ),
            row(
                "scaling removed",
                "/Scaling",
                Value::Null,
                InPlace,
                &[
                    "~g -Scaling -Enabled: true",
                    "~g -Scaling -Max: 5",
                    "~g -Scaling -Min: 1",
                    "~g -Scaling -Policy -cooldown: 1m",
                ],
            ),
            row(
                "volume",
                "/Volumes/data/ReadOnly",
                json!(true),
                Replaced,
                &["~g ~Volume ~ReadOnly: false => true"],
            ),
            row(
                "volume added",
                "/Volumes/more",
                json!({"Type": "host", "Source": "more"}),
                Replaced,
                &[
                    "~g +Volume +Name: more",
                    "~g +Volume +PerAlloc: false",
                    "~g +Volume +ReadOnly: false",
                    "~g +Volume +Source: more",
                    "~g +Volume +Type: host",
                ],
            ),
            row(
                "mount flags",
                "/Volumes/data/MountOptions/MountFlags",
                json!(["noatime"]),
                Replaced,
                &[
                    "~g ~Volume ~MountOptions ~MountFlags +MountFlags: noatime",
                    "~g ~Volume ~MountOptions ~MountFlags -MountFlags: ro",
                ],
            ),
            row(
                "task removed",
                "/Tasks/1",
                Value::Null,
                Replaced,
                &[
                    "~g -u -Driver: raw_exec",
                    "~g -u -KillTimeout: 5000000000",
                    "~g -u -Leader: false",
                    "~g -u -ShutdownDelay: 0",
                    "…",
                ],
            ),
        ],
        G,
    );
}

#[test]
fn a_change_of_a_service() {
    check(
        &[
            row(
                "tags",
                "/0/Tags",
                json!(["a", "c"]),
                InPlace,
                &["~g ~Service ~Tags +Tags: c", "~g ~Service ~Tags -Tags: b"],
            ),
            row(
                "canary tags",
                "/0/CanaryTags",
                json!(["canary"]),
                InPlace,
                &["~g ~Service +CanaryTags +CanaryTags: canary"],
            ),
            row(
                "meta",
                "/0/Meta/m",
                json!("2"),
                InPlace,
                &["~g ~Service ~Meta[m]: 1 => 2"],
            ),
            row(
                "tagged addresses",
                "/0/TaggedAddresses",
                json!({"lan": "1.2.3.4"}),
                InPlace,
                &["~g ~Service +TaggedAddresses[lan]: 1.2.3.4"],
            ),
            row(
                "port",
                "/0/PortLabel",
                json!("ssh"),
                InPlace,
                &["~g ~Service ~PortLabel: db => ssh"],
            ),
            row(
                "name",
                "/0/Name",
                json!("web"),
                InPlace,
                &["~g ~Service ~Name: s => web"],
            ),
            row(
                "check's path",
                "/0/Checks/0/Path",
                json!("/health"),
                InPlace,
                &["~g ~Service ~Check ~Path: / => /health"],
            ),
            row(
                "check's interval",
                "/0/Checks/0/Interval",
                json!(5_000_000_000_i64),
                InPlace,
                &["~g ~Service ~Check ~Interval: 10000000000 => 5000000000"],
            ),
            row(
                "check's header",
                "/0/Checks/0/Header/X",
                json!(["1", "2"]),
                InPlace,
                &["~g ~Service ~Check ~Header +X[1]: 2"],
            ),
            row(
                "check's arguments",
                "/0/Checks/0/Args",
                json!(["-v"]),
                InPlace,
                &["~g ~Service ~Check +Args +Args: -v"],
            ),
            row(
                "check restart",
                "/0/Checks/0/CheckRestart/Limit",
                json!(5),
                InPlace,
                &["~g ~Service ~Check ~CheckRestart ~Limit: 3 => 5"],
            ),
            row(
                "check restart of the service",
                "/0/CheckRestart",
                json!({"Limit": 7}),
                InPlace,
                &[
                    "~g ~Service +CheckRestart +Grace: 0",
                    "~g ~Service +CheckRestart +IgnoreWarnings: false",
                    "~g ~Service +CheckRestart +Limit: 7",
                ],
            ),
            row(
                "check renamed",
                "/0/Checks/0/Name",
                json!("down"),
                InPlace,
                &[
                    "~g ~Service +Check +Name: down",
                    "~g ~Service -Check -Name: up",
                    "…",
                ],
            ),
            row(
                "sidecar's port",
                "/1/Connect/SidecarService/Port",
                json!("19002"),
                Replaced,
                &["~g ~Service ~ConsulConnect ~SidecarService ~Port: 19001 => 19002"],
            ),
            row(
                "sidecar's tags",
                "/1/Connect/SidecarService/Tags",
                json!(["t"]),
                InPlace,
                &["~g ~Service ~ConsulConnect ~SidecarService +Tags +Tags: t"],
            ),
            row(
                "upstream's port",
                "/1/Connect/SidecarService/Proxy/Upstreams/0/LocalBindPort",
                json!(2),
                InPlace,
                &[
                    "~g ~Service ~ConsulConnect ~SidecarService ~ConsulProxy ~ConsulUpstreams ~LocalBindPort: 1 => 2",
                ],
            ),
            row(
                "upstream's gateway",
                "/1/Connect/SidecarService/Proxy/Upstreams/0/MeshGateway",
                json!({"Mode": "local"}),
                InPlace,
                &[
                    "~g ~Service ~ConsulConnect ~SidecarService ~ConsulProxy ~ConsulUpstreams +MeshGateway +Mode: local",
                ],
            ),
            row(
                "proxy's config",
                "/1/Connect/SidecarService/Proxy/Config",
                json!({"level": 3}),
                InPlace,
                &["~g ~Service ~ConsulConnect ~SidecarService ~ConsulProxy +Config +level: 3"],
            ),
            row(
                "exposed path",
                "/1/Connect/SidecarService/Proxy/Expose",
                json!({"Paths": [{"Path": "/m", "LocalPathPort": 9}]}),
                InPlace,
                &[
                    "~g ~Service ~ConsulConnect ~SidecarService ~ConsulProxy +Expose +Path +LocalPathPort: 9",
                    "~g ~Service ~ConsulConnect ~SidecarService ~ConsulProxy +Expose +Path +Path: /m",
                ],
            ),
            row(
                "sidecar's task",
                "/1/Connect/SidecarTask/Resources/CPU",
                json!(300),
                Replaced,
                &["~g ~Service ~ConsulConnect ~SidecarTask ~Resources ~CPU: 250 => 300"],
            ),
            row(
                "sidecar's kill timeout",
                "/1/Connect/SidecarTask/KillTimeout",
                json!(1),
                Replaced,
                &["~g ~Service ~ConsulConnect ~SidecarTask ~KillTimeout: 5000000000 => 1"],
            ),
            row(
                "gateway's timeout",
                "/2/Connect/Gateway/Proxy/ConnectTimeout",
                json!(3_000_000_000_i64),
                Replaced,
                &["~g ~Service ~ConsulConnect ~Gateway ~Proxy ~ConnectTimeout: 5s => 3s"],
            ),
            row(
                "gateway's address",
                "/2/Connect/Gateway/Proxy/EnvoyGatewayBindAddresses/in/Port",
                json!(81),
                Replaced,
                &[
                    "~g ~Service ~ConsulConnect ~Gateway ~Proxy ~EnvoyGatewayBindAddresses ~in: 0.0.0.0:80 => 0.0.0.0:81",
                ],
            ),
            row(
                "listener's hosts",
                "/2/Connect/Gateway/Ingress/Listeners/0/Services/0/Hosts",
                json!(["b"]),
                Replaced,
                &[
                    "~g ~Service ~ConsulConnect ~Gateway ~Ingress ~Listener ~ConsulIngressService ~Hosts +Hosts: b",
                    "~g ~Service ~ConsulConnect ~Gateway ~Ingress ~Listener ~ConsulIngressService ~Hosts -Hosts: a",
                ],
            ),
            row(
                "tls of the gateway",
                "/2/Connect/Gateway/Ingress/TLS",
                json!({"Enabled": true, "CipherSuites": ["c"]}),
                Replaced,
                &[
                    "~g ~Service ~ConsulConnect ~Gateway ~Ingress +TLS +Enabled: true",
                    "~g ~Service ~ConsulConnect ~Gateway ~Ingress +TLS +CipherSuites +CipherSuites: c",
                ],
            ),
            row(
                "terminating gateway",
                "/2/Connect/Gateway/Terminating",
                json!({"Services": [{"Name": "out", "SNI": "s"}]}),
                Replaced,
                &[
                    "~g ~Service ~ConsulConnect ~Gateway +Terminating +Service +Name: out",
                    "~g ~Service ~ConsulConnect ~Gateway +Terminating +Service +SNI: s",
                ],
            ),
            row(
                "mesh gateway",
                "/2/Connect/Gateway/Mesh",
                json!({}),
                Replaced,
                &["~g ~Service ~ConsulConnect ~Gateway +Mesh"],
            ),
            row(
                "service removed",
                "/0",
                Value::Null,
                InPlace,
                &[
                    "~g -Service -AddressMode: auto",
                    "~g -Service -EnableTagOverride: false",
                    "~g -Service -Meta[m]: 1",
                    "~g -Service -Name: s",
                    "…",
                ],
            ),
        ],
        &format!("{G}/Services"),
    );
}

#[test]
fn a_change_of_a_task() {
    check(
        &[
            row(
                "driver",
                "/Driver",
                json!("raw_exec"),
                Replaced,
                &["~g ~t ~Driver: docker => raw_exec"],
            ),
            row(
                "user",
                "/User",
                json!("me"),
                Replaced,
                &["~g ~t ~User: u => me"],
            ),
            row(
                "image",
                "/Config/image",
                json!("redis:7"),
                Replaced,
                &["~g ~t ~Config ~image: redis:3.2 => redis:7"],
            ),
            row(
                "argument",
                "/Config/args/0",
                json!("b"),
                Replaced,
                &["~g ~t ~Config ~args[0]: a => b"],
            ),
            row(
                "port map",
                "/Config/port_map/0/db",
                json!(1),
                Replaced,
                &["~g ~t ~Config ~port_map[0][db]: 6379 => 1"],
            ),
            row(
                "env",
                "/Env/A",
                json!("2"),
                Replaced,
                &["~g ~t ~Env[A]: 1 => 2"],
            ),
            row(
                "meta",
                "/Meta/k",
                json!("v"),
                Replaced,
                &["~g ~t +Meta[k]: v"],
            ),
            row(
                "kill timeout",
                "/KillTimeout",
                json!(1_000_000_000_i64),
                InPlace,
                &["~g ~t ~KillTimeout: 5000000000 => 1000000000"],
            ),
            row(
                "kill signal",
                "/KillSignal",
                json!("SIGINT"),
                InPlace,
                &["~g ~t +KillSignal: SIGINT"],
            ),
            row(
                "leader",
                "/Leader",
                json!(true),
                InPlace,
                &["~g ~t ~Leader: false => true"],
            ),
            row(
                "shutdown delay",
                "/ShutdownDelay",
                json!(1),
                InPlace,
                &["~g ~t ~ShutdownDelay: 0 => 1"],
            ),
            row(
                "constraint",
                "/Constraints",
                json!([{"LTarget": "${attr.driver.docker}", "Operand": "is_set"}]),
                InPlace,
                &[
                    "~g ~t +Constraint +LTarget: ${attr.driver.docker}",
                    "~g ~t +Constraint +Operand: is_set",
                ],
            ),
            row(
                "affinity",
                "/Affinities",
                json!([{"LTarget": "${meta.rack}", "RTarget": "r", "Operand": "="}]),
                Replaced,
                &[
                    "~g ~t +Affinity +LTarget: ${meta.rack}",
                    "~g ~t +Affinity +Operand: =",
                    "~g ~t +Affinity +RTarget: r",
                    "~g ~t +Affinity +Weight: 50",
                ],
            ),
            row(
                "cpu",
                "/Resources/CPU",
                json!(200),
                Replaced,
                &["~g ~t ~Resources ~CPU: 100 => 200"],
            ),
            row(
                "cores",
                "/Resources/Cores",
                json!(1),
                Replaced,
                &["~g ~t ~Resources ~Cores: 0 => 1"],
            ),
            row(
                "memory",
                "/Resources/MemoryMB",
                json!(65),
                Replaced,
                &["~g ~t ~Resources ~MemoryMB: 64 => 65"],
            ),
            row(
                "memory max",
                "/Resources/MemoryMaxMB",
                json!(128),
                Replaced,
                &["~g ~t ~Resources ~MemoryMaxMB: 0 => 128"],
            ),
            row(
                "iops",
                "/Resources/IOPS",
                json!(5),
                InPlace,
                &["~g ~t ~Resources ~IOPS: 0 => 5"],
            ),
            row(
                "device's count",
                "/Resources/Devices/0/Count",
                json!(2),
                Replaced,
                &["~g ~t ~Resources ~Device ~Count: 1 => 2"],
            ),
            row(
                "device's constraint",
                "/Resources/Devices/0/Constraints/0/RTarget",
                json!("4 GiB"),
                Replaced,
                &[
                    "~g ~t ~Resources ~Device +Constraint +LTarget: ${device.attr.memory}",
                    "~g ~t ~Resources ~Device +Constraint +Operand: >=",
                    "~g ~t ~Resources ~Device +Constraint +RTarget: 4 GiB",
                    "~g ~t ~Resources ~Device -Constraint -LTarget: ${device.attr.memory}",
                    "~g ~t ~Resources ~Device -Constraint -Operand: >=",
                    "~g ~t ~Resources ~Device -Constraint -RTarget: 2 GiB",
                ],
            ),
            row(
                "network of 2017",
                "/Resources/Networks",
                json!([{"MBits": 10}]),
                Replaced,
                &["~g ~t ~Resources +Network +MBits: 10"],
            ),
            row(
                "log files",
                "/LogConfig/MaxFiles",
                json!(2),
                InPlace,
                &["~g ~t ~LogConfig ~MaxFiles: 10 => 2"],
            ),
            row(
                "logs off",
                "/LogConfig/Disabled",
                json!(true),
                Replaced,
                &["~g ~t ~LogConfig ~Disabled: false => true"],
            ),
            row(
                "dispatch payload",
                "/DispatchPayload/File",
                json!("other"),
                InPlace,
                &["~g ~t ~DispatchPayload ~File: in => other"],
            ),
            row(
                "artifact's source",
                "/Artifacts/0/GetterSource",
                json!("https://b"),
                Replaced,
                &["~g ~t ~Artifact ~GetterSource: https://a => https://b"],
            ),
            row(
                "artifact's option",
                "/Artifacts/0/GetterOptions",
                json!({"checksum": "md5:1"}),
                Replaced,
                &["~g ~t +Artifact +GetterOptions[checksum]: md5:1"],
            ),
            row(
                "artifact's destination",
                "/Artifacts/0/RelativeDest",
                json!("local/x"),
                Replaced,
                &[
                    "~g ~t +Artifact +GetterMode: any",
                    "~g ~t +Artifact +GetterSource: https://a",
                    "~g ~t +Artifact +RelativeDest: local/x",
                    "~g ~t -Artifact -GetterMode: any",
                    "~g ~t -Artifact -GetterSource: https://a",
                    "~g ~t -Artifact -RelativeDest: local/",
                ],
            ),
            row(
                "template's text",
                "/Templates/0/EmbeddedTmpl",
                json!("y"),
                Replaced,
                &["~g ~t ~Template ~EmbeddedTmpl: x => y"],
            ),
            row(
                "template's owner",
                "/Templates/0/Uid",
                json!(0),
                Replaced,
                &["~g ~t ~Template +Uid: 0"],
            ),
            row(
                "template's wait",
                "/Templates/0/Wait/Min",
                json!(2),
                Replaced,
                &["~g ~t ~Template ~Template ~Min: 1 => 2"],
            ),
            row(
                "template's script",
                "/Templates/0/ChangeScript/Args",
                json!(["a"]),
                Replaced,
                &[
                    "~g ~t ~Template ~ChangeScript ~Args +Args: a",
                    "~g ~t ~Template ~ChangeScript ~Args -Args: r",
                ],
            ),
            row(
                "template added",
                "/Templates/-",
                json!({"DestPath": "local/b", "EmbeddedTmpl": "b"}),
                Replaced,
                &[
                    "~g ~t +Template +ChangeMode: restart",
                    "~g ~t +Template +DestPath: local/b",
                    "~g ~t +Template +EmbeddedTmpl: b",
                    "~g ~t +Template +Envvars: false",
                    "…",
                ],
            ),
            row(
                "vault's policies",
                "/Vault/Policies",
                json!(["p", "q"]),
                Replaced,
                &["~g ~t ~Vault +Policies +Policies: q"],
            ),
            row(
                "vault removed",
                "/Vault",
                Value::Null,
                Replaced,
                &[
                    "~g ~t -Vault -ChangeMode: restart",
                    "~g ~t -Vault -ChangeSignal: SIGHUP",
                    "~g ~t -Vault -DisableFile: false",
                    "~g ~t -Vault -Env: true",
                    "~g ~t -Vault -Policies -Policies: p",
                ],
            ),
            row(
                "life cycle",
                "/Lifecycle/Sidecar",
                json!(true),
                InPlace,
                &["~g ~t ~Lifecycle ~Sidecar: false => true"],
            ),
            row(
                "volume mount",
                "/VolumeMounts/0/ReadOnly",
                json!(true),
                Replaced,
                &["~g ~t ~VolumeMount ~ReadOnly: false => true"],
            ),
            row(
                "identity",
                "/Identity/File",
                json!(true),
                Replaced,
                &["~g ~t ~Identity ~File: false => true"],
            ),
            row(
                "csi plugin",
                "/CSIPluginConfig/Type",
                json!("controller"),
                Replaced,
                &["~g ~t ~CSIPluginConfig ~Type: node => controller"],
            ),
            row(
                "restart policy of its own",
                "/RestartPolicy",
                json!({"Attempts": 7}),
                InPlace,
                &["~g ~t ~RestartPolicy ~Attempts: 2 => 7"],
            ),
            row(
                "vertical scaling",
                "/ScalingPolicies/0/Max",
                json!(800),
                InPlace,
                &["~g ~t ~Scaling ~Max: 500 => 800"],
            ),
            row(
                "service",
                "/Services",
                json!([{"Name": "metrics", "Provider": "nomad"}]),
                InPlace,
                &[
                    "~g ~t +Service +AddressMode: auto",
                    "~g ~t +Service +EnableTagOverride: false",
                    "~g ~t +Service +Name: metrics",
                    "~g ~t +Service +Namespace: default",
                    "~g ~t +Service +OnUpdate: require_healthy",
                    "~g ~t +Service +Provider: nomad",
                ],
            ),
        ],
        T,
    );
}

#[test]
fn a_task_is_annotated_with_what_its_change_forces() {
    for (path, to, note) in [
        (
            format!("{T}/Config/image"),
            json!("redis:7"),
            "forces create/destroy update",
        ),
        (
            format!("{T}/Env/A"),
            json!("2"),
            "forces create/destroy update",
        ),
        (
            format!("{T}/KillTimeout"),
            json!(1),
            "forces in-place update",
        ),
        (
            format!("{T}/Services"),
            json!([{"Name": "s"}]),
            "forces in-place update",
        ),
        (
            format!("{T}/Constraints"),
            json!([{"Operand": "distinct_hosts"}]),
            "forces in-place update",
        ),
        (
            format!("{T}/LogConfig/MaxFiles"),
            json!(3),
            "forces in-place update",
        ),
        (
            format!("{T}/LogConfig/Disabled"),
            json!(true),
            "forces create/destroy update",
        ),
        (
            format!("{T}/Lifecycle/Sidecar"),
            json!(true),
            "forces in-place update",
        ),
        (
            format!("{T}/VolumeMounts/0/ReadOnly"),
            json!(true),
            "forces create/destroy update",
        ),
        (
            format!("{T}/RestartPolicy"),
            json!({"Attempts": 8}),
            "forces in-place update",
        ),
        (
            format!("{G}/RestartPolicy"),
            json!({"Attempts": 8}),
            "forces in-place update",
        ),
    ] {
        let (old, new) = (
            canonical(&whole_job()),
            canonical(&changed(&whole_job(), &path, to)),
        );
        let mut found = diff(Some(&old), Some(&new), true);
        annotate(&mut found, &BTreeMap::new());
        assert_eq!(found.task_groups[0].tasks[0].annotations, [note], "{path}");
    }
}

#[test]
fn counts_and_groups_are_annotated_with_what_becomes_of_allocs() {
    let old = canonical(&whole_job());
    for (count, notes) in [
        (json!(3), vec!["forces create"]),
        (json!(0), vec!["forces destroy"]),
    ] {
        let new = canonical(&changed(&whole_job(), &format!("{G}/Count"), count));
        let mut found = diff(Some(&old), Some(&new), true);
        let updates = DesiredUpdates {
            place: 2,
            in_place_update: 1,
            ..DesiredUpdates::default()
        };
        annotate(&mut found, &BTreeMap::from([("g".into(), updates)]));
        let group = &found.task_groups[0];
        assert_eq!(group.fields[0].annotations, notes);
        let counts: Vec<_> = group
            .updates
            .iter()
            .flatten()
            .map(|(what, count)| (what.as_str(), *count))
            .collect();
        assert_eq!(counts, [("create", 2), ("in-place update", 1)]);
    }
    let other = canonical(&changed(&whole_job(), &format!("{G}/Name"), json!("h")));
    let mut found = diff(Some(&old), Some(&other), true);
    annotate(&mut found, &BTreeMap::new());
    let notes: Vec<_> = found
        .task_groups
        .iter()
        .map(|group| (group.kind, group.tasks[0].annotations.concat()))
        .collect();
    assert_eq!(
        notes,
        [
            (DiffType::Deleted, "forces destroy".to_owned()),
            (DiffType::Added, "forces create".to_owned()),
        ]
    );
}

#[test]
fn context_shows_unchanged_fields_and_sets_of_a_changed_object() {
    let old = canonical(&whole_job());
    let new = canonical(&changed(
        &whole_job(),
        &format!("{G}/Services/0/PortLabel"),
        json!("ssh"),
    ));
    let service = diff(Some(&old), Some(&new), true)
        .task_groups
        .remove(0)
        .objects
        .remove(0);
    let fields: Vec<_> = service
        .fields
        .iter()
        .map(|field| (field.name.as_str(), field.kind, field.new.as_str()))
        .collect();
    assert_eq!(
        fields,
        [
            ("Address", DiffType::None, ""),
            ("AddressMode", DiffType::None, "auto"),
            ("EnableTagOverride", DiffType::None, "false"),
            ("Meta[m]", DiffType::None, "1"),
            ("Name", DiffType::None, "s"),
            ("Namespace", DiffType::None, "default"),
            ("OnUpdate", DiffType::None, "require_healthy"),
            ("PortLabel", DiffType::Edited, "ssh"),
            ("Provider", DiffType::None, "consul"),
            ("TaskName", DiffType::None, ""),
        ]
    );
    let objects: Vec<_> = service
        .objects
        .iter()
        .map(|object| (object.name.as_str(), object.kind, object.fields.len()))
        .collect();
    assert_eq!(objects, [("Tags", DiffType::None, 2)]);
}

#[test]
fn what_is_new_or_gone_as_a_whole_lists_what_clients_know() {
    let job = canonical(&whole_job());
    for found in [diff(None, Some(&job), false), diff(Some(&job), None, false)] {
        let names = |objects: &[rove_model::diff::ObjectDiff]| -> Vec<String> {
            objects.iter().map(|object| object.name.clone()).collect()
        };
        assert_eq!(
            names(&found.objects),
            [
                "Datacenters",
                "Constraint",
                "Affinity",
                "Periodic",
                "ParameterizedJob",
                "Multiregion"
            ]
        );
        let group = &found.task_groups[0];
        assert_eq!(
            names(&group.objects),
            [
                "RestartPolicy",
                "ReschedulePolicy",
                "EphemeralDisk",
                "Consul",
                "Update",
                "Network",
                "Scaling",
                "Service",
                "Service",
                "Service",
                "Volume",
            ]
        );
        assert_eq!(
            names(&group.tasks[0].objects),
            [
                "Config",
                "Resources",
                "LogConfig",
                "DispatchPayload",
                "Artifact",
                "Vault",
                "Template"
            ]
        );
    }
}

#[test]
fn services_are_found_again_by_name_then_port_then_place() {
    let services = |list: Value| canonical(&changed(&whole_job(), &format!("{G}/Services"), list));
    let service =
        |name: &str, port: &str| json!({"Name": name, "PortLabel": port, "Provider": "nomad"});
    for (what, old, new, shown) in [
        (
            "moved",
            json!([service("a", "1"), service("b", "2")]),
            json!([service("b", "2"), service("a", "1")]),
            // The order is a change of the job, and of nothing in it.
            vec!["~g"],
        ),
        (
            "renamed at its place",
            json!([service("a", "1"), service("b", "2")]),
            json!([service("c", "1"), service("b", "2")]),
            vec!["~g ~Service ~Name: a => c"],
        ),
        (
            "another port and another place",
            json!([service("a", "1"), service("b", "2")]),
            json!([service("b", "3"), service("a", "1")]),
            vec!["~g ~Service ~PortLabel: 2 => 3"],
        ),
    ] {
        let found = diff(Some(&services(old)), Some(&services(new)), false);
        assert_eq!(lines(&found), shown, "{what}");
    }
}
