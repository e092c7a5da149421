//! Services, their checks, and Consul Connect.

use std::collections::BTreeMap;

use super::{LogConfig, Resources, spec};
use crate::duration::Nanos;

spec! {
    /// A service that is announced while its alloc runs.
    Service {
        /// Its name.
        name: String => InPlace,
        /// Tags.
        tags: Vec<String> => InPlace,
        /// Tags while its alloc is a canary.
        canary_tags: Vec<String> => InPlace,
        /// Consul keeps tags changed there.
        enable_tag_override: bool => InPlace,
        /// A port's label or number.
        port_label: String => Together,
        /// `auto`, `host`, `driver` or `alloc`.
        address_mode: String => InPlace,
        /// A set address.
        address: String => InPlace,
        /// Checks.
        checks: Vec<ServiceCheck> => InPlace,
        /// What failing checks do to the task.
        check_restart: Option<CheckRestart> => InPlace,
        /// Consul Connect.
        connect: Option<Connect> => Together,
        /// Free key-value pairs.
        meta: BTreeMap<String, String> => InPlace,
        /// The pairs while its alloc is a canary.
        canary_meta: BTreeMap<String, String> => InPlace,
        /// Addresses by tag.
        tagged_addresses: BTreeMap<String, String> => InPlace,
        /// The task of a group's service.
        task_name: String => InPlace,
        /// What checks mean to a deployment.
        on_update: String => InPlace,
        /// `consul` or `nomad`.
        provider: String => InPlace,
        /// Where it is announced; set when the job is registered.
        #[serde(skip_serializing_if = "String::is_empty")]
        namespace: String => InPlace,
    }
}

spec! {
    /// A check of a service.
    ServiceCheck {
        /// Its name.
        name: String => InPlace,
        /// `http`, `tcp`, `grpc`, `script`.
        #[serde(rename = "Type")]
        type_name: String => InPlace,
        /// The script.
        command: String => InPlace,
        /// Its arguments.
        args: Vec<String> => InPlace,
        /// The path of an http check.
        path: String => InPlace,
        /// `http` or `https`.
        protocol: String => InPlace,
        /// A port's label or number; the service's by default.
        port_label: String => InPlace,
        /// Expose the path through the sidecar.
        expose: bool => InPlace,
        /// As the service's.
        address_mode: String => InPlace,
        /// An address to advertise.
        advertise: String => InPlace,
        /// Time between checks.
        interval: Nanos => InPlace,
        /// How long one may take.
        timeout: Nanos => InPlace,
        /// The status before the first.
        initial_status: String => InPlace,
        /// Server name for TLS.
        #[serde(rename = "TLSServerName")]
        tls_server_name: String => InPlace,
        /// Don't verify the certificate.
        #[serde(rename = "TLSSkipVerify")]
        tls_skip_verify: bool => InPlace,
        /// HTTP headers.
        header: BTreeMap<String, Vec<String>> => InPlace,
        /// HTTP method.
        method: String => InPlace,
        /// What its failures do to the task.
        check_restart: Option<CheckRestart> => InPlace,
        /// gRPC service.
        #[serde(rename = "GRPCService")]
        grpc_service: String => InPlace,
        /// gRPC over TLS.
        #[serde(rename = "GRPCUseTLS")]
        grpc_use_tls: bool => InPlace,
        /// The task of a group's check.
        task_name: String => InPlace,
        /// Successes before it counts as passing.
        success_before_passing: i64 => InPlace,
        /// Failures before it counts as critical.
        failures_before_critical: i64 => InPlace,
        /// HTTP body.
        body: String => InPlace,
        /// What it means to a deployment.
        on_update: String => InPlace,
    }
}

spec! {
    /// What failing checks do to a task.
    CheckRestart {
        /// Failures in a row before a restart.
        limit: i64 => InPlace,
        /// Time after a start in which failures don't count.
        grace: Option<Nanos> => InPlace,
        /// A warning is no failure.
        ignore_warnings: bool => InPlace,
    }
}

spec! {
    /// Consul Connect of a service.
    Connect {
        /// The task speaks Connect itself.
        native: bool => Replace,
        /// It is a gateway.
        gateway: Option<Gateway> => Replace,
        /// It has a sidecar.
        sidecar_service: Option<SidecarService> => Together,
        /// The sidecar's task.
        sidecar_task: Option<SidecarTask> => Replace,
    }
}

spec! {
    /// The sidecar of a service.
    SidecarService {
        /// Tags.
        tags: Vec<String> => InPlace,
        /// Its port.
        port: String => Replace,
        /// Its proxy.
        proxy: Option<Proxy> => InPlace,
        /// No TCP check of its own.
        #[serde(rename = "DisableDefaultTCPCheck")]
        disable_default_tcp_check: bool => InPlace,
        /// Free key-value pairs.
        meta: BTreeMap<String, String> => InPlace,
    }
}

spec! {
    /// The task of a sidecar.
    SidecarTask {
        /// Its name.
        name: String => Replace,
        /// What runs it.
        driver: String => Replace,
        /// Whom it runs as.
        user: String => Replace,
        /// What the driver is told.
        config: serde_json::Map<String, serde_json::Value> => Replace,
        /// Its environment.
        env: BTreeMap<String, String> => Replace,
        /// What it may use.
        resources: Option<Resources> => Replace,
        /// Free key-value pairs.
        meta: BTreeMap<String, String> => Replace,
        /// Time between the stop signal and the kill.
        kill_timeout: Option<Nanos> => Replace,
        /// Log files.
        log_config: Option<LogConfig> => Replace,
        /// Time between deregistering and stopping.
        shutdown_delay: Option<Nanos> => Replace,
        /// The stop signal.
        kill_signal: String => Replace,
    }
}

spec! {
    /// The proxy of a sidecar.
    Proxy {
        /// Where the service listens.
        local_service_address: String => InPlace,
        /// Its port.
        local_service_port: i64 => InPlace,
        /// Paths outside of the mesh.
        expose: Option<ExposeConfig> => InPlace,
        /// As `expose`, its older name.
        expose_config: Option<ExposeConfig> => InPlace,
        /// Services it reaches.
        upstreams: Vec<Upstream> => InPlace,
        /// What the proxy is told.
        config: serde_json::Map<String, serde_json::Value> => InPlace,
    }
}

spec! {
    /// Paths outside of the mesh.
    ExposeConfig {
        /// The paths.
        paths: Vec<ExposePath> => InPlace,
        /// As `paths`, its older name.
        path: Vec<ExposePath> => InPlace,
    }
}

spec! {
    /// One path outside of the mesh.
    ExposePath {
        /// The path.
        path: String => InPlace,
        /// `http` or `http2`.
        protocol: String => InPlace,
        /// The service's port.
        local_path_port: i64 => InPlace,
        /// The port it is reached at.
        listener_port: String => InPlace,
    }
}

spec! {
    /// A service that a proxy reaches.
    Upstream {
        /// Its name.
        destination_name: String => InPlace,
        /// Its namespace.
        destination_namespace: String => InPlace,
        /// Its peer.
        destination_peer: String => InPlace,
        /// `service` or `prepared_query`.
        destination_type: String => InPlace,
        /// The port it has locally.
        local_bind_port: i64 => InPlace,
        /// Its datacenter.
        datacenter: String => InPlace,
        /// The address it has locally.
        local_bind_address: String => InPlace,
        /// Or the socket.
        local_bind_socket_path: String => InPlace,
        /// The socket's mode.
        local_bind_socket_mode: String => InPlace,
        /// Gateway between datacenters.
        mesh_gateway: Option<MeshGateway> => InPlace,
        /// What the proxy is told.
        config: serde_json::Map<String, serde_json::Value> => InPlace,
    }
}

spec! {
    /// Gateway between datacenters.
    MeshGateway {
        /// `local`, `remote` or `none`.
        mode: String => InPlace,
    }
}

spec! {
    /// A gateway.
    Gateway {
        /// Its proxy.
        proxy: Option<GatewayProxy> => Replace,
        /// From outside in.
        ingress: Option<IngressConfig> => Replace,
        /// From inside out.
        terminating: Option<TerminatingConfig> => Replace,
        /// Between datacenters.
        mesh: Option<MeshConfig> => Replace,
    }
}

spec! {
    /// The proxy of a gateway.
    GatewayProxy {
        /// How long a connection may take.
        connect_timeout: Option<Nanos> => Replace,
        /// Bind the tagged addresses.
        envoy_gateway_bind_tagged_addresses: bool => Replace,
        /// Addresses to bind by name.
        envoy_gateway_bind_addresses: BTreeMap<String, GatewayBindAddress> => Replace,
        /// Bind nothing by default.
        envoy_gateway_no_default_bind: bool => Replace,
        /// How names are resolved.
        #[serde(rename = "EnvoyDNSDiscoveryType")]
        envoy_dns_discovery_type: String => Replace,
        /// What the proxy is told.
        config: serde_json::Map<String, serde_json::Value> => Replace,
    }
}

spec! {
    /// An address a gateway binds.
    GatewayBindAddress {
        /// Its name.
        name: String => Replace,
        /// The address.
        address: String => Replace,
        /// The port.
        port: i64 => Replace,
    }
}

spec! {
    /// TLS of a gateway.
    GatewayTls {
        /// On.
        enabled: bool => Replace,
        /// Oldest version.
        #[serde(rename = "TLSMinVersion")]
        tls_min_version: String => Replace,
        /// Newest version.
        #[serde(rename = "TLSMaxVersion")]
        tls_max_version: String => Replace,
        /// Cipher suites.
        cipher_suites: Vec<String> => Replace,
    }
}

spec! {
    /// A gateway from outside in.
    IngressConfig {
        /// TLS.
        #[serde(rename = "TLS")]
        tls: Option<GatewayTls> => Replace,
        /// Where it listens.
        listeners: Vec<IngressListener> => Replace,
    }
}

spec! {
    /// A listener of an ingress gateway.
    IngressListener {
        /// Its port.
        port: i64 => Replace,
        /// `tcp`, `http`, `http2` or `grpc`.
        protocol: String => Replace,
        /// Services behind it.
        services: Vec<IngressService> => Replace,
    }
}

spec! {
    /// A service behind an ingress gateway.
    IngressService {
        /// Its name.
        name: String => Replace,
        /// Host names.
        hosts: Vec<String> => Replace,
    }
}

spec! {
    /// A gateway from inside out.
    TerminatingConfig {
        /// Services outside.
        services: Vec<LinkedService> => Replace,
    }
}

spec! {
    /// A service outside of the mesh.
    LinkedService {
        /// Its name.
        name: String => Replace,
        /// Certificate authority.
        #[serde(rename = "CAFile")]
        ca_file: String => Replace,
        /// Certificate.
        cert_file: String => Replace,
        /// Key.
        key_file: String => Replace,
        /// Server name for TLS.
        #[serde(rename = "SNI")]
        sni: String => Replace,
    }
}

spec! {
    /// A gateway between datacenters.
    MeshConfig {
    }
}
