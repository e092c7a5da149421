//! The bodies of calls: read where a call takes one, never above what it takes, and all of them together within one
//! budget of memory.

use std::{sync::Arc, time::Duration};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use futures::StreamExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::error::ApiError;

/// The most bytes of a body: a job specification of 512 KiB compressed has room, and little more.
pub(crate) const MOST: usize = 4 * 1024 * 1024;

/// The most bytes of a body that says little: so many fit into the budget that calls which wait with theirs can't fill it.
pub(crate) const SMALL: usize = 4 * 1024;

/// The most bytes of all bodies that are held at a time.
const BUDGET: usize = 64 * 1024 * 1024;

/// How long a body waits for room in the budget. Bodies that wait hold room themselves, so it has to end.
const ROOM: Duration = Duration::from_secs(1);

/// What is taken, and thrown away, of a body that a call has no use for: then its connection can be kept.
const UNUSED: usize = 64 * 1024;

/// How long that may take.
const UNUSED_TIME: Duration = Duration::from_secs(1);

/// The budget of all bodies of an agent.
pub(crate) struct Bodies(Arc<Semaphore>);

impl Default for Bodies {
    fn default() -> Self {
        Self::within(BUDGET)
    }
}

impl Bodies {
    fn within(budget: usize) -> Self {
        Self(Arc::new(Semaphore::new(budget)))
    }

    /// Reads a body of at most `most` bytes within `time`. Its room is free again when the last copy of it is dropped.
    pub(crate) async fn read(
        &self,
        body: Body,
        most: usize,
        time: Duration,
    ) -> Result<Bytes, ApiError> {
        timeout(time, self.collect(body, most))
            .await
            .map_err(|_| ApiError::SlowBody(time))?
    }

    async fn collect(&self, body: Body, most: usize) -> Result<Bytes, ApiError> {
        if body.size_hint().lower() > most as u64 {
            return Err(ApiError::TooLarge(most));
        }
        let mut held = Held {
            bytes: Vec::new(),
            room: None,
        };
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| {
                ApiError::BadRequest(format!("the request body can't be read: {error}"))
            })?;
            if held.bytes.len() + chunk.len() > most {
                return Err(ApiError::TooLarge(most));
            }
            let room = self.room(chunk.len()).await?;
            match &mut held.room {
                Some(held) => held.merge(room),
                none => *none = Some(room),
            }
            held.bytes.extend_from_slice(&chunk);
        }
        Ok(Bytes::from_owner(held))
    }

    async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let permits = u32::try_from(bytes).map_err(|_| ApiError::TooLarge(MOST))?;
        match timeout(ROOM, self.0.clone().acquire_many_owned(permits)).await {
            Ok(Ok(room)) => Ok(room),
            // It is never closed.
            Ok(Err(_)) | Err(_) => Err(ApiError::NoRoom),
        }
    }
}

/// A body with its part of the budget.
struct Held {
    bytes: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Throws away the body of a call that takes none; a long one is refused, and a slow one not waited for.
pub(crate) async fn ignore(body: Body) -> Result<(), ApiError> {
    if body.is_end_stream() {
        return Ok(());
    }
    if body.size_hint().lower() > UNUSED as u64 {
        return Err(ApiError::TooLarge(UNUSED));
    }
    let mut left = UNUSED;
    let mut chunks = body.into_data_stream();
    let thrown_away = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            left = left
                .checked_sub(chunk.len())
                .ok_or(ApiError::TooLarge(UNUSED))?;
        }
        Ok(())
    };
    timeout(UNUSED_TIME, thrown_away).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TIME: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn bodies_share_a_budget_and_give_their_room_back() {
        let bodies = Bodies::within(10);
        let read = |text: &'static str| bodies.read(Body::from(text), 8, TIME);
        let first = read("12345678").await.unwrap();
        let copy = first.clone();
        assert_eq!(&*first, b"12345678");
        drop(first);
        assert!(matches!(read("123").await, Err(ApiError::NoRoom)));
        let other = read("12").await.unwrap();
        drop(copy);
        assert_eq!(&*read("1234567").await.unwrap(), b"1234567");
        drop(other);
        assert!(matches!(
            read("123456789").await,
            Err(ApiError::TooLarge(8))
        ));
        assert_eq!(bodies.0.available_permits(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_without_a_length_is_cut_off_where_it_is_too_long() {
        let bodies = Bodies::within(100);
        let endless = || {
            let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>("12345"));
            Body::from_stream(chunks)
        };
        let refused = bodies.read(endless(), 12, TIME).await;
        assert!(
            matches!(refused, Err(ApiError::TooLarge(12))),
            "{refused:?}"
        );
        assert!(ignore(endless()).await.is_err());
        assert_eq!(bodies.0.available_permits(), 100);
    }
}
