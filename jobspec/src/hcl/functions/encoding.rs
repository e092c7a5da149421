//! Encodings, hashes, paths.

use std::fmt::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use sha2::Digest;

use super::{Arguments, Function, Outcome, bad, failed, function, parseable};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function("base64decode", 1, 1, |a| {
        let bytes = BASE64_STANDARD
            .decode(a.text(0)?)
            .map_err(|error| failed(format!("failed to decode base64 data: {error}")))?;
        String::from_utf8(bytes)
            .map(Value::String)
            .map_err(|_| failed("the result of decoding the provided string is not valid UTF-8"))
    }),
    function("base64encode", 1, 1, |a| {
        Ok(Value::String(BASE64_STANDARD.encode(a.text(0)?)))
    }),
    function("basename", 1, 1, |a| {
        let text = a.text(0)?;
        Ok(Value::text(base(&text)))
    }),
    function("csvdecode", 1, 1, csv),
    function("dirname", 1, 1, |a| {
        let text = a.text(0)?;
        let trimmed = text.trim_end_matches('/');
        Ok(Value::text(match trimmed.rsplit_once('/') {
            Some(("", _)) => "/",
            Some((folder, _)) => folder,
            None if text.starts_with('/') => "/",
            None => ".",
        }))
    }),
    function("fileexists", 1, 1, |a| {
        Ok(Value::Bool(a.files.read(&a.text(0)?).is_ok()))
    }),
    function("md5", 1, 1, |a| {
        Ok(Value::String(hex(&md5::Md5::digest(a.text(0)?))))
    }),
    function("sha1", 1, 1, |a| {
        Ok(Value::String(hex(&sha1::Sha1::digest(a.text(0)?))))
    }),
    function("sha256", 1, 1, |a| {
        Ok(Value::String(hex(&sha2::Sha256::digest(a.text(0)?))))
    }),
    function("sha512", 1, 1, |a| {
        Ok(Value::String(hex(&sha2::Sha512::digest(a.text(0)?))))
    }),
    function("urlencode", 1, 1, |a| {
        /// What a query may hold as it is.
        const KEPT: &AsciiSet = &NON_ALPHANUMERIC
            .remove(b'-')
            .remove(b'_')
            .remove(b'.')
            .remove(b'~')
            .remove(b' ');
        let text = a.text(0)?;
        let encoded = percent_encoding::utf8_percent_encode(&text, KEPT).to_string();
        Ok(Value::String(encoded.replace(' ', "+")))
    }),
    function("uuidv5", 2, 2, |a| {
        let (space, name) = (a.text(0)?, a.text(1)?);
        let space = match space.as_str() {
            "dns" => uuid::Uuid::NAMESPACE_DNS,
            "url" => uuid::Uuid::NAMESPACE_URL,
            "oid" => uuid::Uuid::NAMESPACE_OID,
            "x500" => uuid::Uuid::NAMESPACE_X500,
            other => uuid::Uuid::parse_str(other)
                .map_err(|_| bad(0, format!("uuidv5() doesn't support namespace {other}")))?,
        };
        let digest = sha1::Sha1::new()
            .chain_update(space.as_bytes())
            .chain_update(name)
            .finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        let id = uuid::Builder::from_sha1_bytes(bytes).into_uuid();
        Ok(Value::String(id.to_string()))
    }),
    function("yamldecode", 1, 1, |a| {
        let text = a.text(0)?;
        parseable(&text)?;
        crate::yaml::decode(&text).map_err(|message| bad(0, message))
    }),
    function("yamlencode", 1, 1, |a| {
        let mut out = String::new();
        yaml(&a.list[0], 0, &mut out);
        Ok(Value::String(out))
    }),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn base(text: &str) -> &str {
    let trimmed = text.trim_end_matches('/');
    match trimmed.rsplit_once('/') {
        Some((_, name)) => name,
        None if trimmed.is_empty() && text.starts_with('/') => "/",
        None if trimmed.is_empty() => ".",
        None => trimmed,
    }
}

/// A list of objects by the names in the first line.
fn csv(a: &Arguments<'_>) -> Outcome {
    let text = a.text(0)?;
    parseable(&text)?;
    let mut rows = csv_rows(&text).map_err(failed)?.into_iter();
    let names = rows.next().ok_or_else(|| failed("missing header line"))?;
    let mut list = Vec::new();
    for row in rows {
        if row.len() != names.len() {
            return Err(failed("wrong number of fields"));
        }
        let pairs = names
            .iter()
            .cloned()
            .zip(row.into_iter().map(Value::String));
        list.push(Value::Map(pairs.collect()));
    }
    Ok(Value::List(list))
}

fn csv_rows(text: &str) -> Result<Vec<Vec<String>>, &'static str> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut field = String::new();
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    let mut any = false;
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => {
                quoted = true;
                any = true;
            }
            ',' if !quoted => {
                row.push(std::mem::take(&mut field));
                any = true;
            }
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                if any || !field.is_empty() {
                    row.push(std::mem::take(&mut field));
                    rows.push(std::mem::take(&mut row));
                }
                any = false;
            }
            c => field.push(c),
        }
    }
    if quoted {
        return Err("extraneous or missing \" in quoted field");
    }
    if any || !field.is_empty() {
        row.push(field);
        rows.push(row);
    }
    Ok(rows)
}

/// In the style of the reference: every text in double quotes, lists not indented.
fn yaml(value: &Value, indent: usize, out: &mut String) {
    let pad = |out: &mut String| out.extend(std::iter::repeat_n(' ', indent));
    match value {
        Value::Map(map) if !map.is_empty() => {
            for (index, (key, value)) in map.iter().enumerate() {
                if index > 0 {
                    pad(out);
                }
                let _ = write!(out, "{}:", serde_json::Value::from(key.as_str()));
                match value {
                    Value::Map(map) if !map.is_empty() => {
                        out.push('\n');
                        out.extend(std::iter::repeat_n(' ', indent + 2));
                        yaml(value, indent + 2, out);
                    }
                    Value::List(list) if !list.is_empty() => {
                        out.push('\n');
                        pad(out);
                        yaml(value, indent, out);
                    }
                    other => {
                        out.push(' ');
                        yaml(other, indent, out);
                    }
                }
            }
        }
        Value::List(list) if !list.is_empty() => {
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    pad(out);
                }
                out.push_str("- ");
                yaml(value, indent + 2, out);
            }
        }
        other => {
            let _ = writeln!(out, "{}", other.to_json());
        }
    }
}
