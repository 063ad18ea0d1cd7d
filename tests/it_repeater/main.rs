//! The repeater against a real broker: tokens are neither lost nor doubled, and the loop survives what befalls it.

mod books;
mod broker;
mod clocks;
mod faults;
mod loops;
mod page;
mod process;
mod profile;
mod refusals;
mod strangers;

use std::{process::ExitCode, sync::Arc};

use broker::Broker;
use libtest_mimic::{Arguments, Trial};
use process::Outcome;
// The guard that the linker puts before one of librdkafka's functions is in it: see `build.rs`.
use proofload as _;

type Case = fn(&Broker) -> Outcome;

/// Names cases by their functions.
macro_rules! cases {
    ($($module:ident: $($case:ident),+;)+) => { [$($((stringify!($case), $module::$case as Case)),+),+] };
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One after the other: each measures time on a machine that it must not share with the rest.
    arguments.test_threads = Some(1);
    let cases = cases! {
        loops: balance_of_one_process, balance_of_two_processes, balance_of_eight_processes,
            eager_members_come_and_go, transactions_with_aborts, transactions_of_our_own_client, activation_twice_and_reset,
            very_many_tokens_start_at_once, partitions_that_are_added_get_no_tokens, rate_limit_is_the_process_s;
        clocks: clocks_that_differ_are_named, a_rate_that_tokens_do_not_keep_up_with_is_said_once;
        refusals: missing_topic, bad_bodies, hostname_with_an_underscore, what_is_not_to_be_had,
            a_profile_that_cannot_be_written, a_transaction_that_may_not_last_so_long;
        strangers: a_stranger_is_not_fed;
        profile: profiles_of_all_ends, a_profile_leaves_nothing_else;
        page: one_process_as_on_its_page, two_processes_as_on_its_page;
        faults: brokers_down_and_back, stop_while_brokers_hang, a_process_is_killed_and_one_is_added,
            a_process_is_frozen_past_its_session, eight_processes_lose_one_and_wait_for_one_and_gain_one;
    };
    let broker = if arguments.list { None } else { Broker::start().map(Arc::new) };
    let trials = cases.into_iter().map(|(name, case)| {
        let own = broker.clone();
        let run = move || own.map_or(Ok(()), |broker| case(&broker)).map_err(Into::into);
        Trial::test(name, run).with_ignored_flag(broker.is_none())
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
