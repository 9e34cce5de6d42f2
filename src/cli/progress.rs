//! A line on the terminal while a run takes long.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a run is doing.
#[derive(Clone, Copy)]
pub(super) enum Step {
    Reading,
    Judging,
}

/// Shows on stderr, when that is a terminal, what a run has been doing for longer than a second. Dropped, it takes its
/// line away again.
pub(super) struct Progress(Option<(Sender<Step>, JoinHandle<()>)>);

impl Progress {
    pub(super) fn start(quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let (sender, steps) = channel();
        let show = move || {
            let start = Instant::now();
            let mut wait = Duration::from_secs(1);
            let mut step = Step::Reading;
            let mut shown = false;
            loop {
                match steps.recv_timeout(wait) {
                    Ok(next) => {
                        step = next;
                        wait = Duration::from_secs(1).saturating_sub(start.elapsed());
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                    Err(RecvTimeoutError::Timeout) => wait = Duration::from_millis(200),
                }
                shown = true;
                let doing = match step {
                    Step::Reading => "reading files",
                    Step::Judging => "judging",
                };
                // A terminal that is gone changes nothing.
                let _ =
                    write!(std::io::stderr(), "\r\x1b[Kvolgate: {doing}, {} s", start.elapsed().as_secs());
            }
            if shown {
                let _ = write!(std::io::stderr(), "\r\x1b[K");
            }
        };
        // Without a thread there is no line, and the run goes on.
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(show);
        Self(thread.ok().map(|thread| (sender, thread)))
    }

    pub(super) fn step(&self, step: Step) {
        if let Some((sender, _)) = &self.0 {
            let _ = sender.send(step);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.0.take() {
            drop(sender);
            let _ = thread.join();
        }
    }
}
