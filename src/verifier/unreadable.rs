//! How far what cannot be read reaches, for readers that must not try offsets themselves: a member of a group
//! would move the whole group by that.

use std::time::Duration;

use super::{
    ends,
    shard::{Halt, ShardContext},
    skip::{Next, Skip},
};
use crate::kafka::{Consumer, Event, FaultKind, Isolation};

const WAIT: Duration = Duration::from_millis(100);
/// How long one offset is tried before it is tried again.
const PATIENCE_WAITS: u32 = 50;

/// The first offset behind `from` that can be read, or where the log ends; `None` when the run is ending.
///
/// # Errors
/// There is no client to be had.
pub(super) async fn end(
    context: &ShardContext,
    isolation: Isolation,
    partition: i32,
    from: i64,
) -> Result<Option<i64>, Halt> {
    let mut consumer = Consumer::start(&context.consumer_settings(isolation), &context.topic)?;
    let mut skip = Skip::at(from);
    while !context.stop_requested() {
        let Some(ends) = ends::ask(&consumer, partition).await else {
            glommio::timer::sleep(WAIT).await;
            continue;
        };
        let offset = match skip.next(ends.end) {
            Next::Resume { to, .. } => return Ok(Some(to)),
            Next::Try(offset) => offset,
            Next::Wait => skip.trying(),
        };
        if offset < ends.start {
            // Retention has overtaken the search: there is nothing that could not be read.
            skip.succeeded();
        } else {
            try_one(context, &mut consumer, partition, offset, &mut skip).await;
        }
    }
    Ok(None)
}

/// Tells `skip` whether something can be read at an offset; nothing, where no answer comes.
async fn try_one(
    context: &ShardContext,
    consumer: &mut Consumer,
    partition: i32,
    offset: i64,
    skip: &mut Skip,
) {
    consumer.read_from(partition, offset);
    for _ in 0..PATIENCE_WAITS {
        let mut answered = false;
        consumer.poll(|event| match event {
            _ if answered => {}
            Event::Fault(fault) if fault.kind == FaultKind::Corrupt => {
                skip.failed();
                answered = true;
            }
            Event::Record { .. } | Event::End { .. } => {
                skip.succeeded();
                answered = true;
            }
            // The client tries again by itself. That there is nothing so far behind is for whoever knows where the log
            // starts and ends: behind such a batch the client may take any bytes for another, and go where they say.
            Event::Fault(_) => {}
        });
        if answered || context.stop_requested() {
            break;
        }
        consumer.wait(WAIT).await;
    }
    consumer.stop(partition);
}
