//! Groups of ours: each pass without a name of the user's makes one.

use std::time::{Duration, Instant};

use super::crew::Crew;
use crate::{clock, config::Brokers};

const DELETE_LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// Deletes a group of ours. Members that were on their way in when the pass ended may still be on their way out.
pub(super) fn delete(crew: &Crew<'_>, name: &str) {
    if matches!(crew.config.common.brokers, Brokers::Embedded { .. }) {
        // It cannot, and ends with this process.
        return;
    }
    let until = Instant::now() + DELETE_LIMIT;
    while let Err(error) = crew.observer.delete_group(name) {
        if Instant::now() > until || crew.lifecycle().stop_requested() {
            // It is empty, and the cluster forgets it in some days.
            tracing::debug!("group {name} was not deleted: {error}");
            return;
        }
        std::thread::sleep(PAUSE);
    }
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
