//! A group that does not say at once where it has consumed a topic up to.

use kafka_protocol::messages::OffsetFetchResponse;

use super::{filled, run};
use crate::{
    Test,
    dsl::{
        Cluster, Proxy, Release,
        protocol::{Body, Dialect, Message},
        proxy::{Fate, Rule},
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Shared(Release::Newest, a_group_is_asked_for_its_place_until_it_says_it),
        Shared(Release::Former, a_group_is_asked_for_its_place_until_it_says_it),
    ]
}

/// The coordinator is loading, has moved, and has a transaction open that carries an offset.
const ERRORS: [i16; 3] = [14, 16, 88];

/// It says why not, so often, before it says where it is.
#[derive(Default)]
struct Reluctant {
    answers: usize,
}

impl Rule for Reluctant {
    fn pass(&mut self, message: &mut Message) -> Fate {
        if let Body::OffsetFetchResponse(answer) = &mut message.body {
            if let Some(error) = ERRORS.get(self.answers) {
                refuse(answer, *error);
            }
            self.answers += 1;
        }
        Fate::Pass
    }
}

/// Of a place that is not stable it is the partition that has the error.
fn refuse(answer: &mut OffsetFetchResponse, error: i16) {
    let (group_error, error) = if error == 88 { (0, error) } else { (error, 0) };
    if answer.groups.is_empty() {
        answer.error_code = group_error;
    }
    for partition in answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        (partition.committed_offset, partition.error_code) = (-1, error);
    }
    for group in &mut answer.groups {
        group.error_code = group_error;
        for partition in group.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            (partition.committed_offset, partition.error_code) = (-1, error);
        }
    }
}

fn a_group_is_asked_for_its_place_until_it_says_it(cluster: &Cluster) {
    let (topic, workdir) = filled(cluster, 2, "--produce_msgs 300");
    for dialect in [Dialect::Own, Dialect::Kafka24, Dialect::Redpanda] {
        let proxy = Proxy::start_with(cluster, dialect, Reluctant::default());
        let group = format!("{}-{dialect:?}", topic.name());
        let work = format!(
            "--consumer_group_readers 1 --consumer_group_name {group} --client wire --use-transactions \
             --group-consume-exactly-once"
        );
        run(&proxy, &topic, &workdir, &format!("{work} --seq_read_msgs 100"))
            .finish()
            .expect_code(0)
            .expect_output(&["group       100 records proven valid"]);
        let first = proxy.rule().answers;
        assert!(first > ERRORS.len(), "{first} answers");
        proxy.rule().answers = 0;
        // Whoever starts over reads more than the rest.
        run(&proxy, &topic, &workdir, &work)
            .finish()
            .expect_code(0)
            .expect_output(&["group       200 records proven valid"]);
        assert!(proxy.rule().answers > ERRORS.len());
    }
}
