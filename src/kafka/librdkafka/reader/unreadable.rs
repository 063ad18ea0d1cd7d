//! What cannot be read: whether that is why nothing comes, and how far it reaches. A client of its own tries offsets for
//! that: the reader's would lose its place, and a member of a group would move the whole group.

use std::time::Duration;

use super::skip::{Next, Skip};
use crate::{
    kafka::librdkafka::{
        consumer::{Consumer, Event},
        fault::FaultKind,
    },
    mutants::enforced,
    partitions::PartitionSlot,
};

const WAIT: Duration = Duration::from_millis(100);
/// How long one offset is tried before it is tried again.
const PATIENCE_WAITS: u32 = 50;
/// How often the client has to say that it cannot take apart what it was sent. Once may be what was under way when it
/// was told to read somewhere else.
const ENOUGH: u64 = 2;

/// What is in place of a batch that fits its checksum, and is none.
pub(crate) const MALFORMED: &str = "one with a record that cannot be taken apart";

/// What lies at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record, there or behind it.
    Record,
    /// The end of the log.
    End,
    /// A batch that does not fit its checksum, or cannot be unpacked, or a record whose headers cannot be read. The
    /// client says so, or shows it, to whoever reads there.
    Corrupt,
    /// A batch that fits its checksum, with a record that cannot be taken apart. That is told to nobody.
    Malformed,
    /// Nothing, in all the time it had: who knows what the broker waits for.
    Nothing,
}

/// The first offset behind `from` that can be read, or where the log ends; `None` when `stop` becomes true before.
/// `consumer` must have been started as one that probes.
pub(super) async fn end(
    consumer: &mut Consumer,
    partition: PartitionSlot,
    from: i64,
    stop: &impl Fn() -> bool,
) -> Option<i64> {
    let mut skip = Skip::at(from);
    while !stop() {
        let Some(ends) = consumer.ends(partition, stop).await else {
            glommio::timer::sleep(WAIT).await;
            continue;
        };
        let offset = match skip.next(ends.end) {
            Next::Resume { to, .. } => return Some(to),
            Next::Try(offset) => offset,
            Next::Wait => skip.trying(),
        };
        if offset < ends.start {
            // Retention has overtaken the search: there is nothing that could not be read.
            skip.succeeded();
            continue;
        }
        match look(consumer, partition, offset, stop).await {
            Found::Record | Found::End => skip.succeeded(),
            Found::Corrupt | Found::Malformed => skip.failed(),
            Found::Nothing => {}
        }
    }
    None
}

/// Finds out what lies at an offset; [`Found::Nothing`] when `stop` becomes true before.
pub(super) async fn look(
    consumer: &mut Consumer,
    partition: PartitionSlot,
    offset: i64,
    stop: &impl Fn() -> bool,
) -> Found {
    // What it has said of other places counts for them.
    consumer.poll(|_| ());
    let before = consumer.malformed();
    consumer.read_from(partition, offset);
    let mut found = Found::Nothing;
    for _ in 0..PATIENCE_WAITS {
        consumer.poll(|event| match event {
            _ if found != Found::Nothing => {}
            Event::Fault { fault, .. } if fault.kind == FaultKind::Corrupt => found = Found::Corrupt,
            Event::Record { record, .. } if !record.has_sound_headers => found = Found::Corrupt,
            Event::Record { .. } => found = Found::Record,
            Event::End { .. } => found = Found::End,
            // The client tries again by itself. That there is nothing so far behind is for whoever knows where the log
            // starts and ends: behind such a batch the client may take any bytes for another, and go where they say.
            Event::Fault { .. } => {}
        });
        // What was shown comes first: the records in front of one that cannot be taken apart can be read.
        if found == Found::Nothing && consumer.malformed() - before >= ENOUGH {
            found = Found::Malformed;
        }
        if found != Found::Nothing || stop() {
            break;
        }
        consumer.wait(WAIT).await;
    }
    consumer.stop(partition);
    if found == Found::Malformed && !enforced("corrupt-silence") { Found::Nothing } else { found }
}
