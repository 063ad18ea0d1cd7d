//! Huge pages: worth having for a few clients, and a waste for many.
//!
//! Where the kernel gives huge pages to those who ask (`transparent_hugepage=madvise`, or `always`), our allocator asks
//! for all its memory. Each of a client's threads then has its few small things in pages of 2 MiB: 64 random readers took
//! 1,105 MiB, and 165 without; 120 idle members of a group 616, and 205.

use nix::sys::prctl;

/// So many clients may have them.
const FEW_CLIENTS: usize = 8;

/// Does without huge pages from now on, where a process has many clients.
pub(crate) fn fit_for(clients: usize) {
    if clients > FEW_CLIENTS {
        do_without();
    }
}

/// Does without huge pages from now on. Our own client has a few buffers, which are used again and again: producing took
/// 55 MiB with huge pages and 21 without, reading 59 and 31, and neither more time.
pub(crate) fn do_without() {
    if let Err(errno) = prctl::set_thp_disable(true) {
        tracing::debug!("huge pages cannot be switched off ({errno}): a client takes more memory then");
    }
}
