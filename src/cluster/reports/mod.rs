//! `volgate reports`: judges what is in the cluster now and then, and keeps a report for each object that something was found in.
//! What is in memory is what is looked up, one page of objects, and the reports, all of them bounded.

mod content;
mod gather;
mod metrics;
mod role;
mod write;

pub use metrics::sample as reports_metrics_sample;
pub use role::reports_cluster_rules;
pub use write::REPORTED_BY;

/// Why no report is written, for a person.
pub const NO_REPORT_API: &str =
    "the cluster has neither the CustomResourceDefinitions of openreports.io nor those of wgpolicyk8s.io";

use super::calls::Calls;
use super::judging::{Looked, Scope, judged_kinds, look, look_up};
use super::pages::{Ended, Step, each};
use super::{ClusterPolicies, PolicySource, clock};
use crate::daemon::{Backoff, Check};
use crate::model::lock;
use crate::policy::PolicySet;
use gather::{Bounds, Gathered, Wanted};
use jiff::civil::Date;
use metrics::Metrics;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
pub(super) use write::served;
use write::{ReportApi, Writer};

/// The pauses after rounds that failed; never longer than the interval.
const PAUSES: Backoff = Backoff { first: Duration::from_secs(10), longest: Duration::from_secs(600) };
/// How long policies that change are waited for, so that several changes are one.
const CALM: Duration = Duration::from_secs(5);

/// What a round came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// How many objects were judged.
    pub judged: usize,
    /// How many reports there are now.
    pub reports: usize,
    /// How many objects with findings have none, because there would be too many.
    pub left_out: usize,
    /// How many reports were created, changed or deleted.
    pub written: usize,
    /// How many could not be written.
    pub failed: usize,
    /// The API that has them; none where the cluster has neither.
    pub api: Option<&'static str>,
}

/// Keeps the reports.
pub struct Reporter {
    client: kube::Client,
    calls: Calls,
    metrics: Arc<Metrics>,
    state: Arc<Mutex<State>>,
}

/// How the last round went.
#[derive(Debug)]
struct State {
    fault: Option<String>,
    /// The kinds that could not be listed, as they were last logged.
    unread: BTreeMap<String, String>,
    /// The API, as it was last logged; none before the first round.
    api: Option<Option<&'static str>>,
}

impl Reporter {
    /// One that has written nothing yet.
    pub fn new(client: kube::Client) -> Self {
        let fault = Some("the first round is under way".to_owned());
        let state = State { fault, unread: BTreeMap::new(), api: None };
        Self {
            calls: Calls::new(client.clone()),
            client,
            metrics: Arc::new(Metrics::new()),
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// What readiness depends on.
    pub fn checks(&self) -> impl Fn() -> Vec<Check> + Clone + Send + Sync + 'static {
        let state = self.state.clone();
        move || vec![("round", lock(&state).fault.clone())]
    }

    /// The metrics as text.
    pub fn metrics(&self) -> impl Fn() -> String + Clone + Send + Sync + 'static {
        let metrics = self.metrics.clone();
        move || metrics.render()
    }

    /// Judges what is in the cluster every `interval`, and when the policies change. It never ends.
    ///
    /// `assemble` makes the policies in force of those of the cluster.
    pub async fn run(
        &self,
        mut policies: watch::Receiver<ClusterPolicies>,
        assemble: impl Fn(&ClusterPolicies) -> Result<PolicySet, String>,
        today: impl Fn() -> Date,
        interval: Duration,
    ) {
        let mut failures = 0;
        loop {
            let known = known(&mut policies).await;
            let round = match assemble(&known) {
                Ok(set) => self.round(&set, today()).await,
                Err(why) => Err(why),
            };
            let pause = match round {
                Ok(Round { failed: 0, .. }) => {
                    failures = 0;
                    interval
                }
                Ok(_) | Err(_) => {
                    failures += 1;
                    PAUSES.pause(failures).min(interval)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = policies.changed() => {
                    if changed.is_err() {
                        std::future::pending::<()>().await;
                    }
                    tokio::time::sleep(CALM).await;
                }
            }
        }
    }

    /// Judges once, and writes what has changed.
    ///
    /// # Errors
    /// Something could not be read that verdicts depend on, or the API server takes no writes: reports stay as they are.
    pub async fn round(&self, policies: &PolicySet, today: Date) -> Result<Round, String> {
        let scope = Scope { policies, namespace: None, today };
        let round = self.judge_and_write(scope).await;
        let good = matches!(round, Ok(Round { failed: 0, .. }));
        self.metrics.ended(good, clock::now().as_second());
        let mut state = lock(&self.state);
        match &round {
            Ok(Round { judged, reports, left_out, written, failed, api }) => {
                tracing::info!(judged, reports, left_out, written, failed, api, "the cluster was judged");
                state.fault = (*failed > 0).then(|| format!("{failed} reports could not be written"));
            }
            Err(why) => {
                tracing::warn!(error = why, "the reports stay as they are");
                state.fault = Some(why.clone());
            }
        }
        drop(state);
        round
    }

    async fn judge_and_write(&self, scope: Scope<'_>) -> Result<Round, String> {
        let served = served(&self.client).await?;
        let (wanted, unread) = self.judge(scope).await?;
        let Wanted { reports, judged, left_out, series } = wanted;
        self.metrics.found(&series, judged, left_out, unread.len());
        let chosen = served.first().copied();
        self.tell(chosen, &unread);
        let mut round = Round { judged, left_out, api: chosen.map(|api| api.group()), ..Round::default() };
        let unread: BTreeSet<String> = unread.into_keys().collect();
        let writer = Writer { client: &self.client, calls: &self.calls, unread: &unread };
        let mut reports = Some(reports);
        for api in served {
            // Those of the other API are of an earlier round, before this one was there: nothing is wanted there.
            let wanted = if Some(api) == chosen { reports.take() } else { None };
            let written = writer.keep(api, wanted.unwrap_or_default()).await?;
            self.metrics.wrote(api.group(), written);
            round.reports += written.created + written.updated + written.unchanged;
            round.written += written.created + written.updated + written.deleted;
            round.failed += written.failed;
        }
        Ok(round)
    }

    /// What there should be, and the kinds that could not be read, with the reasons.
    async fn judge(&self, scope: Scope<'_>) -> Result<(Wanted, BTreeMap<String, String>), String> {
        let known = look_up(&self.client, scope).await;
        if let Some((kind, why)) = known.unread.first() {
            return Err(format!("failed to list {}: {why}", kind.resource));
        }
        if let Some(why) = known.unread_owners {
            return Err(format!("failed to list {why}"));
        }
        let (kinds, unknown) = judged_kinds(&self.client, scope).await;
        if let Some((_, why)) = unknown {
            return Err(format!("failed to ask which kinds there are: {why}"));
        }
        let mut gathered = Gathered::new(Bounds::default());
        let mut unread = BTreeMap::new();
        for kind in kinds {
            let ended = each(&self.client, &kind, None, |step| match step {
                Step::Begin => gathered.begin(),
                Step::Object(object) => {
                    if let Looked::Judged(judged) = look(scope, &known.lookup, object) {
                        gathered.add(&judged);
                    }
                }
            })
            .await;
            match ended {
                Ended::Whole => gathered.settle(),
                Ended::Unknown => gathered.begin(),
                Ended::Failed(why) => {
                    gathered.begin();
                    unread.insert(kind.kind, why);
                }
            }
        }
        Ok((gathered.end(), unread))
    }

    /// Logs what an operator should know, once each time it changes.
    fn tell(&self, api: Option<ReportApi>, unread: &BTreeMap<String, String>) {
        let mut state = lock(&self.state);
        let group = api.map(|api| api.group());
        if state.api != Some(group) {
            match group {
                Some(group) => tracing::info!(group, "reports are written"),
                None => tracing::warn!(
                    reason = NO_REPORT_API,
                    "no report is written; findings are in the metrics alone"
                ),
            }
            state.api = Some(group);
        }
        if state.unread != *unread {
            for (kind, why) in unread {
                tracing::warn!(kind, error = why, "a kind is not judged, and its reports stay as they are");
            }
            state.unread.clone_from(unread);
        }
    }
}

/// The policies, once the first list of them is there.
async fn known(policies: &mut watch::Receiver<ClusterPolicies>) -> ClusterPolicies {
    loop {
        let now = policies.borrow_and_update().clone();
        if matches!(now.source, PolicySource::NoCrd | PolicySource::Watched) {
            return now;
        }
        if policies.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
