//! Which volumes are to be looked at: each once, each by one worker at a time, and one that fails only now and then.

use super::world::Key;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

/// The pause after the first failure; it doubles with each that follows.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The queue. Times are since any fixed moment.
#[derive(Debug, Default)]
pub struct Queue {
    ready: VecDeque<Key>,
    timers: BTreeSet<(Duration, Key)>,
    entries: HashMap<Key, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    queued: bool,
    running: bool,
    again: bool,
    failures: u32,
    timer: Option<Duration>,
}

/// How a look ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There is nothing to do until something changes.
    Settled,
    /// There is something to do at that time.
    At(Duration),
    /// It failed and is tried again after a pause.
    Failed,
}

impl Queue {
    /// Something about it has changed.
    pub fn add(&mut self, key: Key) {
        let entry = self.entries.entry(key.clone()).or_default();
        if entry.running {
            entry.again = true;
        } else if !entry.queued {
            entry.queued = true;
            self.ready.push_back(key);
        }
    }

    /// The next to look at; its timer is over with that.
    pub fn take(&mut self, now: Duration) -> Option<Key> {
        while self.timers.first().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, key)) = self.timers.pop_first() {
                if let Some(entry) = self.entries.get_mut(&key) {
                    entry.timer = None;
                }
                self.add(key);
            }
        }
        let key = self.ready.pop_front()?;
        let entry = self.entries.entry(key.clone()).or_default();
        entry.queued = false;
        entry.running = true;
        if let Some(due) = entry.timer.take() {
            self.timers.remove(&(due, key.clone()));
        }
        Some(key)
    }

    /// A look at it has ended.
    pub fn done(&mut self, key: &Key, outcome: Outcome, now: Duration) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.running = false;
        entry.failures = if outcome == Outcome::Failed { entry.failures.saturating_add(1) } else { 0 };
        let due = match outcome {
            Outcome::Settled => None,
            Outcome::At(due) => Some(due),
            Outcome::Failed => Some(now + pause(entry.failures)),
        };
        if let Some(due) = due {
            entry.timer = Some(due);
            self.timers.insert((due, key.clone()));
        }
        // What fails is not tried sooner because its own writes came back as changes.
        let again = std::mem::take(&mut entry.again);
        if again && outcome != Outcome::Failed {
            self.add(key.clone());
        } else if due.is_none() {
            self.entries.remove(key);
        }
    }

    /// When the next timer is due.
    pub fn next_due(&self) -> Option<Duration> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// How many wait to be looked at now.
    pub fn depth(&self) -> usize {
        self.ready.len()
    }

    /// Forgets all that waits; what runs goes on.
    pub fn clear(&mut self) {
        self.ready.clear();
        self.timers.clear();
        self.entries.retain(|_, entry| entry.running);
        for entry in self.entries.values_mut() {
            *entry = Entry { running: true, ..Entry::default() };
        }
    }
}

fn pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_is_looked_at_once_and_by_one() {
        let mut queue = Queue::default();
        let (a, b): (Key, Key) = ("a".into(), "b".into());
        for key in [&a, &a, &b, &a] {
            queue.add(key.clone());
        }
        assert_eq!(
            (queue.take(at(0)), queue.take(at(0)), queue.take(at(0))),
            (Some(a.clone()), Some(b.clone()), None)
        );
        queue.add(a.clone());
        assert_eq!(queue.take(at(0)), None, "another worker has it");
        queue.done(&a, Outcome::Settled, at(0));
        assert_eq!(queue.take(at(0)), Some(a.clone()), "it has changed meanwhile");
        queue.done(&a, Outcome::Settled, at(0));
        queue.done(&b, Outcome::Settled, at(0));
        assert!(
            queue.take(at(0)).is_none() && queue.entries.is_empty(),
            "nothing is remembered of what is settled"
        );
    }

    #[test]
    fn what_fails_waits_longer_each_time_and_nobody_else_does() {
        let mut queue = Queue::default();
        let (bad, good): (Key, Key) = ("bad".into(), "good".into());
        queue.add(bad.clone());
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..11 {
            assert_eq!(queue.take(now), Some(bad.clone()));
            queue.add(bad.clone());
            queue.done(&bad, Outcome::Failed, now);
            queue.add(good.clone());
            assert_eq!(queue.take(now), Some(good.clone()));
            queue.done(&good, Outcome::Settled, now);
            assert_eq!(queue.take(now), None);
            let due = queue.next_due().unwrap();
            pauses.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        queue.take(now);
        queue.done(&bad, Outcome::Settled, now);
        assert!(queue.next_due().is_none() && queue.entries.is_empty());
    }

    #[test]
    fn a_change_comes_before_a_timer_and_ends_it() {
        let mut queue = Queue::default();
        let key: Key = "a".into();
        queue.add(key.clone());
        queue.take(at(0));
        queue.done(&key, Outcome::At(at(10)), at(0));
        assert_eq!(queue.take(at(9)), None);
        queue.add(key.clone());
        assert_eq!(queue.take(at(9)), Some(key.clone()));
        assert_eq!(queue.next_due(), None);
        queue.done(&key, Outcome::At(at(12)), at(9));
        assert_eq!(queue.take(at(12)), Some(key.clone()));
    }

    #[test]
    fn clearing_leaves_only_what_runs() {
        let mut queue = Queue::default();
        let (a, b): (Key, Key) = ("a".into(), "b".into());
        queue.add(a.clone());
        queue.add(b.clone());
        queue.take(at(0));
        queue.clear();
        assert_eq!(queue.depth(), 0);
        queue.add(a.clone());
        assert_eq!(queue.take(at(0)), None);
        queue.done(&a, Outcome::Settled, at(0));
        assert_eq!(queue.take(at(0)), Some(a));
    }
}
