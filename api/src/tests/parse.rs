//! `/v1/jobs/parse`: job files of both ages to JSON, and refusals in the reference's words.

use serde_json::{Value, json};

use super::{
    golden::{differences, exchange, reference},
    world::World,
};

#[tokio::test]
async fn job_files_are_parsed_and_refused_as_recorded() {
    let Some(folder) = reference() else { return };
    let world = World::new().await;
    for number in 56..=63 {
        let recorded = exchange(&folder, number);
        let method = recorded.request["method"].as_str().unwrap();
        let reply = world
            .call(method, "/v1/jobs/parse", &recorded.request["body"])
            .await;
        assert_eq!(
            u64::from(reply.status.as_u16()),
            recorded.status,
            "{number}: {}",
            reply.text
        );
        if recorded.status == 200 {
            let found = differences(&recorded.body, &reply.json(), &[]);
            assert!(found.is_empty(), "{number}:\n{}", found.join("\n"));
        } else if number != 61 {
            // What is wrong with JSON is said in other words.
            assert_eq!(recorded.body, reply.text, "{number}");
        }
    }
}

const OF_2017: &str = "job \"old\" {\n  meta {\n    \"a.b\" = 1\n  }\n  task \"t\" {\n    driver = \"docker\"\n    config {\n      image = \"x:${meta.a.b}\"\n      port_map = [{ http = 80 }]\n    }\n  }\n}\n";

async fn parsed(world: &World, body: Value) -> (u16, String) {
    let reply = world.call("POST", "/v1/jobs/parse", &body).await;
    (reply.status.as_u16(), reply.text)
}

#[tokio::test]
async fn a_file_of_2017_is_parsed_if_the_call_says_so() {
    let world = World::new().await;
    let (status, text) = parsed(&world, json!({"JobHCL": OF_2017})).await;
    assert_eq!(status, 400, "{text}");

    let (status, text) = parsed(&world, json!({"JobHCL": OF_2017, "HCLv1": true})).await;
    assert_eq!(status, 200, "{text}");
    let raw: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(raw["Name"], "old");
    assert_eq!(raw["Meta"], json!({"a.b": "1"}));
    assert_eq!(raw["Priority"], Value::Null);
    assert_eq!(
        raw["TaskGroups"][0]["Tasks"][0]["Config"],
        json!({"image": "x:${meta.a.b}", "port_map": [{"http": 80}]})
    );

    let body = json!({"JobHCL": OF_2017, "HCLv1": true, "Canonicalize": true, "Variables": ""});
    let (status, text) = parsed(&world, body).await;
    assert_eq!(status, 200, "{text}");
    let whole: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(whole["Priority"], 50);
    assert_eq!(whole["TaskGroups"][0]["Name"], "t");
}

#[tokio::test]
async fn what_is_wrong_with_a_file_of_2017_is_said_at_its_place() {
    let world = World::new().await;
    for (text, variables, expected) in [
        ("", "", "Job spec is empty"),
        (
            "job \"x\" {\n  colour = \"red\"\n  typ = \"batch\"\n}\n",
            "",
            "Failed to parse job: input.hcl:2,3-9: Unsupported argument; An argument named \"colour\" is not expected here.\ninput.hcl:3,3-6: Unsupported argument; An argument named \"typ\" is not expected here. Did you mean \"type\"?",
        ),
        (
            "job \"x\" {\n  group \"g\" {\n",
            "",
            "Failed to parse job: input.hcl:2,13-14: Unclosed block; The file ends before this \"{\" is closed.",
        ),
        (
            OF_2017,
            "a = 1\n",
            "Failed to parse job: cannot use variables with HCLv1.",
        ),
    ] {
        let body = json!({"JobHCL": text, "HCLv1": true, "Variables": variables});
        assert_eq!(parsed(&world, body).await, (400, expected.to_owned()));
    }
}
