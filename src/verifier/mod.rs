//! The verifier: produce, read back, and prove.

#[doc(hidden)]
pub mod alone;
pub mod check;
mod crew;
mod phases;
pub(crate) mod produce;
pub mod read;
pub mod run;
mod second_look;
mod shard;
mod trial;
mod work_watch;
