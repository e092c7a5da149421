//! Gateways of Consul Connect.

use super::row;
use crate::schema::{Kind, Table};

/// The fields of `gateway`.
pub(super) static GATEWAY: Table = Table {
    title: "gateway",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "proxy",
            "",
            "Proxy",
            Kind::Block(&GATEWAY_PROXY),
            "The gateway's proxy.",
        ),
        row(
            "ingress",
            "",
            "Ingress",
            Kind::Block(&INGRESS),
            "It lets traffic into the mesh.",
        ),
        row(
            "terminating",
            "",
            "Terminating",
            Kind::Block(&TERMINATING),
            "It lets traffic out of the mesh.",
        ),
        row(
            "mesh",
            "",
            "Mesh",
            Kind::Block(&MESH),
            "It carries traffic between datacenters.",
        ),
    ],
    finish: None,
};

/// The fields of `proxy`.
pub(super) static GATEWAY_PROXY: Table = Table {
    title: "proxy",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "connect_timeout",
            "",
            "ConnectTimeout",
            Kind::Duration,
            "How long a connection may take.",
        )
        .default("5s"),
        row(
            "envoy_gateway_bind_tagged_addresses",
            "",
            "EnvoyGatewayBindTaggedAddresses",
            Kind::Bool,
            "Listen at the tagged addresses.",
        )
        .default("false"),
        row(
            "envoy_gateway_bind_addresses",
            "",
            "EnvoyGatewayBindAddresses",
            Kind::NamedBlocks(&BIND_ADDRESS),
            "A further address to listen at.",
        ),
        row(
            "envoy_gateway_no_default_bind",
            "",
            "EnvoyGatewayNoDefaultBind",
            Kind::Bool,
            "Listen at no address of its own.",
        )
        .default("false"),
        row(
            "envoy_dns_discovery_type",
            "",
            "EnvoyDNSDiscoveryType",
            Kind::Text,
            "How names are resolved, as STRICT_DNS or LOGICAL_DNS.",
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

/// The fields of `envoy_gateway_bind_addresses`.
pub(super) static BIND_ADDRESS: Table = Table {
    title: "envoy_gateway_bind_addresses",
    label: Some("Name"),
    label_optional: false,
    restore: None,
    fields: &[
        row("address", "", "Address", Kind::Text, "The address."),
        row("port", "", "Port", Kind::Integer, "The port."),
    ],
    finish: None,
};

/// The fields of `ingress`.
pub(super) static INGRESS: Table = Table {
    title: "ingress",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row(
            "tls",
            "",
            "TLS",
            Kind::Block(&GATEWAY_TLS),
            "TLS of the listeners.",
        ),
        row(
            "listener",
            "listeners",
            "Listeners",
            Kind::Blocks(&LISTENER),
            "Where the gateway listens. At least one is needed.",
        ),
    ],
    finish: None,
};

/// The fields of `tls`.
pub(super) static GATEWAY_TLS: Table = Table {
    title: "tls",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row("enabled", "", "Enabled", Kind::Bool, "Speak TLS.").default("false"),
        row(
            "tls_min_version",
            "",
            "TLSMinVersion",
            Kind::Text,
            "The oldest version, as TLSv1_2.",
        ),
        row(
            "tls_max_version",
            "",
            "TLSMaxVersion",
            Kind::Text,
            "The newest version.",
        ),
        row(
            "cipher_suites",
            "",
            "CipherSuites",
            Kind::Texts,
            "The cipher suites.",
        ),
    ],
    finish: None,
};

/// The fields of `listener`.
pub(super) static LISTENER: Table = Table {
    title: "listener",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row("port", "", "Port", Kind::Integer, "The port to listen at."),
        row(
            "protocol",
            "",
            "Protocol",
            Kind::Text,
            "What is spoken there.",
        )
        .default("tcp")
        .values(&["tcp", "http", "http2", "grpc"]),
        row(
            "service",
            "services",
            "Services",
            Kind::Blocks(&INGRESS_SERVICE),
            "A service behind the listener. At least one is needed.",
        ),
    ],
    finish: None,
};

/// The fields of `service`.
pub(super) static INGRESS_SERVICE: Table = Table {
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
            "The name of the service; * is every one, for http.",
        ),
        row(
            "hosts",
            "",
            "Hosts",
            Kind::Texts,
            "Host names that lead to it.",
        ),
    ],
    finish: None,
};

/// The fields of `terminating`.
pub(super) static TERMINATING: Table = Table {
    title: "terminating",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[row(
        "service",
        "services",
        "Services",
        Kind::Blocks(&LINKED_SERVICE),
        "A service outside of the mesh. At least one is needed.",
    )],
    finish: None,
};

/// The fields of `service`.
pub(super) static LINKED_SERVICE: Table = Table {
    title: "service",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[
        row("name", "", "Name", Kind::Text, "The name of the service."),
        row(
            "ca_file",
            "",
            "CAFile",
            Kind::Text,
            "The certificate authority that is trusted.",
        ),
        row(
            "cert_file",
            "",
            "CertFile",
            Kind::Text,
            "The certificate to show.",
        ),
        row("key_file", "", "KeyFile", Kind::Text, "Its key."),
        row("sni", "", "SNI", Kind::Text, "The server's name for TLS."),
    ],
    finish: None,
};

/// The fields of `mesh`.
pub(super) static MESH: Table = Table {
    title: "mesh",
    label: None,
    label_optional: false,
    restore: None,
    fields: &[],
    finish: None,
};
