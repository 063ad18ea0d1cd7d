//! What a cluster that is simulated cannot show; the rest is in `sim::asking`.

use super::*;
use crate::kafka::wire::core::{
    machine::{Action, Machine},
    network::tests::settings,
    notice::Notice,
};

fn admin() -> Admin {
    Admin::new(NetworkSettings { traces: true, ..settings(&["one"]) })
}

/// The whole list of a broker that has these ranges, in answer to the first question in the version that is asked.
fn versions(ranges: &[[i16; 3]]) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 0, 0, 0, u8::try_from(ranges.len() + 1).unwrap()];
    for range in ranges {
        body.extend(range.iter().flat_map(|number| number.to_be_bytes()));
        body.push(0);
    }
    body.extend([0, 0, 0, 0, 0]);
    let length = i32::try_from(body.len()).unwrap().to_be_bytes();
    [&length[..], &body].concat()
}

fn feed(admin: &mut Admin, link: LinkId, bytes: &[u8], now_us: u64) {
    for byte in bytes {
        let space = admin.space(link);
        if space.is_empty() {
            return;
        }
        space[0] = *byte;
        admin.received(link, 1, now_us);
    }
}

#[test]
fn a_broker_that_cannot_be_produced_to_is_refused_at_once_with_its_range() {
    let mut admin = admin();
    admin.step(0);
    let Some(Action::Open { link, .. }) = admin.poll_action() else { panic!("it connects") };
    admin.opened(link, 1);
    feed(&mut admin, link, &versions(&[[18, 0, 3], [3, 0, 9], [0, 0, 3], [1, 0, 11], [2, 0, 5]]), 2);
    let losses = admin.take_losses();
    let [(broker, error)] = losses.as_slice() else { panic!("{losses:?}") };
    assert_eq!(broker.to_string(), "one:9092");
    let text = "the broker speaks Produce in versions 0 to 3, and versions 7 to 13 are spoken here";
    assert_eq!(error.to_string(), text);
    assert!(matches!(admin.poll_notice(), Some(Notice::Trouble { was_ready: true, .. })));
}

#[test]
fn what_was_asked_and_what_it_cost_is_told_where_that_is_wanted() {
    let mut admin = admin();
    let id = admin.ask(Whom::Any, Question::Describe { topic: "t".to_owned() }, 9_000, 0);
    let Some(Action::Open { link, .. }) = admin.poll_action() else { panic!("it connects") };
    admin.opened(link, 1);
    feed(&mut admin, link, &versions(&[[18, 0, 3], [3, 0, 8], [0, 0, 8], [1, 0, 11], [2, 0, 5]]), 2);
    // Throttled, no broker, no name of the cluster, no controller, one topic that is not there, no rights.
    let topic = [0, 3, 0, 1, b't', 0, 0, 0, 0, 0, 128, 0, 0, 0];
    let body =
        [&[0, 0, 0, 7, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 0, 0, 0, 1][..], &topic, &[128, 0, 0, 0]];
    let body = body.concat();
    for correlation_id in [1, 2] {
        let length = i32::try_from(body.len() + 4).unwrap().to_be_bytes();
        feed(&mut admin, link, &[&length[..], &[0, 0, 0, correlation_id], &body].concat(), 1_002);
    }
    let answers = admin.take_answers();
    let [(answered, Ok(Reply::Described(description)))] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!((*answered, description.error), (id, 3));
    let notices: Vec<_> = std::iter::from_fn(|| admin.poll_notice()).collect();
    let told = |notice: &Notice| match notice {
        Notice::Answered(answered) => {
            Some((answered.error, answered.size.took_us, answered.size.response_bytes))
        }
        _ => None,
    };
    assert!(notices.iter().filter_map(told).any(|told| told == (3, 1_000, body.len() + 4)), "{notices:?}");
    assert!(
        notices.iter().any(|notice| matches!(notice, Notice::Throttled { for_ms: 7, .. })),
        "{notices:?}"
    );
}
