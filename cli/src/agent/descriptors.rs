//! How many files and connections the agent may have open.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::{info, warn};

/// Fewer are little for a server with agents: then it is said.
const FEW: u64 = 4_096;

/// More are of no use to the agent, and tasks on the host inherit the limit: programs that go over all descriptors there
/// could be would take long.
const MOST: u64 = 65_536;

/// The part of the descriptors that the HTTP API may take: the rest is for the store, the agents' connections and the
/// tasks.
const HTTP_PART: u64 = 2;

/// Raises the limit to what the system allows and gives the number of connections that the HTTP API may have.
pub fn raise() -> usize {
    let most = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) if soft >= hard.min(MOST) => soft,
        Ok((soft, hard)) => match setrlimit(Resource::RLIMIT_NOFILE, hard.min(MOST), hard) {
            Ok(()) => {
                let now = hard.min(MOST);
                info!(before = soft, now, "the limit of open files was raised");
                now
            }
            Err(error) => {
                warn!(%error, soft, hard, "the limit of open files can't be raised");
                soft
            }
        },
        Err(error) => {
            warn!(%error, "the limit of open files can't be read");
            FEW
        }
    };
    if most < FEW {
        warn!(
            most,
            "few files may be open: raise it with `ulimit -Hn` or LimitNOFILE= of the service"
        );
    }
    usize::try_from(most / HTTP_PART)
        .unwrap_or(usize::MAX)
        .max(1)
}
