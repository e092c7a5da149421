//! What the API asks of the agent in its own process: files, logs and usage of the allocs on this node.

use async_trait::async_trait;
use rove_agent::{
    drivers::Signal,
    files::FileInfo,
    handle::{AgentHandle, FrameStream, HandleError, ReadOptions},
    logs::LogKind,
    usage::{AllocUsage, HostStats},
};
use rove_model::{
    ids::{AllocId, NodeId},
    node::Node,
};
use std::sync::Arc;

/// The agent of this node, as the API sees it; see [`AgentHandle`] for what each call does.
#[allow(
    missing_docs,
    reason = "said at the handle's methods of the same names"
)]
#[async_trait]
pub trait LocalAgent: Send + Sync + 'static {
    fn node_id(&self) -> NodeId;
    fn node(&self) -> Arc<Node>;
    fn has_alloc(&self, alloc: AllocId) -> bool;
    fn alloc_count(&self) -> usize;
    fn connected(&self) -> bool;
    async fn list(&self, alloc: AllocId, path: &str) -> Result<Vec<FileInfo>, HandleError>;
    async fn stat(&self, alloc: AllocId, path: &str) -> Result<FileInfo, HandleError>;
    async fn read(
        &self,
        alloc: AllocId,
        path: &str,
        options: ReadOptions,
        limit: Option<u64>,
    ) -> Result<FrameStream, HandleError>;
    async fn logs(
        &self,
        alloc: AllocId,
        task: &str,
        kind: LogKind,
        options: ReadOptions,
    ) -> Result<FrameStream, HandleError>;
    async fn alloc_stats(
        &self,
        alloc: AllocId,
        task: Option<&str>,
    ) -> Result<AllocUsage, HandleError>;
    async fn host_stats(&self) -> Result<HostStats, HandleError>;
    async fn restart(&self, alloc: AllocId, task: Option<&str>) -> Result<(), HandleError>;
    async fn restart_all(&self, alloc: AllocId) -> Result<(), HandleError>;
    async fn signal(
        &self,
        alloc: AllocId,
        task: Option<&str>,
        signal: Signal,
    ) -> Result<(), HandleError>;
    async fn collect_garbage(&self, alloc: Option<AllocId>) -> Result<(), HandleError>;
}

#[async_trait]
impl LocalAgent for AgentHandle {
    fn node_id(&self) -> NodeId {
        self.node_id()
    }

    fn node(&self) -> Arc<Node> {
        self.node()
    }

    fn has_alloc(&self, alloc: AllocId) -> bool {
        self.allocs().contains(&alloc)
    }

    fn alloc_count(&self) -> usize {
        self.allocs().len()
    }

    fn connected(&self) -> bool {
        self.connected()
    }

    async fn list(&self, alloc: AllocId, path: &str) -> Result<Vec<FileInfo>, HandleError> {
        self.list(alloc, path).await
    }

    async fn stat(&self, alloc: AllocId, path: &str) -> Result<FileInfo, HandleError> {
        self.stat(alloc, path).await
    }

    async fn read(
        &self,
        alloc: AllocId,
        path: &str,
        options: ReadOptions,
        limit: Option<u64>,
    ) -> Result<FrameStream, HandleError> {
        self.read(alloc, path, options, limit).await
    }

    async fn logs(
        &self,
        alloc: AllocId,
        task: &str,
        kind: LogKind,
        options: ReadOptions,
    ) -> Result<FrameStream, HandleError> {
        self.logs(alloc, task, kind, options).await
    }

    async fn alloc_stats(
        &self,
        alloc: AllocId,
        task: Option<&str>,
    ) -> Result<AllocUsage, HandleError> {
        self.alloc_stats(alloc, task).await
    }

    async fn host_stats(&self) -> Result<HostStats, HandleError> {
        self.host_stats().await
    }

    async fn restart(&self, alloc: AllocId, task: Option<&str>) -> Result<(), HandleError> {
        self.restart(alloc, task).await
    }

    async fn restart_all(&self, alloc: AllocId) -> Result<(), HandleError> {
        self.restart_all(alloc).await
    }

    async fn signal(
        &self,
        alloc: AllocId,
        task: Option<&str>,
        signal: Signal,
    ) -> Result<(), HandleError> {
        self.signal(alloc, task, signal).await
    }

    async fn collect_garbage(&self, alloc: Option<AllocId>) -> Result<(), HandleError> {
        self.collect_garbage(alloc).await
    }
}
