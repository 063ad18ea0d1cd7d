//! The repeater under the name that scripts know.
#![forbid(unsafe_code)]

use proofload::Program;

/// For librdkafka too: its `malloc` is this one, which halves the cost of reading.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    proofload::main(Program::Repeater)
}
