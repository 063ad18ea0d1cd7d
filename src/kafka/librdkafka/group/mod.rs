//! Members of groups.

mod closing;
#[expect(clippy::module_inception, reason = "the client's consumer itself")]
mod group;
mod group_event;
mod member;
mod membership;
mod place;
mod presence;
mod sequel;

pub use member::Member;
pub use presence::Presence;
