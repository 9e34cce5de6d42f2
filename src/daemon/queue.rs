//! Work queue by key: each key is queued once and worked on by one worker at a time; after failures there is a pause.

use super::RETRY;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

/// The queue. Times are since any fixed moment.
#[derive(Debug)]
pub struct Queue<K> {
    ready: VecDeque<K>,
    timers: BTreeSet<(Duration, K)>,
    entries: HashMap<K, Entry>,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self { ready: VecDeque::new(), timers: BTreeSet::new(), entries: HashMap::new() }
    }
}

#[derive(Debug, Default)]
struct Entry {
    queued: bool,
    running: bool,
    again: bool,
    renewed: bool,
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

impl<K: Clone + Ord + Hash> Queue<K> {
    /// Something about it has changed.
    pub fn add(&mut self, key: K) {
        let entry = self.entries.entry(key.clone()).or_default();
        if entry.running {
            entry.again = true;
        } else if !entry.queued {
            entry.queued = true;
            self.ready.push_back(key);
        }
    }

    /// It is another than before, and not by a write of ours: what failed says nothing of it any more.
    pub fn renew(&mut self, key: K) {
        let entry = self.entries.entry(key.clone()).or_default();
        entry.renewed = entry.running;
        entry.failures = 0;
        self.add(key);
    }

    /// The next to look at; its timer is over with that.
    pub fn take(&mut self, now: Duration) -> Option<K> {
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
    pub fn done(&mut self, key: &K, outcome: Outcome, now: Duration) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.running = false;
        let again = std::mem::take(&mut entry.again);
        if std::mem::take(&mut entry.renewed) {
            self.add(key.clone());
            return;
        }
        entry.failures = if outcome == Outcome::Failed { entry.failures.saturating_add(1) } else { 0 };
        let due = match outcome {
            Outcome::Settled => None,
            Outcome::At(due) => Some(due),
            Outcome::Failed => Some(now + RETRY.pause(entry.failures)),
        };
        if let Some(due) = due {
            entry.timer = Some(due);
            self.timers.insert((due, key.clone()));
        }
        // What fails is not tried sooner because its own writes came back as changes.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_is_looked_at_once_and_by_one() {
        let mut queue = Queue::default();
        let (a, b) = ("a", "b");
        for key in [a, a, b, a] {
            queue.add(key);
        }
        assert_eq!((queue.take(at(0)), queue.take(at(0)), queue.take(at(0))), (Some(a), Some(b), None));
        queue.add(a);
        assert_eq!(queue.take(at(0)), None, "another worker has it");
        queue.done(&a, Outcome::Settled, at(0));
        assert_eq!(queue.take(at(0)), Some(a), "it has changed meanwhile");
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
        let (bad, good) = ("bad", "good");
        queue.add(bad);
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..11 {
            assert_eq!(queue.take(now), Some(bad));
            queue.add(bad);
            queue.done(&bad, Outcome::Failed, now);
            queue.add(good);
            assert_eq!(queue.take(now), Some(good));
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
        let key = "a";
        queue.add(key);
        queue.take(at(0));
        queue.done(&key, Outcome::At(at(10)), at(0));
        assert_eq!(queue.take(at(9)), None);
        queue.add(key);
        assert_eq!(queue.take(at(9)), Some(key));
        assert_eq!(queue.next_due(), None);
        queue.done(&key, Outcome::At(at(12)), at(9));
        assert_eq!(queue.take(at(12)), Some(key));
    }

    #[test]
    fn clearing_leaves_only_what_runs() {
        let mut queue = Queue::default();
        let (a, b) = ("a", "b");
        queue.add(a);
        queue.add(b);
        queue.take(at(0));
        queue.clear();
        assert_eq!(queue.depth(), 0);
        queue.add(a);
        assert_eq!(queue.take(at(0)), None);
        queue.done(&a, Outcome::Settled, at(0));
        assert_eq!(queue.take(at(0)), Some(a));
    }

    #[test]
    fn what_is_renewed_while_it_fails_is_tried_at_once() {
        let mut queue = Queue::default();
        queue.add("a");
        queue.take(at(0));
        queue.done(&"a", Outcome::Failed, at(0));
        assert_eq!(queue.take(at(0)), None);
        queue.renew("a");
        assert_eq!(queue.take(at(0)), Some("a"), "the pause is over");
        queue.renew("a");
        queue.done(&"a", Outcome::Failed, at(0));
        assert_eq!((queue.take(at(0)), queue.next_due()), (Some("a"), None));
        queue.done(&"a", Outcome::Failed, at(0));
        assert_eq!(queue.next_due(), Some(at(1)), "the first failure of the new one");
    }
}
