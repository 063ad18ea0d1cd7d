//! What cannot be worked with: topics that are not there, bodies of others, odd hosts, files that cannot be written.

use std::{
    net::TcpListener,
    process::{Command, Stdio},
};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::{
    broker::Broker,
    process::{Outcome, PATIENCE, Repeater, ensure, wait_for},
};

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
    ensure(rest.text.contains("topic bad partition 0 offset "), || rest.text.clone())?;
    ensure(rest.text.contains("2 records without a repeater's body"), || rest.text.clone())
}

/// Harnesses split a member's client id at `_` into host, process, `w` and worker.
pub fn hostname_with_an_underscore(broker: &Broker) -> Outcome {
    // `$0` is what the program becomes then.
    const RENAMED: [&str; 3] =
        ["sh", "-c", "echo my_odd_host >/proc/sys/kernel/hostname && exec \"$0\" \"$@\""];
    let ways: [&[&str]; 2] = [&["unshare", "--uts"], &["unshare", "--user", "--map-root-user", "--uts"]];
    let program = |way: &&[&'static str]| [way, RENAMED.as_slice()].concat();
    let works = |program: &Vec<&str>| {
        let status = Command::new(program[0]).args(&program[1..]).arg("true").stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let Some(program) = ways.iter().map(program).find(works) else {
        eprintln!("SKIPPED: hosts cannot be renamed here, not even for one process");
        return Ok(());
    };
    broker.create("host", 2);
    let mut repeater = Repeater::start_under(&program, broker, "--topic host --group host --workers 2");
    repeater.grows("consumed", 10, PATIENCE)?;
    let mut ids = broker.client_ids("host");
    ids.sort();
    let pid = repeater.pid();
    let expected = [format!("my-odd-host_{pid}_w_0"), format!("my-odd-host_{pid}_w_1")];
    ensure(ids == expected, || format!("{ids:?}"))?;
    repeater.finish().map(drop)
}

/// However early something is found out, it is told.
pub fn what_is_not_to_be_had(broker: &Broker) -> Outcome {
    let taken = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let port = taken.local_addr().map_err(|error| error.to_string())?.port();
    let cases = [
        ("--cores 1023".to_owned(), 3, "1023"),
        ("-X no.such.setting=1".to_owned(), 2, "no.such.setting"),
        (format!("--remote-port {port}"), 3, "choose another with --remote-port"),
    ];
    for (words, code, said) in cases {
        let mut repeater = Repeater::start(broker, &format!("--topic not-there --group refused {words}"));
        let (found, log) = (repeater.exit(PATIENCE / 4)?, repeater.log());
        ensure(found == Some(code) && log.contains(said), || format!("{words}: {found:?}\n{log}"))?;
    }
    Ok(())
}

pub fn a_profile_that_cannot_be_written(broker: &Broker) -> Outcome {
    // The topic is missing too, which would be found out next.
    let mut repeater =
        Repeater::start(broker, "--topic not-there --group profile --profile no-such-folder/p");
    let code = repeater.exit(PATIENCE / 4)?;
    let log = repeater.log();
    ensure(code == Some(3) && log.contains("--profile no-such-folder/p: cannot be written: "), || {
        log.clone()
    })?;
    ensure(!log.contains("does not exist at"), || log.clone())
}

/// The broker's limit is a quarter of an hour.
pub fn a_transaction_that_may_not_last_so_long(broker: &Broker) -> Outcome {
    broker.create("long", 1);
    let words = "--topic long --group long --use-transactions --transaction-timeout-ms 1h";
    let mut repeater = Repeater::start(broker, words);
    let (code, log) = (repeater.exit(PATIENCE)?, repeater.log());
    ensure(code == Some(3) && log.contains("cannot be used: "), || format!("{code:?}\n{log}"))
}
