//! Asking drivers, who may not answer at once: an engine that is away comes back.

use std::{sync::Arc, time::Duration};

use rove_store::backoff::Backoff;
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    drivers::{
        Driver, DriverError, Progress, ProgressSender, Recovered, TaskConfig, TaskHandle, TaskRef,
    },
    task::machine::{Found, Input, StartFailure},
};

/// Starts a task, unless it is called off: then nothing of it is left.
pub(super) async fn start(
    driver: Arc<dyn Driver>,
    config: TaskConfig,
    index: usize,
    progress: mpsc::Sender<(usize, Progress)>,
    cancel: CancellationToken,
    seed: u64,
) -> Input {
    let (sender, mut words) = ProgressSender::channel();
    let forward = async {
        while let Some(word) = words.recv().await {
            // A word for people is lost when too many wait.
            let _ = progress.try_send((index, word));
        }
        std::future::pending::<()>().await
    };
    let starting = async {
        match driver.start(&config, &sender).await {
            Err(DriverError::AlreadyStarted { handle, .. }) => {
                // What is known was removed before; this is a leftover that was never recorded.
                driver.destroy(&handle).await?;
                driver.start(&config, &sender).await
            }
            other => other,
        }
    };
    tokio::select! {
        biased;
        result = starting => Input::Started(result.map_err(|error| StartFailure {
            message: error.full_message(),
            recoverable: error.is_recoverable(),
            in_setup: false,
        })),
        () = cancel.cancelled() => {
            persist(&config.task, "remove", seed, || async {
                match driver.find(&config.task).await? {
                    Some(handle) => driver.destroy(&handle).await,
                    None => Ok(()),
                }
            })
            .await;
            Input::StartAborted
        }
        () = forward => Input::StartAborted,
    }
}

pub(super) async fn recover(
    driver: &dyn Driver,
    task: &TaskRef,
    handle: Option<&TaskHandle>,
) -> Result<Found, DriverError> {
    let handle = match handle {
        Some(handle) => handle.clone(),
        None => match driver.find(task).await? {
            Some(handle) => handle,
            None => return Ok(Found::NeverStarted),
        },
    };
    Ok(match driver.recover(&handle).await? {
        Recovered::Running => Found::Running(handle),
        Recovered::Exited(exit) => Found::Exited(handle, exit),
        Recovered::Gone => Found::Gone,
    })
}

/// Asks a driver until it can answer: an engine that is away comes back, or its operator ends the agent.
pub(super) async fn persist<T, F: Future<Output = Result<T, DriverError>>>(
    task: &TaskRef,
    what: &'static str,
    seed: u64,
    mut ask: impl FnMut() -> F,
) -> T {
    let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(30), seed);
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => {
                let error = error.full_message();
                if backoff.failures() == 0 {
                    tracing::warn!(alloc = %task.alloc_id, task = task.task, error, "can't {what} the task, trying again");
                }
                sleep(backoff.next_delay()).await;
            }
        }
    }
}
