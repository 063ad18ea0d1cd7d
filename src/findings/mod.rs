//! What a run has found out besides the data: what it waited for, and why things failed.
//!
//! Below the programs and the control thread: who finds something adds it here; log, summary and report show it.

pub mod anomaly;
mod causes;
mod complaints;
pub mod gaps;
mod patience;
mod stalls;
pub mod violations;
mod waits;

pub use causes::{Cause, Causes};
pub use complaints::{Complaint, ComplaintKind, Heard, Side, Throttling, complaints};
pub use patience::Patience;
pub(crate) use stalls::{Explanation, THROTTLED};
pub use stalls::{Stall, Stalls};
pub use waits::{Awaited, Wait, Waiting, Waits};
