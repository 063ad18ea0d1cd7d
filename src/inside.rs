//! What the project's own benches and its probes of real brokers look at. It is no interface, and no promise to anybody
//! else: whatever is not named here is seen by the library alone, and what nobody uses is found out.

/// Records, as they are written and read.
pub mod record {
    pub use crate::{
        config::Fill,
        random::Random,
        record::{
            KeyText, PayloadPool, ProducedBatch, RECORD_ID_BYTES, RECORD_ID_HEADER, RecordView,
            encode_record_id, parse_record_id,
            proof::{Content, Encoded, PROOF_HEADER, Proof, digest_of, encode},
        },
        verifier::check::validator::{PartitionState, Rules, Visible},
    };
}

/// What was acked, in memory and on disk.
pub mod ledger {
    pub use crate::ledger::{AckedRuns, Ledger, LedgerStore, OffsetRun, PartitionLedger};
}

/// The protocol's messages.
pub mod protocol {
    pub use crate::kafka::wire::protocol::*;
}

/// Batches of records.
pub mod batch {
    pub use crate::kafka::wire::batch::*;
}

/// A shard's loops, and what a client is to them.
pub mod shard {
    pub use crate::{
        kafka::{
            Answers, ClientError, ClientFactory, Delivery, Isolation, KafkaError, LogEvent, LogReader,
            LogVisitor, LogWriter, OffsetSpec, Outcome, QuestionId, ReadFrom, ReaderSettings, Record,
            SendError, WriterSettings,
        },
        partitions::{PartitionSlot, PartitionTable, TopicPartition},
        verifier::alone,
    };
}

/// Cores, executors, and what a panic does.
pub mod runtime {
    pub use crate::{
        app::panic,
        runtime::{
            cores::{
                cpu_set::CpuSet,
                placement::{self, ClientThreads, CoresRequest, ShardLimits},
                topology::Topology,
            },
            executor,
        },
    };
}

/// A client's connection, and who it says it is.
pub mod connection {
    pub use crate::{
        config::Secret,
        kafka::wire::core::{
            connection::{Connection, ConnectionSettings},
            login::{Login, Mechanism},
        },
    };
}
