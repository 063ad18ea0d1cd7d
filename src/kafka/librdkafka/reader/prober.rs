//! Questions about places where nothing comes, answered beside the work of a reader: it goes on meanwhile with what
//! it is shown of other partitions.

use std::{cell::RefCell, collections::VecDeque, rc::Rc, sync::Arc, time::Duration};

use glommio::Task;

use super::{
    unreadable::{self, Found},
    witness::{self, LeaderAnswer, Suspect},
};
use crate::{
    kafka::{
        ReaderSettings,
        librdkafka::{consumer::Consumer, settings::ConsumerSettings},
    },
    partitions::{PartitionSlot, PartitionTable},
};

/// Before a client is tried again that could not start.
const PAUSE: Duration = Duration::from_secs(1);

/// What is to be found out about a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// Whether what lies there cannot be taken apart.
    What,
    /// How far reaches what cannot be read.
    HowFar,
    /// Whether the log was truncated below it: the record before is of this epoch.
    IsCut { epoch: i32 },
}

/// What was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// What lies at this offset cannot be taken apart.
    Malformed { partition: PartitionSlot, offset: i64 },
    /// Somebody else is shown a record at this offset, or behind it. Whatever else may be there is no answer.
    Readable { partition: PartitionSlot, offset: i64 },
    /// From an offset on, up to and without another, nothing can be read.
    Reaches { partition: PartitionSlot, from: i64, to: i64 },
    /// What the leader has at a place that was suspected.
    Leader { suspect: Suspect, word: LeaderAnswer },
}

#[derive(Debug, Default)]
struct Work {
    /// The first is being worked at.
    questions: VecDeque<(Question, PartitionSlot, i64)>,
    answers: Vec<Answer>,
}

/// One client, which is there while there are questions, and takes them one by one: where nothing comes of a thousand
/// partitions, that is no reason for a thousand clients.
pub(crate) struct Prober {
    settings: Rc<ConsumerSettings>,
    table: Arc<PartitionTable>,
    work: Rc<RefCell<Work>>,
    /// Ends when it is dropped.
    task: Option<Task<()>>,
}

impl Prober {
    /// One for a reader of these partitions with these settings.
    pub(crate) fn new(settings: &ConsumerSettings, table: Arc<PartitionTable>) -> Self {
        // It reads one record here and there.
        let reader = ReaderSettings { read_ahead: false, paced: false, ..settings.reader };
        let settings = ConsumerSettings { reader, ..settings.clone() };
        Self { settings: settings.into(), table, work: Rc::default(), task: None }
    }

    /// Finds out whether what lies at an offset cannot be taken apart.
    pub(crate) fn what_is(&mut self, partition: PartitionSlot, offset: i64) {
        self.ask((Question::What, partition, offset));
    }

    /// Finds out how far reaches what cannot be read at this offset.
    pub(crate) fn how_far(&mut self, partition: PartitionSlot, offset: i64) {
        self.ask((Question::HowFar, partition, offset));
    }

    /// Finds out whether a log was truncated below the place up to which it was read.
    pub(crate) fn look_for_truncation(&mut self, suspect: Suspect) {
        let Suspect { partition, behind, epoch } = suspect;
        self.ask((Question::IsCut { epoch }, partition, behind));
    }

    /// What has been found out since the last call.
    pub(crate) fn answers(&mut self) -> Vec<Answer> {
        // An empty vector costs nothing.
        if self.task.is_none() { Vec::new() } else { std::mem::take(&mut self.work.borrow_mut().answers) }
    }

    fn ask(&mut self, question: (Question, PartitionSlot, i64)) {
        let mut work = self.work.borrow_mut();
        if work.questions.contains(&question) {
            return;
        }
        work.questions.push_back(question);
        let is_idle = work.questions.len() == 1;
        // The task takes its first step at once.
        drop(work);
        if is_idle {
            let (settings, table, work) = (self.settings.clone(), self.table.clone(), self.work.clone());
            self.task = Some(glommio::spawn_local(async move { answer_all(&settings, &table, &work).await }));
        }
    }
}

async fn answer_all(settings: &ConsumerSettings, table: &Arc<PartitionTable>, work: &RefCell<Work>) {
    let mut consumer = loop {
        match Consumer::start_probing(settings, table) {
            Ok(consumer) => break consumer,
            Err(error) => tracing::debug!("what lies where nothing comes is not looked into: {error}"),
        }
        glommio::timer::sleep(PAUSE).await;
    };
    loop {
        let Some(&question) = work.borrow().questions.front() else { return };
        let answer = answer(&mut consumer, question).await;
        let mut work = work.borrow_mut();
        work.questions.pop_front();
        work.answers.extend(answer);
    }
}

async fn answer(
    consumer: &mut Consumer,
    (question, partition, offset): (Question, PartitionSlot, i64),
) -> Option<Answer> {
    // Who is not wanted any more is dropped.
    let stop = &|| false;
    match question {
        Question::What => match unreadable::look(consumer, partition, offset, stop).await {
            Found::Malformed => Some(Answer::Malformed { partition, offset }),
            Found::Record => Some(Answer::Readable { partition, offset }),
            Found::End | Found::Corrupt | Found::Nothing => None,
        },
        Question::HowFar => {
            let to = unreadable::end(consumer, partition, offset, stop).await?;
            Some(Answer::Reaches { partition, from: offset, to })
        }
        Question::IsCut { epoch } => {
            let suspect = Suspect { partition, behind: offset, epoch };
            Some(Answer::Leader { suspect, word: witness::ask(consumer, suspect, stop).await })
        }
    }
}
