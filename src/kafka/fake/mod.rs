//! Clients that do what a test tells them, for loops that are generic over clients: no broker, no timer. Tests name partitions
//! of one topic by their numbers.

mod group;
mod membership;
mod reader;
mod writer;

use std::{cell::RefCell, rc::Rc, sync::Arc};

use glommio::{LocalExecutorBuilder, Placement};

pub(crate) use group::{GroupStep, Groups};
pub(crate) use membership::{Memberships, PlayedMembership};
pub(crate) use reader::{Call, Reader, Reads, Step, record_at};
pub(crate) use writer::{Arrival, Reaction, Reply, Writer, Writes};

use super::{
    ClientError, ClientFactory, GroupFactory, MemberSettings, ReaderSettings, SpotFactory, WriterSettings,
};
use crate::partitions::PartitionTable;

/// Makes such clients. Its clones share what the test says, and what has happened.
#[derive(Clone, Default)]
pub(crate) struct Fake {
    reads: Rc<RefCell<Reads>>,
    writes: Rc<RefCell<Writes>>,
    groups: Rc<RefCell<Groups>>,
}

impl Fake {
    /// What readers have done, and what they are to show.
    pub(crate) fn reads(&self) -> std::cell::RefMut<'_, Reads> {
        self.reads.borrow_mut()
    }

    /// What writers have done, and what they are to do.
    pub(crate) fn writes(&self) -> std::cell::RefMut<'_, Writes> {
        self.writes.borrow_mut()
    }

    /// What members of groups have done, and what becomes of them.
    pub(crate) fn groups(&self) -> std::cell::RefMut<'_, Groups> {
        self.groups.borrow_mut()
    }
}

impl ClientFactory for Fake {
    type Reader = Reader;
    type Writer = Writer;

    fn reader(&self, _settings: &ReaderSettings, table: &Arc<PartitionTable>) -> Result<Reader, ClientError> {
        Ok(Reader::new(self.reads.clone(), table.clone()))
    }

    fn writer(&self, settings: &WriterSettings, table: &Arc<PartitionTable>) -> Result<Writer, ClientError> {
        Ok(Writer::new(self.writes.clone(), settings, table.clone()))
    }
}

impl SpotFactory for Fake {
    type SpotReader = Reader;

    fn spot_readers(
        &self,
        settings: &ReaderSettings,
        table: &Arc<PartitionTable>,
        readers: usize,
    ) -> Result<Vec<Reader>, ClientError> {
        (0..readers).map(|_| self.reader(settings, table)).collect()
    }
}

impl GroupFactory for Fake {
    type Member = group::Member;

    fn member(
        &self,
        settings: &MemberSettings,
        _table: &Arc<PartitionTable>,
    ) -> Result<group::Member, ClientError> {
        Ok(group::Member::new(self.groups.clone(), settings))
    }
}

/// Runs this on an executor of its own, with little memory.
pub(crate) fn on_an_executor<T>(future: impl Future<Output = T>) -> T {
    let builder = LocalExecutorBuilder::new(Placement::Unbound).io_memory(64 << 10).ring_depth(64);
    builder.make().expect("an executor").run(future)
}
