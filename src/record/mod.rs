//! What a record carries: its id, its key, its proof.

pub(crate) mod headers;
mod id;
pub mod proof;
mod view;

pub use id::*;
pub use view::{Header, RecordView};
