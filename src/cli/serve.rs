//! `volgate serve`: the webhook, from its arguments to the end of the process.

use super::daemon::{LOOK, LogFormat, listen, start_log, stopped};
use super::link::{Link, PolicyFeed, assemble};
use super::{input, policies};
use crate::cluster::{self, Endpoint, Registration};
use crate::lookup::{Lookup, MapLookup};
use crate::policy::CompiledPolicy;
use crate::server::{CacheState, Clock, Limits, NoCaches, Shutdown, State};
use crate::tls::{CertificateSource, Follower, Step};
use anyhow::{Context, Result, bail};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// The port of the Service by which the API server reaches the webhook.
const SERVICE_PORT: u16 = 443;

/// Answer the API server's reviews.
///
/// The webhook listens with TLS on --listen, and /livez, /readyz and /metrics are on --health-listen in the clear.
/// Certificates and policies may change on disk while it runs. On SIGTERM readiness fails first, and what still comes
/// in is answered for --drain-delay. The log goes to stderr; RUST_LOG sets how much of it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policy files and folders; without any, the built-in baseline
    #[arg(long, value_name = "PATH")]
    policy: Vec<PathBuf>,
    /// Where the webhook listens, with TLS
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Where health and metrics are, in the clear
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    health_listen: SocketAddr,
    /// The certificate chain (PEM); followed when it changes. Without it volgate issues its own
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The CA that signed --tls-cert (PEM), for --register and --print-ca
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_ca: Option<PathBuf>,
    /// A DNS name or IP address of the issued certificate, besides those of --service and --url
    #[arg(long, value_name = "NAME", conflicts_with = "tls_cert")]
    dns_name: Vec<String>,
    /// Print the CA's certificate (PEM), for a webhook configuration's caBundle, to stdout
    #[arg(long)]
    print_ca: bool,
    /// No cluster: rules know nothing but the object itself
    #[arg(long)]
    standalone: bool,
    /// Write the webhook configurations to the cluster. Without it somebody else does, and /readyz says when their CA bundle
    /// does not fit the certificate, as far as volgate may read them
    #[arg(long, conflicts_with = "standalone")]
    register: bool,
    /// The Service by which the API server reaches the webhook
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = service)]
    service: Option<Service>,
    /// The URL by which it does, outside of the cluster
    #[arg(long, value_name = "URL", conflicts_with = "service", value_parser = url)]
    url: Option<String>,
    /// What becomes of a request when volgate does not answer
    #[arg(long, value_enum, default_value_t)]
    failure_policy: FailurePolicy,
    /// How long the API server waits for a review, in seconds. volgate's own limit is a fifth shorter, so that its answer
    /// arrives
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=30))]
    timeout: u8,
    /// How long requests are taken after SIGTERM, in seconds: endpoints go away with a delay
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    drain_delay: u16,
    /// How much memory the bodies of large reviews may take together, in MiB; a review has 7 at most
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u16).range(7..))]
    body_memory: u16,
    /// How the log is written
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
}

/// A Service of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Service {
    namespace: String,
    name: String,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum FailurePolicy {
    /// It is refused
    #[default]
    Fail,
    /// It goes through unjudged
    Ignore,
}

/// Serves until SIGTERM or Ctrl-C.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    start_log(args.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("failed to start the runtime")?.block_on(serve(args))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(args: &Args) -> Result<()> {
    if args.policy.iter().any(|path| path.as_os_str() == "-") {
        bail!(
            "failed to follow stdin: --policy takes files and folders here, which are read again as they change"
        );
    }
    let clock = Clock::system();
    let watched = WatchedPolicies::new(&args.policy)?;
    let files = policies_of(&args.policy)?;
    let (set, _) = assemble(&files, &[])?;
    let mut follower = Follower::start(certificate_source(args, &clock)?, clock.now())?;
    let ca = ca_bundle(args, &follower)?;
    if args.print_ca {
        let Some(ca) = &ca else {
            bail!("failed to print the CA: with --tls-cert it must be given by --tls-ca")
        };
        std::io::stdout().write_all(ca.as_bytes()).context("failed to print the CA")?;
    }
    // Bound before the cluster is reached, so that a port that is taken shows at once.
    let webhook = listen(args.listen)?;
    let health = listen(args.health_listen)?;
    let registration = if args.register { Some(registration(args, ca)?) } else { None };
    let link = if args.standalone { None } else { Some(Link::start().await?) };
    let (lookup, caches): (Arc<dyn Lookup>, Arc<dyn CacheState>) = match &link {
        Some(link) => (link.lookup(), link.caches()),
        None => (Arc::new(MapLookup::default()), Arc::new(NoCaches)),
    };
    let limits = Limits {
        request_time: Limits::for_timeout(args.timeout),
        large_bodies: usize::from(args.body_memory) * 1024 * 1024,
        ..Limits::default()
    };
    let state = State::new(set, lookup, caches, follower.certificates(), clock.clone(), limits);
    tracing::info!(
        policies = state.policies.load().policies().len(),
        "volgate {} serves {} and health on {}",
        env!("CARGO_PKG_VERSION"),
        args.listen,
        args.health_listen
    );

    let mut policies = Policies { watched, files, cluster: link.as_ref().map(Link::policies) };
    let looking = tokio::spawn({
        let state = state.clone();
        async move {
            let mut ticks = tokio::time::interval(LOOK);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    // A few small files: reading them takes less than handing them to another thread.
                    _ = ticks.tick() => {
                        look_at_certificate(&mut follower, &state);
                        policies.look(&state);
                    }
                    () = policies.cluster_changed() => policies.put_together(&state),
                }
            }
        }
    });
    let watched_state = state.clone();
    let registering = async {
        match (&link, registration) {
            (Some(link), Some(registration)) => link.register(registration).await,
            (Some(link), None) => link.watch_registration(&watched_state).await,
            (None, _) => {}
        }
        std::future::pending::<()>().await;
    };
    let shutdown = Shutdown { delay: Duration::from_secs(args.drain_delay.into()), ..Shutdown::default() };
    let serving = crate::server::serve(state, webhook, health, stopped(), shutdown);
    let served = tokio::select! {
        served = serving => served,
        // It goes on for ever: serving ends first.
        () = registering => Ok(()),
    };
    looking.abort();
    served?;
    tracing::info!("every request is answered; the end");
    Ok(())
}

fn certificate_source(args: &Args, clock: &Clock) -> Result<CertificateSource> {
    if let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) {
        return Ok(CertificateSource::Files { certificate: certificate.clone(), key: key.clone() });
    }
    Ok(CertificateSource::own(certificate_names(args), clock.now())?)
}

/// The names by which the webhook is called.
fn certificate_names(args: &Args) -> Vec<String> {
    let mut names = args.dns_name.clone();
    if let Some(Service { namespace, name }) = &args.service {
        names.push(format!("{name}.{namespace}.svc"));
        names.push(format!("{name}.{namespace}.svc.cluster.local"));
    }
    names.extend(args.url.as_deref().and_then(host).map(str::to_owned));
    if names.is_empty() {
        names.extend(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    }
    names
}

fn ca_bundle(args: &Args, follower: &Follower) -> Result<Option<String>> {
    match &args.tls_ca {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text = text.with_context(|| format!("failed to read {}", path.display()))?;
            // It becomes public: the webhook configurations are for everybody to read.
            if text.contains("PRIVATE KEY-----") {
                bail!(
                    "failed to use {} as the CA: there is a private key in it, and what --tls-ca holds is written into \
                     the webhook configurations, for everybody to read: give the certificate alone",
                    path.display()
                );
            }
            if !text.contains("-----BEGIN CERTIFICATE-----") {
                bail!("failed to use {} as the CA: there is no certificate (PEM) in it", path.display());
            }
            Ok(Some(text))
        }
        None => Ok(follower.source().ca_bundle()),
    }
}

fn registration(args: &Args, ca: Option<String>) -> Result<Registration> {
    let endpoint = match (&args.service, &args.url) {
        (Some(Service { namespace, name }), _) => {
            Endpoint::Service { namespace: namespace.clone(), name: name.clone(), port: SERVICE_PORT }
        }
        (None, Some(url)) => Endpoint::Url(url.clone()),
        (None, None) => bail!(
            "failed to register: the API server must know the way: give --service NAMESPACE/NAME, or --url for a \
             webhook outside of the cluster"
        ),
    };
    let ca = ca.context("failed to register: with --tls-cert the CA must be given by --tls-ca")?;
    let failure_policy = match args.failure_policy {
        FailurePolicy::Fail => cluster::FailurePolicy::Fail,
        FailurePolicy::Ignore => cluster::FailurePolicy::Ignore,
    };
    let own = args.service.iter().map(|service| service.namespace.clone()).collect();
    Ok(Registration {
        failure_policy,
        timeout_seconds: args.timeout,
        excluded_namespaces: own,
        ..Registration::new(endpoint, ca.into_bytes())
    })
}

fn look_at_certificate(follower: &mut Follower, state: &State) {
    match follower.step(state.clock.now()) {
        Step::Same => {}
        Step::Taken => tracing::info!("a new certificate is served"),
        Step::Kept { fault, known } => {
            state.metrics.certificate_reload_errors.inc();
            // Once is enough: the next look is seconds away.
            if !known {
                tracing::warn!("{fault}; the old certificate is kept");
            }
        }
    }
}

/// Policy files, as they were when they were last looked at.
struct WatchedPolicies {
    paths: Vec<PathBuf>,
    seen: Vec<(PathBuf, Vec<u8>)>,
    unreadable: bool,
}

impl WatchedPolicies {
    fn new(paths: &[PathBuf]) -> Result<Self> {
        Ok(Self { paths: paths.to_vec(), seen: input::contents(paths)?, unreadable: false })
    }

    /// The policies of the files when those have changed. What is bad changes nothing but the log and a metric, and is
    /// told once.
    fn look(&mut self, state: &State) -> Option<Vec<CompiledPolicy>> {
        let refuse = |fault: anyhow::Error| {
            state.metrics.policy_reload_errors.inc();
            tracing::error!("{fault:#}; the old policies stay in force");
        };
        let now = match input::contents(&self.paths) {
            Ok(now) => now,
            Err(fault) => {
                if !std::mem::replace(&mut self.unreadable, true) {
                    refuse(fault);
                }
                return None;
            }
        };
        self.unreadable = false;
        if now == self.seen {
            return None;
        }
        self.seen = now;
        policies_of(&self.paths).map_err(refuse).ok()
    }
}

/// The policies of files and cluster, and what they were made from.
struct Policies {
    watched: WatchedPolicies,
    files: Vec<CompiledPolicy>,
    cluster: Option<PolicyFeed>,
}

impl Policies {
    fn look(&mut self, state: &State) {
        if let Some(files) = self.watched.look(state) {
            self.files = files;
            self.put_together(state);
        }
    }

    /// Ends when the cluster's policies are others than before; without a cluster never.
    async fn cluster_changed(&mut self) {
        let changed = match &mut self.cluster {
            Some(cluster) => cluster.changed().await,
            None => false,
        };
        if !changed {
            std::future::pending::<()>().await;
        }
    }

    fn put_together(&mut self, state: &State) {
        let cluster = self.cluster.as_mut().map(PolicyFeed::take).unwrap_or_default();
        match assemble(&self.files, &cluster) {
            Ok((set, left_out)) => {
                for fault in left_out {
                    state.metrics.policy_reload_errors.inc();
                    tracing::error!("{fault}");
                }
                let names: Vec<&str> = set.policies().iter().map(|policy| policy.name.as_str()).collect();
                tracing::info!("the policies in force: {}", names.join(", "));
                state.policies.store(Arc::new(set));
                if let Some(cluster) = &self.cluster {
                    cluster.in_force();
                }
            }
            Err(fault) => {
                state.metrics.policy_reload_errors.inc();
                tracing::error!("{fault:#}; the old policies stay in force");
            }
        }
    }
}

/// The policies of the files that were given; none when none were.
fn policies_of(paths: &[PathBuf]) -> Result<Vec<CompiledPolicy>> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    Ok(policies::read(paths)?.set.policies().to_vec())
}

fn service(text: &str) -> Result<Service, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(Service { namespace: namespace.to_owned(), name: name.to_owned() })
        }
        _ => Err("must be a namespace and a name, such as volgate-system/volgate".to_owned()),
    }
}

fn url(text: &str) -> Result<String, String> {
    match host(text) {
        Some(_) => Ok(text.trim_end_matches('/').to_owned()),
        None => Err("must be an https URL, such as https://192.0.2.1:8443".to_owned()),
    }
}

/// The host of an https URL.
fn host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://")?;
    let authority = rest.split('/').next()?;
    let host = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next()?,
        None => authority.split(':').next()?,
    };
    Some(host).filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::fs;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(line: &str) -> Result<Args, String> {
        let words = std::iter::once("serve").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.args).map_err(|error| error.to_string())
    }

    #[test]
    fn the_certificate_has_the_names_by_which_the_webhook_is_called() {
        let names = |line| certificate_names(&args(line).unwrap()).join(" ");
        assert_eq!(names(""), "localhost 127.0.0.1");
        assert_eq!(names("--service a/b"), "b.a.svc b.a.svc.cluster.local");
        assert_eq!(names("--dns-name x --url https://192.0.2.1:8443/y"), "x 192.0.2.1");
        assert_eq!(names("--url https://[2001:db8::1]:8443"), "2001:db8::1");
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        for (line, part) in [
            ("--service volgate", "must be a namespace and a name"),
            ("--url http://volgate", "must be an https URL"),
            ("--url https://", "must be an https URL"),
            ("--tls-cert a", "--tls-key"),
            ("--standalone --register", "cannot be used with"),
            ("--timeout 0", "1..=30"),
            ("--body-memory 6", "is not in"),
            ("--tls-cert a --tls-key b --dns-name c", "cannot be used with"),
        ] {
            let error = args(line).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    fn policy(name: &str) -> String {
        format!(
            "apiVersion: volgate.dev/v1alpha1\nkind: StoragePolicy\nmetadata: {{name: {name}}}\n\
             spec: {{rules: [{{defaultClass: {{name: fast}}}}]}}\n"
        )
    }

    #[test]
    fn changed_policies_are_taken_over_and_bad_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.yaml");
        fs::write(&file, policy("first")).unwrap();
        let paths = [folder.path().to_owned()];
        let watched = WatchedPolicies::new(&paths).unwrap();
        let mut policies = Policies { watched, files: Vec::new(), cluster: None };
        let source = CertificateSource::own(vec!["localhost".into()], 0).unwrap();
        let state = State::new(
            policies::read(&paths).unwrap().set,
            Arc::new(MapLookup::default()),
            Arc::new(NoCaches),
            Follower::start(source, 0).unwrap().certificates(),
            Clock::new(|| 0),
            Limits::default(),
        );
        let mut look = |name: &str, errors: u64| {
            policies.look(&state);
            assert_eq!(state.policies.load().policies()[0].name, name);
            assert_eq!(state.metrics.policy_reload_errors.get(), errors);
        };
        look("first", 0);
        fs::write(&file, policy("second")).unwrap();
        look("second", 0);
        fs::write(&file, "kind: StoragePolicy").unwrap();
        look("second", 1);
        look("second", 1);
        fs::remove_file(&file).unwrap();
        look("second", 2);
        fs::write(&file, policy("third")).unwrap();
        look("third", 2);
    }
}
