//! `volgate serve`: the webhook, from its arguments to the end of the process.

use super::daemon::{DaemonArgs, LOOK, lease, listen, stopped};
use super::link::{Link, PolicyFeed, assemble};
use super::registration::{RegistrationArgs, read_ca};
use super::{input, policies};
use crate::cluster::{
    Authorities, CustomResource, DenialEvents, InForce, Known, NAME, PolicyKeeping, Registrar,
    RegistrarOptions, RegistrationView, SECRET, SecretSettings, until_removed,
};
use crate::daemon::{Followed, Look};
use crate::lookup::{Lookup, MapLookup};
use crate::policy::CompiledPolicy;
use crate::server::{CacheState, Clock, Limits, NoCaches, Shutdown, State, ToldTime};
use crate::tls::{CertificateSource, Certificates, Follower, Step};
use anyhow::{Context, Result, bail};
use arc_swap::ArcSwap;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The namespace of the Lease and the Secret when nothing says another.
const NAMESPACE: &str = "volgate-system";
/// How long the end waits for volgate's removal: the delay and the last requests still fit into a pod's 30 seconds.
const REMOVAL: Duration = Duration::from_secs(14);
/// How long the lease's return may take at the end.
const LAST_WRITE: Duration = Duration::from_secs(2);
/// How often the log says that a certificate ends and nobody renews it.
const REMIND: Duration = Duration::from_secs(86_400);

/// Answer the API server's reviews.
///
/// The webhook listens with TLS on --listen, and /livez, /readyz and /metrics are on --health-listen over plain HTTP.
/// Certificates and policies may change on disk while it runs. On SIGTERM readiness fails first, and new requests are
/// still answered for --drain-delay. The log goes to stderr; RUST_LOG sets how much of it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policy files and folders; without any, the built-in baseline
    #[arg(long, value_name = "PATH")]
    policy: Vec<PathBuf>,
    /// Where the webhook listens, with TLS
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:8443")]
    listen: SocketAddr,
    /// The certificate chain (PEM); followed when it changes. Without it volgate makes its own: with --register one for all
    /// replicas, in --tls-secret, and otherwise one for this process
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The CA that signed --tls-cert (PEM), for --register and --print-ca; followed when it changes
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_ca: Option<PathBuf>,
    /// A DNS name or IP address of the certificate that volgate makes, besides those of --service and --url
    #[arg(long, value_name = "NAME", conflicts_with = "tls_cert")]
    dns_name: Vec<String>,
    /// Print the CA's certificate (PEM), for a webhook configuration's caBundle, to stdout
    #[arg(long, conflicts_with = "register")]
    print_ca: bool,
    /// Run without a cluster: rules see only the object itself
    #[arg(long)]
    standalone: bool,
    /// Write the webhook configurations to the cluster and keep them: one of the replicas does, once it can answer. Without it
    /// somebody else does, and /readyz says when their CA bundle does not fit the certificate, as far as volgate may read them
    #[arg(long, conflicts_with = "standalone")]
    register: bool,
    /// Do not create the StoragePolicy `baseline`, which --register creates once by default
    #[arg(long, requires = "register")]
    no_baseline: bool,
    /// The namespace of the Lease and of --tls-secret; without it that of --service
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE")]
    namespace: Option<String>,
    /// The Secret with the CA and the certificate of all replicas, made and renewed by volgate
    #[arg(long, value_name = "NAME", default_value = SECRET)]
    tls_secret: String,
    /// How long a silent leader, the replica that writes the webhook configurations, is waited for, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 12, value_parser = clap::value_parser!(u32).range(6..))]
    lease_duration: u32,
    #[command(flatten)]
    registration: RegistrationArgs,
    /// How long new requests are answered after SIGTERM, until endpoints are updated, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    drain_delay: u16,
    /// How much memory the bodies of large reviews may take together, in MiB; a review has 7 at most
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u16).range(7..))]
    body_memory: u16,
    #[command(flatten)]
    daemon: DaemonArgs,
}

/// Serves until SIGTERM or Ctrl-C.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    args.daemon.run(serve(args))
}

async fn serve(args: &Args) -> Result<()> {
    if args.policy.iter().any(|path| path.as_os_str() == "-") {
        bail!(
            "failed to follow stdin: --policy takes files and folders here, which are read again as they change"
        );
    }
    let told = ToldTime::default();
    let clock = Clock::system().beside(told.clone());
    let watched = policy_files(&args.policy)?;
    let files = policies_of(&args.policy)?;
    let (set, _) = assemble(&files, None)?;
    let mut follower = Follower::start(certificate_source(args, &clock)?, clock.now())?;
    let mut ca = args.tls_ca.as_deref().map(CaFile::read).transpose()?;
    if args.print_ca {
        let own = follower.source().ca_bundle();
        let Some(ca) = ca.as_ref().map(CaFile::text).or(own) else {
            bail!("failed to print the CA: with --tls-cert it must be given by --tls-ca")
        };
        std::io::stdout().write_all(ca.as_bytes()).context("failed to print the CA")?;
    }
    let mut registering = if args.register { Some(registrar_options(args, ca.as_ref())?) } else { None };
    // Bound before the cluster is reached, so that a port that is taken shows at once.
    let webhook = listen(args.listen)?;
    let health = args.daemon.listen()?;
    let link = if args.standalone { None } else { Some(Link::start(&told).await?) };
    let (lookup, caches): (Arc<dyn Lookup>, Arc<dyn CacheState>) = match &link {
        Some(link) => (link.lookup(), link.caches()),
        None => (Arc::new(MapLookup::default()), Arc::new(NoCaches)),
    };
    let limits = Limits {
        request_time: Limits::for_timeout(args.registration.timeout()),
        large_bodies: usize::from(args.body_memory) * 1024 * 1024,
        ..Limits::default()
    };
    let state = State::new(set, lookup, caches, follower.certificates(), clock.clone(), limits);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        policies = state.policies.load().policies().len(),
        listen = %args.listen,
        health = %args.daemon.health_listen,
        "the webhook has started"
    );

    if args.registration.events() {
        let Some(link) = &link else {
            bail!("failed to write Events: --standalone has no cluster to write them to")
        };
        let instance = std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME"));
        let counted = state.clone();
        let events =
            DenialEvents::start(link.client(), instance.as_deref().unwrap_or("volgate"), move |result| {
                counted.metrics.event(result)
            });
        state.on_denial(Box::new(move |denial| events.tell(denial)));
    }

    let makes_baseline = args.register && !args.no_baseline;
    let (settled, settling) = watch::channel(!makes_baseline);
    let (told, in_force) = watch::channel(InForce::default());
    if let (Some(options), Some(link)) = (&mut registering, &link) {
        let (policies, statuses) = (link.objects(), link.statuses());
        let settled = makes_baseline.then_some(settled);
        options.policies = Some(PolicyKeeping { policies, statuses, in_force, settled });
    }
    let settling = makes_baseline.then_some(settling);
    let cluster = link.as_ref().map(|link| link.policies(settling));
    let mut policies = Policies { paths: args.policy.clone(), watched, files, cluster, told };
    // What is in the Secret is followed by the registrar.
    let follows = args.tls_cert.is_some() || !args.register;
    let looking = tokio::spawn({
        let state = state.clone();
        async move {
            let mut reminded = None;
            let mut ticks = tokio::time::interval(LOOK);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    // A few small files: reading them takes less than handing them to another thread.
                    _ = ticks.tick() => {
                        if let Some(ca) = &mut ca {
                            ca.look(&state);
                        }
                        if follows {
                            look_at_certificate(&mut follower, &state);
                        }
                        remind(&state, &mut reminded);
                        policies.look(&state);
                    }
                    () = policies.cluster_changed() => policies.put_together(&state),
                }
            }
        }
    });
    let (end, ending) = watch::channel(false);
    let client = link.as_ref().map(Link::client);
    let keeping = tokio::spawn(registration(client.clone(), registering, state.clone(), ending));
    let registers = args.register;
    let stop = async move {
        stopped().await;
        // Another replica may take over at once.
        end.send_replace(true);
        if let Some(client) = client.filter(|_| registers) {
            until_removed(client, REMOVAL).await;
        }
    };
    let shutdown = Shutdown { delay: Duration::from_secs(args.drain_delay.into()), ..Shutdown::default() };
    let served = crate::server::serve(state, webhook, health, stop, shutdown).await;
    looking.abort();
    // It gives its lease back, unless the API server cannot be reached.
    let _ = tokio::time::timeout(LAST_WRITE, keeping).await;
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
    names.extend(args.registration.names());
    if names.is_empty() {
        names.extend(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    }
    names
}

/// What the replica that leads registers, and how one is chosen.
fn registrar_options(args: &Args, ca: Option<&CaFile>) -> Result<RegistrarOptions> {
    let registration = args.registration.registration(Vec::new())?;
    let namespace = args.namespace.as_deref().or_else(|| args.registration.namespace()).unwrap_or(NAMESPACE);
    let injected = registration.inject_ca_from.is_some();
    let authorities = match (&args.tls_cert, ca) {
        (None, _) if injected => {
            bail!(
                "failed to register: with --inject-ca-from the certificate is cert-manager's: give --tls-cert and --tls-key"
            )
        }
        (Some(_), _) if injected => Authorities::Given(Arc::new(|| Some(String::new()))),
        (None, _) => Authorities::Secret(SecretSettings {
            namespace: namespace.to_owned(),
            name: args.tls_secret.clone(),
            dns_names: certificate_names(args),
        }),
        (Some(_), Some(ca)) => {
            let text = ca.text.clone();
            Authorities::Given(Arc::new(move || Some(text.load().as_ref().clone())))
        }
        (Some(_), None) => bail!("failed to register: with --tls-cert the CA must be given by --tls-ca"),
    };
    let lease = lease(namespace, NAME.to_owned(), args.lease_duration)?;
    let known: Known = Arc::new(Vec::new);
    let policies = None;
    let namespace = namespace.to_owned();
    Ok(RegistrarOptions { registration, namespace, lease, authorities, known, policies })
}

/// Keeps the webhook configurations, or watches what somebody else has written into them, until the end.
async fn registration(
    client: Option<kube::Client>,
    options: Option<RegistrarOptions>,
    state: Arc<State>,
    mut ending: watch::Receiver<bool>,
) {
    let Some(client) = client else { return };
    let (certificates, clock) = (state.certificates.clone(), state.clock.clone());
    let stop = async move {
        // The sender lives until the end.
        let _ = ending.wait_for(|ending| *ending).await;
    };
    match options {
        Some(options) => {
            let options = RegistrarOptions { known: known_to(&state), ..options };
            let registrar = Registrar::new(client, options, certificates, clock);
            registrar.run(|| state.caches.waiting().is_empty(), stop).await;
        }
        None => {
            let view = RegistrationView::new(client, None, certificates, clock);
            tokio::select! {
                () = view.watch() => {}
                () = stop => {}
            }
        }
    }
}

/// The custom resources that the policies' catalog knows, as it is when it is asked.
fn known_to(state: &Arc<State>) -> Known {
    let state = state.clone();
    Arc::new(move || {
        let policies = state.policies.load();
        let kinds = policies.catalog().kinds();
        let mut versions: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
        for (group, resource, of) in kinds.resources() {
            versions.entry((group, resource)).or_default().extend(of);
        }
        let custom = versions.into_iter().map(|((group, resource), versions)| CustomResource {
            group: group.to_owned(),
            resource: resource.to_owned(),
            versions: versions.into_iter().map(str::to_owned).collect(),
        });
        custom.collect()
    })
}

/// Says once a day that a certificate ends soon, or that this node's clock is wrong.
fn remind(state: &State, reminded: &mut Option<Instant>) {
    if reminded.is_some_and(|at| at.elapsed() < REMIND) {
        return;
    }
    if let Some(why) = state.clock.doubt() {
        tracing::warn!(reason = %why, "the clock of this node is wrong; the API server's time is used");
        *reminded = Some(Instant::now());
    }
    if let Some(why) = ending(&state.certificates, state.clock.now()) {
        tracing::warn!(
            reason = %why,
            "a certificate ends soon and nobody has renewed it; when it has ended the API server refuses volgate's answers"
        );
        *reminded = Some(Instant::now());
    }
}

fn ending(certificates: &Certificates, now: i64) -> Option<String> {
    // What only stands in is no certificate that anybody would renew.
    if certificates.awaited().is_some() { None } else { certificates.ending(now) }
}

/// The file of --tls-ca, and what is registered of it.
struct CaFile {
    path: PathBuf,
    file: Followed<String, anyhow::Error>,
    text: Arc<ArcSwap<String>>,
}

impl CaFile {
    fn read(path: &Path) -> Result<Self> {
        let read = path.to_owned();
        let file = Followed::open(move || read_ca(&read))?;
        let text = Arc::new(ArcSwap::from_pointee(file.seen().clone()));
        Ok(Self { path: path.to_owned(), file, text })
    }

    fn text(&self) -> String {
        self.file.seen().clone()
    }

    /// Takes a changed file over. A bad one changes nothing but the log and a metric, and is told once.
    fn look(&mut self, state: &State) {
        match self.file.look() {
            Look::Same => {}
            Look::Changed(text) => {
                tracing::info!(path = %self.path.display(), "the CA file has changed: its CA is to be registered");
                self.text.store(Arc::new(text.clone()));
            }
            Look::Unreadable(fault) => {
                state.metrics.certificate_reload_errors.inc();
                tracing::warn!(
                    error = format_args!("{fault:#}"),
                    "failed to read the CA file; the old CA is kept"
                );
            }
        }
    }
}

fn look_at_certificate(follower: &mut Follower, state: &State) {
    match follower.step(state.clock.now()) {
        Step::Same => {}
        Step::Taken => tracing::info!("a new certificate is served"),
        Step::Kept { fault, known } => {
            state.metrics.certificate_reload_errors.inc();
            // Once is enough: the next look is seconds away.
            if !known {
                tracing::warn!(error = %fault, "failed to take the new certificate; the old certificate is kept");
            }
        }
    }
}

/// The content of policy files and folders.
type PolicyFiles = Followed<Vec<(PathBuf, Vec<u8>)>, anyhow::Error>;

fn policy_files(paths: &[PathBuf]) -> Result<PolicyFiles> {
    let paths = paths.to_vec();
    Followed::open(move || input::contents(&paths))
}

/// The policies of files and cluster, and what they were made from.
struct Policies {
    paths: Vec<PathBuf>,
    watched: PolicyFiles,
    files: Vec<CompiledPolicy>,
    cluster: Option<PolicyFeed>,
    /// What is in force, for those who write statuses.
    told: watch::Sender<InForce>,
}

impl Policies {
    /// Takes changed files over. What is bad changes nothing but the log and a metric, and is told once.
    fn look(&mut self, state: &State) {
        let files = match self.watched.look() {
            Look::Same => return,
            Look::Changed(_) => policies_of(&self.paths),
            Look::Unreadable(fault) => Err(fault),
        };
        match files {
            Ok(files) => {
                self.files = files;
                self.put_together(state);
            }
            Err(fault) => {
                state.metrics.policy_reload_errors.inc();
                keep_old(&fault);
            }
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
        let cluster = self.cluster.as_mut().and_then(PolicyFeed::take);
        match assemble(&self.files, cluster.as_deref()) {
            Ok((set, left_out)) => {
                for (name, fault) in &left_out {
                    state.metrics.policy_reload_errors.inc();
                    tracing::error!(policy = name, error = %fault, "a StoragePolicy is left out");
                }
                let names: Vec<&str> = set.policies().iter().map(|policy| policy.name.as_str()).collect();
                if names.is_empty() {
                    tracing::warn!(
                        "there is no StoragePolicy, so that nothing is judged and nothing is filled in; \
                         policies/baseline.yaml is one to begin with"
                    );
                } else {
                    tracing::info!(policies = names.join(", "), "the policies are in force");
                }
                let counted =
                    set.policies().iter().map(|policy| (policy.name.clone(), policy.counts.clone()));
                let in_force = InForce {
                    policies: counted.collect(),
                    left_out: left_out.into_iter().collect(),
                    interest: Some(Arc::new(set.interest())),
                };
                state.policies.store(Arc::new(set));
                self.told.send_replace(in_force);
                if let Some(cluster) = &self.cluster {
                    cluster.in_force();
                }
            }
            Err(fault) => {
                state.metrics.policy_reload_errors.inc();
                keep_old(&fault);
            }
        }
    }
}

/// Logs why policies are not taken.
fn keep_old(fault: &anyhow::Error) {
    tracing::error!(
        error = format_args!("{fault:#}"),
        "failed to take the new policies; the old policies stay in force"
    );
}

/// The policies of the files that were given; none when none were.
fn policies_of(paths: &[PathBuf]) -> Result<Vec<CompiledPolicy>> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let loaded = policies::read(paths)?;
    for notice in &loaded.notices {
        tracing::warn!(notice = %notice.message, "a part of a policy has no effect");
    }
    Ok(loaded.set.policies().to_vec())
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
        let watched = policy_files(&paths).unwrap();
        let told = watch::Sender::new(InForce::default());
        let mut policies =
            Policies { paths: paths.to_vec(), watched, files: Vec::new(), cluster: None, told };
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
