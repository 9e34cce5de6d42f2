//! The command line as a user sees it: every session of `tests/cli`. `TRYCMD=overwrite cargo test --test core cli::` writes
//! what the binary says into them; read the difference before you commit it.

#[test]
fn sessions() {
    let cases = trycmd::TestCases::new();
    // Help is as wide as the terminal.
    cases.env("COLUMNS", "100");
    // No helm and no kubectl, whatever the machine has: tests/cluster/rendering.rs runs real ones.
    cases.env("PATH", "/nonexistent");
    cases.case("tests/cli/*.trycmd").case("tests/cli/*.toml");
}
