//! A plain run with our own client needs no other one: it finds the topic, watches the brokers, and says who is in the way.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    thread,
    time::Duration,
};

use kafka_protocol::{messages::ApiKey, protocol::StrBytes};
use nix::sys::signal::Signal;

use crate::{
    Test,
    dsl::{
        Cluster, Proxy, Run, Running, poll, ports,
        protocol::{Body, Message},
        proxy::{Fate, Rule},
        threads,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Real(no_thread_of_the_other_client_is_there),
        Real(a_dead_first_address_and_a_name_with_several_are_no_obstacle),
        Real(an_advertised_name_that_does_not_resolve_is_named),
        Real(a_broker_that_is_too_old_is_named_with_its_versions),
        Real(answers_that_are_cut_off_or_another_s_cost_a_connection),
        Real(each_request_is_a_line_where_that_is_wanted),
        Real(a_topic_that_is_made_anew_is_named),
        Alone(what_is_no_broker_is_named),
        Alone(who_hangs_up_is_named),
    ]
}

const WIRE: &str = "--client wire";
const WORK: &str = "--produce_msgs 3000 --msg_size 100 --seq_read --rand_read_msgs 20";

fn run(flags: &str, work: &str) -> Run {
    Run::verifier().args(flags).args(WIRE).args(work)
}

/// In whatever phase it is, from its beginning on, and whoever is not told with which client it is to work.
fn no_thread_of_the_other_client_is_there(cluster: &Cluster) {
    let readers = "--rand_read_msgs 2000 --parallel 2 --seq_read --consume-throughput-mb 2";
    let produce = "--produce_msgs 2000 --msg_size 1000 --produce-throughput-bps 1000000";
    let plain = Run::verifier().args(format!("{produce} {readers}"));
    let transactions = "--use-transactions --msgs-per-transaction 10 --transaction-abort-rate 0.2";
    let transactional = Run::verifier().args(format!("{produce} --seq_read {transactions}"));
    let bench =
        Run::proofload().args("bench --msg_size 100 --rate 500 --duration 2s --warmup 1s --readers direct");
    for run in [plain, transactional, bench] {
        let topic = cluster.topic(4);
        let run = run.args(topic.flags()).args("--remote-port 0").run_bare();
        expect_own_threads_only(run);
    }
}

fn expect_own_threads_only(run: Running) {
    let (mut seen, mut everywhere) = (BTreeSet::new(), BTreeSet::new());
    let over = poll(|| {
        for thread in threads::of(run.pid()) {
            if thread.name == "observer" {
                everywhere.insert(thread.cpus.to_string());
            }
            seen.insert(thread.name);
        }
        run.stdout().contains("PROVEN").then_some(())
    });
    assert!(over.is_some(), "{}", run.transcript());
    run.finish().expect_code(0).expect_nothing_wrong();
    assert!(seen.contains("shard-0") && seen.contains("control"), "{seen:?}");
    assert!(!seen.iter().any(|name| name.starts_with("rdk:")), "{seen:?}");
    let allowed = threads::allowed().to_string();
    assert_eq!(everywhere.into_iter().collect::<Vec<_>>(), [allowed], "where the observer may run");
}

fn a_dead_first_address_and_a_name_with_several_are_no_obstacle(cluster: &Cluster) {
    let (_, port) = cluster.bootstrap().rsplit_once(':').expect("a port");
    let dead = format!("127.0.0.1:{}", ports::free_port());
    // Of a name that means both ::1 and 127.0.0.1, only the second is listened at.
    for brokers in [format!("{dead},{}", cluster.bootstrap()), format!("localhost:{port}")] {
        let topic = cluster.topic(2);
        let flags = format!("--brokers {brokers} --topic {}", topic.name());
        run(&flags, WORK).finish().expect_code(0).expect_nothing_wrong();
    }
}

/// Every answer about the cluster, changed.
struct Told(fn(&mut Message));

impl Rule for Told {
    fn pass(&mut self, message: &mut Message) -> Fate {
        (self.0)(message);
        Fate::Pass
    }
}

fn an_advertised_name_that_does_not_resolve_is_named(cluster: &Cluster) {
    let proxy = Proxy::start(
        cluster,
        Told(|message| {
            if let Body::MetadataResponse(answer) = &mut message.body {
                answer
                    .brokers
                    .iter_mut()
                    .for_each(|broker| broker.host = StrBytes::from_static_str("nowhere.invalid"));
            }
        }),
    );
    let topic = cluster.topic(1);
    let run = run(&proxy.flags(&topic), "--seq_read").start();
    run.wait_for_log("is advertised as nowhere.invalid:");
    run.wait_for_log("mend the broker's advertised.listeners");
    assert!(!run.stderr().contains(" is gone ("), "{}", run.transcript());
    run.signal(Signal::SIGINT);
}

fn a_broker_that_is_too_old_is_named_with_its_versions(cluster: &Cluster) {
    let proxy = Proxy::start(
        cluster,
        Told(|message| {
            if let Body::ApiVersionsResponse(answer) = &mut message.body {
                let produce =
                    answer.api_keys.iter_mut().filter(|range| range.api_key == ApiKey::Produce as i16);
                produce.for_each(|range| (range.min_version, range.max_version) = (0, 5));
            }
        }),
    );
    let topic = cluster.topic(1);
    let finished = run(&proxy.flags(&topic), WORK).finish().expect_code(3);
    let said = [&*proxy.address(), "Produce in versions 0 to 5", "versions 7 to 13 are spoken here"];
    let finished = finished.expect_one_error(&said);
    assert!(finished.elapsed < Duration::from_secs(8), "{:?}", finished.elapsed);
    assert_eq!(topic.ends(), [0], "nothing produced");
}

/// The first answers of those who look at the cluster.
fn answers_that_are_cut_off_or_another_s_cost_a_connection(cluster: &Cluster) {
    struct Meddle(usize);
    impl Rule for Meddle {
        fn pass(&mut self, message: &mut Message) -> Fate {
            let is_answer = matches!(message.body, Body::MetadataResponse(_) | Body::ListOffsetsResponse(_));
            if !is_answer || self.0 == 12 {
                return Fate::Pass;
            }
            self.0 += 1;
            if self.0.is_multiple_of(4) {
                message.correlation += 1;
                return Fate::Pass;
            }
            Fate::CutAt(self.0 * 7 - 6)
        }
    }
    let (topic, proxy) = (cluster.topic(2), Proxy::start(cluster, Meddle(0)));
    run(&proxy.flags(&topic), WORK).finish().expect_code(0).expect_nothing_wrong();
    assert_eq!(proxy.rule().0, 12);
}

fn each_request_is_a_line_where_that_is_wanted(cluster: &Cluster) {
    let topic = cluster.topic(8);
    let work = "--produce_msgs 100000 --msg_size 100 --max-buffered-records 256 --seq_read --trace \
                --produce-throughput-bps 4000000";
    let finished = run(&topic.flags(), work).finish().expect_code(0).expect_nothing_wrong();
    let line =
        |words: &[&str]| finished.stderr.lines().any(|line| words.iter().all(|word| line.contains(word)));
    let broker = format!("broker {}", cluster.bootstrap());
    for api in ["Produce v", "Fetch v", "ListOffsets v"] {
        assert!(
            line(&[&broker, api, " partition", " B sent, ", " B received, ", " ms"]),
            "{api}\n{}",
            finished.transcript()
        );
    }
    assert!(line(&["Metadata v"]) && line(&["more like it were not shown"]), "{}", finished.transcript());
    assert!(finished.stderr.len() < 200_000, "{} B", finished.stderr.len());
}

/// It is empty, and so nothing that was read is missing: only its id tells.
fn a_topic_that_is_made_anew_is_named(cluster: &Cluster) {
    let topic = cluster.topic(2);
    let run = run(&topic.flags(), "--seq_read --continuous --metadata-max-age 1s").with_control().start();
    run.harness().first();
    // It is looked at five times a second.
    thread::sleep(Duration::from_secs(1));
    topic.delete();
    topic.create_again();
    let told = format!("topic {} was deleted and created anew: another topic has its name now", topic.name());
    run.wait_for_log(&told);
    run.signal(Signal::SIGINT);
}

/// Takes connections, says something or nothing, and hangs up.
fn no_broker(words: &'static [u8]) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    // It ends with the process that runs the tests.
    thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let _ = client.read(&mut [0; 1_024]);
            let _ = client.write_all(words);
        }
    });
    address
}

fn what_is_no_broker_is_named() {
    let address = no_broker(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let flags = format!("--brokers {address} --topic t --startup-timeout 3s");
    let finished = run(&flags, WORK).finish().expect_code(3);
    // "HTTP" is a length, too.
    finished.expect_one_error(&[&address, "1213486160 bytes"]);
}

fn who_hangs_up_is_named() {
    let address = no_broker(b"");
    let flags = format!("--brokers {address} --topic t --startup-timeout 3s");
    run(&flags, WORK).finish().expect_code(3).expect_one_error(&[
        &address,
        "closes connections",
        "--enable-tls",
    ]);
}
