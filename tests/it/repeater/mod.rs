//! The repeater against a real broker: tokens are neither lost nor doubled, and the loop survives what befalls it.

mod books;
mod clocks;
mod faults;
mod loops;
mod page;
mod process;
mod profile;
mod refusals;
mod strangers;

use crate::Test;

pub fn tests() -> Vec<(String, Test)> {
    [
        faults::tests(),
        profile::tests(),
        loops::tests(),
        clocks::tests(),
        strangers::tests(),
        refusals::tests(),
        page::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
