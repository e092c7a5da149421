//! One change of a job at a time: what the diff says of it, and whether running allocs take it over as they run.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use rove_model::{diff::diff, update::tasks_updated};
use serde_json::{Value, json};
use support::{canonical, changed, lines, whole_job};

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

fn check(rows: &[Row], base: &str) {
    let mut wrong = Vec::new();
    for row in rows {
        let old = whole_job();
        let new = changed(&old, &format!("{base}{}", row.at), row.to.clone());
        let (old, new) = (canonical(&old), canonical(&new));
        let shown = lines(&diff(Some(&old), Some(&new), false));
        let fate = if tasks_updated(&old, &new, "g") {
            Replaced
        } else {
            InPlace
        };
        if shown != row.shown || fate != row.fate {
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
            row("type", "/Type", json!("batch"), InPlace, &[]),
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
                &[],
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
                &[],
            ),
            row(
                "affinity",
                "/Affinities/0/Weight",
                json!(-20),
                Replaced,
                &[],
            ),
            row(
                "spread",
                "/Spreads/0/SpreadTarget/0/Percent",
                json!(60),
                Replaced,
                &[],
            ),
            row(
                "spread's weight",
                "/Spreads/0/Weight",
                json!(10),
                Replaced,
                &[],
            ),
            row(
                "schedule",
                "/Periodic/Spec",
                json!("5 * * * *"),
                InPlace,
                &[],
            ),
            row(
                "schedules",
                "/Periodic/Specs",
                json!(["5 * * * *"]),
                InPlace,
                &[],
            ),
            row("schedule removed", "/Periodic", Value::Null, InPlace, &[]),
            row(
                "payload",
                "/ParameterizedJob/Payload",
                json!("required"),
                InPlace,
                &[],
            ),
            row(
                "dispatch keys",
                "/ParameterizedJob/MetaRequired",
                json!(["c"]),
                InPlace,
                &[],
            ),
            row(
                "region's count",
                "/Multiregion/Regions/0/Count",
                json!(3),
                InPlace,
                &[],
            ),
            row(
                "region's datacenters",
                "/Multiregion/Regions/0/Datacenters",
                json!(["w2"]),
                InPlace,
                &[],
            ),
            row(
                "strategy",
                "/Multiregion/Strategy/MaxParallel",
                json!(2),
                InPlace,
                &[],
            ),
            row(
                "consul's namespace",
                "/ConsulNamespace",
                json!("team"),
                InPlace,
                &[],
            ),
            row(
                "update of the job alone",
                "/Update/Stagger",
                json!(5_000_000_000_i64),
                InPlace,
                &[],
            ),
        ],
        "",
    );
}

#[test]
fn a_change_of_a_group() {
    check(
        &[
            row("count", "/Count", json!(3), InPlace, &[]),
            row("meta", "/Meta/x", json!("z"), Replaced, &[]),
            row(
                "constraint added",
                "/Constraints",
                json!([{"LTarget": "${attr.cpu.arch}", "RTarget": "arm64", "Operand": "!="}]),
                InPlace,
                &[],
            ),
            row(
                "affinity added",
                "/Affinities",
                json!([{"LTarget": "${meta.rack}", "RTarget": "r1", "Operand": "="}]),
                Replaced,
                &[],
            ),
            row(
                "spread added",
                "/Spreads",
                json!([{"Attribute": "${meta.rack}"}]),
                Replaced,
                &[],
            ),
            row(
                "restart attempts",
                "/RestartPolicy/Attempts",
                json!(9),
                InPlace,
                &[],
            ),
            row(
                "restart renders templates",
                "/RestartPolicy/RenderTemplates",
                json!(true),
                Replaced,
                &[],
            ),
            row(
                "reschedule",
                "/ReschedulePolicy/Unlimited",
                json!(false),
                InPlace,
                &[],
            ),
            row("migrate", "/Migrate/MaxParallel", json!(2), InPlace, &[]),
            row("disk", "/EphemeralDisk/SizeMB", json!(500), Replaced, &[]),
            row(
                "sticky disk",
                "/EphemeralDisk/Sticky",
                json!(true),
                Replaced,
                &[],
            ),
            row("consul", "/Consul/Namespace", json!("other"), Replaced, &[]),
            row("update", "/Update/MaxParallel", json!(2), InPlace, &[]),
            row("canaries", "/Update/Canary", json!(1), InPlace, &[]),
            row(
                "stagger",
                "/Update/Stagger",
                json!(1_000_000_000_i64),
                InPlace,
                &[],
            ),
            row(
                "shutdown delay",
                "/ShutdownDelay",
                json!(5_000_000_000_i64),
                InPlace,
                &[],
            ),
            row(
                "stop after disconnect",
                "/StopAfterClientDisconnect",
                json!(60_000_000_000_i64),
                InPlace,
                &[],
            ),
            row(
                "max disconnect",
                "/MaxClientDisconnect",
                json!(60_000_000_000_i64),
                InPlace,
                &[],
            ),
            row(
                "network mode",
                "/Networks/0/Mode",
                json!("host"),
                Replaced,
                &[],
            ),
            row(
                "static port",
                "/Networks/0/ReservedPorts/0/Value",
                json!(2222),
                Replaced,
                &[],
            ),
            row(
                "port's host network",
                "/Networks/0/DynamicPorts/0/HostNetwork",
                json!("public"),
                Replaced,
                &[],
            ),
            row(
                "dns",
                "/Networks/0/DNS/Searches",
                json!(["a", "b"]),
                Replaced,
                &[],
            ),
            row(
                "network device",
                "/Networks/0/Device",
                json!("eth1"),
                InPlace,
                &[],
            ),
            row("scaling limit", "/Scaling/Max", json!(9), InPlace, &[]),
            row(
                "scaling rule",
                "/Scaling/Policy/cooldown",
                json!("2m"),
                InPlace,
                &[],
            ),
            row("scaling removed", "/Scaling", Value::Null, InPlace, &[]),
            row(
                "volume",
                "/Volumes/data/ReadOnly",
                json!(true),
                Replaced,
                &[],
            ),
            row(
                "volume added",
                "/Volumes/more",
                json!({"Type": "host", "Source": "more"}),
                Replaced,
                &[],
            ),
            row(
                "mount flags",
                "/Volumes/data/MountOptions/MountFlags",
                json!(["noatime"]),
                Replaced,
                &[],
            ),
            row("task removed", "/Tasks/1", Value::Null, Replaced, &[]),
        ],
        G,
    );
}

#[test]
fn a_change_of_a_service() {
    check(
        &[
            row("tags", "/0/Tags", json!(["a", "c"]), InPlace, &[]),
            row(
                "canary tags",
                "/0/CanaryTags",
                json!(["canary"]),
                InPlace,
                &[],
            ),
            row("meta", "/0/Meta/m", json!("2"), InPlace, &[]),
            row(
                "tagged addresses",
                "/0/TaggedAddresses",
                json!({"lan": "1.2.3.4"}),
                InPlace,
                &[],
            ),
            row("port", "/0/PortLabel", json!("ssh"), InPlace, &[]),
            row("name", "/0/Name", json!("web"), InPlace, &[]),
            row(
                "check's path",
                "/0/Checks/0/Path",
                json!("/health"),
                InPlace,
                &[],
            ),
            row(
                "check's interval",
                "/0/Checks/0/Interval",
                json!(5_000_000_000_i64),
                InPlace,
                &[],
            ),
            row(
                "check's header",
                "/0/Checks/0/Header/X",
                json!(["1", "2"]),
                InPlace,
                &[],
            ),
            row(
                "check's arguments",
                "/0/Checks/0/Args",
                json!(["-v"]),
                InPlace,
                &[],
            ),
            row(
                "check restart",
                "/0/Checks/0/CheckRestart/Limit",
                json!(5),
                InPlace,
                &[],
            ),
            row(
                "check restart of the service",
                "/0/CheckRestart",
                json!({"Limit": 7}),
                InPlace,
                &[],
            ),
            row(
                "check renamed",
                "/0/Checks/0/Name",
                json!("down"),
                InPlace,
                &[],
            ),
            row(
                "sidecar's port",
                "/1/Connect/SidecarService/Port",
                json!("19002"),
                Replaced,
                &[],
            ),
            row(
                "sidecar's tags",
                "/1/Connect/SidecarService/Tags",
                json!(["t"]),
                InPlace,
                &[],
            ),
            row(
                "upstream's port",
                "/1/Connect/SidecarService/Proxy/Upstreams/0/LocalBindPort",
                json!(2),
                InPlace,
                &[],
            ),
            row(
                "upstream's gateway",
                "/1/Connect/SidecarService/Proxy/Upstreams/0/MeshGateway",
                json!({"Mode": "local"}),
                InPlace,
                &[],
            ),
            row(
                "proxy's config",
                "/1/Connect/SidecarService/Proxy/Config",
                json!({"level": 3}),
                InPlace,
                &[],
            ),
            row(
                "exposed path",
                "/1/Connect/SidecarService/Proxy/Expose",
                json!({"Paths": [{"Path": "/m", "LocalPathPort": 9}]}),
                InPlace,
                &[],
            ),
            row(
                "sidecar's task",
                "/1/Connect/SidecarTask/Resources/CPU",
                json!(300),
                Replaced,
                &[],
            ),
            row(
                "sidecar's kill timeout",
                "/1/Connect/SidecarTask/KillTimeout",
                json!(1),
                Replaced,
                &[],
            ),
            row(
                "gateway's timeout",
                "/2/Connect/Gateway/Proxy/ConnectTimeout",
                json!(3_000_000_000_i64),
                Replaced,
                &[],
            ),
            row(
                "gateway's address",
                "/2/Connect/Gateway/Proxy/EnvoyGatewayBindAddresses/in/Port",
                json!(81),
                Replaced,
                &[],
            ),
            row(
                "listener's hosts",
                "/2/Connect/Gateway/Ingress/Listeners/0/Services/0/Hosts",
                json!(["b"]),
                Replaced,
                &[],
            ),
            row(
                "tls of the gateway",
                "/2/Connect/Gateway/Ingress/TLS",
                json!({"Enabled": true, "CipherSuites": ["c"]}),
                Replaced,
                &[],
            ),
            row(
                "terminating gateway",
                "/2/Connect/Gateway/Terminating",
                json!({"Services": [{"Name": "out", "SNI": "s"}]}),
                Replaced,
                &[],
            ),
            row(
                "mesh gateway",
                "/2/Connect/Gateway/Mesh",
                json!({}),
                Replaced,
                &[],
            ),
            row("service removed", "/0", Value::Null, InPlace, &[]),
        ],
        &format!("{G}/Services"),
    );
}

#[test]
fn a_change_of_a_task() {
    check(
        &[
            row("driver", "/Driver", json!("raw_exec"), Replaced, &[]),
            row("user", "/User", json!("me"), Replaced, &[]),
            row("image", "/Config/image", json!("redis:7"), Replaced, &[]),
            row("argument", "/Config/args/0", json!("b"), Replaced, &[]),
            row("port map", "/Config/port_map/0/db", json!(1), Replaced, &[]),
            row("env", "/Env/A", json!("2"), Replaced, &[]),
            row("meta", "/Meta/k", json!("v"), Replaced, &[]),
            row(
                "kill timeout",
                "/KillTimeout",
                json!(1_000_000_000_i64),
                InPlace,
                &[],
            ),
            row("kill signal", "/KillSignal", json!("SIGINT"), InPlace, &[]),
            row("leader", "/Leader", json!(true), InPlace, &[]),
            row("shutdown delay", "/ShutdownDelay", json!(1), InPlace, &[]),
            row(
                "constraint",
                "/Constraints",
                json!([{"LTarget": "${attr.driver.docker}", "Operand": "is_set"}]),
                InPlace,
                &[],
            ),
            row(
                "affinity",
                "/Affinities",
                json!([{"LTarget": "${meta.rack}", "RTarget": "r", "Operand": "="}]),
                Replaced,
                &[],
            ),
            row("cpu", "/Resources/CPU", json!(200), Replaced, &[]),
            row("cores", "/Resources/Cores", json!(1), Replaced, &[]),
            row("memory", "/Resources/MemoryMB", json!(65), Replaced, &[]),
            row(
                "memory max",
                "/Resources/MemoryMaxMB",
                json!(128),
                Replaced,
                &[],
            ),
            row("iops", "/Resources/IOPS", json!(5), InPlace, &[]),
            row(
                "device's count",
                "/Resources/Devices/0/Count",
                json!(2),
                Replaced,
                &[],
            ),
            row(
                "device's constraint",
                "/Resources/Devices/0/Constraints/0/RTarget",
                json!("4 GiB"),
                Replaced,
                &[],
            ),
            row(
                "network of 2017",
                "/Resources/Networks",
                json!([{"MBits": 10}]),
                Replaced,
                &[],
            ),
            row("log files", "/LogConfig/MaxFiles", json!(2), InPlace, &[]),
            row(
                "logs off",
                "/LogConfig/Disabled",
                json!(true),
                Replaced,
                &[],
            ),
            row(
                "dispatch payload",
                "/DispatchPayload/File",
                json!("other"),
                InPlace,
                &[],
            ),
            row(
                "artifact's source",
                "/Artifacts/0/GetterSource",
                json!("https://b"),
                Replaced,
                &[],
            ),
            row(
                "artifact's option",
                "/Artifacts/0/GetterOptions",
                json!({"checksum": "md5:1"}),
                Replaced,
                &[],
            ),
            row(
                "artifact's destination",
                "/Artifacts/0/RelativeDest",
                json!("local/x"),
                Replaced,
                &[],
            ),
            row(
                "template's text",
                "/Templates/0/EmbeddedTmpl",
                json!("y"),
                Replaced,
                &[],
            ),
            row(
                "template's owner",
                "/Templates/0/Uid",
                json!(0),
                Replaced,
                &[],
            ),
            row(
                "template's wait",
                "/Templates/0/Wait/Min",
                json!(2),
                Replaced,
                &[],
            ),
            row(
                "template's script",
                "/Templates/0/ChangeScript/Args",
                json!(["a"]),
                Replaced,
                &[],
            ),
            row(
                "template added",
                "/Templates/-",
                json!({"DestPath": "local/b", "EmbeddedTmpl": "b"}),
                Replaced,
                &[],
            ),
            row(
                "vault's policies",
                "/Vault/Policies",
                json!(["p", "q"]),
                Replaced,
                &[],
            ),
            row("vault removed", "/Vault", Value::Null, Replaced, &[]),
            row(
                "life cycle",
                "/Lifecycle/Sidecar",
                json!(true),
                InPlace,
                &[],
            ),
            row(
                "volume mount",
                "/VolumeMounts/0/ReadOnly",
                json!(true),
                Replaced,
                &[],
            ),
            row("identity", "/Identity/File", json!(true), Replaced, &[]),
            row(
                "csi plugin",
                "/CSIPluginConfig/Type",
                json!("controller"),
                Replaced,
                &[],
            ),
            row(
                "restart policy of its own",
                "/RestartPolicy",
                json!({"Attempts": 7}),
                InPlace,
                &[],
            ),
            row(
                "vertical scaling",
                "/ScalingPolicies/0/Max",
                json!(800),
                InPlace,
                &[],
            ),
            row(
                "service",
                "/Services",
                json!([{"Name": "metrics", "Provider": "nomad"}]),
                InPlace,
                &[],
            ),
        ],
        T,
    );
}
