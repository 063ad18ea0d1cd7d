//! What a record carries: its id, its key, its proof.

mod id;
pub mod proof;
mod view;

pub use id::*;
pub use view::{Header, RecordView};
