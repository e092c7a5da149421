//! Keeps the web pages of other sites from making this agent do something.
//!
//! A browser sends a plain form or `text/plain` call to any address without asking first, and an agent on loopback
//! needs no token. What tells such a call is what browsers add and pages can't change: `Origin` and `Sec-Fetch-Site`
//! (<https://fetch.spec.whatwg.org/#origin-header>, <https://w3c.github.io/webappsec-fetch-metadata/>). A site that
//! points its own name at loopback (DNS rebinding) is told by `Host`.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, header};

use crate::error::ApiError;

pub(crate) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
pub(crate) const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Refuses a call that a page of another site makes in its reader's browser. Programs send none of these headers.
pub(crate) fn refuse_other_sites(headers: &HeaderMap) -> Result<(), ApiError> {
    let other = match text(headers, &header::ORIGIN) {
        Some(origin) => {
            let own = [header::HOST, FORWARDED_HOST];
            let from = origin.split_once("://").map(|(_, authority)| authority);
            !own.iter()
                .any(|name| from.is_some() && text(headers, name) == from)
        }
        None => matches!(
            text(headers, &SEC_FETCH_SITE),
            Some("cross-site" | "same-site")
        ),
    };
    if other {
        return Err(ApiError::Forbidden(
            "a page of another site may not change anything here: the call's Origin is not this agent's address"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Refuses a name that is not this machine's own way to speak of itself: only for agents that loopback alone reaches.
pub(crate) fn refuse_foreign_host(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(host) = text(headers, &header::HOST) else {
        return Ok(());
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err(ApiError::Forbidden(format!(
        "a development agent answers to localhost and addresses, not to the name {name:?}"
    )))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_page_of_another_site_is_refused_and_a_program_is_not() {
        let host = ("host", "127.0.0.1:4646");
        for (pairs, fine) in [
            (vec![host], true),
            (vec![host, ("origin", "http://127.0.0.1:4646")], true),
            (vec![host, ("origin", "http://127.0.0.1:8080")], false),
            (vec![host, ("origin", "https://evil.example")], false),
            (vec![host, ("origin", "null")], false),
            (vec![host, ("sec-fetch-site", "cross-site")], false),
            (vec![host, ("sec-fetch-site", "same-site")], false),
            (vec![host, ("sec-fetch-site", "same-origin")], true),
            (vec![host, ("sec-fetch-site", "none")], true),
            (
                vec![
                    host,
                    ("x-forwarded-host", "rove.example"),
                    ("origin", "https://rove.example"),
                ],
                true,
            ),
        ] {
            let answer = refuse_other_sites(&headers(&pairs));
            assert_eq!(answer.is_ok(), fine, "{pairs:?}");
        }
    }

    #[test]
    fn a_name_that_was_pointed_at_loopback_is_refused() {
        for (host, fine) in [
            ("localhost:4646", true),
            ("LOCALHOST", true),
            ("rove.localhost:4646", true),
            ("127.0.0.1:4646", true),
            ("[::1]:4646", true),
            ("192.0.2.7", true),
            ("evil.example:4646", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            let answer = refuse_foreign_host(&headers(&[("host", host)]));
            assert_eq!(answer.is_ok(), fine, "{host:?}");
        }
        assert!(refuse_foreign_host(&HeaderMap::new()).is_ok());
    }
}
