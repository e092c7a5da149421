//! Every table, by the rows that declare them.

use std::collections::{BTreeMap, BTreeSet};

use rove_model::{
    alloc::{Alloc, AllocControl, AllocStatus, ClientStatus},
    deployment::{Deployment, DeploymentStatus},
    encoding::encode,
    eval::Eval,
    ids::{AllocId, DeploymentId, EvalId, GroupName, JobKey, JobUid, NodeId, VersionKey},
    job::Job,
    node::{
        Eligibility, Node, NodeAlive, NodeControl, NodeReserved, NodeResources, NodeState,
        NodeStatus,
    },
    plan::Plan,
    registration::{CollectedCounts, JobCollected, JobEvaluated, JobStable, JobVersion},
    server::{Leadership, Server},
};

use super::{
    feeding::{Fed, start},
    script::ScriptStore,
    taking_in::{alloc, eval, id, registration, status},
};
use crate::{
    keys::{Key, Keys, Table, Volume},
    state::{FeedItem, State},
    store::StoreError,
    tables::every_table,
};

/// What a key is made of, in tests.
trait Part {
    fn part() -> Self;
}

impl Part for JobKey {
    fn part() -> Self {
        Self::new("default", "web")
    }
}

impl Part for VersionKey {
    fn part() -> Self {
        Self {
            job: JobKey::part(),
            uid: JobUid(id(1)),
            version: 3,
        }
    }
}

impl Part for String {
    fn part() -> Self {
        "a name".to_owned()
    }
}

macro_rules! ids {
    ($($id:ident),+) => {
        $(impl Part for $id {
            fn part() -> Self {
                Self(id(1))
            }
        })+
    };
}

ids!(NodeId, AllocId, EvalId, DeploymentId);

macro_rules! examples {
    ($(
        $(#[doc = $doc:literal])+
        $table:ident, $key:ident($($part:ident: $Part:ty),+) = $segment:literal {
            owner: $owner:ident,
            state: $field:ident: $Rows:ty,
            take: $take:ident,
            about: $about:ident,
            volume: $volume:ident,
            when_full: $when_full:ident,
            seen_by: $seen_by:ident,
            example: |$n:ident| $example:expr,
        }
    )+) => {
        /// A key of each table.
        fn key(table: Table) -> Key {
            match table {
                $(Table::$table => Key::$key($(<$Part>::part()),+),)+
            }
        }

        /// The nth value of a table's key.
        fn value(table: Table, n: u64) -> Vec<u8> {
            match table {
                $(Table::$table => {
                    let $n = n;
                    encode(&$example).unwrap()
                })+
            }
        }

        /// What the state holds of a table's key.
        fn held(state: &State, table: Table) -> Option<String> {
            match table {
                $(Table::$table => {
                    let shown = format!("{:?}", state.tables.$field);
                    state.tables.revisions(&key(table)).map(|_| shown)
                })+
            }
        }
    };
}

every_table!(examples);

fn job(n: u64) -> Job {
    Job {
        version: n,
        ..Job::default()
    }
}

fn collected(n: u64) -> JobCollected {
    let counts = CollectedCounts {
        complete: n,
        ..CollectedCounts::default()
    };
    JobCollected {
        uid: None,
        groups: BTreeMap::from([(GroupName::from("g"), counts)]),
    }
}

fn plan(n: u64) -> Plan {
    Plan {
        eval: eval(1, "web"),
        namespace: "default".into(),
        job_id: "web".into(),
        job_uid: JobUid(id(1)),
        snapshot: n,
        placements: Vec::new(),
        stops: Vec::new(),
        in_place: Vec::new(),
        deployment: None,
        deployment_ends: Vec::new(),
        follow_ups: Vec::new(),
        cancels: Vec::new(),
    }
}

fn control(n: u64) -> AllocControl {
    AllocControl {
        no_shutdown_delay: n % 2 == 1,
        ..AllocControl::default()
    }
}

fn node(n: u64) -> Node {
    Node {
        id: NodeId(id(1)),
        name: format!("n{n}"),
        datacenter: "dc1".to_owned(),
        node_pool: "default".to_owned(),
        node_class: String::new(),
        attributes: BTreeMap::new(),
        meta: BTreeMap::new(),
        drivers: BTreeMap::new(),
        resources: NodeResources::default(),
        reserved: NodeReserved::default(),
        http_addr: String::new(),
        computed_class: String::new(),
        registered_at: 0,
        version: String::new(),
    }
}

fn node_status(n: u64) -> NodeStatus {
    NodeStatus {
        status: NodeState::Ready,
        status_description: format!("{n}"),
        since: 1,
        events: Vec::new(),
    }
}

fn node_control(n: u64) -> NodeControl {
    NodeControl {
        scheduling_eligibility: if n % 2 == 1 {
            Eligibility::Eligible
        } else {
            Eligibility::Ineligible
        },
    }
}

fn deployment(n: u64) -> Deployment {
    Deployment {
        id: DeploymentId(id(1)),
        namespace: "default".into(),
        job_id: "web".into(),
        job_uid: JobUid(id(1)),
        job_version: n,
        job_modify_index: 1,
        status: DeploymentStatus::Running,
        status_description: String::new(),
        task_groups: BTreeMap::new(),
        eval_priority: 50,
        eval_id: None,
        create_time: 1,
        modify_time: 1,
    }
}

fn server(n: u64) -> Server {
    Server {
        name: "a name".to_owned(),
        region: "global".to_owned(),
        datacenter: "dc1".to_owned(),
        addr: String::new(),
        port: 0,
        http_addr: format!("192.0.2.{n}:4646"),
        rpc_addr: String::new(),
        version: String::new(),
        started_at: 0,
    }
}

fn kept() -> impl Iterator<Item = Table> {
    let kept = |table: &Table| table.volume() != Volume::NotListed;
    Table::ALL.iter().copied().filter(kept)
}

fn put(store: &ScriptStore, table: Table, n: u64) -> u64 {
    store.put_bytes(Keys::default().encode(&key(table)), value(table, n))
}

/// A feeder whose watch is away, and what was known until then.
async fn cut_off(before: impl Fn(&ScriptStore)) -> (Fed, crate::state::ChangeFeed) {
    let store = ScriptStore::new();
    before(&store);
    let fed = start(store);
    fed.handle.ready().await.unwrap();
    fed.settle().await;
    let feed = fed.handle.subscribe();
    fed.store
        .break_watches(&StoreError::Unavailable("cable".to_owned()));
    (fed, feed)
}

/// What the state is after another list, and which keys were said to have changed.
async fn listed_again(fed: &Fed, feed: &mut crate::state::ChangeFeed) -> (State, BTreeSet<Key>) {
    fed.store.write_elsewhere();
    fed.store.compact();
    let FeedItem::Change(change) = feed.next().await.unwrap() else {
        panic!("told to look at everything");
    };
    let state = State::clone(&*fed.at(change.revision).await);
    (state, change.keys.iter().cloned().collect())
}

/// The state that the same keys give at once.
fn listed_at_once(store: &ScriptStore, revision: u64) -> State {
    let mut state = State::new(Keys::default());
    state.load(&store.all(), revision);
    state
}

#[tokio::test(start_paused = true)]
async fn what_happens_to_any_table_while_the_watch_is_away_is_there_and_told_after_a_list() {
    type Change = fn(&ScriptStore, Table) -> u64;
    let rows: [(&str, bool, Change, bool); 3] = [
        ("created", false, |store, table| put(store, table, 1), true),
        ("changed", true, |store, table| put(store, table, 2), true),
        (
            "deleted",
            true,
            |store, table| store.delete(&key(table)),
            false,
        ),
    ];
    for table in kept() {
        for (what, was_there, change, is_there) in rows {
            let (fed, mut feed) = cut_off(|store| {
                if was_there {
                    put(store, table, 1);
                }
            })
            .await;
            let before = fed.handle.latest();
            change(&fed.store, table);
            let (state, told) = listed_again(&fed, &mut feed).await;
            assert_eq!(told, BTreeSet::from([key(table)]), "{table:?} {what}");
            let expected = listed_at_once(&fed.store, state.revision());
            assert_eq!(
                held(&state, table),
                held(&expected, table),
                "{table:?} {what}"
            );
            assert_eq!(held(&state, table).is_some(), is_there, "{table:?} {what}");
            assert!(
                state.table_index(table) > before.table_index(table),
                "{table:?} {what}"
            );
            assert_eq!(state.unreadable().count(), 0, "{table:?} {what}");
            fed.cancel.cancel();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_of_any_table_that_comes_to_be_readable_or_not_while_the_watch_is_away_is_told() {
    type Write = fn(&ScriptStore, Table) -> u64;
    let good: Write = |store, table| put(store, table, 1);
    let bad: Write = |store, table| store.put_bytes(Keys::default().encode(&key(table)), "{");
    let none: Write = |_, _| 0;
    let gone: Write = |store, table| store.delete(&key(table));
    for table in kept() {
        for (what, before, after, unreadable) in [
            ("came damaged", none, bad, 1),
            ("was damaged", good, bad, 1),
            ("was damaged otherwise", bad, bad, 1),
            ("was mended", bad, good, 0),
            ("was removed", bad, gone, 0),
        ] {
            let (fed, mut feed) = cut_off(|store| {
                before(store, table);
            })
            .await;
            after(&fed.store, table);
            let (state, told) = listed_again(&fed, &mut feed).await;
            assert_eq!(told, BTreeSet::from([key(table)]), "{table:?} {what}");
            assert_eq!(state.unreadable().count(), unreadable, "{table:?} {what}");
            fed.cancel.cancel();
        }
    }
}

#[test]
fn a_value_of_any_table_is_taken_in_found_and_dropped() {
    for &table in Table::ALL {
        let key = key(table);
        assert_eq!(key.table(), table);
        assert_eq!(
            Keys::default().parse(&Keys::default().encode(&key)),
            Ok(key)
        );
    }
    for table in kept() {
        let store = ScriptStore::new();
        let at = put(&store, table, 1);
        let mut state = listed_at_once(&store, at);
        assert_eq!(state.revisions(&key(table)), Some((at, at)), "{table:?}");
        state.delete(&key(table));
        assert_eq!(state.revisions(&key(table)), None, "{table:?}");
    }
}

#[test]
fn the_manual_names_every_table() {
    let manual = include_str!("../../../../docs/design.md");
    for table in Table::ALL {
        let named = format!("`{}/", table.segment());
        assert!(manual.contains(&named), "{named} is missing");
    }
}
