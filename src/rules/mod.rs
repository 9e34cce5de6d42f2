//! One file a rule: what it is, its parameters, its check, its patch, its manual page as doc comment, its tests.

use crate::engine::Context;
use crate::model::{FieldPath, beginning};
use crate::patch::PatchBuilder;
use crate::policy::PolicyFault;
use crate::verdict::{Action, Finding};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

pub(crate) use cel::Shared as CelShared;

/// A rule with its parameters, ready to be applied. Both sides do nothing unless a rule says otherwise.
pub trait Rule: Debug + Send + Sync + Any {
    /// Changes the object. Must do nothing to an object that is already as wanted.
    fn mutate(&self, _context: &Context<'_>, _patch: &mut PatchBuilder<'_>) {}

    /// Tells what is wrong with the object.
    fn check(&self, _context: &Context<'_>, _findings: &mut Drafts<'_>) {}

    /// Whether its verdict on a workload of that kind depends on `spec.replicas`. Then it is asked when one is scaled, too.
    fn reads_replicas(&self, _kind: &str) -> bool {
        false
    }

    /// Tells what is wrong with a workload that is scaled up. No more is known of it than its
    /// [`Outline`](crate::facts::Outline), its labels and its owner; all findings are about `spec.replicas`.
    fn check_scale(&self, context: &Context<'_>, findings: &mut Drafts<'_>) {
        self.check(context, findings);
    }

    /// Why this rule and the same rule of another policy for the same objects cannot both be satisfied.
    fn contradicts(&self, _other: &dyn Any) -> Option<String> {
        None
    }

    /// Whether it reads [`Review::request`](crate::engine::Review::request), which is otherwise left undecoded.
    fn reads_request(&self) -> bool {
        false
    }

    /// For [`Rule::contradicts`].
    fn as_any(&self) -> &dyn Any;
}

/// The parameters of a rule as a policy has them. The doc comment of the type is the rule's manual page.
pub trait Params: JsonSchema {
    /// The rule's id, such as `durable-data`.
    const ID: &'static str;
    /// The field of a policy's rule, such as `durableData`.
    const FIELD: &'static str;

    /// Checks what a schema cannot, tells the faults of the parameters that stand at `at`, and makes the rule.
    fn compile(&self, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule>;
}

/// A finding before the engine puts rule, action and policy to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The field that earned it.
    pub field: FieldPath,
    /// What is wrong and why it matters.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Other fields that explain it.
    pub related: Vec<(FieldPath, String)>,
    /// The strictest action that it may lead to, where it is less than an error.
    pub at_most: Option<Action>,
}

impl Draft {
    /// The most bytes of a text of it: an object's author chooses how long its names are.
    pub const MOST_BYTES: usize = 2_000;
    /// The most fields that explain it.
    pub const MOST_RELATED: usize = 16;

    /// A finding at that field.
    pub fn new(field: FieldPath, message: impl Into<String>) -> Self {
        Self { field, message: cut(message.into()), help: None, related: Vec::new(), at_most: None }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(cut(help.into()));
        self
    }

    /// Says one thing more of what to do about it.
    #[must_use]
    pub(crate) fn and_help(mut self, more: Option<String>) -> Self {
        self.help = match (self.help.take(), more) {
            (Some(help), Some(more)) => Some(format!("{help}; {more}")),
            (help, more) => help.or(more),
        };
        self
    }

    /// Points to another field that explains it, unless there are very many already.
    #[must_use]
    pub fn related(mut self, field: FieldPath, note: impl Into<String>) -> Self {
        if self.related.len() < Self::MOST_RELATED {
            self.related.push((field, cut(note.into())));
        }
        self
    }

    /// Keeps it from leading to more than that action, or than what was said before if that is less.
    #[must_use]
    pub fn at_most(mut self, action: Action) -> Self {
        self.at_most = Some(self.at_most.map_or(action, |most| most.min(action)));
        self
    }

    /// The strictest action that it may lead to.
    fn strictest(&self) -> Action {
        self.at_most.unwrap_or(Action::Deny)
    }

    pub(crate) fn into_finding(
        self,
        rule: &'static str,
        action: Action,
        policy: &str,
        excused: Option<String>,
    ) -> Finding {
        let Self { field, message, help, related, at_most: _ } = self;
        Finding { rule, action, policy: policy.to_owned(), message, help, field, related, excused }
    }
}

/// The text, or its beginning and an ellipsis.
fn cut(mut text: String) -> String {
    let kept = beginning(&text, Draft::MOST_BYTES).len();
    if kept < text.len() {
        text.truncate(kept);
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

/// What one rule finds in one object: of very many findings the strictest, and how many more there are.
pub struct Drafts<'s> {
    /// Whether a finding is up for judgement.
    admits: &'s dyn Fn(&Draft) -> bool,
    kept: Vec<Draft>,
    seen: usize,
    left_out: usize,
    /// Where the first of those stands.
    first_left_out: Option<FieldPath>,
    /// The strictest action that one of those may lead to.
    strictest_left_out: Action,
    /// Whether each that is kept may lead to a denial, so that none makes room any more.
    all_strict: bool,
    /// The one field that all findings are about, if they are.
    field: Option<FieldPath>,
}

impl<'s> Drafts<'s> {
    /// The most findings of one rule that are told of one object. No object that a person wrote has as many.
    pub const MOST: usize = 100;

    /// None yet; only those count that are admitted.
    pub fn new(admits: &'s dyn Fn(&Draft) -> bool) -> Self {
        Self {
            admits,
            kept: Vec::new(),
            seen: 0,
            left_out: 0,
            first_left_out: None,
            strictest_left_out: Action::Audit,
            all_strict: false,
            field: None,
        }
    }

    /// From now on all findings are about that field, whatever fields they name.
    pub(crate) fn all_at(&mut self, field: &FieldPath) {
        self.field = Some(field.clone());
    }

    /// What was found so far leads to no more than that.
    pub(crate) fn at_most(&mut self, most: Action) {
        for draft in &mut self.kept {
            draft.at_most = Some(draft.strictest().min(most));
        }
        self.strictest_left_out = self.strictest_left_out.min(most);
        self.all_strict = false;
    }

    /// Adds a finding. Where there are too many, one that can lead to less makes room.
    pub fn push(&mut self, mut draft: Draft) {
        self.seen += 1;
        if let Some(field) = &self.field {
            draft.field = field.clone();
            draft.related.clear();
        }
        if !(self.admits)(&draft) {
            return;
        }
        if self.kept.len() < Self::MOST {
            self.kept.push(draft);
            return;
        }
        self.left_out += 1;
        let left_out = match self.weakest() {
            Some(weakest) if weakest.strictest() < draft.strictest() => std::mem::replace(weakest, draft),
            _ => draft,
        };
        self.strictest_left_out = self.strictest_left_out.max(left_out.strictest());
        self.first_left_out.get_or_insert(left_out.field);
    }

    /// The last of those that can lead to the least, unless all that are kept can lead to everything.
    fn weakest(&mut self) -> Option<&mut Draft> {
        if self.all_strict {
            return None;
        }
        self.all_strict = self.kept.iter().all(|kept| kept.strictest() == Action::Deny);
        self.kept.iter_mut().rev().min_by_key(|kept| kept.strictest())
    }

    /// How many findings were added so far, whatever became of them.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// The findings, with one that says how many more there are.
    pub(crate) fn finish(self) -> Vec<Draft> {
        let mut all = self.kept;
        if let Some(field) = self.first_left_out {
            let message = format!(
                "{} more findings of this rule in this object: only the first {} are told",
                self.left_out,
                Self::MOST
            );
            all.push(Draft::new(field, message).at_most(self.strictest_left_out));
        }
        all
    }
}

impl Extend<Draft> for Drafts<'_> {
    fn extend<I: IntoIterator<Item = Draft>>(&mut self, drafts: I) {
        drafts.into_iter().for_each(|draft| self.push(draft));
    }
}

/// What is known of a rule without its parameters.
#[derive(Debug, Clone, Copy)]
pub struct RuleInfo {
    /// Its id.
    pub id: &'static str,
    /// Its field in a policy.
    pub field: &'static str,
    /// The JSON Schema of its parameters, whose description is its manual page.
    pub schema: fn() -> schemars::Schema,
}

mod support;

macro_rules! registry {
    ($($module:ident),* $(,)?) => {
        $(mod $module;)*

        /// One rule of a policy: exactly one of the fields that name rules, and its own action if it has one.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct RuleEntry {
            /// What a finding of this rule leads to, in place of the policy's action.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub action: Option<Action>,
            $(
                #[allow(missing_docs)] // the parameters' own doc comment is the schema's description
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $module: Option<$module::Params>,
            )*
        }

        /// All rules, in the order of the registry.
        pub fn all() -> &'static [RuleInfo] {
            &[$(RuleInfo {
                id: <$module::Params as Params>::ID,
                field: <$module::Params as Params>::FIELD,
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
                let (id, field) = (<$module::Params as Params>::ID, <$module::Params as Params>::FIELD);
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
    claim_class,
    claim_size,
    access_modes,
    volume_mode,
    reclaim_policy,
    binding_mode,
    shared_writer,
    dangling,
    cel,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(n: usize, most: Action) -> Draft {
        Draft::new(FieldPath::root().key("spec").index(n), format!("finding {n}")).at_most(most)
    }

    #[test]
    fn of_very_many_findings_the_strictest_are_kept() {
        let admits = |draft: &Draft| !draft.message.ends_with('7');
        let mut drafts = Drafts::new(&admits);
        drafts.extend((0..1_000).map(|n| draft(n, if n < 600 { Action::Warn } else { Action::Audit })));
        drafts.extend((1_000..1_020).map(|n| draft(n, Action::Deny)));
        assert_eq!(drafts.seen(), 1_020);
        let kept = drafts.finish();
        assert_eq!(kept.len(), Drafts::MOST + 1);
        let denials = kept.iter().filter(|draft| draft.at_most == Some(Action::Deny)).count();
        assert_eq!(
            denials, 18,
            "those that came last are told, but for the two that are not up for judgement"
        );
        assert_eq!(
            kept[Drafts::MOST].message,
            "818 more findings of this rule in this object: only the first 100 are told"
        );
        assert_eq!(
            kept[Drafts::MOST].at_most,
            Some(Action::Warn),
            "the strictest of those that are left out"
        );
    }

    #[test]
    fn as_many_findings_as_are_told_have_no_last_line() {
        let mut drafts = Drafts::new(&|_| true);
        drafts.extend((0..Drafts::MOST).map(|n| draft(n, Action::Deny)));
        assert_eq!(drafts.finish().len(), Drafts::MOST);
    }

    #[test]
    fn texts_and_related_fields_are_bounded() {
        let long = "ä".repeat(Draft::MOST_BYTES);
        let field = FieldPath::root();
        let mut draft = Draft::new(field.clone(), long.clone()).help(long.clone());
        for _ in 0..50 {
            draft = draft.related(field.clone(), long.clone());
        }
        let texts = [Some(&draft.message), draft.help.as_ref(), draft.related.first().map(|(_, note)| note)];
        for text in texts.into_iter().flatten() {
            assert!(
                text.len() <= Draft::MOST_BYTES + '…'.len_utf8() && text.ends_with("ä…"),
                "{}",
                text.len()
            );
        }
        assert_eq!(draft.related.len(), Draft::MOST_RELATED);
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! What the rules' own tests need: a policy as JSON, objects as JSON, and the verdict.

    use crate::engine::{Engine, Review, Scale};
    use crate::facts::{Facts, OwnerFacts};
    use crate::lookup::MapLookup;
    use crate::model::Operation;
    use crate::policy::{PolicyFault, PolicySet, load};
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

    /// The faults of a policy that holds just these rules, as text.
    pub(crate) fn faults(rules: Value) -> Vec<String> {
        policy(rules).err().unwrap_or_default().iter().map(ToString::to_string).collect()
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
            lookup.add(&Facts::read(object, None).unwrap());
        }
        let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
        let verdict = engine.judge(review).unwrap();
        let mut patched = review.object.to_value();
        json_patch::patch(&mut patched, &verdict.patch).unwrap();
        let again = engine.judge(&Review { object: (&patched).into(), ..*review }).unwrap();
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
        let scale = Scale { api_version, kind, namespace, name: &id.name, uid: "", from, to };
        Verdict { findings: engine.validate_scale(&scale, None).unwrap(), ..Verdict::default() }
    }

    /// The findings as `action field: message`.
    pub(crate) fn lines(verdict: &Verdict) -> Vec<String> {
        verdict.findings.iter().map(|f| format!("{} {}: {}", f.action, f.field, f.message)).collect()
    }
}
