//! Maintenance: what `etcdctl endpoint status` and a client's probe ask for, and nothing that changes anything.

use std::sync::Arc;

use etcd_client::proto::{
    PbAlarmMember, PbAlarmRequest, PbAlarmResponse, PbDefragmentRequest, PbDefragmentResponse,
    PbDowngradeRequest, PbDowngradeResponse, PbHashKvRequest, PbHashKvResponse, PbHashRequest,
    PbHashResponse, PbMaintenanceService, PbMoveLeaderRequest, PbMoveLeaderResponse,
    PbSnapshotRequest, PbSnapshotResponse, PbStatusRequest, PbStatusResponse,
};
use futures::stream::Empty;
use tonic::{Request, Response, Status, async_trait};

use super::{Shared, convert};
use crate::store::StoreStatus;

pub(super) struct MaintenanceService(pub(super) Arc<Shared>);

fn unimplemented<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented(
        "rove: ask the store behind this port for that",
    ))
}

impl MaintenanceService {
    async fn store_status(&self) -> Result<StoreStatus, Status> {
        self.0
            .store
            .status()
            .await
            .map_err(|error| convert::status(&error))
    }
}

fn is_full(status: &StoreStatus) -> bool {
    status.quota.is_some_and(|quota| status.counted() >= quota)
}

#[async_trait]
impl PbMaintenanceService for MaintenanceService {
    async fn alarm(
        &self,
        request: Request<PbAlarmRequest>,
    ) -> Result<Response<PbAlarmResponse>, Status> {
        // 0 asks, 1 and 2 raise and disarm.
        if request.into_inner().action != 0 {
            return unimplemented();
        }
        let status = self.store_status().await?;
        let alarms = if is_full(&status) {
            // 1 is NOSPACE.
            vec![PbAlarmMember {
                member_id: 1,
                alarm: 1,
            }]
        } else {
            Vec::new()
        };
        Ok(Response::new(PbAlarmResponse {
            header: Some(convert::header(status.revision, status.store_id)),
            alarms,
        }))
    }

    async fn status(
        &self,
        _: Request<PbStatusRequest>,
    ) -> Result<Response<PbStatusResponse>, Status> {
        let status = self.store_status().await?;
        let header = convert::header(status.revision, status.store_id);
        let mut answer = PbStatusResponse {
            leader: header.member_id,
            raft_term: header.raft_term,
            raft_index: status.revision,
            raft_applied_index: status.revision,
            header: Some(header),
            db_size: convert::signed(status.db_size),
            db_size_in_use: convert::signed(status.db_size_in_use),
            db_size_quota: convert::signed(status.quota.unwrap_or(0)),
            ..PbStatusResponse::default()
        };
        if is_full(&status) {
            answer.errors.push("NOSPACE".to_owned());
        }
        answer.version = status.version;
        Ok(Response::new(answer))
    }

    async fn defragment(
        &self,
        _: Request<PbDefragmentRequest>,
    ) -> Result<Response<PbDefragmentResponse>, Status> {
        unimplemented()
    }

    async fn hash(&self, _: Request<PbHashRequest>) -> Result<Response<PbHashResponse>, Status> {
        unimplemented()
    }

    async fn hash_kv(
        &self,
        _: Request<PbHashKvRequest>,
    ) -> Result<Response<PbHashKvResponse>, Status> {
        unimplemented()
    }

    type SnapshotStream = Empty<Result<PbSnapshotResponse, Status>>;

    async fn snapshot(
        &self,
        _: Request<PbSnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        unimplemented()
    }

    async fn move_leader(
        &self,
        _: Request<PbMoveLeaderRequest>,
    ) -> Result<Response<PbMoveLeaderResponse>, Status> {
        unimplemented()
    }

    async fn downgrade(
        &self,
        _: Request<PbDowngradeRequest>,
    ) -> Result<Response<PbDowngradeResponse>, Status> {
        unimplemented()
    }
}
