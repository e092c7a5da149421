//! Services, their checks, and Consul Connect.

use std::collections::BTreeMap;

use super::{LogConfig, Resources, spec};
use crate::duration::Nanos;

spec! {
    /// A service that is announced while its alloc runs.
    Service "service" {
        /// The name that is announced; it may hold ${JOB}, ${GROUP}, ${TASK} and ${BASE}.
        name: String [default = "<job>-<group>-<task>"] => InPlace,
        /// Tags of the service.
        tags: Vec<String> => InPlace,
        /// Tags instead of these while the alloc is a canary.
        canary_tags: Vec<String> => InPlace,
        /// Keep tags that somebody changed in Consul.
        enable_tag_override: bool = false => InPlace,
        /// The label or number of the port that is announced.
        port_label: String [hcl = "port"] => Together,
        /// Which address is announced: of the host, of the driver's network, or of the alloc.
        address_mode: String [values = &["auto", "host", "driver", "alloc"]] = "auto" => InPlace,
        /// An address to announce instead.
        address: String => InPlace,
        /// A check of the service's health.
        checks: Vec<ServiceCheck> [each = "check"] => InPlace,
        /// When failing checks restart the task; checks inherit it.
        check_restart: Option<CheckRestart> => InPlace by_hand,
        /// Consul Connect.
        connect: Option<Connect> => Together,
        /// Key-value pairs that are announced.
        meta: BTreeMap<String, String> => InPlace,
        /// Pairs instead of these while the alloc is a canary.
        canary_meta: BTreeMap<String, String> => InPlace,
        /// Further addresses by tag.
        tagged_addresses: BTreeMap<String, String> => InPlace,
        /// The task that a group's service is about.
        task_name: String [hcl = "task"] => InPlace,
        /// What checks must say for a deployment to go on.
        on_update: String [values = &["require_healthy", "ignore_warnings", "ignore"]] = "require_healthy" => InPlace,
        /// Where the service is announced.
        provider: String [values = &["consul", "nomad"]] = "consul" => InPlace,
        /// Where it is announced; set when the job is registered.
        #[serde(skip_serializing_if = "String::is_empty")]
        namespace: String [api] => InPlace,
    }
}

spec! {
    /// A check of a service.
    ServiceCheck "check" {
        /// The name of the check.
        name: String [default = "service: \"<name>\" check"] => InPlace,
        /// What is checked.
        type_name as "Type": String [hcl = "type", values = &["http", "tcp", "grpc", "script"]] => InPlace,
        /// The program of a script check, inside the task.
        command: String => InPlace,
        /// Its arguments.
        args: Vec<String> => InPlace,
        /// The path that an http check asks for.
        path: String => InPlace,
        /// How an http check asks.
        protocol: String [values = &["http", "https"], default = "http"] => InPlace,
        /// The label or number of the port to check.
        port_label: String [hcl = "port", default = "the service's"] => InPlace,
        /// Expose the path through the sidecar's proxy.
        expose: bool = false => InPlace,
        /// Which address is checked.
        address_mode: String [values = &["auto", "host", "driver", "alloc"], default = "host"] => InPlace,
        /// The address that is advertised for the check.
        advertise: String => InPlace,
        /// Time between two checks. Needed.
        interval: Nanos => InPlace,
        /// How long a check may take. Needed.
        timeout: Nanos => InPlace,
        /// The status before the first check: passing, warning or critical.
        initial_status: String [default = "critical"] => InPlace,
        /// The server's name for TLS.
        tls_server_name as "TLSServerName": String => InPlace,
        /// Do not verify the server's certificate.
        tls_skip_verify as "TLSSkipVerify": bool = false => InPlace,
        /// HTTP headers; each has a list of values.
        header: BTreeMap<String, Vec<String>> => InPlace,
        /// The HTTP method.
        method: String [default = "GET"] => InPlace,
        /// When failures restart the task.
        check_restart: Option<CheckRestart> [default = "the service's"] => InPlace,
        /// The service that a grpc check asks about.
        grpc_service as "GRPCService": String => InPlace,
        /// Ask a grpc check over TLS.
        grpc_use_tls as "GRPCUseTLS": bool = false => InPlace,
        /// The task that a check of a group's service runs in.
        task_name: String [hcl = "task"] => InPlace,
        /// How many successes in a row it takes to be passing.
        success_before_passing: i64 = 0 => InPlace,
        /// How many failures in a row it takes to be critical.
        failures_before_critical: i64 = 0 => InPlace,
        /// The body of the HTTP request.
        body: String => InPlace,
        /// What the check must say for a deployment to go on.
        on_update: String [values = &["require_healthy", "ignore_warnings", "ignore"], default = "the service's"] => InPlace,
    }
}

spec! {
    /// What failing checks do to a task.
    CheckRestart "check_restart" {
        /// Restart the task after this many failures in a row; 0 never does.
        limit: i64 = 0 => InPlace,
        /// How long after a start failures don't count.
        grace: Option<Nanos> = "1s" => InPlace,
        /// A warning is no failure.
        ignore_warnings: bool = false => InPlace,
    }
}

spec! {
    /// Consul Connect of a service.
    Connect "connect" {
        /// The task speaks Connect itself.
        native: bool = false => Replace,
        /// The service is a gateway.
        gateway: Option<Gateway> => Replace,
        /// The service has a sidecar that carries its traffic.
        sidecar_service: Option<SidecarService> => Together,
        /// What is set for the sidecar's task.
        sidecar_task: Option<SidecarTask> => Replace,
    }
}

spec! {
    /// The sidecar of a service.
    SidecarService "sidecar_service" {
        /// Tags of the sidecar's service.
        tags: Vec<String> => InPlace,
        /// The label of its port.
        port: String => Replace,
        /// Its proxy.
        proxy: Option<Proxy> => InPlace,
        /// Do not check the sidecar's port.
        disable_default_tcp_check as "DisableDefaultTCPCheck": bool = false => InPlace,
        /// Key-value pairs that are announced.
        meta: BTreeMap<String, String> => InPlace,
    }
}

spec! {
    /// The task of a sidecar.
    SidecarTask "sidecar_task" {
        /// The name of the task.
        name: String [default = "connect-proxy-<service>"] => Replace,
        /// What runs it.
        driver: String [default = "docker"] => Replace,
        /// The user that it runs as.
        user: String => Replace,
        /// What the driver is told.
        config: serde_json::Map<String, serde_json::Value> => Replace,
        /// Environment variables.
        env: BTreeMap<String, String> => Replace,
        /// What it may use.
        resources: Option<Resources> => Replace,
        /// Key-value pairs of your own.
        meta: BTreeMap<String, String> => Replace,
        /// How long it has between its stop signal and the kill.
        kill_timeout: Option<Nanos> = "5s" => Replace,
        /// How much of its output is kept.
        log_config: Option<LogConfig> [hcl = "logs"] => Replace,
        /// How long to wait after services are deregistered before it is stopped.
        shutdown_delay: Option<Nanos> = "0s" => Replace,
        /// The signal that asks it to stop.
        kill_signal: String [default = "the driver's"] => Replace,
    }
}

spec! {
    /// The proxy of a sidecar.
    Proxy "proxy" {
        /// Where the service listens.
        local_service_address: String [default = "127.0.0.1"] => InPlace,
        /// The port that it listens on.
        local_service_port: i64 [default = "the service's"] => InPlace,
        /// Paths that are reached from outside of the mesh.
        expose: Option<ExposeConfig> => InPlace,
        /// As `expose`, its older name.
        expose_config: Option<ExposeConfig> [api] => InPlace,
        /// A service that this one reaches through the proxy.
        upstreams: Vec<Upstream> => InPlace,
        /// What the proxy is told.
        config: serde_json::Map<String, serde_json::Value> => InPlace,
    }
}

spec! {
    /// Paths outside of the mesh.
    ExposeConfig "expose" {
        /// One path.
        paths: Vec<ExposePath> [each = "path"] => InPlace,
        /// As `paths`, its older name.
        path: Vec<ExposePath> [api] => InPlace,
    }
}

spec! {
    /// One path outside of the mesh.
    ExposePath "path" {
        /// The path, as /health.
        path: String => InPlace,
        /// How it is asked for.
        protocol: String [values = &["http", "http2"], default = "http"] => InPlace,
        /// The port of the service that answers.
        local_path_port: i64 => InPlace,
        /// The label of the port that it is reached at.
        listener_port: String => InPlace,
    }
}

spec! {
    /// A service that a proxy reaches.
    Upstream "upstreams" {
        /// The name of the service that is reached.
        destination_name: String => InPlace,
        /// Its namespace.
        destination_namespace: String => InPlace,
        /// The peer that it is in.
        destination_peer: String => InPlace,
        /// What is reached.
        destination_type: String [values = &["service", "prepared_query"], default = "service"] => InPlace,
        /// The port that the service has locally.
        local_bind_port: i64 => InPlace,
        /// The datacenter that it is in.
        datacenter: String => InPlace,
        /// The address that the service has locally.
        local_bind_address: String [default = "127.0.0.1"] => InPlace,
        /// A socket instead of address and port.
        local_bind_socket_path: String => InPlace,
        /// The mode of the socket, in octal digits.
        local_bind_socket_mode: String => InPlace,
        /// How other datacenters are reached.
        mesh_gateway: Option<MeshGateway> => InPlace,
        /// What the proxy is told.
        config: serde_json::Map<String, serde_json::Value> => InPlace,
    }
}

spec! {
    /// Gateway between datacenters.
    MeshGateway "mesh_gateway" {
        /// Which gateway the traffic goes through.
        mode: String [values = &["local", "remote", "none"]] => InPlace,
    }
}

spec! {
    /// A gateway.
    Gateway "gateway" {
        /// The gateway's proxy.
        proxy: Option<GatewayProxy> => Replace,
        /// It lets traffic into the mesh.
        ingress: Option<IngressConfig> => Replace,
        /// It lets traffic out of the mesh.
        terminating: Option<TerminatingConfig> => Replace,
        /// It carries traffic between datacenters.
        mesh: Option<MeshConfig> => Replace,
    }
}

spec! {
    /// The proxy of a gateway.
    GatewayProxy "proxy" {
        /// How long a connection may take.
        connect_timeout: Option<Nanos> = "5s" => Replace,
        /// Listen on the tagged addresses.
        envoy_gateway_bind_tagged_addresses: bool = false => Replace,
        /// A further address to listen on.
        envoy_gateway_bind_addresses: BTreeMap<String, GatewayBindAddress> => Replace,
        /// Listen on no address of its own.
        envoy_gateway_no_default_bind: bool = false => Replace,
        /// How names are resolved, as STRICT_DNS or LOGICAL_DNS.
        envoy_dns_discovery_type as "EnvoyDNSDiscoveryType": String => Replace,
        /// What the proxy is told.
        config: serde_json::Map<String, serde_json::Value> => Replace,
    }
}

spec! {
    /// An address a gateway binds.
    GatewayBindAddress "envoy_gateway_bind_addresses" {
        /// Its name.
        name: String [label] => Replace,
        /// The address.
        address: String => Replace,
        /// The port.
        port: i64 => Replace,
    }
}

spec! {
    /// TLS of a gateway.
    GatewayTls "tls" {
        /// Speak TLS.
        enabled: bool = false => Replace,
        /// The oldest version, as TLSv1_2.
        tls_min_version as "TLSMinVersion": String => Replace,
        /// The newest version.
        tls_max_version as "TLSMaxVersion": String => Replace,
        /// The cipher suites.
        cipher_suites: Vec<String> => Replace,
    }
}

spec! {
    /// A gateway from outside in.
    IngressConfig "ingress" {
        /// TLS of the listeners.
        tls as "TLS": Option<GatewayTls> => Replace,
        /// Where the gateway listens. At least one is needed.
        listeners: Vec<IngressListener> [each = "listener"] => Replace,
    }
}

spec! {
    /// A listener of an ingress gateway.
    IngressListener "listener" {
        /// The port to listen on.
        port: i64 => Replace,
        /// What is spoken there.
        protocol: String [values = &["tcp", "http", "http2", "grpc"]] = "tcp" => Replace,
        /// A service behind the listener. At least one is needed.
        services: Vec<IngressService> [each = "service"] => Replace,
    }
}

spec! {
    /// A service behind an ingress gateway.
    IngressService "service" {
        /// The name of the service; * is every one, for http.
        name: String => Replace,
        /// Host names that lead to it.
        hosts: Vec<String> => Replace,
    }
}

spec! {
    /// A gateway from inside out.
    TerminatingConfig "terminating" {
        /// A service outside of the mesh. At least one is needed.
        services: Vec<LinkedService> [each = "service"] => Replace,
    }
}

spec! {
    /// A service outside of the mesh.
    LinkedService "service" {
        /// The name of the service.
        name: String => Replace,
        /// The certificate authority that is trusted.
        ca_file as "CAFile": String => Replace,
        /// The certificate to show.
        cert_file: String => Replace,
        /// Its key.
        key_file: String => Replace,
        /// The server's name for TLS.
        sni as "SNI": String => Replace,
    }
}

spec! {
    /// A gateway between datacenters.
    MeshConfig "mesh" {
    }
}
