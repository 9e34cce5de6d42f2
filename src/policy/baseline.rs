use super::compile::CompiledPolicy;
use super::load::load_own;
use std::sync::LazyLock;

/// The baseline as text: `policies/baseline.yaml`.
pub const BASELINE: &str = include_str!("../../policies/baseline.yaml");

static EMBEDDED: LazyLock<Result<CompiledPolicy, String>> = LazyLock::new(|| {
    let mut documents = crate::source::parse(BASELINE).into_iter();
    let document =
        documents.next().ok_or("the built-in baseline is empty")?.map_err(|error| error.to_string())?;
    load_own(&document.value)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
});

/// The policy that is used when none is given.
///
/// # Errors
/// What is wrong with the built-in baseline; a test keeps that from happening.
pub fn embedded_baseline() -> Result<CompiledPolicy, String> {
    EMBEDDED.clone()
}
