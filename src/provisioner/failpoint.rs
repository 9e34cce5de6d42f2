//! The places at which a test kills the controller: before each write, and after it when its answer is not yet known to
//! anybody else.

/// A place at which a test kills the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failpoint {
    /// The write.
    pub write: &'static str,
    /// Whether it has been carried out.
    pub after: bool,
}

impl Failpoint {
    /// Every write of the controller.
    pub const WRITES: [&'static str; 14] = [
        "create-node-volume",
        "create-volume",
        "reschedule",
        "set-absent",
        "set-size",
        "set-reclaim",
        "delete-node-volume",
        "delete-volume",
        "remove-finalizer",
        "write-capacity",
        "write-claim-status",
        "create-node-capacity",
        "set-node-capacity",
        "delete-node-capacity",
    ];

    /// All places.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::WRITES.into_iter().flat_map(|write| [false, true].map(|after| Self { write, after }))
    }

    /// Its name, as the environment variable `VOLGATE_FAILPOINT` has it.
    pub fn name(self) -> String {
        format!("{}-{}", if self.after { "after" } else { "before" }, self.write)
    }
}
