//! Where threads run, and how they start.
//!
//! Thread-per-core only pays when *every* thread of the process is where the plan says, a C library's threads
//! included. So one place looks at the machine ([`cores::topology`]), one decides ([`cores::placement`]), one obeys
//! ([`executor`] for shards, [`cores::affinity`] for everybody else's threads), and one looks whether it came true
//! ([`threads`]). [`heartbeat`] tells of shards that are held up, and two more turn what would be an obscure
//! failure into a sentence before the first executor exists: [`descriptors`] and [`preflight`].
//! [`pages`] keeps many clients from taking too much memory.

pub(crate) mod cores;
pub(crate) mod cpu_time;
pub(crate) mod descriptors;
pub mod executor;
pub(crate) mod heartbeat;
pub(crate) mod pages;
pub(crate) mod preflight;
pub(crate) mod profile;
pub(crate) mod threads;
