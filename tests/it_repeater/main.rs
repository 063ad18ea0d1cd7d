//! The repeater against a real broker: tokens are neither lost nor doubled, and the loop survives what befalls it.

mod cases;
mod harness;

use std::{process::ExitCode, sync::Arc};

use harness::{Broker, Outcome};
use libtest_mimic::{Arguments, Trial};

type Case = fn(&Broker) -> Outcome;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One after the other: each measures time on a machine that it must not share with the rest.
    arguments.test_threads = Some(1);
    let cases: [(&str, Case); 13] = [
        ("balance_of_one_process", cases::balance_of_one_process),
        ("balance_of_two_processes", cases::balance_of_two_processes),
        ("balance_of_eight_processes", cases::balance_of_eight_processes),
        ("transactions_with_aborts", cases::transactions_with_aborts),
        ("activation_twice_and_reset", cases::activation_twice_and_reset),
        ("very_many_tokens_start_at_once", cases::very_many_tokens_start_at_once),
        ("missing_topic", cases::missing_topic),
        ("bad_bodies", cases::bad_bodies),
        ("rate_limit_is_the_process_s", cases::rate_limit_is_the_process_s),
        ("brokers_down_and_back", cases::brokers_down_and_back),
        ("stop_while_brokers_hang", cases::stop_while_brokers_hang),
        ("a_process_is_killed_and_one_is_added", cases::a_process_is_killed_and_one_is_added),
        ("a_process_is_frozen_past_its_session", cases::a_process_is_frozen_past_its_session),
    ];
    let broker = if arguments.list { None } else { Broker::start().map(Arc::new) };
    let trials = cases.into_iter().map(|(name, case)| {
        let own = broker.clone();
        let run = move || own.map_or(Ok(()), |broker| case(&broker)).map_err(Into::into);
        Trial::test(name, run).with_ignored_flag(broker.is_none())
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
