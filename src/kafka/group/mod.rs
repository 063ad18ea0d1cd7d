//! Reading as a member of a group: what every client that does so tells the loops that check, or echo.

mod group_reader;
mod handover;
mod settings;

pub use group_reader::{Expected, GroupFactory, GroupReader, GroupVisitor, MemberState};
pub use handover::Handover;
pub use settings::{GroupStart, MemberSettings};
