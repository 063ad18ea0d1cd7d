//! The benchmark: a load at a rate, read while it is written, and proven like any other run.

#[allow(dead_code, unused_imports, reason = "the run that fills it comes next")]
pub mod result;
