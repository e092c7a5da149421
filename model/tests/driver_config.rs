//! Driver config is looked at where a job is: before a node has to refuse it.

use std::collections::BTreeSet;

use rove_model::{
    job::Job,
    validate::{validate, validate_for},
};
use serde_json::{Value, json};

fn job(driver: &str, config: &Value) -> Job {
    let mut job: Job = serde_json::from_value(json!({
        "ID": "j", "TaskGroups": [{"Name": "g",
            "Networks": [{"DynamicPorts": [{"Label": "db"}], "ReservedPorts": [{"Label": "web", "Value": 80}]}],
            "Tasks": [{"Name": "t", "Driver": driver, "Config": config}]}],
    }))
    .expect("a job");
    job.server_canonicalize();
    job
}

/// The complaints with their fields.
fn found(driver: &str, config: &Value) -> Vec<String> {
    let found = validate(&job(driver, config)).errors;
    let problems = found.problems();
    problems
        .iter()
        .map(|problem| format!("{}: {}", problem.path, problem.message))
        .collect()
}

#[test]
fn what_a_node_would_refuse_is_refused_by_name_and_place() {
    let at = "group[\"g\"].task[\"t\"].config";
    for (driver, config, expected) in [
        (
            "docker",
            json!({"imgae": "redis:3.2"}),
            &[
                ".imgae: invalid docker config: unknown key \"imgae\"; did you mean \"image\"?",
                ": invalid docker config: key \"image\" is required",
            ][..],
        ),
        (
            "docker",
            json!({"image": "x", "ports": ["bd"]}),
            &[
                ".ports: invalid docker config: \"ports\" names the port \"bd\", which no network block of the group or the task has; did you mean \"db\"?",
            ],
        ),
        (
            "docker",
            json!({"image": "x", "port_map": [{"htttp": 80}]}),
            &[
                ".port_map: invalid docker config: \"port_map\" names the port \"htttp\", which no network block of the group or the task has",
            ],
        ),
        (
            "docker",
            json!({"image": "x", "port_map": {"db": 70_000}}),
            &[
                ".port_map: invalid docker config: key \"port_map.db\" is \"70000\", which is not a port",
            ],
        ),
        (
            "docker",
            json!({"image": "x", "logging": [{"type": "x"}]}),
            &[".logging: invalid docker config: key \"logging\" is not supported yet"],
        ),
        (
            "docker",
            json!({"image": ["x"], "tty": "yes", "pids_limit": 0.5, "args": "a", "labels": ["a"], "entrypoint": {}}),
            &[
                ".args: invalid docker config: key \"args\" must be a list of strings",
                ".entrypoint: invalid docker config: key \"entrypoint\" must be a string or a list of strings",
                ".image: invalid docker config: key \"image\" must be a string",
                ".labels: invalid docker config: key \"labels\" must be a map of strings",
                ".pids_limit: invalid docker config: key \"pids_limit\" must be a whole number",
                ".tty: invalid docker config: key \"tty\" must be true or false",
            ],
        ),
        (
            "docker",
            json!({"image": "x", "auth": [{"usernam": "u"}], "ulimit": {"nofile": "many"}, "image_pull_timeout": "5"}),
            &[
                ".auth: invalid docker config: unknown key \"auth.usernam\"; did you mean \"username\"?",
                ".image_pull_timeout: invalid docker config: key \"image_pull_timeout\" is \"5\", which is not a duration such as \"5m\"",
                ".ulimit: invalid docker config: key \"ulimit.nofile\" is \"many\", which is not a limit such as \"1024:2048\"",
            ],
        ),
        ("docker", json!({"image": "x", "pids_limit": -1}), &[]),
        ("docker", json!({"image": "x", "pids_limit": "-1"}), &[]),
        (
            "docker",
            json!({"image": "x", "windows_allow_insecure_container_admin": true}),
            &[
                ".windows_allow_insecure_container_admin: invalid docker config: key \"windows_allow_insecure_container_admin\" is not supported yet",
            ],
        ),
        (
            "raw_exec",
            json!({"command": "x", "work_dir": "/", "denied_envvars": ["A"], "oom_score_adj": 1}),
            &[
                ".denied_envvars: invalid raw_exec config: key \"denied_envvars\" is not supported yet",
                ".oom_score_adj: invalid raw_exec config: key \"oom_score_adj\" is not supported yet",
                ".work_dir: invalid raw_exec config: key \"work_dir\" is not supported yet",
            ],
        ),
        (
            "docker",
            json!({"image": "x", "ports": ["db"], "port_map": {"db": 1}}),
            &[
                ".port_map: invalid docker config: key \"port_map\" is \"db\", which is not allowed together with \"ports\"",
            ],
        ),
        (
            "raw_exec",
            json!({"comand": "/bin/true"}),
            &[
                ".comand: invalid raw_exec config: unknown key \"comand\"; did you mean \"command\"?",
                ": invalid raw_exec config: key \"command\" is required",
            ],
        ),
        (
            "mock_driver",
            json!({"run_for": "soon", "exit_code": 1_u64 << 40}),
            &[
                ".exit_code: invalid mock_driver config: key \"exit_code\" is \"1099511627776\", which is not a number up to 2147483647",
                ".run_for: invalid mock_driver config: key \"run_for\" is \"soon\", which is not a duration such as \"30s\"",
            ],
        ),
    ] {
        let expected: Vec<String> = expected.iter().map(|text| format!("{at}{text}")).collect();
        assert_eq!(found(driver, &config), expected, "{driver} {config}");
    }
}

#[test]
fn what_is_known_on_the_node_only_passes() {
    for (driver, config) in [
        (
            "docker",
            json!({"image": "${meta.image}:${env}", "ports": ["${NOMAD_META_port}", "db", "web"], "tty": "${meta.tty}",
            "pids_limit": "${meta.pids}", "port_map": null, "ulimit": {"nofile": "${meta.files}"}, "image_pull_timeout": "${meta.t}",
            "entrypoint": "/x", "labels": [{"a": "${b}"}, {"c": 1}]}),
        ),
        (
            "docker",
            json!({"image": "x", "port_map": [{"db": 6379}], "privileged": "true"}),
        ),
        (
            "raw_exec",
            json!({"command": "${meta.program}", "args": ["${NOMAD_PORT_db}", 1, true]}),
        ),
        ("mock_driver", json!({})),
        ("firecracker", json!({"anything": [1]})),
    ] {
        assert_eq!(
            found(driver, &config),
            Vec::<String>::new(),
            "{driver} {config}"
        );
    }
}

#[test]
fn a_driver_that_no_node_has_is_a_warning_with_the_nearest_name() {
    let nodes = BTreeSet::from(["docker".to_owned(), "firecracker".to_owned()]);
    for (driver, known, expected) in [
        (
            "dokcer",
            None,
            "1 warning:\n\n* Task \"t\": the driver \"dokcer\" is not built in; did you mean \"docker\"?",
        ),
        (
            "dokcer",
            Some(&nodes),
            "1 warning:\n\n* Task \"t\": no node has the driver \"dokcer\"; did you mean \"docker\"?",
        ),
        (
            "firecraker",
            Some(&nodes),
            "1 warning:\n\n* Task \"t\": no node has the driver \"firecraker\"; did you mean \"firecracker\"?",
        ),
        (
            "raw_exec",
            Some(&nodes),
            "1 warning:\n\n* Task \"t\": no node has the driver \"raw_exec\"; is its plugin enabled in the agents' files?",
        ),
        (
            "zzz",
            None,
            "1 warning:\n\n* Task \"t\": the driver \"zzz\" is not built in",
        ),
        ("docker", Some(&nodes), ""),
        ("docker", None, ""),
    ] {
        let mut config = json!({"image": "x"});
        if driver == "raw_exec" {
            config = json!({"command": "x"});
        }
        let found = validate_for(&job(driver, &config), known);
        assert!(found.errors.is_empty(), "{driver}: {}", found.errors);
        assert_eq!(found.warnings.to_string(), expected, "{driver}");
    }
}

#[test]
fn memory_max_is_honoured_and_nothing_says_otherwise() {
    let mut job = job("docker", &json!({"image": "x"}));
    job.task_groups[0].tasks[0].resources =
        serde_json::from_value(json!({"MemoryMB": 100, "MemoryMaxMB": 200})).expect("resources");
    job.server_canonicalize();
    let found = validate(&job);
    assert!(
        found.errors.is_empty() && found.warnings.is_empty(),
        "{}",
        found.warnings
    );
}
