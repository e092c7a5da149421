//! Services and their checks.

use super::{connect::CONNECT, row};
use crate::schema::{Kind, Table};

/// The fields of `service`.
pub(super) static SERVICE: Table = Table {
    title: "service",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "name",
            "",
            "Name",
            Kind::Text,
            "The name that is announced; it may hold ${JOB}, ${GROUP}, ${TASK} and ${BASE}.",
        )
        .default("<job>-<group>-<task>"),
        row("tags", "", "Tags", Kind::Texts, "Tags of the service."),
        row(
            "canary_tags",
            "",
            "CanaryTags",
            Kind::Texts,
            "Tags instead of these while the alloc is a canary.",
        ),
        row(
            "enable_tag_override",
            "",
            "EnableTagOverride",
            Kind::Bool,
            "Keep tags that somebody changed in Consul.",
        )
        .default("false"),
        row(
            "port",
            "",
            "PortLabel",
            Kind::Text,
            "The label or number of the port that is announced.",
        ),
        row(
            "address_mode",
            "",
            "AddressMode",
            Kind::Text,
            "Which address is announced: of the host, of the driver's network, or of the alloc.",
        )
        .default("auto")
        .values(&["auto", "host", "driver", "alloc"]),
        row(
            "address",
            "",
            "Address",
            Kind::Text,
            "An address to announce instead.",
        ),
        row(
            "check",
            "checks",
            "Checks",
            Kind::Blocks(&CHECK),
            "A check of the service's health.",
        ),
        row(
            "check_restart",
            "",
            "CheckRestart",
            Kind::Block(&CHECK_RESTART),
            "When failing checks restart the task; checks inherit it.",
        ),
        row(
            "connect",
            "",
            "Connect",
            Kind::Block(&CONNECT),
            "Consul Connect.",
        ),
        row(
            "meta",
            "",
            "Meta",
            Kind::TextMap,
            "Key-value pairs that are announced.",
        ),
        row(
            "canary_meta",
            "",
            "CanaryMeta",
            Kind::TextMap,
            "Pairs instead of these while the alloc is a canary.",
        ),
        row(
            "tagged_addresses",
            "",
            "TaggedAddresses",
            Kind::TextMap,
            "Further addresses by tag.",
        ),
        row(
            "task",
            "",
            "TaskName",
            Kind::Text,
            "The task that a group's service is about.",
        ),
        row(
            "on_update",
            "",
            "OnUpdate",
            Kind::Text,
            "What checks must say for a deployment to go on.",
        )
        .default("require_healthy")
        .values(&["require_healthy", "ignore_warnings", "ignore"]),
        row(
            "provider",
            "",
            "Provider",
            Kind::Text,
            "Where the service is announced.",
        )
        .default("consul")
        .values(&["consul", "nomad"]),
    ],
    finish: None,
};

/// The fields of `check`.
pub(super) static CHECK: Table = Table {
    title: "check",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row("name", "", "Name", Kind::Text, "The name of the check.")
            .default("service: \"<name>\" check"),
        row("type", "", "Type", Kind::Text, "What is checked.")
            .values(&["http", "tcp", "grpc", "script"]),
        row(
            "command",
            "",
            "Command",
            Kind::Text,
            "The program of a script check, inside the task.",
        ),
        row("args", "", "Args", Kind::Texts, "Its arguments."),
        row(
            "path",
            "",
            "Path",
            Kind::Text,
            "The path that an http check asks for.",
        ),
        row(
            "protocol",
            "",
            "Protocol",
            Kind::Text,
            "How an http check asks.",
        )
        .default("http")
        .values(&["http", "https"]),
        row(
            "port",
            "",
            "PortLabel",
            Kind::Text,
            "The label or number of the port to check.",
        )
        .default("the service's"),
        row(
            "expose",
            "",
            "Expose",
            Kind::Bool,
            "Expose the path through the sidecar's proxy.",
        )
        .default("false"),
        row(
            "address_mode",
            "",
            "AddressMode",
            Kind::Text,
            "Which address is checked.",
        )
        .default("host")
        .values(&["auto", "host", "driver", "alloc"]),
        row(
            "advertise",
            "",
            "Advertise",
            Kind::Text,
            "The address that is advertised for the check.",
        ),
        row(
            "interval",
            "",
            "Interval",
            Kind::Duration,
            "Time between two checks. Needed.",
        ),
        row(
            "timeout",
            "",
            "Timeout",
            Kind::Duration,
            "How long a check may take. Needed.",
        ),
        row(
            "initial_status",
            "",
            "InitialStatus",
            Kind::Text,
            "The status before the first check: passing, warning or critical.",
        )
        .default("critical"),
        row(
            "tls_server_name",
            "",
            "TLSServerName",
            Kind::Text,
            "The server's name for TLS.",
        ),
        row(
            "tls_skip_verify",
            "",
            "TLSSkipVerify",
            Kind::Bool,
            "Do not verify the server's certificate.",
        )
        .default("false"),
        row(
            "header",
            "",
            "Header",
            Kind::TextsMap,
            "HTTP headers; each has a list of values.",
        ),
        row("method", "", "Method", Kind::Text, "The HTTP method.").default("GET"),
        row(
            "check_restart",
            "",
            "CheckRestart",
            Kind::Block(&CHECK_RESTART),
            "When failures restart the task.",
        )
        .default("the service's"),
        row(
            "grpc_service",
            "",
            "GRPCService",
            Kind::Text,
            "The service that a grpc check asks about.",
        ),
        row(
            "grpc_use_tls",
            "",
            "GRPCUseTLS",
            Kind::Bool,
            "Ask a grpc check over TLS.",
        )
        .default("false"),
        row(
            "task",
            "",
            "TaskName",
            Kind::Text,
            "The task that a check of a group's service runs in.",
        ),
        row(
            "success_before_passing",
            "",
            "SuccessBeforePassing",
            Kind::Integer,
            "How many successes in a row it takes to be passing.",
        )
        .default("0"),
        row(
            "failures_before_critical",
            "",
            "FailuresBeforeCritical",
            Kind::Integer,
            "How many failures in a row it takes to be critical.",
        )
        .default("0"),
        row(
            "body",
            "",
            "Body",
            Kind::Text,
            "The body of the HTTP request.",
        ),
        row(
            "on_update",
            "",
            "OnUpdate",
            Kind::Text,
            "What the check must say for a deployment to go on.",
        )
        .default("the service's")
        .values(&["require_healthy", "ignore_warnings", "ignore"]),
    ],
    finish: None,
};

/// The fields of `check_restart`.
pub(super) static CHECK_RESTART: Table = Table {
    title: "check_restart",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "limit",
            "",
            "Limit",
            Kind::Integer,
            "Restart the task after so many failures in a row; 0 never does.",
        )
        .default("0"),
        row(
            "grace",
            "",
            "Grace",
            Kind::Duration,
            "How long after a start failures don't count.",
        )
        .default("1s"),
        row(
            "ignore_warnings",
            "",
            "IgnoreWarnings",
            Kind::Bool,
            "A warning is no failure.",
        )
        .default("false"),
    ],
    finish: None,
};
