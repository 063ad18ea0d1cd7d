//! Puts our own functions before some that others call: see `src/kafka/librdkafka/guard.rs` and `src/kafka/librdkafka/early_clock.rs`.

fn main() {
    const FUNCTIONS: [&str; 3] = ["rd_slice_narrow_copy_relative", "clock_gettime", "cnd_timedwait"];
    println!("cargo:rerun-if-changed=build.rs");
    for function in FUNCTIONS {
        println!("cargo:rustc-link-arg=-Wl,--wrap={function}");
        // Linkers that take libraries in their order have to know of it before they come to ours.
        println!("cargo:rustc-link-arg=-Wl,--undefined=__wrap_{function}");
    }
}
