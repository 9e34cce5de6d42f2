//! Numbers that nobody can know before.

use rustix::io::{Errno, Result};
use rustix::rand::{GetRandomFlags, getrandom};

/// A number of the kernel's.
pub(super) fn number() -> Result<u64> {
    let mut bytes = [0; size_of::<u64>()];
    // So few are given whole.
    match getrandom(&mut bytes, GetRandomFlags::empty())? {
        given if given == bytes.len() => Ok(u64::from_ne_bytes(bytes)),
        _ => Err(Errno::AGAIN),
    }
}
