//! How a node proves itself: etcd's Authenticate with its id and its secret.
//!
//! A salted hash of the secret is fixed in the store when the node registers; from then on it must match, at every
//! server. A log-in alone leaves nothing in the store. What is given out is a random token, good for this server only,
//! for a bounded time, and no longer than no other secret stands for the node; a client whose token is not known is
//! told so in etcd's words, upon which it authenticates again.
//!
//! Salt and hash follow from id and secret: a node that the store forgot has the same hash when it comes again, and so
//! the same leases.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use etcd_client::proto::{PbAuthenticateRequest, PbAuthenticateResponse};
use rove_model::encoding;
use rove_model::ids::NodeId;
use tokio::time::Instant;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::access::{Access, Caller, ProvenNode, Writes};
use super::{Shared, convert};
use crate::keys::Key;
use crate::node_secret::{self, SecretError, SecretHash, digest};
use crate::store::{Compare, Op, Txn};

/// A token is good for this long.
const TOKEN_LIFE: Duration = Duration::from_secs(3_600);

/// Tokens known at a time, above what a fleet of 5,000 nodes needs; past it the oldest goes.
const MAX_TOKENS: usize = 20_000;

/// Tokens known at a time of those who logged in under an id for which no secret stands. They are counted apart, so that
/// strangers crowd out nobody who registered.
const MAX_STRANGERS: usize = 8_000;

/// Tokens of one node; past it its oldest goes.
const MAX_OF_NODE: usize = 16;

/// How long a token is believed before it is looked up again whether its secret still stands.
const BELIEVED: Duration = Duration::from_secs(10);

/// Between two words on log-ins that were refused.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// A secret is random and at least this long, at most that.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=256;

/// What stands in a password between the secret and the token by which a server lets new nodes in.
pub const JOIN_SEPARATOR: char = '\u{1f}';

fn is_of(kept: &SecretHash, secret: &str) -> bool {
    is_same(&digest(&[&kept.salt, secret.as_bytes()]), &kept.hash)
}

fn lease_key(kept: &SecretHash) -> [u8; 32] {
    digest(&[b"lease", &kept.hash])
}

/// Takes the same time whatever differs.
fn is_same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let differing = one
        .iter()
        .zip(other)
        .fold(0, |differing, (one, other)| differing | (one ^ other));
    std::hint::black_box(differing) == 0
}

/// The token by which a server lets new nodes in. Kept as a hash, and never shown.
#[derive(Clone)]
pub struct JoinToken([u8; 32]);

impl JoinToken {
    /// Of what the operator gave.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self(digest(&[b"join", token.as_bytes()]))
    }

    fn matches(&self, token: &str) -> bool {
        is_same(&Self::new(token).0, &self.0)
    }
}

impl std::fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JoinToken(..)")
    }
}

/// The tokens given out.
#[derive(Default)]
pub(super) struct Tokens(Mutex<Given>);

/// Who a token was given to.
#[derive(Clone)]
struct Holder {
    node: ProvenNode,
    secret: SecretHash,
    /// Its secret stands in the store, as far as is known.
    registered: bool,
    /// It may be registered anew under this token if the store forgets it.
    invited: bool,
    /// When it was last seen that no other secret stands.
    seen: Instant,
    until: Instant,
}

#[derive(Default)]
struct Given {
    next: u64,
    by_token: BTreeMap<String, (u64, Holder)>,
    /// Those of nodes that are registered, and the others.
    by_age: [BTreeMap<u64, String>; 2],
    by_node: BTreeMap<NodeId, VecDeque<String>>,
    said: Option<Instant>,
    unsaid: u64,
}

impl Given {
    fn remove(&mut self, token: &str) -> Option<Holder> {
        let (age, holder) = self.by_token.remove(token)?;
        self.by_age[usize::from(!holder.registered)].remove(&age);
        if let Some(of_node) = self.by_node.get_mut(&holder.node.id) {
            of_node.retain(|one| one != token);
            if of_node.is_empty() {
                self.by_node.remove(&holder.node.id);
            }
        }
        Some(holder)
    }

    fn insert(&mut self, token: String, holder: Holder) {
        let age = self.next;
        self.next += 1;
        let kind = usize::from(!holder.registered);
        let of_node = self.by_node.entry(holder.node.id).or_default();
        of_node.push_back(token.clone());
        let one_too_many = (of_node.len() > MAX_OF_NODE)
            .then(|| of_node.front().cloned())
            .flatten();
        self.by_age[kind].insert(age, token.clone());
        self.by_token.insert(token, (age, holder));
        if let Some(oldest) = one_too_many {
            self.remove(&oldest);
        }
        while self.by_age[kind].len() > [MAX_TOKENS, MAX_STRANGERS][kind] {
            let Some((_, oldest)) = self.by_age[kind].first_key_value() else {
                break;
            };
            let oldest = oldest.clone();
            self.remove(&oldest);
        }
    }
}

impl Tokens {
    fn lock(&self) -> MutexGuard<'_, Given> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self, holder: Holder) -> String {
        let bytes: [u8; 32] = rand::random();
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.lock().insert(token.clone(), holder);
        token
    }

    fn holder(&self, token: &str) -> Option<Holder> {
        let mut given = self.lock();
        let (_, holder) = given.by_token.get(token)?;
        if holder.until > Instant::now() {
            return Some(holder.clone());
        }
        given.remove(token);
        None
    }

    fn forget(&self, token: &str) {
        self.lock().remove(token);
    }

    /// Notes what was just seen of a token's secret.
    fn saw(&self, token: &str, registered: bool) {
        let mut given = self.lock();
        if let Some((_, holder)) = given.by_token.get_mut(token)
            && holder.registered == registered
        {
            holder.seen = Instant::now();
        } else if let Some(mut holder) = given.remove(token) {
            holder.registered = registered;
            holder.seen = Instant::now();
            given.insert(token.to_owned(), holder);
        }
    }

    /// Says that a log-in was refused, and how many were without a word since the last time.
    fn say_refused(&self, id: NodeId, why: &str) {
        let mut given = self.lock();
        let now = Instant::now();
        if given.said.is_some_and(|said| now < said + SAID_EVERY) {
            given.unsaid += 1;
            return;
        }
        given.said = Some(now);
        let others = std::mem::take(&mut given.unsaid);
        tracing::warn!(node = %id, others, "a node was refused: {why}");
    }
}

const ANOTHER_SECRET: &str = "its secret is not the one it registered with";

fn invalid_token() -> Status {
    Status::unauthenticated("etcdserver: invalid auth token")
}

fn token(metadata: &MetadataMap) -> Option<&str> {
    let token = metadata
        .get("token")
        .or_else(|| metadata.get("authorization"))?;
    Some(token.to_str().unwrap_or_default())
}

impl Shared {
    /// Who sent a request with this metadata.
    pub(super) fn caller(&self, metadata: &MetadataMap) -> Result<Caller, Status> {
        if self.access.is_open() {
            return Ok(Caller::Everyone);
        }
        let Some(token) = token(metadata) else {
            return Ok(Caller::Anonymous);
        };
        let holder = self.tokens.holder(token).ok_or_else(invalid_token)?;
        Ok(Caller::Node(holder.node))
    }

    /// Who sent a request with this metadata that changes something: no node for which another secret stands by now.
    /// If none stands, that of a node which writes keys is fixed before.
    pub(super) async fn writer(
        &self,
        metadata: &MetadataMap,
        writes: Writes,
    ) -> Result<Caller, Status> {
        if self.access.is_open() {
            return Ok(Caller::Everyone);
        }
        let Some(token) = token(metadata) else {
            return Ok(Caller::Anonymous);
        };
        let holder = self.tokens.holder(token).ok_or_else(invalid_token)?;
        let is_believed = holder.registered && holder.seen.elapsed() < BELIEVED;
        if is_believed && writes != Writes::Registers {
            return Ok(Caller::Node(holder.node));
        }
        let id = holder.node.id;
        let standing = match self.node_secret(id).await? {
            Some(standing) => Some(standing),
            None if writes == Writes::Lease => None,
            None if holder.invited => self.fix_secret(id, &holder.secret).await?,
            // It has to log in once more, and to show its join token.
            None => {
                self.tokens.forget(token);
                return Err(invalid_token());
            }
        };
        if standing
            .as_ref()
            .is_some_and(|standing| *standing != holder.secret)
        {
            self.tokens.forget(token);
            self.tokens.say_refused(id, ANOTHER_SECRET);
            return Err(invalid_token());
        }
        self.tokens.saw(token, standing.is_some());
        Ok(Caller::Node(holder.node))
    }

    /// Whether no secret stands for the node of a request with this metadata.
    pub(super) fn is_stranger(&self, metadata: &MetadataMap) -> bool {
        token(metadata)
            .and_then(|token| self.tokens.holder(token))
            .is_some_and(|holder| !holder.registered)
    }

    async fn authenticate(&self, request: PbAuthenticateRequest) -> Result<String, Status> {
        let refused = || {
            Status::invalid_argument(
                "etcdserver: authentication failed, invalid user ID or password",
            )
        };
        let id: NodeId = request.name.parse().map_err(|_| refused())?;
        let (password, invitation) = match request.password.split_once(JOIN_SEPARATOR) {
            Some((password, invitation)) => (password, Some(invitation)),
            None => (request.password.as_str(), None),
        };
        // One spelling of an id: the one its keys have.
        if id.to_string() != request.name || !SECRET_BYTES.contains(&password.len()) {
            return Err(refused());
        }
        let invited = self.join.as_ref().is_none_or(|join| {
            // Compared in any case, so that the time tells nothing.
            join.matches(invitation.unwrap_or_default())
        });
        let (secret, registered) = match self.node_secret(id).await? {
            Some(standing) => (standing, true),
            None => (SecretHash::new(id, password), false),
        };
        if !is_of(&secret, password) {
            self.tokens.say_refused(id, ANOTHER_SECRET);
            return Err(refused());
        }
        if !registered && !invited {
            self.tokens.say_refused(
                id,
                "it is new, and its client.join_token is not this server's server.join_token",
            );
            return Err(Status::permission_denied(
                "rove: authentication failed: this server takes in new nodes with its join token only, set client.join_token",
            ));
        }
        let now = Instant::now();
        Ok(self.tokens.give(Holder {
            node: ProvenNode {
                id,
                lease_key: lease_key(&secret),
            },
            secret,
            registered,
            invited,
            seen: now,
            until: now + TOKEN_LIFE,
        }))
    }

    /// What is kept of the node's secret, if anything is.
    async fn node_secret(&self, id: NodeId) -> Result<Option<SecretHash>, Status> {
        let read = node_secret::read(&*self.store, &self.access.keys, id).await;
        read.map_err(|error| match error {
            SecretError::Store(error) => convert::status(&error),
            error @ (SecretError::Damaged { .. }
            | SecretError::Encode { .. }
            | SecretError::Another(_)) => {
                tracing::error!(node = %id, %error, "a node can't log in");
                Status::internal(error.to_string())
            }
        })
    }

    /// Fixes the secret of a node for which none stands; gives the one that stands then.
    async fn fix_secret(
        &self,
        id: NodeId,
        secret: &SecretHash,
    ) -> Result<Option<SecretHash>, Status> {
        let key = self.access.keys.encode(&Key::NodeSecret(id));
        let value =
            encoding::encode(secret).map_err(|error| Status::internal(error.to_string()))?;
        let txn = Txn {
            compares: vec![Compare::absent(key.clone())],
            then: vec![Op::put(key, value)],
            otherwise: vec![],
        };
        let answer = self.store.txn(txn).await;
        if answer.map_err(|error| convert::status(&error))?.succeeded {
            tracing::info!(node = %id, "a node registered its secret");
            return Ok(Some(*secret));
        }
        self.node_secret(id).await
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
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn holder(number: u32, registered: bool) -> Holder {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_le_bytes());
        let id = NodeId::from_random(id);
        let secret = SecretHash::new(id, "a secret of some length");
        Holder {
            node: ProvenNode {
                id,
                lease_key: lease_key(&secret),
            },
            secret,
            registered,
            invited: true,
            seen: Instant::now(),
            until: Instant::now() + TOKEN_LIFE,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_good_for_its_time_and_the_oldest_goes_first() {
        let tokens = Tokens::default();
        let is_known = |token: &str| tokens.holder(token).is_some();
        let first = tokens.give(holder(1, true));
        assert!(is_known(&first));
        assert!(!is_known("another"));
        tokio::time::advance(TOKEN_LIFE).await;
        assert!(!is_known(&first));
        let second = tokens.give(holder(2, true));
        let stranger = tokens.give(holder(3, false));
        // Neither one node nor many strangers crowd out another.
        for _ in 0..=MAX_OF_NODE {
            tokens.give(holder(4, true));
        }
        for number in 0..=u32::try_from(MAX_STRANGERS).unwrap() {
            tokens.give(holder(10 + number, false));
        }
        assert!(is_known(&second));
        assert!(!is_known(&stranger));
        assert_eq!(
            tokens.lock().by_node[&holder(4, true).node.id].len(),
            MAX_OF_NODE
        );
        for number in 0..u32::try_from(MAX_TOKENS).unwrap() {
            tokens.give(holder(10 + number, true));
        }
        assert!(!is_known(&second));
        let given = tokens.lock();
        assert_eq!(given.by_token.len(), MAX_TOKENS + MAX_STRANGERS);
        assert_eq!(
            given.by_age.each_ref().map(BTreeMap::len),
            [MAX_TOKENS, MAX_STRANGERS]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_that_registers_keeps_its_token() {
        let tokens = Tokens::default();
        let token = tokens.give(holder(1, false));
        tokens.saw(&token, true);
        assert!(
            tokens
                .holder(&token)
                .is_some_and(|holder| holder.registered)
        );
        tokens.forget(&token);
        assert!(tokens.holder(&token).is_none());
        assert!(tokens.lock().by_node.is_empty());
    }

    #[test]
    fn a_join_token_matches_itself_only_and_is_not_shown() {
        let join = JoinToken::new("let-me-in");
        for (token, expected) in [("let-me-in", true), ("let-me-iN", false), ("", false)] {
            assert_eq!(join.matches(token), expected, "{token}");
        }
        assert_eq!(format!("{join:?}"), "JoinToken(..)");
    }

    #[test]
    fn only_the_same_secret_matches_and_gives_the_same_leases_each_time() {
        let [one, two] = [1, 2].map(|byte| NodeId::from_random([byte; 16]));
        let secret = SecretHash::new(one, "a secret of some length");
        assert_eq!(secret, SecretHash::new(one, "a secret of some length"));
        assert_ne!(
            secret.hash,
            SecretHash::new(two, "a secret of some length").hash
        );
        assert!(is_of(&secret, "a secret of some length"));
        assert!(!is_of(&secret, "a secret of some lengtH"));
        assert!(!is_of(&secret, ""));
    }
}
