//! What producers of both programs have in common: a client and its transaction, made and renewed together, and what of
//! their records has no final outcome yet.

mod pending;
#[expect(clippy::module_inception, reason = "the folder is named for it")]
mod producer;
mod transaction;

pub(crate) use pending::Pending;
pub(crate) use producer::{Cause, Producer};
pub(crate) use transaction::{Change, Transaction};
