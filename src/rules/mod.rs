//! One file a rule: what it is, its parameters, its check, its patch, its manual page as doc comment, its tests.

mod access_modes;
mod binding_mode;
mod cel;
mod claim_class;
mod claim_size;
mod dangling;
mod default_class;
mod durable_data;
mod empty_dir;
mod ephemeral_storage;
mod host_path;
mod pin_to_volume;
mod reclaim_policy;
mod shared_writer;
mod storage_class;
mod support;
mod volume_mode;
mod volume_reachable;
mod volume_types;

use crate::model::FieldPath;
use crate::rule::{PolicyFault, Rule, RuleInfo, RuleKind};
use crate::verdict::Action;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

macro_rules! registry {
    ($($module:ident),* $(,)?) => {
        /// One rule of a policy: exactly one of the fields that name rules, and its own action if it has one.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct RuleEntry {
            /// What a finding of this rule leads to, in place of the policy's action.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub action: Option<Action>,
            /// A message for users. The finding's own text follows in brackets. A `cel` rule has a `message` of its
            /// own.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(min = 1, max = 500))]
            pub message: Option<String>,
            $(
                #[allow(missing_docs)] // the parameters' own doc comment is the schema's description
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $module: Option<$module::Params>,
            )*
        }

        /// All rules, in the order of the registry.
        pub fn all() -> &'static [RuleInfo] {
            &[$(RuleInfo {
                id: <$module::Params as RuleKind>::ID,
                field: <$module::Params as RuleKind>::FIELD,
                reads_beyond: <$module::Params as RuleKind>::READS_BEYOND,
                schema: || schemars::schema_for!($module::Params),
            }),*]
        }

        /// Compiles the one rule of an entry that stands at `at`.
        pub(crate) fn compile(
            entry: &RuleEntry,
            at: &FieldPath,
            faults: &mut Vec<PolicyFault>,
        ) -> Option<(&'static str, Arc<dyn Rule>)> {
            let mut given: Vec<(&'static str, &'static str, Arc<dyn Rule>)> = Vec::new();
            $(if let Some(params) = &entry.$module {
                let (id, field) = (<$module::Params as RuleKind>::ID, <$module::Params as RuleKind>::FIELD);
                given.push((id, field, params.compile(&at.key(field), faults)));
            })*
            if given.len() > 1 {
                let names: Vec<&str> = given.iter().map(|(_, field, _)| *field).collect();
                let message = format!("one entry holds one rule, and here are {}: give each its own `-`", names.join(" and "));
                faults.push(PolicyFault::new(at.clone(), message));
            }
            if given.is_empty() {
                let names: Vec<&str> = all().iter().map(|rule| rule.field).collect();
                let message = format!("names no rule: write one of {}", names.join(", "));
                faults.push(PolicyFault::new(at.clone(), message));
            }
            if entry.message.is_some() && entry.cel.is_some() {
                let message = "a `cel` rule has its own `message`: write it beside `expression`";
                faults.push(PolicyFault::new(at.key("message"), message));
            }
            given.into_iter().next().map(|(id, _, rule)| (id, rule))
        }
    };
}

registry! {
    default_class,
    durable_data,
    pin_to_volume,
    volume_reachable,
    host_path,
    volume_types,
    empty_dir,
    ephemeral_storage,
    claim_class,
    claim_size,
    access_modes,
    volume_mode,
    reclaim_policy,
    binding_mode,
    storage_class,
    shared_writer,
    dangling,
    cel,
}

#[cfg(test)]
pub(crate) mod testing {
    //! What the rules' own tests need: a policy as JSON, objects as JSON, and the verdict.

    use crate::engine::Engine;
    use crate::facts::{Facts, OwnerFacts};
    use crate::lookup::MapLookup;
    use crate::model::Operation;
    use crate::policy::{PolicySet, load};
    use crate::rule::{PolicyFault, Review, Scale};
    use crate::verdict::Verdict;
    use serde_json::{Value, json};

    /// A policy that holds just these rules (`[{"hostPath": {…}}]`), with action Deny.
    pub(crate) fn policy(rules: Value) -> Result<PolicySet, Vec<PolicyFault>> {
        let policy = json!({
            "apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy",
            "metadata": {"name": "test"}, "spec": {"rules": rules}
        });
        Ok(PolicySet::build(vec![load(&policy)?]).unwrap())
    }

    /// The faults of a policy that holds just these rules, as text, those with which it is applied among them.
    pub(crate) fn faults(rules: Value) -> Vec<String> {
        let faults = match policy(rules) {
            Ok(set) => set.policies().iter().flat_map(|policy| policy.notices().to_vec()).collect(),
            Err(faults) => faults,
        };
        faults.iter().map(ToString::to_string).collect()
    }

    /// The verdict on a new object, where `context` is what the cluster holds. Its patch applied once more must
    /// change nothing.
    pub(crate) fn judge(rules: Value, context: &[Value], object: &Value) -> Verdict {
        judge_review(rules, context, &Review::create(object))
    }

    /// The verdict on an update.
    pub(crate) fn judge_update(rules: Value, context: &[Value], old: &Value, object: &Value) -> Verdict {
        judge_review(
            rules,
            context,
            &Review { operation: Operation::Update, old: Some(old.into()), ..Review::create(object) },
        )
    }

    /// The verdict on any review.
    pub(crate) fn judge_review(rules: Value, context: &[Value], review: &Review<'_>) -> Verdict {
        let policies = policy(rules).unwrap();
        let mut lookup = MapLookup::default();
        lookup.set_complete();
        for object in context {
            let parts = Facts::read_all(object, None, policies.catalog().kinds()).unwrap();
            parts.looked_up().into_iter().for_each(|facts| lookup.add(facts));
        }
        let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
        let verdict = engine.mutate_and_check(review).unwrap();
        let mut patched = review.object.to_value();
        json_patch::patch(&mut patched, &verdict.patch).unwrap();
        let again = engine.mutate_and_check(&Review { object: (&patched).into(), ..*review }).unwrap();
        assert_eq!(again.patch.0, [], "a second application must be empty");
        assert_eq!(again.findings, verdict.findings, "the patched object must be judged the same");
        verdict
    }

    /// The findings when that workload, which the caches have read whole, is scaled to so many replicas.
    pub(crate) fn judge_scale(rules: Value, context: &[Value], workload: &Value, to: i64) -> Verdict {
        let policies = policy(rules).unwrap();
        let mut lookup = MapLookup::default();
        for object in context {
            lookup.add(&Facts::read(object, None).unwrap());
        }
        let id = Facts::identify(workload, None);
        lookup.add_owner(OwnerFacts::read_whole(workload.into(), &id).unwrap());
        let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
        let kinds = ["Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"];
        let kind = kinds.into_iter().find(|kind| workload["kind"] == *kind).unwrap();
        let api_version = if kind == "ReplicationController" { "v1" } else { "apps/v1" };
        let namespace = id.namespace.as_deref().unwrap();
        let from = workload["spec"]["replicas"].as_i64().unwrap_or(1);
        let scale =
            Scale { api_version, kind, namespace, name: &id.name, uid: "", from, to, requester: None };
        Verdict { findings: engine.check_scale(&scale, None).unwrap(), ..Verdict::default() }
    }

    /// The findings as `action field: message`.
    pub(crate) fn lines(verdict: &Verdict) -> Vec<String> {
        verdict.findings.iter().map(|f| format!("{} {}: {}", f.action, f.field, f.message)).collect()
    }
}
