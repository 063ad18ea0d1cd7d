//! Fetch sessions (KIP-227): what a client wants, remembered.

use std::collections::BTreeMap;

use super::{
    code::{FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH},
    fetching::Part,
};

#[derive(Clone, Debug, Default)]
struct Session {
    next_epoch: i32,
    parts: Vec<Part>,
    /// Of each part the high watermark, and the log's start, as they were told.
    told: BTreeMap<(String, i32), (i64, i64)>,
}

/// All of a cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    all: BTreeMap<i32, Session>,
    next: i32,
}

/// Which session an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Belongs {
    /// 0 is none.
    pub id: i32,
    /// Only what is new is told.
    pub is_incremental: bool,
}

impl Sessions {
    /// What is wanted, given what a request says.
    pub(super) fn resolve(
        &mut self,
        (id, epoch): (i32, i32),
        parts: Vec<Part>,
        forgotten: &[(String, i32)],
    ) -> Result<(Belongs, Vec<Part>), i16> {
        match epoch {
            -1 => {
                self.all.remove(&id);
                Ok((Belongs { id: 0, is_incremental: false }, parts))
            }
            0 => {
                self.all.remove(&id);
                if parts.is_empty() {
                    return Ok((Belongs { id: 0, is_incremental: false }, parts));
                }
                self.next += 2;
                let session = Session { next_epoch: 1, parts: parts.clone(), told: BTreeMap::new() };
                self.all.insert(self.next, session);
                Ok((Belongs { id: self.next, is_incremental: false }, parts))
            }
            epoch => {
                let session = self.all.get_mut(&id).ok_or(FETCH_SESSION_ID_NOT_FOUND)?;
                if session.next_epoch != epoch {
                    return Err(INVALID_FETCH_SESSION_EPOCH);
                }
                session.next_epoch += 1;
                session.parts.retain(|part| !forgotten.contains(&part.key()));
                for part in parts {
                    session.parts.retain(|known| known.key() != part.key());
                    session.parts.push(part);
                }
                Ok((Belongs { id, is_incremental: true }, session.parts.clone()))
            }
        }
    }

    /// Whether a part's offsets are new to the client; they are known to it from here on.
    pub(super) fn tell(&mut self, id: i32, part: &Part, offsets: (i64, i64)) -> bool {
        let Some(session) = self.all.get_mut(&id) else { return true };
        session.told.insert(part.key(), offsets) != Some(offsets)
    }
}
