//! Hashes, ids and decryption.

use std::fmt::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use num_bigint::BigUint;
use sha2::Digest;

use super::{Arguments, Function, Outcome, failed, function, number, text, variadic};
use crate::value::Value;

/// What `bcrypt` costs when it isn't said, and instead of what is too little.
const BCRYPT_COST: u32 = 10;
/// The most that `bcrypt` may cost: about half a second.
pub(super) const MAX_BCRYPT_COST: u32 = 13;

pub(super) const FUNCTIONS: &[Function] = &[
    variadic("bcrypt", &[text("str")], number("cost"), bcrypt),
    function("md5", &[text("str")], |a| {
        Ok(Value::String(hex(&md5::Md5::digest(a.text(0)?))))
    }),
    function(
        "rsadecrypt",
        &[text("ciphertext"), text("privatekey")],
        |a| {
            let input = a.text(0)?;
            let cipher = BASE64_STANDARD.decode(input).map_err(|_| {
                failed(format!(
                    "failed to decode input {input:?}: cipher text must be base64-encoded"
                ))
            })?;
            let key = RsaKey::from_pem(a.text(1)?).map_err(failed)?;
            let plain = key
                .decrypt(&cipher)
                .ok_or_else(|| failed("failed to decrypt: the key does not fit the cipher text"))?;
            String::from_utf8(plain)
                .map(Value::String)
                .map_err(|_| failed("what was decrypted is not valid UTF-8"))
        },
    ),
    function("sha1", &[text("str")], |a| {
        Ok(Value::String(hex(&sha1::Sha1::digest(a.text(0)?))))
    }),
    function("sha256", &[text("str")], |a| {
        Ok(Value::String(hex(&sha2::Sha256::digest(a.text(0)?))))
    }),
    function("sha512", &[text("str")], |a| {
        Ok(Value::String(hex(&sha2::Sha512::digest(a.text(0)?))))
    }),
    function("uuidv4", &[], |_| {
        Ok(Value::String(uuid::Uuid::new_v4().to_string()))
    }),
    function("uuidv5", &[text("namespace"), text("name")], uuid_v5),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn bcrypt(a: &Arguments<'_>) -> Outcome {
    let cost = match a.list.len() {
        1 => i64::from(BCRYPT_COST),
        2 => a.whole(1)?,
        _ => return Err(failed("bcrypt() takes no more than two arguments")),
    };
    let cost = match u32::try_from(cost) {
        Ok(cost) if cost < 4 => BCRYPT_COST,
        Ok(cost) if cost <= MAX_BCRYPT_COST => cost,
        _ if cost < 0 => BCRYPT_COST,
        _ => {
            return Err(failed(format!(
                "error generating password: cost {cost} is outside allowed range (4,{MAX_BCRYPT_COST})"
            )));
        }
    };
    bcrypt::hash(a.text(0)?, cost)
        .map(|hash| Value::String(hash.replacen("$2b$", "$2a$", 1)))
        .map_err(|error| failed(format!("error generating password: {error}")))
}

fn uuid_v5(a: &Arguments<'_>) -> Outcome {
    let (space, name) = (a.text(0)?, a.text(1)?);
    let space = match space {
        "dns" => uuid::Uuid::NAMESPACE_DNS,
        "url" => uuid::Uuid::NAMESPACE_URL,
        "oid" => uuid::Uuid::NAMESPACE_OID,
        "x500" => uuid::Uuid::NAMESPACE_X500,
        other => uuid::Uuid::parse_str(other).map_err(|_| {
            failed(format!(
                "uuidv5() doesn't support namespace {other} (it is no UUID)"
            ))
        })?,
    };
    let digest = sha1::Sha1::new()
        .chain_update(space.as_bytes())
        .chain_update(name)
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    let id = uuid::Builder::from_sha1_bytes(bytes).into_uuid();
    Ok(Value::String(id.to_string()))
}

/// The private half of an RSA key.
struct RsaKey {
    modulus: BigUint,
    exponent: BigUint,
}

impl RsaKey {
    /// Reads PEM, in the form of PKCS #1 or #8, without a password.
    fn from_pem(text: &str) -> Result<Self, String> {
        /// The longest key in bits.
        const MAX_BITS: u64 = 8_192;
        let invalid = || "failed to parse key: no key found".to_owned();
        let (header, rest) = text
            .split_once("-----BEGIN ")
            .and_then(|(_, rest)| rest.split_once("-----"))
            .ok_or_else(invalid)?;
        let (body, _) = rest.split_once("-----END ").ok_or_else(invalid)?;
        if body.contains("ENCRYPTED") || header.contains("ENCRYPTED") {
            return Err(
                "failed to parse key: password protected keys are not supported; decrypt the key first"
                    .to_owned(),
            );
        }
        let packed: String = body.chars().filter(|c| !c.is_whitespace()).collect();
        let bytes = BASE64_STANDARD.decode(packed).map_err(|_| invalid())?;
        let malformed = || "failed to parse key: it is no RSA key in PKCS #1 or #8".to_owned();
        let key = match header {
            "RSA PRIVATE KEY" => Self::from_der(&bytes),
            "PRIVATE KEY" => Self::inner(&bytes),
            _ => None,
        };
        let key = key.ok_or_else(malformed)?;
        if key.modulus.bits() > MAX_BITS || key.modulus.bits() < 64 {
            return Err(format!(
                "failed to parse key: more than {MAX_BITS} bits, or too few"
            ));
        }
        Ok(key)
    }

    /// The PKCS #1 key in a PKCS #8 one.
    fn inner(bytes: &[u8]) -> Option<Self> {
        let (sequence, _) = element(0x30, bytes)?;
        let (_, rest) = element(0x02, sequence)?;
        let (_, rest) = element(0x30, rest)?;
        let (key, _) = element(0x04, rest)?;
        Self::from_der(key)
    }

    fn from_der(bytes: &[u8]) -> Option<Self> {
        let (sequence, _) = element(0x30, bytes)?;
        let (_version, rest) = element(0x02, sequence)?;
        let (modulus, rest) = element(0x02, rest)?;
        let (_public, rest) = element(0x02, rest)?;
        let (exponent, _) = element(0x02, rest)?;
        // No key has a longer exponent than modulus, and the work grows with both.
        if exponent.len() > modulus.len() {
            return None;
        }
        Some(Self {
            modulus: BigUint::from_bytes_be(modulus),
            exponent: BigUint::from_bytes_be(exponent),
        })
    }

    /// The message in a cipher text with the padding of PKCS #1 1.5.
    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let cipher = BigUint::from_bytes_be(cipher);
        if cipher >= self.modulus {
            return None;
        }
        let plain = cipher.modpow(&self.exponent, &self.modulus).to_bytes_be();
        let length = usize::try_from(self.modulus.bits().div_ceil(8)).ok()?;
        // The leading nought is not among the bytes of a number.
        let padding = plain
            .strip_prefix(&[2])
            .filter(|_| plain.len() + 1 == length)?;
        let end = padding
            .iter()
            .position(|byte| *byte == 0)
            .filter(|end| *end >= 8)?;
        Some(padding[end + 1..].to_vec())
    }
}

/// The content of a DER element of this kind, and what follows it.
fn element(kind: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *first != kind {
        return None;
    }
    let (length, rest) = if *length < 0x80 {
        (usize::from(*length), rest)
    } else {
        let count = usize::from(*length & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        let length = digits
            .iter()
            .fold(0_usize, |length, digit| length << 8 | usize::from(*digit));
        (length, rest)
    };
    rest.split_at_checked(length)
}
