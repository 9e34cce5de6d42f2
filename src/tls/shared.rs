use super::source::day;
use super::{Authority, Pair, PemPair, TlsFault, distrust};
use std::fmt;

/// How long before its end a certificate or a CA that nobody has renewed is worth a warning, in seconds: 30 days.
pub const RENEWED_BEFORE: i64 = 30 * 86_400;
/// A time that is over (2026-11-23), in seconds since 1970: a clock that shows an earlier one is wrong, as that of a machine that has
/// just started may be. What it would sign, no API server would trust, and it would take away what every API server trusts.
const WRITTEN: i64 = 1_795_392_000;
/// The most certificates that a bundle is made of.
const MOST_CERTIFICATES: usize = 4;

/// The CA and the certificate that all replicas share, as they are stored: PEM, empty where there is nothing.
///
/// It changes step by step, and one writer makes all steps: a new CA comes into the bundle beside the old one, is
/// registered, signs the certificate, and only then the old one goes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SharedPair {
    /// The certificates of the CAs to trust, the newest last.
    pub bundle: String,
    /// The private key of one of them.
    pub ca_key: String,
    /// The certificate to serve, and what leads to its CA.
    pub certificate: String,
    /// The certificate's private key.
    pub key: String,
}

impl fmt::Debug for SharedPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedPair") // the keys are in here
    }
}

/// How far the last step has got, as its writer sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settled {
    /// The CA that signs is registered, for so long that every API server knows.
    pub registered: bool,
    /// The certificate in here is stored for so long that every replica serves it.
    pub served: bool,
    /// No API server trusts what is served now, so that nothing can break.
    pub broken: bool,
}

/// What a step changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedChange {
    /// There is a new CA beside the old one.
    Authority,
    /// There is a new certificate.
    Certificate,
    /// CAs that signed nothing that is served are gone.
    OldAuthorities,
}

impl SharedPair {
    /// A new CA and a certificate for these names, at that time (seconds since 1970).
    ///
    /// # Errors
    /// A name cannot stand in a certificate, no key or certificate could be made, or the clock is wrong.
    pub fn new(names: &[String], now: i64) -> Result<Self, TlsFault> {
        check_clock(now)?;
        let authority = Authority::new(day(now))?;
        let new = Self { bundle: authority.pem(), ca_key: authority.key_pem(), ..Self::default() };
        new.issued(&authority, names, now)
    }

    /// The certificate that is to be served.
    ///
    /// # Errors
    /// There is none, or it and its key cannot be used.
    pub fn pair(&self) -> Result<Pair, TlsFault> {
        Pair::read(self.pem())
    }

    /// The certificate and its key.
    pub fn pem(&self) -> PemPair {
        PemPair { certificate: self.certificate.clone().into_bytes(), key: self.key.clone().into_bytes() }
    }

    /// The certificate of the CA that signs, PEM; none when there is no key of one.
    pub fn signing(&self) -> Option<String> {
        self.authority().map(|authority| authority.pem())
    }

    fn authority(&self) -> Option<Authority> {
        Authority::among(&certificates(&self.bundle), &self.ca_key)
    }

    /// What is to be stored in place of this at that time (seconds since 1970); none when nothing is to be done, or not yet.
    ///
    /// CA and certificate are renewed when two thirds of their time are over, when their time has not begun (a clock was ahead and
    /// is right again), and when one of them is missing or cannot be used.
    ///
    /// # Errors
    /// As [`SharedPair::new`].
    pub fn next(
        &self,
        names: &[String],
        now: i64,
        settled: Settled,
    ) -> Result<Option<(Self, SharedChange)>, TlsFault> {
        check_clock(now)?;
        let known = certificates(&self.bundle);
        let young = |authority: &Authority| span(&authority.pem()).is_some_and(|span| !is_due(span, now));
        let Some(authority) = self.authority().filter(young) else {
            let new = Authority::new(day(now))?;
            let valid = known.iter().filter(|pem| span(pem).is_some_and(|(_, end)| now < end));
            let mut bundle: Vec<String> = valid.cloned().collect();
            bundle.drain(..bundle.len().saturating_sub(MOST_CERTIFICATES - 1));
            bundle.push(new.pem());
            let next = Self { bundle: bundle.concat(), ca_key: new.key_pem(), ..self.clone() };
            return Ok(Some((next, SharedChange::Authority)));
        };
        let signed = |pair: &Pair, bundle: &str| {
            names.iter().all(|name| distrust(pair, bundle.as_bytes(), name, now).is_none())
        };
        let pair = self.pair().ok();
        let good =
            |pair: &Pair| !is_due((pair.not_before, pair.not_after), now) && signed(pair, &authority.pem());
        if !pair.as_ref().is_some_and(good) {
            if !settled.registered && !settled.broken {
                return Ok(None);
            }
            return Ok(Some((self.issued(&authority, names, now)?, SharedChange::Certificate)));
        }
        if known.len() > 1 && settled.served {
            let next = Self { bundle: authority.pem(), ..self.clone() };
            return Ok(Some((next, SharedChange::OldAuthorities)));
        }
        Ok(None)
    }

    fn issued(&self, authority: &Authority, names: &[String], now: i64) -> Result<Self, TlsFault> {
        let PemPair { certificate, key } = authority.issue(names, day(now))?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Self { certificate: text(certificate), key: text(key), ..self.clone() })
    }
}

/// The certificates of a PEM text, each with a line end.
pub fn certificates(pem: &str) -> Vec<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let texts = pem.split(BEGIN).skip(1);
    texts.filter_map(|text| Some(format!("{BEGIN}{}{END}\n", text.split_once(END)?.0))).collect()
}

/// From when until when a certificate (PEM) is valid, in seconds since 1970.
pub fn span(pem: &str) -> Option<(i64, i64)> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let validity = certificate.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

/// Whether two thirds of the time are over, or it has not begun.
fn is_due((from, until): (i64, i64), now: i64) -> bool {
    now < from || now - from >= (until - from) / 3 * 2
}

fn check_clock(now: i64) -> Result<(), TlsFault> {
    if now >= WRITTEN {
        return Ok(());
    }
    Err(TlsFault::Clock(jiff::Timestamp::from_second(now).map_or(String::new(), |at| at.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{CA_DAYS, SERVER_DAYS};

    /// 2026-11-23 00:00 UTC.
    const NOW: i64 = 1_795_392_000;
    const DAY: i64 = 86_400;
    const YET: Settled = Settled { registered: false, served: false, broken: false };
    const REGISTERED: Settled = Settled { registered: true, ..YET };

    fn names() -> Vec<String> {
        vec!["volgate.volgate-system.svc".into(), "127.0.0.1".into()]
    }

    fn step(pair: &SharedPair, now: i64, settled: Settled) -> (SharedPair, SharedChange) {
        pair.next(&names(), now, settled).unwrap().unwrap()
    }

    fn rests(pair: &SharedPair, now: i64, settled: Settled) {
        assert_eq!(pair.next(&names(), now, settled).unwrap(), None);
    }

    fn trusted(pair: &SharedPair, bundle: &str) -> bool {
        distrust(&pair.pair().unwrap(), bundle.as_bytes(), &names()[0], NOW).is_none()
    }

    #[test]
    fn a_new_one_can_be_served_and_read_again_and_nothing_is_to_be_done() {
        let first = SharedPair::new(&names(), NOW).unwrap();
        assert!(trusted(&first, &first.bundle));
        assert_eq!(first.signing().unwrap(), first.bundle);
        assert!(!format!("{first:?}").contains("PRIVATE"));
        rests(&first, NOW, Settled { registered: true, served: true, broken: true });
    }

    #[test]
    fn a_certificate_is_renewed_at_two_thirds_of_its_time_by_the_same_authority() {
        let first = SharedPair::new(&names(), NOW).unwrap();
        let two_thirds = NOW + (SERVER_DAYS + 1) * 2 / 3 * DAY;
        rests(&first, two_thirds - 2 * DAY, REGISTERED);
        rests(&first, two_thirds, YET);
        let (next, change) = step(&first, two_thirds, REGISTERED);
        assert_eq!((change, &next.bundle), (SharedChange::Certificate, &first.bundle));
        assert_ne!(next.certificate, first.certificate);
        assert!(trusted(&next, &first.bundle));
        rests(&next, two_thirds, REGISTERED);
    }

    #[test]
    fn a_new_authority_is_registered_before_it_signs_and_the_old_one_goes_last() {
        let first = SharedPair::new(&names(), NOW).unwrap();
        let two_thirds = NOW + (CA_DAYS + 1) * 2 / 3 * DAY;
        rests(&first, NOW + 200 * DAY, REGISTERED);
        let (both, change) = step(&first, two_thirds, REGISTERED);
        assert_eq!(change, SharedChange::Authority);
        assert_eq!(both.certificate, first.certificate, "still that of the old CA");
        assert_eq!(certificates(&both.bundle).len(), 2);
        assert!(both.bundle.starts_with(&first.bundle));

        rests(&both, two_thirds, YET);
        rests(&both, two_thirds, Settled { served: true, ..YET });
        let (signed, change) = step(&both, two_thirds, REGISTERED);
        assert_eq!((change, &signed.bundle), (SharedChange::Certificate, &both.bundle));
        rests(&signed, two_thirds, REGISTERED);
        let (last, change) = step(&signed, two_thirds, Settled { served: true, ..REGISTERED });
        assert_eq!(change, SharedChange::OldAuthorities);
        assert_eq!(Some(&last.bundle), both.signing().as_ref());
        rests(&last, two_thirds, Settled { served: true, ..REGISTERED });
    }

    #[test]
    fn what_a_clock_that_was_ahead_has_made_is_replaced_once_it_is_right() {
        let first = SharedPair::new(&names(), NOW).unwrap();
        let ahead = NOW + (CA_DAYS - 30) * DAY;
        let (both, _) = step(&first, ahead, YET);
        let (future, _) = step(&both, ahead, REGISTERED);
        let last = step(&future, ahead, Settled { served: true, ..REGISTERED }).0;
        assert!(last.pair().unwrap().invalid_at(NOW).is_some());

        let (mended, change) = step(&last, NOW, REGISTERED);
        assert_eq!(change, SharedChange::Authority);
        let (mended, change) = step(&mended, NOW, REGISTERED);
        assert_eq!(change, SharedChange::Certificate);
        assert!(trusted(&mended, &mended.bundle));
        assert_eq!(mended.pair().unwrap().invalid_at(NOW), None);
        rests(&mended, NOW, REGISTERED);
    }

    #[test]
    fn a_clock_that_is_certainly_wrong_changes_nothing() {
        let first = SharedPair::new(&names(), NOW).unwrap();
        for wrong in [0, NOW - 1, i64::MIN] {
            let why =
                first.next(&names(), wrong, Settled { broken: true, ..REGISTERED }).unwrap_err().to_string();
            assert!(why.contains("the clock of this node shows"), "{why}");
            assert!(SharedPair::new(&names(), wrong).is_err());
        }
    }

    #[test]
    fn what_somebody_took_away_is_made_again_in_the_same_order() {
        let first = SharedPair::new(&names(), NOW).unwrap();
        let no_key = SharedPair { ca_key: String::new(), ..first.clone() };
        let (both, change) = step(&no_key, NOW, YET);
        assert_eq!((change, &both.certificate), (SharedChange::Authority, &first.certificate));
        let foreign = SharedPair::new(&names(), NOW).unwrap();
        let mixed = SharedPair { ca_key: foreign.ca_key, ..first.clone() };
        assert_eq!(step(&mixed, NOW, YET).1, SharedChange::Authority, "the key is another CA's");

        let no_certificate = SharedPair { certificate: String::new(), ..first.clone() };
        rests(&no_certificate, NOW, YET);
        assert_eq!(step(&no_certificate, NOW, REGISTERED).1, SharedChange::Certificate);
        let broken = Settled { broken: true, ..YET };
        assert_eq!(step(&no_certificate, NOW, broken).1, SharedChange::Certificate);
        // Another name is asked for.
        let other = ["volgate.elsewhere.svc".to_owned()];
        let (renamed, _) = first.next(&other, NOW, REGISTERED).unwrap().unwrap();
        assert_eq!(distrust(&renamed.pair().unwrap(), first.bundle.as_bytes(), &other[0], NOW), None);
    }

    #[test]
    fn a_bundle_does_not_grow_and_holds_no_certificate_that_has_ended() {
        let mut pair = SharedPair::new(&names(), NOW).unwrap();
        for _ in 0..6 {
            pair = step(&SharedPair { ca_key: String::new(), ..pair }, NOW, YET).0;
        }
        assert_eq!(certificates(&pair.bundle).len(), MOST_CERTIFICATES);
        let (later, _) = step(&pair, NOW + 2 * CA_DAYS * DAY, YET);
        assert_eq!(certificates(&later.bundle).len(), 1);
    }

    #[test]
    fn a_text_is_taken_apart_into_its_certificates() {
        let (a, b) = (SharedPair::new(&names(), NOW).unwrap(), SharedPair::new(&names(), NOW).unwrap());
        let text = format!("# ours\n{}\nnoise\n{}-----BEGIN CERTIFICATE-----\ncut", a.bundle, b.bundle);
        assert_eq!(certificates(&text), [a.bundle, b.bundle].map(|pem| pem.replace('\r', "")));
    }
}
