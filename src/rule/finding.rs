//! What a rule finds, before the engine puts rule, action and policy to it.

use crate::model::{FieldPath, beginning};
use crate::verdict::{Action, Finding, LostData};

/// A finding before the engine puts rule, action and policy to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFinding {
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
    /// What its question is called, where the rule asks several.
    pub name: Option<String>,
    /// The data that would be lost, where a volume at its directory would keep it.
    pub lost: Option<Box<LostData>>,
}

impl NewFinding {
    /// The most bytes of a text of it: an object's author chooses how long its names are.
    pub const MOST_BYTES: usize = 2_000;
    /// The most fields that explain it.
    pub const MOST_RELATED: usize = 16;

    /// A finding at that field.
    pub fn new(field: FieldPath, message: impl Into<String>) -> Self {
        Self {
            field,
            message: cut(message.into()),
            help: None,
            related: Vec::new(),
            at_most: None,
            name: None,
            lost: None,
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(cut(help.into()));
        self
    }

    /// Says what its question is called.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Says which data would be lost.
    #[must_use]
    pub(crate) fn losing(mut self, lost: LostData) -> Self {
        self.lost = Some(Box::new(lost));
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

    /// Puts what the policy's author says before the finding's own words.
    #[must_use]
    pub(crate) fn told_as(self, message: Option<&str>) -> Self {
        match message {
            Some(message) => Self { message: cut(format!("{message} ({})", self.message)), ..self },
            None => self,
        }
    }

    pub(crate) fn into_finding(
        self,
        rule: &'static str,
        action: Action,
        policy: &str,
        excused: Option<String>,
    ) -> Finding {
        let Self { field, message, help, related, at_most: _, name, lost } = self;
        Finding {
            rule,
            action,
            policy: policy.to_owned(),
            name,
            message,
            help,
            field,
            related,
            excused,
            lost,
        }
    }
}

/// The text, or its beginning and an ellipsis.
fn cut(mut text: String) -> String {
    let kept = beginning(&text, NewFinding::MOST_BYTES).len();
    if kept < text.len() {
        text.truncate(kept);
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

/// What one rule finds in one object: of very many findings the strictest, and how many more there are.
pub struct NewFindings<'s> {
    /// Whether a finding is up for judgement.
    admits: &'s dyn Fn(&NewFinding) -> bool,
    /// How many are kept.
    most: usize,
    kept: Vec<NewFinding>,
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

impl<'s> NewFindings<'s> {
    /// The most findings of one rule that are told of one object. No object that a person wrote has as many.
    pub const MOST: usize = 100;

    /// None yet; only those count that are admitted.
    pub fn new(admits: &'s dyn Fn(&NewFinding) -> bool) -> Self {
        Self::within(Self::MOST, admits)
    }

    /// The same for a part of an object, of whose allowance so many are left.
    pub(crate) fn within(most: usize, admits: &'s dyn Fn(&NewFinding) -> bool) -> Self {
        Self {
            admits,
            most,
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
        for new_finding in &mut self.kept {
            new_finding.at_most = Some(new_finding.strictest().min(most));
        }
        self.strictest_left_out = self.strictest_left_out.min(most);
        self.all_strict = false;
    }

    /// Adds a finding. Where there are too many, one that can lead to less makes room.
    pub fn push(&mut self, mut new_finding: NewFinding) {
        self.seen += 1;
        if let Some(field) = &self.field {
            new_finding.field = field.clone();
            new_finding.related.clear();
        }
        if !(self.admits)(&new_finding) {
            return;
        }
        if self.kept.len() < self.most {
            self.kept.push(new_finding);
            return;
        }
        self.left_out += 1;
        let left_out = match self.weakest() {
            Some(weakest) if weakest.strictest() < new_finding.strictest() => {
                std::mem::replace(weakest, new_finding)
            }
            _ => new_finding,
        };
        self.strictest_left_out = self.strictest_left_out.max(left_out.strictest());
        self.first_left_out.get_or_insert(left_out.field);
    }

    /// The last of those that can lead to the least, unless all that are kept can lead to everything.
    fn weakest(&mut self) -> Option<&mut NewFinding> {
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
    pub(crate) fn finish(self) -> Vec<NewFinding> {
        let mut all = self.kept;
        if let Some(field) = self.first_left_out {
            let message = format!(
                "{} more findings of this rule in this object: only the first {} are told",
                self.left_out,
                Self::MOST
            );
            all.push(NewFinding::new(field, message).at_most(self.strictest_left_out));
        }
        all
    }
}

impl Extend<NewFinding> for NewFindings<'_> {
    fn extend<I: IntoIterator<Item = NewFinding>>(&mut self, new_findings: I) {
        new_findings.into_iter().for_each(|new_finding| self.push(new_finding));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_finding(n: usize, most: Action) -> NewFinding {
        NewFinding::new(FieldPath::root().key("spec").index(n), format!("finding {n}")).at_most(most)
    }

    #[test]
    fn of_very_many_findings_the_strictest_are_kept() {
        let admits = |new_finding: &NewFinding| !new_finding.message.ends_with('7');
        let mut new_findings = NewFindings::new(&admits);
        new_findings
            .extend((0..1_000).map(|n| new_finding(n, if n < 600 { Action::Warn } else { Action::Audit })));
        new_findings.extend((1_000..1_020).map(|n| new_finding(n, Action::Deny)));
        assert_eq!(new_findings.seen(), 1_020);
        let kept = new_findings.finish();
        assert_eq!(kept.len(), NewFindings::MOST + 1);
        let denials = kept.iter().filter(|new_finding| new_finding.at_most == Some(Action::Deny)).count();
        assert_eq!(
            denials, 18,
            "those that came last are told, but for the two that are not up for judgement"
        );
        assert_eq!(
            kept[NewFindings::MOST].message,
            "818 more findings of this rule in this object: only the first 100 are told"
        );
        assert_eq!(
            kept[NewFindings::MOST].at_most,
            Some(Action::Warn),
            "the strictest of those that are left out"
        );
    }

    #[test]
    fn as_many_findings_as_are_told_have_no_last_line() {
        let mut new_findings = NewFindings::new(&|_| true);
        new_findings.extend((0..NewFindings::MOST).map(|n| new_finding(n, Action::Deny)));
        assert_eq!(new_findings.finish().len(), NewFindings::MOST);
    }

    #[test]
    fn texts_and_related_fields_are_bounded() {
        let long = "ä".repeat(NewFinding::MOST_BYTES);
        let field = FieldPath::root();
        let mut new_finding = NewFinding::new(field.clone(), long.clone()).help(long.clone());
        for _ in 0..50 {
            new_finding = new_finding.related(field.clone(), long.clone());
        }
        let texts = [
            Some(&new_finding.message),
            new_finding.help.as_ref(),
            new_finding.related.first().map(|(_, note)| note),
        ];
        for text in texts.into_iter().flatten() {
            assert!(
                text.len() <= NewFinding::MOST_BYTES + '…'.len_utf8() && text.ends_with("ä…"),
                "{}",
                text.len()
            );
        }
        assert_eq!(new_finding.related.len(), NewFinding::MOST_RELATED);
    }
}
