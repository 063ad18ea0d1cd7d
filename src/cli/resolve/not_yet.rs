//! What the flags promise and the program does not do yet. Such a flag is
//! refused by name: ignoring it would let a run claim a proof that it never made.

use super::super::{error::UsageError, verifier::VerifierArgs};

pub(super) fn verifier(args: &VerifierArgs) -> Result<(), UsageError> {
    if args.proof.proof_header == Some(true) {
        return Err(UsageError::NotYet("proof-header"));
    }
    Ok(())
}
