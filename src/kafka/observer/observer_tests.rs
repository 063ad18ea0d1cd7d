//! An observer on a client that is scripted.

use std::sync::Mutex;

use super::*;
use crate::{
    config::Security,
    kafka::{
        KnownBrokers, TopicAnswers, code,
        observer::{AdminLook, DescribedPartition, NamedBroker, NotCreated},
    },
};

/// Answers as told, the last answer again and again.
#[derive(Default)]
struct Scripted {
    descriptions: Mutex<Vec<Result<Described, KafkaError>>>,
    created: Mutex<Vec<Result<(), NotCreated>>>,
    refusals: Mutex<Vec<Refusal>>,
    /// Topics that were to be made.
    made: Mutex<usize>,
    /// Partitions that were asked about.
    asked: Mutex<Vec<i32>>,
    complaint: String,
}

fn next<T: Clone>(script: &Mutex<Vec<T>>) -> T {
    let mut script = script.lock().unwrap();
    if script.len() > 1 { script.remove(0) } else { script[0].clone() }
}

impl Admin for Scripted {
    fn describe(&self, _topic: Option<&str>, _limit: Duration) -> Result<Described, KafkaError> {
        next(&self.descriptions)
    }

    fn offsets(
        &self,
        _topic: &str,
        partitions: &[i32],
        _spec: OffsetSpec,
        _isolation: Isolation,
        _stop: &mut dyn FnMut() -> bool,
    ) -> Option<TopicAnswers> {
        self.asked.lock().unwrap().extend(partitions);
        let answer = |&id: &i32| (id, Ok(OffsetAndEpoch { offset: i64::from(id) * 10, leader_epoch: 1 }));
        Some(partitions.iter().map(answer).collect())
    }

    fn create_topic(&self, _topic: &str, _new: &NewTopic) -> Result<(), NotCreated> {
        *self.made.lock().unwrap() += 1;
        next(&self.created)
    }

    fn setting(&self, of: Resource<'_>, name: &str) -> Option<String> {
        (of == Resource::Topic("t") && name == "cleanup.policy").then(|| "compact,delete".to_owned())
    }

    fn look(&self) -> AdminLook {
        AdminLook { looks: Vec::new(), refusals: self.refusals.lock().unwrap().clone() }
    }

    fn last_complaint(&self) -> String {
        self.complaint.clone()
    }
}

fn described(leaders: &[i32]) -> Described {
    let partition =
        |(id, leader): (i32, &i32)| DescribedPartition { id, leader: *leader, replicas: vec![0, 1] };
    Described {
        brokers: vec![NamedBroker { id: 0, address: "b:1".to_owned() }],
        topic_id: Some([7; 16]),
        partitions: (0..).zip(leaders).map(partition).collect(),
        ..Described::default()
    }
}

fn observer(scripted: Scripted) -> (Observer, Arc<Scripted>) {
    let settings = ClientSettings {
        bootstrap: "x:1".to_owned(),
        known: KnownBrokers::default(),
        client_id: "c".to_owned(),
        metadata_max_age: Duration::from_mins(1),
        trace: false,
        security: Security { sasl: None, tls: None },
        overrides: Vec::new(),
    };
    let scripted = Arc::new(scripted);
    (Observer::on(scripted.clone(), settings), scripted)
}

fn scripted(descriptions: Vec<Result<Described, KafkaError>>) -> Scripted {
    Scripted { descriptions: descriptions.into(), created: vec![Ok(())].into(), ..Scripted::default() }
}

fn missing() -> Result<Described, KafkaError> {
    Err(KafkaError::unknown_topic())
}

fn silent() -> Result<Described, KafkaError> {
    Err(KafkaError::timed_out())
}

const NEW: NewTopic = NewTopic { partitions: 2, replication_factor: None, config: Vec::new() };

fn soon() -> StartupTimeout {
    StartupTimeout::new(Some(Duration::from_millis(300)))
}

fn wait(scripted: Scripted, new: Option<&NewTopic>) -> (Result<TopicShape, TopicError>, Arc<Scripted>) {
    let (observer, scripted) = observer(scripted);
    (observer.wait_for_topic("t", new, soon(), |_| true), scripted)
}

#[test]
fn a_topic_that_comes_is_found_with_its_id() {
    let (found, _) = wait(scripted(vec![silent(), missing(), Ok(described(&[0, 0]))]), None);
    assert_eq!(
        found.unwrap(),
        TopicShape { partitions: 2, brokers: 1, id: Some([7; 16]), is_redpanda: false }
    );
}

#[test]
fn of_many_topics_those_that_are_missing_are_made() {
    let topics = ["a", "b", "c", "d"].map(str::to_owned);
    let made = |script: Scripted, mut stills: usize| {
        let (observer, scripted) = observer(script);
        observer.make_missing(&topics, &NEW, || {
            stills = stills.saturating_sub(1);
            stills > 0
        });
        *scripted.made.lock().unwrap()
    };
    let answers = || vec![missing(), Ok(described(&[0])), silent(), missing()];
    assert_eq!(made(scripted(answers()), usize::MAX), 2, "what nobody answers is left to who waits for it");
    assert_eq!(made(scripted(answers()), 3), 1, "stopped");
    let refused = Err(NotCreated { reason: "no".to_owned(), passing: false });
    let script = Scripted { created: vec![refused].into(), ..scripted(vec![missing()]) };
    assert_eq!(made(script, usize::MAX), 1, "the rest would be refused, too");
}

#[test]
fn a_missing_topic_is_made_once_and_waited_for() {
    let (found, scripted) = wait(scripted(vec![missing(), missing(), Ok(described(&[0]))]), Some(&NEW));
    assert!(found.is_ok());
    assert_eq!(*scripted.made.lock().unwrap(), 1);
}

#[test]
fn what_cannot_be_made_ends_the_wait_unless_it_may_pass() {
    let refused = NotCreated::new(KafkaError::Broker(code::INVALID_REPLICATION_FACTOR), "3 of 1");
    let passing = NotCreated::new(KafkaError::Broker(code::NOT_CONTROLLER), "");
    let with = |created: Vec<Result<(), NotCreated>>| Scripted {
        created: created.into(),
        ..scripted(vec![missing(), missing(), Ok(described(&[0]))])
    };
    let (error, _) = wait(with(vec![Err(refused)]), Some(&NEW));
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("topic 't' could not be created: ") && error.ends_with(": 3 of 1"), "{error}");
    let (found, scripted) = wait(with(vec![Err(passing), Ok(())]), Some(&NEW));
    assert!(found.is_ok());
    assert_eq!(*scripted.made.lock().unwrap(), 2);
}

#[test]
fn why_a_topic_cannot_be_worked_on_is_told() {
    let error = |scripted| wait(scripted, None).0.unwrap_err().to_string();
    let text = error(scripted(vec![missing()]));
    assert!(text.contains("topic 't' does not exist at x:1") && text.contains("--create-topic"), "{text}");
    let denied = Err(KafkaError::Broker(code::TOPIC_AUTHORIZATION_FAILED));
    assert!(error(scripted(vec![denied])).starts_with("topic 't': not authorized for the topic"));
    let refusal = Refusal { words: "b: no".to_owned(), remedy: "check user".to_owned() };
    let refused = Scripted { refusals: vec![refusal].into(), ..scripted(vec![silent()]) };
    assert_eq!(error(refused), "the brokers at x:1 refuse the connection: b: no: check user");
    let (observer, _) = observer(scripted(vec![silent()]));
    let stopped = observer.wait_for_topic("t", None, soon(), |_| false);
    assert!(matches!(stopped, Err(TopicError::Stopped { .. })));
}

#[test]
fn only_partitions_with_a_leader_are_asked_about() {
    let (observer, scripted) = observer(scripted(vec![Ok(described(&[0, -1, 0]))]));
    let offsets = observer.offsets_of("t", &[0, 1, 2], OffsetSpec::End, Isolation::ReadUncommitted, || false);
    let offsets: Vec<_> = offsets.unwrap().iter().map(|(id, place)| (*id, place.offset)).collect();
    assert_eq!(offsets, [(0, 0), (2, 20)]);
    assert_eq!(*scripted.asked.lock().unwrap(), [0, 2]);
    let trouble = observer.trouble_with_topic("t").unwrap().to_string();
    assert!(trouble.contains("partition 1") && trouble.contains("broker 1, which is not up"), "{trouble}");
    assert_eq!(observer.is_compacted("t"), Some(true));
}
