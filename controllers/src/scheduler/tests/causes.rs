//! What a placement failure says of its cause.

use rove_model::{
    job::Job,
    node::{DriverInfo, Eligibility, NodeControl, NodeState},
};

use super::super::fixtures::{World, job, node, node_id, task};

fn off(description: &str) -> DriverInfo {
    DriverInfo {
        health_description: description.to_owned(),
        ..DriverInfo::default()
    }
}

#[test]
fn what_finds_no_node_says_which_there_are_and_what_to_do() {
    type Change = fn(&mut World, &mut Job);
    let rows: [(&str, u32, Change, &[&str]); 11] = [
        (
            "no node at all",
            0,
            |_, _| {},
            &[
                "No client node has registered: start an agent with client { enabled = true }, and client { servers = \
               [...] } where its server is another agent",
            ],
        ),
        (
            "another datacenter",
            2,
            |world, job| {
                let mut third = node(3);
                third.datacenter = "dc3".to_owned();
                world.add_node(third);
                job.datacenters = vec!["dc2".to_owned(), "moon-*".to_owned()];
            },
            &[
                "No node is in datacenter \"dc2\" or \"moon-*\"; there are nodes in \"dc1\" (2 nodes) and \"dc3\" (1 node)",
            ],
        ),
        (
            "another node pool",
            2,
            |_, job| job.node_pool = "gpu".to_owned(),
            &["No node is in node pool \"gpu\"; there are nodes in \"default\" (2 nodes)"],
        ),
        (
            "a driver that is off",
            0,
            |world, _| {
                for n in 1..=2 {
                    let mut node = node(n);
                    node.drivers.insert("raw_exec".to_owned(), off("disabled"));
                    world.add_node(node);
                }
            },
            &[
                "Driver \"raw_exec\" is off on 2 nodes (node-1 and node-2)",
                "plugin \"raw_exec\" { config { enabled = true } } in the agent's configuration turns it on",
            ],
        ),
        (
            "a driver without its engine",
            0,
            |world, job| {
                let mut node = node(1);
                let said = "Failed to connect to docker daemon";
                node.drivers.insert("docker".to_owned(), off(said));
                world.add_node(node);
                task(job).driver = "docker".to_owned();
            },
            &[
                "Driver \"docker\" is not there, \"Failed to connect to docker daemon\", on 1 node (node-1)",
            ],
        ),
        (
            "a driver that is unhealthy on some",
            1,
            |world, job| {
                let mut node = node(2);
                let info = DriverInfo {
                    detected: true,
                    ..off("it hangs")
                };
                node.drivers.insert("docker".to_owned(), info);
                world.add_node(node);
                world.set_node(node_id(1), NodeState::Down);
                task(job).driver = "docker".to_owned();
            },
            &[
                "1 node is down (node-1)",
                "Driver \"docker\" is unhealthy, \"it hangs\", on 1 node (node-2)",
            ],
        ),
        (
            "a driver that nobody has",
            1,
            |_, job| task(job).driver = "dokcer".to_owned(),
            &["No node has a driver \"dokcer\"; there is docker, raw_exec"],
        ),
        (
            "all are down",
            2,
            |world, _| {
                world.set_node(node_id(1), NodeState::Down);
                world.set_node(node_id(2), NodeState::Down);
            },
            &["2 nodes are down (node-1 and node-2)"],
        ),
        (
            "one is ineligible and one disconnected",
            2,
            |world, _| {
                let control = NodeControl {
                    scheduling_eligibility: Eligibility::Ineligible,
                };
                world.control_node(1, &control);
                world.set_node(node_id(2), NodeState::Disconnected);
            },
            &[
                "1 node is disconnected (node-2)",
                "1 node is not eligible for new allocations (node-1): \"node eligibility -enable\" lets them in again",
            ],
        ),
        (
            "many nodes",
            5,
            |world, _| {
                for n in 1..=5 {
                    world.set_node(node_id(n), NodeState::Down);
                }
            },
            &["5 nodes are down (node-1, node-2, node-3 and 2 more)"],
        ),
        (
            "too large for what is there",
            1,
            |_, job| task(job).resources.as_mut().unwrap().cpu = Some(9_000),
            &[],
        ),
    ];
    for (what, nodes, change, expected) in rows {
        let (mut world, mut job) = (World::new(nodes), job("j", 1));
        change(&mut world, &mut job);
        let outcome = world.run_register(&job);
        let failure = &outcome.eval().failed_groups[&"g".into()];
        assert_eq!(failure.causes, expected, "{what}");
    }
}
