//! The webhook configurations, built by a pure function: written by the process that answers ([`super::Registrar`]), or printed
//! for whoever writes them by hand.
//!
//! docs/design/registration.md says which webhooks there are, who waits when volgate is down, and why.

mod registration;

use crate::admission::{PROBE_LABEL, changes_expression, finds_expression};
use crate::model::{API_GROUP, controller_users};
use crate::policy::Interest;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, ValidatingWebhook,
    ValidatingWebhookConfiguration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta};
pub use registration::{CustomResource, Endpoint, FailurePolicy, NamespacedName, Registration, host};
use std::collections::BTreeMap;

/// The name of both configurations, where somebody writes them by hand.
pub const NAME: &str = "volgate";
/// The name of the mutating configuration that leaves out what no policy changes: the API server goes by the names in their
/// order.
pub const LAST_NAME: &str = "zz-volgate";
/// Whose fields they are in server-side apply.
pub const FIELD_MANAGER: &str = "volgate";
/// The webhook that is asked about volgate's own dry run alone.
const PROBE_HOOK: &str = "probe.volgate.dev";
/// The webhooks that are asked about custom resources.
const CUSTOM_HOOK: &str = "custom-resources.volgate.dev";
const CUSTOM_HOOK_OF_ACCOUNTS: &str = "custom-resources-of-accounts.volgate.dev";
/// Every namespace has its name in this label.
pub(super) const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";
/// cert-manager's annotation with the Certificate whose CA its injector writes.
pub(super) const INJECT_CA_FROM: &str = "cert-manager.io/inject-ca-from";
/// The annotation with the version that wrote a configuration: an older one leaves it alone.
pub const VERSION_ANNOTATION: &str = "volgate.dev/version";
/// Where the mutating webhook listens.
pub const MUTATE_PATH: &str = "/mutate";
/// Where the validating webhook listens.
pub const VALIDATE_PATH: &str = "/validate";

/// The version of StoragePolicies.
const POLICY_VERSION: &str = super::watched::POLICIES.version;

/// One of the webhooks.
struct Hook {
    name: &'static str,
    failure_policy: FailurePolicy,
    rules: Vec<RuleWithOperations>,
    condition: Option<MatchCondition>,
    /// None for objects without a namespace.
    namespaces: Option<LabelSelector>,
    objects: LabelSelector,
}

/// Whether the request comes from somebody who must not wait for a volgate that is down.
fn by_controller_or_operator(registration: &Registration) -> String {
    let accounts = registration.operators.iter();
    let accounts = accounts
        .map(|NamespacedName { namespace, name }| format!("system:serviceaccount:{namespace}:{name}"));
    let names: Vec<String> = controller_users().chain(accounts).map(|name| format!("'{name}'")).collect();
    // Of what is updated the owner that was there before counts: the one who updates cannot add it.
    format!(
        "request.userInfo.username in [{}] || \
         (request.userInfo.username.startsWith('system:serviceaccount:') && \
         !request.userInfo.username.startsWith('system:serviceaccount:' + request.namespace + ':') && \
         (request.operation == 'UPDATE' ? oldObject : object).metadata.?ownerReferences.orValue([]).exists(o, \
         o.?controller.orValue(false)))",
        names.join(", ")
    )
}

/// What volgate's own dry run is about, and nothing else.
fn probe(namespace: &str) -> Hook {
    let requirement = |key: &str, operator: &str, values: Option<Vec<String>>| LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: key.to_owned(),
            operator: operator.to_owned(),
            values,
        }]),
        match_labels: None,
    };
    Hook {
        name: PROBE_HOOK,
        failure_policy: FailurePolicy::Ignore,
        rules: vec![rule("Namespaced", "", &["podtemplates"], &["CREATE"])],
        condition: None,
        namespaces: Some(requirement(NAMESPACE_LABEL, "In", Some(vec![namespace.to_owned()]))),
        objects: requirement(PROBE_LABEL, "Exists", None),
    }
}

/// Which of both configurations.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Mutating,
    Validating,
}

impl Side {
    /// Whether PersistentVolumeClaims may matter.
    fn claims(self, interest: &Interest) -> bool {
        match self {
            Self::Mutating => interest.changes.claims,
            Self::Validating => interest.claims,
        }
    }

    /// When an object may matter; none where all do.
    fn condition(self, interest: &Interest) -> Option<MatchCondition> {
        let expression = match self {
            Self::Mutating => changes_expression(interest),
            Self::Validating => finds_expression(interest),
        };
        expression.map(|expression| condition("may-matter-to-a-policy", expression))
    }
}

fn hooks(registration: &Registration, side: Side) -> Vec<Hook> {
    let interest = &registration.interest;
    let by_controller = by_controller_or_operator(registration);
    let matters = side.condition(interest);
    let namespaced = |name, failure_policy, who: MatchCondition| Hook {
        name,
        failure_policy,
        rules: namespaced_rules(side.claims(interest)),
        condition: Some(all(std::iter::once(who).chain(conditions()).chain(matters.clone()))),
        namespaces: Some(registration.namespaces()),
        objects: LabelSelector::default(),
    };
    // Nothing that is judged of them can be changed later.
    let volumes = interest.volumes.then(|| rule("Cluster", "", &["persistentvolumes"], &["CREATE"]));
    let classes =
        interest.classes.then(|| rule("Cluster", "storage.k8s.io", &["storageclasses"], &["CREATE"]));
    let mut hooks = vec![
        namespaced(
            "workloads.volgate.dev",
            registration.failure_policy,
            condition("not-by-a-controller", format!("!({by_controller})")),
        ),
        namespaced(
            "controllers.volgate.dev",
            FailurePolicy::Ignore,
            condition("by-a-controller", by_controller),
        ),
        Hook {
            name: "volumes.volgate.dev",
            failure_policy: FailurePolicy::Ignore,
            rules: volumes.into_iter().chain(classes).collect(),
            condition: None,
            namespaces: None,
            objects: LabelSelector::default(),
        },
        Hook {
            name: "policies.volgate.dev",
            failure_policy: FailurePolicy::Ignore,
            rules: vec![RuleWithOperations {
                api_versions: Some(vec![POLICY_VERSION.to_owned()]),
                ..rule("Cluster", API_GROUP, &["storagepolicies"], &["CREATE", "UPDATE"])
            }],
            condition: None,
            namespaces: None,
            objects: LabelSelector::default(),
        },
    ];
    hooks.extend(custom_hooks(registration));
    hooks.extend(registration.probe.as_deref().map(probe));
    hooks.retain(|hook| !hook.rules.is_empty());
    hooks
}

/// What custom resources are asked about: nothing of them is ever changed.
fn custom_hooks(registration: &Registration) -> Vec<Hook> {
    if registration.custom_resources.is_empty() {
        return Vec::new();
    }
    let by_account = "request.userInfo.username.startsWith('system:serviceaccount:')";
    let hook = |name, failure_policy, who: MatchCondition| Hook {
        name,
        failure_policy,
        rules: registration.custom_resources.iter().map(custom_rule).collect(),
        condition: Some(all([
            who,
            condition("not-being-deleted", "!has(object.metadata.deletionTimestamp)"),
            condition(
                "not-the-same-as-before",
                "request.operation != 'UPDATE' || object.?spec != oldObject.?spec",
            ),
        ])),
        namespaces: Some(registration.namespaces()),
        objects: LabelSelector::default(),
    };
    vec![
        hook(
            CUSTOM_HOOK,
            registration.failure_policy,
            condition("not-by-a-service-account", format!("!{by_account}")),
        ),
        hook(CUSTOM_HOOK_OF_ACCOUNTS, FailurePolicy::Ignore, condition("by-a-service-account", by_account)),
    ]
}

fn custom_rule(custom: &CustomResource) -> RuleWithOperations {
    RuleWithOperations {
        api_versions: Some(custom.versions.clone()),
        ..rule("Namespaced", &custom.group, &[custom.resource.as_str()], &["CREATE", "UPDATE"])
    }
}

/// What has `spec.replicas` and a `scale` subresource: group, resource and kind.
const SCALABLE: [(&str, &str, &str); 4] = [
    ("apps", "deployments", "Deployment"),
    ("apps", "statefulsets", "StatefulSet"),
    ("apps", "replicasets", "ReplicaSet"),
    ("", "replicationcontrollers", "ReplicationController"),
];

/// The `scale` subresources of what is judged by its replicas; a Scale is only ever updated.
fn scale_rules(interest: &Interest) -> impl Iterator<Item = RuleWithOperations> {
    let judged = SCALABLE.into_iter().filter(|(_, _, kind)| interest.scaled.contains(kind));
    judged.map(|(group, resource, _)| {
        rule("Namespaced", group, &[format!("{resource}/scale").as_str()], &["UPDATE"])
    })
}

fn namespaced_rules(claims: bool) -> Vec<RuleWithOperations> {
    let both = ["CREATE", "UPDATE"];
    let mut core = vec!["replicationcontrollers", "podtemplates"];
    if claims {
        core.insert(0, "persistentvolumeclaims");
    }
    vec![
        // A pod's storage cannot change, but its images can, and ephemeral containers come in.
        rule("Namespaced", "", &["pods"], &both),
        rule("Namespaced", "", &["pods/ephemeralcontainers"], &["UPDATE"]),
        rule("Namespaced", "", &core, &both),
        rule("Namespaced", "apps", &["deployments", "statefulsets", "daemonsets", "replicasets"], &both),
        rule("Namespaced", "batch", &["jobs", "cronjobs"], &both),
    ]
}

fn rule(scope: &str, group: &str, resources: &[&str], operations: &[&str]) -> RuleWithOperations {
    let owned = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect());
    RuleWithOperations {
        api_groups: owned(&[group]),
        api_versions: owned(&["v1"]),
        operations: owned(operations),
        resources: owned(resources),
        scope: Some(scope.to_owned()),
    }
}

fn condition(name: &str, expression: impl Into<String>) -> MatchCondition {
    MatchCondition { name: name.to_owned(), expression: expression.into() }
}

/// All of them as one, each in a line that ends with its name: the API server evaluates every condition of a webhook, whatever
/// the others say, and each costs it as much again.
fn all(conditions: impl IntoIterator<Item = MatchCondition>) -> MatchCondition {
    let lines = conditions.into_iter().map(|one| format!("({}) // {}", one.expression, one.name));
    condition("has-to-be-asked", lines.collect::<Vec<_>>().join("\n&& "))
}

/// What goes through without a call, as the engine has nothing to say of it.
fn conditions() -> Vec<MatchCondition> {
    let images = |list| {
        // A pod that has yet to be validated may have null in place of its containers.
        let of = |object: &str| {
            format!(
                "({object}.spec.?{list}.orValue(null) == null ? [] : {object}.spec.{list}).map(c, c.?image.orValue(''))"
            )
        };
        format!("{} != {}", of("object"), of("oldObject"))
    };
    let update_matters = [
        // Refusing the removal of a finalizer would only keep the object forever. A claim can still grow: pods use it.
        (
            "has(object.metadata.deletionTimestamp)",
            "request.resource.resource == 'persistentvolumeclaims' && \
             object.spec.?resources != oldObject.spec.?resources"
                .to_owned(),
        ),
        // Scaling down, to 0 in an outage above all, never waits for volgate. A Scale leaves a 0 out.
        (
            "request.kind.kind == 'Scale'",
            "object.?spec.?replicas.orValue(0) > oldObject.?spec.?replicas.orValue(0)".to_owned(),
        ),
        // Labels, finalizers and owners of a pod.
        (
            "request.resource.resource == 'pods'",
            format!(
                "object.spec.?ephemeralContainers != oldObject.spec.?ephemeralContainers || {} || {}",
                images("containers"),
                images("initContainers")
            ),
        ),
        // Binding updates each claim several times (selected node, provisioner, volume).
        (
            "request.resource.resource == 'persistentvolumeclaims'",
            "object.spec.?resources != oldObject.spec.?resources || \
             object.spec.?storageClassName != oldObject.spec.?storageClassName || \
             object.spec.?volumeAttributesClassName != oldObject.spec.?volumeAttributesClassName"
                .to_owned(),
        ),
    ];
    let otherwise = "object.?spec != oldObject.?spec || object.?template != oldObject.?template".to_owned();
    let update_matters = update_matters
        .iter()
        .rev()
        .fold(otherwise, |rest, (of, matters)| format!("{of} ? ({matters}) : ({rest})"));
    vec![
        // A static pod runs whatever becomes of its mirror; and a kubelet runs no pod that says it is a mirror.
        condition(
            "not-a-mirror-pod",
            "request.resource.resource != 'pods' || !('kubernetes.io/config.mirror' in \
             object.metadata.?annotations.orValue({}))",
        ),
        condition("not-the-same-as-before", format!("request.operation != 'UPDATE' || ({update_matters})")),
    ]
}

/// Whether a webhook is about other things than workloads and claims in namespaces.
fn is_apart(name: &str) -> bool {
    [PROBE_HOOK, CUSTOM_HOOK, CUSTOM_HOOK_OF_ACCOUNTS].contains(&name)
}

/// Both configurations.
pub fn configurations(
    registration: &Registration,
) -> (MutatingWebhookConfiguration, ValidatingWebhookConfiguration) {
    let mut annotations =
        BTreeMap::from([(VERSION_ANNOTATION.to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
    if let Some(NamespacedName { namespace, name }) = &registration.inject_ca_from {
        annotations.insert(INJECT_CA_FROM.to_owned(), format!("{namespace}/{name}"));
    }
    let metadata = |name: &str| ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(BTreeMap::from([("app.kubernetes.io/name".to_owned(), NAME.to_owned())])),
        annotations: Some(annotations.clone()),
        ..ObjectMeta::default()
    };
    let timeout_seconds = Some(i32::from(registration.timeout_seconds));
    let versions = || vec!["v1".to_owned()];
    let mutating = |hook: Hook| MutatingWebhook {
        name: hook.name.to_owned(),
        admission_review_versions: versions(),
        client_config: registration.client(MUTATE_PATH),
        failure_policy: Some(hook.failure_policy.as_str().to_owned()),
        match_conditions: hook.condition.map(|condition| vec![condition]),
        match_policy: Some("Equivalent".to_owned()),
        namespace_selector: hook.namespaces,
        object_selector: Some(hook.objects),
        // Another webhook may add a volume after volgate has looked.
        reinvocation_policy: Some("IfNeeded".to_owned()),
        rules: Some(hook.rules),
        side_effects: "None".to_owned(),
        timeout_seconds,
    };
    let validating = |hook: Hook| ValidatingWebhook {
        name: hook.name.to_owned(),
        admission_review_versions: versions(),
        client_config: registration.client(VALIDATE_PATH),
        failure_policy: Some(hook.failure_policy.as_str().to_owned()),
        match_conditions: hook.condition.map(|condition| vec![condition]),
        match_policy: Some("Equivalent".to_owned()),
        rules: Some(match hook.namespaces {
            Some(_) if !is_apart(hook.name) => {
                hook.rules.into_iter().chain(scale_rules(&registration.interest)).collect()
            }
            _ => hook.rules,
        }),
        namespace_selector: hook.namespaces,
        object_selector: Some(hook.objects),
        side_effects: if registration.events { "NoneOnDryRun" } else { "None" }.to_owned(),
        timeout_seconds,
    };
    let is_custom = |hook: &Hook| [CUSTOM_HOOK, CUSTOM_HOOK_OF_ACCOUNTS].contains(&hook.name);
    let in_namespaces = hooks(registration, Side::Mutating)
        .into_iter()
        .filter(|hook| hook.namespaces.is_some() && !is_custom(hook));
    (
        MutatingWebhookConfiguration {
            metadata: metadata(registration.mutating_name),
            webhooks: Some(in_namespaces.map(mutating).collect()),
        },
        ValidatingWebhookConfiguration {
            metadata: metadata(NAME),
            webhooks: Some(hooks(registration, Side::Validating).into_iter().map(validating).collect()),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::WorkloadKind;
    use crate::policy::{PolicySet, embedded_baseline};

    #[test]
    fn every_controller_that_proves_an_owner_is_asked_about_apart() {
        let kinds = [
            "ReplicationController",
            "ReplicaSet",
            "Deployment",
            "StatefulSet",
            "DaemonSet",
            "Job",
            "CronJob",
        ];
        for kind in kinds {
            let kind = ["", "apps", "batch"].iter().find_map(|group| WorkloadKind::of(group, kind)).unwrap();
            let account = format!("system:serviceaccount:kube-system:{}", kind.controller().unwrap());
            assert!(controller_users().any(|known| known == account), "{kind:?}");
        }
    }

    fn registration() -> Registration {
        Registration::new(Endpoint::Url("https://127.0.0.1:8443/".to_owned()), b"PEM".to_vec())
    }

    fn validating() -> Vec<ValidatingWebhook> {
        configurations(&registration()).1.webhooks.unwrap()
    }

    #[test]
    fn never_asks_about_what_a_cluster_needs_to_come_up() {
        let allowed = [
            "pods",
            "pods/ephemeralcontainers",
            "persistentvolumeclaims",
            "replicationcontrollers",
            "podtemplates",
            "deployments",
            "statefulsets",
            "daemonsets",
            "replicasets",
            "jobs",
            "cronjobs",
            "persistentvolumes",
            "storageclasses",
            "storagepolicies",
            "deployments/scale",
            "statefulsets/scale",
            "replicasets/scale",
            "replicationcontrollers/scale",
        ];
        for hook in validating() {
            for rule in hook.rules.unwrap() {
                let resources = rule.resources.unwrap();
                assert!(resources.iter().all(|r| allowed.contains(&r.as_str())), "{resources:?}");
                if rule.scope.as_deref() == Some("Namespaced") {
                    let namespaces = hook.namespace_selector.as_ref().unwrap();
                    let excluded = namespaces.match_expressions.as_ref().unwrap()[0].values.as_ref().unwrap();
                    assert_eq!(
                        excluded,
                        &["kube-node-lease", "kube-public", "kube-system", "volgate-system"]
                    );
                } else {
                    assert_eq!(hook.failure_policy.as_deref(), Some("Ignore"), "no selector protects these");
                }
            }
        }
    }

    #[test]
    fn custom_resources_are_asked_about_where_they_are_installed_and_never_to_be_changed() {
        let kafka = CustomResource {
            group: "kafka.strimzi.io".into(),
            resource: "kafkas".into(),
            versions: vec!["v1beta2".into(), "v1".into()],
        };
        let asked = Registration { custom_resources: vec![kafka], ..registration() };
        let (mutating, with) = configurations(&asked);
        let names = |hooks: &[ValidatingWebhook]| -> Vec<String> {
            hooks.iter().map(|hook| hook.name.clone()).collect()
        };
        let with = with.webhooks.unwrap();
        let custom: Vec<&ValidatingWebhook> =
            with.iter().filter(|hook| hook.name.starts_with("custom")).collect();
        let told: Vec<_> =
            custom.iter().map(|hook| (hook.name.as_str(), hook.failure_policy.as_deref().unwrap())).collect();
        assert_eq!(told, [(CUSTOM_HOOK, "Fail"), (CUSTOM_HOOK_OF_ACCOUNTS, "Ignore")]);
        for hook in custom {
            let rules = hook.rules.as_ref().unwrap();
            assert_eq!(rules.len(), 1, "no scale: {rules:?}");
            assert_eq!(rules[0].api_versions.as_ref().unwrap(), &["v1beta2", "v1"]);
            assert_eq!(rules[0].resources.as_ref().unwrap(), &["kafkas"]);
            let namespaces = hook.namespace_selector.as_ref().unwrap().match_expressions.as_ref().unwrap();
            assert!(namespaces[0].values.as_ref().unwrap().contains(&"kube-system".to_owned()));
        }
        assert!(mutating.webhooks.unwrap().iter().all(|hook| !hook.name.starts_with("custom")));
        assert!(names(&validating()).iter().all(|name| !name.starts_with("custom")));
    }

    #[test]
    fn every_workload_kind_that_is_read_is_asked_about() {
        use crate::facts::WorkloadKind;
        for hook in validating().iter().filter(|hook| hook.namespace_selector.is_some()) {
            for (group, kind, resource) in [
                ("", "Pod", "pods"),
                ("", "ReplicationController", "replicationcontrollers"),
                ("", "PodTemplate", "podtemplates"),
                ("apps", "Deployment", "deployments"),
                ("apps", "StatefulSet", "statefulsets"),
                ("apps", "DaemonSet", "daemonsets"),
                ("apps", "ReplicaSet", "replicasets"),
                ("batch", "Job", "jobs"),
                ("batch", "CronJob", "cronjobs"),
            ] {
                assert!(WorkloadKind::of(group, kind).is_some(), "{kind}");
                let creates = hook.rules.iter().flatten().any(|rule| {
                    rule.api_groups.as_ref().unwrap()[0] == group
                        && rule.resources.as_ref().unwrap().iter().any(|r| r == resource)
                        && rule.operations.as_ref().unwrap()[0] == "CREATE"
                });
                assert!(creates, "{} is not asked about {resource}", hook.name);
            }
        }
    }

    #[test]
    fn whatever_can_be_scaled_is_asked_about_and_never_to_be_changed() {
        use crate::facts::WorkloadKind;
        let scales = |hook: &[RuleWithOperations]| -> Vec<String> {
            let resources = hook.iter().flat_map(|rule| rule.resources.clone().unwrap());
            resources.filter(|resource| resource.ends_with("/scale")).collect()
        };
        let wanted = SCALABLE.map(|(_, resource, _)| format!("{resource}/scale"));
        let (mutating, _) = configurations(&registration());
        for hook in validating().iter().filter(|hook| hook.namespace_selector.is_some()) {
            assert_eq!(scales(hook.rules.as_ref().unwrap()), wanted, "{}", hook.name);
        }
        for hook in mutating.webhooks.unwrap() {
            assert_eq!(scales(&hook.rules.unwrap()), [""; 0], "{}", hook.name);
        }
        for (group, resource, kind) in SCALABLE {
            assert_eq!(format!("{}s", kind.to_lowercase()), resource);
            assert!(WorkloadKind::of(group, kind).unwrap().has_replicas());
        }
    }

    #[test]
    fn what_is_sent_follows_the_policies() {
        let of = |policies| PolicySet::build(policies).unwrap().interest();
        let configured = |interest: Interest| {
            let (mutating, validating) =
                configurations(&Registration { interest, mutating_name: LAST_NAME, ..registration() });
            assert_eq!(mutating.metadata.name.as_deref(), Some(LAST_NAME));
            (serde_json::to_value(mutating).unwrap(), serde_json::to_value(validating).unwrap())
        };
        let condition = |configuration: &serde_json::Value| {
            let text = configuration["webhooks"][0]["matchConditions"][0]["expression"].as_str().unwrap();
            let ours = text.lines().find_map(|line| line.strip_suffix(") // may-matter-to-a-policy"));
            ours.map(|line| line.trim_start_matches("&& (").to_owned())
        };
        let resources = |configuration: &serde_json::Value| {
            let hooks = configuration["webhooks"].as_array().unwrap();
            hooks.iter().map(|hook| hook["rules"].to_string()).collect::<String>()
        };

        let (mutating, validating) = configured(of(vec![embedded_baseline().unwrap()]));
        for configuration in [&mutating, &validating] {
            let text = resources(configuration);
            assert!(text.contains(r#""pods""#) && text.contains(r#""persistentvolumeclaims""#), "{text}");
            assert!(!text.contains("/scale"), "the baseline reads no replicas: {text}");
        }
        assert!(condition(&validating).unwrap().contains("redis"), "images are looked at");
        assert!(!condition(&mutating).unwrap().contains("matches"), "and nothing of them is changed");

        let (mutating, validating) = configured(of(Vec::new()));
        for configuration in [&mutating, &validating] {
            let text = resources(configuration);
            assert!(!text.contains("persistentvolume") && !text.contains("storageclasses"), "{text}");
            assert_eq!(
                condition(configuration).unwrap(),
                "request.kind.kind in ['Scale']",
                "which no rule has"
            );
        }

        let (mutating, validating) = configured(Interest::everything());
        assert_eq!((condition(&mutating), condition(&validating)), (None, None));
    }

    #[test]
    fn events_are_declared_as_what_a_dry_run_does_not_have() {
        let declared = |events| -> (Vec<String>, Vec<String>) {
            let (mutating, validating) = configurations(&Registration { events, ..registration() });
            let mutating = mutating.webhooks.unwrap().into_iter().map(|hook| hook.side_effects);
            (
                mutating.collect(),
                validating.webhooks.unwrap().into_iter().map(|hook| hook.side_effects).collect(),
            )
        };
        assert_eq!(declared(false), (vec!["None".to_owned(); 2], vec!["None".to_owned(); 4]));
        assert_eq!(declared(true), (vec!["None".to_owned(); 2], vec!["NoneOnDryRun".to_owned(); 4]));
    }

    #[test]
    fn refuses_for_people_only() {
        let policies = |registration: &Registration| -> Vec<String> {
            let (mutating, validating) = configurations(registration);
            let mutating = mutating.webhooks.unwrap().into_iter().map(|hook| hook.failure_policy.unwrap());
            let validating =
                validating.webhooks.unwrap().into_iter().map(|hook| hook.failure_policy.unwrap());
            mutating.chain(validating).collect()
        };
        assert_eq!(policies(&registration()), ["Fail", "Ignore", "Fail", "Ignore", "Ignore", "Ignore"]);
        let lenient = Registration { failure_policy: FailurePolicy::Ignore, ..registration() };
        assert_eq!(policies(&lenient), ["Ignore"; 6]);
    }

    #[test]
    fn is_reached_by_url_or_service() {
        let (mutating, validating) = configurations(&registration());
        let client = |config: &k8s_openapi::api::admissionregistration::v1::WebhookClientConfig| {
            config.url.clone().unwrap()
        };
        assert_eq!(client(&mutating.webhooks.unwrap()[0].client_config), "https://127.0.0.1:8443/mutate");
        assert_eq!(client(&validating.webhooks.unwrap()[0].client_config), "https://127.0.0.1:8443/validate");

        let endpoint = Endpoint::Service { namespace: "n".into(), name: "volgate".into(), port: 443 };
        let config = Registration::new(endpoint, Vec::new()).client(MUTATE_PATH);
        assert!(config.ca_bundle.is_none() && config.url.is_none());
        let service = config.service.unwrap();
        assert_eq!((service.path.as_deref(), service.port), (Some("/mutate"), Some(443)));
    }
}
