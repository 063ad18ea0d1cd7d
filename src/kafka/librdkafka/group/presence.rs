//! A member of a group that reads nothing: somebody else does, from where the group says.
//!
//! librdkafka joins, is dealt partitions, keeps its session alive and commits. What it is dealt it has to be told to read, or the
//! group would not take it for taken over; it is paused at once, before it and behind. Those calls wait for the library's own thread:
//! none of them is made on the shard's. Where the group has consumed partitions up to, whoever reads them asks.

use std::{
    cell::RefCell,
    collections::VecDeque,
    ffi::{CStr, CString, c_void},
    mem::ManuallyDrop,
    ptr,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    bindings as rdk,
    types::{RDKafkaRespErr as Code, RDKafkaType},
};

use super::{
    closing::Closing,
    commits::{self, Told},
    group::{MessagePtr, next_message, subscribe},
    membership::obey,
};
use crate::{
    kafka::{
        ClientError, CommitNumber, CommitWord, GroupWord, Membership,
        librdkafka::{
            client::{self, Handle, Queue, Topic},
            fault::{FaultKind, fault},
            partitions::{PartitionList, entries, topic_name},
            settings::GroupSettings,
            wake::QueueWake,
            wake_mux::WakeHandle,
        },
    },
    partitions::{PartitionTable, TopicPartition},
};

/// How often the library is looked at: what it has to say is about the group, and seldom anything.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The client, and what its callback leaves behind; the client goes first.
struct Client {
    handle: Handle,
    changes: Box<Changes>,
    /// The topics' names, by their places in the table.
    topics: Vec<CString>,
}

/// What the group wants changed, in its order. Only touched by the thread that polls.
type Changes = Mutex<VecDeque<Change>>;

/// Partitions that come, or go.
struct Change {
    code: Code,
    is_lost: bool,
    partitions: PartitionList,
}

/// What is done beside the shard's thread, one after the other.
enum Job {
    /// The client takes partitions over.
    TakeOver(PartitionList),
    /// The client gives partitions up.
    GiveUp(Code, PartitionList),
}

/// Jobs that wait.
#[derive(Default)]
struct Desk {
    waiting: VecDeque<Job>,
    is_busy: bool,
}

/// Such a member, used by one shard.
pub(crate) struct Presence {
    // Fields are dropped in this order: references first, the client last.
    _topics: Vec<Topic>,
    queue: Queue,
    main_queue: Queue,
    commits: Queue,
    wake: WakeHandle,
    /// Closing it before the group has been left would wait for brokers, which may hang.
    client: ManuallyDrop<Arc<Client>>,
    desk: Rc<RefCell<Desk>>,
    /// With what is to be given up once it was heard.
    words: VecDeque<(GroupWord, Option<(Code, PartitionList)>)>,
    /// What was revoked, and not given up.
    revoked: Vec<(Code, PartitionList)>,
    commit_words: VecDeque<CommitWord>,
    sent: CommitNumber,
    /// Partitions that are its own.
    owned: usize,
    closing: Closing,
    looked: Instant,
    /// There was something at the last look, and there may be more.
    goes_on: bool,
}

impl Presence {
    /// Starts a client and subscribes; does not wait for the group. Must be called on the executor that will use it.
    ///
    /// # Errors
    /// A setting that is not accepted, or a client that cannot start.
    pub(crate) fn start(
        settings: &GroupSettings,
        table: &Arc<PartitionTable>,
        wake: &WakeHandle,
    ) -> Result<Self, ClientError> {
        let names = table.topics().iter().map(|topic| client::c_string(topic)).collect::<Result<_, _>>()?;
        let changes = Box::<Changes>::default();
        let opaque = (&raw const *changes).expose_provenance();
        let (config, cpus) = (settings.of_presence(), &settings.client_cpus);
        let handle = Handle::start_with(RDKafkaType::RD_KAFKA_CONSUMER, &config, cpus, |conf| {
            // SAFETY: the configuration is alive. The callback is only called on the thread that polls, and not after the
            // client has gone, which goes before `changes`.
            unsafe {
                rdk::rd_kafka_conf_set_opaque(conf, ptr::with_exposed_provenance_mut::<c_void>(opaque));
                rdk::rd_kafka_conf_set_rebalance_cb(conf, Some(on_rebalance));
            }
        })?;
        // Held so that their partitions are known, and can be paused, before they are taken over.
        let topics = table.topics().iter().map(|topic| handle.topic(topic)).collect::<Result<_, _>>()?;
        let (queue, main_queue, commits) = (handle.consumer_queue(), handle.main_queue(), handle.new_queue());
        wake.attach(queue.ptr());
        wake.attach(commits.ptr());
        let client = Client { handle, changes, topics: names };
        subscribe(&client.handle, &client.topics)?;
        Ok(Self {
            _topics: topics,
            queue,
            main_queue,
            commits,
            wake: wake.clone(),
            client: ManuallyDrop::new(Arc::new(client)),
            desk: Rc::default(),
            words: VecDeque::new(),
            revoked: Vec::new(),
            commit_words: VecDeque::new(),
            sent: 0,
            owned: 0,
            closing: Closing::No,
            looked: Instant::now(),
            goes_on: false,
        })
    }

    fn begin(&self, job: Job) {
        let was_busy = {
            let mut desk = self.desk.borrow_mut();
            desk.waiting.push_back(job);
            std::mem::replace(&mut desk.is_busy, true)
        };
        // It may begin before this returns.
        if !was_busy {
            let (client, desk) = ((*self.client).clone(), self.desk.clone());
            glommio::spawn_local(work(client, desk)).detach();
        }
    }

    /// Takes what the library has for this member. Returns whether there was anything.
    fn look(&mut self) -> bool {
        let message = next_message(&self.queue);
        let changes = std::mem::take(&mut *lock(&self.client.changes));
        let is_any = message.is_some() || !changes.is_empty();
        for Change { code, is_lost, partitions: list } in changes {
            let partitions = self.client.places(&list);
            if code == Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
                self.owned += partitions.len();
                self.begin(Job::TakeOver(list));
                self.say(GroupWord::Assigned(partitions));
            } else {
                self.owned = self.owned.saturating_sub(partitions.len());
                let word = GroupWord::Revoked { partitions, is_lost };
                self.words.push_back((word, Some((code, list))));
            }
        }
        if let Some(message) = message {
            self.hear_of_trouble(&message);
        }
        is_any
    }

    fn say(&mut self, word: GroupWord) {
        self.words.push_back((word, None));
    }

    /// A record that slipped through before its partition was paused is nobody's.
    fn hear_of_trouble(&mut self, message: &MessagePtr) {
        // SAFETY: the message is alive.
        let fields = unsafe { &*message.ptr() };
        if fields.err == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return;
        }
        // SAFETY: the message is alive.
        let fault = unsafe { fault(message.ptr(), fields.err) };
        match fault.kind {
            _ if fault.error.is_group_refusal() => self.say(GroupWord::Refused(fault.error)),
            // Of what lies in the log, who reads it speaks.
            FaultKind::OutOfRange | FaultKind::Truncated | FaultKind::Corrupt => {}
            FaultKind::Gone | FaultKind::Refused | FaultKind::Passing => {
                self.say(GroupWord::Trouble(fault.error));
            }
        }
    }

    fn hear_of_commits(&mut self) {
        while self.main_queue.poll(0).is_some() {
            // Errors of the client as a whole (a broker that went) are the observer's to tell.
        }
        let Self { commits, client, commit_words, .. } = self;
        commits::hear(commits, |number, told| match told {
            Told::Over => commit_words.push_back(CommitWord::Over(number)),
            Told::Place(topic, partition, result) => {
                let place = client.place(topic, partition);
                commit_words.extend(place.map(|place| CommitWord::Place(number, place, result)));
            }
        });
    }
}

impl Membership for Presence {
    fn word(&mut self) -> Option<GroupWord> {
        loop {
            if let Some((word, revoked)) = self.words.pop_front() {
                self.revoked.extend(revoked);
                return Some(word);
            }
            let now = Instant::now();
            if !self.goes_on && now < self.looked + LOOK_EVERY {
                return None;
            }
            self.looked = now;
            self.goes_on = self.look();
            if !self.goes_on {
                return None;
            }
        }
    }

    fn give_up(&mut self) {
        for (code, partitions) in std::mem::take(&mut self.revoked) {
            self.begin(Job::GiveUp(code, partitions));
        }
    }

    fn commit(&mut self, places: &[(TopicPartition, i64)]) -> Option<CommitNumber> {
        let mut list = PartitionList::new(places.len()).ok()?;
        for (TopicPartition { topic, partition }, offset) in places {
            list.add(&self.client.topics[*topic], *partition, *offset);
        }
        let number = self.sent + 1;
        // SAFETY: client and queue are alive.
        let is_sent = unsafe { commits::send(self.client.handle.ptr(), &list, self.commits.ptr(), number) };
        is_sent.then(|| {
            self.sent = number;
            number
        })
    }

    fn commit_word(&mut self) -> Option<CommitWord> {
        if self.commit_words.is_empty() {
            self.hear_of_commits();
        }
        self.commit_words.pop_front()
    }

    async fn wait(&self, limit: Duration) {
        self.wake.wait_at_most(limit).await;
    }

    fn begin_leaving(&mut self) {
        self.closing.begin(self.owned == 0, &self.client.handle, &self.queue);
    }

    fn has_left(&mut self) -> bool {
        self.closing.go_on(&self.client.handle, &self.queue);
        self.closing.is_over(&self.client.handle)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        QueueWake::detach(self.queue.ptr());
        QueueWake::detach(self.commits.ptr());
        if self.closing.is_over(&self.client.handle) {
            // SAFETY: the client is not used again here; a job that still has it keeps it alive.
            unsafe { ManuallyDrop::drop(&mut self.client) };
        }
    }
}

impl Client {
    fn place(&self, name: &CStr, partition: i32) -> Option<TopicPartition> {
        let topic = self.topics.iter().position(|topic| topic.as_c_str() == name)?;
        Some(TopicPartition { topic, partition })
    }

    fn places(&self, list: &PartitionList) -> Vec<TopicPartition> {
        // SAFETY: the list is alive, and so are its entries.
        let place = |entry| self.place(unsafe { topic_name(entry) }, entry.partition);
        // SAFETY: the list is alive.
        unsafe { entries(list.ptr()) }.iter().filter_map(place).collect()
    }

    /// The client's assignment is what the group wants, and none of it is fetched.
    fn take_over(&self, list: &PartitionList) {
        let assign = Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        // SAFETY: client and list are alive. A partition that is not known yet is not paused, and is paused behind that.
        unsafe {
            rdk::rd_kafka_pause_partitions(self.handle.ptr(), list.ptr());
            obey(self.handle.ptr(), assign, list.ptr());
            rdk::rd_kafka_pause_partitions(self.handle.ptr(), list.ptr());
        }
    }

    /// Done on a thread that may wait.
    fn do_job(&self, job: &Job) {
        match job {
            Job::TakeOver(list) => self.take_over(list),
            // SAFETY: client and list are alive.
            Job::GiveUp(code, list) => unsafe { obey(self.handle.ptr(), *code, list.ptr()) },
        }
    }
}

/// Does what waits, until nothing does.
async fn work(client: Arc<Client>, desk: Rc<RefCell<Desk>>) {
    loop {
        let job = desk.borrow_mut().waiting.pop_front();
        let Some(job) = job else { break };
        let client = client.clone();
        glommio::executor().spawn_blocking(move || client.do_job(&job)).await;
    }
    desk.borrow_mut().is_busy = false;
}

fn lock(changes: &Changes) -> std::sync::MutexGuard<'_, VecDeque<Change>> {
    changes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Called by librdkafka on the thread that polls. The client is told what becomes of it later, by whoever may wait.
///
/// # Safety
/// `opaque` is the consumer's [`Changes`], alive; the list of changes, unless null, is alive.
unsafe extern "C" fn on_rebalance(
    client: *mut rdk::rd_kafka_t,
    code: Code,
    changes: *mut rdk::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    // SAFETY: the caller's promise.
    let (kept, partitions) = unsafe { (&*opaque.cast::<Changes>(), entries(changes)) };
    // SAFETY: the client is alive.
    let is_lost = unsafe { rdk::rd_kafka_assignment_lost(client) != 0 };
    let Ok(mut list) = PartitionList::new(partitions.len()) else { return };
    for entry in partitions {
        // The offset is one that is not asked for: nothing is fetched from it.
        // SAFETY: the list is alive during the callback.
        list.add(unsafe { topic_name(entry) }, entry.partition, 0);
    }
    lock(kept).push_back(Change { code, is_lost, partitions: list });
}
