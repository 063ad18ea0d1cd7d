//! Brokers that do not know where their logs end, or say so.

use std::time::{Duration, Instant};

use super::{Every, NAME_ALL, SMALL_ANSWERS, SMALL_BATCHES, filled, named, run, violations};
use crate::{
    Test,
    dsl::{
        Cluster, Proxy, Running,
        batches::{self, RawBatch},
        protocol::{Body, Message},
        proxy::{Fate, Rule},
        wait_until,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(an_epoch_said_to_end_early_was_written_again),
        Real(an_epoch_said_to_end_early_is_no_cut_where_its_records_are_there),
        Real(a_group_whose_client_goes_back_by_itself_reads_on),
        Real(a_log_said_to_end_early_is_truncated),
        Real(a_leader_that_names_the_place_of_a_cut_late_is_asked_again),
        Real(a_record_that_a_random_reader_is_not_shown_once_is_not_lost),
        Real(an_end_said_too_low_for_a_while_loses_nothing),
        Real(an_end_said_too_low_for_good_loses_what_lies_behind_it),
        Real(offsets_said_to_be_out_of_range_for_a_while_cost_nothing),
        Real(a_producer_told_a_lower_end_goes_on),
    ]
}

/// Says again and again that there is a new leader, so that clients ask where the last one's epoch ended, and
/// then names an offset that lies before that.
struct NewLeaders {
    epoch: i32,
    /// Where each epoch is said to end.
    epoch_end: i64,
    /// How often that was said.
    said: u64,
    /// Where the log is said to end, and start if that is behind it. There is nothing to be had from there on.
    log_end: Option<i64>,
    /// What lies behind the epoch's end is the new leader's.
    written_again: bool,
    /// For so long after it has refused a place it does not know where epochs end.
    forgetful_for: Duration,
    /// When it first refused one.
    refused: Option<Instant>,
}

impl Rule for NewLeaders {
    fn pass(&mut self, message: &mut Message) -> Fate {
        match &mut message.body {
            Body::MetadataResponse(answer) => {
                self.epoch += 1;
                for part in answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    part.leader_epoch = self.epoch;
                }
            }
            Body::OffsetForLeaderEpochResponse(answer) => {
                self.said += 1;
                let forgets = self.log_end.is_some() && !self.forgetful_for.is_zero() && {
                    // Our own client asks before it fetches anything.
                    let since = self.refused.get_or_insert_with(Instant::now);
                    since.elapsed() < self.forgetful_for
                };
                for part in answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    part.end_offset = part.end_offset.min(self.epoch_end);
                    if forgets {
                        (part.error_code, part.end_offset, part.leader_epoch) = (NOT_LEADER, -1, -1);
                    }
                }
            }
            Body::ListOffsetsResponse(answer) => {
                for part in answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    part.offset = part.offset.min(self.log_end.unwrap_or(i64::MAX));
                }
            }
            Body::FetchResponse(answer) => {
                for part in answer.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    let mut found = batches::split(part.records.as_deref().unwrap_or_default());
                    let is_behind = |batch: &RawBatch, end| batch.next_offset() > end;
                    if found.iter().any(|batch| is_behind(batch, self.log_end.unwrap_or(i64::MAX))) {
                        self.refused.get_or_insert_with(Instant::now);
                        (part.error_code, part.records) = (OFFSET_OUT_OF_RANGE, Some(Vec::new().into()));
                        part.high_watermark = -1;
                    } else if self.written_again && !found.is_empty() {
                        let later = found.iter_mut().filter(|batch| is_behind(batch, self.epoch_end));
                        later.for_each(|batch| batch.set_leader_epoch(self.epoch));
                        part.records = Some(batches::join(&found).into());
                    }
                }
            }
            _ => forget_epochs(message),
        }
        Fate::Pass
    }
}

/// The broker knows nothing of these leaders, and would refuse whoever does.
fn forget_epochs(message: &mut Message) {
    match &mut message.body {
        Body::FetchRequest(request) => {
            for part in request.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                part.current_leader_epoch = -1;
            }
        }
        Body::ListOffsetsRequest(request) => {
            for part in request.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                part.current_leader_epoch = -1;
            }
        }
        Body::OffsetForLeaderEpochRequest(request) => {
            for part in request.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                part.current_leader_epoch = -1;
            }
        }
        _ => {}
    }
}

fn new_leaders(cluster: &Cluster) -> Proxy<NewLeaders> {
    let rule = NewLeaders {
        epoch: 10,
        epoch_end: 60,
        said: 0,
        log_end: None,
        written_again: false,
        forgetful_for: Duration::ZERO,
        refused: None,
    };
    Proxy::start(cluster, rule)
}

/// Records that a waiting reader has found valid.
#[track_caller]
fn wait_for_reads(reader: &Running, count: u64) {
    reader.harness().until("all reads", |workers| workers[0].reader().validator.valid_reads == count);
}

const WAITING: &str = "--continuous --remote --metadata-max-age 300ms";

/// A leader in whose log an epoch ends earlier than it was read, and which has other records behind that, has lost what
/// was read and written others there: that is what its two answers say.
fn an_epoch_said_to_end_early_was_written_again(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 1, "--produce_msgs 200");
    let proxy = new_leaders(cluster);
    let reader = run(&proxy, &topic, &workdir, &format!("--seq_read {WAITING}")).with_control().start();
    wait_for_reads(&reader, 200);
    proxy.rule().written_again = true;
    let place = format!("refilled-truncation: topic {} partition 0 offset 60", topic.name());
    reader.finish().expect_code(1).expect_one_error(&[&place, "reaches 200", "truncated at 60"]);
    assert!(proxy.rule().said > 0);
}

/// One that still has the record which was read last, of the same leader, has lost nothing, whatever was said of an epoch:
/// librdkafka holds answers to earlier questions against the place where it stands now.
fn an_epoch_said_to_end_early_is_no_cut_where_its_records_are_there(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 1, "--produce_msgs 200");
    let proxy = new_leaders(cluster);
    let work = format!("--seq_read {WAITING} --report report.json --client librdkafka");
    let reader = run(&proxy, &topic, &workdir, &work).with_control().start();
    wait_for_reads(&reader, 200);
    wait_until("a suspicion", || reader.stderr().contains("took a log to be truncated that was not"));
    assert!(proxy.rule().said > 0);
    reader.http().order("/last_pass");
    reader.harness().until_done();
    reader.http().order("/shutdown");
    let finished = reader.finish().expect_code(0).expect_output(&["PROVEN", "200 records proven valid"]);
    assert_eq!(violations(&finished), []);
    let told = finished.stderr.matches("took a log to be truncated that was not").count();
    assert_eq!(told, 1, "counted, and told once: {}", finished.transcript());
}

/// A group's client then goes back without a word, to where it takes the log to have been truncated.
fn a_group_whose_client_goes_back_by_itself_reads_on(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 1, "--produce_msgs 200");
    let proxy = new_leaders(cluster);
    let work = format!(
        "--consumer_group_readers 1 --client librdkafka --group-consume-exactly-once {WAITING} --report report.json"
    );
    let reader = run(&proxy, &topic, &workdir, &work).with_control().start();
    wait_for_reads(&reader, 200);
    wait_until("a step back", || reader.stderr().contains("its client went back by itself"));
    reader.http().order("/last_pass");
    let workers = reader.harness().until_done();
    let validator = &workers[0].reader().validator;
    assert_eq!((validator.valid_reads, validator.offset_gaps), (200, 0), "{validator:?}");
    reader.http().order("/shutdown");
    let finished = reader.finish().expect_code(0);
    assert_eq!(
        (violations(&finished), finished.gaps()),
        (Vec::new(), Vec::new()),
        "{}",
        finished.transcript()
    );
}

fn a_log_said_to_end_early_is_truncated(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 1, "--produce_msgs 200");
    let proxy = new_leaders(cluster);
    let reader = run(&proxy, &topic, &workdir, &format!("--seq_read {WAITING}")).with_control().start();
    wait_for_reads(&reader, 200);
    proxy.rule().log_end = Some(70);
    // What the leader says of the epoch tells more than where its log ends.
    let place = format!("truncation: topic {} partition 0 offset 60", topic.name());
    reader.finish().expect_code(1).expect_one_error(&[&place, "reaches 200", "ends at 60"]);
}

/// A leader may need a moment until it can say where an epoch ended: where its log ends now is not believed to be the place
/// before it was asked again.
/// Longer than librdkafka's reader takes to believe in a lower end, ten seconds at the most, and to ask once where that is,
/// five; shorter than until it has asked for the third time, six seconds each.
const FORGETFUL: Duration = Duration::from_secs(16);

fn a_leader_that_names_the_place_of_a_cut_late_is_asked_again(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 1, "--produce_msgs 200");
    let proxy = new_leaders(cluster);
    let reader = run(&proxy, &topic, &workdir, &format!("--seq_read {WAITING}")).with_control().start();
    wait_for_reads(&reader, 200);
    {
        let mut rule = proxy.rule();
        (rule.forgetful_for, rule.log_end) = (FORGETFUL, Some(70));
    }
    let place = format!("truncation: topic {} partition 0 offset 60", topic.name());
    reader.finish().expect_code(1).expect_one_error(&[&place, "reaches 200", "ends at 60"]);
}

/// Has the broker show what lies further behind than what it was asked for.
struct LeaveOut {
    which: Every,
}

/// So many offsets, in a log of [`LONG`].
const FURTHER: i64 = 30;
const LONG: i64 = 400;

impl Rule for LeaveOut {
    fn pass(&mut self, message: &mut Message) -> Fate {
        if let Body::FetchRequest(request) = &mut message.body {
            for part in request.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                if part.fetch_offset + FURTHER < LONG && self.which.is_due() {
                    part.fetch_offset += FURTHER;
                }
            }
        }
        Fate::Pass
    }
}

/// What is shown in its stead lies behind it, and that is asked about again before anything counts as lost.
fn a_record_that_a_random_reader_is_not_shown_once_is_not_lost(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 1, &format!("--produce_msgs {LONG}"));
    let proxy = Proxy::start(cluster, LeaveOut { which: Every::nth(5, 10) });
    let finished = run(&proxy, &topic, &workdir, &format!("--rand_read_msgs 100 {NAME_ALL}")).finish();
    assert_eq!(violations(&finished), [], "{}", finished.transcript());
    finished.expect_code(0).expect_output(&["its client left offsets out", "100 records proven valid"]);
    assert_eq!(proxy.rule().which.hits, 10);
}

/// Says that logs end early.
struct LowEnds {
    end: i64,
    said: usize,
    /// The message with which it comes to its senses.
    last: fn(&Message) -> bool,
    is_over: bool,
}

impl Rule for LowEnds {
    fn pass(&mut self, message: &mut Message) -> Fate {
        self.is_over |= (self.last)(message);
        if let Body::ListOffsetsResponse(answer) = &mut message.body
            && !self.is_over
        {
            for part in answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                self.said += usize::from(part.offset > self.end);
                part.offset = part.offset.min(self.end);
                // Nobody has ever seen such a leader.
                part.leader_epoch = 1_000;
            }
        }
        Fate::Pass
    }
}

fn low_ends(cluster: &Cluster, last: fn(&Message) -> bool) -> Proxy<LowEnds> {
    Proxy::start(cluster, LowEnds { end: 50, said: 0, last, is_over: false })
}

/// As a leader may answer that has just become one: nothing is lost before it is asked again.
fn an_end_said_too_low_for_a_while_loses_nothing(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 2, "--produce_msgs 300");
    for readers in ["--seq_read", "--consumer_group_readers 2"] {
        let proxy = low_ends(cluster, |message| matches!(message.body, Body::FetchResponse(_)));
        let work = format!("{readers} {SMALL_ANSWERS} {NAME_ALL}");
        let finished = run(&proxy, &topic, &workdir, &work).finish();
        assert_eq!(violations(&finished), [], "{}", finished.transcript());
        finished.expect_code(0).expect_output(&["300 records proven valid"]);
        assert!(proxy.rule().said > 0, "{readers}");
    }
}

fn an_end_said_too_low_for_good_loses_what_lies_behind_it(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 2, "--produce_msgs 300");
    let proxy = low_ends(cluster, |_| false);
    let finished = run(&proxy, &topic, &workdir, &format!("--seq_read {NAME_ALL}")).finish().expect_code(1);
    let expected = [named("lost-write", 0, 50), named("lost-write", 1, 50)];
    assert_eq!(violations(&finished), expected, "{}", finished.transcript());
}

/// Refuses what is there.
struct OutOfRange {
    which: Every,
}

const OFFSET_OUT_OF_RANGE: i16 = 1;
const NOT_LEADER: i16 = 6;

impl Rule for OutOfRange {
    fn pass(&mut self, message: &mut Message) -> Fate {
        if let Body::FetchResponse(answer) = &mut message.body {
            for part in answer.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
                if part.records.as_ref().is_some_and(|records| !records.is_empty()) && self.which.is_due() {
                    part.error_code = OFFSET_OUT_OF_RANGE;
                    part.records = None;
                }
            }
        }
        Fate::Pass
    }
}

fn offsets_said_to_be_out_of_range_for_a_while_cost_nothing(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 2, "--produce_msgs 300");
    for (readers, words) in
        [("--seq_read", "300 records proven valid"), ("--rand_read_msgs 30", "30 records proven valid")]
    {
        let proxy = Proxy::start(cluster, OutOfRange { which: Every::nth(3, 4) });
        let work = format!("{readers} {SMALL_ANSWERS} {NAME_ALL}");
        let finished = run(&proxy, &topic, &workdir, &work).finish();
        assert_eq!(violations(&finished), [], "{}", finished.transcript());
        finished.expect_code(0).expect_output(&[words]).expect_no_output(&["truncated from"]);
        assert_eq!(proxy.rule().which.hits, 4, "{readers}");
    }
}

/// What it predicts of the first records comes true elsewhere.
fn a_producer_told_a_lower_end_goes_on(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 1, "--produce_msgs 100");
    let proxy = low_ends(cluster, |message| matches!(message.body, Body::ProduceRequest(_)));
    let work = format!("--produce_msgs 100 {SMALL_BATCHES} --seq_read {NAME_ALL}");
    let finished = run(&proxy, &topic, &workdir, &work).finish().expect_code(0);
    let producer = &finished.workdir.report()["totals"][0];
    assert_eq!((&producer["acked"], &producer["fails"]), (&100.into(), &0.into()), "{producer}");
    assert!(producer["bad_offsets"].as_u64() > Some(0), "{producer}");
    assert!(proxy.rule().said > 0);
    finished
        .expect_nothing_wrong()
        .expect_output(&["sequential  200 records proven valid, ", "are beyond the ledger"]);
}
