/// What is asked of new claims, and of a repair.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// How much each claim asks for, in place of what the catalog says.
    pub size: Option<String>,
    /// The class that it names.
    pub class: Option<String>,
    /// Whether what was rendered is changed as well, to make a patch of it.
    pub rendered: bool,
    /// Whether each repair says what it changes in the text.
    pub edits: bool,
}
