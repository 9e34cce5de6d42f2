use super::{Draft, Rule};
use crate::engine::Context;
use crate::model::FieldPath;
use crate::policy::{PolicyFault, kind_faults};
use crate::verdict::Action;
use kube_cel::cel::{Context as CelContext, IdedExpr, Value};
use library::{LIBRARY, RUN, Run};
use program::{Kind, Known, Program, why};
use reads::OfScaled;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

mod library;
mod limits;
mod pattern;
mod program;
mod reads;
mod values;

/// Asks what an expression in CEL says, with the functions that Kubernetes has in its admission policies.
///
/// The expression must come to `true`; `false` is a finding at `field`. So is an expression that fails, because a
/// question that cannot be answered is no "yes": guard what may be absent with `has(…)` or `.?field.orValue(…)`, and
/// narrow the rule with `kinds` or `when`. It sees
///
/// - `object`, and `oldObject`, which is null for a new object;
/// - `request` with `operation`, `kind` (group, version, kind), `namespace`, `name` and, in a subresource,
///   `subResource`. A live request has `resource`, `userInfo`, `dryRun`, `options`, `requestKind` and
///   `requestResource` as well; `check` does not know them, so ask with `has(request.userInfo)` first. For `check`
///   every manifest is a CREATE;
/// - `namespaceObject` with `metadata.name`, `.labels` and `.annotations`; null for objects without a namespace;
/// - `variables.<name>`, each of which is evaluated when it is first needed;
/// - `facts`, what volgate knows of the object's storage:
///   - `kind`; `stateful`: whether a StatefulSet owns it or the catalog says that a container keeps data;
///   - `containers`: `name`, `image`, `section` (containers, initContainers, ephemeralContainers), `stateful`, and
///     `product` where the catalog knows the image;
///   - `paths`: `container`, `path`, `volume` (the pod volume's name; empty for the image's writable layer, whose path
///     is `/`), `durability` (container, memory, pod, node, claim, volume; or unknown, when it is something from
///     `least` to `most`), `least`, `most`, `reach` (any-node, some-nodes, unknown), `readOnly`, and `data`: whether
///     data lies there, by the catalog or because it is a StatefulSet's;
///   - `claims`, those that the object is or makes: `field`, `modes`, `mode` (Filesystem or Block), and where they are
///     given `name`, `class`, `size` and, as a number, `bytes`.
///
/// An expression has at most 4096 bytes, 24 levels of nesting and 3 loops inside each other. On one object a rule takes
/// at most 250,000 steps; what takes more is a finding. A round of a loop takes 8 steps and 2 for each part of its body, a
/// value that a function is called with 1, a text 1 for each 16 bytes, a map 12 and 6 for each entry. A regular
/// expression is compiled once, to 256 KiB at most, and what it looks at takes the more steps the larger it is. On an
/// update, Kubernetes' own limits stand: a claim is judged again for its size and its VolumeAttributesClass, so that only
/// findings beneath `spec.resources` and `spec.volumeAttributesClassName` count, and an ephemeral container for those
/// beneath `spec.ephemeralContainers`.
///
/// A rule that reads `object.spec.replicas` is asked as well when a workload is scaled up by its `scale` subresource
/// (`kubectl scale`, a HorizontalPodAutoscaler). Beside the replicas, old and new, only the workload's kind, name,
/// namespace, uid and labels are known then; a rule that reads more of it is a warning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// What the question is called; findings carry it.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// What must be true.
    #[schemars(length(min = 1, max = 4096))]
    pub expression: String,
    /// What a finding says. Absent: that the expression is not true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub message: Option<String>,
    /// An expression that comes to what a finding says; where it fails or comes to nothing, `message` is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub message_expression: Option<String>,
    /// The field that a finding points at, such as `spec.replicas`. Absent: the object itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub field: Option<String>,
    /// The kinds of object that the expression is about, such as StatefulSet. Absent: all that the policy is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub kinds: Vec<String>,
    /// An expression that must be true for the question to be asked at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub when: Option<String>,
    /// Expressions with a name, which the others use as `variables.<name>`; each can use those before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub variables: Vec<Variable>,
}

/// An expression with a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Variable {
    /// The name, such as `claims`.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// What it stands for.
    #[schemars(length(min = 1, max = 4096))]
    pub expression: String,
}

impl super::Params for Params {
    const ID: &'static str = "cel";
    const FIELD: &'static str = "cel";

    fn compile(&self, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        let mut compile = |text: &str, known: &[Known<'_>], at: &FieldPath, wanted: Kind| match program::compile(text, known) {
            Ok(program) if program.kind == wanted || program.kind == Kind::Unknown || wanted == Kind::Unknown => {
                Some(program)
            }
            Ok(_) => {
                let wanted = if wanted == Kind::Truth { "true or false" } else { "a text" };
                faults.push(PolicyFault::new(at.clone(), format!("must come to {wanted}")));
                None
            }
            Err(found) => {
                faults.extend(found.into_iter().map(|message| PolicyFault::new(at.clone(), message)));
                None
            }
        };
        let mut known: Vec<Known<'_>> = Vec::new();
        let mut variables = Vec::new();
        for (index, variable) in self.variables.iter().enumerate() {
            let at = at.key("variables").index(index).key("expression");
            let program = compile(&variable.expression, &known, &at, Kind::Unknown);
            known.push(Known { name: &variable.name, depth: program.as_ref().map_or(0, |program| program.depth) });
            variables.push((variable.name.clone(), program));
        }
        let expression = compile(&self.expression, &known, &at.key("expression"), Kind::Truth);
        let when = self.when.as_ref().and_then(|text| compile(text, &known, &at.key("when"), Kind::Truth));
        let message = self.message_expression.as_ref();
        let message = message.and_then(|text| compile(text, &known, &at.key("messageExpression"), Kind::Text));
        kind_faults(&self.kinds, &at.key("kinds"), faults);
        if self.variables.len() > limits::VARIABLES {
            let message = format!("has {} items, and {} is the limit", self.variables.len(), limits::VARIABLES);
            faults.push(PolicyFault::new(at.key("variables"), message));
        }
        for (index, variable) in self.variables.iter().enumerate() {
            let at = at.key("variables").index(index).key("name");
            let first = self.variables.iter().take(index).any(|other| other.name == variable.name);
            if first {
                faults.push(PolicyFault::new(at.clone(), format!("there are two variables {:?}: rename one", variable.name)));
            }
            if !is_name(&variable.name) {
                let message = format!("{:?} is no name: write letters, digits and _, a letter first", variable.name);
                faults.push(PolicyFault::new(at, message));
            }
        }
        let field = match self.field.as_deref().map(str::parse::<FieldPath>).transpose() {
            Ok(field) => field.unwrap_or_default(),
            Err(error) => {
                faults.push(PolicyFault::new(at.key("field"), error.to_string()));
                FieldPath::root()
            }
        };
        let programs = || {
            let variables = variables.iter().filter_map(|(_, program)| program.as_ref());
            variables.chain([&expression, &when, &message].into_iter().flatten())
        };
        let globals = programs().flat_map(|program| &program.globals).copied().collect();
        let of_scaled = OfScaled::of(programs().flat_map(|program| &program.reads));
        let variables = variables.into_iter().filter_map(|(name, program)| Some((name, program?.expression)));
        Arc::new(Cel {
            params: self.clone(),
            field,
            globals,
            of_scaled,
            variables: Arc::new(variables.collect()),
            expression,
            when,
            message,
        })
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[derive(Debug)]
struct Cel {
    params: Params,
    field: FieldPath,
    /// The variables that any of the expressions uses.
    globals: BTreeSet<&'static str>,
    of_scaled: OfScaled,
    variables: Arc<Vec<(String, IdedExpr)>>,
    /// Absent only in a rule that has faults, which is never applied.
    expression: Option<Program>,
    when: Option<Program>,
    message: Option<Program>,
}

impl Rule for Cel {
    fn check(&self, context: &Context<'_>, findings: &mut Vec<Draft>) {
        let kind = &context.facts.id.kind;
        if !self.is_about(kind) {
            return;
        }
        // The library was written for values of the right types; a panic of it must not end a review.
        let answer = catch_unwind(AssertUnwindSafe(|| self.answer(context)));
        let answer = answer.unwrap_or_else(|_| Err("the evaluation broke off; please report this".to_owned()));
        let name = &self.params.name;
        match answer {
            Ok(None) => {}
            Ok(Some(message)) => findings.push(Draft::new(self.field.clone(), message)),
            Err(why) => findings.push(
                Draft::new(self.field.clone(), format!("the expression {name:?} failed on this {kind}: {why}")).help(
                    "guard what may be absent with has(…) or .?field.orValue(…), or narrow the rule with `kinds` or \
                     `when`",
                ),
            ),
        }
    }

    fn reads_replicas(&self, kind: &str) -> bool {
        self.is_about(kind) && self.of_scaled != OfScaled::Nothing
    }

    fn check_scale(&self, context: &Context<'_>, findings: &mut Vec<Draft>) {
        let OfScaled::Beyond(path) = &self.of_scaled else { return self.check(context, findings) };
        let (name, kind) = (&self.params.name, &context.facts.id.kind);
        let message = format!("not judged: the expression {name:?} reads `{path}`, which is not known of a {kind} that is scaled");
        let help = "ask for `object.spec.replicas` in a rule of its own, with nothing but the object's kind, name, namespace \
                    and labels, `request` and `namespaceObject` beside it";
        findings.push(Draft::new(self.field.clone(), message).help(help).at_most(Action::Warn));
    }

    fn reads_request(&self) -> bool {
        // Not exact, and need not be: a review that is decoded for nothing costs microseconds.
        let params = &self.params;
        let texts = [&params.when, &params.message_expression].into_iter().flatten();
        let variables = params.variables.iter().map(|variable| &variable.expression);
        texts.chain(variables).chain([&params.expression]).any(|text| text.contains("request"))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Cel {
    fn is_about(&self, kind: &str) -> bool {
        self.params.kinds.is_empty() || self.params.kinds.iter().any(|named| named == kind)
    }

    /// What is wrong, if anything is.
    fn answer(&self, context: &Context<'_>) -> Result<Option<String>, String> {
        let Some(expression) = &self.expression else { return Ok(None) };
        let run = Arc::new(Run::new(self.variables.clone()));
        let mut scope = LIBRARY.new_inner_scope();
        scope.add_variable_from_value(RUN, Value::Opaque(run.clone()));
        for global in &self.globals {
            scope.add_variable_from_value(*global, values::global(global, context));
        }
        if let Some(when) = &self.when
            && !truth(&run, &scope, when).map_err(|why| format!("`when`: {why}"))?
        {
            return Ok(None);
        }
        if truth(&run, &scope, expression)? {
            return Ok(None);
        }
        let name = &self.params.name;
        let made = self.message.as_ref().and_then(|message| match scope.resolve(&message.expression) {
            Ok(Value::String(text)) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            _ => None,
        });
        Ok(Some(match made.as_ref().or(self.params.message.as_ref()) {
            Some(message) => format!("{message} ({name})"),
            None => format!("not true: {} ({name})", self.params.expression.trim()),
        }))
    }
}

fn truth(run: &Run, scope: &CelContext<'_>, program: &Program) -> Result<bool, String> {
    let answer = scope.resolve(&program.expression);
    // An expression can go on after a part of it failed; what it comes to then is not to be trusted.
    if run.exhausted() {
        return Err(format!(
            "it takes more than {} steps on this object: loop over less, or put what a loop repeats into `variables`",
            limits::STEPS
        ));
    }
    match answer {
        Ok(Value::Bool(truth)) => Ok(truth),
        Ok(other) => Err(format!("it comes to {}, not to true or false", other.type_of())),
        Err(error) => Err(why(&error)),
    }
}

#[cfg(test)]
mod tests;
