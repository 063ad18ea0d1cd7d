//! What is measured of a run: which edges of the program it went over, and how much memory it had at once.

use std::{env, fs::File, io, os::unix::fs::FileExt};

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// How many bytes have been held at once while something was done, beside those that were held before. Nothing else may
/// happen in this process meanwhile.
pub fn most_held(what: impl FnOnce()) -> usize {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    what();
    ALLOCATOR.peak_usage().saturating_sub(before)
}

/// Where `scripts/with-edges` has it written before `main` where the counters are, and how many: `ADDRESS:COUNT`.
const PLACE: &str = "PROOFLOAD_EDGES";

/// The counters that the compiler has put on the program's edges, a byte each. They are read and cleared as the memory of this
/// process, which the system shows as a file.
pub struct Edges {
    memory: File,
    address: u64,
    counters: Vec<u8>,
    zeros: Vec<u8>,
}

impl Edges {
    /// `None`: the program was built without.
    pub fn find() -> Option<Self> {
        let place = env::var(PLACE).ok()?;
        let (address, count) = place.split_once(':')?;
        let (address, count) = (address.parse().ok()?, count.parse().ok()?);
        let memory = File::options().read(true).write(true).open("/proc/self/mem").ok()?;
        Some(Self { memory, address, counters: vec![0; count], zeros: vec![0; count] })
    }

    /// How often each edge was gone over since the last time, up to 255.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn take(&mut self) -> io::Result<&[u8]> {
        self.memory.read_exact_at(&mut self.counters, self.address)?;
        self.memory.write_all_at(&self.zeros, self.address)?;
        Ok(&self.counters)
    }
}
