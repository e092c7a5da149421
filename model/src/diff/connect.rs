//! Consul Connect of a service: sidecars and gateways.

use std::collections::BTreeMap;

use super::{
    ObjectDiff,
    fields::Fields,
    object::{Detail, Shape, kind_of_presence},
};
use crate::{
    duration::Nanos,
    job::{
        Connect, ExposeConfig, ExposePath, Gateway, GatewayBindAddress, GatewayProxy, GatewayTls,
        IngressConfig, IngressListener, IngressService, LinkedService, MeshConfig, MeshGateway,
        Proxy, SidecarService, SidecarTask, TerminatingConfig, Upstream,
    },
};

impl Shape for Connect {
    const NAME: &'static str = "ConsulConnect";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            native,
            gateway: _,
            sidecar_service: _,
            sidecar_task: _,
        } = self;
        Fields::new().with("Native", native)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        let mut found = Vec::new();
        found.extend(detail.block(old.sidecar_service.as_ref(), new.sidecar_service.as_ref()));
        found.extend(detail.block(old.sidecar_task.as_ref(), new.sidecar_task.as_ref()));
        found.extend(detail.block(old.gateway.as_ref(), new.gateway.as_ref()));
        found
    }
}

impl Shape for SidecarService {
    const NAME: &'static str = "SidecarService";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            tags: _,
            port,
            proxy: _,
            disable_default_tcp_check,
            meta,
        } = self;
        Fields::new()
            .with("Port", port)
            .with("DisableDefaultTCPCheck", disable_default_tcp_check)
            .with_map("Meta", meta)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        let mut found = Vec::new();
        found.extend(detail.block(old.proxy.as_ref(), new.proxy.as_ref()));
        if detail.complete {
            found.extend(detail.changed_texts("Tags", &old.tags, &new.tags));
        }
        found
    }
}

impl Shape for SidecarTask {
    const NAME: &'static str = "SidecarTask";
    const CONTEXTUAL: bool = false;

    fn fields(&self, detail: Detail) -> Fields {
        let Self {
            name,
            driver,
            user,
            config: _,
            env,
            resources: _,
            meta,
            kill_timeout,
            log_config: _,
            shutdown_delay,
            kill_signal,
        } = self;
        Fields::new()
            .with("Name", name)
            .with("Driver", driver)
            .with("User", user)
            .with_map("Env", env)
            .with_map("Meta", meta)
            .with("KillSignal", kill_signal)
            .with_if(detail.complete, "KillTimeout", kill_timeout)
            .with_if(detail.complete, "ShutdownDelay", shutdown_delay)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        let mut found = Vec::new();
        found.extend(detail.config("Config", &old.config, &new.config));
        found.extend(detail.block(old.resources.as_ref(), new.resources.as_ref()));
        found.extend(detail.plain(old.log_config.as_ref(), new.log_config.as_ref()));
        found
    }
}

impl Shape for Proxy {
    const NAME: &'static str = "ConsulProxy";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            local_service_address,
            local_service_port,
            expose: _,
            expose_config: _,
            upstreams: _,
            config: _,
        } = self;
        Fields::new()
            .with("LocalServiceAddress", local_service_address)
            .with("LocalServicePort", local_service_port)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        let mut found = detail.keyed(
            &old.upstreams,
            &new.upstreams,
            |one| (&one.datacenter, &one.destination_name),
            Detail::block,
        );
        found.extend(detail.config("Config", &old.config, &new.config));
        if detail.complete {
            let expose = |proxy: &Self| proxy.expose.clone().or(proxy.expose_config.clone());
            found.extend(detail.block(expose(old).as_ref(), expose(new).as_ref()));
        }
        found
    }
}

impl Shape for ExposeConfig {
    const NAME: &'static str = "Expose";

    fn fields(&self, _: Detail) -> Fields {
        Fields::new()
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        fn all(ExposeConfig { paths, path }: &ExposeConfig) -> Vec<ExposePath> {
            paths.iter().chain(path).cloned().collect()
        }
        detail.set(&all(old), &all(new))
    }
}

impl Shape for ExposePath {
    const NAME: &'static str = "Path";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            path,
            protocol,
            local_path_port,
            listener_port,
        } = self;
        Fields::new()
            .with("Path", path)
            .with("Protocol", protocol)
            .with("LocalPathPort", local_path_port)
            .with("ListenerPort", listener_port)
    }
}

impl Shape for Upstream {
    const NAME: &'static str = "ConsulUpstreams";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            destination_name,
            destination_namespace,
            destination_peer,
            destination_type,
            local_bind_port,
            datacenter,
            local_bind_address,
            local_bind_socket_path,
            local_bind_socket_mode,
            mesh_gateway: _,
            config: _,
        } = self;
        Fields::new()
            .with("DestinationName", destination_name)
            .with("DestinationNamespace", destination_namespace)
            .with("DestinationPeer", destination_peer)
            .with("DestinationType", destination_type)
            .with("LocalBindPort", local_bind_port)
            .with("Datacenter", datacenter)
            .with("LocalBindAddress", local_bind_address)
            .with("LocalBindSocketPath", local_bind_socket_path)
            .with("LocalBindSocketMode", local_bind_socket_mode)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        let mut found = Vec::new();
        found.extend(detail.plain(old.mesh_gateway.as_ref(), new.mesh_gateway.as_ref()));
        if detail.complete {
            found.extend(detail.config("Config", &old.config, &new.config));
        }
        found
    }
}

impl Shape for MeshGateway {
    const NAME: &'static str = "MeshGateway";

    fn fields(&self, _: Detail) -> Fields {
        let Self { mode } = self;
        Fields::new().with("Mode", mode)
    }
}

impl Shape for Gateway {
    const NAME: &'static str = "Gateway";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            proxy: _,
            ingress: _,
            terminating: _,
            mesh: _,
        } = self;
        Fields::new()
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        let mut found = Vec::new();
        found.extend(gateway_proxy(
            detail,
            old.proxy.as_ref(),
            new.proxy.as_ref(),
        ));
        found.extend(detail.block(old.ingress.as_ref(), new.ingress.as_ref()));
        found.extend(detail.block(old.terminating.as_ref(), new.terminating.as_ref()));
        found.extend(detail.block(old.mesh.as_ref(), new.mesh.as_ref()));
        found
    }
}

/// The proxy of a gateway; its time-out is shown in words, and where both sides have a proxy only.
fn gateway_proxy(
    detail: Detail,
    old: Option<&GatewayProxy>,
    new: Option<&GatewayProxy>,
) -> Option<ObjectDiff> {
    let mut found = detail.block(old, new)?;
    if let (Some(old), Some(new)) = (old, new) {
        let timed = |proxy: &GatewayProxy| {
            let time = proxy.connect_timeout.as_ref().map(Nanos::to_string);
            proxy.fields(detail).with_some("ConnectTimeout", &time)
        };
        found.fields = timed(old).diff(&timed(new), detail.contextual);
    }
    Some(found)
}

impl Shape for GatewayProxy {
    const NAME: &'static str = "Proxy";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            connect_timeout: _,
            envoy_gateway_bind_tagged_addresses,
            envoy_gateway_bind_addresses: _,
            envoy_gateway_no_default_bind,
            envoy_dns_discovery_type,
            config: _,
        } = self;
        Fields::new()
            .with(
                "EnvoyGatewayBindTaggedAddresses",
                envoy_gateway_bind_tagged_addresses,
            )
            .with("EnvoyGatewayNoDefaultBind", envoy_gateway_no_default_bind)
            .with("EnvoyDNSDiscoveryType", envoy_dns_discovery_type)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        let mut found = Vec::new();
        let (before, after) = (
            &old.envoy_gateway_bind_addresses,
            &new.envoy_gateway_bind_addresses,
        );
        if before != after {
            found.push(ObjectDiff {
                kind: kind_of_presence(!before.is_empty(), !after.is_empty()),
                name: "EnvoyGatewayBindAddresses".to_owned(),
                fields: addresses(before).diff(&addresses(after), detail.contextual),
                objects: Vec::new(),
            });
        }
        found.extend(detail.config("Config", &old.config, &new.config));
        found
    }
}

fn addresses(bound: &BTreeMap<String, GatewayBindAddress>) -> Fields {
    bound.iter().fold(Fields::new(), |fields, (name, bound)| {
        let GatewayBindAddress {
            name: _,
            address,
            port,
        } = bound;
        let text = if address.contains(':') {
            format!("[{address}]:{port}")
        } else {
            format!("{address}:{port}")
        };
        fields.with(name, &text)
    })
}

impl Shape for IngressConfig {
    const NAME: &'static str = "Ingress";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            tls: _,
            listeners: _,
        } = self;
        Fields::new()
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        let mut found = Vec::new();
        found.extend(detail.block(old.tls.as_ref(), new.tls.as_ref()));
        found.extend(detail.keyed(
            &old.listeners,
            &new.listeners,
            |listener| (&listener.protocol, listener.port),
            Detail::block,
        ));
        found
    }
}

impl Shape for GatewayTls {
    const NAME: &'static str = "TLS";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            enabled,
            tls_min_version,
            tls_max_version,
            cipher_suites: _,
        } = self;
        Fields::new()
            .with("Enabled", enabled)
            .with("TLSMinVersion", tls_min_version)
            .with("TLSMaxVersion", tls_max_version)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        detail
            .texts("CipherSuites", &old.cipher_suites, &new.cipher_suites)
            .into_iter()
            .collect()
    }
}

impl Shape for IngressListener {
    const NAME: &'static str = "Listener";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            port,
            protocol,
            services: _,
        } = self;
        Fields::new().with("Port", port).with("Protocol", protocol)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        detail.keyed(&old.services, &new.services, |one| &one.name, Detail::block)
    }
}

impl Shape for IngressService {
    const NAME: &'static str = "ConsulIngressService";

    fn fields(&self, _: Detail) -> Fields {
        let Self { name, hosts: _ } = self;
        Fields::new().with("Name", name)
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        detail
            .texts("Hosts", &old.hosts, &new.hosts)
            .into_iter()
            .collect()
    }
}

impl Shape for TerminatingConfig {
    const NAME: &'static str = "Terminating";

    fn fields(&self, _: Detail) -> Fields {
        let Self { services: _ } = self;
        Fields::new()
    }

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        detail.keyed(&old.services, &new.services, |one| &one.name, Detail::block)
    }
}

impl Shape for LinkedService {
    const NAME: &'static str = "Service";

    fn fields(&self, _: Detail) -> Fields {
        let Self {
            name,
            ca_file,
            cert_file,
            key_file,
            sni,
        } = self;
        Fields::new()
            .with("Name", name)
            .with("CAFile", ca_file)
            .with("CertFile", cert_file)
            .with("KeyFile", key_file)
            .with("SNI", sni)
    }
}

impl Shape for MeshConfig {
    const NAME: &'static str = "Mesh";

    fn fields(&self, _: Detail) -> Fields {
        let Self {} = self;
        Fields::new()
    }
}
