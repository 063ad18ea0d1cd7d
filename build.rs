//! Puts a guard before one of librdkafka's functions: see `src/kafka/guard.rs`.

fn main() {
    const FUNCTION: &str = "rd_slice_narrow_copy_relative";
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg=-Wl,--wrap={FUNCTION}");
    // Linkers that take libraries in their order have to know of it before they come to ours.
    println!("cargo:rustc-link-arg=-Wl,--undefined=__wrap_{FUNCTION}");
}
