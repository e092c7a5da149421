//! Tells the tests how well they are optimised: a thousand seeds are for an optimised build.

fn main() {
    let level = std::env::var("OPT_LEVEL").unwrap_or_default();
    println!("cargo:rustc-env=ROVE_SIM_OPT_LEVEL={level}");
    println!("cargo:rerun-if-changed=build.rs");
}
