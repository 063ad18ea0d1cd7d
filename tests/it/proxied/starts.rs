//! Brokers that take back what they have said of where a log starts.

use super::{NAME_ALL, SMALL_ANSWERS, filled, named, run, violations};
use crate::{
    Test,
    dsl::{
        Cluster, Proxy,
        protocol::{Body, Message},
        proxy::{Fate, Rule},
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![Real(a_start_that_goes_back_is_named)]
}

/// What retention took is there again, in each third answer.
#[derive(Default)]
struct StartBack {
    answers: usize,
}

const START: i64 = 100;
const BACK: i64 = 40;

impl Rule for StartBack {
    fn pass(&mut self, message: &mut Message) -> Fate {
        if let Body::FetchResponse(answer) = &mut message.body {
            self.answers += 1;
            let is_due = self.answers.is_multiple_of(3);
            for part in answer.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
                if is_due && part.log_start_offset == START {
                    part.log_start_offset = BACK;
                }
            }
        }
        Fate::Pass
    }
}

/// By our own client: the other one does not say where logs start.
fn a_start_that_goes_back_is_named(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 1, "--produce_msgs 400");
    topic.delete_below(0, START);
    for readers in ["--seq_read", "--consumer_group_readers 1", "--rand_read_msgs 30"] {
        let proxy = Proxy::start(cluster, StartBack::default());
        let work = format!("{readers} --client wire {SMALL_ANSWERS} {NAME_ALL}");
        let finished = run(&proxy, &topic, &workdir, &work).finish().expect_code(1);
        let found = violations(&finished);
        assert!(!found.is_empty(), "{readers}: {}", finished.transcript());
        assert!(found.iter().all(|one| *one == named("start-back", 0, BACK)), "{found:?}");
    }
    let work = format!("--seq_read --rand_read_msgs 30 --client wire {SMALL_ANSWERS} {NAME_ALL}");
    run(&Proxy::start(cluster, crate::dsl::proxy::Honest), &topic, &workdir, &work).finish().expect_code(0);
}
