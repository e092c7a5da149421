use serde_json::json;

use super::*;

#[test]
fn all_that_is_refused_is_said_at_once_with_its_field() {
    let job: Job = serde_json::from_value(json!({"ID": "j", "TaskGroups": [{"Name": "g", "Update": {"Canary": 1},
            "Tasks": [{"Name": "t", "Driver": "docker", "Config": {"imgae": "x"}, "Vault": {"Policies": ["p"]},
                "Artifacts": [{"GetterSource": "s", "GetterOptions": {"checksum": "md5:12"}}]}]}]}))
        .expect("a job");
    let refusal = admit(job, "default", "global", None).expect_err("refused");
    let text = refusal.to_string();
    for part in [
        "unknown key \"imgae\"; did you mean \"image\"?",
        "Vault not enabled but used in the job",
        "md5 has 32 hex digits, this has 2",
        "group[\"g\"].update.canary: this version of rove does not support canaries",
        "group[\"g\"].task[\"t\"].artifact: this version of rove does not support artifacts",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_job_stays_of_its_kind() {
    let job = |type_name: &str, more: serde_json::Value| -> Job {
        let mut job = json!({"ID": "j", "Type": type_name});
        for (key, value) in more.as_object().expect("an object") {
            job[key] = value.clone();
        }
        serde_json::from_value(job).expect("a job")
    };
    let plain = || json!({});
    let periodic = || json!({"Periodic": {"Spec": "@daily"}});
    let parameterized = || json!({"ParameterizedJob": {}});
    for (old, new, expected) in [
        (job("service", plain()), job("service", plain()), None),
        (
            job("service", plain()),
            job("system", plain()),
            Some("cannot update job from type \"service\" to \"system\""),
        ),
        (
            job("batch", plain()),
            job("batch", periodic()),
            Some("cannot update non-periodic job to being periodic"),
        ),
        (
            job("batch", periodic()),
            job("batch", plain()),
            Some("cannot update periodic job to being non-periodic"),
        ),
        (
            job("batch", plain()),
            job("batch", parameterized()),
            Some("cannot update non-parameterized job to being parameterized"),
        ),
        (
            job("batch", parameterized()),
            job("batch", plain()),
            Some("cannot update parameterized job to being non-parameterized"),
        ),
    ] {
        let found = OtherKind::of(&old, &new).map(RegistrationError::OtherKind);
        assert_eq!(found.map(|error| error.to_string()).as_deref(), expected);
    }
}

#[test]
fn a_driver_that_no_node_has_is_said_with_the_nearest_name() {
    let job: Job = serde_json::from_value(json!({"ID": "j", "TaskGroups": [{"Name": "g",
            "Tasks": [{"Name": "t", "Driver": "dokcer"}]}]}))
    .expect("a job");
    let drivers = BTreeSet::from(["docker".to_owned()]);
    let admitted = admit(job, "default", "global", Some(&drivers)).expect("admitted");
    assert!(
        admitted
            .warnings
            .contains("no node has the driver \"dokcer\"; did you mean \"docker\"?"),
        "{}",
        admitted.warnings
    );
}

#[test]
fn a_job_without_a_region_runs_in_that_of_the_cluster_and_one_of_another_is_refused_once() {
    let job = |region: &str| -> Job {
        serde_json::from_value(
            json!({"ID": "j", "Region": region, "TaskGroups": [{"Name": "g",
                "Tasks": [{"Name": "t", "Driver": "docker", "Config": {"image": "redis"}}]}]}),
        )
        .expect("a job")
    };
    for (named, cluster, refused) in [
        ("", "eu", None),
        ("global", "eu", None),
        ("eu", "eu", None),
        ("", "global", None),
        ("mars", "eu", Some("No path to region \"mars\"")),
        ("eu", "global", Some("No path to region \"eu\"")),
    ] {
        let (_, refusal, _) = look_through(job(named), "default", cluster, None);
        let text = refusal.to_string();
        assert_eq!(text, refused.unwrap_or_default(), "{named} in {cluster}");
        assert_eq!(refusal.is_empty(), refused.is_none());
        let fields: Vec<_> = refusal
            .reasons()
            .into_iter()
            .map(|r| r.path.key())
            .collect();
        assert_eq!(
            fields,
            refused.map_or(vec![], |_| vec!["region".to_owned()])
        );
    }
}
