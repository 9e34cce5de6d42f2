/// What is logged when it changes: a fault that comes back every few seconds is logged once, and again after all was well.
#[derive(Debug, Default)]
pub struct LogOnChange(Option<String>);

impl LogOnChange {
    /// Whether this is another fault than the one before.
    pub fn is_new(&mut self, fault: &str) -> bool {
        if self.0.as_deref() == Some(fault) {
            return false;
        }
        self.0 = Some(fault.to_owned());
        true
    }

    /// All is well: the next fault is new, whichever it is.
    pub fn clear(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_new_until_it_is_known_and_after_all_was_well() {
        let mut log = LogOnChange::default();
        assert!(log.is_new("away") && !log.is_new("away"));
        assert!(log.is_new("secret") && log.is_new("away"));
        log.clear();
        assert!(log.is_new("away") && !log.is_new("away"));
    }
}
