//! The surroundings of a worker, for tests that play its clients.

use std::{rc::Rc, sync::Arc};

use super::context::{RepeaterContext, ShardFloor};
use crate::{
    app::{
        Shared,
        ending::{Asked, Ending},
    },
    cli::{self, Command, Program},
    kafka::ClientSettings,
    stats::WorkerStats,
};

/// The only shard of a process with one worker, and no main thread.
pub(super) struct PlayedFloor {
    pub(super) shard: Rc<ShardFloor>,
    pub(super) shared: Arc<Shared>,
    pub(super) stats: Arc<WorkerStats>,
}

impl PlayedFloor {
    /// A repeater's with these flags beside group, number of workers and payload.
    pub(super) fn new(flags: &str) -> Self {
        let line = format!("--topic t --group g --workers 1 --payload-size 100 {flags}");
        let Ok(Command::Repeater(config)) =
            cli::parse(Program::Repeater, line.split_whitespace().map(Into::into))
        else {
            panic!("no flags of a repeater: {line}")
        };
        let common = Arc::new(Shared::new(&Ending::begin(Asked::Repeater(config.clone())), 0));
        let client = ClientSettings::new(&config.common, "127.0.0.1:1");
        let (sender, _) = crossbeam::channel::unbounded();
        let stats = Arc::new(WorkerStats::default());
        let (topics, all_stats) = (vec![("t".to_owned(), 1)], vec![stats.clone()]);
        let context = RepeaterContext::new(*config, common.clone(), sender, client, topics, all_stats);
        let shard = Rc::new(ShardFloor::new(Arc::new(context), 1));
        Self { shard, shared: common, stats }
    }
}
