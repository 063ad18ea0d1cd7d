//! What is measured of a run: which edges of the program it went over, and how much memory it had at once.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    slice,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering},
};

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, and how much this thread holds of it.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn took(bytes: usize) {
    // A thread that ends has nothing to count with.
    let _ = HELD.try_with(|held| {
        held.set(held.get().wrapping_add(bytes));
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

fn gave(bytes: usize) {
    let _ = HELD.try_with(|held| held.set(held.get().saturating_sub(bytes)));
}

// SAFETY: everything is the system's allocator's; only numbers are kept beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller keeps to what `alloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        gave(layout.size());
        // SAFETY: it came from `alloc`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller keeps to what `alloc_zeroed` asks for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        gave(layout.size());
        took(size);
        // SAFETY: it came from `alloc`, with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// How many bytes this thread has held at once while something was done, beside those that it held before.
pub fn most_held(what: impl FnOnce()) -> usize {
    let before = HELD.get();
    MOST.set(before);
    what();
    MOST.get() - before
}

static COUNTERS: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// What the compiler's code calls before `main`: where the counters of edges are. The largest range is the program's.
#[unsafe(no_mangle)]
pub extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    let count = stop.addr().saturating_sub(start.addr());
    if count > COUNT.load(Ordering::Relaxed) {
        COUNTERS.store(start, Ordering::Relaxed);
        COUNT.store(count, Ordering::Relaxed);
    }
}

/// The counters of edges; none where the program was built without.
pub fn counters() -> &'static mut [u8] {
    let (start, count) = (COUNTERS.load(Ordering::Relaxed), COUNT.load(Ordering::Relaxed));
    if start.is_null() {
        return &mut [];
    }
    // SAFETY: the compiler has laid these bytes out, as many as it says, and they are never freed. Whoever looks for edges runs
    // one test in one thread (`scripts/prove` sees to that), so that nothing else reads or writes them meanwhile.
    unsafe { slice::from_raw_parts_mut(start, count) }
}
