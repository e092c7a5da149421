#![allow(clippy::unwrap_used)]

use std::{fs, net::IpAddr, path::Path, sync::Arc};

use super::*;
use crate::drivers::mock::MockDriver;

const CPUINFO: &str = "processor\t: 0\nmodel name\t: Fast CPU\ncpu MHz\t\t: 2499.998\n\n\
                       processor\t: 1\nmodel name\t: Fast CPU\ncpu MHz\t\t: 1200.0\n";
const ROUTES: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
    eth1\t000811AC\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
    wlan0\t00000000\t0102000A\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
    eth0\t00000000\t0102000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";
const MOUNTS: &str = "/dev/vda / ext4 rw 0 0\n\
    cgroup /sys/fs/cgroup/cpu cgroup rw,cpu,cpuacct 0 0\n\
    cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";

fn fixture(files: &[(&str, &str)]) -> (tempfile::TempDir, Roots) {
    let dir = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let roots = Roots {
        proc: dir.path().join("proc"),
        sys: dir.path().join("sys"),
        etc: dir.path().join("etc"),
    };
    (dir, roots)
}

fn host_files() -> Vec<(&'static str, &'static str)> {
    vec![
        ("proc/cpuinfo", CPUINFO),
        (
            "proc/meminfo",
            "MemTotal:       2048000 kB\nMemFree: 1 kB\n",
        ),
        ("proc/net/route", ROUTES),
        ("proc/self/mounts", MOUNTS),
        ("sys/class/net/eth0/speed", "10000\n"),
        ("sys/class/net/eth1/speed", "-1\n"),
        (
            "etc/os-release",
            "NAME=\"Debian\"\nID=debian\nVERSION_ID=\"12\"\n",
        ),
        ("etc/debian_version", "12.11\n"),
    ]
}

fn address(device: &str, ip: &str) -> InterfaceAddress {
    InterfaceAddress {
        device: device.to_owned(),
        ip: ip.parse::<IpAddr>().unwrap(),
    }
}

fn interfaces() -> Vec<InterfaceAddress> {
    vec![
        address("lo", "127.0.0.1"),
        address("lo", "::1"),
        address("docker0", "172.30.0.1"),
        address("eth1", "172.17.8.102"),
        address("eth0", "fe80::1"),
        address("eth0", "fd00::2"),
        address("eth0", "10.0.2.15"),
    ]
}

fn node(files: &[(&str, &str)], settings: &NodeSettings, interfaces: &[InterfaceAddress]) -> Node {
    let (_dir, roots) = fixture(files);
    let id = NodeId::from_random([1; 16]);
    host(id, settings, &roots, Path::new("/"), interfaces, 5).unwrap()
}

#[test]
fn a_host_is_described_in_the_words_that_constraints_use() {
    let node = node(&host_files(), &NodeSettings::default(), &interfaces());
    for (name, value) in [
        (
            "cpu.arch",
            std::env::consts::ARCH
                .replace("x86_64", "amd64")
                .replace("aarch64", "arm64")
                .as_str(),
        ),
        ("cpu.frequency", "2499"),
        ("cpu.modelname", "Fast CPU"),
        ("cpu.numcores", "2"),
        ("cpu.totalcompute", "4998"),
        ("memory.totalbytes", "2097152000"),
        ("kernel.name", "linux"),
        ("os.name", "debian"),
        ("os.version", "12.11"),
        ("unique.network.ip-address", "10.0.2.15"),
        ("unique.cgroup.version", "v1"),
        ("unique.cgroup.mountpoint", "/sys/fs/cgroup/cpu"),
        ("unique.storage.volume", "/dev/vda"),
        ("nomad.version", "1.6.5"),
        ("rove.version", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(
            node.attributes.get(name).map(String::as_str),
            Some(value),
            "{name}"
        );
    }
    assert!(node.attributes["os.signals"].contains("SIGTERM"));
    assert_eq!(node.name, node.attributes["unique.hostname"]);
    assert_eq!(
        (node.datacenter.as_str(), node.node_pool.as_str()),
        ("dc1", "default")
    );
    let resources = &node.resources;
    assert_eq!(
        (resources.cpu, resources.cores, resources.memory_mb),
        (4998, 2, 2000)
    );
    let networks: Vec<_> = resources
        .networks
        .iter()
        .map(|network| {
            (
                network.device.as_str(),
                network.cidr.as_str(),
                network.mbits,
            )
        })
        .collect();
    assert_eq!(
        networks,
        [
            ("eth0", "10.0.2.15/32", 10_000),
            ("eth0", "fd00::2/128", 10_000)
        ]
    );
}

#[test]
fn which_interface_ports_are_handed_out_on() {
    let without_route: Vec<_> = host_files()
        .into_iter()
        .filter(|(path, _)| !path.contains("route"))
        .collect();
    let settings = |http: &str, interface: Option<&str>, loopback| NodeSettings {
        http_addr: http.to_owned(),
        network_interface: interface.map(str::to_owned),
        loopback,
        ..NodeSettings::default()
    };
    let only_lo = &interfaces()[..3];
    for (what, files, settings, interfaces, expected) in [
        (
            "the default route's",
            &host_files(),
            settings("", None, false),
            &interfaces()[..],
            "10.0.2.15",
        ),
        (
            "the chosen one",
            &host_files(),
            settings("", Some("eth1"), false),
            &interfaces()[..],
            "172.17.8.102",
        ),
        (
            "a development agent's",
            &host_files(),
            settings("", None, true),
            &interfaces()[..],
            "127.0.0.1",
        ),
        (
            "the advertised one",
            &without_route,
            settings("10.0.2.15:4646", None, false),
            &interfaces()[..],
            "10.0.2.15",
        ),
        (
            "the first real one",
            &without_route,
            settings("", None, false),
            &interfaces()[..],
            "172.17.8.102",
        ),
        (
            "nothing but containers'",
            &without_route,
            settings("", None, false),
            only_lo,
            "127.0.0.1",
        ),
    ] {
        let node = node(files, &settings, interfaces);
        assert_eq!(node.resources.networks[0].ip, expected, "{what}");
    }
}

#[test]
fn what_is_wrong_with_a_host_or_its_settings_is_said() {
    let (_dir, roots) = fixture(&host_files());
    let settings = NodeSettings {
        network_interface: Some("eth9".to_owned()),
        ..NodeSettings::default()
    };
    let id = NodeId::from_random([1; 16]);
    let error = host(id, &settings, &roots, Path::new("/"), &interfaces(), 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "client.network_interface \"eth9\" has no address on this host; those that have are docker0, eth0, eth1, lo"
    );
    let (_dir, empty) = fixture(&[]);
    let error = host(id, &NodeSettings::default(), &empty, Path::new("/"), &[], 0).unwrap_err();
    assert!(matches!(error, FingerprintError::Read { .. }), "{error}");
}

#[test]
fn a_host_that_tells_little_or_nonsense_is_described_all_the_same() {
    let files = [
        ("proc/cpuinfo", "processor: 0\ncpu MHz: fast\n"),
        ("proc/meminfo", "MemTotal: much\n"),
        ("proc/self/mounts", "x\ncgroup2 /sys/fs/cgroup cgroup2 rw\n"),
        ("proc/net/route", "\nx y\n"),
    ];
    let node = node(&files, &NodeSettings::default(), &[]);
    assert_eq!(node.resources.cpu, 1_000);
    assert_eq!(node.attributes["unique.cgroup.version"], "v2");
    assert!(node.resources.networks.is_empty());
}

#[test]
fn the_operator_knows_better() {
    let settings = NodeSettings {
        name: "mine".to_owned(),
        cpu_total_compute: Some(9_000),
        memory_total_mb: Some(512),
        disk_total_mb: Some(77),
        dynamic_ports: Some((25_000, 25_100)),
        ..NodeSettings::default()
    };
    let node = node(&host_files(), &settings, &interfaces());
    let resources = &node.resources;
    assert_eq!(node.name, "mine");
    assert_eq!(
        (resources.cpu, resources.memory_mb, resources.disk_mb),
        (9_000, 512, 77)
    );
    assert_eq!(
        (resources.min_dynamic_port, resources.max_dynamic_port),
        (25_000, 25_100)
    );
}

#[tokio::test]
async fn a_driver_shows_in_the_attributes_while_it_is_healthy_and_keeps_its_time_while_nothing_changes()
 {
    let plain = node(&host_files(), &NodeSettings::default(), &interfaces());
    let drivers = DriverRegistry::new().with(Arc::new(MockDriver::new(0)));
    let first = with_drivers(&plain, &drivers, 10).await;
    assert_eq!(first.attributes["driver.mock_driver"], "1");
    assert_eq!(first.drivers["mock_driver"].update_time, 10);
    assert_ne!(first.computed_class, plain.computed_class);
    assert_eq!(with_drivers(&first, &drivers, 20).await, first);
    let mut ill = first.clone();
    add_driver(&mut ill, "mock_driver", Fingerprint::default(), 30);
    assert!(!ill.attributes.contains_key("driver.mock_driver"));
    assert_eq!(ill.drivers["mock_driver"].update_time, 30);
}
