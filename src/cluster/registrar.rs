//! Keeps the webhook configurations: watches, in every replica, whether the API server trusts what is served, and writes
//! them, in the one that leads. A configuration is written by a process that can answer, so that none refuses a workload
//! because volgate is not there yet.

mod keep;
mod options;

use super::baseline::Baseline;
use super::calls::{Calls, Fault};
use super::desired::is_as;
use super::installed::Installed;
use super::lease::{Candidate, Term, leads};
use super::policy_status::{InForce, PolicyStatus};
use super::register::{CustomResource, FIELD_MANAGER, NAME};
use super::registered::{Registered, Trust};
use super::registration_view::{AGAIN, KNOWN_EVERYWHERE, LOOK, RegistrationView};
use super::secret::SharedSecret;
use super::watched::{CLUSTER_ROLES, POD_TEMPLATES, Watched};
use crate::admission::{PROBE_LABEL, probe_answer};
use crate::daemon::LogOnChange;
use crate::model::lock;
use crate::policy::Interest;
use crate::server::Clock;
use crate::tls::{Certificates, Settled, certificates, distrust};
use kube::api::{Patch, PatchParams};
pub use options::{Authorities, Bundle, Known, PolicyKeeping, RegistrarOptions};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The ClusterRole that owns the configurations: when it goes, the garbage collector removes them.
pub const OWNER_ROLE: &str = "volgate-registration";
/// The name of the object of the dry run.
pub(super) const PROBE: &str = "volgate-probe";
/// How often what is registered is looked at while something is to be done.
const SOON: Duration = Duration::from_secs(1);
/// How far apart repairs are of what somebody else changes again and again.
const REPAIRS: Duration = Duration::from_secs(300);
/// After so many dry runs without an answer the log says why.
const PATIENCE: u32 = 10;

/// Writes the configurations while it leads.
pub struct Registrar {
    view: RegistrationView,
    calls: Calls,
    options: RegistrarOptions,
    secret: Option<SharedSecret>,
    baseline: Option<Baseline>,
    status: Option<PolicyStatus>,
    candidate: Candidate,
    term: watch::Receiver<Term>,
    installed: Installed,
    /// What is in force in this process; none where no policies are kept.
    in_force: Option<watch::Receiver<InForce>>,
    sent: watch::Sender<Option<Arc<Interest>>>,
}

/// What was done so far.
#[derive(Default)]
struct Course {
    /// A review that the API server sent was answered.
    verified: bool,
    /// All is as it was asked for, and the log says so.
    registered: bool,
    /// The bundle that was registered last.
    bundle: String,
    /// The custom resources that were registered last.
    custom: Vec<CustomResource>,
    /// What was registered last to be sent.
    interest: Option<Arc<Interest>>,
    /// When something that somebody else had changed was repaired.
    repaired: Option<Instant>,
    /// The API server refuses an owner.
    ownerless: bool,
    /// Whether the configurations can have an owner; none while that was not looked at.
    owned: Option<bool>,
    /// A newer version has written them.
    newer: bool,
    unanswered: u32,
    log: LogOnChange,
    /// Whether there was a configuration when this process looked first.
    before: Option<bool>,
    baseline_log: LogOnChange,
    earlier_log: LogOnChange,
}

/// When to look again.
enum Next {
    /// All is done.
    Rest,
    /// There is something to do.
    Go,
}

impl Registrar {
    /// Nothing is read or written before [`Registrar::run`].
    pub fn new(
        client: kube::Client,
        mut options: RegistrarOptions,
        certificates: Arc<Certificates>,
        clock: Clock,
    ) -> Self {
        let calls = Calls::new(client.clone());
        let host = options.registration.endpoint.host();
        let view = RegistrationView::new(client, Some(host), certificates.clone(), clock.clone());
        let (candidate, term) = Candidate::new(calls.clone(), options.lease.clone());
        let secret = match &options.authorities {
            Authorities::Secret(settings) => {
                let identity = &options.lease.identity;
                Some(SharedSecret::new(calls.clone(), settings.clone(), identity, certificates, clock))
            }
            Authorities::Given(_) => None,
        };
        let (mut baseline, mut status, mut known) = (None, None, None);
        let (sent, seen) = watch::channel(None);
        if let Some(PolicyKeeping { policies, statuses, in_force, settled }) = options.policies.take() {
            let identity = &options.lease.identity;
            let replica = identity.rsplit_once('_').map_or(identity.as_str(), |(pod, _)| pod).to_owned();
            let namespace = options.namespace.clone();
            baseline =
                settled.map(|settled| Baseline::new(calls.clone(), namespace, policies.clone(), settled));
            known = Some(in_force.clone());
            status = Some(PolicyStatus::new(calls.clone(), policies, statuses.0, in_force, seen, replica));
        }
        let installed = Installed::default();
        Self {
            view,
            calls,
            options,
            secret,
            baseline,
            status,
            candidate,
            term,
            installed,
            in_force: known,
            sent,
        }
    }

    /// Stands for election and writes while it leads, once `ready` says that reviews can be judged, until `stop` ends; then
    /// gives the lease back.
    pub async fn run(self, ready: impl Fn() -> bool, stop: impl Future<Output = ()>) {
        let Self { view, calls, options, secret, baseline, mut status, mut candidate, term, .. } = self;
        let Self { installed, in_force, sent, .. } = self;
        let (secret, baseline) = (secret.as_ref(), baseline.as_ref());
        let telling = {
            let term = term.clone();
            async {
                match &mut status {
                    Some(status) => status.run(term).await,
                    None => std::future::pending().await,
                }
            }
        };
        let installed = &installed;
        let sent = &sent;
        let (view, calls, options) = (&view, &calls, &options);
        let writer = Writer { view, calls, options, secret, baseline, term, installed, in_force, sent };
        let client = calls.client();
        let following = async {
            match secret {
                Some(secret) => secret.follow().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = candidate.run() => {}
            () = writer.run(ready) => {}
            () = following => {}
            () = installed.follow(client) => {}
            () = telling => {}
            () = stop => {}
        }
        candidate.release().await;
    }
}

/// What a writer needs.
struct Writer<'a> {
    view: &'a RegistrationView,
    calls: &'a Calls,
    options: &'a RegistrarOptions,
    secret: Option<&'a SharedSecret>,
    baseline: Option<&'a Baseline>,
    term: watch::Receiver<Term>,
    installed: &'a Installed,
    in_force: Option<watch::Receiver<InForce>>,
    sent: &'a watch::Sender<Option<Arc<Interest>>>,
}

impl Writer<'_> {
    async fn run(&self, ready: impl Fn() -> bool) {
        let mut course = Course::default();
        let mut in_force = self.in_force.clone();
        loop {
            if let Some(in_force) = &mut in_force {
                in_force.mark_unchanged();
            }
            let pause = match self.round(&mut course, &ready).await {
                Ok(next) => {
                    course.log.clear();
                    match next {
                        Next::Rest if self.view.certificates.distrust().is_some() => AGAIN,
                        Next::Rest => LOOK,
                        Next::Go => SOON,
                    }
                }
                Err(why) => {
                    if course.log.is_new(&why) {
                        tracing::error!(error = %why, "failed to keep the webhook configurations; trying again");
                    }
                    AGAIN
                }
            };
            let (leads, until) = (self.leads(), Instant::now() + pause);
            while Instant::now() < until && self.leads() == leads {
                let pause = SOON.min(until.saturating_duration_since(Instant::now()));
                // Other policies are sent other objects, and are not in force before.
                if tokio::time::timeout(pause, changed(in_force.as_mut())).await.is_ok() {
                    break;
                }
            }
        }
    }

    fn leads(&self) -> bool {
        leads(*self.term.borrow())
    }

    async fn round(&self, course: &mut Course, ready: impl Fn() -> bool) -> Result<Next, String> {
        let found = self.view.look().await?;
        self.look_at_baseline(course, !found.is_gone()).await;
        if !self.leads() {
            // Another may have changed everything when this one leads again.
            (course.verified, course.registered, course.interest) = (false, false, None);
            self.sent.send_if_modified(|sent| sent.take().is_some());
            return Ok(Next::Rest);
        }
        if let Some(secret) = self.secret
            && secret.advance(self.settled(secret)).await?
        {
            return Ok(Next::Go);
        }
        // Before the caches are filled it would be called and know nothing.
        let may = || ready() && self.view.certificates.awaited().is_none() && self.installed.is_settled();
        let Some(bundle) = self.bundle().filter(|_| may()) else {
            return Ok(Next::Go);
        };
        self.keep(course, found, bundle).await
    }

    /// Before anything is registered, so that there is something to judge by. That it cannot be made keeps nothing else up: the
    /// built-in baseline is in force meanwhile.
    async fn look_at_baseline(&self, course: &mut Course, registered: bool) {
        let before = *course.before.get_or_insert(registered);
        let Some(baseline) = self.baseline else { return };
        match baseline.look(self.leads(), before).await {
            Ok(()) => course.baseline_log.clear(),
            Err(why) if course.baseline_log.is_new(&why) => {
                tracing::warn!(
                    error = %why,
                    "failed to make the baseline StoragePolicy; trying again, and the built-in baseline is in force meanwhile"
                );
            }
            Err(_) => {}
        }
    }

    /// How far the last step of a renewal has got.
    fn settled(&self, secret: &SharedSecret) -> Settled {
        let certificates = &self.view.certificates;
        let seen = lock(&self.view.seen);
        let (current, now) = (certificates.current(), self.view.clock.now());
        let signing = secret.signing().unwrap_or_default();
        let trusted = !seen.callers.is_empty() && seen.callers.iter().all(|caller| caller.trusts(&signing));
        let broken = seen.callers.is_empty()
            || certificates.awaited().is_some()
            || current.invalid_at(now).is_some()
            || matches!(Trust::of(&seen.callers, &current, now), Trust::Broken(_));
        let registered = trusted && seen.since.elapsed() >= KNOWN_EVERYWHERE;
        Settled { registered, served: false, broken }
    }

    /// The CAs to register: those that are wanted, and as long as they do not fit what is served those that are registered.
    fn bundle(&self) -> Option<String> {
        if self.options.registration.inject_ca_from.is_some() {
            return Some(String::new());
        }
        let wanted = match (&self.options.authorities, self.secret) {
            (Authorities::Given(bundle), _) => bundle()?,
            (Authorities::Secret(_), secret) => secret?.bundle()?,
        };
        let seen = lock(&self.view.seen);
        let (current, now) = (self.view.certificates.current(), self.view.clock.now());
        let host = self.options.registration.endpoint.host();
        if distrust(&current, wanted.as_bytes(), &host, now).is_none() {
            return Some(wanted);
        }
        let registered = seen.callers.first().map(|caller| String::from_utf8_lossy(&caller.ca_bundle));
        let mut all = certificates(&registered.unwrap_or_default());
        let new = certificates(&wanted);
        all.retain(|pem| !new.contains(pem));
        Some(all.concat() + &wanted)
    }

    /// The owner reference; none where there is no such ClusterRole.
    async fn owner(&self, course: &mut Course) -> Result<Option<Value>, String> {
        if course.ownerless {
            return Ok(None);
        }
        match self.calls.get(CLUSTER_ROLES, None, OWNER_ROLE).await {
            Ok(role) => {
                course.owned = Some(true);
                let uid = role.pointer("/metadata/uid");
                Ok(uid.map(|uid| {
                    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": OWNER_ROLE, "uid": uid})
                }))
            }
            Err(Fault::Missing) if course.owned == Some(true) => Err(format!(
                "the ClusterRole {OWNER_ROLE} is gone: volgate is being removed, and registers nothing"
            )),
            Err(fault) => {
                if course.owned.replace(false).is_none() {
                    tracing::warn!(
                        role = OWNER_ROLE,
                        error = ?fault,
                        "the owning ClusterRole cannot be read, so the webhook configurations must be removed by hand"
                    );
                }
                Ok(None)
            }
        }
    }

    async fn write(&self, of: Watched, object: &Value) -> Result<(), String> {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or(NAME);
        let text = |fault: Fault| match fault {
            Fault::Other(why) | Fault::Invalid(why) => why,
            fault => format!("failed to apply the {} {name}: {fault:?}", of.kind),
        };
        // The fields are volgate's: whoever else has written one of them, such as an older installation, loses it.
        let params = PatchParams::apply(FIELD_MANAGER).force();
        // What another manager has written into fields that volgate leaves out stays, and may contradict: a Service beside a URL,
        // or conditions of an earlier version that was applied by hand, which would leave out what is to be asked about.
        let left_over = match self.calls.patch(of, None, name, &Patch::Apply(object), &params).await {
            Err(Fault::Invalid(why)) => Some(why),
            applied => {
                let why = || format!("failed to take what others wrote out of the {} {name}", of.kind);
                (!is_as(&applied.map_err(text)?, object)).then(why)
            }
        };
        if let Some(why) = left_over {
            // A merge patch replaces the whole list.
            let list = json!({"webhooks": object.get("webhooks")});
            let params =
                PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            let merged = self.calls.patch(of, None, name, &Patch::Merge(&list), &params).await;
            merged.map_err(|_| why)?;
        }
        let policy = object.pointer("/webhooks/0/failurePolicy").and_then(Value::as_str).unwrap_or_default();
        tracing::info!(kind = of.kind, name, failure_policy = policy, "wrote a webhook configuration");
        Ok(())
    }

    /// Tries by a dry run whether the API server asks both webhooks and takes their answers.
    async fn verify(&self, course: &mut Course) -> Result<Next, String> {
        let nonce = super::random_text().map_err(|error| error.to_string())?;
        let namespace = self.options.namespace.as_str();
        let object = json!({
            "apiVersion": "v1", "kind": "PodTemplate",
            "metadata": {"name": PROBE, "namespace": namespace, "labels": {PROBE_LABEL: nonce}},
            "template": {"metadata": {"labels": {PROBE_LABEL: nonce}},
                         "spec": {"containers": [{"name": "probe", "image": "probe"}]}},
        });
        let params = PatchParams { dry_run: true, ..PatchParams::apply(FIELD_MANAGER).force() };
        let tried =
            self.calls.patch(POD_TEMPLATES, Some(namespace), PROBE, &Patch::Apply(&object), &params).await;
        let why = match tried {
            Err(Fault::Other(why)) if why.contains(&probe_answer(&nonce)) => {
                tracing::info!("the API server asks volgate: a dry run of its own was answered");
                (course.verified, course.unanswered) = (true, 0);
                return Ok(Next::Go);
            }
            Ok(_) => "it was let through without an answer".to_owned(),
            Err(Fault::Other(why) | Fault::Invalid(why)) => why,
            Err(fault) => format!("{fault:?}"),
        };
        course.unanswered += 1;
        if course.unanswered == PATIENCE {
            tracing::warn!(
                namespace,
                pod_template = PROBE,
                answer = %why,
                "the API server does not ask volgate yet, so the webhook configurations stay at failurePolicy Ignore"
            );
        }
        Ok(Next::Go)
    }
}

/// Ends when something else is in force; never where no policies are kept, or nobody reports changes any more.
async fn changed(in_force: Option<&mut watch::Receiver<InForce>>) {
    if let Some(in_force) = in_force
        && in_force.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// The reference to volgate's own owner, among those of others.
fn owned_by(configuration: &Value) -> Option<&Value> {
    let owners = configuration.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners?.iter().find(|owner| owner.get("name").and_then(Value::as_str) == Some(OWNER_ROLE))
}

/// Waits, at the end of this process, while volgate is being removed and its configurations are still there: nobody else
/// answers. At most that long.
pub async fn until_removed(client: kube::Client, limit: Duration) {
    let calls = Calls::new(client);
    let removed = async {
        loop {
            match Registered::read(&calls).await {
                Ok(found) if found.is_gone() => return,
                // Its owner is there: this is a restart, and the others answer.
                Ok(_) if calls.get(CLUSTER_ROLES, None, OWNER_ROLE).await.is_ok() => return,
                // The right to read goes with the rest.
                _ => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
    };
    if tokio::time::timeout(limit, removed).await.is_err() {
        tracing::warn!(
            ?limit,
            "whether the webhook configurations are gone is not known in time; shutting down"
        );
    }
}
