//! What a run has found out besides the data: what it waited for, and why things failed.
//!
//! Below the programs and the control thread: who finds something adds it here; log, summary and report show it.

mod causes;
mod complaints;
mod patience;
mod waits;

pub use causes::{Cause, Causes};
pub use complaints::{Complaint, ComplaintKind, Complaints, Heard, Side, Throttling, complaints};
pub use patience::Patience;
pub use waits::{Awaited, Wait, Waiting, Waits};
