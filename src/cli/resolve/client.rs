//! Who speaks to the brokers, and what that client cannot do.

use super::super::{common::ClientChoice, error::UsageError};
use crate::{
    config::{ClientKind, ClientPick},
    kafka::wire,
};

/// What a run asks of its client that not every one can do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demands<'a> {
    /// Settings of the user's own.
    pub(super) settings: &'a [(String, String)],
    /// Nothing is read or written but through a consumer group.
    pub(super) repeats: bool,
}

impl Demands<'_> {
    /// What our own client cannot do of that, if anything: a setting's name, or words.
    fn beyond_ours(&self) -> Option<&str> {
        wire::lacking(self.settings)
    }

    /// Why ours is taken only where somebody asks for it by name, if so.
    fn not_yet_ours(&self) -> Option<&str> {
        self.repeats.then_some("consumer groups")
    }
}

/// The client of a run.
///
/// # Errors
/// The one that was asked for cannot do what the run asks.
pub(super) fn pick(choice: ClientChoice, demands: Demands<'_>) -> Result<ClientPick, UsageError> {
    let mut lack = demands.beyond_ours();
    if choice == ClientChoice::Auto {
        lack = lack.or_else(|| demands.not_yet_ours());
    }
    match (choice, lack) {
        (ClientChoice::Only(ClientKind::Wire), Some(lack)) => {
            Err(UsageError::flag("client", format!("wire has no {lack} yet: give librdkafka")))
        }
        (ClientChoice::Only(kind), _) => Ok(ClientPick { kind, is_automatic: false, reason: None }),
        (ClientChoice::Auto, None) => {
            Ok(ClientPick { kind: ClientKind::Wire, is_automatic: true, reason: None })
        }
        (ClientChoice::Auto, Some(lack)) => {
            let reason = Some(format!("our own client has no {lack} yet"));
            Ok(ClientPick { kind: ClientKind::Librdkafka, is_automatic: true, reason })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demands(settings: &[(String, String)]) -> Demands<'_> {
        Demands { settings, repeats: false }
    }

    #[test]
    fn ours_is_picked_wherever_it_can_do_what_is_asked() {
        let settings = [("fetch.min.bytes".to_owned(), "1".to_owned())];
        let ours = pick(ClientChoice::Auto, demands(&settings)).unwrap();
        assert_eq!(ours, ClientPick { kind: ClientKind::Wire, is_automatic: true, reason: None });
        let settings = [("check.crcs".to_owned(), "true".to_owned())];
        let cases = [
            (demands(&settings), "check.crcs"),
            (Demands { repeats: true, ..demands(&[]) }, "consumer groups"),
        ];
        for (demands, lack) in cases {
            let pick = pick(ClientChoice::Auto, demands).unwrap();
            assert_eq!((pick.kind, pick.is_automatic), (ClientKind::Librdkafka, true));
            assert!(pick.reason.is_some_and(|reason| reason.contains(lack)), "{lack}");
        }
    }

    #[test]
    fn who_is_asked_for_by_name_is_nobody_else() {
        let in_groups = Demands { repeats: true, ..demands(&[]) };
        for kind in [ClientKind::Librdkafka, ClientKind::Wire] {
            let pick = pick(ClientChoice::Only(kind), in_groups).unwrap();
            assert_eq!(pick, ClientPick { kind, is_automatic: false, reason: None });
        }
        let settings = [("check.crcs".to_owned(), "true".to_owned())];
        assert!(pick(ClientChoice::Only(ClientKind::Wire), demands(&settings)).is_err());
    }
}
