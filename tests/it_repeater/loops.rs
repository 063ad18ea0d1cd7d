//! Loops that nothing disturbs.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use crate::{
    books::{Books, tokens},
    broker::Broker,
    process::{Outcome, PATIENCE, Repeater, ensure, number_before, wait_for},
};

pub fn balance_of_one_process(broker: &Broker) -> Outcome {
    balance(broker, "librdkafka", 1, 20)
}

pub fn balance_of_two_processes(broker: &Broker) -> Outcome {
    balance(broker, "wire", 2, 20)
}

pub fn balance_of_eight_processes(broker: &Broker) -> Outcome {
    balance(broker, "wire", 8, 5)
}

/// At rest every token is in a process or in the log, and the group knows which of those are consumed.
fn balance(broker: &Broker, client: &str, processes: i64, workers: i64) -> Outcome {
    let topic = format!("balance-{processes}");
    // So many that no process is without any: members that own nothing consume nothing.
    broker.create(&topic, i32::try_from(processes * workers * 2).expect("a small number"));
    let words = format!(
        "--topic {topic} --group {topic} --workers {workers} --payload-size 1000 --initial-data-mb 1 \
         --max-buffered-records 8 --remote --client {client}"
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
    let rests = repeaters.iter_mut().map(Repeater::finish).collect::<Result<Vec<_>, _>>()?;
    let all = tokens(1, workers, 1000) * processes;
    Books::close(broker, &topic, all, &rests).balance_without_replay()
}

/// Members that know the eager protocol only: all give up everything whenever one comes or goes.
pub fn eager_members_come_and_go(broker: &Broker) -> Outcome {
    broker.create("eager", 16);
    let words = "--topic eager --group eager --workers 4 --payload-size 1000 --initial-data-mb 1 \
                 -X partition.assignment.strategy=range";
    let mut first = Repeater::start(broker, words);
    first.grows("consumed", 100, PATIENCE)?;
    let mut second = Repeater::start(broker, words);
    second.grows("consumed", 100, PATIENCE)?;
    first.grows("consumed", 100, PATIENCE)?;
    let mut rests = vec![second.finish()?];
    first.grows("consumed", 100, PATIENCE)?;
    let mut third = Repeater::start(broker, words);
    third.grows("consumed", 100, PATIENCE)?;
    rests.extend([first.finish()?, third.finish()?]);
    Books::close(broker, "eager", 3 * tokens(1, 4, 1000), &rests).balance()
}

pub fn transactions_with_aborts(broker: &Broker) -> Outcome {
    transactions(broker, "librdkafka")
}

pub fn transactions_of_our_own_client(broker: &Broker) -> Outcome {
    transactions(broker, "wire")
}

fn transactions(broker: &Broker, client: &str) -> Outcome {
    let name = format!("transactions-{client}");
    broker.create(&name, 4);
    let words = format!(
        "--topic {name} --group {name} --workers 3 --payload-size 100 --initial-data-mb 1 --max-buffered-records 16 \
         --use-transactions --msgs-per-transaction 5 --transaction-abort-rate 0.3 --client {client}"
    );
    let mut repeater = Repeater::start(broker, &words);
    repeater.grows("consumed", 500, PATIENCE * 2)?;
    let rest = repeater.finish()?;
    let all = tokens(1, 3, 100);
    ensure(rest.here + rest.produced - rest.consumed == all, || format!("{all} tokens: {rest:?}"))?;
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
    // More than the old tool's channels had room for, where it waited for ever.
    wait_for(PATIENCE, || repeater.sum("enqueued") > 300_000).map_err(|error| {
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

pub fn rate_limit_is_the_process_s(broker: &Broker) -> Outcome {
    broker.create("rate", 4);
    let words = "--topic rate --group rate --workers 4 --payload-size 983 --max-buffered-records 16 \
                 --rate-limit-bps 100000";
    let repeater = Repeater::start(broker, words);
    repeater.grows("produced", 1, PATIENCE)?;
    // Nominally 100 records a second. A machine that is busy may do less for a while, and nothing does more.
    let mut rates = Vec::new();
    while rates.last().is_none_or(|rate| *rate < 60.0) {
        ensure(rates.len() < 5, || format!("{rates:?} records per second"))?;
        let (from, started) = (repeater.sum("produced"), Instant::now());
        thread::sleep(Duration::from_secs(5));
        rates.push((repeater.sum("produced") - from) as f64 / started.elapsed().as_secs_f64());
        ensure(rates.iter().all(|rate| *rate < 130.0), || format!("{rates:?} records per second"))?;
    }
    Ok(())
}

/// The group hears of them after the producers, and starts at their ends.
pub fn partitions_that_are_added_get_no_tokens(broker: &Broker) -> Outcome {
    broker.create("grow", 2);
    let words = "--topic grow --group grow --workers 2 --payload-size 1000 --initial-data-mb 1 \
                 -X topic.metadata.refresh.interval.ms=1000 -X metadata.max.age.ms=1000";
    let mut repeater = Repeater::start(broker, words);
    repeater.grows("consumed", 100, PATIENCE)?;
    broker.grow("grow", 8);
    let joined = || broker.places_or_none("grow", "grow").iter().all(|(_, place)| place.is_some());
    wait_for(PATIENCE, joined).map_err(|error| format!("{error}\n{}", repeater.log()))?;
    repeater.grows("consumed", 1_000, PATIENCE)?;
    let rest = repeater.finish()?;
    let places = broker.places("grow", "grow");
    ensure(places.len() == 8 && places[2..].iter().all(|place| *place == (0, 0)), || format!("{places:?}"))?;
    Books::close(broker, "grow", tokens(1, 2, 1000), &[rest]).balance()
}
