//! Who runs the loops: one server at a time holds all `leader/<loop>` keys, on its lease.
//!
//! Leading is never concluded from time. A leader that lost its keys without knowing can write nothing, because each
//! of its transactions compares the revision at which its key came into being: its [`Fence`].

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use rove_model::{
    encoding::{decode, encode},
    ids::Revision,
    server::Leadership,
};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    keys::{Key, Keys, Table},
    list_watch::{ListWatch, Next, Patience, within},
    store::{Compare, Event, KeyValue, LeaseId, Op, RangeRequest, Store, StoreError, Txn},
};

/// The longest wait for an answer.
const CALL: Duration = Duration::from_secs(5);

/// A watch that says nothing for so long is not believed, and the keys are looked at so often whatever it says.
const SILENCE: Duration = Duration::from_secs(30);

/// Proof of an election: added to each transaction of the loop, it makes those of a deposed leader fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The election key.
    pub key: Bytes,
    /// The revision at which it came into being.
    pub create_revision: Revision,
}

impl Fence {
    /// The condition that the election still holds.
    #[must_use]
    pub fn compare(&self) -> Compare {
        Compare::created_at(self.key.clone(), self.create_revision)
    }
}

/// A time of leading, from one revision on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    keys: Keys,
    lease: LeaseId,
    /// The revision of the transaction that won the election.
    pub since: Revision,
}

impl Term {
    /// The fence of one of the loops.
    #[must_use]
    pub fn fence(&self, name: &str) -> Fence {
        Fence {
            key: self.keys.encode(&Key::Leader(name.to_owned())),
            create_revision: self.since,
        }
    }
}

/// What a server campaigns for.
#[derive(Clone)]
pub struct Election {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its keys.
    pub keys: Keys,
    /// The loops, all led by one server.
    pub loops: Vec<String>,
    /// This server's name, alone of its kind.
    pub server: String,
    /// Seed of the jitter between attempts.
    pub seed: u64,
}

/// How this server stands, by what the store says.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// All keys are its own, made at this revision.
    Leads(Revision),
    /// No key is there.
    Vacant,
    /// Some keys are of this server, on a lease that it does not hold any more or not all together: to be given up.
    Remains(Vec<(Bytes, Revision)>),
    /// Another leads.
    Follows(String),
}

impl Election {
    /// Campaigns until `cancel`, with the lease held at the time, and publishes when this server leads. Given up, the
    /// keys are removed at once so that another can follow.
    pub async fn run(
        self,
        mut lease: watch::Receiver<Option<LeaseId>>,
        publish: watch::Sender<Option<Term>>,
        cancel: CancellationToken,
    ) {
        let patience = Patience {
            silence: SILENCE,
            call: CALL,
            min_pause: Duration::from_millis(50),
            max_pause: Duration::from_secs(5),
            seed: self.seed,
        };
        let keys = self.keys.table(Table::Leaders);
        let mut follows = ListWatch::new("the election", self.store.clone(), keys, patience);
        // The lease that the last look was made with.
        let mut looked_with = None;
        // A look that was overtaken by a change is made again at once, a second one after a pause.
        let mut overtaken = false;
        // Only what an earlier life of this process left behind is taken over: two servers that were given one name
        // by mistake must not depose each other for ever.
        let mut first = true;
        let mut term: Option<Term> = None;
        while !cancel.is_cancelled() {
            let held = *lease.borrow_and_update();
            if term.as_ref().is_some_and(|term| Some(term.lease) != held) {
                warn!("deposed: the lease is lost");
                set(&publish, &mut term, None);
            }
            let Some(held) = held else {
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => {}
                    changed = lease.changed() => if changed.is_err() { break },
                }
                continue;
            };

            if looked_with != Some(held) {
                follows.list_again();
            }
            let next = tokio::select! {
                biased;
                () = cancel.cancelled() => continue,
                changed = lease.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    continue;
                }
                next = follows.next() => next,
            };
            match next {
                Next::List(_) => {
                    looked_with = Some(held);
                    let step = tokio::select! {
                        biased;
                        () = cancel.cancelled() => continue,
                        step = self.step(held, &mut first, &publish, &mut term) => step,
                    };
                    match step {
                        Ok(Some(known)) => {
                            overtaken = false;
                            follows.listed(known);
                            follows.list_again_at(Some(Instant::now() + SILENCE));
                        }
                        Ok(None) if overtaken => follows.list_again_after_pause(),
                        Ok(None) => {
                            overtaken = true;
                            follows.list_again();
                        }
                        Err(error) => follows.list_failed(&error),
                    }
                }
                Next::Events { events, .. } => {
                    let gone = |event: &Event| {
                        matches!(event, Event::Delete { .. }) && self.is_ours(event.key())
                    };
                    if events.iter().any(gone) {
                        follows.list_again();
                    }
                }
                Next::Reached(_) => {}
            }
        }
        let last = term.take();
        publish.send_replace(None);
        if let Some(last) = last {
            self.resign(&last).await;
        }
    }

    /// Looks once and acts on it. Gives the revision up to which it is known how things stand, or `None` when it is
    /// worth another look.
    async fn step(
        &self,
        held: LeaseId,
        first: &mut bool,
        publish: &watch::Sender<Option<Term>>,
        term: &mut Option<Term>,
    ) -> Result<Option<Revision>, StoreError> {
        let (revision, standing) = self.look(held, *first).await?;
        match standing {
            Standing::Leads(since) => {
                *first = false;
                self.lead(publish, term, held, since);
                Ok(Some(revision))
            }
            Standing::Vacant => {
                set(publish, term, None);
                *first = false;
                let won = self.campaign(held).await?;
                if let Some(since) = won {
                    self.lead(publish, term, held, since);
                }
                Ok(won)
            }
            Standing::Remains(keys) => {
                set(publish, term, None);
                self.remove(&keys).await?;
                Ok(None)
            }
            Standing::Follows(leader) => {
                *first = false;
                if term.is_some() {
                    warn!(leader, "deposed: another server leads");
                }
                set(publish, term, None);
                debug!(leader, "another server leads");
                Ok(Some(revision))
            }
        }
    }

    fn lead(
        &self,
        publish: &watch::Sender<Option<Term>>,
        term: &mut Option<Term>,
        lease: LeaseId,
        since: Revision,
    ) {
        let new = Term {
            keys: self.keys.clone(),
            lease,
            since,
        };
        if term.as_ref() != Some(&new) {
            info!(server = self.server, since, "elected");
            set(publish, term, Some(new));
        }
    }

    fn key(&self, name: &str) -> Bytes {
        self.keys.encode(&Key::Leader(name.to_owned()))
    }

    async fn look(&self, held: LeaseId, first: bool) -> Result<(Revision, Standing), StoreError> {
        let request = RangeRequest::new(self.keys.table(Table::Leaders));
        let response = within(CALL, self.store.range(request)).await?;
        let ours: Vec<Bytes> = self.loops.iter().map(|name| self.key(name)).collect();
        let found: Vec<&KeyValue> = response
            .kvs
            .iter()
            .filter(|kv| ours.contains(&kv.key))
            .collect();
        Ok((
            response.revision,
            standing(&found, ours.len(), held, &self.server, first),
        ))
    }

    async fn campaign(&self, held: LeaseId) -> Result<Option<Revision>, StoreError> {
        let value = encode(&Leadership {
            server: self.server.clone(),
        })
        .map_err(|error| StoreError::Invalid(error.to_string()))?;
        let value = Bytes::from(value);
        let mut txn = Txn::default();
        for name in &self.loops {
            let key = self.key(name);
            txn.compares.push(Compare::absent(key.clone()));
            txn.then.push(Op::Put {
                key,
                value: value.clone(),
                lease: Some(held),
            });
        }
        let response = within(CALL, self.store.txn(txn)).await?;
        Ok(response.succeeded.then_some(response.revision))
    }

    async fn remove(&self, keys: &[(Bytes, Revision)]) -> Result<(), StoreError> {
        for (key, created) in keys {
            let txn = Txn {
                compares: vec![Compare::created_at(key.clone(), *created)],
                then: vec![Op::delete(key.clone())],
                otherwise: Vec::new(),
            };
            within(CALL, self.store.txn(txn)).await?;
        }
        Ok(())
    }

    async fn resign(&self, term: &Term) {
        let keys: Vec<Bytes> = self.loops.iter().map(|name| self.key(name)).collect();
        let txn = Txn {
            compares: keys
                .iter()
                .map(|key| Compare::created_at(key.clone(), term.since))
                .collect(),
            then: keys.into_iter().map(Op::delete).collect(),
            otherwise: Vec::new(),
        };
        if let Err(error) = within(CALL, self.store.txn(txn)).await {
            warn!(%error, "leadership was not given up, it ends with the lease");
        }
    }

    fn is_ours(&self, key: &Bytes) -> bool {
        self.loops.iter().any(|name| self.key(name) == key)
    }
}

fn set(publish: &watch::Sender<Option<Term>>, term: &mut Option<Term>, to: Option<Term>) {
    if *term != to {
        term.clone_from(&to);
        publish.send_replace(to);
    }
}

fn standing(
    found: &[&KeyValue],
    wanted: usize,
    held: LeaseId,
    server: &str,
    first: bool,
) -> Standing {
    let Some(one) = found.first() else {
        return Standing::Vacant;
    };
    let own = |kv: &KeyValue| kv.lease == Some(held);
    if found.len() == wanted
        && found
            .iter()
            .all(|kv| own(kv) && kv.create_revision == one.create_revision)
    {
        return Standing::Leads(one.create_revision);
    }
    let name = |kv: &KeyValue| decode::<Leadership>(&kv.value).map(|leader| leader.server);
    let remains: Vec<_> = found
        .iter()
        .filter(|kv| own(kv) || (first && name(kv).is_ok_and(|name| name == server)))
        .map(|kv| (kv.key.clone(), kv.create_revision))
        .collect();
    if remains.is_empty() {
        Standing::Follows(name(one).unwrap_or_else(|_| "a server of another version".to_owned()))
    } else {
        Standing::Remains(remains)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::task::JoinSet;

    use super::*;
    use crate::{
        faults::{Faults, FaultyStore},
        memory::MemoryStore,
        store::KeyRange,
    };

    const LOOPS: [&str; 2] = ["job", "scheduler"];

    struct Campaigner {
        lease: watch::Sender<Option<LeaseId>>,
        term: watch::Receiver<Option<Term>>,
        cancel: CancellationToken,
        tasks: JoinSet<()>,
    }

    impl Campaigner {
        async fn start(store: Arc<dyn Store>, server: &str, ttl: i64) -> Self {
            let id = loop {
                if let Ok((id, _)) = store.lease_grant(ttl, None).await {
                    break id;
                }
            };
            let (lease, held) = watch::channel(Some(id));
            let (publish, term) = watch::channel(None);
            let cancel = CancellationToken::new();
            let election = Election {
                store,
                keys: Keys::default(),
                loops: LOOPS.map(str::to_owned).to_vec(),
                server: server.to_owned(),
                seed: 5,
            };
            let mut tasks = JoinSet::new();
            tasks.spawn(election.run(held, publish, cancel.clone()));
            Self {
                lease,
                term,
                cancel,
                tasks,
            }
        }

        async fn leads(&mut self) -> Term {
            let term = self.term.wait_for(Option::is_some).await.unwrap();
            term.clone().unwrap()
        }

        async fn deposed(&mut self) {
            self.term.wait_for(Option::is_none).await.unwrap();
        }

        async fn resign(mut self) {
            self.cancel.cancel();
            while let Some(ended) = self.tasks.join_next().await {
                ended.unwrap();
            }
        }
    }

    async fn leaders(store: &MemoryStore) -> Vec<KeyValue> {
        let keys = Keys::default().table(Table::Leaders);
        store.range(RangeRequest::new(keys)).await.unwrap().kvs
    }

    async fn fenced_write(store: &MemoryStore, fence: &Fence) -> bool {
        let txn = Txn {
            compares: vec![fence.compare()],
            then: vec![Op::put("done", "1")],
            otherwise: Vec::new(),
        };
        store.txn(txn).await.unwrap().succeeded
    }

    #[tokio::test(start_paused = true)]
    async fn one_leads_all_loops_and_the_next_follows_when_it_resigns() {
        let store = Arc::new(MemoryStore::new());
        let mut one = Campaigner::start(store.clone(), "one", 1_000).await;
        let first = one.leads().await;
        let mut two = Campaigner::start(store.clone(), "two", 1_000).await;
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert!(two.term.borrow().is_none());
        let held = leaders(&store).await;
        assert_eq!(held.len(), LOOPS.len());
        assert!(held.iter().all(|kv| kv.create_revision == first.since));
        one.resign().await;
        let second = two.leads().await;
        assert!(!fenced_write(&store, &first.fence("job")).await);
        assert!(fenced_write(&store, &second.fence("job")).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_ran_out_deposes_and_lets_the_next_follow() {
        let store = Arc::new(MemoryStore::new());
        let mut one = Campaigner::start(store.clone(), "one", 10).await;
        let first = one.leads().await;
        let mut two = Campaigner::start(store.clone(), "two", 1_000).await;
        let second = two.leads().await;
        one.deposed().await;
        assert!(second.since > first.since);
        assert!(!fenced_write(&store, &first.fence("scheduler")).await);
    }

    #[tokio::test(start_paused = true)]
    async fn losing_the_lease_deposes_before_the_keys_are_gone() {
        let store = Arc::new(MemoryStore::new());
        let mut one = Campaigner::start(store.clone(), "one", 1_000).await;
        one.leads().await;
        one.lease.send_replace(None);
        one.deposed().await;
        let (again, _) = store.lease_grant(5_000, None).await.unwrap();
        one.lease.send_replace(Some(again));
        one.leads().await;
        assert!(
            leaders(&store)
                .await
                .iter()
                .all(|kv| kv.lease == Some(again))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_restarted_server_takes_over_from_its_former_life_at_once() {
        let store = Arc::new(MemoryStore::new());
        let mut before = Campaigner::start(store.clone(), "one", 1_000).await;
        let former = before.leads().await;
        before.tasks.abort_all();
        let mut after = Campaigner::start(store.clone(), "one", 1_000).await;
        let term = tokio::time::timeout(Duration::from_secs(1), after.leads())
            .await
            .unwrap();
        assert!(!fenced_write(&store, &former.fence("job")).await);
        assert!(fenced_write(&store, &term.fence("job")).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_key_taken_away_ends_the_reign_and_a_new_one_begins() {
        let store = Arc::new(MemoryStore::new());
        let mut one = Campaigner::start(store.clone(), "one", 1_000).await;
        let first = one.leads().await;
        let txn = Txn {
            then: vec![Op::delete(first.fence("job").key)],
            ..Txn::default()
        };
        store.txn(txn).await.unwrap();
        let mut term = one.term.clone();
        let second = term
            .wait_for(|term| term.as_ref().is_some_and(|term| *term != first))
            .await
            .unwrap()
            .clone()
            .unwrap();
        let held = leaders(&store).await;
        assert_eq!(held.len(), LOOPS.len());
        assert!(held.iter().all(|kv| kv.create_revision == second.since));
    }

    #[tokio::test(start_paused = true)]
    async fn under_faults_there_is_a_leader_in_the_end_and_never_two() {
        for seed in 0..20 {
            let memory = Arc::new(MemoryStore::new());
            let store = FaultyStore::new(memory.clone(), seed, Faults::all(0.2));
            let mut one = Campaigner::start(Arc::new(store.clone()), "one", 1_000).await;
            let mut two = Campaigner::start(Arc::new(store.clone()), "two", 1_000).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
            store.set_faults(Faults::default());
            tokio::select! {
                _ = one.leads() => {}
                _ = two.leads() => {}
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
            let leading = [&one, &two]
                .iter()
                .filter(|one| one.term.borrow().is_some())
                .count();
            assert_eq!(leading, 1, "seed {seed}");
            assert_eq!(leaders(&memory).await.len(), LOOPS.len(), "seed {seed}");
            let all = RangeRequest::new(KeyRange::From("".into()));
            assert_eq!(memory.range(all).await.unwrap().count, 2, "seed {seed}");
        }
    }
}
