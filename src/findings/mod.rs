//! What a run has found out besides the data: what it waited for, and why things failed.
//!
//! Below the programs and the control thread: who finds something adds it here; log, summary and report show it.

pub(crate) mod anomaly;
mod causes;
mod complaints;
pub(crate) mod gaps;
mod patience;
mod stalls;
pub(crate) mod violations;
mod waits;

pub(crate) use causes::{Cause, Causes};
pub(crate) use complaints::{Complaint, ComplaintKind, Heard, Side, Throttling, complaints};
pub(crate) use patience::Patience;
pub(crate) use stalls::{Explanation, THROTTLED};
pub(crate) use stalls::{Stall, Stalls};
pub(crate) use waits::{Awaited, Wait, Waiting, Waits, complained};
