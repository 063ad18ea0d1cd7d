//! Second opinions: another broker is asked who leads what, before anything is concluded from where a log ends.
//!
//! A leader that was deposed and has not heard of it answers as if nothing had happened, and names itself as the leader, too.
//! librdkafka (2.12.1) believes it until another broker tells it of the newer epoch, and asks whichever it likes. What a broker
//! answers to `DescribeTopics` it takes in like all metadata: of each partition the latest epoch counts.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    ffi::{CStr, CString, c_int},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::bindings as rdk;

use super::{client::array, options::Options};
use crate::{
    kafka::{
        DOUBT_S,
        librdkafka::{
            client::{self, EventPtr, Handle, Queue},
            codes,
        },
    },
    mutants::enforced,
    partitions::{PartitionSlot, PartitionTable, TopicPartition},
};

/// How long each of the two questions may take. What another broker says is worth having, and not worth a stall.
const PATIENCE_MS: c_int = 1_000;
const PATIENCE: Duration = Duration::from_millis(PATIENCE_MS.unsigned_abs() as u64);

/// Who asks where a log ends so soon after the last time does not believe it.
const DOUBT: Duration = Duration::from_secs(DOUBT_S);

/// Whose turn it is among the others: each time another one.
static TURN: AtomicUsize = AtomicUsize::new(0);

/// Which partitions' ends were asked for, and when, by slot.
pub(crate) struct Doubts(RefCell<Vec<Option<Instant>>>);

/// An opinion that is waited for. Must be dropped before the client that it was asked of.
pub(crate) struct Opinion {
    queue: Queue,
    table: Arc<PartitionTable>,
    partitions: BTreeSet<PartitionSlot>,
    stage: Cell<Stage>,
    until: Cell<Instant>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Any broker is asked who there is.
    Brokers,
    /// One is asked that leads not all of it.
    Other,
    Over,
}

/// Who leads a partition, and who holds replicas of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    leader: i32,
    replicas: Vec<i32>,
}

impl Doubts {
    /// No end was asked for of so many partitions.
    pub(crate) fn new(partitions: usize) -> Self {
        Self(RefCell::new(vec![None; partitions]))
    }

    /// The ends of these partitions are asked for. Returns whether another broker should say first who leads them.
    pub(crate) fn ask(&self, partitions: &[PartitionSlot], now: Instant) -> bool {
        let mut asked = self.0.borrow_mut();
        let mut is_doubted = false;
        for partition in partitions {
            let Some(asked) = asked.get_mut(partition.index()) else { continue };
            is_doubted |= asked.replace(now).is_some_and(|before| now.duration_since(before) < DOUBT);
        }
        is_doubted && enforced("second-opinion")
    }
}

impl Opinion {
    /// Asks another broker who leads these partitions.
    pub(crate) fn ask(handle: &Handle, table: &Arc<PartitionTable>, partitions: &[PartitionSlot]) -> Self {
        let opinion = Self {
            queue: handle.new_queue(),
            table: table.clone(),
            partitions: partitions.iter().copied().collect(),
            stage: Cell::new(Stage::Over),
            until: Cell::new(Instant::now()),
        };
        opinion.describe(handle, Stage::Brokers, None);
        opinion
    }

    /// Goes on with it. Returns whether it has come, or is not waited for any more; may wait so long for that.
    pub(crate) fn is_over(&self, handle: &Handle, wait_ms: c_int) -> bool {
        let event = self.queue.poll(wait_ms);
        let event = event.filter(|event| event.kind() == rdk::RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT);
        match (self.stage.get(), event) {
            (Stage::Over, _) => return true,
            // The client answers in time by itself; this is for the day it does not.
            (_, None) if Instant::now() > self.until.get() => self.stage.set(Stage::Over),
            (_, None) => {}
            (Stage::Brokers, Some(event)) => {
                match nth(&others(&self.held(&event)), TURN.fetch_add(1, Ordering::Relaxed)) {
                    Some(broker) => self.describe(handle, Stage::Other, Some(broker)),
                    None => self.stage.set(Stage::Over),
                }
            }
            (Stage::Other, Some(_)) => self.stage.set(Stage::Over),
        }
        self.stage.get() == Stage::Over
    }

    fn describe(&self, handle: &Handle, stage: Stage, broker: Option<i32>) {
        let topics: BTreeSet<&str> = self.partitions.iter().map(|slot| self.table.topic(*slot)).collect();
        let names = topics.into_iter().map(client::c_string).collect::<Result<Vec<CString>, _>>();
        let Some(names) = names.ok().filter(|names| !names.is_empty()) else {
            self.stage.set(Stage::Over);
            return;
        };
        let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        let options = Options::new(handle, rdk::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        options.set_request_timeout(PATIENCE_MS);
        if let Some(broker) = broker {
            options.set_broker(broker);
        }
        // SAFETY: all are alive; both calls copy what they need, and the collection is ours to destroy.
        unsafe {
            let topics = rdk::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            rdk::rd_kafka_DescribeTopics(handle.ptr(), topics, options.ptr(), self.queue.ptr());
            rdk::rd_kafka_TopicCollection_destroy(topics);
        }
        self.stage.set(stage);
        self.until.set(Instant::now() + PATIENCE * 2);
    }

    /// What was said of the partitions that it is about.
    fn held(&self, event: &EventPtr) -> Vec<Held> {
        let mut held = Vec::new();
        // SAFETY: the event is alive and of this kind; what it holds lives as long, arrays have as many elements as is said,
        // and names are NUL-terminated.
        unsafe {
            if codes::check(rdk::rd_kafka_event_error(event.ptr())).is_err() {
                return held;
            }
            let (result, mut count) = (rdk::rd_kafka_event_DescribeTopics_result(event.ptr()), 0);
            let topics = rdk::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            for &topic in array(topics, count) {
                let name = CStr::from_ptr(rdk::rd_kafka_TopicDescription_name(topic));
                let known = name.to_str().ok().and_then(|name| self.table.topic_named(name));
                let Some(known) = known else { continue };
                let mut count = 0;
                let partitions = rdk::rd_kafka_TopicDescription_partitions(topic, &raw mut count);
                for &info in array(partitions, count) {
                    let partition = rdk::rd_kafka_TopicPartitionInfo_partition(info);
                    let slot = self.table.slot(TopicPartition { topic: known, partition });
                    if !slot.is_some_and(|slot| self.partitions.contains(&slot)) {
                        continue;
                    }
                    let id = |node: *const rdk::rd_kafka_Node_t| {
                        if node.is_null() { -1 } else { rdk::rd_kafka_Node_id(node) }
                    };
                    let mut count = 0;
                    let replicas = rdk::rd_kafka_TopicPartitionInfo_replicas(info, &raw mut count);
                    let replicas = array(replicas, count).iter().map(|node| id(*node)).collect();
                    held.push(Held { leader: id(rdk::rd_kafka_TopicPartitionInfo_leader(info)), replicas });
                }
            }
        }
        held
    }
}

/// Brokers that hold a replica of what another one leads.
fn others(held: &[Held]) -> BTreeSet<i32> {
    let others = held.iter().flat_map(|Held { leader, replicas }| {
        replicas.iter().copied().filter(move |replica| replica != leader && *replica >= 0)
    });
    others.collect()
}

fn nth(others: &BTreeSet<i32>, turn: usize) -> Option<i32> {
    others.iter().nth(turn.checked_rem(others.len())?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_an_end_again_soon_does_not_believe_it() {
        let [one, other] = [0, 1].map(PartitionSlot::new);
        let (doubts, now) = (Doubts::new(2), Instant::now());
        assert!(!doubts.ask(&[one], now));
        assert!(doubts.ask(&[one], now + Duration::from_secs(1)), "a second look");
        assert!(!doubts.ask(&[other], now + Duration::from_secs(1)), "each has its own");
        assert!(doubts.ask(&[other, one], now + Duration::from_secs(2)));
        assert!(!doubts.ask(&[one], now + Duration::from_secs(8)), "by now it is a new question");
    }

    #[test]
    fn whoever_leads_all_of_it_is_not_asked_about_itself() {
        let held = |leader, replicas: &[i32]| Held { leader, replicas: replicas.to_vec() };
        assert_eq!(others(&[held(0, &[0, 1, 2])]), BTreeSet::from([1, 2]));
        assert_eq!(others(&[held(0, &[0, 1]), held(1, &[0, 1])]), BTreeSet::from([0, 1]));
        assert_eq!(others(&[held(-1, &[3])]), BTreeSet::from([3]), "nobody is known to lead");
        assert_eq!(nth(&others(&[held(0, &[0])]), 5), None, "it is alone");
        let asked: Vec<_> = (4..7).filter_map(|turn| nth(&BTreeSet::from([1, 2]), turn)).collect();
        assert_eq!(asked, [1, 2, 1], "each has its turn");
    }
}
