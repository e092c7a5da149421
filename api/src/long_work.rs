//! Work that takes long, apart from the threads that all calls and the server's leases live on.

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Semaphore,
    task::block_in_place,
};

/// So much work goes on at once: lists of a million allocs must not take all cores and all memory.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// Does `work`, which holds nothing up but itself: the thread's other tasks move to another.
pub(crate) async fn off_the_workers<T>(work: impl FnOnce() -> T) -> T {
    // It is never closed.
    let _permit = AT_ONCE.acquire().await;
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => block_in_place(work),
        // A runtime of one thread has nowhere to move them to.
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn other_tasks_go_on_while_long_work_is_done() {
        let (send, receive) = mpsc::channel();
        let other = tokio::spawn(async move {
            tokio::task::yield_now().await;
            send.send("done").ok();
        });
        let heard = tokio::spawn(async move { off_the_workers(move || receive.recv()).await });
        assert_eq!(heard.await.ok().and_then(Result::ok), Some("done"));
        assert!(other.await.is_ok());
    }
}
