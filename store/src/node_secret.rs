//! What is kept of a node's secret, under `node-secret/`: a salted hash.

use rove_model::{encoding, ids::NodeId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{
    keys::{Key, Keys},
    store::{Compare, KeyRange, Op, RangeRequest, Store, StoreError, Txn},
};

/// A node's secret as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SecretHash {
    /// What was hashed before the secret.
    pub salt: [u8; 16],
    /// SHA-256 of salt and secret: the secret is 128 random bits or more, which no dictionary holds.
    pub hash: [u8; 32],
}

/// Why a node's secret can't be read or fixed.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored is damaged.
    #[error("the stored secret of node {node} can't be read")]
    Damaged {
        /// Whose.
        node: NodeId,
        /// What is wrong with it.
        #[source]
        source: encoding::EncodingError,
    },
    /// It can't be written as it would be kept.
    #[error("the secret of node {node} can't be encoded")]
    Encode {
        /// Whose.
        node: NodeId,
        /// Why.
        #[source]
        source: encoding::EncodingError,
    },
    /// Another secret stands for the node.
    #[error("node {0} is registered with another secret than the one in this agent's data_dir")]
    Another(NodeId),
}

impl SecretHash {
    /// Of a node's secret. The salt follows from id and secret, so that a node which the store forgot has the same hash
    /// when it comes again.
    #[must_use]
    pub fn new(id: NodeId, secret: &str) -> Self {
        let whole = digest(&[b"salt", id.to_string().as_bytes(), secret.as_bytes()]);
        let mut salt = [0; 16];
        salt.copy_from_slice(&whole[..16]);
        Self {
            salt,
            hash: digest(&[&salt, secret.as_bytes()]),
        }
    }
}

/// SHA-256 of `parts`, one behind the other: what nodes and servers make of a secret that both know.
#[must_use]
pub fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(part);
    }
    sha.finalize().into()
}

/// What is kept of a node's secret, if it has registered one.
///
/// # Errors
/// When the store fails or what it holds is damaged.
pub async fn read(
    store: &dyn Store,
    keys: &Keys,
    node: NodeId,
) -> Result<Option<SecretHash>, SecretError> {
    let key = KeyRange::Key(keys.encode(&Key::NodeSecret(node)));
    let found = store.range(RangeRequest::new(key)).await?;
    match found.kvs.into_iter().next() {
        None => Ok(None),
        Some(found) => encoding::decode(&found.value)
            .map(Some)
            .map_err(|source| SecretError::Damaged { node, source }),
    }
}

/// Fixes the secret of a node whose agent writes to the store itself, as that of a server does: others register, which
/// fixes theirs.
///
/// # Errors
/// When the store fails, or another secret stands for the node.
pub async fn fix(
    store: &dyn Store,
    keys: &Keys,
    node: NodeId,
    secret: &str,
) -> Result<(), SecretError> {
    let made = SecretHash::new(node, secret);
    let value = encoding::encode(&made).map_err(|source| SecretError::Encode { node, source })?;
    let key = keys.encode(&Key::NodeSecret(node));
    let txn = Txn {
        compares: vec![Compare::absent(key.clone())],
        then: vec![Op::put(key, value)],
        otherwise: vec![],
    };
    if store.txn(txn).await?.succeeded {
        return Ok(());
    }
    match read(store, keys, node).await? {
        // A salt of before may be another.
        Some(kept) if kept.hash == digest(&[&kept.salt, secret.as_bytes()]) => Ok(()),
        Some(_) => Err(SecretError::Another(node)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use uuid::Uuid;

    use super::*;
    use crate::memory::MemoryStore;

    #[tokio::test]
    async fn a_secret_is_fixed_once_and_another_is_refused() {
        let (store, keys) = (MemoryStore::new(), Keys::default());
        let node = NodeId(Uuid::from_u128(7));
        assert_eq!(read(&store, &keys, node).await.unwrap(), None);
        fix(&store, &keys, node, "a secret of some length")
            .await
            .unwrap();
        fix(&store, &keys, node, "a secret of some length")
            .await
            .unwrap();
        let kept = read(&store, &keys, node).await.unwrap();
        assert_eq!(kept, Some(SecretHash::new(node, "a secret of some length")));
        let refused = fix(&store, &keys, node, "another secret of that length").await;
        assert!(
            matches!(refused, Err(SecretError::Another(_))),
            "{refused:?}"
        );
    }
}
