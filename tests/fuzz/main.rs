//! Decoders, fed with what nobody would send: never a panic, never more memory than is allowed.
//!
//! As an ordinary test each target gets a few thousand inputs. `scripts/prove --fuzz` builds this with the compiler's counters
//! of edges (LLVM's `SanitizerCoverage`, which stable compilers have, too); then an input that goes where none went before is
//! kept, and changed further.

mod engine;
mod instruments;
mod mutate;
mod seeds;
mod targets;

use engine::fuzz;

#[test]
fn responses() {
    fuzz("responses", &seeds::responses(), targets::responses);
}

#[test]
fn batches() {
    fuzz("batches", &seeds::batches(), targets::batches);
}

#[test]
fn connections() {
    fuzz("connections", &seeds::connections(), targets::connections);
}

#[test]
fn logins() {
    fuzz("logins", &seeds::logins(), targets::logins);
}
