//! What a record carries: its id, its key, its proof.

pub(crate) mod headers;
mod id;
pub(crate) mod proof;
mod view;

pub use id::*;
pub(crate) use view::Header;
pub use view::RecordView;
