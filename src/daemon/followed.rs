//! What is read again as it changes on disk.

use super::LogOnChange;
use std::fmt::Display;

/// What is read again and again, as it was when it was last looked at. The content is compared, as the kubelet changes
/// files by renaming a directory beside them.
pub struct Followed<T, E> {
    read: Box<dyn Fn() -> Result<T, E> + Send>,
    seen: T,
    log: LogOnChange,
}

/// What a look found.
#[derive(Debug, PartialEq, Eq)]
pub enum Look<'f, T, E> {
    /// Nothing new.
    Same,
    /// Another content.
    Changed(&'f T),
    /// It cannot be read, for a reason that was not found in the look before. What was read last stays.
    Unreadable(E),
}

impl<T: PartialEq, E: Display> Followed<T, E> {
    /// Reads it for the first time.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn open(read: impl Fn() -> Result<T, E> + Send + 'static) -> Result<Self, E> {
        let seen = read()?;
        Ok(Self { read: Box::new(read), seen, log: LogOnChange::default() })
    }

    /// What was read last.
    pub fn seen(&self) -> &T {
        &self.seen
    }

    /// Reads it again.
    pub fn look(&mut self) -> Look<'_, T, E> {
        match (self.read)() {
            Ok(now) => {
                self.log.clear();
                if now == self.seen {
                    return Look::Same;
                }
                self.seen = now;
                Look::Changed(&self.seen)
            }
            Err(fault) => {
                if self.log.is_new(&format!("{fault:#}")) {
                    Look::Unreadable(fault)
                } else {
                    Look::Same
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn a_change_and_a_fault_are_told_once() {
        let file = Arc::new(Mutex::new(Ok::<_, &str>(1)));
        let put = |content| *file.lock().unwrap() = content;
        let read = file.clone();
        let mut followed = Followed::open(move || *read.lock().unwrap()).unwrap();
        assert_eq!(followed.look(), Look::Same);
        put(Ok(2));
        assert_eq!(followed.look(), Look::Changed(&2));
        put(Err("away"));
        assert_eq!(followed.look(), Look::Unreadable("away"));
        assert_eq!(followed.look(), Look::Same);
        assert_eq!(*followed.seen(), 2);
        put(Err("secret"));
        assert_eq!(followed.look(), Look::Unreadable("secret"));
        put(Ok(2));
        assert_eq!(followed.look(), Look::Same, "as it was");
        put(Err("secret"));
        assert_eq!(followed.look(), Look::Unreadable("secret"), "once more");
    }
}
