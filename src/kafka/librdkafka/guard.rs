//! A guard before a function of librdkafka that ends the process over bytes that it was sent.
//!
//! Behind a batch that does not fit its checksum librdkafka 2.12.1 goes on in a wrong place (`rd_kafka_msgset_reader_v2`
//! skips to as many bytes from the beginning of the answer as it should skip from where it is), and takes what lies there
//! for another message. Where that looks like one of the old formats and says that it has less than no bytes, it asks for
//! a part of the answer that ends before it begins, which an assertion takes for a fault of the program: SIGABRT. Here
//! that part is refused, as one that is not there: librdkafka knows what to do then.
//!
//! The linker brings its calls here (`--wrap`, in `build.rs`).

use std::ffi::{c_int, c_void};

unsafe extern "C" {
    fn __real_rd_slice_narrow_copy_relative(orig: *const c_void, narrow: *mut c_void, bytes: usize) -> c_int;
}

/// Has `narrow` be the next `bytes` bytes of `orig`. Returns 1, or 0 where there are not so many.
///
/// # Safety
/// Both point to an `rd_slice_t`.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_slice_narrow_copy_relative(
    orig: *const c_void,
    narrow: *mut c_void,
    bytes: usize,
) -> c_int {
    // What is below zero there is very large here.
    if bytes > isize::MAX.unsigned_abs() {
        return 0;
    }
    // SAFETY: the caller's promise is that of the function, which is passed on.
    unsafe { __real_rd_slice_narrow_copy_relative(orig, narrow, bytes) }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    #[test]
    fn less_than_nothing_is_refused_before_anybody_looks_at_it() {
        // SAFETY: nothing is looked at.
        let taken = unsafe {
            __wrap_rd_slice_narrow_copy_relative(ptr::null(), ptr::null_mut(), 3_usize.wrapping_sub(4))
        };
        assert_eq!(taken, 0);
    }
}
