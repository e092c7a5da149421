//! How a node proves itself: etcd's Authenticate with its id and its secret.
//!
//! The first time fixes a salted hash of the secret in the store; from then on it must match, at every server. What is
//! given out is a random token, good for this server only and for a bounded time; a client whose token is not known
//! is told so in etcd's words, upon which it authenticates again.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use etcd_client::proto::{PbAuthenticateRequest, PbAuthenticateResponse};
use rove_model::encoding;
use rove_model::ids::NodeId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::access::{Access, Caller, ProvenNode};
use super::{Shared, convert};
use crate::keys::Key;
use crate::store::{Compare, KeyRange, Op, RangeRequest, Txn};

/// A token is good for this long.
const TOKEN_LIFE: Duration = Duration::from_secs(3_600);

/// Tokens known at a time, above what a fleet of 5,000 nodes needs; past it the oldest goes.
const MAX_TOKENS: usize = 20_000;

/// A secret is random and at least this long, at most that.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=256;

/// What is kept of a node's secret, under `node-secret/`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeSecret {
    salt: [u8; 16],
    /// SHA-256 of salt and secret: the secret is 128 random bits or more, which no dictionary holds.
    hash: [u8; 32],
}

impl NodeSecret {
    fn new(secret: &str) -> Self {
        let salt = rand::random();
        Self {
            salt,
            hash: digest(&[&salt, secret.as_bytes()]),
        }
    }

    /// Takes the same time whatever differs.
    fn matches(&self, secret: &str) -> bool {
        let hash = digest(&[&self.salt, secret.as_bytes()]);
        let differing = hash
            .iter()
            .zip(&self.hash)
            .fold(0, |differing, (one, other)| differing | (one ^ other));
        std::hint::black_box(differing) == 0
    }

    fn lease_key(&self) -> [u8; 32] {
        digest(&[b"lease", &self.hash])
    }
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(part);
    }
    sha.finalize().into()
}

/// The tokens given out.
#[derive(Default)]
pub(super) struct Tokens(Mutex<Given>);

#[derive(Default)]
struct Given {
    next: u64,
    by_token: BTreeMap<String, (u64, ProvenNode, Instant)>,
    by_age: BTreeMap<u64, String>,
}

impl Tokens {
    fn give(&self, node: ProvenNode) -> String {
        let bytes: [u8; 32] = rand::random();
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = given.next;
        given.next += 1;
        given.by_age.insert(age, token.clone());
        given
            .by_token
            .insert(token.clone(), (age, node, Instant::now() + TOKEN_LIFE));
        while given.by_token.len() > MAX_TOKENS {
            let Some((_, oldest)) = given.by_age.pop_first() else {
                break;
            };
            given.by_token.remove(&oldest);
        }
        token
    }

    fn node(&self, token: &str) -> Option<ProvenNode> {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (age, node, until) = given.by_token.get(token)?.clone();
        if until > Instant::now() {
            return Some(node);
        }
        given.by_token.remove(token);
        given.by_age.remove(&age);
        None
    }
}

impl Shared {
    /// Who sent a request with this metadata.
    pub(super) fn caller(&self, metadata: &MetadataMap) -> Result<Caller, Status> {
        if self.access.is_open() {
            return Ok(Caller::Everyone);
        }
        let Some(token) = metadata
            .get("token")
            .or_else(|| metadata.get("authorization"))
        else {
            return Ok(Caller::Anonymous);
        };
        token
            .to_str()
            .ok()
            .and_then(|token| self.tokens.node(token))
            .map(Caller::Node)
            .ok_or_else(|| Status::unauthenticated("etcdserver: invalid auth token"))
    }

    async fn authenticate(&self, request: PbAuthenticateRequest) -> Result<String, Status> {
        let refused = || {
            Status::invalid_argument(
                "etcdserver: authentication failed, invalid user ID or password",
            )
        };
        let id: NodeId = request.name.parse().map_err(|_| refused())?;
        // One spelling of an id: the one its keys have.
        if id.to_string() != request.name || !SECRET_BYTES.contains(&request.password.len()) {
            return Err(refused());
        }
        let secret = self.node_secret(id, &request.password).await?;
        if !secret.matches(&request.password) {
            tracing::warn!(node = %id, "a node was refused: its secret is not the one it registered with");
            return Err(refused());
        }
        Ok(self.tokens.give(ProvenNode {
            id,
            lease_key: secret.lease_key(),
        }))
    }

    /// What is kept of the node's secret; fixed now if nothing is.
    async fn node_secret(&self, id: NodeId, password: &str) -> Result<NodeSecret, Status> {
        let key = self.access.keys.encode(&Key::NodeSecret(id));
        let made = NodeSecret::new(password);
        let value = encoding::encode(&made).map_err(|error| Status::internal(error.to_string()))?;
        let read = RangeRequest::new(KeyRange::Key(key.clone()));
        let found = self
            .store
            .range(read.clone())
            .await
            .map_err(|error| convert::status(&error))?;
        let found = match found.kvs.into_iter().next() {
            Some(found) => Some(found.value),
            None => {
                let txn = Txn {
                    compares: vec![Compare::absent(key.clone())],
                    then: vec![Op::put(key, value)],
                    otherwise: vec![],
                };
                let answer = self.store.txn(txn).await;
                if answer.map_err(|error| convert::status(&error))?.succeeded {
                    tracing::info!(node = %id, "a node registered its secret");
                    return Ok(made);
                }
                let again = self.store.range(read).await;
                let again = again.map_err(|error| convert::status(&error))?;
                again.kvs.into_iter().next().map(|found| found.value)
            }
        };
        let found =
            found.ok_or_else(|| Status::unavailable("the node's secret is being changed"))?;
        encoding::decode(&found).map_err(|error| {
            tracing::error!(node = %id, %error, "the stored secret of a node can't be read");
            Status::internal("the stored secret can't be read")
        })
    }
}

/// The one call of etcd's Auth service that there is; the generated trait wants all of them, with types that the
/// client crate keeps to itself.
#[derive(Clone)]
pub(super) struct AuthService(pub(super) Arc<Shared>);

impl NamedService for AuthService {
    const NAME: &'static str = "etcdserverpb.Auth";
}

impl UnaryService<PbAuthenticateRequest> for AuthService {
    type Response = PbAuthenticateResponse;
    type Future = BoxFuture<Response<PbAuthenticateResponse>, Status>;

    fn call(&mut self, request: Request<PbAuthenticateRequest>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let token = shared.authenticate(request.into_inner()).await?;
            let revision = shared.hub.head();
            Ok(Response::new(PbAuthenticateResponse {
                header: Some(convert::header(revision, 0)),
                token,
            }))
        })
    }
}

impl Service<http::Request<tonic::body::Body>> for AuthService {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            if request.uri().path() != "/etcdserverpb.Auth/Authenticate" {
                return Ok(
                    Status::unimplemented("rove keeps no users: nodes authenticate only")
                        .into_http(),
                );
            }
            let codec = ProstCodec::<PbAuthenticateResponse, PbAuthenticateRequest>::default();
            let mut grpc = Grpc::new(codec).apply_max_message_size_config(Some(4_096), None);
            Ok(grpc.unary(service, request).await)
        })
    }
}

/// Whether a caller owns a lease, for services.
pub(super) fn require_lease(caller: &Caller, id: i64) -> Result<(), Status> {
    if Access::owns_lease(caller, id) {
        Ok(())
    } else {
        Err(super::access::denied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(byte: u8) -> ProvenNode {
        ProvenNode {
            id: NodeId::from_random([byte; 16]),
            lease_key: [byte; 32],
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_good_for_its_time_and_the_oldest_goes_first() {
        let tokens = Tokens::default();
        let first = tokens.give(node(1));
        assert_eq!(tokens.node(&first), Some(node(1)));
        assert_eq!(tokens.node("another"), None);
        tokio::time::advance(TOKEN_LIFE).await;
        assert_eq!(tokens.node(&first), None);
        let second = tokens.give(node(2));
        for _ in 0..MAX_TOKENS {
            tokens.give(node(3));
        }
        assert_eq!(tokens.node(&second), None);
    }

    #[test]
    fn only_the_same_secret_matches() {
        let secret = NodeSecret::new("a secret of some length");
        assert!(secret.matches("a secret of some length"));
        assert!(!secret.matches("a secret of some lengtH"));
        assert!(!secret.matches(""));
    }
}
