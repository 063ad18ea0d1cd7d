//! Members of groups.

#[expect(clippy::module_inception, reason = "the member itself")]
pub(crate) mod group;
pub(crate) mod group_event;
pub(crate) mod handover;
pub(crate) mod membership;
pub(crate) mod place;
