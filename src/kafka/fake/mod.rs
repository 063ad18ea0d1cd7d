//! Clients that do what a test tells them, for loops that are generic over clients: no broker, no timer.

mod writer;

use std::{cell::RefCell, rc::Rc};

pub(crate) use writer::{Arrival, Reaction, Reply, Writer, Writes};

use super::{ClientError, ClientFactory, WriterSettings};

/// Makes such clients. Its clones share what the test says, and what has happened.
#[derive(Clone, Default)]
pub(crate) struct Fake {
    writes: Rc<RefCell<Writes>>,
}

impl Fake {
    /// What writers have done, and what they are to do.
    pub(crate) fn writes(&self) -> std::cell::RefMut<'_, Writes> {
        self.writes.borrow_mut()
    }
}

impl ClientFactory for Fake {
    type Writer = Writer;

    fn writer(&self, settings: &WriterSettings, _topics: &[&str]) -> Result<Writer, ClientError> {
        Ok(Writer::new(self.writes.clone(), settings))
    }
}
