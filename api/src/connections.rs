//! Connections to other agents, and which of the servers to ask first.

use std::{sync::atomic::AtomicUsize, time::Duration};

use axum::body::Body;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a connection to another agent is kept for the next call: less than that one keeps it.
const IDLE: Duration = Duration::from_secs(10);

/// Which of the servers answered last: it is asked first the next time, so that who writes reads from the same.
#[derive(Debug, Default)]
pub(crate) struct LastServer(pub(crate) AtomicUsize);

/// The client for calls to other agents.
pub(crate) fn client() -> Client<HttpConnector, Body> {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_keepalive(Some(Duration::from_secs(15)));
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build(connector)
}
