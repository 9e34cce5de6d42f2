//! The threads that judge. Those that serve connections do not, so that a review that takes long delays no other
//! connection, and health least of all.

use crate::model::lock;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Work that is done once. It drops what it holds when it ends, and only then.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// How much memory and time work may take: so few threads take [`Weight::Heavy`] work that the rest goes on beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// For any thread.
    Light,
    /// For at most [`Judges::HEAVY`] threads at a time.
    Heavy,
}

/// A few threads and what waits for them.
#[derive(Debug)]
pub(super) struct Judges(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    most_heavy: usize,
    work: Mutex<Work>,
    some: Condvar,
}

#[derive(Debug, Default)]
struct Work {
    light: Queue,
    heavy: Queue,
    /// How many wait in both.
    queued: usize,
    heavy_running: usize,
    threads: usize,
    idle: usize,
    ended: bool,
}

/// What waits, by who sent it: peers take turns, so that one with much to judge does not keep the others waiting.
#[derive(Default)]
struct Queue {
    turns: VecDeque<IpAddr>,
    by_peer: HashMap<IpAddr, VecDeque<Job>>,
}

/// How long a thread waits for work before it ends; the next work starts one again.
const REST: Duration = Duration::from_secs(5);

impl Judges {
    /// How many threads may do heavy work at a time: what they take is counted in `manifests/deployment.yaml`.
    pub(super) const HEAVY: usize = 2;

    /// As many threads as there are cores, at least two and at most sixteen. Each starts when there is something for it.
    pub(super) fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self::with(cores.clamp(2, 16))
    }

    fn with(most: usize) -> Self {
        // One is left for what is light.
        let most_heavy = Self::HEAVY.min(most.saturating_sub(1)).max(1);
        Self(Arc::new(Shared { most, most_heavy, work: Mutex::default(), some: Condvar::new() }))
    }

    /// Has it done by one of the threads, when its peer has its turn.
    pub(super) fn ask(&self, peer: IpAddr, weight: Weight, job: Job) {
        let mut work = self.0.lock();
        match weight {
            Weight::Light => work.light.push(peer, job),
            Weight::Heavy => work.heavy.push(peer, job),
        }
        work.queued += 1;
        let starts = work.queued > work.idle && work.threads < self.0.most;
        work.threads += usize::from(starts);
        // A call of the kernel that a busy pool is spared.
        let wakes = work.idle > 0;
        drop(work);
        if starts {
            let shared = self.0.clone();
            if let Err(error) = thread::Builder::new().name("judge".to_owned()).spawn(move || shared.run()) {
                // The others do it, or the next request tries again.
                tracing::error!(%error, "failed to start a thread that judges");
                self.0.lock().threads -= 1;
            }
        } else if wakes {
            self.0.some.notify_one();
        }
    }
}

impl Drop for Judges {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.some.notify_all();
    }
}

impl Shared {
    fn run(&self) {
        let mut work = self.lock();
        let mut rested = false;
        loop {
            match work.next(self.most_heavy) {
                Some((weight, job)) => {
                    rested = false;
                    drop(work);
                    // Whoever waits for the job learns of its end either way.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                    work = self.lock();
                    if weight == Weight::Heavy {
                        work.heavy_running -= 1;
                    }
                }
                None if work.ended => return,
                // What the allocator kept for the thread is given back with its end.
                None if rested => {
                    work.threads -= 1;
                    return;
                }
                None => {
                    work.idle += 1;
                    let waited = self.some.wait_timeout(work, REST);
                    let (locked, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    work = locked;
                    rested = timeout.timed_out();
                    work.idle -= 1;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        // No job runs while it is held.
        lock(&self.work)
    }
}

impl Work {
    /// What is light comes first: it is quickly done.
    fn next(&mut self, most_heavy: usize) -> Option<(Weight, Job)> {
        let next = match self.light.pop() {
            Some(job) => (Weight::Light, job),
            None if self.heavy_running < most_heavy => (Weight::Heavy, self.heavy.pop()?),
            None => return None,
        };
        self.queued -= 1;
        self.heavy_running += usize::from(next.0 == Weight::Heavy);
        Some(next)
    }
}

impl Queue {
    fn push(&mut self, peer: IpAddr, job: Job) {
        let of = self.by_peer.entry(peer).or_default();
        if of.is_empty() {
            self.turns.push_back(peer);
        }
        of.push_back(job);
    }

    fn pop(&mut self) -> Option<Job> {
        let peer = self.turns.pop_front()?;
        let of = self.by_peer.get_mut(&peer)?;
        let job = of.pop_front();
        if of.is_empty() {
            self.by_peer.remove(&peer);
        } else {
            self.turns.push_back(peer);
        }
        job
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("turns", &self.turns).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn peer(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    /// Keeps a thread until the sender that it gives back is dropped.
    fn hold(judges: &Judges, weight: Weight) -> mpsc::Sender<()> {
        let (release, held) = mpsc::channel::<()>();
        let (began, begun) = mpsc::channel();
        let job = move || {
            began.send(()).unwrap();
            let _ = held.recv();
        };
        judges.ask(peer(0), weight, Box::new(job));
        begun.recv().unwrap();
        release
    }

    #[test]
    fn peers_take_turns() {
        let judges = Judges::with(1);
        let release = hold(&judges, Weight::Light);
        let (done, order) = mpsc::channel();
        for number in [1, 1, 1, 2, 3, 2] {
            let done = done.clone();
            judges.ask(peer(number), Weight::Light, Box::new(move || done.send(number).unwrap()));
        }
        drop((release, done));
        assert_eq!(order.iter().collect::<Vec<_>>(), [1, 2, 3, 1, 2, 1]);
    }

    #[test]
    fn light_work_goes_on_beside_heavy_work() {
        let judges = Judges::with(2);
        let held = hold(&judges, Weight::Heavy);
        let (done, order) = mpsc::channel();
        let heavy = done.clone();
        judges.ask(peer(1), Weight::Heavy, Box::new(move || heavy.send("heavy").unwrap()));
        for _ in 0..3 {
            let light = done.clone();
            judges.ask(peer(1), Weight::Light, Box::new(move || light.send("light").unwrap()));
        }
        assert_eq!(order.iter().take(3).collect::<Vec<_>>(), ["light"; 3]);
        assert!(order.try_recv().is_err(), "the other thread is not for heavy work");
        drop(held);
        assert_eq!(order.recv(), Ok("heavy"));
    }

    #[test]
    fn the_threads_end_with_what_was_asked_of_them_done() {
        let judges = Judges::with(2);
        let (done, order) = mpsc::channel();
        for number in 0..10 {
            let done = done.clone();
            judges.ask(peer(1), Weight::Heavy, Box::new(move || done.send(number).unwrap()));
        }
        drop((judges, done));
        assert_eq!(order.iter().count(), 10);
    }
}
