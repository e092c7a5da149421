//! What events make of a state.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use rove_model::{
    alloc::{
        Alloc, AllocControl, AllocResources, AllocStatus, ClientStatus, DesiredStatus, LeftOut,
        PlacedAlloc, TaskEvent, TaskEventKind, TaskLifeState, TaskState,
    },
    encoding::encode,
    eval::{AllocMetric, Eval, EvalStatus, TriggeredBy},
    ids::{AllocId, DeploymentId, EvalId, JobKey, JobUid, NodeId, Revision, VersionKey},
    job::JobType,
    registration::{EvalRequest, Registration},
    server::Leadership,
};
use uuid::Uuid;

use crate::{
    keys::{Key, Keys, Table},
    state::{FIRST_REVISION, State, list::difference},
    store::{Event, KeyValue},
};

pub(super) fn id(number: u8) -> Uuid {
    Uuid::from_bytes([number; 16])
}

pub(super) fn registration(version: u64) -> Registration {
    Registration {
        uid: JobUid(id(1)),
        version,
        stop: false,
        purge: false,
        no_shutdown_delay: false,
        eval: EvalRequest {
            id: EvalId(id(9)),
            triggered_by: TriggeredBy::JobRegister,
            priority: 50,
            create_time: 0,
        },
        scalings: Vec::new(),
    }
}

pub(super) fn alloc(number: u8, node: u8, job: &str, eval: u8) -> PlacedAlloc {
    Alloc {
        id: AllocId(id(number)),
        eval_id: EvalId(id(eval)),
        node_id: NodeId(id(node)),
        node_name: "n".to_owned(),
        namespace: "default".into(),
        job_id: job.into(),
        job_uid: JobUid(id(1)),
        job_version: 0,
        task_group: "g".into(),
        index: 0,
        resources: AllocResources::default(),
        desired_status: DesiredStatus::Run,
        desired_description: String::new(),
        deployment_id: Some(DeploymentId(id(7))),
        canary: false,
        previous_allocation: None,
        follow_up_eval: None,
        no_shutdown_delay: false,
        reschedule_events: Vec::new(),
        metrics: AllocMetric {
            nodes_evaluated: 3,
            ..AllocMetric::default()
        },
        create_time: 1,
        modify_time: 1,
    }
}

pub(super) fn eval(number: u8, job: &str) -> Eval {
    Eval {
        id: EvalId(id(number)),
        namespace: "default".into(),
        job_id: job.into(),
        job_uid: JobUid(id(1)),
        job_type: JobType::Service,
        priority: 50,
        triggered_by: TriggeredBy::JobRegister,
        status: EvalStatus::Pending,
        status_description: String::new(),
        node_id: None,
        deployment_id: None,
        job_modify_index: 1,
        snapshot: 1,
        wait_until: None,
        previous_eval: None,
        next_eval: None,
        blocked_eval: None,
        failed_groups: BTreeMap::new(),
        class_eligibility: BTreeMap::new(),
        queued_allocations: BTreeMap::new(),
        plan_refusals: 0,
        create_time: 0,
        modify_time: 0,
    }
}

pub(super) fn status(number: u8, client_status: ClientStatus) -> AllocStatus {
    AllocStatus {
        id: AllocId(id(number)),
        client_status,
        client_description: String::new(),
        task_states: BTreeMap::from([(
            "t".to_owned(),
            TaskState {
                state: TaskLifeState::Running,
                failed: false,
                restarts: 0,
                last_restart: None,
                started_at: None,
                finished_at: None,
                events: vec![TaskEvent {
                    time: 1,
                    kind: TaskEventKind::Started,
                    display_message: "Task started by client".to_owned(),
                    details: BTreeMap::new(),
                }],
            },
        )]),
        deployment_status: None,
        job_version: 0,
        alloc_modify_index: 1,
        modify_time: 1,
    }
}

fn alloc_key(alloc: &PlacedAlloc) -> Key {
    Key::Alloc(alloc.node_id, alloc.id)
}

#[test]
fn an_alloc_is_found_by_node_job_eval_and_deployment_and_leaves_all_of_them() {
    let mut state = State::new(Keys::default());
    let web = JobKey::new("default", "web");
    let mut one = alloc(1, 2, "web", 3);
    state.put(&alloc_key(&one), &one).unwrap();
    let found = |state: &State, eval: u8| {
        [
            state.allocs_of_node(NodeId(id(2))).count(),
            state.allocs_of_job(&web).count(),
            state.allocs_of_eval(EvalId(id(eval))).count(),
            state.allocs_of_deployment(DeploymentId(id(7))).count(),
            usize::from(state.alloc(one.id).is_some()),
        ]
    };
    assert_eq!(found(&state, 3), [1; 5]);

    one.eval_id = EvalId(id(4));
    one.desired_status = DesiredStatus::Stop;
    let before = state.clone();
    state.put(&alloc_key(&one), &one).unwrap();
    assert_eq!(found(&state, 3), [1, 1, 0, 1, 1], "the former eval lets go");
    assert_eq!(found(&state, 4), [1; 5]);
    for of_index in [
        state.allocs_of_node(NodeId(id(2))).next(),
        state.allocs_of_job(&web).next(),
        state.allocs_of_deployment(DeploymentId(id(7))).next(),
    ] {
        assert_eq!(of_index.unwrap().desired_status, DesiredStatus::Stop);
    }
    assert_eq!(found(&before, 3), [1; 5], "an older copy stays as it was");

    state.delete(&alloc_key(&one));
    assert_eq!(found(&state, 4), [0; 5]);
    assert_eq!(state.table_index(Table::Allocs), 3);
    assert_eq!(state.table_index(Table::Evals), FIRST_REVISION);
}

#[test]
fn events_and_metrics_are_left_to_the_store_and_the_rest_is_as_it_was_written() {
    let mut state = State::new(Keys::default());
    let one = alloc(1, 2, "web", 3);
    state.put(&alloc_key(&one), &one).unwrap();
    state
        .put(
            &Key::AllocStatus(one.node_id, one.id),
            &status(1, ClientStatus::Running),
        )
        .unwrap();
    let held = state.alloc(one.id).unwrap().value.clone();
    assert_eq!(held.with_metrics(one.metrics.clone()), one);
    let known = state.alloc_status(one.id).unwrap();
    assert_eq!(known.task_states["t"].state, TaskLifeState::Running);
    assert_eq!(known.task_states["t"].events, LeftOut);
}

#[test]
fn a_status_is_pending_at_first_and_lost_over_the_agents_word() {
    let mut state = State::new(Keys::default());
    let mut one = alloc(1, 2, "web", 3);
    assert_eq!(state.client_status(one.id), ClientStatus::Pending);
    state.put(&alloc_key(&one), &one).unwrap();
    assert_eq!(state.client_status(one.id), ClientStatus::Pending);
    state
        .put(
            &Key::AllocStatus(NodeId(id(5)), one.id),
            &status(1, ClientStatus::Failed),
        )
        .unwrap();
    assert_eq!(
        state.client_status(one.id),
        ClientStatus::Pending,
        "another node's word on it is not heard"
    );
    state
        .put(
            &Key::AllocStatus(one.node_id, one.id),
            &status(1, ClientStatus::Running),
        )
        .unwrap();
    assert_eq!(state.client_status(one.id), ClientStatus::Running);
    one.desired_status = DesiredStatus::Lost;
    state.put(&alloc_key(&one), &one).unwrap();
    assert_eq!(state.client_status(one.id), ClientStatus::Lost);
}

#[test]
fn the_versions_of_a_job_are_its_own() {
    let mut state = State::new(Keys::default());
    let a = JobKey::new("default", "a");
    for job in ["a", "a/b", "b"] {
        let key = Key::Registration(JobKey::new("default", job));
        state.put(&key, &registration(0)).unwrap();
    }
    assert_eq!(state.registrations().count(), 3);
    assert!(state.registration(&a).is_some());
    assert!(state.current_job(&a).is_none());
    assert_eq!(state.job_modify_index(&a), 0);
    assert_eq!(state.job_versions(&a).count(), 0);
}

#[test]
fn what_cannot_be_read_counts_as_absent_and_is_named() {
    let keys = Keys::default();
    let mut state = State::new(keys.clone());
    let one = alloc(1, 2, "web", 3);
    let key = alloc_key(&one);
    let put = |value: Vec<u8>, revision| {
        Event::Put(KeyValue {
            key: keys.encode(&key),
            value: value.into(),
            create_revision: 1,
            mod_revision: revision,
            version: 1,
            lease: None,
        })
    };
    let mut other = one.clone();
    other.id = AllocId(id(8));
    for (what, value) in [
        ("no JSON", b"{".to_vec()),
        ("of a newer rove", br#"{"schema":99,"value":{}}"#.to_vec()),
        ("another thing", encode(&registration(0)).unwrap()),
        ("another alloc", encode(&other).unwrap()),
    ] {
        let good = encode(&one).unwrap();
        let at = state.revision() + 1;
        assert_eq!(
            state.apply(&[put(good.clone(), at)], at),
            std::slice::from_ref(&key),
            "{what}"
        );
        assert!(state.alloc(one.id).is_some(), "{what}");
        state.apply(&[put(value, at + 1)], at + 1);
        assert!(state.alloc(one.id).is_none(), "{what}");
        assert_eq!(state.allocs_of_node(one.node_id).count(), 0, "{what}");
        assert_eq!(
            state.unreadable().collect::<Vec<_>>(),
            [(&key, at + 1)],
            "{what}"
        );
        state.apply(&[put(good, at + 2)], at + 2);
        assert!(state.alloc(one.id).is_some(), "{what}");
        assert_eq!(state.unreadable().count(), 0, "{what}");
    }
}

#[test]
fn what_can_not_be_read_holds_the_job_or_the_node_that_it_is_about() {
    let job = JobKey::new("default", "web");
    let version = |version| VersionKey {
        job: job.clone(),
        uid: JobUid(id(1)),
        version,
    };
    let (node, alloc) = (NodeId(id(2)), alloc(7, 2, "own", 3));
    let owner = alloc.job();
    // What a later rove may write: the job is said where it always is.
    let later = serde_json::json!({"Namespace": owner.namespace, "JobID": owner.id, "More": 1});
    let none: [bool; 4] = [false; 4];
    // Whether it holds the job, the job once it is stopped, the node, and placements on the node.
    for (key, of, holds) in [
        (
            Key::Registration(job.clone()),
            &job,
            [true, true, false, false],
        ),
        (
            Key::JobVersion(version(3)),
            &job,
            [true, false, false, false],
        ),
        (Key::JobVersion(version(2)), &job, none),
        (
            Key::JobEvaluated(job.clone()),
            &job,
            [true, true, false, false],
        ),
        (
            Key::JobStable(job.clone()),
            &job,
            [true, false, false, false],
        ),
        (Key::Eval(EvalId(id(9))), &owner, [true, true, false, false]),
        (Key::Plan(EvalId(id(9))), &owner, [true, true, false, false]),
        (
            Key::Deployment(DeploymentId(id(9))),
            &owner,
            [true, true, false, false],
        ),
        (
            Key::Alloc(node, AllocId(id(8))),
            &owner,
            [true, true, false, true],
        ),
        (
            Key::AllocStatus(node, alloc.id),
            &owner,
            [true, false, false, false],
        ),
        (
            Key::AllocControl(node, alloc.id),
            &owner,
            [true, false, false, false],
        ),
        (Key::AllocStatus(node, AllocId(id(8))), &owner, none),
        (Key::Node(node), &job, [false, false, true, true]),
        (Key::NodeAlive(node), &job, [false, false, true, true]),
        (Key::NodeStatus(node), &job, [false, false, true, true]),
        (Key::NodeControl(node), &job, [false, false, true, true]),
        (Key::Node(NodeId(id(3))), &job, none),
        (Key::Server("one".to_owned()), &job, none),
    ] {
        let mut state = State::new(Keys::default());
        let stopped = |stop| Registration {
            uid: JobUid(id(1)),
            stop,
            ..registration(3)
        };
        for job in [&job, &owner] {
            let key = Key::Registration(job.clone());
            state.put(&key, &stopped(false)).unwrap();
        }
        state.put(&Key::Alloc(node, alloc.id), &alloc).unwrap();
        assert!(state.is_all_readable());
        match key {
            Key::Eval(_) | Key::Plan(_) | Key::Deployment(_) | Key::Alloc(..) => {
                state.put(&key, &later).unwrap();
            }
            _ => {
                state.put(&key, &"nothing of the kind").unwrap();
            }
        }
        assert!(!state.is_all_readable(), "{key}");
        let holds_job = state.unreadable_of_job(of) == Some(&key);
        let holds_node = state.unreadable_of_node(node) == Some(&key);
        let holds_use = state.unreadable_use_of_node(node) == Some(&key);
        if !matches!(key, Key::Registration(_)) {
            let key = Key::Registration(of.clone());
            state.put(&key, &stopped(true)).unwrap();
        }
        let holds_stopped = state.unreadable_of_job(of) == Some(&key);
        assert_eq!(
            [holds_job, holds_stopped, holds_node, holds_use],
            holds,
            "{key}"
        );
        state.delete(&key);
        assert!(state.is_all_readable(), "{key}");
        assert_eq!(state.unreadable_of_job(of), None, "{key}");
    }
}

#[test]
fn keys_of_a_kind_that_is_not_known_are_passed_over() {
    let mut state = State::new(Keys::default());
    let touched = state.apply(
        &[Event::Put(KeyValue {
            key: Bytes::from_static(b"/rove/colours/red"),
            value: Bytes::from_static(b"x"),
            create_revision: 4,
            mod_revision: 4,
            version: 1,
            lease: None,
        })],
        4,
    );
    assert_eq!(touched, []);
    assert_eq!(state.revision(), 4);
}

#[test]
fn the_secrets_of_nodes_are_not_kept() {
    let mut state = State::new(Keys::default());
    let key = Key::NodeSecret(NodeId(id(1)));
    state.put(&key, &"hash").unwrap();
    assert_eq!(state.revisions(&key), None);
    assert_eq!(state.unreadable().count(), 0);
}

/// One write to a small world, where ids meet often.
#[derive(Clone, Debug)]
enum Write {
    Alloc(u8, u8, u8, bool),
    Status(u8, u8),
    Control(u8, u8),
    Eval(u8, u8),
    Registration(u8, u64),
    Leader(u8),
    Broken(u8),
    Delete(u8, u8, u8),
}

fn write() -> impl Strategy<Value = Write> {
    let small = || 0..3_u8;
    prop_oneof![
        (small(), small(), small(), any::<bool>())
            .prop_map(|(a, n, e, d)| Write::Alloc(a, n, e, d)),
        (small(), small()).prop_map(|(a, n)| Write::Status(a, n)),
        (small(), small()).prop_map(|(a, n)| Write::Control(a, n)),
        (small(), small()).prop_map(|(e, j)| Write::Eval(e, j)),
        (small(), 0..3_u64).prop_map(|(j, v)| Write::Registration(j, v)),
        small().prop_map(Write::Leader),
        small().prop_map(Write::Broken),
        (0..6_u8, small(), small()).prop_map(|(t, a, b)| Write::Delete(t, a, b)),
    ]
}

fn event(keys: &Keys, write: &Write, at: Revision, create: impl Fn(&Key) -> Revision) -> Event {
    let job = |j: &u8| format!("job{j}");
    let (key, value) = match write {
        Write::Alloc(a, n, e, d) => {
            let mut alloc = alloc(*a, *n, &job(a), *e);
            alloc.deployment_id = d.then(|| DeploymentId(id(7)));
            (alloc_key(&alloc), encode(&alloc).unwrap())
        }
        Write::Status(a, n) => (
            Key::AllocStatus(NodeId(id(*n)), AllocId(id(*a))),
            encode(&status(*a, ClientStatus::Running)).unwrap(),
        ),
        Write::Control(a, n) => (
            Key::AllocControl(NodeId(id(*n)), AllocId(id(*a))),
            encode(&AllocControl::default()).unwrap(),
        ),
        Write::Eval(e, j) => (
            Key::Eval(EvalId(id(*e))),
            encode(&eval(*e, &job(j))).unwrap(),
        ),
        Write::Registration(j, v) => (
            Key::Registration(JobKey::new("default", job(j))),
            encode(&registration(*v)).unwrap(),
        ),
        Write::Leader(l) => (
            Key::Leader(job(l)),
            encode(&Leadership {
                server: "s".to_owned(),
            })
            .unwrap(),
        ),
        Write::Broken(e) => (Key::Eval(EvalId(id(*e))), b"{".to_vec()),
        Write::Delete(t, a, b) => {
            let (first, second) = (id(*a), id(*b));
            let key = match t {
                0 => Key::Alloc(NodeId(second), AllocId(first)),
                1 => Key::AllocStatus(NodeId(second), AllocId(first)),
                2 => Key::AllocControl(NodeId(second), AllocId(first)),
                3 => Key::Eval(EvalId(first)),
                4 => Key::Registration(JobKey::new("default", job(a))),
                _ => Key::Leader(job(a)),
            };
            return Event::Delete {
                key: keys.encode(&key),
                mod_revision: at,
            };
        }
    };
    Event::Put(KeyValue {
        create_revision: create(&key),
        key: keys.encode(&key),
        value: value.into(),
        mod_revision: at,
        version: 1,
        lease: None,
    })
}

proptest! {
    /// The invariant of the module: a state is a function of the keys, however it came to know them.
    #[test]
    fn event_by_event_gives_what_a_list_gives(writes in proptest::collection::vec(write(), 0..60)) {
        let keys = Keys::default();
        let mut stored: BTreeMap<Bytes, KeyValue> = BTreeMap::new();
        let mut watched = State::new(keys.clone());
        let mut at = 0;
        for write in &writes {
            // An alloc's id is random and fixed to its node: the same on two nodes is not a case to agree on.
            if let Write::Alloc(a, n, ..) = write
                && stored.keys().any(|key| matches!(keys.parse(key), Ok(Key::Alloc(node, alloc))
                    if alloc == AllocId(id(*a)) && node != NodeId(id(*n))))
            {
                continue;
            }
            at += 1;
            let event = event(&keys, write, at, |key| {
                stored.get(&keys.encode(key)).map_or(at, |kv| kv.create_revision)
            });
            match &event {
                Event::Put(kv) => drop(stored.insert(kv.key.clone(), kv.clone())),
                Event::Delete { key, .. } => drop(stored.remove(key)),
            }
            watched.apply(&[event], at);
        }
        let mut listed = State::new(keys);
        let kvs: Vec<KeyValue> = stored.into_values().collect();
        listed.load(&kvs, at);

        prop_assert_eq!(difference(&watched, &listed), []);
        prop_assert_eq!(watched.revision(), listed.revision());
        prop_assert!(watched.unreadable().eq(listed.unreadable()));
        prop_assert!(watched.tables.allocs.by_job.iter().eq(listed.tables.allocs.by_job.iter()));
        prop_assert!(watched.tables.allocs.by_eval.iter().eq(listed.tables.allocs.by_eval.iter()));
        prop_assert!(watched.tables.allocs.by_deployment.iter().eq(listed.tables.allocs.by_deployment.iter()));
        prop_assert!(watched.tables.evals.by_job.iter().eq(listed.tables.evals.by_job.iter()));
    }
}
