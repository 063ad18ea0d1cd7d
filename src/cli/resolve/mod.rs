//! From flags to the resolved configuration: everything that takes more than
//! one value to judge is judged here.

mod bench;
mod client;
mod common;
mod connection;
mod contradictions;
mod doctor;
mod idle;
mod repeater;
mod verifier;

pub(super) use bench::bench;
pub(super) use doctor::doctor;
pub(super) use repeater::repeater;
pub(super) use verifier::verifier;

use super::error::UsageError;

/// What a record takes beside its value: the batch's header, the longest key, the first header
/// (in an aborted transaction, with its key), and the lengths that precede each of them.
const RECORD_OVERHEAD_BYTES: usize = 61 + 30 + 60 + 17;

/// Refuses values that leave no room in a batch, and says which would.
fn check_record_fits(
    flag: &'static str,
    value_bytes: usize,
    fixed_bytes: usize,
    batch_max_bytes: usize,
) -> Result<(), UsageError> {
    let largest = batch_max_bytes - RECORD_OVERHEAD_BYTES - fixed_bytes;
    if value_bytes <= largest {
        return Ok(());
    }
    let why = format!(
        "up to {largest}, the largest value whose record fits into a batch of {batch_max_bytes} bytes"
    );
    Err(UsageError::value(flag, value_bytes, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_value_is_named_and_accepted() {
        let refused = check_record_fits("msg_size", 1_048_576, 0, 1_048_576).unwrap_err().to_string();
        assert_eq!(
            refused,
            "--msg_size 1048576: accepts up to 1048408, the largest value whose record fits into a batch of \
             1048576 bytes"
        );
        assert_eq!(check_record_fits("msg_size", 1_048_408, 0, 1_048_576), Ok(()));
        assert!(check_record_fits("msg_size", 1_048_409, 0, 1_048_576).is_err());
        assert!(check_record_fits("payload-size", 1_048_408, 17, 1_048_576).is_err());
    }
}
