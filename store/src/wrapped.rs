//! A store around another, for faults and observations in tests: what it doesn't do itself is passed on.

use std::sync::Arc;

use async_trait::async_trait;
use rove_model::ids::Revision;

use crate::store::{
    LeaseId, RangeRequest, RangeResponse, Store, StoreError, StoreStatus, Txn, TxnResponse,
    WatchRequest, WatchStream,
};

/// Whatever implements this is a [`Store`]: a call goes to the inner one unless it is overridden.
#[async_trait]
#[allow(missing_docs, reason = "the calls are those of Store")]
pub trait Wrapped: Send + Sync + 'static {
    /// The store that a call is passed on to now.
    fn inner(&self) -> Arc<dyn Store>;

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, StoreError> {
        self.inner().range(request).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse, StoreError> {
        self.inner().txn(txn).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream, StoreError> {
        self.inner().watch(request).await
    }

    async fn lease_grant(
        &self,
        ttl: i64,
        id: Option<LeaseId>,
    ) -> Result<(LeaseId, i64), StoreError> {
        self.inner().lease_grant(ttl, id).await
    }

    async fn lease_keep_alive(&self, id: LeaseId) -> Result<i64, StoreError> {
        self.inner().lease_keep_alive(id).await
    }

    async fn lease_revoke(&self, id: LeaseId) -> Result<(), StoreError> {
        self.inner().lease_revoke(id).await
    }

    async fn lease_time_to_live(&self, id: LeaseId) -> Result<(i64, i64), StoreError> {
        self.inner().lease_time_to_live(id).await
    }

    async fn leases(&self) -> Result<Vec<LeaseId>, StoreError> {
        self.inner().leases().await
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.inner().compact(revision).await
    }

    async fn status(&self) -> Result<StoreStatus, StoreError> {
        self.inner().status().await
    }
}

#[async_trait]
impl<T: Wrapped> Store for T {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, StoreError> {
        Wrapped::range(self, request).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse, StoreError> {
        Wrapped::txn(self, txn).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream, StoreError> {
        Wrapped::watch(self, request).await
    }

    async fn lease_grant(
        &self,
        ttl: i64,
        id: Option<LeaseId>,
    ) -> Result<(LeaseId, i64), StoreError> {
        Wrapped::lease_grant(self, ttl, id).await
    }

    async fn lease_keep_alive(&self, id: LeaseId) -> Result<i64, StoreError> {
        Wrapped::lease_keep_alive(self, id).await
    }

    async fn lease_revoke(&self, id: LeaseId) -> Result<(), StoreError> {
        Wrapped::lease_revoke(self, id).await
    }

    async fn lease_time_to_live(&self, id: LeaseId) -> Result<(i64, i64), StoreError> {
        Wrapped::lease_time_to_live(self, id).await
    }

    async fn leases(&self) -> Result<Vec<LeaseId>, StoreError> {
        Wrapped::leases(self).await
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        Wrapped::compact(self, revision).await
    }

    async fn status(&self) -> Result<StoreStatus, StoreError> {
        Wrapped::status(self).await
    }
}
