//! Bytes in flight: what bodies may take of the memory, shared fairly among those who send them.
//!
//! Three things keep one client from taking what others need. Of those who wait, the one whose peer holds least is next.
//! Whoever has a share and does not send its body in time gives way as soon as somebody needs the bytes, and the peer that
//! holds most gives way first. One peer has so many that wait, and no more.

use crate::model::lock;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How quickly a body must arrive to be safe from giving way, in bytes a second. One of 7 MiB takes some 50 ms in a cluster;
/// this leaves room for a machine that is busy.
const RATE: usize = 1024 * 1024;
/// How many requests of one peer may wait for their share.
const MOST_WAITING: usize = 512;

/// A number of bytes of which requests take shares.
#[derive(Debug)]
pub(super) struct Budget {
    size: usize,
    /// How long a share is safe from being taken away while its body arrives, besides what the bytes take that are there.
    grace: Duration,
    shares: Mutex<Shares>,
}

#[derive(Debug)]
struct Shares {
    free: usize,
    next: u64,
    /// In the order in which they were asked for.
    waiting: BTreeMap<u64, Waiting>,
    held: BTreeMap<u64, Held>,
    peers: HashMap<IpAddr, Peer>,
}

#[derive(Debug)]
struct Waiting {
    peer: IpAddr,
    bytes: usize,
    granted: oneshot::Sender<()>,
}

#[derive(Debug)]
struct Held {
    peer: IpAddr,
    bytes: usize,
    since: Instant,
    /// Whom to tell to give way; nobody once the body is there.
    arriving: Option<Arc<Arrival>>,
}

/// How far a body is that arrives.
#[derive(Debug, Default)]
struct Arrival {
    bytes: AtomicUsize,
    give_way: Notify,
}

impl Held {
    fn is_late(&self, now: Instant, grace: Duration) -> bool {
        self.arriving.as_ref().is_some_and(|arrival| {
            let arrived = arrival.bytes.load(Ordering::Relaxed) as f64;
            let allowed = grace + Duration::from_secs_f64(arrived / RATE as f64);
            now.saturating_duration_since(self.since) >= allowed
        })
    }
}

/// What one peer has of it.
#[derive(Debug, Default)]
struct Peer {
    held: usize,
    waiting: usize,
}

/// Too many requests of the same peer wait already.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Crowded;

impl Budget {
    pub(super) fn new(size: usize, grace: Duration) -> Arc<Self> {
        let shares = Shares {
            free: size,
            next: 0,
            waiting: BTreeMap::new(),
            held: BTreeMap::new(),
            peers: HashMap::new(),
        };
        Arc::new(Self { size, grace, shares: Mutex::new(shares) })
    }

    /// How many bytes are taken.
    pub(super) fn taken(&self) -> usize {
        self.size - self.lock().free
    }

    /// Takes so many bytes, or all there are where that is less; waits until they are free.
    ///
    /// # Errors
    /// Too many of the peer's requests wait already.
    pub(super) async fn take(self: &Arc<Self>, peer: IpAddr, bytes: usize) -> Result<Share, Crowded> {
        let bytes = bytes.min(self.size);
        let (share, mut granted) = {
            let mut shares = self.lock();
            if shares.peers.get(&peer).is_some_and(|peer| peer.waiting >= MOST_WAITING) {
                return Err(Crowded);
            }
            let (sender, granted) = oneshot::channel();
            let id = shares.next;
            shares.next += 1;
            shares.peers.entry(peer).or_default().waiting += 1;
            shares.waiting.insert(id, Waiting { peer, bytes, granted: sender });
            shares.grant();
            // Made before anything waits: whatever becomes of the request, its share goes back.
            (Share { budget: self.clone(), id, arrival: Arc::default() }, granted)
        };
        while granted.try_recv().is_err() {
            tokio::select! {
                _ = &mut granted => break,
                () = tokio::time::sleep(self.grace / 4) => self.lock().make_room(Instant::now(), self.grace),
            }
        }
        if let Some(held) = self.lock().held.get_mut(&share.id) {
            held.arriving = Some(share.arrival.clone());
        }
        Ok(share)
    }

    fn lock(&self) -> MutexGuard<'_, Shares> {
        // Numbers alone, each changed in one step.
        lock(&self.shares)
    }
}

impl Shares {
    /// Gives those who wait what is free, those first whose peer holds least.
    fn grant(&mut self) {
        while let Some(id) = self.first() {
            let Some(Waiting { peer, bytes, granted }) = self.waiting.remove(&id) else { return };
            let of = self.peers.entry(peer).or_default();
            of.waiting -= 1;
            of.held += bytes;
            self.free -= bytes;
            self.held.insert(id, Held { peer, bytes, since: Instant::now(), arriving: None });
            // One that does not wait any more gives its share back when it is dropped.
            let _ = granted.send(());
        }
    }

    /// Who is next, when its bytes are free: a smaller request behind it would otherwise hold it up without end.
    fn first(&self) -> Option<u64> {
        let held = |peer| self.peers.get(peer).map_or(0, |peer: &Peer| peer.held);
        let (id, first) = self.waiting.iter().min_by_key(|(id, waiting)| (held(&waiting.peer), **id))?;
        (first.bytes <= self.free).then_some(*id)
    }

    /// Tells those to give way whose bodies are late, as many as somebody who waits needs.
    fn make_room(&mut self, now: Instant, grace: Duration) {
        let mut wanted: usize = self.waiting.values().map(|waiting| waiting.bytes).sum();
        wanted = wanted.saturating_sub(self.free);
        let held = |peer| self.peers.get(peer).map_or(0, |peer: &Peer| peer.held);
        let weights: HashMap<IpAddr, usize> =
            self.held.values().map(|one| (one.peer, held(&one.peer))).collect();
        let mut late: Vec<&mut Held> =
            self.held.values_mut().filter(|held| held.is_late(now, grace)).collect();
        // The sort is stable: of one peer's, the oldest comes first.
        late.sort_by_key(|one| std::cmp::Reverse(weights.get(&one.peer).copied()));
        for one in late {
            if wanted == 0 {
                break;
            }
            wanted = wanted.saturating_sub(one.bytes);
            if let Some(arrival) = one.arriving.take() {
                arrival.give_way.notify_one();
            }
        }
    }

    fn leave(&mut self, id: u64) {
        let peer = if let Some(waiting) = self.waiting.remove(&id) {
            self.peers.entry(waiting.peer).or_default().waiting -= 1;
            waiting.peer
        } else if let Some(held) = self.held.remove(&id) {
            self.free += held.bytes;
            self.peers.entry(held.peer).or_default().held -= held.bytes;
            held.peer
        } else {
            return;
        };
        if self.peers.get(&peer).is_some_and(|peer| peer.held == 0 && peer.waiting == 0) {
            self.peers.remove(&peer);
        }
        self.grant();
    }
}

/// Bytes that one request has taken; they are free again when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    id: u64,
    arrival: Arc<Arrival>,
}

impl Share {
    /// So many bytes of the body are there.
    pub(super) fn has(&self, bytes: usize) {
        self.arrival.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Ends when somebody else needs the bytes and the body does not arrive in time.
    pub(super) async fn wanted_back(&self) {
        self.arrival.give_way.notified().await;
    }

    /// The body is there: the share is nobody else's until the work on it ends.
    pub(super) fn arrived(&self) {
        if let Some(held) = self.budget.lock().held.get_mut(&self.id) {
            held.arriving = None;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.lock().leave(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    const GRACE: Duration = Duration::from_millis(250);

    fn peer(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    fn poll<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
        // A task may otherwise poll so many things and no more before it has to wait.
        match pin!(tokio::task::unconstrained(future)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    fn now(budget: &Arc<Budget>, number: u8, bytes: usize) -> Share {
        poll(pin!(budget.take(peer(number), bytes))).expect("the bytes are free").unwrap()
    }

    #[tokio::test]
    async fn bytes_that_are_taken_come_back_whatever_becomes_of_the_request() {
        let budget = Budget::new(100, GRACE);
        let held = now(&budget, 1, 60);
        assert_eq!(budget.taken(), 60);
        let huge = now(&budget, 1, 40);
        {
            let mut waits = pin!(budget.take(peer(1), 1_000));
            assert!(poll(waits.as_mut()).is_none());
        }
        assert!(budget.lock().waiting.is_empty(), "one that does not wait any more is forgotten");
        drop(huge);
        drop(held);
        assert_eq!(budget.taken(), 0);
        assert!(budget.lock().peers.is_empty());
        drop(now(&budget, 1, 1_000));
    }

    #[tokio::test]
    async fn the_peer_that_holds_least_is_next() {
        let budget = Budget::new(100, GRACE);
        let (first, second) = (now(&budget, 1, 50), now(&budget, 1, 50));
        let mut greedy = pin!(budget.take(peer(1), 50));
        let mut other = pin!(budget.take(peer(2), 50));
        assert!(poll(greedy.as_mut()).is_none() && poll(other.as_mut()).is_none());
        drop(first);
        assert!(poll(greedy.as_mut()).is_none(), "it asked first, and its peer holds 50 bytes");
        let other = poll(other.as_mut()).unwrap().unwrap();
        drop(second);
        assert!(poll(greedy.as_mut()).is_some());
        drop(other);
    }

    #[tokio::test]
    async fn a_small_request_does_not_overtake_a_large_one_for_ever() {
        let budget = Budget::new(100, GRACE);
        let (held, more) = (now(&budget, 1, 50), now(&budget, 1, 50));
        let mut large = pin!(budget.take(peer(1), 100));
        assert!(poll(large.as_mut()).is_none());
        drop(held);
        let mut small = pin!(budget.take(peer(1), 10));
        assert!(poll(small.as_mut()).is_none(), "50 bytes are free, and the large one waits for all");
        drop(more);
        assert!(poll(large.as_mut()).is_some());
        assert!(poll(small.as_mut()).is_some(), "what the large one gave back");
    }

    #[tokio::test]
    async fn late_bodies_give_way_to_those_who_wait_the_heaviest_peers_first() {
        let budget = Budget::new(100, GRACE);
        let (light, heavy, heavier) = (now(&budget, 1, 20), now(&budget, 2, 40), now(&budget, 2, 40));
        let told = |share: &Share| poll(pin!(share.wanted_back())).is_some();
        let mut waits = pin!(budget.take(peer(3), 40));
        assert!(poll(waits.as_mut()).is_none());
        budget.lock().make_room(Instant::now(), GRACE);
        assert!(!told(&heavy), "its time to arrive is not over");
        budget.lock().make_room(Instant::now() + GRACE, GRACE);
        assert!(told(&heavy) && !told(&heavier) && !told(&light), "no more than somebody needs");
        drop(heavy);
        assert!(poll(waits.as_mut()).is_some());

        heavier.has(RATE);
        let mut more = pin!(budget.take(peer(4), 100));
        assert!(poll(more.as_mut()).is_none());
        budget.lock().make_room(Instant::now() + GRACE, GRACE);
        assert!(!told(&heavier) && told(&light), "what comes quickly enough is safe");
        heavier.arrived();
        budget.lock().make_room(Instant::now() + 10 * GRACE, GRACE);
        assert!(!told(&heavier), "what has arrived is not taken away");
    }

    #[tokio::test]
    async fn so_many_of_one_peer_wait_and_no_more() {
        let budget = Budget::new(10, GRACE);
        let held = now(&budget, 1, 10);
        let mut waiting: Vec<_> = (0..MOST_WAITING).map(|_| Box::pin(budget.take(peer(1), 1))).collect();
        assert!(waiting.iter_mut().all(|one| poll(one.as_mut()).is_none()));
        assert_eq!(poll(pin!(budget.take(peer(1), 1))).unwrap().unwrap_err(), Crowded);
        assert!(poll(pin!(budget.take(peer(2), 1))).is_none(), "another's may");
        drop(held);
        assert_eq!(waiting.iter_mut().filter_map(|one| poll(one.as_mut())).count(), MOST_WAITING);
    }
}
