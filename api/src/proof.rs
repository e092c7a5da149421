//! How a server and the agent of a node prove themselves to each other before a call is passed on.
//!
//! A node says itself at which address its agent is. So nothing of a call is sent there before the agent has shown that
//! it knows the node's secret: the server sends a nonce and the salt of the secret's hash, the agent answers with a code
//! over the nonce under a key that is derived from that hash, and with a ticket. The call itself then carries a code over
//! the ticket, the method and the path under the same key, which only servers can make besides the agent. It is
//! good for that method and path, within 30 s by the agent's own clock, and once: who overhears a call can't make it
//! again. Who keeps it back may make it instead, with another body too, since the code does not cover it. A caller's own
//! token goes no further than the server.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ring::hmac;
use rove_agent::identity::CallKey;
use rove_model::ids::NodeId;
use rove_wire::{ProofAnswer, ProofRequest};

/// How long a ticket is good.
const TICKET_LIFE: Duration = Duration::from_secs(30);

/// Tickets used at a time that are remembered; above what an agent serves while they live. Only servers use them, so that
/// strangers crowd out nobody.
const MAX_USED: usize = 50_000;

/// What a code is for: one can't be taken for another.
const OF_AGENT: &[u8] = b"agent";
const OF_SERVER: &[u8] = b"server";

/// Bytes in the digits that people know.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

/// A code over parts that can't be shifted into one another.
fn code(key: &hmac::Key, parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.sign()
}

fn is_code(key: &hmac::Key, parts: &[&[u8]], code: &[u8]) -> bool {
    let mut message = Vec::new();
    for part in parts {
        message.extend((part.len() as u64).to_be_bytes());
        message.extend(*part);
    }
    hmac::verify(key, &message, code).is_ok()
}

fn key_of(key: &CallKey) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &key.0)
}

/// A server's side: a question to the agent of one node.
pub(crate) struct Question {
    node: NodeId,
    key: hmac::Key,
    salt: [u8; 16],
    nonce: [u8; 16],
}

impl Question {
    pub(crate) fn new(node: NodeId, key: &CallKey, salt: [u8; 16], nonce: [u8; 16]) -> Self {
        Self {
            node,
            key: key_of(key),
            salt,
            nonce,
        }
    }

    pub(crate) fn request(&self) -> ProofRequest {
        ProofRequest {
            node: self.node.to_string(),
            salt: hex(&self.salt),
            nonce: hex(&self.nonce),
        }
    }

    /// The word that a call carries, if the answer proves that the agent is that node's.
    pub(crate) fn word(&self, answer: &ProofAnswer, method: &str, path: &str) -> Option<String> {
        let node = self.node.to_string();
        let parts = [
            OF_AGENT,
            node.as_bytes(),
            &self.nonce,
            answer.ticket.as_bytes(),
        ];
        if !is_code(&self.key, &parts, &bytes_of(&answer.proof)?) {
            return None;
        }
        let ticket = answer.ticket.as_bytes();
        let parts = [
            OF_SERVER,
            node.as_bytes(),
            ticket,
            method.as_bytes(),
            path.as_bytes(),
        ];
        let code = hex(code(&self.key, &parts).as_ref());
        Some(format!("{}.{}.{code}", hex(&self.salt), answer.ticket))
    }
}

/// An agent's side: the tickets that it gives out.
pub(crate) struct Tickets {
    key: hmac::Key,
    began: Instant,
    /// Those that a call was made with: until when they were good, and their number.
    used: Mutex<BTreeSet<(u128, u64)>>,
}

impl Tickets {
    pub(crate) fn new() -> Self {
        let key: [u8; 32] = rand::random();
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            began: Instant::now(),
            used: Mutex::default(),
        }
    }

    /// The answer to a server's question; nothing when it is about another node or makes no sense.
    pub(crate) fn answer(
        &self,
        node: NodeId,
        key_for: impl Fn([u8; 16]) -> CallKey,
        question: &ProofRequest,
    ) -> Option<ProofAnswer> {
        let salt = bytes_of(&question.salt)?.try_into().ok()?;
        let nonce: [u8; 16] = bytes_of(&question.nonce)?.try_into().ok()?;
        let node = node.to_string();
        if question.node != node {
            return None;
        }
        let until = (self.began.elapsed() + TICKET_LIFE).as_millis();
        let named = format!("{until}-{}", rand::random::<u64>());
        let seal = hex(code(&self.key, &[named.as_bytes()]).as_ref());
        let ticket = format!("{named}-{seal}");
        let parts = [OF_AGENT, node.as_bytes(), &nonce, ticket.as_bytes()];
        let proof = code(&key_of(&key_for(salt)), &parts);
        Some(ProofAnswer {
            proof: hex(proof.as_ref()),
            ticket,
        })
    }

    /// Whether a call comes from a server: its word is over this call and a ticket that is still good and that no call
    /// was made with yet. It is used up then.
    pub(crate) fn proves(
        &self,
        node: NodeId,
        key_for: impl Fn([u8; 16]) -> CallKey,
        word: &str,
        method: &str,
        path: &str,
    ) -> bool {
        self.check(node, key_for, word, method, path).is_some()
    }

    fn check(
        &self,
        node: NodeId,
        key_for: impl Fn([u8; 16]) -> CallKey,
        word: &str,
        method: &str,
        path: &str,
    ) -> Option<()> {
        let (salt, rest) = word.split_once('.')?;
        let (ticket, code) = rest.split_once('.')?;
        let (named, seal) = ticket.rsplit_once('-')?;
        let (until, number) = named.split_once('-')?;
        let (until, number) = (until.parse::<u128>().ok()?, number.parse::<u64>().ok()?);
        let now = self.began.elapsed().as_millis();
        let good = is_code(&self.key, &[named.as_bytes()], &bytes_of(seal)?) && until > now;
        let salt = bytes_of(salt)?.try_into().ok()?;
        let node = node.to_string();
        let parts = [
            OF_SERVER,
            node.as_bytes(),
            ticket.as_bytes(),
            method.as_bytes(),
            path.as_bytes(),
        ];
        if !good || !is_code(&key_of(&key_for(salt)), &parts, &bytes_of(code)?) {
            return None;
        }
        self.use_up(until, number, now).then_some(())
    }

    /// Whether a ticket was not used yet; it is from then on.
    fn use_up(&self, until: u128, number: u64, now: u128) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that are no longer good need not be remembered.
        *used = used.split_off(&(now, 0));
        used.len() < MAX_USED && used.insert((until, number))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rove_agent::identity::Identity;
    use uuid::Uuid;

    use super::*;

    fn identity(secret: u8) -> Identity {
        Identity::new(NodeId(Uuid::from_u128(7)), [secret; 32])
    }

    #[test]
    fn used_tickets_are_remembered_for_as_long_as_they_are_good_and_in_bounds() {
        let tickets = Tickets::new();
        let most = u64::try_from(MAX_USED).unwrap();
        assert!((0..most).all(|number| tickets.use_up(100, number, 0)));
        assert!(
            !tickets.use_up(200, most, 50),
            "there is no room for another"
        );
        assert!(!tickets.use_up(100, 0, 99));
        assert!(tickets.use_up(200, most, 101), "the others are past");
        assert_eq!(tickets.used.lock().unwrap().len(), 1);
    }

    #[test]
    fn only_who_knows_the_secret_proves_himself_and_only_for_that_call() {
        let (own, other) = (identity(1), identity(2));
        let salt = [3; 16];
        let tickets = Tickets::new();
        let question = Question::new(own.node_id, &own.call_key(salt), salt, [4; 16]);
        let asked = question.request();
        let answer = tickets
            .answer(own.node_id, |salt| own.call_key(salt), &asked)
            .unwrap();
        let path = "/v1/client/stats?node_id=x";
        let word = question.word(&answer, "GET", path).unwrap();
        let proves = |word: &str, method: &str, path: &str| {
            tickets.proves(own.node_id, |salt| own.call_key(salt), word, method, path)
        };
        assert!(!proves(&word, "PUT", path));
        assert!(!proves(&word, "GET", "/v1/client/gc"));
        assert!(
            proves(&word, "GET", path),
            "another's tries do not use it up"
        );
        assert!(!proves(&word, "GET", path), "a ticket is good for one call");
        let mut fresh = || {
            let answer = tickets.answer(own.node_id, |salt| own.call_key(salt), &asked);
            question.word(&answer.unwrap(), "GET", path).unwrap()
        };
        let words = [fresh(), fresh()];
        assert!(words.iter().all(|word| proves(word, "GET", path)));
        let word = fresh();
        for broken in [
            "",
            "..",
            "a.b.c",
            &word[1..],
            &word[..word.len() - 1],
            &word.replace('-', "-0"),
        ] {
            assert!(!proves(broken, "GET", path), "{broken}");
        }
        assert!(
            proves(&word, "GET", path),
            "what was broken used nothing up"
        );
        let later = Tickets::new();
        assert!(
            !later.proves(own.node_id, |salt| own.call_key(salt), &word, "GET", path),
            "another life of the agent has given out no such ticket"
        );
        // A stranger at the address that the node named.
        let strange = Tickets::new()
            .answer(own.node_id, |salt| other.call_key(salt), &asked)
            .unwrap();
        assert!(question.word(&strange, "GET", path).is_none());
        // Another node's agent does not speak for this one.
        let elsewhere = NodeId(Uuid::from_u128(8));
        assert!(
            tickets
                .answer(elsewhere, |salt| own.call_key(salt), &asked)
                .is_none()
        );
        for nonsense in ["", "zz", "0", "é1"] {
            let asked = ProofRequest {
                nonce: nonsense.to_owned(),
                ..question.request()
            };
            assert!(
                tickets
                    .answer(own.node_id, |salt| own.call_key(salt), &asked)
                    .is_none()
            );
        }
    }
}
