//! Reports on the API server: which kind there is, which are there, and what is to be written.

use super::super::calls::{Calls, Fault};
use super::super::pages::{Ended, Step, each_labelled};
use super::super::snapshot::listed;
use super::super::watched::{CLUSTER_POLICY_REPORTS, CLUSTER_REPORTS, POLICY_REPORTS, REPORTS};
use super::super::{Watched, chain};
use super::content::{LABELS, says};
use super::gather::Key;
use kube::api::{Patch, PatchParams};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Who writes reports, for server-side apply.
pub const REPORTED_BY: &str = "volgate-reports";
/// What lies between two writes: a first round writes thousands.
const PAUSE: Duration = Duration::from_millis(20);
/// After how many failures in a row the rest waits for the next round.
const MOST_FAILURES: usize = 5;

/// An API that reports can be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cluster) struct ReportApi {
    within: Watched,
    outside: Watched,
}

impl ReportApi {
    /// Its API group.
    pub(in crate::cluster) fn group(self) -> &'static str {
        self.within.group
    }

    /// Its resources: reports in namespaces, and of the whole cluster.
    pub(super) fn resources(self) -> [&'static str; 2] {
        [self.within.resource, self.outside.resource]
    }
}

/// The one that is taken where both are, first.
pub(super) const APIS: [ReportApi; 2] = [
    ReportApi { within: REPORTS, outside: CLUSTER_REPORTS },
    ReportApi { within: POLICY_REPORTS, outside: CLUSTER_POLICY_REPORTS },
];

/// Those that the API server has, in the order of [`APIS`].
pub(in crate::cluster) async fn served(client: &kube::Client) -> Result<Vec<ReportApi>, String> {
    let mut served = Vec::new();
    for api in APIS {
        match client.list_api_group_resources(&api.within.api_version()).await {
            Ok(list) => {
                let has = |of: Watched| list.resources.iter().any(|resource| resource.name == of.resource);
                if has(api.within) && has(api.outside) {
                    served.push(api);
                }
            }
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(format!("failed to ask for {}: {}", api.group(), chain(&error))),
        }
    }
    Ok(served)
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) created: usize,
    pub(super) updated: usize,
    pub(super) deleted: usize,
    pub(super) unchanged: usize,
    pub(super) failed: usize,
}

/// How a report that is wanted is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Missing,
    Same,
    /// It says something else; its uid.
    Differs(String),
}

/// What there is to do about the reports of one kind.
#[derive(Debug, Default)]
struct Plan {
    wanted: BTreeMap<Key, (Value, State)>,
    /// Reports that nothing stands for any more, with their uids.
    delete: BTreeMap<Key, String>,
}

impl Plan {
    fn new(wanted: BTreeMap<Key, Value>) -> Self {
        let wanted = wanted.into_iter().map(|(key, content)| (key, (content, State::Missing))).collect();
        Self { wanted, delete: BTreeMap::new() }
    }

    /// The list of what is stored begins, or begins again.
    fn begin(&mut self) {
        self.wanted.values_mut().for_each(|(_, state)| *state = State::Missing);
        self.delete.clear();
    }

    /// A report of volgate's own that is stored. One about a kind that could not be read stays as it is.
    fn stored(&mut self, report: &Value, unread: &BTreeSet<String>) {
        let text = |at: &str| report.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let key = (text("/metadata/namespace").to_owned(), text("/metadata/name").to_owned());
        let uid = text("/metadata/uid").to_owned();
        match self.wanted.get_mut(&key) {
            Some((content, state)) if says(report, content) => *state = State::Same,
            Some((_, state)) => *state = State::Differs(uid),
            None if unread.contains(text("/scope/kind")) => {}
            None => {
                self.delete.insert(key, uid);
            }
        }
    }
}

/// The reports of the cluster, and who writes them.
pub(super) struct Writer<'w> {
    pub(super) client: &'w kube::Client,
    pub(super) calls: &'w Calls,
    /// The kinds of which it is not known what there is.
    pub(super) unread: &'w BTreeSet<String>,
}

impl Writer<'_> {
    /// Makes what is stored in an API what is wanted there.
    pub(super) async fn keep(&self, api: ReportApi, wanted: BTreeMap<Key, Value>) -> Result<Written, String> {
        let mut written = Written::default();
        let (outside, within): (BTreeMap<_, _>, BTreeMap<_, _>) =
            wanted.into_iter().partition(|((namespace, _), _)| namespace.is_empty());
        for (of, wanted) in [(api.within, within), (api.outside, outside)] {
            let plan = self.plan(of, wanted).await?;
            self.carry_out(of, plan, &mut written).await?;
        }
        Ok(written)
    }

    async fn plan(&self, of: Watched, wanted: BTreeMap<Key, Value>) -> Result<Plan, String> {
        let mut plan =
            Plan::new(wanted.into_iter().map(|(key, content)| with_metadata(key, content)).collect());
        let labels = LABELS.map(|(key, value)| format!("{key}={value}")).join(",");
        let ended = each_labelled(self.client, &listed(of), None, &labels, |step| match step {
            Step::Begin => plan.begin(),
            Step::Object(report) => plan.stored(&report, self.unread),
        })
        .await;
        match ended {
            Ended::Whole => Ok(plan),
            Ended::Unknown => Err(format!("the API server knows no {of} any more")),
            Ended::Failed(why) => Err(format!("failed to list the {of}: {why}")),
        }
    }

    async fn carry_out(&self, of: Watched, plan: Plan, written: &mut Written) -> Result<(), String> {
        let mut failures = 0;
        for (key, uid) in plan.delete {
            let (namespace, name) = (namespace_of(&key), key.1.as_str());
            let answer = match self.calls.delete(of, namespace, name, Some(&uid)).await {
                // It went with its object, or is another one by now.
                Ok(_) | Err(Fault::Missing | Fault::Stale) => Ok(&mut written.deleted),
                Err(fault) => Err(fault),
            };
            self.count(of, &key, answer, &mut written.failed, &mut failures).await?;
        }
        for (key, (content, state)) in plan.wanted {
            let namespace = namespace_of(&key);
            let report = whole(of, content);
            let answer = match state {
                State::Same => {
                    written.unchanged += 1;
                    continue;
                }
                // Not applied: what has this name and not the labels is somebody else's.
                State::Missing => {
                    self.calls.create(of, namespace, &report).await.map(|_| &mut written.created)
                }
                State::Differs(uid) => {
                    self.apply(of, namespace, &key.1, report, &uid).await.map(|()| &mut written.updated)
                }
            };
            self.count(of, &key, answer, &mut written.failed, &mut failures).await?;
        }
        Ok(())
    }

    async fn apply(
        &self,
        of: Watched,
        namespace: Option<&str>,
        name: &str,
        mut report: Value,
        uid: &str,
    ) -> Result<(), Fault> {
        // One that was deleted meanwhile, and is another's now, is not touched.
        if let Some(metadata) = report.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("uid".to_owned(), uid.into());
        }
        let params = PatchParams::apply(REPORTED_BY).force();
        self.calls.patch(of, namespace, name, &Patch::Apply(&report), &params).await.map(drop)
    }

    /// Counts a write, and ends the round when nothing succeeds any more.
    async fn count(
        &self,
        of: Watched,
        (namespace, name): &Key,
        answer: Result<&mut usize, Fault>,
        failed: &mut usize,
        failures: &mut usize,
    ) -> Result<(), String> {
        match answer {
            Ok(count) => {
                *count += 1;
                *failures = 0;
            }
            Err(fault) => {
                let why = match fault {
                    Fault::Other(why) | Fault::Invalid(why) => why,
                    Fault::Exists => "somebody else has one of this name".to_owned(),
                    Fault::Missing => "its namespace or its kind is missing".to_owned(),
                    Fault::Stale => "it has changed meanwhile".to_owned(),
                };
                *failed += 1;
                *failures += 1;
                tracing::warn!(kind = of.kind, namespace, name, error = why, "a report is not written");
                if *failures >= MOST_FAILURES {
                    return Err(why);
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}

fn namespace_of(key: &Key) -> Option<&str> {
    Some(key.0.as_str()).filter(|namespace| !namespace.is_empty())
}

/// What is wanted of a report, as it is stored.
fn with_metadata(key: Key, content: Value) -> (Key, Value) {
    let labels: Map<String, Value> =
        LABELS.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    let mut metadata = json!({"name": key.1, "labels": labels});
    let Value::Object(mut report) = content else { return (key, content) };
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.extend(namespace_of(&key).map(|namespace| ("namespace".to_owned(), namespace.into())));
        metadata
            .extend(report.remove("ownerReferences").map(|owners| ("ownerReferences".to_owned(), owners)));
    }
    report.insert("metadata".to_owned(), metadata);
    (key, Value::Object(report))
}

/// The same with its kind.
fn whole(of: Watched, report: Value) -> Value {
    let Value::Object(mut report) = report else { return report };
    report.insert("apiVersion".to_owned(), of.api_version().into());
    report.insert("kind".to_owned(), of.kind.into());
    Value::Object(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        ("shop".to_owned(), name.to_owned())
    }

    fn report(name: &str, fail: usize) -> (Key, Value) {
        with_metadata(
            key(name),
            json!({"summary": {"fail": fail}, "scope": {"kind": "Pod"}, "ownerReferences": [{"uid": "o"}]}),
        )
    }

    fn stored(name: &str, fail: usize) -> Value {
        let mut stored = whole(POLICY_REPORTS, report(name, fail).1);
        stored["metadata"]["uid"] = json!(format!("uid-{name}"));
        stored["metadata"]["managedFields"] = json!([{}]);
        stored
    }

    fn states(plan: &Plan) -> Vec<(&str, &State)> {
        plan.wanted.iter().map(|((_, name), (_, state))| (&**name, state)).collect()
    }

    #[test]
    fn only_what_differs_is_written_and_what_nothing_stands_for_is_deleted() {
        let mut plan = Plan::new(["same", "other", "new"].map(|name| report(name, 1)).into());
        let unread = BTreeSet::new();
        for _ in 0..2 {
            plan.begin();
            plan.stored(&stored("same", 1), &unread);
            plan.stored(&stored("other", 2), &unread);
            plan.stored(&stored("old", 1), &unread);
        }
        let differs = State::Differs("uid-other".to_owned());
        assert_eq!(states(&plan), [("new", &State::Missing), ("other", &differs), ("same", &State::Same)]);
        assert_eq!(plan.delete, [(key("old"), "uid-old".to_owned())].into());
        plan.begin();
        assert!(plan.delete.is_empty() && states(&plan).iter().all(|(_, state)| **state == State::Missing));
    }

    #[test]
    fn an_owner_or_a_label_that_was_changed_is_put_right() {
        let mut plan = Plan::new([report("x", 1)].into());
        let mut changed = stored("x", 1);
        changed["metadata"]["ownerReferences"] = json!([]);
        plan.stored(&changed, &BTreeSet::new());
        assert_eq!(states(&plan), [("x", &State::Differs("uid-x".to_owned()))]);
    }

    #[test]
    fn reports_about_a_kind_that_could_not_be_read_stay() {
        let mut plan = Plan::new(BTreeMap::new());
        plan.stored(&stored("x", 1), &["Pod".to_owned()].into());
        assert!(plan.delete.is_empty());
        plan.stored(&stored("x", 1), &["Cluster".to_owned()].into());
        assert_eq!(plan.delete.len(), 1);
    }
}
