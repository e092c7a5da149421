//! Taking events in. Pure: the same events on the same state give the same state, and nothing else happens but a log
//! line for what can't be read.

use bytes::Bytes;
use rove_model::{
    encoding::{EncodingError, encode},
    ids::Revision,
};
use serde::Serialize;

use super::State;
use crate::{
    keys::Key,
    store::{Event, KeyValue},
};

impl State {
    /// Takes in the events of whole revisions, of which `revision` is the newest, and gives the keys they touched.
    ///
    /// A value that can't be read is reported, and its key then counts as absent and as [unreadable](State::unreadable). Keys of unknown kinds are passed
    /// over: a newer server may know them.
    pub fn apply(&mut self, events: &[Event], revision: Revision) -> Vec<Key> {
        let mut touched = Vec::with_capacity(events.len());
        for event in events {
            let key = match self.keys.parse(event.key()) {
                Ok(key) => key,
                Err(error) => {
                    tracing::debug!(%error, "passed over");
                    continue;
                }
            };
            self.changed[key.table() as usize] = event.revision();
            match event {
                Event::Put(kv) => self.put_kv(&key, kv),
                Event::Delete { .. } => self.remove(&key),
            }
            touched.push(key);
        }
        self.revision = revision;
        touched
    }

    /// Takes in what a list at `revision` found, in any order.
    pub(super) fn load(&mut self, kvs: &[KeyValue], revision: Revision) {
        for kv in kvs {
            if let Ok(key) = self.keys.parse(&kv.key) {
                let changed = &mut self.changed[key.table() as usize];
                *changed = (*changed).max(kv.mod_revision);
                self.put_kv(&key, kv);
            }
        }
        self.revision = revision;
    }

    /// Counts every table as changed at `revision`: after a list nobody knows what was removed, and when.
    pub(super) fn touch_all_tables(&mut self, revision: Revision) {
        self.changed.fill(revision);
    }

    /// Takes the tables' revisions over from the state it replaces: a table that lost keys changed now.
    pub(super) fn carry_indexes(&mut self, old: &Self, differing: &[Key]) {
        for (changed, before) in self.changed.iter_mut().zip(old.changed) {
            *changed = (*changed).max(before);
        }
        for key in differing {
            if self.revisions(key).is_none() {
                self.changed[key.table() as usize] = self.revision;
            }
        }
    }

    /// Writes `value` as if the store had, at the next revision, which is returned: for dry runs and tests.
    ///
    /// # Errors
    /// When the value can't be stored.
    pub fn put<T: Serialize>(&mut self, key: &Key, value: &T) -> Result<Revision, EncodingError> {
        let revision = self.revision + 1;
        let bytes = self.keys.encode(key);
        let create_revision = self.create_revision(key).unwrap_or(revision);
        self.apply(
            &[Event::Put(KeyValue {
                key: bytes,
                value: Bytes::from(encode(value)?),
                create_revision,
                mod_revision: revision,
                version: 1,
                lease: None,
            })],
            revision,
        );
        Ok(revision)
    }

    /// Removes `key` as if the store had, at the next revision, which is returned: for dry runs and tests.
    pub fn delete(&mut self, key: &Key) -> Revision {
        let revision = self.revision + 1;
        self.apply(
            &[Event::Delete {
                key: self.keys.encode(key),
                mod_revision: revision,
            }],
            revision,
        );
        revision
    }

    /// The revisions at which a key came into being and was last written.
    #[must_use]
    pub fn revisions(&self, key: &Key) -> Option<(Revision, Revision)> {
        self.tables.revisions(key)
    }

    fn create_revision(&self, key: &Key) -> Option<Revision> {
        self.revisions(key).map(|(create, _)| create)
    }

    fn put_kv(&mut self, key: &Key, kv: &KeyValue) {
        match self.tables.put(key, kv) {
            Ok(()) => self.unreadable.remove(key),
            Err(error) => {
                tracing::error!(%key, revision = kv.mod_revision, error = &error as &dyn std::error::Error,
                    "a stored value can't be read: nothing is decided that rests on it until it is written anew");
                self.remove(key);
                self.unreadable.insert(key, kv.mod_revision, &kv.value);
            }
        }
    }

    fn remove(&mut self, key: &Key) {
        self.unreadable.remove(key);
        self.tables.remove(key);
    }
}
