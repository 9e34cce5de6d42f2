//! Who leads, decided as client-go does: when another's record was last seen to change is told by the own monotonic
//! clock, and what the record says of times is never believed.

use std::time::Duration;

/// A Lease, as far as it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeaseRecord {
    /// Who holds it; empty when nobody does.
    pub(super) holder: String,
    /// Its resource version, which changes with every renewal.
    pub(super) version: String,
    /// How long a holder that does not renew it is waited for.
    pub(super) duration: Duration,
}

/// What to do with the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// There is none: create it.
    Create,
    /// It is free, or its holder has been silent for too long: write the own name into it, if it is still that version.
    Take,
    /// It is one's own: renew it.
    Renew,
    /// Another holds it.
    Wait,
}

/// One candidate's view of the Lease. Times are since any fixed moment.
#[derive(Debug)]
pub(super) struct Election {
    identity: String,
    seen: Option<(LeaseRecord, Duration)>,
}

impl Election {
    /// A candidate of that name, which no other has.
    pub(super) fn new(identity: &str) -> Self {
        Self { identity: identity.to_owned(), seen: None }
    }

    /// What to do, now that the Lease is seen to be so.
    pub(super) fn observe(&mut self, record: Option<&LeaseRecord>, now: Duration) -> Move {
        let Some(record) = record else {
            self.seen = None;
            return Move::Create;
        };
        if record.holder == self.identity {
            return Move::Renew;
        }
        if record.holder.is_empty() {
            return Move::Take;
        }
        match &self.seen {
            Some((known, since)) if known == record => {
                if now.saturating_sub(*since) >= record.duration {
                    Move::Take
                } else {
                    Move::Wait
                }
            }
            _ => {
                self.seen = Some((record.clone(), now));
                Move::Wait
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(holder: &str, version: &str) -> LeaseRecord {
        LeaseRecord { holder: holder.into(), version: version.into(), duration: Duration::from_secs(12) }
    }

    #[test]
    fn another_is_waited_for_as_long_as_it_renews() {
        let mut election = Election::new("me");
        let mut see = |record: Option<&LeaseRecord>, now| election.observe(record, Duration::from_secs(now));
        assert_eq!(see(None, 0), Move::Create);
        for (version, now, wanted) in [
            ("1", 100, Move::Wait),
            ("1", 111, Move::Wait),
            ("2", 111, Move::Wait),
            ("2", 122, Move::Wait),
            ("2", 123, Move::Take),
        ] {
            assert_eq!(see(Some(&record("other", version)), now), wanted, "{version} at {now}");
        }
        assert_eq!(see(Some(&record("third", "3")), 124), Move::Wait, "somebody else was quicker");
        assert_eq!(see(Some(&record("", "4")), 125), Move::Take, "it was given back");
        assert_eq!(see(Some(&record("me", "5")), 126), Move::Renew);
    }
}
