use super::*;
use jiff::civil::date;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// 2026-11-23 00:00 UTC.
const NOW: i64 = 1_795_392_000;
const DAY: i64 = 86_400;

fn names() -> Vec<String> {
    vec!["volgate.volgate-system.svc".into(), "127.0.0.1".into()]
}

fn issued(authority: &Authority) -> PemPair {
    authority.issue(&names(), date(2026, 11, 23)).unwrap()
}

#[test]
fn an_issued_certificate_is_valid_for_its_names_and_days() {
    let authority = Authority::new(date(2026, 11, 23)).unwrap();
    let pem = issued(&authority);
    let pair = Pair::read(pem.clone()).unwrap();
    assert_eq!((pair.not_before, pair.not_after), (NOW - DAY, NOW + SERVER_DAYS * DAY));
    assert_eq!(pair.invalid_at(NOW), None);
    assert_eq!(pair.invalid_at(NOW - 2 * DAY).unwrap(), "is not valid before 2026-11-22T00:00:00Z");
    assert_eq!(pair.invalid_at(NOW + 365 * DAY).unwrap(), "expired on 2027-11-23T00:00:00Z");

    let (_, certificate) = x509_parser::pem::parse_x509_pem(&pem.certificate).unwrap();
    let certificate = certificate.parse_x509().unwrap();
    let alternatives = certificate.subject_alternative_name().unwrap().unwrap().value.general_names.clone();
    assert_eq!(format!("{alternatives:?}").matches("DNSName").count(), 1);
    assert_eq!(format!("{alternatives:?}").matches("IPAddress").count(), 1);
    let (_, ca) = x509_parser::pem::parse_x509_pem(authority.pem().as_bytes()).unwrap();
    let ca = ca.parse_x509().unwrap();
    assert!(ca.is_ca() && !certificate.is_ca());
    assert_eq!(certificate.issuer(), ca.subject());
}

#[test]
fn a_name_that_cannot_be_in_a_certificate_is_refused() {
    let authority = Authority::new(date(2026, 11, 23)).unwrap();
    let fault = authority.issue(&["bücher.example".into()], date(2026, 11, 23)).unwrap_err();
    assert!(fault.to_string().starts_with("failed to issue a certificate: "), "{fault}");
}

#[test]
fn secrets_are_not_printed() {
    let authority = Authority::new(date(2026, 11, 23)).unwrap();
    let pair = Pair::read(issued(&authority)).unwrap();
    assert!(!format!("{authority:?} {pair:?}").contains("PRIVATE KEY"));
}

#[test]
fn a_bundle_that_did_not_sign_the_certificate_is_told_apart_from_one_that_did() {
    let (ours, other) =
        (Authority::new(date(2026, 11, 23)).unwrap(), Authority::new(date(2026, 11, 23)).unwrap());
    let pem = issued(&ours);
    let leaf = String::from_utf8(pem.certificate.clone()).unwrap();
    let pair = Pair::read(pem).unwrap();
    let host = "volgate.volgate-system.svc";
    let why = |bundle: &str, host| distrust(&pair, bundle.as_bytes(), host, NOW);
    let both = other.pem() + &ours.pem();
    for trusted in [&ours.pem(), &both, &leaf] {
        assert_eq!(why(trusted, host), None);
    }
    // An authority of the same name, with another key; and one of another name.
    assert!(why(&other.pem(), host).unwrap().contains("none of its certificates has signed"));
    let stranger = rcgen::generate_simple_self_signed(vec!["stranger".to_owned()]).unwrap().cert.pem();
    assert!(why(&stranger, host).unwrap().contains("none of its certificates has signed"));
    assert!(why("no PEM", host).unwrap().contains("no certificate"));
    let elsewhere = why(&ours.pem(), "volgate.elsewhere.svc");
    assert_eq!(elsewhere.unwrap(), "the certificate that is served is not for volgate.elsewhere.svc");
    // That it has run out is told by itself.
    assert_eq!(distrust(&pair, ours.pem().as_bytes(), host, NOW + 400 * DAY), None);
}

/// Files as kubelet lays out a Secret: names that lead through `..data`, which is renamed over.
struct Mounted {
    dir: tempfile::TempDir,
    round: u32,
}

impl Mounted {
    fn new(pem: &PemPair) -> Self {
        let mut mounted = Self { dir: tempfile::tempdir().unwrap(), round: 0 };
        mounted.rotate(pem);
        symlink("..data/tls.crt", mounted.path("tls.crt")).unwrap();
        symlink("..data/tls.key", mounted.path("tls.key")).unwrap();
        mounted
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn rotate(&mut self, pem: &PemPair) {
        self.round += 1;
        let name = format!("..{}", self.round);
        fs::create_dir(self.path(&name)).unwrap();
        self.write(&self.path(&name), pem);
        symlink(&name, self.path("..data_tmp")).unwrap();
        fs::rename(self.path("..data_tmp"), self.path("..data")).unwrap();
    }

    fn write(&self, dir: &Path, pem: &PemPair) {
        fs::write(dir.join("tls.crt"), &pem.certificate).unwrap();
        fs::write(dir.join("tls.key"), &pem.key).unwrap();
    }

    fn source(&self) -> CertificateSource {
        CertificateSource::Files { certificate: self.path("tls.crt"), key: self.path("tls.key") }
    }
}

#[test]
fn three_rotations_in_a_row_are_followed() {
    let authority = Authority::new(date(2026, 11, 23)).unwrap();
    let mut mounted = Mounted::new(&issued(&authority));
    let mut follower = Follower::start(mounted.source(), NOW).unwrap();
    assert_eq!(follower.step(NOW), Step::Same);
    for _ in 0..3 {
        let pem = issued(&authority);
        mounted.rotate(&pem);
        assert_eq!(follower.step(NOW), Step::Taken);
        assert_eq!(follower.certificates().current().pem, pem);
        assert_eq!(follower.step(NOW), Step::Same);
    }
}

#[test]
fn a_half_written_pair_keeps_the_old_one() {
    let authority = Authority::new(date(2026, 11, 23)).unwrap();
    let (old, new) = (issued(&authority), issued(&authority));
    let mounted = Mounted::new(&old);
    let mut follower = Follower::start(mounted.source(), NOW).unwrap();
    let mut kept = |step: &str, known: bool| {
        let (certificate, key) = (mounted.path("tls.crt"), mounted.path("tls.key"));
        let files = format!("{} and {}", certificate.display(), key.display());
        let fault = format!("failed to use the certificate and its key: {step} ({files})");
        assert_eq!(follower.step(NOW), Step::Kept { fault, known });
        assert_eq!(follower.certificates().current().pem, old);
    };
    fs::write(mounted.path("tls.crt"), &new.certificate).unwrap();
    kept("the key is another certificate's", false);
    kept("the key is another certificate's", true);
    fs::write(mounted.path("tls.crt"), "").unwrap();
    kept("there is no certificate in the certificate's PEM", false);
    fs::write(mounted.path("tls.crt"), &new.certificate).unwrap();
    fs::write(mounted.path("tls.key"), &new.key).unwrap();
    assert_eq!(follower.step(NOW), Step::Taken);
}

#[test]
fn files_that_are_gone_keep_the_old_one() {
    let authority = Authority::new(date(2026, 11, 23)).unwrap();
    let mounted = Mounted::new(&issued(&authority));
    let mut follower = Follower::start(mounted.source(), NOW).unwrap();
    fs::remove_file(mounted.path("tls.key")).unwrap();
    match follower.step(NOW) {
        Step::Kept { fault, .. } => assert!(fault.contains("tls.key"), "{fault}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_expired_certificate_does_not_replace_a_valid_one() {
    let authority = Authority::new(date(2020, 1, 1)).unwrap();
    let valid = authority.issue(&names(), date(2026, 11, 23)).unwrap();
    let expired = authority.issue(&names(), date(2020, 1, 1)).unwrap();
    let mut mounted = Mounted::new(&expired);
    let mut follower = Follower::start(mounted.source(), NOW).unwrap();
    assert!(follower.certificates().current().invalid_at(NOW).is_some());
    mounted.rotate(&valid);
    assert_eq!(follower.step(NOW), Step::Taken);
    mounted.rotate(&expired);
    assert!(
        matches!(follower.step(NOW), Step::Kept { fault, .. } if fault.contains("expired on 2020-12-31"))
    );
    assert_eq!(follower.certificates().current().pem, valid);
}

#[test]
fn an_own_certificate_is_renewed_under_the_same_authority() {
    let source = CertificateSource::own(names(), NOW).unwrap();
    let ca = source.ca_bundle().unwrap();
    let mut follower = Follower::start(source, NOW).unwrap();
    assert_eq!(follower.step(NOW + 200 * DAY), Step::Same);
    assert_eq!(follower.step(NOW + 250 * DAY), Step::Taken);
    assert_eq!(follower.certificates().current().not_after, NOW + (250 + SERVER_DAYS) * DAY);
    assert_eq!(follower.source().ca_bundle().unwrap(), ca);
}
