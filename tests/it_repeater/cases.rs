//! The cases. Each has topics and groups of its own.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::harness::{Broker, Outcome, PATIENCE, Repeater, ensure, number_before, wait_for};

/// A member that is silent for so long is taken out of the group: the client's default.
const SESSION: Duration = Duration::from_secs(45);

pub fn balance_of_one_process(broker: &Broker) -> Outcome {
    balance(broker, 1, 4)
}

pub fn balance_of_two_processes(broker: &Broker) -> Outcome {
    balance(broker, 2, 10)
}

pub fn balance_of_eight_processes(broker: &Broker) -> Outcome {
    balance(broker, 8, 10)
}

/// At rest every token is in a process or in the log, and the group knows which of those are consumed.
fn balance(broker: &Broker, processes: usize, workers: usize) -> Outcome {
    let topic = format!("balance-{processes}");
    // So many that no process is without any: members that own nothing consume nothing.
    let partitions = i32::try_from(processes * workers * 2).expect("a small number");
    broker.create(&topic, partitions);
    let words = format!(
        "--topic {topic} --group {topic} --workers {workers} --payload-size 1000 --initial-data-mb 1 \
         --max-buffered-records 8 --remote"
    );
    let mut repeaters: Vec<_> = (0..processes).map(|_| Repeater::start(broker, &words)).collect();
    let members = format!("Stable, {} members", processes * workers);
    for repeater in &repeaters {
        wait_for(PATIENCE * 2, || repeater.log().contains(&members))
            .map_err(|error| format!("{error}\n{}", repeater.log()))?;
    }
    for repeater in &repeaters {
        repeater.get("activate")?;
    }
    for repeater in &repeaters {
        repeater.grows("consumed", 500, PATIENCE)?;
    }
    let (mut consumed, mut produced, mut here, mut again) = (0, 0, 0, 0);
    for repeater in &mut repeaters {
        let rest = repeater.finish()?;
        consumed += rest.consumed;
        produced += rest.produced;
        here += rest.here;
        again += number_before(&rest.text, " records that another member consumes again").unwrap_or(0);
    }
    let workers_in_all = i64::try_from(processes * workers).expect("a small number");
    let tokens = (1 << 20) / i64::try_from(workers).expect("a small number") / 1000 * workers_in_all;
    let (records, lag) = broker.records_and_lag(&topic, &topic);
    let found = format!(
        "{tokens} tokens: {here} here, {produced} produced, {consumed} consumed, {again} again; {records} records, lag {lag}"
    );
    ensure(here + produced - consumed == tokens, || found.clone())?;
    // What the group did not learn of is consumed again, and is counted: in a run without faults, nothing.
    ensure(records == produced && lag == produced - consumed && again == 0, || found)
}

pub fn transactions_with_aborts(broker: &Broker) -> Outcome {
    broker.create("transactions", 4);
    let words = "--topic transactions --group transactions --workers 3 --payload-size 100 --initial-data-mb 1 \
                 --max-buffered-records 16 --use-transactions --msgs-per-transaction 5 --transaction-abort-rate 0.3";
    let mut repeater = Repeater::start(broker, words);
    repeater.grows("consumed", 500, PATIENCE * 2)?;
    let rest = repeater.finish()?;
    let tokens = (1 << 20) / 3 / 100 * 3;
    ensure(rest.here + rest.produced - rest.consumed == tokens, || format!("{tokens} tokens: {rest:?}"))?;
    let (aborted, sent_again) =
        (number_before(&rest.text, " aborted\n")?, number_before(&rest.text, " tokens of those sent again")?);
    ensure(aborted > 0 && sent_again >= aborted, || rest.text.clone())?;
    ensure(!rest.text.contains("starting a new producer"), || rest.text.clone())
}

pub fn activation_twice_and_reset(broker: &Broker) -> Outcome {
    broker.create("activation", 4);
    let words = "--topic activation --group activation --workers 2 --payload-size 1000 --remote";
    let mut repeater = Repeater::start(broker, words);
    wait_for(PATIENCE, || repeater.log().contains("Stable, 2 members")).map_err(|_| repeater.log())?;
    ensure(repeater.sum("produced") == 0, || "it did not wait".to_owned())?;
    let fields: Vec<String> =
        repeater.status()?[0].as_object().map(|worker| worker.keys().cloned().collect()).unwrap_or_default();
    ensure(fields == ["topics", "produced", "consumed", "enqueued", "errors", "latency"], || {
        format!("{fields:?}")
    })?;
    repeater.get("activate")?;
    repeater.get("activate")?;
    repeater.grows("consumed", 100, PATIENCE)?;
    let before = repeater.sum("consumed");
    repeater.get("reset")?;
    ensure(repeater.sum("consumed") < before, || "not reset".to_owned())?;
    repeater.get("print_stack")?;
    ensure(repeater.log().contains("shard-0"), || repeater.log())?;
    repeater.get("shutdown")?;
    let code = repeater.exit(PATIENCE / 4)?;
    ensure(code == Some(0), || format!("{code:?}\n{}", repeater.log()))
}

pub fn very_many_tokens_start_at_once(broker: &Broker) -> Outcome {
    broker.create("many", 4);
    let started = Instant::now();
    let words = "--topic many --group many --workers 3 --payload-size 1000 --initial-data-mb 300 --remote";
    let repeater = Repeater::start(broker, words);
    wait_for(Duration::from_secs(5), || repeater.sum("enqueued") > 300_000).map_err(|error| {
        format!(
            "{error}: {} tokens after {:?}\n{}",
            repeater.sum("enqueued"),
            started.elapsed(),
            repeater.log()
        )
    })?;
    let statm =
        fs::read_to_string(format!("/proc/{}/statm", repeater.pid())).map_err(|error| error.to_string())?;
    let pages: u64 = statm.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(u64::MAX);
    ensure(pages < 40_000, || format!("{pages} pages"))?;
    repeater.get("activate")?;
    repeater.grows("consumed", 1000, PATIENCE)
}

pub fn missing_topic(broker: &Broker) -> Outcome {
    broker.create("there", 1);
    let words = "--topics there,not-there --group missing --startup-timeout 2s";
    let mut repeater = Repeater::start(broker, words);
    let code = repeater.exit(PATIENCE)?;
    ensure(code == Some(3) && repeater.log().contains("topic 'not-there' does not exist"), || {
        repeater.log()
    })?;
    let mut again = Repeater::start(broker, words);
    let code = again.exit(PATIENCE)?;
    ensure(code == Some(3), || "asking for it has created it".to_owned())
}

pub fn bad_bodies(broker: &Broker) -> Outcome {
    broker.create("bad", 1);
    let mut repeater = Repeater::start(broker, "--topic bad --group bad --payload-size 1000");
    repeater.grows("consumed", 10, PATIENCE)?;
    let producer: BaseProducer = broker.client().create().map_err(|error| error.to_string())?;
    for value in ["short", "long enough, but not a repeater's body"] {
        producer
            .send(BaseRecord::<str, str>::to("bad").payload(value))
            .map_err(|(error, _)| error.to_string())?;
    }
    producer.flush(PATIENCE).map_err(|error| error.to_string())?;
    wait_for(PATIENCE, || repeater.sum("errors") == 2).map_err(|_| repeater.log())?;
    repeater.grows("consumed", 10, PATIENCE)?;
    let rest = repeater.finish()?;
    ensure(rest.text.matches("no repeater's record").count() == 1, || rest.text.clone())?;
    ensure(rest.text.contains("2 bodies that are no repeater's"), || rest.text.clone())
}

pub fn rate_limit_is_the_process_s(broker: &Broker) -> Outcome {
    broker.create("rate", 4);
    let words = "--topic rate --group rate --workers 4 --payload-size 983 --max-buffered-records 16 \
                 --rate-limit-bps 100000";
    let repeater = Repeater::start(broker, words);
    repeater.grows("produced", 1, PATIENCE)?;
    let (from, started) = (repeater.sum("produced"), Instant::now());
    thread::sleep(Duration::from_secs(5));
    let rate = (repeater.sum("produced") - from) as f64 / started.elapsed().as_secs_f64();
    // Nominally 100 records a second.
    ensure((60.0..130.0).contains(&rate), || format!("{rate} records per second"))
}

pub fn brokers_down_and_back(broker: &Broker) -> Outcome {
    broker.create("outage", 4);
    let mut repeater =
        Repeater::start(broker, "--topic outage --group outage --workers 4 --payload-size 1000");
    repeater.grows("consumed", 100, PATIENCE)?;
    broker.stop();
    thread::sleep(Duration::from_secs(30));
    ensure(repeater.status().is_ok(), || "no status while brokers are away".to_owned())?;
    broker.restart();
    repeater.grows("consumed", 100, SESSION + PATIENCE)?;
    let rest = repeater.finish()?;
    let tokens = (4 << 20) / 4 / 1000 * 4;
    ensure(rest.here + rest.produced - rest.consumed == tokens, || format!("{tokens} tokens: {rest:?}"))?;
    ensure(rest.text.matches("is gone").count() == 1, || rest.text.clone())
}

pub fn stop_while_brokers_hang(broker: &Broker) -> Outcome {
    broker.create("hang", 4);
    let mut repeater = Repeater::start(broker, "--topic hang --group hang --workers 8 --payload-size 1000");
    repeater.grows("consumed", 100, PATIENCE)?;
    broker.signal("STOP");
    thread::sleep(Duration::from_secs(1));
    let rest = repeater.finish();
    broker.signal("CONT");
    ensure(rest?.text.contains("end to end  p50"), || "no summary".to_owned())
}

pub fn a_process_is_killed_and_one_is_added(broker: &Broker) -> Outcome {
    broker.create("kill", 8);
    let words = "--topic kill --group kill --workers 4 --payload-size 1000 --initial-data-mb 1";
    let mut survivor = Repeater::start(broker, words);
    survivor.grows("consumed", 100, PATIENCE)?;
    let victim = Repeater::start(broker, words);
    victim.grows("consumed", 100, PATIENCE)?;
    victim.signal("KILL");
    thread::sleep(Duration::from_secs(3));
    let mut added = Repeater::start(broker, words);
    wait_for(SESSION + PATIENCE, || {
        survivor.log().contains("Stable, 8 members") && added.sum("consumed") > 0
    })
    .map_err(|error| format!("{error}\n{}\n{}", survivor.log(), added.log()))?;
    survivor.grows("consumed", 100, SESSION + PATIENCE)?;
    added.grows("consumed", 100, PATIENCE)?;
    ensure(survivor.sum("errors") == 0, || survivor.log())?;
    added.finish()?;
    survivor.finish().map(drop)
}

pub fn a_process_is_frozen_past_its_session(broker: &Broker) -> Outcome {
    broker.create("freeze", 8);
    let words = "--topic freeze --group freeze --workers 2 --payload-size 1000 --initial-data-mb 1";
    let mut survivor = Repeater::start(broker, words);
    survivor.grows("consumed", 100, PATIENCE)?;
    let mut frozen = Repeater::start(broker, words);
    // Before it produces it only takes tokens in, and would take all of them into its sleep.
    frozen.grows("produced", 1000, PATIENCE)?;
    frozen.signal("STOP");
    thread::sleep(SESSION + Duration::from_secs(5));
    survivor.grows("consumed", 100, PATIENCE)?;
    frozen.signal("CONT");
    frozen.grows("consumed", 100, PATIENCE)?;
    survivor.grows("consumed", 100, PATIENCE)?;
    frozen.finish()?;
    survivor.finish().map(drop)
}
