//! How the program is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("gnu") {
        // A list of relocations is 2.6 MiB that every process maps; packed it
        // is 14 KiB. Needs glibc 2.36, which Debian 12 has.
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        // Decoders of many types, and of one type in many crates, are the same
        // instructions: one copy serves. (Needs lld, Rust's linker on x86-64.)
        let is_release = std::env::var("PROFILE").as_deref() == Ok("release");
        if is_release && std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64") {
            println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
        }
    }
}
