//! Lease: the store's own leases, passed through.
//!
//! A lease belongs to the node that was granted it, at every server and without a word between them: its id carries a
//! mark that is derived from the node's stored hash.

use std::pin::Pin;
use std::sync::Arc;

use etcd_client::proto::{
    PbLeaseGrantRequest, PbLeaseGrantResponse, PbLeaseKeepAliveRequest, PbLeaseKeepAliveResponse,
    PbLeaseLeasesRequest, PbLeaseLeasesResponse, PbLeaseRevokeRequest, PbLeaseRevokeResponse,
    PbLeaseService, PbLeaseStatus, PbLeaseTimeToLiveRequest, PbLeaseTimeToLiveResponse,
};
use futures::Stream;
use sha2::{Digest, Sha256};
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::access::{Caller, ProvenNode, Writes, denied};
use super::auth::require_lease;
use super::{Shared, convert};
use crate::store::{LeaseId, StoreError};

/// A node's lease is for its own life, not for ever.
const MAX_NODE_TTL: i64 = 86_400;

/// Tries at an id that is free.
const MINTS: u32 = 8;

/// The lease id of `node` made of 31 random bits: they are its upper half, the mark is its lower.
pub(super) fn mark(node: &ProvenNode, random: u32) -> i64 {
    let random = random & 0x7fff_ffff;
    let mut sha = Sha256::new();
    sha.update(node.lease_key);
    sha.update(random.to_le_bytes());
    let digest: [u8; 32] = sha.finalize().into();
    let tag = u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]);
    (i64::from(random) << 32) | i64::from(tag)
}

pub(super) fn is_marked(node: &ProvenNode, id: i64) -> bool {
    u32::try_from(id >> 32).is_ok_and(|random| mark(node, random) == id)
}

pub(super) struct LeaseService(pub(super) Arc<Shared>);

impl LeaseService {
    async fn grant(&self, caller: &Caller, ttl: i64, asked: i64) -> Result<(i64, i64), StoreError> {
        let store = &self.0.store;
        let Caller::Node(node) = caller else {
            let (id, ttl) = store
                .lease_grant(ttl, (asked != 0).then_some(LeaseId(asked)))
                .await?;
            return Ok((id.0, ttl));
        };
        if ttl > MAX_NODE_TTL {
            return Err(StoreError::Invalid(format!(
                "a node's lease is at most {MAX_NODE_TTL} seconds"
            )));
        }
        if asked != 0 {
            let (id, ttl) = store.lease_grant(ttl, Some(LeaseId(asked))).await?;
            return Ok((id.0, ttl));
        }
        let mut last = StoreError::LeaseExists(LeaseId(0));
        for _ in 0..MINTS {
            match store
                .lease_grant(ttl, Some(LeaseId(mark(node, rand::random()))))
                .await
            {
                Ok((id, ttl)) => return Ok((id.0, ttl)),
                Err(error @ StoreError::LeaseExists(_)) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }
}

type KeepAlives = Pin<Box<dyn Stream<Item = Result<PbLeaseKeepAliveResponse, Status>> + Send>>;

#[async_trait]
impl PbLeaseService for LeaseService {
    async fn lease_grant(
        &self,
        request: Request<PbLeaseGrantRequest>,
    ) -> Result<Response<PbLeaseGrantResponse>, Status> {
        let caller = self.0.writer(request.metadata(), Writes::Lease).await?;
        let is_stranger = self.0.is_stranger(request.metadata());
        let mut request = request.into_inner();
        if caller == Caller::Anonymous {
            return Err(denied());
        }
        if request.id != 0 {
            require_lease(&caller, request.id)?;
        }
        if let Caller::Node(node) = &caller {
            request.ttl = self.0.limits.may_lease(node.id, request.ttl, is_stranger)?;
        }
        let (id, ttl) = self
            .grant(&caller, request.ttl, request.id)
            .await
            .map_err(|error| convert::status(&error))?;
        if let Caller::Node(node) = &caller {
            self.0.limits.leased(node.id, id, ttl);
        }
        Ok(Response::new(PbLeaseGrantResponse {
            header: Some(convert::header(self.0.hub.head(), 0)),
            id,
            ttl,
            error: String::new(),
        }))
    }

    async fn lease_revoke(
        &self,
        request: Request<PbLeaseRevokeRequest>,
    ) -> Result<Response<PbLeaseRevokeResponse>, Status> {
        let caller = self.0.caller(request.metadata())?;
        let id = request.into_inner().id;
        require_lease(&caller, id)?;
        self.0
            .store
            .lease_revoke(LeaseId(id))
            .await
            .map_err(|error| convert::status(&error))?;
        if let Caller::Node(node) = &caller {
            self.0.limits.unleased(node.id, id);
        }
        Ok(Response::new(PbLeaseRevokeResponse {
            header: Some(convert::header(self.0.hub.head(), 0)),
        }))
    }

    type LeaseKeepAliveStream = KeepAlives;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<PbLeaseKeepAliveRequest>>,
    ) -> Result<Response<KeepAlives>, Status> {
        let caller = self.0.caller(request.metadata())?;
        if caller == Caller::Anonymous {
            return Err(denied());
        }
        let state = (Arc::clone(&self.0), caller, request.into_inner());
        let answers = futures::stream::try_unfold(state, |(shared, caller, mut requests)| async {
            let request = tokio::select! {
                request = requests.message() => request?,
                () = shared.cancel.cancelled() => None,
            };
            let Some(request) = request else {
                return Ok(None);
            };
            require_lease(&caller, request.id)?;
            let ttl = match shared.store.lease_keep_alive(LeaseId(request.id)).await {
                Ok(ttl) => {
                    if let Caller::Node(node) = &caller {
                        shared.limits.leased(node.id, request.id, ttl);
                    }
                    ttl
                }
                // As etcd: a lease that has gone has no time left.
                Err(StoreError::LeaseNotFound(_)) => 0,
                Err(error) => return Err(convert::status(&error)),
            };
            let answer = PbLeaseKeepAliveResponse {
                header: Some(convert::header(shared.hub.head(), 0)),
                id: request.id,
                ttl,
            };
            Ok(Some((answer, (shared, caller, requests))))
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<PbLeaseTimeToLiveRequest>,
    ) -> Result<Response<PbLeaseTimeToLiveResponse>, Status> {
        self.0.caller(request.metadata())?;
        let request = request.into_inner();
        if request.keys {
            return Err(Status::unimplemented(
                "rove: the keys of a lease are not listed, get them by their prefix",
            ));
        }
        let (ttl, granted_ttl) = match self.0.store.lease_time_to_live(LeaseId(request.id)).await {
            Ok(found) => found,
            Err(StoreError::LeaseNotFound(_)) => (-1, 0),
            Err(error) => return Err(convert::status(&error)),
        };
        Ok(Response::new(PbLeaseTimeToLiveResponse {
            header: Some(convert::header(self.0.hub.head(), 0)),
            id: request.id,
            ttl,
            granted_ttl,
            keys: Vec::new(),
        }))
    }

    async fn lease_leases(
        &self,
        request: Request<PbLeaseLeasesRequest>,
    ) -> Result<Response<PbLeaseLeasesResponse>, Status> {
        self.0.caller(request.metadata())?;
        let leases = self
            .0
            .store
            .leases()
            .await
            .map_err(|error| convert::status(&error))?;
        Ok(Response::new(PbLeaseLeasesResponse {
            header: Some(convert::header(self.0.hub.head(), 0)),
            leases: leases
                .into_iter()
                .map(|lease| PbLeaseStatus { id: lease.0 })
                .collect(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rove_model::ids::NodeId;

    #[test]
    fn a_lease_is_known_by_its_mark_and_only_its_nodes() {
        let node = |byte| ProvenNode {
            id: NodeId::from_random([byte; 16]),
            lease_key: [byte; 32],
        };
        for random in [0, 1, 77, u32::MAX] {
            let id = mark(&node(1), random);
            assert!(id >= 0);
            assert!(is_marked(&node(1), id));
            assert!(!is_marked(&node(2), id));
            assert!(!is_marked(&node(1), id ^ 1));
        }
        assert!(!is_marked(&node(1), -1));
        assert!(!is_marked(&node(1), i64::MIN));
    }
}
