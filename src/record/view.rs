//! A record as readers see it.

/// Name and value of a header.
pub(crate) type Header<'a> = (&'a [u8], &'a [u8]);

/// A record as a reader sees it; the bytes stay where the client has them.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// Its place in the partition.
    pub offset: i64,
    /// Epoch of the leader that wrote it; negative when the broker did not say.
    pub leader_epoch: i32,
    /// When it was sent, ms since the epoch; `None` where the topic keeps the broker's time, or none.
    pub sent_ms: Option<i64>,
    /// Its headers can be taken apart, or it has none; if not, none is shown.
    pub has_sound_headers: bool,
    /// The first header.
    pub first_header: Option<Header<'a>>,
    /// The second.
    pub second_header: Option<Header<'a>>,
    /// The key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}
