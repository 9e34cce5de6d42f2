use crate::verdict::Action;

/// What is shown of a run, and how.
#[derive(Debug, Clone, Copy)]
pub struct Options<'o> {
    /// Whether the text for people has colour.
    pub colour: bool,
    /// Whether people are shown only what fails the run.
    pub quiet: bool,
    /// Whether the changes were written.
    pub fixed: bool,
    /// The weakest action that fails the run.
    pub fail_on: Action,
    /// What people are told of the policies.
    pub policies: Option<&'o str>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { colour: false, quiet: false, fixed: false, fail_on: Action::Deny, policies: None }
    }
}
