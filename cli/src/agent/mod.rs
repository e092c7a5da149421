//! `rove agent`: puts a server, a client or both together from the configuration, and runs them until it is told to
//! stop. Nothing is decided here.

mod addresses;
mod announce;
mod banner;
mod config;
mod descriptors;
mod drivers;
pub mod flags;
mod log_limits;
mod logging;
mod own_secret;
mod server;

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Write},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use futures::future::OptionFuture;
use rove_agent::{
    Agent, AgentConfig as NodeAgentConfig, DRIVER_CHECKS, GarbagePolicy, LEASE_TTL, NodeSource,
    Storage,
    clock::SystemClock,
    fingerprint::{self, NodeSettings, Roots},
    identity::{DataDirLock, Identity, IdentityError},
};
use rove_api::{AgentInfo, ApiContext, Limits, LocalAgent, Mode, ServerSide, SystemSources};
use rove_model::{causes::with_causes, node::NodeReserved};
use rove_store::{
    Store,
    etcd::{EtcdConfig, EtcdStore},
    frontend::JOIN_SEPARATOR,
    keys::Keys,
    wall_clock::unix_now,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::{addresses::AgentAddresses, config::AgentConfig, flags::FlagError, server::ServerPart};

/// How long a store may take before the agent says that it started all the same.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long everything may take to end.
const GRACE: Duration = Duration::from_secs(20);

/// Runs `rove agent` with `words`, which come after the word `agent`.
pub fn run(program: &str, words: &[String]) -> ExitCode {
    let (config, files) = match flags::parse(words) {
        Ok(Some(parsed)) => parsed,
        Ok(None) => {
            say(&format!("{}\n", flags::help(program)));
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let text = match &error {
                FlagError::Words(words) => words.see(&format!("{program} agent")),
                FlagError::BadValue { .. } | FlagError::Argument(_) | FlagError::Config(_) => {
                    error.to_string()
                }
            };
            let arrow = if text.starts_with("==>") { "" } else { "==> " };
            complain(&format!("{arrow}{text}\n"));
            return ExitCode::FAILURE;
        }
    };
    match start(program, config, &files) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("==> {}\n", with_causes(error.as_ref())));
            ExitCode::FAILURE
        }
    }
}

fn start(program: &str, config: AgentConfig, files: &[PathBuf]) -> Result<()> {
    check(&config)?;
    // Held to the end: a development agent's state goes with it.
    let mut temporary = None;
    let data_dir = match &config.data_dir {
        Some(data_dir) => std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.clone()),
        None => {
            let made = tempfile::Builder::new()
                .prefix("rove-dev-")
                .tempdir()
                .context("no folder for the agent's state")?;
            temporary.insert(made).path().to_owned()
        }
    };
    let lock = lock(&data_dir)?;
    logging::start(&config.log_level, config.log_json);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(
            std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8)),
        )
        .enable_all()
        .build()
        .context("no threads for the agent")?;
    let result = runtime.block_on(serve(program, config, files, &data_dir));
    runtime.shutdown_timeout(Duration::from_secs(5));
    drop(lock);
    result
}

/// Takes the data_dir for this agent.
fn lock(data_dir: &Path) -> Result<DataDirLock> {
    DataDirLock::acquire(data_dir).map_err(|error| match error {
        IdentityError::Io { .. } => anyhow::Error::new(error).context(format!(
            "data_dir {}: name a folder that the agent may make and write to",
            data_dir.display()
        )),
        IdentityError::Locked { .. } | IdentityError::Damaged { .. } => error.into(),
    })
}

/// What an agent is told that is to be nothing.
const NO_MODE: &str = "Must specify either server, client or dev mode for the agent. Set server { enabled = true } or \
    client { enabled = true } in a file, or give -dev.";

fn check(config: &AgentConfig) -> Result<()> {
    if !config.server.enabled && !config.client.enabled {
        bail!(NO_MODE);
    }
    let (http, rpc) = (config.ports.http, config.ports.rpc);
    let elsewhere = config.addresses.http != config.addresses.rpc;
    if config.server.enabled && http == rpc && !elsewhere {
        bail!("ports {{ http }} and ports {{ rpc }} are both {http}: choose two");
    }
    if config.data_dir.is_none() && !config.dev {
        bail!(
            "Must specify \"data_dir\" config option or \"-data-dir\" CLI flag: where the agent keeps its state"
        );
    }
    if config.server.enabled
        && config.server.bootstrap_expect > 1
        && config.server.etcd.endpoints.is_empty()
    {
        bail!(
            "server.bootstrap_expect = {}: more than one server needs an etcd that they share; set server {{ etcd {{ endpoints = [...] }} }}",
            config.server.bootstrap_expect
        );
    }
    check_etcd(&config.server.etcd)?;
    if config.client.enabled && !config.server.enabled && config.client.servers.is_empty() {
        bail!("client.servers: a client needs the address of at least one server, \"host:4647\"");
    }
    if config.client.min_dynamic_port > config.client.max_dynamic_port {
        bail!("client.min_dynamic_port is above client.max_dynamic_port");
    }
    Ok(())
}

/// Refuses what would leave the connection to etcd plain, or unproven, against what the file asks for.
fn check_etcd(etcd: &config::EtcdConfig) -> Result<()> {
    let tls = etcd.ca_file.is_some() || etcd.cert_file.is_some() || etcd.key_file.is_some();
    for endpoint in &etcd.endpoints {
        if endpoint.starts_with("https://") && etcd.ca_file.is_none() {
            bail!(
                "server.etcd.ca_file: {endpoint} needs the certificate of the authority that signed etcd's own"
            );
        }
        if endpoint.starts_with("http://") && tls {
            bail!(
                "server.etcd.endpoints: {endpoint} is a plain connection, which the given certificates can't protect; write https://"
            );
        }
    }
    Ok(())
}

/// What is found out of this host before anything starts.
struct Host {
    name: String,
    ip: Option<IpAddr>,
    core_mhz: f64,
    cores: u32,
}

fn look_at_host(config: &AgentConfig, data_dir: &Path) -> Result<Host> {
    let node = fingerprint::host(
        rove_model::ids::NodeId(uuid::Uuid::nil()),
        &node_settings(config, String::new()),
        &Roots::default(),
        data_dir,
        &fingerprint::host_interfaces(),
        unix_now(),
    )?;
    let cores = node.resources.cores.max(1);
    #[expect(clippy::cast_precision_loss, reason = "a frequency in MHz")]
    let core_mhz = node.resources.cpu as f64 / f64::from(cores);
    Ok(Host {
        ip: node
            .resources
            .networks
            .first()
            .and_then(|network| network.ip.parse().ok()),
        name: node.name,
        core_mhz,
        cores,
    })
}

fn node_settings(config: &AgentConfig, http_addr: String) -> NodeSettings {
    let client = &config.client;
    NodeSettings {
        name: config.name.clone().unwrap_or_default(),
        datacenter: config.datacenter.clone(),
        node_pool: client.node_pool.clone(),
        node_class: client.node_class.clone(),
        meta: client.meta.clone(),
        http_addr,
        network_interface: client.network_interface.clone(),
        loopback: config.dev && client.network_interface.is_none(),
        cpu_total_compute: client.cpu_total_compute,
        memory_total_mb: client.memory_total_mb,
        disk_total_mb: None,
        dynamic_ports: Some((client.min_dynamic_port, client.max_dynamic_port)),
        reserved: NodeReserved {
            cpu: client.reserved.cpu,
            memory_mb: client.reserved.memory,
            disk_mb: client.reserved.disk,
            ports: client.reserved.ports.clone(),
        },
    }
}

/// `port` is the setting that chooses the address's port.
async fn listen(what: &str, address: SocketAddr, port: &str) -> Result<TcpListener> {
    let remedy = |error: &std::io::Error| match error.kind() {
        ErrorKind::AddrInUse => format!(
            " (another agent, or something else, listens there: stop it, or choose another port with ports {{ {port} = \
             ... }})"
        ),
        ErrorKind::AddrNotAvailable => {
            " (this host has no such address: see bind_addr and addresses)".to_owned()
        }
        ErrorKind::PermissionDenied => {
            format!(
                " (ports below 1024 are for root: choose another with ports {{ {port} = ... }})"
            )
        }
        _ => String::new(),
    };
    TcpListener::bind(address).await.map_err(|error| {
        let why = remedy(&error);
        anyhow::Error::new(error).context(format!("{what} can't listen on {address}{why}"))
    })
}

async fn serve(
    program: &str,
    mut config: AgentConfig,
    files: &[PathBuf],
    data_dir: &Path,
) -> Result<()> {
    let connections = descriptors::raise();
    let host = look_at_host(&config, data_dir)?;
    config.name.get_or_insert_with(|| host.name.clone());
    let addresses = AgentAddresses::resolve(&config, host.ip)?;
    let http = listen("the HTTP API", addresses.http_listen, "http").await?;
    let rpc = match config.server.enabled {
        true => Some(listen("the store front end", addresses.rpc_listen, "rpc").await?),
        false => None,
    };
    let identity = match config.client.enabled {
        true => Some(Identity::load_or_create(&config.state_dir(data_dir))?),
        false => None,
    };
    let node_id = identity
        .as_ref()
        .map(|identity| identity.node_id.to_string());
    say(&banner::configuration(
        program,
        &config,
        files,
        &addresses,
        node_id.as_deref(),
    ));

    let cancel = CancellationToken::new();
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    let mut signals = Signals::new()?;

    let server = match rpc {
        Some(rpc) => Some(
            ServerPart::start(
                &config,
                data_dir,
                &addresses,
                rpc,
                unix_now(),
                &mut tasks,
                &cancel,
            )
            .await?,
        ),
        None => None,
    };
    if let Some(server) = &server
        && !server.ready(PATIENCE).await
    {
        warn!("the store does not answer yet; the server goes on trying");
    }

    let (store, keys) = match (&server, &identity) {
        (Some(server), _) => (server.store.clone(), server.keys.clone()),
        (None, Some(identity)) => (
            client_store(&config, identity)?,
            Keys::new(&config.server.prefix),
        ),
        (None, None) => bail!(NO_MODE),
    };
    // The client has a token of its own: a development agent's tasks are stopped while the server still runs.
    let client_cancel = CancellationToken::new();
    if let (Some(server), Some(identity)) = (&server, &identity) {
        tokio::spawn(own_secret::fix(
            server.store.clone(),
            server.keys.clone(),
            identity.clone(),
            cancel.clone(),
        ));
    }
    let own = identity.clone();
    let client = match identity {
        Some(identity) => Some(
            start_client(
                &config,
                &host,
                identity,
                data_dir,
                &addresses,
                store.clone(),
                keys.clone(),
                &client_cancel,
            )
            .await?,
        ),
        None => None,
    };

    let mode = match &server {
        Some(server) => Mode::Server(Box::new(ServerSide::new(
            server.store.clone(),
            server.keys.clone(),
            server.state.clone(),
        ))),
        None => {
            let (publish, known) = watch::channel(Vec::new());
            let follow =
                rove_store::servers::follow(store, keys, publish, rand::random(), cancel.clone());
            tasks.spawn(async move {
                follow.await;
                Ok(())
            });
            Mode::Client(known)
        }
    };
    let info = AgentInfo {
        name: config.name.clone().unwrap_or_default(),
        region: config.region.clone(),
        datacenter: config.datacenter.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        local_only: config.dev && addresses.http_listen.ip().is_loopback(),
        http_addr: addresses.http.clone(),
        config: shown_config(&config, data_dir, &addresses),
    };
    let local = client
        .as_ref()
        .map(|agent| Arc::new(agent.handle()) as Arc<dyn LocalAgent>);
    let mut context = ApiContext::new(mode, local, info, Arc::new(SystemSources));
    if let Some(identity) = own {
        context = context.with_identity(identity);
    }
    let limits = Limits {
        connections_per_client: match config.limits.http_max_conns_per_client {
            0 => None,
            most => Some(most as usize),
        },
        connections,
        ..Limits::default()
    };
    let api = rove_api::serve(http, rove_api::router(context), limits, cancel.clone());
    tasks.spawn(async move { api.await.context("the HTTP API ended") });
    say(&banner::started(program));

    let client_ending = OptionFuture::from(client.as_ref().map(Agent::ending));
    let result = tokio::select! {
        Some(()) = client_ending => Err(anyhow::anyhow!(
            "the client failed, as the log says: start the agent again"
        )),
        name = signals.next() => {
            say(&format!("==> Caught signal: {name}\n==> Gracefully shutting down agent...\n"));
            Ok(())
        }
        ended = tasks.join_next() => match ended {
            Some(Ok(Err(error))) => Err(error),
            Some(Err(error)) => Err(error).context("a part of the agent broke"),
            Some(Ok(Ok(()))) | None => Err(anyhow::anyhow!("a part of the agent ended by itself")),
        },
    };
    let ending = async {
        if let Some(client) = client {
            client.stop().await;
        }
        cancel.cancel();
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                error!(%error, "a part of the agent broke");
            }
        }
        if let Some(server) = server {
            server.stop().await;
        }
    };
    tokio::select! {
        () = ending => info!("the agent has ended"),
        () = tokio::time::sleep(GRACE) => warn!("the agent did not end in time"),
        name = signals.next() => warn!(signal = name, "told again: ending at once"),
    }
    result
}

/// The servers' store, by their port 4647.
fn client_store(config: &AgentConfig, identity: &Identity) -> Result<Arc<dyn Store>> {
    let endpoints = config
        .client
        .servers
        .iter()
        .map(|server| match server.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(format!("http://{server}"))
            }
            Some(_) => bail!("client.servers: expected \"host:port\", this is {server:?}"),
            None => Ok(format!("http://{server}:4647")),
        })
        .collect::<Result<Vec<_>>>()?;
    let password = match &config.client.join_token {
        Some(join) => format!("{}{JOIN_SEPARATOR}{}", identity.secret, join.0),
        None => identity.secret.clone(),
    };
    let user = Some((identity.node_id.to_string(), password));
    Ok(Arc::new(EtcdStore::new(EtcdConfig {
        user,
        ..EtcdConfig::of_servers(endpoints)
    })?))
}

#[expect(
    clippy::too_many_arguments,
    reason = "the parts of an agent, put together once"
)]
async fn start_client(
    config: &AgentConfig,
    host: &Host,
    identity: Identity,
    data_dir: &Path,
    addresses: &AgentAddresses,
    store: Arc<dyn Store>,
    keys: Keys,
    cancel: &CancellationToken,
) -> Result<Agent> {
    let agent = NodeAgentConfig {
        identity,
        storage: Storage::Disk {
            data_dir: data_dir.to_owned(),
            state_dir: config.state_dir(data_dir),
            alloc_dir: config.client.alloc_dir.clone(),
        },
        store,
        keys,
        drivers: drivers::registry(config, host.core_mhz, host.cores)?,
        clock: Arc::new(SystemClock),
        node: NodeSource::Host {
            settings: Box::new(node_settings(config, addresses.http.clone())),
            roots: Roots::default(),
        },
        region: config.region.clone(),
        host_env: host_env(),
        dev: config.dev,
        lease_ttl: i64::try_from(config.heartbeat_ttl().as_secs())
            .unwrap_or(LEASE_TTL)
            .max(1),
        driver_checks: Some(DRIVER_CHECKS),
        max_kill_timeout: config.client.max_kill_timeout,
        garbage: GarbagePolicy {
            max_ended: config.client.gc_max_allocs as usize,
            ..GarbagePolicy::default()
        },
        seed: rand::random(),
    };
    Ok(Agent::start(agent, cancel.clone()).await?)
}

/// The environment that tasks on the host begin with: the agent's own, without what may hold credentials.
fn host_env() -> BTreeMap<String, String> {
    const SECRET: &[&str] = &[
        "TOKEN",
        "SECRET",
        "PASSWORD",
        "PASSWD",
        "CREDENTIAL",
        "API_KEY",
        "ACCESS_KEY",
        "PRIVATE_KEY",
    ];
    std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(key, _)| {
            let upper = key.to_uppercase();
            !SECRET.iter().any(|word| upper.contains(word))
        })
        .collect()
}

/// The configuration as `/v1/agent/self` shows it, without secrets.
fn shown_config(
    config: &AgentConfig,
    data_dir: &Path,
    addresses: &AgentAddresses,
) -> serde_json::Value {
    serde_json::json!({
        "AdvertiseAddrs": { "HTTP": addresses.http, "RPC": addresses.rpc, "Serf": addresses.serf },
        "BindAddr": config.bind_addr,
        "DataDir": data_dir.display().to_string(),
        "Datacenter": config.datacenter,
        "DevMode": config.dev,
        "LogLevel": config.log_level,
        "NodeName": config.name,
        "Ports": { "HTTP": config.ports.http, "RPC": config.ports.rpc, "Serf": config.ports.serf },
        "Region": config.region,
        "Client": {
            "Enabled": config.client.enabled,
            "Servers": config.client.servers,
            "NodeClass": config.client.node_class,
            "NodePool": config.client.node_pool,
            "Meta": config.client.meta,
            "NetworkInterface": config.client.network_interface,
            "MinDynamicPort": config.client.min_dynamic_port,
            "MaxDynamicPort": config.client.max_dynamic_port,
        },
        "Server": {
            "Enabled": config.server.enabled,
            "BootstrapExpect": config.server.bootstrap_expect,
            "Etcd": { "Endpoints": config.server.etcd.endpoints },
        },
        "Version": { "Version": env!("CARGO_PKG_VERSION") },
    })
}

/// Prints on standard error; a reader that has gone is no reason to end.
fn complain(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints on standard output; a reader that has gone is no reason to end.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return "interrupt",
                _ = self.terminate.recv() => return "terminated",
                // An agent in the background outlives the terminal it was started from.
                _ = self.hangup.recv() => info!("caught a hangup; the agent goes on"),
            }
        }
    }
}
