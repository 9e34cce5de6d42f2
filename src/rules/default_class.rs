use super::support::best_fit;
use crate::facts::{ClaimSpec, ClassName, VolumeFacts};
use crate::json::Node;
use crate::model::{AccessMode, FieldPath, Operation, VolumeMode, nearest};
use crate::patch::PatchBuilder;
use crate::rule::{Concern, Context, NewFinding, NewFindings, PolicyFault, Rule, RuleKind};
use crate::storage::{ClaimSite, ClaimSiteKind, could_be_of};
use crate::verdict::Action;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Fills in the class of a claim that names none.
///
/// # Why it matters
/// A claim without `storageClassName` waits forever in a cluster without a default class, and lands on whatever the
/// default is in the others.
///
/// # What it checks
/// This rule fills the field in claims, in a StatefulSet's volumeClaimTemplates and in generic ephemeral volumes. A
/// claim that names a volume gets that volume's class. An explicit class, `""` (a volume without a class) and the
/// legacy annotation `volume.beta.kubernetes.io/storage-class` stay as they are. A misspelt `storageclassname` is a
/// warning, and nothing is written beside it. On an update that leaves the field out, the old value is carried over,
/// since it cannot be changed.
///
/// # Example
/// ```yaml
/// - defaultClass: {name: local-path}
/// ```
///
/// # What it does not check
/// A class that is known and cannot serve the claim is not filled in, and a warning says why: a `selector`, which
/// provisioners do not follow; ReadWriteMany or ReadOnlyMany where the class's volumes belong to one node; a block
/// device of a class that makes none; the copy of a claim of another provisioner; a snapshot or a claim to be copied, or
/// a `volumeAttributesClassName`, where volumes begin empty and have no attributes, as those of local-path. Where a free
/// volume without a class would do for a claim that gets the class, the audit log says that the claim does not take it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The class.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Other classes for some namespaces; `*` in a namespace stands for any text, and the closest pattern counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub namespaces: BTreeMap<String, String>,
}

impl RuleKind for Params {
    const ID: &'static str = "default-class";
    const FIELD: &'static str = "defaultClass";

    fn compile(&self, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        for (namespace, class) in &self.namespaces {
            if class.is_empty() {
                let path = at.key("namespaces").key(namespace.clone());
                faults.push(PolicyFault::new(
                    path,
                    "must name a class; leave the namespace out to fill in none",
                ));
            }
        }
        Arc::new(DefaultClass(self.clone()))
    }
}

#[derive(Debug)]
struct DefaultClass(Params);

impl Rule for DefaultClass {
    fn finds(&self) -> Concern {
        Concern::claim_sites()
    }

    fn changes(&self) -> Concern {
        Concern { claims: true, ..Concern::claim_sites() }
    }

    fn mutate(&self, context: &Context<'_>, patch: &mut PatchBuilder<'_>) {
        for site in context.facts.claim_sites() {
            self.fill(context, patch, &site);
        }
    }

    fn restore(&self, context: &Context<'_>, patch: &mut PatchBuilder<'_>) {
        if context.review.operation != Operation::Update {
            return;
        }
        // An ephemeral volume's class can change.
        let is_fixed = |site: &ClaimSite<'_>| !matches!(site.kind, ClaimSiteKind::Ephemeral(_));
        for site in context.facts.claim_sites().filter(is_fixed) {
            self.fill(context, patch, &site);
        }
    }

    fn check(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        // Nothing is filled in there; the claims that are made of it are judged themselves.
        if context.facts.custom.is_some() {
            return;
        }
        for site in context.facts.claim_sites() {
            findings.extend(self.left_out(context, &site).or_else(|| self.passed_by(context, &site)));
        }
    }

    fn contradicts(&self, other: &dyn Any) -> Option<String> {
        let Params { name, namespaces } = &other.downcast_ref::<Self>()?.0;
        if *name != self.0.name {
            return Some(format!("one fills in the class {name:?}, the other {:?}", self.0.name));
        }
        namespaces.iter().find_map(|(namespace, class)| {
            let ours = self.0.namespaces.get(namespace).filter(|ours| *ours != class)?;
            Some(format!("for namespace {namespace:?} one fills in the class {class:?}, the other {ours:?}"))
        })
    }
}

/// The field that is filled in.
const CLASS: &str = "storageClassName";

impl DefaultClass {
    fn fill(&self, context: &Context<'_>, patch: &mut PatchBuilder<'_>, site: &ClaimSite<'_>) {
        let field = site.field(CLASS);
        // An earlier policy may have filled it already.
        if site.spec.class != ClassName::Absent || patch.get(&field).is_some() {
            return;
        }
        // What was meant for the class must not be overruled by a default.
        if patch.get(&site.path.key("spec")).is_some_and(|spec| misspelt(spec).is_some()) {
            return;
        }
        let class = match context.review.operation {
            Operation::Update => match old_class(context, &site.path, &field) {
                // The object was stored without one: the field cannot be changed now, but for an ephemeral volume's.
                None if !matches!(site.kind, ClaimSiteKind::Ephemeral(_)) => return,
                None => self.class_for(context, site.spec),
                old => old,
            },
            _ => self.class_for(context, site.spec),
        };
        if let Some(class) = class {
            patch.set(&field, Value::String(class));
        }
    }

    /// The class to fill in; none where a named volume's class is not known or is `""`.
    fn class_for(&self, context: &Context<'_>, spec: &ClaimSpec) -> Option<String> {
        if let Some(volume) = &spec.volume_name {
            return Some(match &context.lookup.volume(volume)?.class {
                ClassName::Named(class) => class.clone(),
                // A volume without a class binds to claims that ask for none, which an absent field would not.
                ClassName::Empty | ClassName::Absent => String::new(),
            });
        }
        let class = self.default(context);
        unfit(context, spec, class).is_none().then(|| class.to_owned())
    }

    /// The class for claims that name none.
    fn default(&self, context: &Context<'_>) -> &str {
        best_fit(&self.0.namespaces, context.facts.namespace()).unwrap_or(&self.0.name)
    }

    /// Why no class was filled in.
    fn left_out(&self, context: &Context<'_>, site: &ClaimSite<'_>) -> Option<NewFinding> {
        if site.spec.class != ClassName::Absent || site.spec.volume_name.is_some() {
            return None;
        }
        let spec = site.path.key("spec");
        if let Some(name) = context.review.object.at(&spec).and_then(misspelt) {
            let message =
                format!("no class is filled in beside {name:?}, which Kubernetes does not know and drops");
            let finding = NewFinding::new(spec.key(name.to_owned()), message);
            return Some(finding.help("did you mean storageClassName?").at_most(Action::Warn));
        }
        let class = self.default(context);
        let why = unfit(context, site.spec, class)?;
        let message = format!(
            "names no class, and the default {class:?} is not filled in, since it cannot serve the claim: {why}"
        );
        let help = "name a class that can, or write `storageClassName: \"\"` to ask for a volume that was made by hand \
                    without a class";
        Some(NewFinding::new(spec, message).help(help).at_most(Action::Warn))
    }

    /// A free volume without a class that a claim of the default class does not get.
    fn passed_by(&self, context: &Context<'_>, site: &ClaimSite<'_>) -> Option<NewFinding> {
        let class = site.spec.class.name().filter(|class| *class == self.default(context))?;
        if site.spec.volume_name.is_some() || !matches!(site.kind, ClaimSiteKind::Claim) {
            return None;
        }
        let looked_at = Cell::new(0);
        let would_do = |volume: &VolumeFacts| {
            looked_at.set(looked_at.get() + 1);
            looked_at.get() > MOST_VOLUMES || (volume.claim.is_none() && could_be_of(volume, site.spec))
        };
        let volume = context.lookup.find_available("", &would_do)?;
        if looked_at.get() > MOST_VOLUMES {
            return None;
        }
        let message = format!(
            "the free volume {:?} would do, but has no class: a claim of class {class:?} does not get it",
            volume.name
        );
        let help = "write `storageClassName: \"\"` to get a volume without a class";
        Some(NewFinding::new(site.class_field(), message).help(help).at_most(Action::Audit))
    }
}

/// How many free volumes are looked at for one claim.
const MOST_VOLUMES: usize = 256;

/// The field of a claim's spec that was most likely meant for the class.
fn misspelt(spec: Node<'_>) -> Option<&str> {
    let plain = |name: &str| name.replace(['-', '_'], "").to_ascii_lowercase();
    let meant = |name: &&str| {
        let short = name.len() <= LONGEST_FIELD && !KNOWN_FIELDS.contains(name);
        short
            && (["storageclassname", "storageclass"].contains(&plain(name).as_str())
                || nearest(name, &["storageClassName"]).is_some())
    };
    spec.fields().take(MOST_FIELDS).map(|(name, _)| name).find(meant)
}

/// The fields of a claim's spec.
const KNOWN_FIELDS: [&str; 9] = [
    "accessModes",
    "dataSource",
    "dataSourceRef",
    "resources",
    "selector",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
    "volumeName",
];

/// The longest text that is compared with a field's name, and how many of them.
const LONGEST_FIELD: usize = 32;
const MOST_FIELDS: usize = 64;

/// Why a class cannot serve a claim, as far as that is known.
fn unfit(context: &Context<'_>, spec: &ClaimSpec, name: &str) -> Option<String> {
    let known = context.lookup.class(name);
    let provisioner = known.as_ref().map_or(name, |class| &class.provisioner);
    // Of a class that is not known, the name of the usual one says who makes its volumes.
    let provisions = known.as_ref().map_or(name == LOCAL_PATH, |class| !class.is_static());
    if provisions && spec.selector.is_some() {
        // Volumes of that class may have been made by hand.
        if context.lookup.available(name).count == 0 {
            return Some(format!("it has a `selector`, and {provisioner} makes no volumes by labels"));
        }
    }
    if known.as_ref().map_or(name == LOCAL_PATH, |class| class.is_plain()) {
        if spec.is_copy {
            return Some(format!(
                "it has a data source to be copied, and volumes of {provisioner} begin empty"
            ));
        }
        if spec.has_attributes_class {
            return Some(format!(
                "it has a `volumeAttributesClassName`, and volumes of {provisioner} have no such attributes"
            ));
        }
    }
    let class = known.as_ref()?;
    let shared = [AccessMode::ReadWriteMany, AccessMode::ReadOnlyMany];
    let mode = shared.into_iter().find(|mode| spec.access_modes.contains(&Ok(*mode)));
    if let Some(mode) = mode.filter(|_| class.is_local() && !class.is_static()) {
        return Some(format!(
            "it asks for {mode}, and volumes of {provisioner} can be used on one node alone"
        ));
    }
    if spec.volume_mode == VolumeMode::Block && class.is_filesystem_only() {
        return Some(format!("it asks for a block device, and {provisioner} makes none"));
    }
    let source = context.lookup.claim(context.facts.namespace(), spec.copy_of.as_deref()?)?;
    let other = source.spec.class_facts(context.lookup)?;
    (other.provisioner != class.provisioner).then(|| {
        format!(
            "it is a copy of claim {:?} of class {:?}, which another provisioner made",
            source.name, other.name
        )
    })
}

/// The class of the built-in baseline, and of the provisioner that comes with k3s.
const LOCAL_PATH: &str = "local-path";

fn old_class(context: &Context<'_>, at: &FieldPath, field: &FieldPath) -> Option<String> {
    let old = context.review.old?;
    // Templates are compared by place: neither their order nor their number can change.
    old.at(&at.key("spec"))?;
    Some(old.at(field)?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{judge, judge_update, lines};
    use serde_json::{Value, json};

    fn rule() -> Value {
        json!([{"defaultClass": {"name": "local-path", "namespaces": {"db": "fast", "db-*": "slow"}}}])
    }

    fn claim(namespace: &str, spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
               "metadata": {"name": "c", "namespace": namespace}, "spec": spec})
    }

    fn filled(context: &[Value], object: &Value) -> Value {
        serde_json::to_value(judge(rule(), context, object).patch).unwrap()
    }

    #[test]
    fn fills_the_three_states_as_they_mean() {
        let add = |class: &str| json!([{"op": "add", "path": "/spec/storageClassName", "value": class}]);
        assert_eq!(filled(&[], &claim("default", json!({}))), add("local-path"));
        assert_eq!(filled(&[], &claim("db", json!({}))), add("fast"));
        assert_eq!(filled(&[], &claim("db-1", json!({}))), add("slow"));
        assert_eq!(filled(&[], &claim("default", json!({"storageClassName": ""}))), json!([]));
        assert_eq!(filled(&[], &claim("default", json!({"storageClassName": "x"}))), json!([]));
        let mut legacy = claim("default", json!({}));
        legacy["metadata"]["annotations"] = json!({"volume.beta.kubernetes.io/storage-class": "old"});
        assert_eq!(filled(&[], &legacy), json!([]));
    }

    #[test]
    fn fills_in_nothing_beside_a_misspelt_field() {
        for name in ["storageclassname", "storageClass", "storageClassname", "storage_class_name"] {
            assert_eq!(filled(&[], &claim("default", json!({name: "fast"}))), json!([]), "{name}");
        }
        for spec in
            [json!({"storageClassName": null}), json!({"volumeAttributesClassName": null}), json!({"x": 1})]
        {
            assert_eq!(filled(&[], &claim("default", spec))[0]["value"], "local-path");
        }
    }

    #[test]
    fn takes_the_class_of_a_named_volume() {
        let volume = |class: Value| {
            json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"},
                   "spec": {"storageClassName": class}})
        };
        let claim = claim("default", json!({"volumeName": "pv"}));
        assert_eq!(filled(&[volume(json!("slow"))], &claim)[0]["value"], "slow");
        assert_eq!(filled(&[volume(Value::Null)], &claim)[0]["value"], "");
        assert_eq!(filled(&[], &claim), json!([]), "the volume is not known");
    }

    /// Whether the class is filled in, and what is said.
    fn served(context: &[Value], spec: Value) -> (bool, Vec<String>) {
        let verdict = judge(rule(), context, &claim("default", spec));
        (!verdict.patch.0.is_empty(), lines(&verdict))
    }

    fn class(name: &str, provisioner: &str) -> Value {
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, "provisioner": provisioner})
    }

    #[test]
    fn a_class_that_cannot_serve_the_claim_is_not_filled_in() {
        let rancher = [class("local-path", "rancher.io/local-path")];
        let selector = json!({"selector": {"matchLabels": {"a": "b"}}});
        for (context, spec, why) in [
            (&[][..], selector.clone(), "local-path makes no volumes by labels"),
            (&rancher, selector.clone(), "it has a `selector`"),
            (&rancher, json!({"accessModes": ["ReadWriteMany"]}), "it asks for ReadWriteMany"),
            (&rancher, json!({"volumeMode": "Block"}), "it asks for a block device"),
        ] {
            let (filled, said) = served(context, spec.clone());
            assert!(!filled, "{spec}");
            assert!(
                said.len() == 1 && said[0].starts_with("Warn spec: names no class") && said[0].contains(why),
                "{said:?}"
            );
        }
        let network = [class("local-path", "nfs.csi.k8s.io")];
        assert_eq!(served(&network, json!({"accessModes": ["ReadWriteMany"]})), (true, Vec::new()));
        assert_eq!(
            served(&[], json!({"accessModes": ["ReadWriteMany"]})),
            (true, Vec::new()),
            "nothing is known"
        );
        let by_hand = [class("local-path", "kubernetes.io/no-provisioner")];
        assert_eq!(
            served(&by_hand, selector.clone()),
            (true, Vec::new()),
            "an administrator's volumes have labels"
        );
        let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": {"storageClassName": "local-path"}});
        assert_eq!(
            served(&[rancher[0].clone(), volume], selector),
            (true, Vec::new()),
            "so have those of this class"
        );
    }

    #[test]
    fn the_copy_of_another_provisioners_claim_gets_no_class() {
        let source = |class: &str| {
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "source", "namespace": "default"},
                   "spec": {"storageClassName": class}})
        };
        let classes = [
            class("local-path", "a.example.com"),
            class("other", "b.example.com"),
            class("like", "a.example.com"),
        ];
        let copy = json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "source"}});
        let with = |from: &str| served(&[&classes[..], &[source(from)]].concat(), copy.clone());
        let (filled, said) = with("other");
        assert!(!filled && said[0].contains("it is a copy of claim \"source\""), "{said:?}");
        assert_eq!(with("like"), (true, Vec::new()));
        assert_eq!(served(&classes, copy.clone()), (true, Vec::new()), "the claim is not known");
        let populated = json!({"dataSourceRef": {"apiGroup": "volsync.backube", "kind": "ReplicationDestination", "name": "source"}});
        assert_eq!(served(&[&classes[..], &[source("other")]].concat(), populated), (true, Vec::new()));
    }

    #[test]
    fn a_class_whose_volumes_begin_empty_serves_no_copy() {
        let snapshot = json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"});
        let claim = json!({"kind": "PersistentVolumeClaim", "name": "source"});
        let source = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                            "metadata": {"name": "source", "namespace": "default"}, "spec": {"storageClassName": "local-path"}});
        let copies = [
            json!({"dataSource": snapshot.clone()}),
            json!({"dataSourceRef": snapshot}),
            json!({"dataSource": claim.clone()}),
            json!({"dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "source", "namespace": "other"}}),
        ];
        let attributes = json!({"volumeAttributesClassName": "gold"});
        for provisioner in ["local-path.volgate.dev", "rancher.io/local-path"] {
            let context = [class("local-path", provisioner), source.clone()];
            for spec in copies.iter().chain([&attributes]) {
                let (filled, said) = served(&context, spec.clone());
                let why = if spec == &attributes { "have no such attributes" } else { "begin empty" };
                let why = format!("volumes of {provisioner} {why}");
                assert!(!filled && said.len() == 1 && said[0].contains(&why), "{spec}: {said:?}");
            }
            let populated = json!({"dataSourceRef": {"apiGroup": "volsync.backube", "kind": "ReplicationDestination", "name": "r"}});
            assert_eq!(served(&context, populated), (true, Vec::new()), "a populator fills it");
        }
        // Drivers copy, and have attributes.
        let driver = [class("local-path", "ebs.csi.aws.com"), source];
        for spec in copies.iter().chain([&attributes]) {
            assert_eq!(served(&driver, spec.clone()), (true, Vec::new()), "{spec}");
        }
    }

    #[test]
    fn nothing_is_written_beside_a_misspelt_field() {
        for name in
            ["storageclassname", "storageClassname", "storageClass", "storage_class_name", "storageClasName"]
        {
            let (filled, said) = served(&[], json!({name: "fast"}));
            assert!(!filled, "{name}");
            assert!(
                said.len() == 1 && said[0].starts_with(&format!("Warn spec.{name}: no class is filled in")),
                "{said:?}"
            );
        }
        for name in ["volumeName", "resources", "volumeAttributesClassName", "other"] {
            let value = if name == "resources" { json!({}) } else { Value::Null };
            assert!(served(&[], json!({name: value})).0, "{name}");
        }
    }

    #[test]
    fn a_free_volume_without_a_class_is_spoken_of() {
        let volume = |more: Value| {
            let mut spec = json!({"capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce"]});
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"}, "spec": spec})
        };
        let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}});
        let (filled, said) = served(&[volume(json!({}))], spec.clone());
        assert!(
            filled && said[0].starts_with("Audit spec.storageClassName: the free volume \"pv\" would do"),
            "{said:?}"
        );
        for other in [
            json!({"capacity": {"storage": "1Gi"}}),
            json!({"accessModes": ["ReadOnlyMany"]}),
            json!({"claimRef": {"namespace": "a", "name": "b"}}),
            json!({"storageClassName": "local-path"}),
        ] {
            assert_eq!(served(&[volume(other.clone())], spec.clone()), (true, Vec::new()), "{other}");
        }
        let mut wanted = spec;
        wanted["storageClassName"] = json!("");
        assert_eq!(served(&[volume(json!({}))], wanted), (false, Vec::new()), "it gets the volume");
    }

    #[test]
    fn fills_templates_and_ephemeral_volumes() {
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}, "spec": {
            "template": {"spec": {"containers": [], "volumes": [
                {"name": "e", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "a"}, "spec": {}},
                                     {"metadata": {"name": "b"}, "spec": {"storageClassName": ""}}]}});
        let patch = filled(&[], &set);
        assert_eq!(patch[0]["path"], "/spec/volumeClaimTemplates/0/spec/storageClassName");
        assert_eq!(
            patch[1]["path"],
            "/spec/template/spec/volumes/0/ephemeral/volumeClaimTemplate/spec/storageClassName"
        );
        assert_eq!(patch.as_array().unwrap().len(), 2);
    }

    #[test]
    fn carries_the_old_class_over_on_an_update() {
        let patch = |old: Value| {
            let verdict = judge_update(rule(), &[], &claim("default", old), &claim("default", json!({})));
            serde_json::to_value(verdict.patch).unwrap()
        };
        assert_eq!(patch(json!({"storageClassName": "fast"}))[0]["value"], "fast");
        assert_eq!(patch(json!({"storageClassName": ""}))[0]["value"], "");
        assert_eq!(patch(json!({})), json!([]), "what was stored without a class stays so");
    }
}
