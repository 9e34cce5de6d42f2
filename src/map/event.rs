use std::fmt;
use std::str::FromStr;

/// What could happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What kind of event it is.
    pub kind: EventKind,
    /// What it happens to: the name of a node, zone or class, or `namespace/name` of a claim.
    pub name: String,
}

/// The kinds of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A node is lost with its disks, and its Node object is deleted.
    Node,
    /// All nodes of a zone are lost in that way.
    Zone,
    /// A node is drained, and keeps its disks.
    Drain,
    /// A claim is deleted, and the pods that use it are made again.
    Claim,
    /// The storage behind a class is lost, and the pods that use it are made again.
    Class,
}

impl EventKind {
    const ALL: [(&'static str, Self); 5] = [
        ("node", Self::Node),
        ("zone", Self::Zone),
        ("drain", Self::Drain),
        ("claim", Self::Claim),
        ("class", Self::Class),
    ];

    /// The word on the command line.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }
}

impl FromStr for Event {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "write node=NAME, drain=NAME, zone=NAME, class=NAME or claim=NAMESPACE/NAME";
        let (word, name) = text.split_once('=').ok_or_else(|| wanted.to_owned())?;
        let kind = EventKind::ALL.into_iter().find(|(known, _)| *known == word).map(|(_, kind)| kind);
        let kind = kind.ok_or_else(|| format!("{word:?} is no event: {wanted}"))?;
        let is_complete = match kind {
            EventKind::Claim => name
                .split_once('/')
                .is_some_and(|(namespace, name)| !namespace.is_empty() && !name.is_empty()),
            _ => !name.is_empty(),
        };
        if !is_complete {
            return Err(wanted.to_owned());
        }
        Ok(Self { kind, name: name.to_owned() })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind.as_str(), self.name)
    }
}
