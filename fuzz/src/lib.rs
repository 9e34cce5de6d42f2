//! Fuzz targets for volgate. An input fails when it panics, takes longer than libFuzzer's `-timeout`, or takes more
//! memory than [`memory::most`] allows for its size. See README.md for the command.

pub mod memory;
pub mod targets;

/// Runs a target on one input and aborts when the input takes more memory than its size allows.
pub fn run(bytes: &[u8], target: fn(&[u8])) {
    // What is built once, such as the catalog and the compiled policies, is not the input's.
    targets::warm_up();
    memory::limit(bytes.len());
    target(bytes);
    memory::unlimited();
}
