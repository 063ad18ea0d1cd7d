//! The brokers that the cluster has named: a client that is made later needs no more luck with the bootstrap list than
//! the first one had.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Brokers by id, each where it was last. Shared by all settings of a run; who watches the cluster keeps it.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownBrokers(Arc<Mutex<BTreeMap<i32, String>>>);

impl KnownBrokers {
    /// The cluster has named a broker, at this `host:port`. One that it names no more may come back.
    pub(crate) fn learn(&self, id: i32, address: &str) {
        let mut all = self.all();
        if all.get(&id).is_none_or(|known| known != address) {
            all.insert(id, address.to_owned());
        }
    }

    /// This bootstrap list, and the brokers that it lacks.
    pub(crate) fn added_to(&self, list: &str) -> String {
        let mut brokers: Vec<&str> =
            list.split(',').map(str::trim).filter(|broker| !broker.is_empty()).collect();
        let all = self.all();
        for known in all.values() {
            if !brokers.contains(&known.as_str()) {
                brokers.push(known);
            }
        }
        brokers.join(",")
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<i32, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_brokers_come_behind_the_list_once_and_where_they_were_last() {
        let known = KnownBrokers::default();
        assert_eq!(known.added_to("a:1, b:2"), "a:1,b:2");
        known.learn(2, "b:2");
        known.learn(1, "c:3");
        known.clone().learn(1, "d:4");
        assert_eq!(known.added_to("a:1,b:2"), "a:1,b:2,d:4");
        assert_eq!(known.added_to(""), "d:4,b:2");
    }
}
