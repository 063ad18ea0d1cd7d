//! Reading as a member of a group: what every client that does so tells the loops that check, or echo.

mod added;
mod assigned;
mod group_reader;
mod handover;
mod joined;
mod member_reader;
mod membership;
mod settings;
mod showing;
mod standing;

pub(crate) use group_reader::{Expected, GroupFactory, GroupReader, GroupVisitor, MemberState};
pub(crate) use handover::Handover;
pub(crate) use joined::Joined;
pub(crate) use member_reader::{MemberReader, PlaceAnswer};
pub(crate) use membership::{COMMIT_EVERY, COMMIT_PATIENCE, CommitNumber, CommitWord, GroupWord, Membership};
pub(crate) use settings::{GroupStart, MemberSettings};
