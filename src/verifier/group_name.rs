//! Groups of ours: each pass without a name of the user's makes one.

use std::time::{Duration, Instant};

use super::{
    checker,
    crew::Crew,
    group_reader::{self, STATIC_MEMBER},
};
use crate::{clock, config::Brokers, runtime::cpu_set::CpuSet};

const DELETE_LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// Deletes a group of ours. Members that were on their way in when the pass ended may still be on their way out.
pub(super) fn delete(crew: &Crew<'_>, name: &str) {
    if matches!(crew.config.common.brokers, Brokers::Embedded { .. }) {
        // It cannot, and ends with this process.
        return;
    }
    let until = Instant::now() + DELETE_LIMIT + static_session(crew);
    while let Err(error) = crew.observer.delete_group(name) {
        if Instant::now() > until || crew.lifecycle().stop_requested() {
            // It is empty, and the cluster forgets it in some days.
            tracing::debug!("group {name} was not deleted: {error}");
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// How long the member that keeps its place, if it does, is still in the group when it has gone: it says to nobody that
/// it leaves.
fn static_session(crew: &Crew<'_>) -> Duration {
    let group = crew.config.group_read.as_ref();
    let Some(group) = group.filter(|_| crew.client.given(STATIC_MEMBER).is_some()) else {
        return Duration::ZERO;
    };
    let isolation = checker::isolation(crew.config.proof);
    let settings = group_reader::settings(&crew.client, group, String::new(), isolation, CpuSet::default());
    let session = settings.session();
    tracing::info!(
        "the group is deleted when the session of its static member ({STATIC_MEMBER}) has ended, in {session:?} at most"
    );
    session
}

/// `kgo-verifier-{unix s}-{pid}-{run}`.
pub(super) fn generated_name(run: u64) -> String {
    let now_s = clock::unix_ms() / 1_000;
    format!("kgo-verifier-{now_s}-{}-{run}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_name_has_three_numbers() {
        let name = generated_name(7);
        let numbers: Vec<_> = name.strip_prefix("kgo-verifier-").unwrap().split('-').collect();
        assert_eq!(
            (numbers.len(), numbers[1], numbers[2]),
            (3, std::process::id().to_string().as_str(), "7")
        );
    }
}
