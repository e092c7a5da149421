//! Why a request failed, in the words that Nomad's command line uses.

use std::error::Error as _;

use rove_wire::Problem;

/// A request that did not give what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nothing, or nothing whole, came back.
    #[error("{method} \"{url}\": {cause}")]
    Transport {
        /// `Get`, `Put`, …
        method: &'static str,
        /// What was asked for.
        url: String,
        /// What went wrong.
        cause: String,
        /// Nobody listens there.
        refused: bool,
    },
    /// The agent answered with an error.
    #[error("Unexpected response code: {code} ({body})")]
    Status {
        /// HTTP status.
        code: u16,
        /// What the agent says.
        body: String,
        /// What of it is about a field of the job that was sent.
        problems: Vec<Problem>,
    },
    /// The answer is not what such an answer looks like.
    #[error("failed to read the answer of {url}")]
    Decode {
        /// What was asked for.
        url: String,
        /// Where it is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The address, a certificate or a header can't be used.
    #[error("{0}")]
    Setup(String),
}

impl ApiError {
    /// The HTTP status, if the agent answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// What the agent says, without the status in front of it.
    pub fn body(&self) -> Option<&str> {
        match self {
            Self::Status { body, .. } => Some(body),
            _ => None,
        }
    }

    /// What the agent says of the fields of the job that was sent.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Status { problems, .. } => problems,
            _ => &[],
        }
    }

    /// The agent says that there is no such thing.
    pub fn not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// The message with its causes.
    pub fn full(&self) -> String {
        match (self, self.source()) {
            (Self::Transport { refused: true, .. }, _) => format!(
                "{self}\nNo agent answers there. Start one with the command \"agent -dev\", or name another with -address or \
                 NOMAD_ADDR."
            ),
            (_, Some(cause)) => format!("{self}: {cause}"),
            (_, None) => self.to_string(),
        }
    }

    pub(super) fn transport(
        method: &'static str,
        url: &reqwest::Url,
        error: &reqwest::Error,
    ) -> Self {
        Self::Transport {
            method,
            url: url.to_string(),
            cause: cause(url, error),
            refused: refused(error),
        }
    }
}

fn refused(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = next {
        let io = current.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        next = current.source();
    }
    false
}

fn cause(url: &reqwest::Url, error: &reqwest::Error) -> String {
    let host = url.host_str().unwrap_or_default();
    let target = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
    let mut texts = Vec::new();
    let mut next: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(current) = next {
        if let Some(io) = current.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind as K;
            let known = match io.kind() {
                K::ConnectionRefused => Some("connection refused"),
                K::HostUnreachable => Some("no route to host"),
                K::NetworkUnreachable => Some("network is unreachable"),
                K::ConnectionReset => {
                    return format!("read tcp {target}: connection reset by peer");
                }
                _ => None,
            };
            if let Some(words) = known {
                return format!("dial tcp {target}: connect: {words}");
            }
        }
        texts.push(current.to_string());
        next = current.source();
    }
    if error.is_timeout() {
        let what = if error.is_connect() { "dial" } else { "read" };
        return format!("{what} tcp {target}: i/o timeout");
    }
    let last = texts.pop().unwrap_or_else(|| error.to_string());
    if error.is_connect() {
        if texts.iter().any(|t| t.contains("dns")) {
            return format!("dial tcp: lookup {host}: {last}");
        }
        return format!("dial tcp {target}: {last}");
    }
    last
}
