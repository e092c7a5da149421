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
        Fields::of(self)
            .without_if(!detail.complete, "KillTimeout")
            .without_if(!detail.complete, "ShutdownDelay")
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

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        fn all(ExposeConfig { paths, path }: &ExposeConfig) -> Vec<ExposePath> {
            paths.iter().chain(path).cloned().collect()
        }
        detail.set(&all(old), &all(new))
    }
}

impl Shape for ExposePath {
    const NAME: &'static str = "Path";
}

impl Shape for Upstream {
    const NAME: &'static str = "ConsulUpstreams";

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
}

impl Shape for Gateway {
    const NAME: &'static str = "Gateway";

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
        Fields::of(self).without(&["ConnectTimeout"])
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

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        detail
            .texts("CipherSuites", &old.cipher_suites, &new.cipher_suites)
            .into_iter()
            .collect()
    }
}

impl Shape for IngressListener {
    const NAME: &'static str = "Listener";

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        detail.keyed(&old.services, &new.services, |one| &one.name, Detail::block)
    }
}

impl Shape for IngressService {
    const NAME: &'static str = "ConsulIngressService";

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        detail
            .texts("Hosts", &old.hosts, &new.hosts)
            .into_iter()
            .collect()
    }
}

impl Shape for TerminatingConfig {
    const NAME: &'static str = "Terminating";

    fn objects(old: &Self, new: &Self, detail: Detail) -> Vec<ObjectDiff> {
        detail.keyed(&old.services, &new.services, |one| &one.name, Detail::block)
    }
}

impl Shape for LinkedService {
    const NAME: &'static str = "Service";
}

impl Shape for MeshConfig {
    const NAME: &'static str = "Mesh";
}
