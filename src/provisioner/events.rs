/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum About {
    /// The claim.
    Claim,
    /// The volume.
    Volume,
}

/// Something that people should see at a claim or volume: an event. Told again and again by a plan that stays where it is;
/// who writes events leaves out what was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What it is about.
    pub about: About,
    /// Whether something is wrong.
    pub warning: bool,
    /// One word, as other provisioners have it.
    pub reason: &'static str,
    /// For a person.
    pub message: String,
}

impl Notice {
    /// Something is wrong with a claim's volume-to-be.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self { about: About::Claim, warning: true, reason: "ProvisioningFailed", message: message.into() }
    }

    /// A write for a claim's volume-to-be failed; what failed is to be filled in.
    pub fn of_failure() -> Self {
        Self::failed("")
    }

    /// A volume's data cannot be removed.
    pub(super) fn undeleted(message: impl Into<String>) -> Self {
        Self { about: About::Volume, warning: true, reason: "VolumeFailedDelete", message: message.into() }
    }

    /// Something is wrong with a volume that is in use.
    pub(super) fn lost(reason: &'static str, message: impl Into<String>) -> Self {
        Self { about: About::Claim, warning: true, reason, message: message.into() }
    }

    /// A claim's volume does not grow.
    pub(super) fn unexpanded(message: impl Into<String>) -> Self {
        Self { about: About::Claim, warning: true, reason: "VolumeResizeFailed", message: message.into() }
    }

    /// Something went as it should.
    pub(super) fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self { about: About::Claim, warning: false, reason, message: message.into() }
    }
}
