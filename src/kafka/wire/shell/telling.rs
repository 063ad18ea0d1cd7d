//! Passes on what a client has to say of its connections: to the complaints of the process, and to the log.

use std::{sync::Mutex, time::Instant};

use crate::{
    findings::{Side, complaints},
    kafka::{
        chatter::Chatter,
        wire::{
            complaint,
            core::notice::{Answered, Notice},
            protocol::Api,
        },
    },
};

/// Rare, except where every request is to be told.
#[cold]
pub(super) fn tell(notice: Notice) {
    match notice {
        Notice::Trouble { broker, error, was_ready } => {
            tracing::debug!("broker {broker}: the connection is over: {error}");
            if let Some(heard) = complaint::heard(&broker, &error, was_ready) {
                complaints().note(heard);
            }
        }
        Notice::Throttled { broker, api, for_ms } => {
            let side = match api {
                Api::Produce | Api::InitProducerId => Side::Producers,
                Api::Fetch => Side::Consumers,
                _ => return,
            };
            complaints().throttled(side, &broker.address, for_ms.into());
        }
        Notice::Answered(answered) => trace(&answered),
    }
}

/// Shows a request, if not too many of the same kind were shown already.
fn trace(answered: &Answered) {
    static CHATTER: Mutex<Chatter> = Mutex::new(Chatter::new());
    let api = format!("{}{}", answered.api, if answered.error == 0 { "" } else { " error" });
    let admitted = CHATTER.lock().ok().and_then(|mut chatter| chatter.admit(&api, Instant::now()));
    match admitted {
        None => {}
        Some(0) => tracing::trace!("{answered}"),
        Some(more) => tracing::trace!("{answered} ({more} more like it were not shown)"),
    }
}
