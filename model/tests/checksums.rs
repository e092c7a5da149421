//! A bad checksum is told of in its own terms.

use rove_model::{job::Job, validate::validate};
use serde_json::json;

#[test]
fn a_checksum_of_the_wrong_form_says_what_is_right() {
    for (checksum, expected) in [
        (
            "md5:d41d8cd98f00b20",
            "invalid checksum: md5 has 32 hex digits, this has 15",
        ),
        (
            "md5:",
            "invalid checksum: md5 has 32 hex digits, this has 0",
        ),
        (
            "sha1:abcd",
            "invalid checksum: sha1 has 40 hex digits, this has 4",
        ),
        (
            "sha256:abc",
            "invalid checksum: sha256 has 64 hex digits, this has 3",
        ),
        (
            "sha512:ab",
            "invalid checksum: sha512 has 128 hex digits, this has 2",
        ),
        (
            "md5:zz",
            "invalid checksum: md5 has 32 hex digits, 'z' is none",
        ),
        (
            "md5:\u{1f600}",
            "invalid checksum: md5 has 32 hex digits, '\u{1f600}' is none",
        ),
        ("crc:zz", "unsupported checksum type: crc"),
        (
            "md5",
            "checksum must be given as \"type:value\"; got \"md5\"",
        ),
        ("", "checksum value cannot be empty"),
    ] {
        let mut job: Job = serde_json::from_value(json!({"ID": "j", "TaskGroups": [{"Name": "g", "Tasks": [{
            "Name": "t", "Driver": "mock_driver",
            "Artifacts": [{"GetterSource": "http://x/y", "GetterOptions": {"checksum": checksum}}]}]}]}))
        .expect("a job");
        job.server_canonicalize();
        let report = validate(&job).errors;
        let messages: Vec<&str> = report
            .problems()
            .iter()
            .map(|p| p.message.as_str())
            .collect();
        assert!(
            messages.iter().any(|message| message.starts_with(expected)),
            "{checksum}: {messages:?}"
        );
    }
}
