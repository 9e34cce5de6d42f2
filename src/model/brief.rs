use std::fmt::{self, Write};

/// Something that is named in a message, and not at any length: whoever wrote it must not choose how much memory the
/// message takes. What is left out is an ellipsis.
#[derive(Debug, Clone, Copy)]
pub struct Brief<T>(pub T);

impl Brief<()> {
    /// The most bytes of one thing that are shown.
    pub const MOST: usize = 400;
}

impl<T: fmt::Display> fmt::Display for Brief<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bounded = Bounded { out: f, left: Brief::MOST, full: false };
        match write!(bounded, "{}", self.0) {
            Err(fmt::Error) if bounded.full => f.write_char('…'),
            written => written,
        }
    }
}

/// Stops the writer as soon as there is no more room.
struct Bounded<'a, 'f> {
    out: &'a mut fmt::Formatter<'f>,
    left: usize,
    full: bool,
}

impl Write for Bounded<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() <= self.left {
            self.left -= text.len();
            return self.out.write_str(text);
        }
        self.full = true;
        self.out.write_str(beginning(text, self.left))?;
        Err(fmt::Error)
    }
}

/// The first characters of a text, of at most so many bytes.
pub(crate) fn beginning(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_between_characters() {
        assert_eq!(Brief("short").to_string(), "short");
        assert_eq!(Brief("x".repeat(Brief::MOST)).to_string().len(), Brief::MOST);
        let long = Brief(format!("x{}", "ä".repeat(Brief::MOST))).to_string();
        assert_eq!(long, format!("x{}…", "ä".repeat((Brief::MOST - 1) / 2)));
    }

    #[test]
    fn writes_no_more_than_is_shown() {
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("and ")?;
                }
            }
        }
        assert_eq!(Brief(Endless).to_string(), "and ".repeat(Brief::MOST / 4) + "…");
    }
}
