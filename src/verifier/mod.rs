//! The verifier: produce, read back, and prove.

#[doc(hidden)]
pub mod alone;
pub(crate) mod check;
pub(crate) mod phases;
pub(crate) mod produce;
pub(crate) mod read;
pub(crate) mod run;
pub(crate) mod run_context;
mod second_look;
pub(crate) mod shard;
mod sliced;
pub(crate) mod trial;
pub(crate) mod work_watch;
