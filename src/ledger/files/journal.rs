//! The text of `valid_offsets_{topic}.jnl`: what was acked since a long ledger was last written whole.
//!
//! Lines that each begin with the digest of the rest in 16 hexadecimal digits: a kill, or a disk that is full, may leave
//! half of the last one, and what is not whole ends the journal. The first line names the topic, and by its digest and its
//! file's time, its life, the text of the ledger that the journal goes on from. Others name further texts that it goes on from, or hold entries.
//! Beside any other text the journal says nothing: somebody has replaced the ledger, and acks must not be made up.
//!
//! Entries in their order can be entered a second time, so a text that has some of them already, or all, is gone on from
//! by all of them just as well.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use twox_hash::XxHash3_64;

use crate::{ledger::Entry, mutants::enforced};

/// The only one that there has been.
const FORMAT: u32 = 1;
/// Of a digest as text.
const DIGITS: usize = 16;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Header {
    format: u32,
    topic: String,
    follows: String,
}

#[derive(Deserialize)]
enum Line {
    Follows(String),
    Entries(Vec<Entry>),
}

/// A line as it is written, from where its entries lie.
#[derive(Serialize)]
enum NewLine<'a> {
    Follows(String),
    Entries(&'a [Entry]),
}

pub(crate) fn digest(text: &[u8]) -> u64 {
    XxHash3_64::oneshot(text)
}

/// The first line of a journal that goes on from the text of this life.
pub(crate) fn header(topic: &str, follows: u64) -> Vec<u8> {
    line(&Header { format: FORMAT, topic: topic.to_owned(), follows: hex(follows) })
}

/// The line that has the journal go on from the text of this life as well.
pub(crate) fn follows(life: u64) -> Vec<u8> {
    line(&NewLine::Follows(hex(life)))
}

/// The line with these entries.
pub(crate) fn entries(entries: &[Entry]) -> Vec<u8> {
    line(&NewLine::Entries(entries))
}

fn hex(digest: u64) -> String {
    format!("{digest:0DIGITS$x}")
}

fn line(content: &impl Serialize) -> Vec<u8> {
    // Numbers, texts and lists: nothing here can fail to become JSON.
    let json = serde_json::to_vec(content).unwrap_or_default();
    let mut line = hex(digest(&json)).into_bytes();
    line.push(b' ');
    line.extend(json);
    line.push(b'\n');
    line
}

/// The entries, in their order, that a journal's text adds to a text of this topic's ledger that has this life; `None` when
/// it is no journal that goes on from it.
pub(crate) fn decode(text: &[u8], topic: &str, ledger: u64) -> Option<Vec<Entry>> {
    let mut rest = text;
    let header: Header = take(&mut rest)?;
    if header.format != FORMAT || header.topic != topic {
        return None;
    }
    let ledger = hex(ledger);
    let (mut goes_on, mut entries) = (header.follows == ledger, Vec::new());
    loop {
        match take(&mut rest) {
            Some(Line::Follows(life)) => goes_on |= life == ledger,
            Some(Line::Entries(more)) if more.iter().all(Entry::is_sound) => entries.extend(more),
            _ => return (goes_on || !enforced("stale-journal")).then_some(entries),
        }
    }
}

/// The content of the first line, which is taken off; `None` when it is not whole.
fn take<T: DeserializeOwned>(rest: &mut &[u8]) -> Option<T> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let (stated, json) = rest[..end].split_at_checked(DIGITS)?;
    let json = json.strip_prefix(b" ")?;
    if stated != hex(digest(json)).as_bytes() && enforced("torn-journal") {
        return None;
    }
    let content = serde_json::from_slice(json).ok()?;
    *rest = &rest[end + 1..];
    Some(content)
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
