//! The HTTP client of the commands: `/v1` of one agent, in the types that the API writes.
//!
//! Every request has a time limit for connecting and for the answer. What may be large, or has no end, is taken piece
//! by piece: there only silence is an error.

mod error;

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, Response, Url};
use rove_wire::Refusal;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::ApiError;

use crate::args::Parsed;
use crate::env::Env;
use crate::ui::Ui;

/// Used when neither a flag nor the environment names an agent.
const DEFAULT_ADDRESS: &str = "http://127.0.0.1:4646";
/// The port of an address that names none.
const DEFAULT_PORT: &str = ":4646";
/// An agent on the other side of the world answers a connect well within this.
const CONNECT: Duration = Duration::from_secs(5);
/// A list of a million allocs takes seconds; nothing takes longer than this.
const ANSWER: Duration = Duration::from_secs(60);
/// How long the agent may hold a request that waits for a change; then it is sent again.
const WAIT: Duration = Duration::from_secs(60);
/// The agent writes a heartbeat into a followed stream each second.
const SILENCE: Duration = Duration::from_secs(30);
/// A query that somebody wrote by hand may block for ten minutes, and a sixteenth more.
const LONGEST: Duration = Duration::from_secs(10 * 60 * 17 / 16 + 30);

/// Which agent to ask, and as whom.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The agent's address.
    pub address: Url,
    /// The namespace to work in; none leaves the choice to the agent.
    pub namespace: Option<String>,
    region: Option<String>,
    token: Option<String>,
    ca_cert: Option<String>,
    client_cert: Option<String>,
    client_key: Option<String>,
    skip_verify: bool,
}

impl Settings {
    /// From the flags, else from the environment.
    pub fn from(args: &Parsed, env: &Env) -> Result<Self, ApiError> {
        let pick = |flag: &str, setting: &str| {
            args.last(flag)
                .map(str::to_owned)
                .or_else(|| env.setting(setting).map(str::to_owned))
        };
        let given = pick("address", "ADDR").unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
        let bad = |why: &str| ApiError::Setup(format!("invalid address '{given}': {why}"));
        let address = Url::parse(&whole(&given)).map_err(|e| bad(&e.to_string()))?;
        if !matches!(address.scheme(), "http" | "https") {
            return Err(bad("it must begin with http:// or https://"));
        }
        if address.host_str().is_none() {
            return Err(bad("it names no host"));
        }
        let skip_verify = args.switch("tls-skip-verify").unwrap_or_else(|| {
            env.setting("SKIP_VERIFY")
                .is_some_and(|v| v == "1" || v == "true")
        });
        Ok(Self {
            address,
            namespace: pick("namespace", "NAMESPACE"),
            region: pick("region", "REGION"),
            token: pick("token", "TOKEN"),
            ca_cert: pick("ca-cert", "CACERT"),
            client_cert: pick("client-cert", "CLIENT_CERT"),
            client_key: pick("client-key", "CLIENT_KEY"),
            skip_verify,
        })
    }
}

/// A host by itself is spoken to in plain HTTP, on the usual port.
fn whole(address: &str) -> String {
    if address.contains("://") || address.is_empty() {
        return address.to_owned();
    }
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    let port = match host.rsplit_once(':') {
        // A colon inside brackets belongs to an IPv6 address.
        Some((_, port)) if !port.contains(']') => "",
        _ => DEFAULT_PORT,
    };
    format!("http://{host}{port}/{path}")
}

/// Parameters of a request.
pub type Query<'a> = &'a [(&'a str, &'a str)];

/// One agent.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    settings: Settings,
}

impl Client {
    /// A client for the agent that the settings name. Nothing is sent yet.
    pub fn new(settings: Settings) -> Result<Self, ApiError> {
        // An agent is spoken to directly: a proxy for the way to the internet does not know its address.
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .no_proxy();
        if settings.address.scheme() == "https" {
            builder = tls(builder, &settings)?;
        } else {
            // Without TLS there is nothing to verify; an empty set of roots saves reading the system's.
            builder = builder.tls_backend_preconfigured(no_roots()?);
        }
        let http = builder
            .build()
            .map_err(|e| ApiError::Setup(format!("failed to set up the HTTP client: {e}")))?;
        Ok(Self { http, settings })
    }

    /// The namespace that was asked for, if any.
    pub fn namespace(&self) -> Option<&str> {
        self.settings.namespace.as_deref()
    }

    /// The same agent, another namespace.
    pub fn in_namespace(&self, namespace: &str) -> Self {
        let mut other = self.clone();
        if !namespace.is_empty() {
            other.settings.namespace = Some(namespace.to_owned());
        }
        other
    }

    /// The address of a path with its parameters, sorted by name, the namespace and region among them.
    pub fn url(&self, path: &str, query: Query<'_>) -> Url {
        let mut url = self.settings.address.clone();
        let (path, given) = path
            .split_once('?')
            .map_or((path, None), |(p, q)| (p, Some(q)));
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{path}"));
        let mut pairs: Vec<(String, String)> = query
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        for (key, value) in [
            ("namespace", &self.settings.namespace),
            ("region", &self.settings.region),
        ] {
            if let Some(value) = value
                && !pairs.iter().any(|(k, _)| k == key)
            {
                pairs.push((key.to_owned(), value.clone()));
            }
        }
        pairs.sort();
        url.set_query(given);
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        url
    }

    /// What is at `path`.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
    ) -> Result<T, ApiError> {
        Ok(self.get_at(path, query).await?.0)
    }

    /// What is at `path`, and its index.
    pub async fn get_at<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
    ) -> Result<(T, u64), ApiError> {
        let url = self.url(path, query);
        let answer = self.send(Method::GET, url.clone(), ANSWER).await?;
        let index = index_of(&answer);
        Ok((read(answer, &url, "Get").await?, index))
    }

    /// What is at `path` once it is newer than `index`, or as it is after a minute.
    pub async fn wait<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
        index: u64,
    ) -> Result<(T, u64), ApiError> {
        let (index, wait) = (index.to_string(), format!("{}s", WAIT.as_secs()));
        let mut query = query.to_vec();
        query.push(("index", &index));
        query.push(("wait", &wait));
        let url = self.url(path, &query);
        // The agent adds up to a sixteenth of the wait, so that not all come back at once.
        let answer = self
            .send(Method::GET, url.clone(), WAIT + WAIT / 16 + ANSWER)
            .await?;
        let index = index_of(&answer);
        Ok((read(answer, &url, "Get").await?, index))
    }

    /// Sends `body` to `path`.
    pub async fn put<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
        body: &B,
    ) -> Result<T, ApiError> {
        self.write(Method::PUT, path, query, body).await
    }

    /// Posts `body` to `path`.
    pub async fn post<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
        body: &B,
    ) -> Result<T, ApiError> {
        self.write(Method::POST, path, query, body).await
    }

    async fn write<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: Query<'_>,
        body: &B,
    ) -> Result<T, ApiError> {
        let url = self.url(path, query);
        let bytes = serde_json::to_vec(body).map_err(|source| ApiError::Decode {
            url: url.to_string(),
            source,
        })?;
        let verb = verb(&method);
        let request = self
            .request(method, url.clone(), Some(bytes))
            .header(ACCEPT, format!("{}, */*", Refusal::CONTENT_TYPE))
            .timeout(ANSWER);
        read(finish(request, &url, verb).await?, &url, verb).await
    }

    /// Deletes what is at `path`.
    pub async fn delete<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
    ) -> Result<T, ApiError> {
        let url = self.url(path, query);
        let answer = self.send(Method::DELETE, url.clone(), ANSWER).await?;
        read(answer, &url, "Delete").await
    }

    /// The bytes at `path`.
    pub async fn bytes(&self, path: &str, query: Query<'_>) -> Result<Vec<u8>, ApiError> {
        let url = self.url(path, query);
        let answer = self.send(Method::GET, url.clone(), ANSWER).await?;
        Ok(answer
            .bytes()
            .await
            .map_err(|e| ApiError::transport("Get", &url, &e))?
            .to_vec())
    }

    /// Any request, with the answer piece by piece.
    pub async fn raw(
        &self,
        method: Method,
        path: &str,
        query: Query<'_>,
        body: Option<Vec<u8>>,
        headers: &[(String, String)],
    ) -> Result<Stream, ApiError> {
        let verb = verb(&method);
        let url = self.url(path, query);
        let mut request = self.request(method, url.clone(), body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        Stream::open(request, url, verb, LONGEST).await
    }

    /// What is at `path`, piece by piece: it may be large, or be followed for ever.
    pub async fn stream(&self, path: &str, query: Query<'_>) -> Result<Stream, ApiError> {
        let url = self.url(path, query);
        let request = self.request(Method::GET, url.clone(), None);
        Stream::open(request, url, "Get", SILENCE).await
    }

    async fn send(&self, method: Method, url: Url, limit: Duration) -> Result<Response, ApiError> {
        let verb = verb(&method);
        let request = self.request(method, url.clone(), None).timeout(limit);
        finish(request, &url, verb).await
    }

    fn request(&self, method: Method, url: Url, body: Option<Vec<u8>>) -> reqwest::RequestBuilder {
        let mut request = self.http.request(method, url);
        if let Some(token) = &self.settings.token {
            request = request.header("X-Nomad-Token", token);
        }
        match body {
            Some(bytes) => request
                .header("Content-Type", "application/json")
                .body(bytes),
            None => request,
        }
    }
}

/// An answer that is read piece by piece.
#[derive(Debug)]
pub struct Stream {
    answer: Response,
    url: Url,
    verb: &'static str,
    silence: Duration,
}

impl Stream {
    async fn open(
        request: reqwest::RequestBuilder,
        url: Url,
        verb: &'static str,
        silence: Duration,
    ) -> Result<Self, ApiError> {
        match tokio::time::timeout(silence, finish(request, &url, verb)).await {
            Ok(answer) => Ok(Self {
                answer: answer?,
                url,
                verb,
                silence,
            }),
            Err(_) => Err(silent(verb, &url, silence)),
        }
    }

    /// The next piece, none at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        match tokio::time::timeout(self.silence, self.answer.chunk()).await {
            Ok(Ok(piece)) => Ok(piece.map(|p| p.to_vec())),
            Ok(Err(error)) => Err(ApiError::transport(self.verb, &self.url, &error)),
            Err(_) => Err(silent(self.verb, &self.url, self.silence)),
        }
    }

    /// Writes all of it to standard output as it comes, until its end or until nobody reads it any more.
    pub async fn print(mut self, ui: &mut Ui) -> Result<(), ApiError> {
        while let Some(piece) = self.next().await? {
            ui.write(&piece);
            ui.flush();
            if ui.closed() {
                break;
            }
        }
        Ok(())
    }
}

fn silent(method: &'static str, url: &Url, silence: Duration) -> ApiError {
    ApiError::Transport {
        method,
        url: url.to_string(),
        cause: format!("nothing was heard for {} s", silence.as_secs()),
        refused: false,
    }
}

fn verb(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "Get",
        "PUT" => "Put",
        "POST" => "Post",
        "DELETE" => "Delete",
        _ => "Request",
    }
}

fn index_of(answer: &Response) -> u64 {
    answer
        .headers()
        .get("X-Nomad-Index")
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse().ok())
        .unwrap_or(0)
}

async fn finish(
    request: reqwest::RequestBuilder,
    url: &Url,
    verb: &'static str,
) -> Result<Response, ApiError> {
    let answer = request
        .send()
        .await
        .map_err(|e| ApiError::transport(verb, url, &e))?;
    let code = answer.status();
    if code.is_success() {
        return Ok(answer);
    }
    let by_field = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes()
            .starts_with(Refusal::CONTENT_TYPE.as_bytes())
    });
    let bytes = answer.bytes().await.unwrap_or_default();
    let refusal = by_field.then(|| serde_json::from_slice::<Refusal>(&bytes));
    let (mut body, problems) = match refusal {
        Some(Ok(refusal)) => (refusal.detail, refusal.problems),
        Some(Err(_)) | None => (String::from_utf8_lossy(&bytes).into_owned(), Vec::new()),
    };
    if body.trim().is_empty() {
        body = code.canonical_reason().unwrap_or_default().to_owned();
    }
    Err(ApiError::Status {
        code: code.as_u16(),
        body: body.trim_end().to_owned(),
        problems,
    })
}

async fn read<T: DeserializeOwned>(
    answer: Response,
    url: &Url,
    verb: &'static str,
) -> Result<T, ApiError> {
    let bytes = answer
        .bytes()
        .await
        .map_err(|e| ApiError::transport(verb, url, &e))?;
    // Some writes answer with nothing at all.
    let text: &[u8] = if bytes.iter().all(u8::is_ascii_whitespace) {
        b"null"
    } else {
        &bytes
    };
    serde_json::from_slice(text).map_err(|source| ApiError::Decode {
        url: url.to_string(),
        source,
    })
}

fn no_roots() -> Result<rustls::ClientConfig, ApiError> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| ApiError::Setup(format!("failed to set up TLS: {e}")))?;
    Ok(builder
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}

fn tls(
    mut builder: reqwest::ClientBuilder,
    settings: &Settings,
) -> Result<reqwest::ClientBuilder, ApiError> {
    // It fails only when a provider is installed already, and then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let load = |path: &str| {
        std::fs::read(path).map_err(|e| ApiError::Setup(format!("failed to read \"{path}\": {e}")))
    };
    let pem = |what: &str, path: &str, e: reqwest::Error| {
        ApiError::Setup(format!("no usable {what} in \"{path}\": {e}"))
    };
    if let Some(path) = &settings.ca_cert {
        let roots = reqwest::Certificate::from_pem_bundle(&load(path)?)
            .map_err(|e| pem("certificate", path, e))?;
        builder = builder.tls_certs_only(roots);
    }
    match (&settings.client_cert, &settings.client_key) {
        (Some(cert), Some(key)) => {
            let mut both = load(cert)?;
            both.push(b'\n');
            both.extend(load(key)?);
            builder = builder.identity(
                reqwest::Identity::from_pem(&both).map_err(|e| pem("key pair", cert, e))?,
            );
        }
        (None, None) => {}
        _ => {
            return Err(ApiError::Setup(
                "-client-cert and -client-key belong together".to_owned(),
            ));
        }
    }
    Ok(builder.tls_danger_accept_invalid_certs(settings.skip_verify))
}
