//! Members of groups.

mod closing;
mod commit_position;
mod commits;
#[expect(clippy::module_inception, reason = "the client's consumer itself")]
mod group;
mod group_event;
mod member;
mod membership;
mod presence;
mod sequel;

pub(super) use member::Member;
pub(crate) use presence::Presence;
