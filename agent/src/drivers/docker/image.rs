//! Having an image: the local one first, else a pull.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use bollard::{auth::DockerCredentials, query_parameters::CreateImageOptionsBuilder};
use futures::StreamExt;
use rand::RngExt;

use super::{
    config::DockerConfig,
    engine::{Engine, is_answer, status_of},
};
use crate::drivers::{DriverError, ProgressSender};

/// Tries of one start; further ones are the restart policy's.
const TRIES: u32 = 3;
/// Before the second try; doubled for the third.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// How often progress is told: people read it, and it is stored with the task's events.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// One pull of an image at a time.
#[derive(Debug, Default)]
pub(super) struct Images {
    pulling: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

impl Images {
    /// Makes sure that the image is there.
    pub(super) async fn ensure(
        &self,
        engine: &Engine,
        config: &DockerConfig,
        progress: &ProgressSender,
    ) -> Result<(), DriverError> {
        let (name, tag) = split(&config.image);
        // The tag that moves has to be asked for each time.
        let fresh = config.force_pull || tag == "latest";
        if !fresh && is_local(engine, &config.image).await? {
            return Ok(());
        }
        let turn = self.turn(&config.image);
        let _turn = turn.lock().await;
        if !fresh && is_local(engine, &config.image).await? {
            return Ok(());
        }
        progress.say(
            "Downloading image",
            [("image".to_owned(), config.image.clone())],
        );
        let pulled = pull_in_tries(engine, config, (name, tag), progress).await;
        match pulled {
            // An engine that can't reach its registry runs what it has.
            Err(error) if fresh && !config.force_pull => {
                if is_local(engine, &config.image).await? {
                    return Ok(());
                }
                Err(error)
            }
            other => other,
        }
    }

    fn turn(&self, image: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut pulling = self.pulling.lock().unwrap_or_else(PoisonError::into_inner);
        pulling.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = pulling.get(image).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        pulling.insert(image.to_owned(), Arc::downgrade(&turn));
        turn
    }
}

async fn is_local(engine: &Engine, image: &str) -> Result<bool, DriverError> {
    match engine.client()?.inspect_image(image).await {
        Ok(_) => Ok(true),
        Err(error) if status_of(&error) == Some(404) => Ok(false),
        Err(error) => Err(engine.failed("inspect the image", error)),
    }
}

async fn pull_in_tries(
    engine: &Engine,
    config: &DockerConfig,
    image: (&str, &str),
    progress: &ProgressSender,
) -> Result<(), DriverError> {
    let tries = async {
        let mut delay = FIRST_DELAY;
        for left in (0..TRIES).rev() {
            let error = match pull(engine, config, image, progress).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if left == 0 || is_final(&error) {
                return Err(error);
            }
            // Not all nodes at the same moment.
            let jitter = rand::rng().random_range(0.75..1.25);
            tokio::time::sleep(delay.mul_f64(jitter)).await;
            delay *= 2;
        }
        Ok(())
    };
    match tokio::time::timeout(config.pull_timeout, tries).await {
        Ok(done) => done,
        Err(_) => Err(DriverError::PullTimeout {
            image: config.image.clone(),
            limit: config.pull_timeout,
        }),
    }
}

/// Whether trying again at once is no use: there is no such image, or it isn't ours to have.
fn is_final(error: &DriverError) -> bool {
    let DriverError::Pull { source, .. } = error else {
        return true;
    };
    let DriverError::Docker { source, .. } = &**source else {
        return true;
    };
    if matches!(status_of(source), Some(400..=499)) {
        return true;
    }
    let message = source.to_string();
    [
        "not found",
        "denied",
        "unauthorized",
        "manifest unknown",
        "connection refused",
        "no such host",
    ]
    .iter()
    .any(|words| message.contains(words))
}

async fn pull(
    engine: &Engine,
    config: &DockerConfig,
    (name, tag): (&str, &str),
    progress: &ProgressSender,
) -> Result<(), DriverError> {
    let failed = |source: DriverError| DriverError::Pull {
        image: config.image.clone(),
        source: Box::new(source),
    };
    let options = CreateImageOptionsBuilder::default()
        .from_image(name)
        .tag(tag)
        .build();
    let client = engine.within(config.pull_timeout).map_err(failed)?;
    let mut words = client.create_image(Some(options), None, credentials(config));
    let mut layers: HashMap<String, (i64, i64)> = HashMap::new();
    let mut told = tokio::time::Instant::now();
    while let Some(word) = words.next().await {
        let word = word.map_err(|error| failed(engine.failed("pull the image", error)))?;
        if let (Some(id), Some(detail)) = (word.id, word.progress_detail) {
            let part = (detail.current.unwrap_or(0), detail.total.unwrap_or(0));
            layers.insert(id, part);
        }
        if told.elapsed() >= TELL_EVERY {
            told = tokio::time::Instant::now();
            let (done, total) = layers.values().fold((0, 0), |(done, total), layer| {
                (done + layer.0, total + layer.1)
            });
            progress.say(
                format!(
                    "Docker image pull progress: {} layers, {} of {} MiB",
                    layers.len(),
                    done >> 20,
                    total >> 20
                ),
                [("image".to_owned(), config.image.clone())],
            );
        }
    }
    // An engine that ends the answer early has not said why.
    match is_local(engine, &config.image).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(DriverError::PullTimeout {
            image: config.image.clone(),
            limit: config.pull_timeout,
        }),
        Err(error) if is_answer(&error) => Err(failed(error)),
        Err(error) => Err(error),
    }
}

fn credentials(config: &DockerConfig) -> Option<DockerCredentials> {
    let value = |key: &str| config.auth.get(key).cloned();
    (!config.auth.is_empty()).then(|| DockerCredentials {
        username: value("username"),
        password: value("password"),
        email: value("email"),
        serveraddress: value("server_address"),
        ..DockerCredentials::default()
    })
}

/// The name and the tag (or digest) of an image, `latest` when there is none.
fn split(image: &str) -> (&str, &str) {
    if let Some((name, digest)) = image.split_once('@') {
        return (name, digest);
    }
    match image.rsplit_once(':') {
        // A colon before the last slash belongs to the registry's port.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_tag_is_told_from_its_registrys_port() {
        for (image, name, tag) in [
            ("redis", "redis", "latest"),
            ("redis:3.2", "redis", "3.2"),
            ("localhost:5000/a/b", "localhost:5000/a/b", "latest"),
            ("localhost:5000/a/b:1", "localhost:5000/a/b", "1"),
            ("a@sha256:00", "a", "sha256:00"),
        ] {
            assert_eq!(split(image), (name, tag), "{image}");
        }
    }
}
