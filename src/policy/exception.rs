//! Exceptions: who is excused from which rules, why and until when.

use super::faults::{match_faults, rule_faults};
use super::matches::Holds;
use super::schema::{Exception, Match};
use crate::model::FieldPath;
use crate::rule::{PolicyFault, Subjects, Trust};
use jiff::civil::Date;

/// An exception that is ready to be applied.
#[derive(Debug, Clone)]
pub struct CompiledException {
    subjects: Match,
    rules: Vec<String>,
    pub(super) reason: String,
    pub(super) until: Option<Date>,
}

impl CompiledException {
    pub(super) fn compile(exception: &Exception, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Self {
        let subjects = Match {
            namespaces: exception.namespaces.clone(),
            namespace_selector: exception.namespace_selector.clone(),
            object_selector: exception.object_selector.clone(),
            users: exception.users.clone(),
            kinds: exception.kinds.clone(),
            // Nobody else is excused with a pod.
            kinds_only: false,
        };
        if subjects == Match::default() {
            faults.push(PolicyFault::new(
                at.clone(),
                "excuses everything: say whom by objectSelector, namespaceSelector, namespaces, users or kinds, or take the \
                 rule out of the policy",
            ));
        }
        match_faults(&subjects, at, faults);
        rule_faults(&exception.rules, &at.key("rules"), faults);
        if exception.reason.trim().is_empty() {
            faults.push(PolicyFault::new(
                at.key("reason"),
                "say in a few words why: it stands in the audit log",
            ));
        }
        let until = exception.until.as_ref().and_then(|until| match until.parse::<Date>() {
            Ok(date) => Some(date),
            Err(_) => {
                let message = format!("{until:?} is not a day: write it like 2027-03-31");
                faults.push(PolicyFault::new(at.key("until"), message));
                None
            }
        });
        Self { subjects, rules: exception.rules.clone(), reason: exception.reason.trim().to_owned(), until }
    }

    /// Whom it excuses.
    pub(super) fn subjects(&self) -> &Match {
        &self.subjects
    }

    /// Why it is there.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether it excuses an object today, from whatever rules.
    pub fn is_about(&self, subjects: &Subjects<'_>, today: Date) -> bool {
        self.until.is_none_or(|until| today <= until)
            && self.subjects.holds(subjects, Trust::Proven, false) == Holds::Yes
    }

    /// Whether it excuses from a rule today.
    pub(super) fn excuses(&self, subjects: &Subjects<'_>, rule: &str, today: Date, trust: Trust) -> Holds {
        if self.until.is_none_or(|until| today <= until) {
            self.covers(subjects, rule, trust)
        } else {
            Holds::No
        }
    }

    /// Whether it would excuse, had it not ended.
    pub(super) fn excused_once(&self, subjects: &Subjects<'_>, rule: &str, today: Date) -> bool {
        self.until.is_some_and(|until| until < today)
            && self.covers(subjects, rule, Trust::Proven) == Holds::Yes
    }

    fn covers(&self, subjects: &Subjects<'_>, rule: &str, trust: Trust) -> Holds {
        if self.rules.is_empty() || self.rules.iter().any(|id| id == rule) {
            self.subjects.holds(subjects, trust, false)
        } else {
            Holds::No
        }
    }
}
