//! What is spoken, which topics there are, and topics that were made anew.

use proofload::inside::protocol::{
    Api, ApiVersionsRequest, ApiVersionsResponse, CreateTopicRequest, CreateTopicsResponse, MetadataRequest,
    MetadataResponse, TopicId, TopicRef,
};

use super::{
    Probe, Scene,
    batches::plain,
    expected::usually,
    probes,
    scene::{CLOSED, FETCH, Fetch, name},
};

pub(super) const PROBES: &[Probe] = probes![
    Anywhere:
        a_missing_topic_is_unknown;
    Kafka:
        versions_are_told_in_the_first_form,
        what_the_cluster_has_agreed_on,
        a_name_that_cannot_be,
        a_topic_by_its_id,
        a_topic_that_was_made_anew,
        topics_that_cannot_be_made;
];

fn a_missing_topic_is_unknown(scene: &mut Scene<'_>) {
    let answer = scene.ask(
        scene.version(Api::Metadata),
        &MetadataRequest { topics: Some(&["no-such-topic"]), tell_rights: false },
    );
    let answer = answer.expect("an answer");
    let topics =
        MetadataResponse::decode(scene.version(Api::Metadata), answer.body()).expect("an answer").topics;
    let word = format!("{} with {} partitions", name(topics[0].error), topics[0].partitions.len());
    scene.expect("by its name", word, "UNKNOWN_TOPIC_OR_PARTITION with 0 partitions");
}

fn ask_versions(scene: &mut Scene<'_>, software: &str, version: i16) -> Option<ApiVersionsResponse<'static>> {
    let request = ApiVersionsRequest { software, software_version: "1" };
    // Ours is as the newest that we have; what has to be read is the answer.
    let (correlation, mut frame) = scene.frame(3, &request);
    frame[6..8].copy_from_slice(&version.to_be_bytes());
    scene.send(&frame);
    let answer = scene.answer(Api::ApiVersions, 3, correlation).ok()?;
    let read = ApiVersionsResponse::decode(3, answer.body()).expect("an answer");
    // Its names would be the answer's.
    let features = Vec::new();
    Some(ApiVersionsResponse { features, error: read.error, ranges: read.ranges, throttle_time_ms: 0 })
}

fn versions_are_told_in_the_first_form(scene: &mut Scene<'_>) {
    for version in [99, 5, -1] {
        let Some(answer) = ask_versions(scene, "probe", version) else {
            scene.expect(&format!("version {version}"), CLOSED, "an answer");
            continue;
        };
        let known: Vec<_> = answer.ranges.iter().map(|range| range.key).collect();
        let word = format!("{}, {known:?}", name(answer.error));
        scene.expect(&format!("version {version}"), word, "UNSUPPORTED_VERSION, [18]");
    }
    let answer = ask_versions(scene, "no name", 3).map(|answer| (name(answer.error), answer.ranges.len()));
    scene.expect("a name with a space", format!("{answer:?}"), "Some((\"INVALID_REQUEST\", 0))");
    let answer = ask_versions(scene, "probe", 3).expect("an answer");
    let range = |api: Api| {
        let range = answer.ranges.iter().find(|range| range.key == api.key());
        range.map_or_else(|| "none".to_owned(), |range| format!("{}–{}", range.first, range.last))
    };
    let gone = "KIP-896 took old versions away";
    for (api, expected) in [
        (Api::Produce, usually("0–13").on_3_9("0–11", gone)),
        (Api::Fetch, usually("4–18").on_3_9("0–17", gone)),
        (Api::ListOffsets, usually("1–10").on_3_9("0–9", gone)),
        (Api::Metadata, usually("0–13").on_3_9("0–12", gone)),
        (Api::FindCoordinator, "0–6".into()),
        (Api::InitProducerId, "0–5".into()),
        (Api::OffsetForLeaderEpoch, usually("2–4").on_3_9("0–4", gone)),
        (Api::AddPartitionsToTxn, "0–5".into()),
        (Api::EndTxn, usually("0–5").on_3_9("0–4", gone)),
        (Api::CreateTopics, usually("2–7").on_3_9("0–7", gone)),
        (Api::DescribeConfigs, usually("1–4").on_3_9("0–4", gone)),
    ] {
        scene.expect(&format!("{api}"), range(api), expected);
    }
}

fn what_the_cluster_has_agreed_on(scene: &mut Scene<'_>) {
    let request = ApiVersionsRequest { software: "probe", software_version: "1" };
    let answer = scene.ask(3, &request).expect("an answer");
    let features = ApiVersionsResponse::decode(3, answer.body()).expect("an answer").features;
    let level = |name: &str| features.iter().find(|one| one.name == name).map_or(-1, |one| one.level);
    let words = format!("{} and {}", level("transaction.version"), level("group.version"));
    scene.expect(
        "transactions and groups",
        words,
        usually("2 and 1").on_3_9("-1 and -1", "KIP-890, KIP-848"),
    );
}

fn a_name_that_cannot_be(scene: &mut Scene<'_>) {
    for topic in ["", "a b", "..", "a/b"] {
        let answer = scene.ask(
            scene.version(Api::Metadata),
            &MetadataRequest { topics: Some(&[topic]), tell_rights: false },
        );
        let answer = answer.expect("an answer");
        let topics =
            MetadataResponse::decode(scene.version(Api::Metadata), answer.body()).expect("an answer").topics;
        scene.expect(&format!("{topic:?}"), name(topics[0].error), "INVALID_TOPIC_EXCEPTION");
    }
}

/// Asks for a topic by its id only; returns the error and its name.
fn by_id(scene: &mut Scene<'_>, id: TopicId) -> String {
    const VERSION: i16 = 12;
    let answer = scene.ask_with(Api::Metadata, VERSION, |encoder| {
        encoder.array_length(1);
        encoder.topic_id(id);
        encoder.nullable_string(None);
        encoder.no_tags();
        encoder.bool(false);
        encoder.bool(false);
        encoder.no_tags();
    });
    let Ok(answer) = answer else { return CLOSED.to_owned() };
    let topics = MetadataResponse::decode(VERSION, answer.body()).expect("an answer").topics;
    let known = if topics[0].name == scene.topic { "the name" } else { topics[0].name };
    format!("{} {known}", name(topics[0].error)).trim().to_owned()
}

fn a_topic_by_its_id(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    let id = scene.topic_id();
    let answer = by_id(scene, id);
    scene.expect("its own", answer, "OK the name");
    let answer = by_id(scene, [7; 16]);
    scene.expect("an unknown one", answer, "UNKNOWN_TOPIC_ID");
}

fn a_topic_that_was_made_anew(scene: &mut Scene<'_>) {
    scene.make_topic(&[]);
    scene.produce(plain(3));
    let (id, topic) = (scene.topic_id(), scene.topic.clone());
    scene.world.delete_topic(&topic);
    let answer = scene.fetch(0);
    scene.expect("deleted, by its name", answer, "UNKNOWN_TOPIC_OR_PARTITION");
    let answer = scene.fetch_of(16, TopicRef::Id(id), &FETCH);
    scene.expect("deleted, by its id", answer, "UNKNOWN_TOPIC_ID");
    scene.make_topic(&[]);
    let new = scene.topic_id();
    scene.expect("the new id", if new == id { "is the old one" } else { "is another" }, "is another");
    let answer = scene.fetch_of(16, TopicRef::Id(id), &FETCH);
    scene.expect("made anew, by the old id", answer, "UNKNOWN_TOPIC_ID");
    let answer = by_id(scene, id);
    scene.expect("metadata of the old id", answer, "UNKNOWN_TOPIC_ID");
    let answer = scene.fetch_of(16, TopicRef::Id(new), &FETCH);
    scene.expect("made anew, by the new id", answer, "nothing; start 0, end 0");
    let answer = scene.fetch(3);
    scene.expect("made anew, by its name at the old end", answer, "OFFSET_OUT_OF_RANGE");
    let answer = scene.fetch_as(&Fetch { offset: 3, leader_epoch: 0, last_fetched_epoch: 0, ..FETCH });
    scene.expect(
        "with the old epoch, which is the new one's too",
        answer,
        "nothing; diverges where epoch 0 ends at 0; start 0, end 0",
    );
    let answer = scene.epoch_end(0, 0);
    scene.expect("the end of epoch 0", answer, "epoch 0 ends at 0");
}

fn topics_that_cannot_be_made(scene: &mut Scene<'_>) {
    const VERSION: i16 = 5;
    scene.make_topic(&[]);
    let topic = scene.topic.clone();
    let mut make = |request: CreateTopicRequest<'_>| {
        let answer = scene.ask(VERSION, &request).expect("an answer");
        let answer = CreateTopicsResponse::decode(VERSION, answer.body()).expect("an answer");
        let words: Vec<_> = answer.topics.iter().map(|topic| name(topic.error)).collect();
        words.join(", ")
    };
    let fine = CreateTopicRequest {
        name: "never-made",
        partitions: 1,
        replication_factor: 1,
        settings: &[],
        timeout_ms: 10_000,
    };
    let answers = [
        ("one that exists", make(CreateTopicRequest { name: &topic, ..fine }), "TOPIC_ALREADY_EXISTS"),
        ("a name with a space", make(CreateTopicRequest { name: "a b", ..fine }), "INVALID_TOPIC_EXCEPTION"),
        ("no partitions", make(CreateTopicRequest { partitions: 0, ..fine }), "INVALID_PARTITIONS"),
        (
            "nine replicas",
            make(CreateTopicRequest { replication_factor: 9, ..fine }),
            "INVALID_REPLICATION_FACTOR",
        ),
        (
            "no replicas",
            make(CreateTopicRequest { replication_factor: 0, ..fine }),
            "INVALID_REPLICATION_FACTOR",
        ),
        (
            "an unknown setting",
            make(CreateTopicRequest { settings: &[("a", "b")], ..fine }),
            "INVALID_CONFIG",
        ),
    ];
    for (what, answer, expected) in answers {
        scene.expect(what, answer, expected);
    }
}
