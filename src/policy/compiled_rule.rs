use crate::facts::{Facts, Subject};
use crate::model::FieldPath;
use crate::rule::{Reads, Rule};
use crate::verdict::Action;
use std::sync::Arc;

/// A rule with its action.
#[derive(Debug, Clone)]
pub struct CompiledRule {
    /// Its id.
    pub id: &'static str,
    /// What a finding of it leads to.
    pub action: Action,
    /// What the policy's author says to a finding of it.
    pub message: Option<String>,
    /// The rule.
    pub rule: Arc<dyn Rule>,
    /// Where it stands in its policy.
    pub field: FieldPath,
}

impl CompiledRule {
    /// Whether it can find something in an object of that kind.
    pub fn reads(&self, facts: &Facts<'_>) -> bool {
        if !self.rule.asks_about(&facts.id.kind) {
            return false;
        }
        let reads = match &facts.subject {
            Subject::Workload(_) => Reads::Pods,
            Subject::Claim(_) => Reads::Claims,
            Subject::Volume(_) => Reads::Volumes,
            Subject::Class(_) => Reads::Classes,
            _ => return self.rule.reads_any_kind(),
        };
        self.rule.reads_any_kind() || self.rule.reads().contains(&reads)
    }
}
