//! How a value is written to the store: `{"schema":1,"value":{…}}`, zstd-compressed when it is large.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use thiserror::Error;

/// The schema version this build writes. It reads this one and the one before.
pub const SCHEMA: u32 = 1;

/// The oldest schema version this build reads.
pub const OLDEST_SCHEMA: u32 = 0;

/// Values above this many bytes are compressed.
pub const COMPRESS_ABOVE: usize = 64 * 1024;

/// No stored value is above this many bytes.
pub const MAX_VALUE: usize = 512 * 1024;

/// The most bytes a compressed value may unfold to.
const MAX_UNFOLDED: usize = 16 * 1024 * 1024;

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Why a stored value could not be written or read.
#[derive(Debug, Error)]
pub enum EncodingError {
    /// It is not the JSON that was expected.
    #[error("the stored value is not valid")]
    Json(#[source] serde_json::Error),
    /// It was written by a newer rove.
    #[error(
        "the stored value has schema version {found}, this rove reads up to {SCHEMA}: upgrade this server or agent"
    )]
    NewerSchema {
        /// The version found.
        found: u32,
    },
    /// It is too large to be stored.
    #[error("the value is {size} bytes, at most {MAX_VALUE} can be stored")]
    TooLarge {
        /// Bytes, after compression.
        size: usize,
    },
    /// It could not be unfolded.
    #[error("the stored value can't be decompressed")]
    Compression(#[source] std::io::Error),
}

#[derive(Serialize)]
struct EnvelopeOut<'a, T> {
    schema: u32,
    value: &'a T,
}

#[derive(Deserialize)]
struct EnvelopeIn<'a> {
    /// Absent in the form before version 1, which had no envelope.
    schema: Option<u32>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

/// The bytes that are stored for `value`.
///
/// # Errors
/// When the value is above [`MAX_VALUE`] even when compressed.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, EncodingError> {
    let plain = serde_json::to_vec(&EnvelopeOut {
        schema: SCHEMA,
        value,
    })
    .map_err(EncodingError::Json)?;
    let bytes = if plain.len() > COMPRESS_ABOVE {
        zstd::bulk::compress(&plain, 3).map_err(EncodingError::Compression)?
    } else {
        plain
    };
    if bytes.len() > MAX_VALUE {
        return Err(EncodingError::TooLarge { size: bytes.len() });
    }
    Ok(bytes)
}

/// The value that `bytes` hold.
///
/// # Errors
/// When they are no such value, or one that a newer rove wrote.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, EncodingError> {
    decode_up_to(SCHEMA, bytes)
}

/// As [`decode`], of whatever schema version: for the few fields that are the same in all.
///
/// # Errors
/// When the bytes hold no such value.
pub fn decode_any_schema<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, EncodingError> {
    decode_up_to(u32::MAX, bytes)
}

fn decode_up_to<T: DeserializeOwned>(newest: u32, bytes: &[u8]) -> Result<T, EncodingError> {
    let unfolded;
    let plain = if bytes.starts_with(&ZSTD_MAGIC) {
        unfolded =
            zstd::bulk::decompress(bytes, MAX_UNFOLDED).map_err(EncodingError::Compression)?;
        &unfolded[..]
    } else {
        bytes
    };
    let envelope: EnvelopeIn<'_> = serde_json::from_slice(plain).map_err(EncodingError::Json)?;
    match (envelope.schema, envelope.value) {
        (Some(found), _) if found > newest => Err(EncodingError::NewerSchema { found }),
        (Some(_), Some(value)) => serde_json::from_str(value.get()).map_err(EncodingError::Json),
        // Schema 0 was the bare object.
        (None, _) | (Some(_), None) => serde_json::from_slice(plain).map_err(EncodingError::Json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Thing {
        name: String,
    }

    #[test]
    fn a_value_comes_back_as_it_was() {
        for name in ["x".to_owned(), "long ".repeat(100_000)] {
            let thing = Thing { name };
            let bytes = encode(&thing).expect("encodes");
            assert_eq!(decode::<Thing>(&bytes).expect("decodes"), thing);
        }
    }

    #[test]
    fn the_schema_before_the_envelope_is_read_and_a_newer_one_refused() {
        assert_eq!(
            decode::<Thing>(br#"{"name":"old"}"#).expect("decodes"),
            Thing {
                name: "old".to_owned()
            }
        );
        let newer = decode::<Thing>(br#"{"schema":2,"value":{"name":"new"}}"#);
        assert!(matches!(
            newer,
            Err(EncodingError::NewerSchema { found: 2 })
        ));
        let part = decode_any_schema::<Thing>(br#"{"schema":2,"value":{"name":"new","more":1}}"#);
        assert_eq!(part.expect("decodes").name, "new");
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        for bytes in [
            &b""[..],
            b"{",
            b"null",
            b"\x28\xb5\x2f\xfd\x00",
            b"[1,2]",
            b"\xff\xff",
        ] {
            assert!(decode::<Thing>(bytes).is_err(), "{bytes:?}");
        }
    }
}
