//! From what was read to what is wrong with it. Pure.

use super::fields::{items, number, text};
use super::{Diagnosis, Installation, Level, Seen};
use crate::cluster::register::{LAST_NAME, NAME, VERSION_ANNOTATION};
use crate::cluster::registered::Registered;
use crate::tls::{certificates, span};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// The oldest minor version of Kubernetes 1 that volgate runs on.
const OLDEST: u64 = 30;
/// How long before its end a CA should have been renewed, in seconds.
const SOON: i64 = 30 * 86_400;
/// How long a workload or a pod may take to start, in seconds.
const STARTING: i64 = 60;
/// How many objects of one kind are named at most.
const MOST: usize = 10;

/// Gathers what is found of one part.
pub(super) struct Part {
    area: &'static str,
    found: Vec<Diagnosis>,
}

impl Part {
    pub(super) fn new(area: &'static str) -> Self {
        Self { area, found: Vec::new() }
    }

    fn add(&mut self, level: Level, message: impl Into<String>, mend: Option<String>) {
        self.found.push(Diagnosis { area: self.area, level, message: message.into(), mend });
    }

    pub(super) fn fault(&mut self, message: impl Into<String>, mend: impl Into<String>) {
        self.add(Level::Fault, message, Some(mend.into()));
    }

    pub(super) fn warning(&mut self, message: impl Into<String>, mend: impl Into<String>) {
        self.add(Level::Warning, message, Some(mend.into()));
    }

    /// What was read; none, and a warning, where that was not possible.
    pub(super) fn read<'s>(&mut self, what: &str, seen: &'s Seen) -> Option<Option<&'s Value>> {
        match seen {
            Ok(found) => Some(found.as_ref()),
            Err(why) => {
                self.warning(
                    format!("{what} cannot be read: {why}"),
                    "run `volgate doctor` with the rights of an administrator",
                );
                None
            }
        }
    }

    /// What was found, or that all is well.
    pub(super) fn end(mut self, well: impl FnOnce() -> String) -> Vec<Diagnosis> {
        if self.found.is_empty() {
            self.add(Level::Ok, well(), None);
        }
        self.found
    }
}

impl Installation {
    /// All parts, in the order in which they depend on each other.
    pub(super) fn judge(&self) -> Vec<Diagnosis> {
        let parts = [
            self.api_server(),
            self.webhook_pods(),
            self.registration(),
            self.certificate(),
            self.policies(),
            self.provisioner(),
            self.agents(),
            self.reports(),
        ];
        parts.into_iter().flatten().collect()
    }

    fn api_server(&self) -> Vec<Diagnosis> {
        let mut part = Part::new("api server");
        let digits = |of: &Value, key: &str| -> u64 {
            let digits: String = text(of, key).chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap_or_default()
        };
        let mut known = (0, 0);
        match &self.version {
            Ok(version) => {
                let version = version.as_ref().unwrap_or(&Value::Null);
                known = (digits(version, "/major"), digits(version, "/minor"));
                if known.0 == 1 && known.1 < OLDEST {
                    part.fault(
                        format!("Kubernetes 1.{} is too old", known.1),
                        format!("volgate needs Kubernetes 1.{OLDEST} or newer"),
                    );
                }
            }
            Err(why) => part.fault(
                format!("the API server does not answer: {why}"),
                "look whether `kubectl get --raw /readyz` works with the same kubeconfig",
            ),
        }
        part.end(|| format!("Kubernetes {}.{}", known.0, known.1))
    }

    fn webhook_pods(&self) -> Vec<Diagnosis> {
        let mut part = Part::new("pods");
        self.rollout(&mut part, &self.deployments, "Deployment", "volgate");
        if let Some(slices) = part.read("the EndpointSlices", &self.slices) {
            let ours = items(slices)
                .filter(|slice| text(slice, "/metadata/labels/kubernetes.io~1service-name") == NAME);
            let endpoints =
                ours.flat_map(|slice| slice.get("endpoints").and_then(Value::as_array).into_iter().flatten());
            let ready = endpoints
                .filter(|endpoint| {
                    endpoint.pointer("/conditions/ready").and_then(Value::as_bool) != Some(false)
                })
                .count();
            if ready == 0 {
                part.fault(
                    format!("the Service {}/{NAME} has no ready endpoint, so that the API server reaches nobody", self.namespace),
                    format!("`kubectl -n {} get pods -l app.kubernetes.io/name=volgate`, and `/readyz` of a pod says what it waits for", self.namespace),
                );
            }
        }
        part.end(|| "the webhook's pods are ready".to_owned())
    }

    /// Whether a workload has as many ready pods as it is to have, and if not, why.
    pub(super) fn rollout(&self, part: &mut Part, seen: &Seen, kind: &str, name: &str) {
        let namespace = &self.namespace;
        let Some(list) = part.read(&format!("the {kind}s of namespace {namespace}"), seen) else { return };
        let Some(found) = items(list).find(|object| text(object, "/metadata/name") == name) else {
            return part.fault(
                format!("there is no {kind} {namespace}/{name}"),
                "install volgate (docs/install.md), or name its namespace by --namespace",
            );
        };
        let (wanted, ready) = match kind {
            "DaemonSet" => {
                (number(found, "/status/desiredNumberScheduled"), number(found, "/status/numberReady"))
            }
            _ => (
                found.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1),
                number(found, "/status/readyReplicas"),
            ),
        };
        if ready < wanted || wanted == 0 && kind == "Deployment" {
            let why = self.why_not_ready(name);
            let message = format!("{kind} {namespace}/{name} has {ready} of {wanted} pods ready{why}");
            let starts = self.starts(found, name);
            let mend = if starts {
                let kind = kind.to_lowercase();
                format!("it starts: `kubectl -n {namespace} rollout status {kind}/{name}` waits for it")
            } else {
                format!("`kubectl -n {namespace} describe pods -l app.kubernetes.io/name={name}`")
            };
            if ready == 0 && !starts { part.fault(message, mend) } else { part.warning(message, mend) }
        }
        let images: Vec<&str> = self.images(name);
        if images.len() > 1 {
            part.warning(
                format!("the pods of {kind} {name} run different images: {}", images.join(", ")),
                format!(
                    "a rollout is under way, or hangs: `kubectl -n {namespace} rollout status {}/{name}`",
                    kind.to_lowercase()
                ),
            );
        }
    }

    fn pods_of<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Value> {
        let pods = self.pods.as_ref().ok().and_then(Option::as_ref);
        items(pods).filter(move |pod| text(pod, "/metadata/labels/app.kubernetes.io~1name") == name)
    }

    /// Whether a workload, or each of its pods, was made within the last minute and nothing went wrong since.
    /// `helm install --wait` ends before the pods of a DaemonSet are ready where `maxUnavailable` allows that.
    fn starts(&self, workload: &Value, name: &str) -> bool {
        let new = |object: &Value| {
            let made = text(object, "/metadata/creationTimestamp").parse::<Timestamp>();
            made.is_ok_and(|made| (self.now - made.as_second()).abs() <= STARTING)
        };
        let well = |pod: &Value| {
            let mut statuses =
                pod.pointer("/status/containerStatuses").and_then(Value::as_array).into_iter().flatten();
            statuses.all(|status| {
                let waits_for = text(status, "/state/waiting/reason");
                number(status, "/restartCount") == 0
                    && status.pointer("/state/terminated").is_none()
                    && ["", "ContainerCreating", "PodInitializing"].contains(&waits_for)
            })
        };
        let mut pods = self.pods_of(name).peekable();
        if pods.peek().is_none() { new(workload) } else { pods.all(|pod| new(pod) && well(pod)) }
    }

    /// What the first pod that is not ready waits for.
    fn why_not_ready(&self, name: &str) -> String {
        for pod in self.pods_of(name) {
            let statuses =
                pod.pointer("/status/containerStatuses").and_then(Value::as_array).into_iter().flatten();
            for status in statuses {
                let reason = text(status, "/state/waiting/reason");
                if !reason.is_empty() {
                    return format!(": {reason}: {}", text(status, "/state/waiting/message"));
                }
            }
            let conditions =
                pod.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
            for condition in conditions.filter(|condition| text(condition, "/status") == "False") {
                let message = text(condition, "/message");
                if !message.is_empty() {
                    return format!(": {}: {message}", text(condition, "/reason"));
                }
            }
        }
        String::new()
    }

    fn images<'s>(&'s self, name: &'s str) -> Vec<&'s str> {
        let mut images: Vec<&str> =
            self.pods_of(name).map(|pod| text(pod, "/spec/containers/0/image")).collect();
        images.sort_unstable();
        images.dedup();
        images
    }

    fn registered(&self) -> Registered {
        let of = |seen: &Seen| seen.as_ref().ok().cloned().flatten();
        Registered { mutating: of(&self.mutating), validating: of(&self.validating), earlier: false }
    }

    fn registration(&self) -> Vec<Diagnosis> {
        let mut part = Part::new("registration");
        let log = format!(
            "`kubectl -n {} logs deployment/volgate` says why: volgate writes it once it can answer",
            self.namespace
        );
        // Only a static registration, or an earlier version, has both under one name.
        for (kind, made, seen) in [
            ("MutatingWebhookConfiguration", LAST_NAME, &self.mutating),
            ("ValidatingWebhookConfiguration", NAME, &self.validating),
        ] {
            let Some(found) = part.read(&format!("the {kind}"), seen) else { continue };
            let Some(found) = found else {
                let without =
                    if kind.starts_with('M') { "nothing is filled in" } else { "nothing is judged" };
                part.fault(format!("there is no {kind} {made}: {without}"), log.as_str());
                continue;
            };
            let name = match text(found, "/metadata/name") {
                "" => made,
                name => name,
            };
            let hooks = found.get("webhooks").and_then(Value::as_array).into_iter().flatten();
            let workloads = hooks.clone().find(|hook| text(hook, "/name") == "workloads.volgate.dev");
            match workloads.map(|hook| text(hook, "/failurePolicy")) {
                None => part.fault(format!("the {kind} {name} has no webhook workloads.volgate.dev"), log.as_str()),
                Some("Fail") => {}
                Some(policy) => part.warning(
                    format!("the {kind} {name} has failurePolicy {policy}: what is applied while volgate is away is not judged"),
                    "that is so where --failure-policy=ignore or the static registration was chosen; otherwise the API server does \
                     not reach volgate, and the log of the leading replica says what it answered",
                ),
            }
            let version =
                text(found, &format!("/metadata/annotations/{}", VERSION_ANNOTATION.replace('/', "~1")));
            let own = env!("CARGO_PKG_VERSION");
            if !version.is_empty() && version != own {
                part.warning(
                    format!("the {kind} {name} was written by volgate {version}, and this is {own}"),
                    "use the `volgate doctor` of the version that runs, or finish the upgrade",
                );
            }
        }
        let elsewhere = self
            .registered()
            .callers(None)
            .into_iter()
            .find(|caller| caller.host != format!("{NAME}.{}.svc", self.namespace));
        if let Some(caller) = elsewhere {
            part.warning(
                format!(
                    "webhook {} in {} {} leads to {}",
                    caller.webhook, caller.kind, caller.name, caller.host
                ),
                "name the namespace of volgate by --namespace",
            );
        }
        part.end(|| "both webhook configurations are registered".to_owned())
    }

    fn certificate(&self) -> Vec<Diagnosis> {
        let mut part = Part::new("certificate");
        let callers = self.registered().callers(None);
        if callers.is_empty() {
            part.warning("no webhook has a Service, so that no CA can be looked at", "see the registration");
        }
        let mut last = None;
        for caller in &callers {
            let bundle = String::from_utf8_lossy(&caller.ca_bundle);
            let end = certificates(&bundle).iter().filter_map(|pem| span(pem)).map(|(_, end)| end).max();
            match end {
                None => {
                    part.fault(
                        format!(
                            "webhook {} in {} {} has no CA in its caBundle",
                            caller.webhook, caller.kind, caller.name
                        ),
                        "volgate writes it itself; with cert-manager its cainjector does: look at its log",
                    );
                }
                Some(end) if end <= self.now => part.fault(
                    format!(
                        "the CA of webhook {} in {} {} has expired",
                        caller.webhook, caller.kind, caller.name
                    ),
                    "renew the certificate: docs/install.md, Certificates",
                ),
                Some(end) if end - self.now < SOON => part.warning(
                    format!(
                        "the CA of webhook {} in {} {} ends within 30 days",
                        caller.webhook, caller.kind, caller.name
                    ),
                    "nobody has renewed it: docs/install.md, Certificates",
                ),
                Some(end) => last = last.max(Some(end)),
            }
        }
        let days = last.map_or(0, |end| (end - self.now) / 86_400);
        part.end(|| format!("the registered CA is valid for {days} days"))
    }

    fn policies(&self) -> Vec<Diagnosis> {
        let mut part = Part::new("policies");
        let mut count = 0;
        match part.read("the StoragePolicies", &self.policies) {
            None => {}
            Some(None) => part.fault(
                "the CustomResourceDefinitions are not installed: the built-in baseline is in force",
                "`volgate crd | kubectl apply -f -`",
            ),
            Some(list) => {
                count = items(list).count();
                if count == 0 {
                    part.fault(
                        "there is no StoragePolicy: nothing is judged, and nothing is filled in",
                        "`kubectl apply -f policies/baseline.yaml`, or a policy of your own",
                    );
                }
                for policy in items(list).filter_map(not_ready).take(MOST) {
                    part.found.push(policy);
                }
            }
        }
        part.end(|| format!("{count} in force"))
    }
}

/// What is wrong with a policy.
fn not_ready(policy: &Value) -> Option<Diagnosis> {
    let conditions = policy.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let ready = conditions.clone().find(|condition| text(condition, "/type") == "Ready");
    let name = text(policy, "/metadata/name");
    let (level, message, mend) = match ready {
        None => (
            Level::Warning,
            format!("StoragePolicy {name} has no status yet"),
            "a replica that leads writes it within seconds; without --register nobody does",
        ),
        Some(ready) if text(ready, "/status") == "True" => return None,
        Some(ready) => (
            Level::Fault,
            format!("StoragePolicy {name} is not in force: {}", text(ready, "/message")),
            "edit the policy; `volgate check --policy FILE` says the same before it is applied",
        ),
    };
    Some(Diagnosis { area: "policies", level, message, mend: Some(mend.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Authority;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    const NOW: i64 = 1_795_392_000;

    fn list(items: Vec<Value>) -> Seen {
        Ok(Some(json!({"items": items})))
    }

    fn workload(name: &str, ready: i64) -> Value {
        json!({"metadata": {"name": name}, "spec": {"replicas": 2},
               "status": {"readyReplicas": ready, "numberReady": ready, "desiredNumberScheduled": 2}})
    }

    fn configuration(name: &str, policy: &str) -> Seen {
        let ca = Authority::new(jiff::civil::date(2026, 11, 23)).unwrap().pem();
        Ok(Some(json!({
            "metadata": {"name": name, "annotations": {"volgate.dev/version": env!("CARGO_PKG_VERSION")}},
            "webhooks": [{"name": "workloads.volgate.dev", "failurePolicy": policy, "clientConfig": {
                "service": {"name": "volgate", "namespace": "storage"}, "caBundle": STANDARD.encode(ca)}}]})))
    }

    /// An installation in which everything is as it should be.
    fn healthy() -> Installation {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        Installation {
            namespace: "storage".into(),
            now: NOW,
            version: Ok(Some(json!({"major": "1", "minor": "37+"}))),
            deployments: list(vec![workload("volgate", 2), workload("volgate-provisioner", 2)]),
            daemon_sets: list(vec![workload("volgate-agent", 2)]),
            pods: list(vec![]),
            slices: list(vec![json!({"metadata": {"labels": {"kubernetes.io/service-name": "volgate"}},
                                     "endpoints": [{"conditions": {"ready": true}}]})]),
            mutating: configuration("zz-volgate", "Fail"),
            validating: configuration("volgate", "Fail"),
            policies: list(vec![json!({"metadata": {"name": "baseline"}, "status": {"conditions": ready}})]),
            classes: list(vec![json!({"provisioner": "local-path.volgate.dev"})]),
            nodes: list(vec![json!({"metadata": {"name": "n1"}})]),
            node_storages: list(vec![
                json!({"spec": {"node": "n1"}, "status": {"bases": [{"path": "/b", "usable": true}]}}),
            ]),
            node_volumes: list(vec![]),
            report_apis: Ok(vec![]),
        }
    }

    /// What is not well, each with its level.
    fn wrong(installation: &Installation) -> Vec<(Level, String)> {
        let found = installation.judge().into_iter().filter(|one| one.level != Level::Ok);
        found
            .map(|one| {
                assert!(one.mend.is_some(), "{one:?}: nobody is told what to do");
                (one.level, format!("{}: {}", one.area, one.message))
            })
            .collect()
    }

    #[test]
    fn nothing_is_wrong_with_what_is_healthy() {
        assert_eq!(wrong(&healthy()), []);
        assert_eq!(healthy().judge().len(), 7, "a line for each part");
    }

    #[test]
    fn each_part_that_is_not_well_is_named() {
        let not_ready = json!({"metadata": {"name": "own"}, "status": {"conditions": [
            {"type": "Ready", "status": "False", "message": "spec.rules[0]: unknown"}]}});
        let pod = json!({"metadata": {"name": "p", "labels": {"app.kubernetes.io/name": "volgate"}},
            "status": {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no image"}}}]}});
        let lost = json!({"metadata": {"name": "pvc-1"}, "spec": {"node": "n1", "claim": {"namespace": "d", "name": "c"}},
                          "status": {"phase": "Lost", "message": "the disk was emptied"}});
        let full = json!({"spec": {"node": "n1"}, "status": {"bases": [{"path": "/b", "usable": false, "message": "read-only"}]}});
        type Change = Box<dyn Fn(&mut Installation)>;
        let cases: Vec<(Change, Level, &str)> = vec![
            (
                Box::new(|i| i.version = Ok(Some(json!({"major": "1", "minor": "28"})))),
                Level::Fault,
                "1.28 is too old",
            ),
            (Box::new(|i| i.version = Err("refused".into())), Level::Fault, "does not answer: refused"),
            (
                Box::new(move |i| {
                    i.deployments = list(vec![workload("volgate", 0), workload("volgate-provisioner", 2)]);
                    i.pods = list(vec![pod.clone()]);
                }),
                Level::Fault,
                "0 of 2 pods ready: ImagePullBackOff: no image",
            ),
            (
                Box::new(|i| {
                    i.deployments = list(vec![workload("volgate", 1), workload("volgate-provisioner", 2)])
                }),
                Level::Warning,
                "1 of 2 pods ready",
            ),
            (
                Box::new(|i| i.deployments = list(vec![])),
                Level::Fault,
                "there is no Deployment storage/volgate",
            ),
            (Box::new(|i| i.slices = list(vec![])), Level::Fault, "no ready endpoint"),
            (
                Box::new(|i| i.mutating = Ok(None)),
                Level::Fault,
                "there is no MutatingWebhookConfiguration zz-volgate: nothing is filled in",
            ),
            (
                Box::new(|i| i.validating = configuration("volgate", "Ignore")),
                Level::Warning,
                "failurePolicy Ignore",
            ),
            (
                Box::new(|i| i.validating = Err("forbidden".into())),
                Level::Warning,
                "cannot be read: forbidden",
            ),
            (
                Box::new(|i| i.mutating = configuration("zz-volgate", "Ignore")),
                Level::Warning,
                "the MutatingWebhookConfiguration zz-volgate has failurePolicy Ignore",
            ),
            // As a static registration has it.
            (
                Box::new(|i| i.mutating = configuration("volgate", "Ignore")),
                Level::Warning,
                "the MutatingWebhookConfiguration volgate has failurePolicy Ignore",
            ),
            (Box::new(|i| i.now = NOW + 20 * 365 * 86_400), Level::Fault, "has expired"),
            (
                Box::new(|i| i.policies = list(vec![])),
                Level::Fault,
                "there is no StoragePolicy: nothing is judged",
            ),
            (
                Box::new(|i| i.policies = Ok(None)),
                Level::Fault,
                "CustomResourceDefinitions are not installed",
            ),
            (
                Box::new(move |i| i.policies = list(vec![not_ready.clone()])),
                Level::Fault,
                "own is not in force: spec.rules[0]",
            ),
            (Box::new(|i| i.classes = list(vec![])), Level::Warning, "no StorageClass has the provisioner"),
            (
                Box::new(move |i| i.node_volumes = list(vec![lost.clone()])),
                Level::Warning,
                "of claim d/c on node n1 is Lost",
            ),
            (Box::new(|i| i.node_storages = list(vec![])), Level::Warning, "1 nodes have no NodeStorage"),
            (
                Box::new(move |i| i.node_storages = list(vec![full.clone()])),
                Level::Fault,
                "base /b of node n1 cannot be used: read-only",
            ),
        ];
        for (change, level, words) in cases {
            let mut installation = healthy();
            change(&mut installation);
            let found = wrong(&installation);
            assert!(
                found.iter().any(|(is, text)| *is == level && text.contains(words)),
                "{words}: {found:?}"
            );
        }
    }

    #[test]
    fn a_workload_that_starts_is_a_warning_until_it_fails_or_takes_too_long() {
        let made = |ago: i64| Timestamp::from_second(NOW - ago).unwrap().to_string();
        let of = |pods: Vec<Value>, ago: i64| {
            let mut agent = workload("volgate-agent", 0);
            agent["metadata"]["creationTimestamp"] = json!(made(ago));
            let installation = Installation { daemon_sets: list(vec![agent]), pods: list(pods), ..healthy() };
            wrong(&installation).remove(0)
        };
        let pod = |ago: i64, status: Value| {
            json!({"metadata": {"name": "p", "creationTimestamp": made(ago),
                                "labels": {"app.kubernetes.io/name": "volgate-agent"}},
                   "status": {"containerStatuses": [status]}})
        };
        let starts =
            pod(3, json!({"restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}));
        let runs = pod(3, json!({"restartCount": 0, "state": {"running": {}}}));
        let no_image = pod(3, json!({"restartCount": 0, "state": {"waiting": {"reason": "ErrImagePull"}}}));
        let fell = pod(3, json!({"restartCount": 1, "state": {"running": {}}}));
        let hangs = pod(61, json!({"restartCount": 0, "state": {"running": {}}}));

        for (pods, ago, level) in [
            (vec![], 3, Level::Warning),
            (vec![], 61, Level::Fault),
            (vec![starts.clone(), runs], 3, Level::Warning),
            (vec![starts.clone()], 1_000, Level::Warning),
            (vec![starts.clone(), no_image], 3, Level::Fault),
            (vec![starts.clone(), fell], 3, Level::Fault),
            (vec![starts, hangs], 3, Level::Fault),
        ] {
            let (found, message) = of(pods.clone(), ago);
            assert_eq!(found, level, "{message}: {pods:?}");
            assert!(message.contains("0 of 2 pods ready"), "{message}");
        }
    }

    #[test]
    fn policy_reports_are_looked_at_where_they_are_installed() {
        let mut installation = healthy();
        let deployments = [("volgate", 2), ("volgate-provisioner", 2), ("volgate-reports", 2)];
        installation.deployments =
            list(deployments.map(|(name, ready)| workload(name, ready)).into_iter().collect());
        let found = wrong(&installation);
        assert!(
            matches!(&found[..], [(Level::Fault, text)] if text.contains("neither the CustomResourceDefinitions")),
            "{found:?}"
        );
        installation.report_apis = Err("forbidden".into());
        assert!(matches!(&wrong(&installation)[..], [(Level::Warning, text)] if text.contains("forbidden")));
        installation.report_apis = Ok(vec!["openreports.io", "wgpolicyk8s.io"]);
        assert_eq!(wrong(&installation), []);
        let last = installation.judge().pop().unwrap();
        assert_eq!((last.area, &*last.message), ("reports", "policy reports of openreports.io are written"));
    }

    #[test]
    fn what_was_left_out_on_purpose_is_no_fault() {
        let mut installation = healthy();
        installation.deployments = list(vec![workload("volgate", 2)]);
        installation.daemon_sets = list(vec![]);
        installation.node_storages = Ok(None);
        assert_eq!(wrong(&installation), []);
    }
}
