//! The producer: sends records, predicts where each will land, and goes on after what failed.

mod ack_watch;
mod failures;
pub(crate) mod latecomers;
pub(crate) mod open_loop;
#[cfg(test)]
mod open_loop_tests;
mod outbox;
#[cfg(test)]
mod played;
pub(crate) mod predict;
mod recover;
pub(crate) mod run;
pub(crate) mod spread;
mod timestamps;
mod values;
