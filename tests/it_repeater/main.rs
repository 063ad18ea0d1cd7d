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

use std::{
    process::ExitCode,
    sync::{Arc, PoisonError, RwLock},
};

use broker::Broker;
use libtest_mimic::{Arguments, Trial};
use process::Outcome;
// The guard that the linker puts before one of librdkafka's functions is in it: see `build.rs`.
use proofload as _;

/// How many cases run at once: they mostly wait, for groups to settle and for members that are gone.
const THREADS: usize = 3;

type Case = fn(&Broker) -> Outcome;

/// Names cases by their functions.
macro_rules! cases {
    ($($module:ident: $($case:ident),+;)+) => { [$($((stringify!($case), $module::$case as Case)),+),+] };
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    // These stop the broker, take ports with a fixed number, need all cores, or measure how fast something is.
    let alone = cases! {
        faults: eight_processes_lose_one_and_wait_for_one_and_gain_one, brokers_down_and_back, stop_while_brokers_hang;
        page: one_process_as_on_its_page, two_processes_as_on_its_page;
        loops: very_many_tokens_start_at_once, rate_limit_is_the_process_s;
        clocks: a_rate_that_tokens_do_not_keep_up_with_is_said_once;
    };
    let together = cases! {
        faults: a_process_is_killed_and_one_is_added, a_process_is_frozen_past_its_session;
        loops: balance_of_one_process, balance_of_two_processes, balance_of_eight_processes,
            eager_members_come_and_go, transactions_with_aborts, transactions_of_our_own_client,
            activation_twice_and_reset, partitions_that_are_added_get_no_tokens;
        clocks: clocks_that_differ_are_named;
        refusals: missing_topic, bad_bodies, hostname_with_an_underscore, what_is_not_to_be_had,
            a_profile_that_cannot_be_written, a_transaction_that_may_not_last_so_long;
        strangers: a_stranger_is_not_fed;
        profile: profiles_of_all_ends, a_profile_leaves_nothing_else;
    };
    let broker = if arguments.list { None } else { Broker::start().map(Arc::new) };
    let one_at_a_time = Arc::new(RwLock::new(()));
    let trial = |name: &'static str, case: Case, is_alone: bool| {
        let (own, turn) = (broker.clone(), Arc::clone(&one_at_a_time));
        let run = move || {
            let Some(broker) = own else { return Ok(()) };
            // A case that has panicked leaves nothing that others rely on.
            if is_alone {
                let _turn = turn.write().unwrap_or_else(PoisonError::into_inner);
                case(&broker)
            } else {
                let _turn = turn.read().unwrap_or_else(PoisonError::into_inner);
                case(&broker)
            }
        };
        Trial::test(name, || run().map_err(Into::into)).with_ignored_flag(broker.is_none())
    };
    let trials = together.into_iter().map(|(name, case)| trial(name, case, false));
    // Last, so that nobody waits for them but the end.
    let trials = trials.chain(alone.into_iter().map(|(name, case)| trial(name, case, true)));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
