//! Services, their checks, and Consul Connect.

use std::collections::BTreeMap;

use super::{LogConfig, Resources, spec};
use crate::duration::Nanos;

spec! {
    /// A service that is announced while its alloc runs.
    Service {
        /// Its name.
        name: String,
        /// Tags.
        tags: Vec<String>,
        /// Tags while its alloc is a canary.
        canary_tags: Vec<String>,
        /// Consul keeps tags changed there.
        enable_tag_override: bool,
        /// A port's label or number.
        port_label: String,
        /// `auto`, `host`, `driver` or `alloc`.
        address_mode: String,
        /// A set address.
        address: String,
        /// Checks.
        checks: Vec<ServiceCheck>,
        /// What failing checks do to the task.
        check_restart: Option<CheckRestart>,
        /// Consul Connect.
        connect: Option<Connect>,
        /// Free key-value pairs.
        meta: BTreeMap<String, String>,
        /// The pairs while its alloc is a canary.
        canary_meta: BTreeMap<String, String>,
        /// Addresses by tag.
        tagged_addresses: BTreeMap<String, String>,
        /// The task of a group's service.
        task_name: String,
        /// What checks mean to a deployment.
        on_update: String,
        /// `consul` or `nomad`.
        provider: String,
        /// Where it is announced; set when the job is registered.
        #[serde(skip_serializing_if = "String::is_empty")]
        namespace: String,
    }
}

spec! {
    /// A check of a service.
    ServiceCheck {
        /// Its name.
        name: String,
        /// `http`, `tcp`, `grpc`, `script`.
        #[serde(rename = "Type")]
        type_name: String,
        /// The script.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// The path of an http check.
        path: String,
        /// `http` or `https`.
        protocol: String,
        /// A port's label or number; the service's by default.
        port_label: String,
        /// Expose the path through the sidecar.
        expose: bool,
        /// As the service's.
        address_mode: String,
        /// An address to advertise.
        advertise: String,
        /// Time between checks.
        interval: Nanos,
        /// How long one may take.
        timeout: Nanos,
        /// The status before the first.
        initial_status: String,
        /// Server name for TLS.
        #[serde(rename = "TLSServerName")]
        tls_server_name: String,
        /// Don't verify the certificate.
        #[serde(rename = "TLSSkipVerify")]
        tls_skip_verify: bool,
        /// HTTP headers.
        header: BTreeMap<String, Vec<String>>,
        /// HTTP method.
        method: String,
        /// What its failures do to the task.
        check_restart: Option<CheckRestart>,
        /// gRPC service.
        #[serde(rename = "GRPCService")]
        grpc_service: String,
        /// gRPC over TLS.
        #[serde(rename = "GRPCUseTLS")]
        grpc_use_tls: bool,
        /// The task of a group's check.
        task_name: String,
        /// Successes before it counts as passing.
        success_before_passing: i64,
        /// Failures before it counts as critical.
        failures_before_critical: i64,
        /// HTTP body.
        body: String,
        /// What it means to a deployment.
        on_update: String,
    }
}

spec! {
    /// What failing checks do to a task.
    CheckRestart {
        /// Failures in a row before a restart.
        limit: i64,
        /// Time after a start in which failures don't count.
        grace: Option<Nanos>,
        /// A warning is no failure.
        ignore_warnings: bool,
    }
}

spec! {
    /// Consul Connect of a service.
    Connect {
        /// The task speaks Connect itself.
        native: bool,
        /// It is a gateway.
        gateway: Option<Gateway>,
        /// It has a sidecar.
        sidecar_service: Option<SidecarService>,
        /// The sidecar's task.
        sidecar_task: Option<SidecarTask>,
    }
}

spec! {
    /// The sidecar of a service.
    SidecarService {
        /// Tags.
        tags: Vec<String>,
        /// Its port.
        port: String,
        /// Its proxy.
        proxy: Option<Proxy>,
        /// No TCP check of its own.
        #[serde(rename = "DisableDefaultTCPCheck")]
        disable_default_tcp_check: bool,
        /// Free key-value pairs.
        meta: BTreeMap<String, String>,
    }
}

spec! {
    /// The task of a sidecar.
    SidecarTask {
        /// Its name.
        name: String,
        /// What runs it.
        driver: String,
        /// Whom it runs as.
        user: String,
        /// What the driver is told.
        config: serde_json::Map<String, serde_json::Value>,
        /// Its environment.
        env: BTreeMap<String, String>,
        /// What it may use.
        resources: Option<Resources>,
        /// Free key-value pairs.
        meta: BTreeMap<String, String>,
        /// Time between the stop signal and the kill.
        kill_timeout: Option<Nanos>,
        /// Log files.
        log_config: Option<LogConfig>,
        /// Time between deregistering and stopping.
        shutdown_delay: Option<Nanos>,
        /// The stop signal.
        kill_signal: String,
    }
}

spec! {
    /// The proxy of a sidecar.
    Proxy {
        /// Where the service listens.
        local_service_address: String,
        /// Its port.
        local_service_port: i64,
        /// Paths outside of the mesh.
        expose: Option<ExposeConfig>,
        /// As `expose`, its older name.
        expose_config: Option<ExposeConfig>,
        /// Services it reaches.
        upstreams: Vec<Upstream>,
        /// What the proxy is told.
        config: serde_json::Map<String, serde_json::Value>,
    }
}

spec! {
    /// Paths outside of the mesh.
    ExposeConfig {
        /// The paths.
        paths: Vec<ExposePath>,
        /// As `paths`, its older name.
        path: Vec<ExposePath>,
    }
}

spec! {
    /// One path outside of the mesh.
    ExposePath {
        /// The path.
        path: String,
        /// `http` or `http2`.
        protocol: String,
        /// The service's port.
        local_path_port: i64,
        /// The port it is reached at.
        listener_port: String,
    }
}

spec! {
    /// A service that a proxy reaches.
    Upstream {
        /// Its name.
        destination_name: String,
        /// Its namespace.
        destination_namespace: String,
        /// Its peer.
        destination_peer: String,
        /// `service` or `prepared_query`.
        destination_type: String,
        /// The port it has locally.
        local_bind_port: i64,
        /// Its datacenter.
        datacenter: String,
        /// The address it has locally.
        local_bind_address: String,
        /// Or the socket.
        local_bind_socket_path: String,
        /// The socket's mode.
        local_bind_socket_mode: String,
        /// Gateway between datacenters.
        mesh_gateway: Option<MeshGateway>,
        /// What the proxy is told.
        config: serde_json::Map<String, serde_json::Value>,
    }
}

spec! {
    /// Gateway between datacenters.
    MeshGateway {
        /// `local`, `remote` or `none`.
        mode: String,
    }
}

spec! {
    /// A gateway.
    Gateway {
        /// Its proxy.
        proxy: Option<GatewayProxy>,
        /// From outside in.
        ingress: Option<IngressConfig>,
        /// From inside out.
        terminating: Option<TerminatingConfig>,
        /// Between datacenters.
        mesh: Option<MeshConfig>,
    }
}

spec! {
    /// The proxy of a gateway.
    GatewayProxy {
        /// How long a connection may take.
        connect_timeout: Option<Nanos>,
        /// Bind the tagged addresses.
        envoy_gateway_bind_tagged_addresses: bool,
        /// Addresses to bind by name.
        envoy_gateway_bind_addresses: BTreeMap<String, GatewayBindAddress>,
        /// Bind nothing by default.
        envoy_gateway_no_default_bind: bool,
        /// How names are resolved.
        #[serde(rename = "EnvoyDNSDiscoveryType")]
        envoy_dns_discovery_type: String,
        /// What the proxy is told.
        config: serde_json::Map<String, serde_json::Value>,
    }
}

spec! {
    /// An address a gateway binds.
    GatewayBindAddress {
        /// Its name.
        name: String,
        /// The address.
        address: String,
        /// The port.
        port: i64,
    }
}

spec! {
    /// TLS of a gateway.
    GatewayTls {
        /// On.
        enabled: bool,
        /// Oldest version.
        #[serde(rename = "TLSMinVersion")]
        tls_min_version: String,
        /// Newest version.
        #[serde(rename = "TLSMaxVersion")]
        tls_max_version: String,
        /// Cipher suites.
        cipher_suites: Vec<String>,
    }
}

spec! {
    /// A gateway from outside in.
    IngressConfig {
        /// TLS.
        #[serde(rename = "TLS")]
        tls: Option<GatewayTls>,
        /// Where it listens.
        listeners: Vec<IngressListener>,
    }
}

spec! {
    /// A listener of an ingress gateway.
    IngressListener {
        /// Its port.
        port: i64,
        /// `tcp`, `http`, `http2` or `grpc`.
        protocol: String,
        /// Services behind it.
        services: Vec<IngressService>,
    }
}

spec! {
    /// A service behind an ingress gateway.
    IngressService {
        /// Its name.
        name: String,
        /// Host names.
        hosts: Vec<String>,
    }
}

spec! {
    /// A gateway from inside out.
    TerminatingConfig {
        /// Services outside.
        services: Vec<LinkedService>,
    }
}

spec! {
    /// A service outside of the mesh.
    LinkedService {
        /// Its name.
        name: String,
        /// Certificate authority.
        #[serde(rename = "CAFile")]
        ca_file: String,
        /// Certificate.
        cert_file: String,
        /// Key.
        key_file: String,
        /// Server name for TLS.
        #[serde(rename = "SNI")]
        sni: String,
    }
}

spec! {
    /// A gateway between datacenters.
    MeshConfig {
    }
}
