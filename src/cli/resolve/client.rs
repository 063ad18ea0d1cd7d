//! Who speaks to the brokers, and what that client cannot do.

use super::super::{common::ClientChoice, error::UsageError};
use crate::{
    config::{ClientKind, ClientPick},
    kafka::wire,
};

/// The client of a run with these settings of the user's own.
///
/// # Errors
/// The one that was asked for cannot do what the run asks.
pub(super) fn pick(choice: ClientChoice, settings: &[(String, String)]) -> Result<ClientPick, UsageError> {
    match (choice, wire::lacking(settings)) {
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

    #[test]
    fn ours_is_picked_wherever_it_can_do_what_is_asked() {
        let settings = [("fetch.min.bytes".to_owned(), "1".to_owned())];
        let of_group = [("session.timeout.ms".to_owned(), "6000".to_owned())];
        for settings in [&settings, &of_group] {
            let ours = pick(ClientChoice::Auto, settings).unwrap();
            assert_eq!(ours, ClientPick { kind: ClientKind::Wire, is_automatic: true, reason: None });
        }
        let settings = [("check.crcs".to_owned(), "true".to_owned())];
        let pick = pick(ClientChoice::Auto, &settings).unwrap();
        assert_eq!((pick.kind, pick.is_automatic), (ClientKind::Librdkafka, true));
        assert!(pick.reason.is_some_and(|reason| reason.contains("check.crcs")));
    }

    #[test]
    fn who_is_asked_for_by_name_is_nobody_else() {
        for kind in [ClientKind::Librdkafka, ClientKind::Wire] {
            let pick = pick(ClientChoice::Only(kind), &[]).unwrap();
            assert_eq!(pick, ClientPick { kind, is_automatic: false, reason: None });
        }
        let settings = [("check.crcs".to_owned(), "true".to_owned())];
        assert!(pick(ClientChoice::Only(ClientKind::Wire), &settings).is_err());
    }
}
