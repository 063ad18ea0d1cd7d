//! The repeater under the name that scripts know.
#![forbid(unsafe_code)]

mod launch;

fn main() -> std::process::ExitCode {
    launch::launch("kgo-repeater")
}
