//! What a seed stands for: a cluster, a network, clients, and what goes wrong.

use super::{Flavour, lines::Weather};
use crate::{
    kafka::wire::{
        batch::Codec,
        core::{sink::SinkSettings, source::SourceSettings},
    },
    random::Random,
};

/// All of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub flavour: Flavour,
    pub nodes: i32,
    pub partitions: i32,
    pub replicas: i32,
    pub min_in_sync: usize,
    pub records: usize,
    pub weather: Weather,
    /// How long it is until the next record at the most, µs.
    pub push_most_us: u64,
    /// How long it is until the next fault at the most, µs; 0: there is none.
    pub fault_most_us: u64,
    /// How often a broker answers with an error that passes.
    pub quirks: f64,
    /// Logs may be cut.
    pub is_unclean: bool,
    /// Nobody asks without a name, and so long it is good for, ms; 0: for ever.
    pub session_ms: Option<u64>,
    /// Bytes a second that the producer may send.
    pub quota: Option<u32>,
    /// When the producer gives up on what is on its way, µs.
    pub gives_up_us: Option<u64>,
    pub sink: SinkSettings,
    pub source: SourceSettings,
}

impl Plan {
    pub(super) fn of(random: &mut Random) -> Self {
        let number = |random: &mut Random, below: usize| i32::try_from(random.index(below)).unwrap_or(0);
        let nodes = 1 + number(random, 3);
        let replicas = 1 + number(random, 3).min(nodes - 1);
        let flavours = [Flavour::Kafka24, Flavour::Kafka39, Flavour::Kafka41, Flavour::Redpanda];
        let most_records = if random.chance(0.2) { 400 } else { 100 };
        let seldom = |random: &mut Random, often: f64, value: f64| {
            if random.chance(often) { value } else { 0.0 }
        };
        Self {
            flavour: flavours[random.index(4)],
            nodes,
            partitions: 1 + number(random, 4),
            replicas,
            min_in_sync: if replicas > 1 && random.chance(0.5) { 2 } else { 1 },
            records: 1 + random.index(most_records),
            weather: Weather {
                latency_most_us: 1 << (4 + random.index(14)),
                piece_most_bytes: 1 << (4 + random.index(12)),
                cut: seldom(random, 0.5, 0.01),
                refused: seldom(random, 0.5, 0.1),
                half_open: seldom(random, 0.3, 0.005),
            },
            push_most_us: 1 << (4 + random.index(14)),
            fault_most_us: if random.chance(0.8) { 1 << (16 + random.index(6)) } else { 0 },
            quirks: seldom(random, 0.3, 0.1),
            is_unclean: random.chance(0.25),
            session_ms: random.chance(0.2).then(|| [0, 1_500, 4_000][random.index(3)]),
            quota: random.chance(0.2).then(|| 100 + u32::try_from(random.index(1_000)).unwrap_or(0)),
            gives_up_us: random.chance(0.2).then(|| random.below(6_000_000)),
            sink: sink(random),
            source: source(random),
        }
    }

    /// Whether nothing keeps a session from being renewed in time.
    pub(super) fn is_quiet(&self) -> bool {
        let Weather { latency_most_us, half_open, .. } = self.weather;
        self.fault_most_us == 0 && self.quota.is_none() && half_open == 0.0 && latency_most_us < 1 << 12
    }
}

fn sink(random: &mut Random) -> SinkSettings {
    let codecs = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    SinkSettings {
        linger_us: if random.chance(0.2) { random.below(20_000) } else { 0 },
        batch_most_bytes: 200 + random.index(2_000),
        codec: if random.chance(0.2) { codecs[random.index(4)] } else { Codec::None },
        request_most_bytes: 2_500 + random.index(8_000),
        requests_in_flight: 1 + random.index(6),
        records_most: 1 + random.index(200),
        replicas_ms: 1_000,
        answer_us: 1_200_000 + random.below(2_000_000),
        deposed_us: 300_000,
    }
}

fn source(random: &mut Random) -> SourceSettings {
    let max_bytes = if random.chance(0.5) { 1 << 20 } else { 300 };
    let partition_max_bytes = 100 + i32::try_from(random.index(5_000)).unwrap_or(0);
    SourceSettings {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes,
        partition_max_bytes,
        // Nothing is drawn for it: seeds stay what they are.
        requests_at_once: if partition_max_bytes % 4 == 3 { 2 } else { 1 },
        reads_ahead: random.chance(0.5),
        read_committed: random.chance(0.5),
        step_records: if random.chance(0.5) { usize::MAX } else { 1 + random.index(20) },
        unpacked_most_bytes: 1 << 20,
        back_off_us: 50_000,
        question_us: 5_000_000,
    }
}
