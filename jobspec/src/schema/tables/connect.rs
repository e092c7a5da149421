//! Consul Connect: sidecars and their proxies.

use super::{gateway::GATEWAY, resources::RESOURCES, row, task::LOGS};
use crate::schema::{Kind, Table};

/// The fields of `connect`.
pub(super) static CONNECT: Table = Table {
    title: "connect",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "native",
            "",
            "Native",
            Kind::Bool,
            "The task speaks Connect itself.",
        )
        .default("false"),
        row(
            "gateway",
            "",
            "Gateway",
            Kind::Block(&GATEWAY),
            "The service is a gateway.",
        ),
        row(
            "sidecar_service",
            "",
            "SidecarService",
            Kind::Block(&SIDECAR_SERVICE),
            "The service has a sidecar that carries its traffic.",
        ),
        row(
            "sidecar_task",
            "",
            "SidecarTask",
            Kind::Block(&SIDECAR_TASK),
            "What is set for the sidecar's task.",
        ),
    ],
    finish: None,
};

/// The fields of `sidecar_service`.
pub(super) static SIDECAR_SERVICE: Table = Table {
    title: "sidecar_service",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "tags",
            "",
            "Tags",
            Kind::Texts,
            "Tags of the sidecar's service.",
        ),
        row("port", "", "Port", Kind::Text, "The label of its port."),
        row("proxy", "", "Proxy", Kind::Block(&PROXY), "Its proxy."),
        row(
            "disable_default_tcp_check",
            "",
            "DisableDefaultTCPCheck",
            Kind::Bool,
            "Do not check the sidecar's port.",
        )
        .default("false"),
        row(
            "meta",
            "",
            "Meta",
            Kind::TextMap,
            "Key-value pairs that are announced.",
        ),
    ],
    finish: None,
};

/// The fields of `sidecar_task`.
pub(super) static SIDECAR_TASK: Table = Table {
    title: "sidecar_task",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row("name", "", "Name", Kind::Text, "The name of the task.")
            .default("connect-proxy-<service>"),
        row("driver", "", "Driver", Kind::Text, "What runs it.").default("docker"),
        row("user", "", "User", Kind::Text, "The user that it runs as."),
        row(
            "config",
            "",
            "Config",
            Kind::Free,
            "What the driver is told.",
        ),
        row("env", "", "Env", Kind::TextMap, "Environment variables."),
        row(
            "resources",
            "",
            "Resources",
            Kind::Block(&RESOURCES),
            "What it may use.",
        ),
        row(
            "meta",
            "",
            "Meta",
            Kind::TextMap,
            "Key-value pairs of your own.",
        ),
        row(
            "kill_timeout",
            "",
            "KillTimeout",
            Kind::Duration,
            "How long it has between its stop signal and the kill.",
        )
        .default("5s"),
        row(
            "logs",
            "",
            "LogConfig",
            Kind::Block(&LOGS),
            "How much of its output is kept.",
        ),
        row(
            "shutdown_delay",
            "",
            "ShutdownDelay",
            Kind::Duration,
            "How long to wait after services are deregistered before it is stopped.",
        )
        .default("0s"),
        row(
            "kill_signal",
            "",
            "KillSignal",
            Kind::Text,
            "The signal that asks it to stop.",
        )
        .default("the driver's"),
    ],
    finish: None,
};

/// The fields of `proxy`.
pub(super) static PROXY: Table = Table {
    title: "proxy",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "local_service_address",
            "",
            "LocalServiceAddress",
            Kind::Text,
            "Where the service listens.",
        )
        .default("127.0.0.1"),
        row(
            "local_service_port",
            "",
            "LocalServicePort",
            Kind::Integer,
            "The port that it listens at.",
        )
        .default("the service's"),
        row(
            "expose",
            "",
            "Expose",
            Kind::Block(&EXPOSE),
            "Paths that are reached from outside of the mesh.",
        ),
        row(
            "upstreams",
            "",
            "Upstreams",
            Kind::Blocks(&UPSTREAM),
            "A service that this one reaches through the proxy.",
        ),
        row(
            "config",
            "",
            "Config",
            Kind::Free,
            "What the proxy is told.",
        ),
    ],
    finish: None,
};

/// The fields of `expose`.
pub(super) static EXPOSE: Table = Table {
    title: "expose",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[row(
        "path",
        "paths",
        "Paths",
        Kind::Blocks(&EXPOSE_PATH),
        "One path.",
    )],
    finish: None,
};

/// The fields of `path`.
pub(super) static EXPOSE_PATH: Table = Table {
    title: "path",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row("path", "", "Path", Kind::Text, "The path, as /health."),
        row(
            "protocol",
            "",
            "Protocol",
            Kind::Text,
            "How it is asked for.",
        )
        .default("http")
        .values(&["http", "http2"]),
        row(
            "local_path_port",
            "",
            "LocalPathPort",
            Kind::Integer,
            "The port of the service that answers.",
        ),
        row(
            "listener_port",
            "",
            "ListenerPort",
            Kind::Text,
            "The label of the port that it is reached at.",
        ),
    ],
    finish: None,
};

/// The fields of `upstreams`.
pub(super) static UPSTREAM: Table = Table {
    title: "upstreams",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "destination_name",
            "",
            "DestinationName",
            Kind::Text,
            "The name of the service that is reached.",
        ),
        row(
            "destination_namespace",
            "",
            "DestinationNamespace",
            Kind::Text,
            "Its namespace.",
        ),
        row(
            "destination_peer",
            "",
            "DestinationPeer",
            Kind::Text,
            "The peer that it is in.",
        ),
        row(
            "destination_type",
            "",
            "DestinationType",
            Kind::Text,
            "What is reached.",
        )
        .default("service")
        .values(&["service", "prepared_query"]),
        row(
            "local_bind_port",
            "",
            "LocalBindPort",
            Kind::Integer,
            "The port that the service has locally.",
        ),
        row(
            "datacenter",
            "",
            "Datacenter",
            Kind::Text,
            "The datacenter that it is in.",
        ),
        row(
            "local_bind_address",
            "",
            "LocalBindAddress",
            Kind::Text,
            "The address that the service has locally.",
        )
        .default("127.0.0.1"),
        row(
            "local_bind_socket_path",
            "",
            "LocalBindSocketPath",
            Kind::Text,
            "A socket instead of address and port.",
        ),
        row(
            "local_bind_socket_mode",
            "",
            "LocalBindSocketMode",
            Kind::Text,
            "The mode of the socket, in octal digits.",
        ),
        row(
            "mesh_gateway",
            "",
            "MeshGateway",
            Kind::Block(&MESH_GATEWAY),
            "How other datacenters are reached.",
        ),
        row(
            "config",
            "",
            "Config",
            Kind::Free,
            "What the proxy is told.",
        ),
    ],
    finish: None,
};

/// The fields of `mesh_gateway`.
pub(super) static MESH_GATEWAY: Table = Table {
    title: "mesh_gateway",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[row(
        "mode",
        "",
        "Mode",
        Kind::Text,
        "Which gateway the traffic goes through.",
    )
    .values(&["local", "remote", "none"])],
    finish: None,
};
