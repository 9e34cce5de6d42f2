//! The log as lines: one event, one line, whatever others have written into it.

use crate::model::printable_line;
use std::io::{self, IsTerminal, Write};

/// Writes each event of the log as one line. An object's author chooses paths and names, and whoever reaches the webhook all of a
/// request: none of it begins a line of its own, or steers the terminal of who reads the log.
pub(super) struct Lines<W> {
    out: W,
    coloured: bool,
}

impl<W: Write> Lines<W> {
    pub(super) fn new(out: W, coloured: bool) -> Self {
        Self { out, coloured }
    }
}

/// The log on stderr.
pub(super) fn stderr() -> Lines<io::StderrLock<'static>> {
    let stderr = io::stderr();
    let coloured = stderr.is_terminal();
    Lines::new(stderr.lock(), coloured)
}

impl<W: Write> Write for Lines<W> {
    /// Takes a whole event with its line end, as `tracing_subscriber` hands it over.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = event.strip_suffix(b"\n").unwrap_or(event);
        let text = String::from_utf8_lossy(text);
        let mut line = printable_line(&text, self.coloured).into_owned();
        line.push('\n');
        self.out.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// What the log makes of that text as a message and as a field.
    fn logged(text: &str, coloured: bool) -> String {
        #[derive(Clone, Default)]
        struct Shared(Arc<Mutex<Vec<u8>>>);
        impl Write for Shared {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let out = Shared::default();
        let writer = out.clone();
        let log = tracing_subscriber::fmt().with_ansi(coloured).without_time().with_target(false);
        let log = log.with_writer(move || Lines::new(writer.clone(), coloured)).finish();
        tracing::subscriber::with_default(log, || tracing::info!(name = text, "denied {text}"));
        String::from_utf8(out.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn one_event_is_one_line_whatever_is_in_it() {
        for coloured in [false, true] {
            let log = logged("/q\n2026 INFO all is well\r\u{1b}[2J\u{9b}2J\u{202e}\u{2028}", coloured);
            assert_eq!(log.matches('\n').count(), 1, "{log:?}");
            assert!(log.ends_with('\n') && log.contains("denied /q\\n2026 INFO all is well\\r"), "{log:?}");
            assert!(
                !log.contains("\u{1b}[2J") && !log.contains(['\r', '\u{9b}', '\u{202e}', '\u{2028}']),
                "{log:?}"
            );
            assert_eq!(log.contains("\u{1b}["), coloured, "its own colours stay: {log:?}");
        }
        assert!(logged("größe\tdata", false).contains("denied größe\tdata"));
    }
}
