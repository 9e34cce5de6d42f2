/// The default of a field that is true unless it says otherwise.
pub(crate) fn yes() -> bool {
    true
}

/// Whether a field is as [`yes`] has it, and need not be written.
// serde calls it with a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
pub(crate) fn is_yes(value: &bool) -> bool {
    *value
}
