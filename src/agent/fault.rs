use rustix::io::Errno;
use std::fmt;

/// Why something on the node cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// One word of it, for a status.
    pub reason: &'static str,
    /// For a person.
    pub message: String,
    /// Whether it may be gone by itself soon, so that trying again is better than giving up.
    pub passing: bool,
}

impl Fault {
    /// A fault that stays.
    pub fn lasting(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), passing: false }
    }

    /// A fault that may be gone soon.
    pub fn passing(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), passing: true }
    }

    /// What the operating system says, with what was being done, as in "make the directory /x".
    pub fn system(doing: impl fmt::Display, errno: Errno) -> Self {
        let (reason, advice) = match errno {
            Errno::NOSPC | Errno::DQUOT => ("NotEnoughSpace", "; the disk is full, of bytes or of files"),
            Errno::ROFS => {
                ("ReadOnly", "; a file system turns read-only after errors of its disk: see dmesg")
            }
            Errno::OPNOTSUPP | Errno::NOTTY | Errno::NOSYS => ("BackendUnsupported", ""),
            Errno::BUSY => ("Busy", "; it is in use or something is mounted on it"),
            Errno::XDEV => ("MountOnTheWay", "; another file system is mounted on the way"),
            Errno::LOOP => ("SymlinkOnTheWay", "; a symbolic link is on the way, and none is followed"),
            Errno::NOTDIR => ("NotADirectory", ""),
            Errno::PERM | Errno::ACCESS => {
                ("NotAllowed", "; the agent needs to be root, and the file may be immutable")
            }
            Errno::NOENT => ("NotFound", ""),
            _ => ("IoError", ""),
        };
        let passing = matches!(
            errno,
            Errno::IO
                | Errno::BUSY
                | Errno::AGAIN
                | Errno::NOMEM
                | Errno::INTR
                | Errno::TIMEDOUT
                | Errno::NFILE
                | Errno::MFILE
        );
        Self { reason, message: format!("failed to {doing}: {errno}{advice}"), passing }
    }
}
