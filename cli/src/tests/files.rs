//! The commands that work on files alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Call, Ran};

const HCL: &str = r#"job "web" {
  group "app" {
    count = 2

    task "nginx" {
      driver = "docker"

      config {
        image = "nginx:1.25"
      }
    }
  }
}
"#;

const YAML: &str = "apiVersion: rove/v1
kind: Job
metadata:
  name: web
spec:
  groups:
    - name: app
      tasks:
        - name: nginx
          driver: docker
          config:
            image: \"nginx:1.25\"
      count: 2
";

const JSON: &str = r#"{
    "Job": {
        "ID": "web",
        "TaskGroups": [
            {
                "Name": "app",
                "Count": 2,
                "Tasks": [
                    {
                        "Name": "nginx",
                        "Driver": "docker",
                        "Config": {
                            "image": "nginx:1.25"
                        }
                    }
                ]
            }
        ]
    }
}
"#;

/// No agent is asked: nothing listens there.
fn call(folder: &Path) -> Call {
    Call::to("http://127.0.0.1:9").folder(folder)
}

fn said(out: &str) -> Ran {
    Ran {
        out: out.to_owned(),
        err: String::new(),
        code: 0,
    }
}

#[tokio::test]
async fn convert_turns_each_language_into_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("a.hcl", HCL, "hcl"),
        ("a.yaml", YAML, "yaml"),
        ("a.json", JSON, "json"),
    ];
    for (name, text, _) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let mut written = Vec::new();
    for (name, _, _) in files {
        for (_, expected, to) in files {
            let ran = call(folder.path()).run(&["convert", "-to", to, name]).await;
            if to != "yaml" {
                assert_eq!(ran, said(expected), "{name} to {to}");
            }
            written.push((to, ran.out));
        }
    }
    for (to, text) in &written {
        assert!(
            written
                .iter()
                .all(|(other, same)| other != to || same == text),
            "{to}"
        );
        let ran = call(folder.path())
            .typing(text)
            .run(&["convert", "-from", to, "-to=json", "-"])
            .await;
        assert_eq!(ran, said(JSON), "{to} from standard input");
    }
}

#[tokio::test]
async fn convert_sees_the_language_by_the_names_of_files() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.nomad"), HCL).unwrap();
    for (output, begins) in [
        ("b.yaml", "apiVersion: rove/v1\n"),
        ("b.yml", "apiVersion: rove/v1\n"),
        ("b.json", "{\n    \"Job\": {"),
        ("b.nomad.hcl", "job \"web\" {"),
        ("b.txt", "apiVersion: rove/v1\n"),
    ] {
        let ran = call(folder.path())
            .run(&["convert", "-o", output, "a.nomad"])
            .await;
        assert_eq!(ran, said(""), "{output}");
        let text = fs::read_to_string(folder.path().join(output)).unwrap();
        assert!(text.starts_with(begins), "{output}: {text}");
    }
    let ran = call(folder.path()).run(&["convert", "b.yaml"]).await;
    assert_eq!(ran, said(HCL));
}

#[tokio::test]
async fn convert_evaluates_variables_and_keeps_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    let text = HCL.replace("count = 2", "count = var.n") + "variable \"n\" { type = number }\n";
    fs::write(folder.path().join("a.hcl"), text).unwrap();
    let ran = call(folder.path())
        .run(&["convert", "-to", "hcl", "-var", "n=2", "a.hcl"])
        .await;
    assert_eq!(ran, said(HCL));

    let json = JSON
        .replace("\"Count\": 2", "\"Count\": 2, \"Cuont\": 3")
        .replace(
            "\"ID\": \"web\"",
            "\"ID\": \"web\", \"Stop\": true, \"Version\": 7",
        );
    let ran = call(folder.path())
        .typing(&json)
        .run(&["convert", "-"])
        .await;
    assert_eq!((ran.out.as_str(), ran.code), (HCL, 0));
    assert_eq!(
        ran.err,
        "-:7:29: warning: Unknown field\n 7 |                 \"Count\": 2, \"Cuont\": 3,\n   \
         |                             ^^^^^^^\n  A field named \"Cuont\" is not known here and is left out. Did you mean \
         \"Count\"?\nWarning: -: job \"web\": a job file has no word for Stop, which is left out\n"
    );
}

#[tokio::test]
async fn convert_writes_several_jobs_into_a_folder_or_one_stream() {
    let folder = tempfile::tempdir().unwrap();
    let second = YAML.replace("name: web", "name: \"team/other web\"");
    fs::write(folder.path().join("a.yaml"), format!("{YAML}---\n{second}")).unwrap();
    for to in ["hcl", "json"] {
        let ran = call(folder.path())
            .run(&["convert", "-to", to, "a.yaml"])
            .await;
        assert_eq!((ran.out.as_str(), ran.code), ("", 1));
        assert_eq!(
            ran.err,
            "a.yaml: it holds 2 jobs, and a file in HCL or JSON holds one: give a folder with -o, as -o jobs/, for a file each\n"
        );
    }
    let ran = call(folder.path())
        .run(&["convert", "-to", "yaml", "a.yaml"])
        .await;
    assert_eq!((ran.out.matches("---\n").count(), ran.code), (1, 0));
    let ran = call(folder.path())
        .run(&["convert", "-to", "hcl", "-o", "jobs/", "a.yaml"])
        .await;
    assert_eq!(
        (ran.out.lines().count(), ran.code, ran.err.as_str()),
        (2, 0, "")
    );
    assert_eq!(
        fs::read_to_string(folder.path().join("jobs/web.nomad.hcl")).unwrap(),
        HCL
    );
    assert!(folder.path().join("jobs/team-other-web.nomad.hcl").exists());
}

#[tokio::test]
async fn convert_tells_what_is_wrong_and_where() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("old.hcl"),
        HCL.replace("count = 2", "cuont = 2"),
    )
    .unwrap();
    fs::write(
        folder.path().join("a.b.json"),
        JSON.replace("\"image\"", "\"a.b\""),
    )
    .unwrap();
    fs::write(
        folder.path().join("bad.json"),
        "{\"Job\": {\"ID\": \"a\", \"Priority\": \"x\"}}",
    )
    .unwrap();
    for (words, error) in [
        (
            vec!["convert", "old.hcl"],
            "old.hcl:3:5: error: Unsupported argument\n",
        ),
        (
            vec!["convert", "a.b.json"],
            "a.b.json: job \"web\": HCL has no way to write this job:\n  TaskGroups[0].Tasks[0].Config[\"a.b\"]: an argument's name is made of letters, digits, _ and -\n",
        ),
        (
            vec!["convert", "nothing.hcl"],
            "Error getting jobfile from \"nothing.hcl\": source path error: stat ",
        ),
        (
            vec!["convert", "-to", "toml", "old.hcl"],
            "-to is hcl, yaml or json, not \"toml\"\nFor additional help try 'nomad convert -help'\n",
        ),
        (vec!["convert"], "This command takes one argument: <path>\n"),
        (
            vec!["convert", "-o", "no/such/b.yaml", "a.b.json"],
            "no/such/b.yaml: no such file or directory\n",
        ),
        (
            vec!["convert", "bad.json"],
            "bad.json:1:33: error: Wrong type\n",
        ),
    ] {
        let ran = call(folder.path()).run(&words).await;
        assert_eq!((ran.out.as_str(), ran.code), ("", 1), "{words:?}");
        assert!(ran.err.starts_with(error), "{words:?}: {}", ran.err);
    }
}

const UGLY: &str = "job \"a\" {\ncount=1 # c\n long  = 2\n}\n";
const NICE: &str = "job \"a\" {\n  count = 1 # c\n  long  = 2\n}\n";

fn tree(folder: &Path) {
    for (name, text) in [
        ("a.nomad", UGLY),
        ("b.nomad.hcl", NICE),
        ("c.hcl", UGLY),
        ("d.yaml", "a:   1\n"),
        ("deep/e.hcl", UGLY),
        (".hidden/f.hcl", UGLY),
    ] {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

#[tokio::test]
async fn fmt_lays_out_the_files_of_a_folder_and_lists_them() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    tree(folder);
    fs::set_permissions(folder.join("a.nomad"), fs::Permissions::from_mode(0o604)).unwrap();
    let ran = call(folder).run(&["fmt"]).await;
    assert_eq!(ran, said("a.nomad\nc.hcl\n"));
    for (name, expected) in [
        ("a.nomad", NICE),
        ("c.hcl", NICE),
        ("d.yaml", "a:   1\n"),
        ("deep/e.hcl", UGLY),
    ] {
        assert_eq!(text(folder, name), expected, "{name}");
    }
    let mode = fs::metadata(folder.join("a.nomad"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o604);
    assert_eq!(call(folder).run(&["fmt", "."]).await, said(""));
    let ran = call(folder).run(&["fmt", "-recursive"]).await;
    assert_eq!(ran, said("deep/e.hcl\n"));
    assert_eq!(text(folder, ".hidden/f.hcl"), UGLY);
}

#[tokio::test]
async fn fmt_checks_shows_and_prints_without_writing() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    tree(folder);
    let diff = "--- old/a.nomad\n+++ new/a.nomad\n@@ -1,4 +1,4 @@\n job \"a\" {\n-count=1 # c\n- long  = 2\n+  count = 1 # c\n+  long  = 2\n }\n";
    for (words, out, code) in [
        (vec!["fmt", "-check"], "a.nomad\nc.hcl\n".to_owned(), 1),
        (vec!["fmt", "-check", "-list=false"], String::new(), 1),
        (
            vec!["fmt", "-check", "-write", "b.nomad.hcl"],
            String::new(),
            0,
        ),
        (
            vec!["fmt", "-check", "-diff", "a.nomad"],
            format!("a.nomad\n{diff}"),
            1,
        ),
        (
            vec!["fmt", "-write=false", "a.nomad"],
            "a.nomad\n".to_owned(),
            0,
        ),
        (
            vec!["fmt", "-write=false", "-list=false", "a.nomad"],
            NICE.to_owned(),
            0,
        ),
        (
            vec!["fmt", "-check", "-recursive", "-list", "deep", "."],
            "deep/e.hcl\na.nomad\nc.hcl\ndeep/e.hcl\n".to_owned(),
            1,
        ),
    ] {
        let ran = call(folder).run(&words).await;
        assert_eq!(
            (ran.out, ran.err.as_str(), ran.code),
            (out, "", code),
            "{words:?}"
        );
    }
    assert_eq!(text(folder, "a.nomad"), UGLY);
}

#[tokio::test]
async fn fmt_takes_standard_input() {
    let temp = tempfile::tempdir().unwrap();
    let ran = call(temp.path()).typing(UGLY).run(&["fmt", "-"]).await;
    assert_eq!(ran, said(NICE));
    let ran = call(temp.path())
        .typing(UGLY)
        .run(&["fmt", "-check", "-"])
        .await;
    assert_eq!((ran.out.as_str(), ran.code), ("", 1));
    let ran = call(temp.path())
        .typing(NICE)
        .run(&["fmt", "-check", "-"])
        .await;
    assert_eq!((ran.out.as_str(), ran.code), ("", 0));
    let ran = call(temp.path()).typing("a {").run(&["fmt", "-"]).await;
    assert_eq!((ran.out.as_str(), ran.code), ("", 1));
    assert!(ran.err.starts_with("<stdin>:1:4: error: "), "{}", ran.err);
    let ran = call(temp.path()).run(&["fmt", "-", "a.hcl"]).await;
    assert_eq!(ran.code, 2);
}

#[tokio::test]
async fn fmt_leaves_a_file_with_a_mistake_alone_and_goes_on() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    tree(folder);
    fs::write(folder.join("a.nomad"), "job \"a\" {\n x =\n}\n").unwrap();
    fs::write(folder.join("b.hcl"), b"a = 1\nb = \"\xff\"\n").unwrap();
    let ran = call(folder).run(&["fmt"]).await;
    assert_eq!((ran.out.as_str(), ran.code), ("c.hcl\n", 1));
    assert!(ran.err.contains("a.nomad:2:5: error: "), "{}", ran.err);
    assert!(
        ran.err.contains("b.hcl:2:6: this is no UTF-8 text\n"),
        "{}",
        ran.err
    );
    assert_eq!(text(folder, "a.nomad"), "job \"a\" {\n x =\n}\n");
    let ran = call(folder).run(&["fmt", "no.hcl"]).await;
    assert_eq!(
        (ran.err.as_str(), ran.code),
        ("no.hcl: no such file or directory\n", 1)
    );
}

#[tokio::test]
async fn explain_tells_what_a_field_is() {
    let temp = tempfile::tempdir().unwrap();
    let ran = call(temp.path())
        .run(&["explain", "job.group.task.resources.cpu"])
        .await;
    assert_eq!(
        ran,
        said(
            "FIELD:    cpu <integer>\n\n\
             DESCRIPTION:\n    How much CPU is reserved for the task.\n\n\
             DEFAULT:  100\n\
             UNIT:     MHz\n\
             HCL:      cpu = <integer>\n\
             YAML:     spec.groups[].tasks[].resources.cpu\n\
             JSON:     TaskGroups[].Tasks[].Resources.CPU\n"
        )
    );
    for path in [
        "job.groups.tasks.resources",
        "Job.TaskGroups.Tasks.Resources",
    ] {
        let ran = call(temp.path()).run(&["explain", path]).await;
        assert_eq!(ran.code, 0);
        for part in [
            "FIELD:    resources <block>\n",
            "HCL:      resources { … }\n",
            "\nFIELDS:\n",
            "\n  memory <integer>, default 300 MiB\n      How much memory is reserved",
        ] {
            assert!(ran.out.contains(part), "{path}, {part}: {}", ran.out);
        }
    }
    let ran = call(temp.path())
        .run(&["explain", "-recursive", "job.group"])
        .await;
    assert!(
        ran.out.contains("\n  task <blocks>\n    driver <text>\n"),
        "{}",
        ran.out
    );
    let ran = call(temp.path()).run(&["explain"]).await;
    assert!(
        ran.out.contains("HCL:      job \"<name>\" { … }\n"),
        "{}",
        ran.out
    );
    let ran = call(temp.path()).run(&["explain", "job.group.name"]).await;
    assert!(
        ran.out.contains("YAML:     spec.groups[].name\n"),
        "{}",
        ran.out
    );
    for (path, error) in [
        (
            "job.group.tsak",
            "Error: job.group has no field \"tsak\". Did you mean job.group.task?\n",
        ),
        (
            "task.resources",
            "Error: a path begins with job, not \"task\". Did you mean job.group.task.resources?\n",
        ),
    ] {
        let ran = call(temp.path()).run(&["explain", path]).await;
        assert_eq!(
            (ran.out.as_str(), ran.err.as_str(), ran.code),
            ("", error, 1)
        );
    }
}

#[tokio::test]
async fn explain_lists_each_field_once_in_lines_that_fit_a_terminal() {
    let temp = tempfile::tempdir().unwrap();
    for path in [
        "job",
        "job.group",
        "job.group.task",
        "job.group.service",
        "job.group.volume",
    ] {
        let ran = call(temp.path()).run(&["explain", path]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        let mut fields: Vec<&str> = ran
            .out
            .lines()
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        let all = fields.len();
        fields.sort_unstable();
        fields.dedup();
        assert_eq!(fields.len(), all, "{path}: {}", ran.out);
        let wide = ran
            .out
            .lines()
            .find(|line| line.starts_with("    ") && line.chars().count() > 79);
        assert_eq!(wide, None, "{path}");
    }
}

#[tokio::test]
async fn explain_prints_the_schema_that_is_published() {
    let temp = tempfile::tempdir().unwrap();
    let ran = call(temp.path()).run(&["explain", "-schema"]).await;
    let published = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/job.schema.json");
    let published = fs::read_to_string(published).unwrap();
    assert!(
        ran.out == published,
        "docs/job.schema.json is not up to date"
    );
    assert_eq!((ran.err.as_str(), ran.code), ("", 0));
    assert_eq!(
        call(temp.path())
            .run(&["explain", "-schema", "job"])
            .await
            .code,
        1
    );
}
