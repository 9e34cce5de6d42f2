//! The `cel` rules of a policy.

use super::parts::{Kinds, POD_META, POD_SPEC, Validation, Written};
use crate::cel::names;

/// What a `cel` rule asks.
pub(super) struct Question<'p> {
    pub(super) name: &'p str,
    pub(super) expression: &'p str,
    pub(super) message: Option<&'p str>,
    pub(super) message_expression: Option<&'p str>,
    pub(super) kinds: &'p [String],
    pub(super) when: Option<&'p str>,
    pub(super) variables: &'p [(&'p str, &'p str)],
}

/// The variables that volgate's expressions have and Kubernetes' do not, which are written as variables of the policy.
const OWN: [(&str, &str); 2] = [("podSpec", POD_SPEC), ("podMeta", POD_META)];

/// The question as it is, with what only volgate knows by name written out.
pub(super) fn cel(question: &Question<'_>) -> Result<Written, String> {
    let all = [Some(question.expression), question.message_expression, question.when].into_iter().flatten();
    let all: Vec<&str> = all.chain(question.variables.iter().map(|(_, expression)| *expression)).collect();
    let mut read = Vec::new();
    for text in &all {
        read.extend(names(text).ok_or("its expression cannot be read")?.into_iter().map(|(_, name)| name));
    }
    let reads = |name: &str| read.iter().any(|known| known == name);
    if reads("facts") {
        return Err("it reads `facts`, what volgate knows of the object's storage".to_owned());
    }
    if question.variables.iter().any(|(name, _)| OWN.iter().any(|(own, _)| own == name)) {
        return Err("one of its variables is called `podSpec` or `podMeta`".to_owned());
    }
    let as_it_stands = reads("object") || reads("oldObject") || !(reads("podSpec") || reads("podMeta"));
    let kinds = match as_it_stands {
        true => Kinds { pods: true, claims: true, volumes: true, classes: true, ..Kinds::default() },
        false => Kinds { pods: true, ..Kinds::default() },
    };
    let mut written = Written { only: question.kinds.to_vec(), as_it_stands, ..Written::about(kinds) };
    for (name, expression) in OWN.into_iter().filter(|(name, _)| reads(name)) {
        written = written.variable(name, expression);
    }
    for (name, expression) in question.variables {
        written = written.variable(name, renamed(expression));
    }
    let expression = match question.when {
        Some(when) => format!("!({}) || ({})", renamed(when), renamed(question.expression)),
        None => renamed(question.expression),
    };
    let message = match question.message {
        Some(message) => message.to_owned(),
        None => format!("{} is not true", question.name),
    };
    written.validations.push(Validation {
        expression,
        message,
        message_expression: question.message_expression.map(renamed),
    });
    Ok(written)
}

/// The expression with the names of volgate's own variables as those of the policy.
fn renamed(text: &str) -> String {
    let mut renamed = String::new();
    let mut copied = 0;
    for (at, name) in names(text).unwrap_or_default() {
        if OWN.iter().any(|(own, _)| *own == name) {
            renamed.push_str(text.get(copied..at).unwrap_or_default());
            renamed.push_str("variables.");
            copied = at;
        }
    }
    renamed.push_str(text.get(copied..).unwrap_or_default());
    renamed
}
