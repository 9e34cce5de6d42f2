use crate::cel::{
    Code, Fault, Kind, Known, OfScaled, Program, Run, Type, Val, as_text, compile, limits, reads_pod_alone,
};
use crate::facts::WorkloadKind;
use crate::model::{FieldPath, Segment};
use crate::rule::{
    Concern, Context, NewFinding, NewFindings, PolicyFault, Reads, Rule, RuleKind, UNREAD, kind_faults,
};
use crate::verdict::Action;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use values::OfReview;

mod values;

/// Evaluates a CEL expression, with the functions of Kubernetes' own admission policies.
///
/// # Why it matters
/// It is a rule of your own, for what no other rule checks, in the language of Kubernetes' admission policies.
///
/// # What it checks
/// The expression must evaluate to `true`; `false` is a finding at `field`. An expression that fails is a finding too,
/// because no answer is no "yes": guard what may be absent with `has(…)` or `.?field.orValue(…)`, and narrow the rule
/// with `kinds` or `when`. It sees
///
/// - `object`, and `oldObject`, which is null for a new object;
/// - `request` with `operation`, `kind` (group, version, kind), `namespace`, `name` and, in a subresource,
///   `subResource`. A live request has `resource`, `userInfo`, `dryRun`, `options`, `requestKind` and
///   `requestResource` as well; `check` does not know them, so ask with `has(request.userInfo)` first. For `check`
///   every manifest is a CREATE;
/// - `namespaceObject` with `metadata.name`, `.labels` and `.annotations`; null for objects without a namespace;
/// - `podSpec` and `podMeta`, the spec and the metadata of the pod that the object is or makes: `spec` and `metadata` of a
///   Pod, `spec.template.spec` and `spec.template.metadata` of a Deployment, and so on; null for all that makes no pods;
/// - `variables.<name>`, each of which is evaluated when it is first needed;
/// - `facts`, what volgate knows of the object's storage:
///   - `kind`; `stateful`: whether a StatefulSet owns it or the catalog says that a container keeps data;
///   - `containers`: `name`, `image`, `section` (containers, initContainers, ephemeralContainers), `stateful`, and
///     `product` where the catalog knows the image;
///   - `paths`: `container`, `path`, `volume` (the pod volume's name; empty for the image's writable layer, whose path
///     is `/`), `durability` (container, memory, pod, node, claim, volume; or unknown, when it is something from
///     `least` to `most`), `least`, `most`, `reach` (any-node, some-nodes, unknown), `readOnly`, `data`: whether it is
///     certain that data which must last lies there, as `durable-data` sees it (by the catalog, or because it is a
///     StatefulSet's), and `guess`: whether it may;
///   - `claims`, those that the object is or makes: `field`, `modes`, `mode` (Filesystem or Block), and where they are
///     given `name`, `class`, `size` and, as a number, `bytes`.
///
/// A rule that reads `podSpec` or `podMeta` and neither `object` nor `oldObject` is evaluated for everything that is a
/// pod or makes pods, as the other rules are, and for nothing else: with `kinds: [Pod]` in `match` it judges
/// Deployments, StatefulSets, Jobs and the like as well. A rule that reads `object` is evaluated only for the kinds
/// that `match` and `kinds` name. Where `field` begins with `podSpec` or `podMeta`, a finding points at the place that
/// the object has it at.
///
/// # Example
/// ```yaml
/// - cel:
///     name: one-volume-driver
///     expression: podSpec.?volumes.orValue([]).all(v, !has(v.nfs))
///     field: podSpec.volumes
///     message: NFS volumes come from claims of the class nas
/// ```
///
/// # Details
/// Less is known in CI than in a cluster, and the webhook gets fewer kinds than `check`:
///
/// - the API server fills in defaults before the webhook is called (`spec.volumeMode`, `spec.replicas`,
///   `terminationGracePeriodSeconds`, the class of a claim where there is a default class). In CI they are absent:
///   write `object.spec.?replicas.orValue(1)`;
/// - the webhook is called for pods, what makes them, PersistentVolumeClaims, PersistentVolumes and StorageClasses.
///   `check` evaluates a rule that reads `object` for every kind that the policy names, and says for which of these the
///   webhook is never called;
/// - what admission plugins and other webhooks add (sidecars, the service account's token volume) is in the cluster alone;
/// - the user is known in CI only by `--as`, and a manifest is a CREATE there, so that `oldObject` is null;
/// - `namespaceObject` has the labels in CI where the Namespace is among the manifests or in `--cluster-state`.
///
/// What can never be right is refused when the policy is loaded: a name that does not exist, a field that `facts`,
/// `request` or `namespaceObject` do not have, values of types that do not go together, such as `size(x) == "1"`. Of
/// `object` no types are known; there it shows when the expression is evaluated.
///
/// The language is that of Kubernetes' admission policies, held to the conformance cases of CEL's specification: macros of
/// one variable and of two (`all(i, v, …)`, `transformList`, `transformMap`, `transformMapEntry`), optionals (`.?field`,
/// `optMap`, `or`, `orValue`), `type()`. It has no `authorizer`, no messages (`Name{…}`), no `includes`, time zones only
/// as offsets such as `+02:00`, and times up to the last day but one of the year 9999; an expression that needs more than
/// that is refused as well. A list may hold values of different types, and `1 == 1.0` is true, where Kubernetes refuses
/// both; `has(x.y)` fails where `x` is null, and is false there.
///
/// An expression has at most 4096 bytes, 24 levels of nesting and 3 loops inside each other. On one object a rule takes
/// at most 250,000 steps, and all rules together 4,000,000; what takes more is a finding. Each part of an expression
/// takes a step when it is evaluated, a round of a loop 3 more, an item that is put into a list or a map 2, a text 1
/// for each 16 bytes, a call into Kubernetes' library one for each element of its arguments. Objects with more than
/// 10,000 containers, mounts and volumes have no `facts`. A regular expression is compiled once, to 256 KiB at most,
/// and what it looks at takes the more steps the larger it is.
///
/// # What it does not check
/// An update is judged only where Kubernetes allows a change: a claim is judged again for its size and its
/// VolumeAttributesClass, so that only findings below `spec.resources` and `spec.volumeAttributesClassName` count, and
/// an ephemeral container for those below `spec.ephemeralContainers`.
///
/// A rule that reads `object.spec.replicas` is evaluated as well when a workload is scaled up by its `scale`
/// subresource (`kubectl scale`, a HorizontalPodAutoscaler). Beside the replicas, old and new, only the workload's
/// kind, name, namespace, uid and labels are known then; a rule that reads more of it is a warning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The name of the rule; findings carry it.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// What must be true.
    #[schemars(length(min = 1, max = 4096))]
    pub expression: String,
    /// Message of the finding. Default: that the expression is not true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub message: Option<String>,
    /// An expression that gives the message of the finding; if it fails or is empty, `message` is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub message_expression: Option<String>,
    /// The field that a finding points at, such as `spec.replicas`. Default: the object itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub field: Option<String>,
    /// The kinds of object that the expression is about, such as StatefulSet. Default: all that the policy is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub kinds: Vec<String>,
    /// The expression is evaluated only where this one is true.
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
    /// The expression that it stands for.
    #[schemars(length(min = 1, max = 4096))]
    pub expression: String,
}

impl RuleKind for Params {
    const ID: &'static str = "cel";
    const FIELD: &'static str = "cel";

    fn compile(&self, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        let mut compile =
            |text: &str, known: &[Known<'_>], at: &FieldPath, wanted: Kind| match compile(text, known) {
                Ok(program) if program.kind.may_be(wanted) => Some(program),
                Ok(program) => {
                    let wanted = if wanted == Kind::Bool { "true or false" } else { "a text" };
                    faults.push(PolicyFault::new(
                        at.clone(),
                        format!("must come to {wanted}, not {}", program.kind),
                    ));
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
            let program = compile(&variable.expression, &known, &at, Kind::Any);
            let (kind, depth) = program.as_ref().map_or((Type::Dyn, 0), |it| (it.kind.clone(), it.depth));
            known.push(Known { name: &variable.name, kind, depth });
            variables.push((variable.name.clone(), program));
        }
        let expression = compile(&self.expression, &known, &at.key("expression"), Kind::Bool);
        let when = self.when.as_ref().and_then(|text| compile(text, &known, &at.key("when"), Kind::Bool));
        let message = self.message_expression.as_ref();
        let message =
            message.and_then(|text| compile(text, &known, &at.key("messageExpression"), Kind::Text));
        kind_faults(&self.kinds, &at.key("kinds"), faults);
        if self.variables.len() > limits::VARIABLES {
            let message =
                format!("has {} items, and {} is the limit", self.variables.len(), limits::VARIABLES);
            faults.push(PolicyFault::new(at.key("variables"), message));
        }
        for (index, variable) in self.variables.iter().enumerate() {
            let at = at.key("variables").index(index).key("name");
            let first = self.variables.iter().take(index).any(|other| other.name == variable.name);
            if first {
                faults.push(PolicyFault::new(
                    at.clone(),
                    format!("there are two variables {:?}: rename one", variable.name),
                ));
            }
            if !is_name(&variable.name) {
                let message =
                    format!("{:?} is no name: write letters, digits and _, a letter first", variable.name);
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
        let reads_request = programs().any(|program| program.reads_request);
        let reads = || programs().flat_map(|program| &program.reads);
        let (of_scaled, pod_alone) = (OfScaled::of(reads()), reads_pod_alone(reads()));
        // One that has a fault keeps its place, by which the others know theirs; the rule is never applied.
        let code = |program: Option<Program>| program.map_or(Code::Value(Val::Null), |program| program.code);
        let variables = variables.into_iter().map(|(name, program)| (name, code(program))).collect();
        let params = self.clone();
        let at = at.clone();
        Arc::new(Cel {
            params,
            at,
            field,
            reads_request,
            of_scaled,
            pod_alone,
            variables,
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
    /// Where it stands in its policy.
    at: FieldPath,
    field: FieldPath,
    /// Whether any of the expressions reads the request.
    reads_request: bool,
    of_scaled: OfScaled,
    /// Whether it reads the pod that an object is or makes, and nothing of the object around it.
    pod_alone: bool,
    variables: Vec<(String, Code)>,
    /// Absent only in a rule that has faults, which is never applied.
    expression: Option<Program>,
    when: Option<Program>,
    message: Option<Program>,
}

impl Rule for Cel {
    fn finds(&self) -> Concern {
        let makes_pods =
            |kind: &String| ["", "apps", "batch"].iter().any(|group| WorkloadKind::of(group, kind).is_some());
        let kinds = &self.params.kinds;
        if kinds.is_empty() || kinds.iter().any(makes_pods) {
            Concern::anything()
        } else {
            Concern::default()
        }
    }

    fn check(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        let kind = &context.facts.id.kind;
        let workload = context.facts.workload();
        if !self.is_about(kind) || (self.pod_alone && workload.is_none()) {
            return;
        }
        let field = self.field_in(workload.map(|workload| workload.pod.path()));
        // The library was written for values of the right types; a panic of it must not end a review.
        let answer = catch_unwind(AssertUnwindSafe(|| self.answer(context)));
        let answer =
            answer.unwrap_or_else(|_| Err("the evaluation broke off; please report this".to_owned()));
        let name = &self.params.name;
        match answer {
            Ok(None) => {}
            Ok(Some(message)) => findings.push(NewFinding::new(field, message).named(name)),
            Err(why) => {
                let message = format!("the expression {name:?} failed on this {kind}: {why}");
                let help = "guard what may be absent with has(…) or .?field.orValue(…), or narrow the rule with `kinds` or \
                            `when`";
                findings.push(NewFinding::new(field, message).help(help).named(name));
            }
        }
    }

    fn reads_replicas(&self, kind: &str) -> bool {
        self.is_about(kind) && self.of_scaled != OfScaled::Nothing
    }

    fn check_scale(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        let OfScaled::Beyond(path) = &self.of_scaled else { return self.check(context, findings) };
        let (name, kind) = (&self.params.name, &context.facts.id.kind);
        let message = format!(
            "not judged: the expression {name:?} reads `{path}`, which is not known of a {kind} that is scaled"
        );
        let help = "ask for `object.spec.replicas` in a rule of its own, with nothing but the object's kind, name, namespace \
                    and labels, `request` and `namespaceObject` beside it";
        findings
            .push(NewFinding::new(self.field.clone(), message).help(help).at_most(Action::Warn).named(name));
    }

    fn reads_request(&self) -> bool {
        self.reads_request
    }

    fn reads_any_kind(&self) -> bool {
        !self.pod_alone
    }

    fn reads(&self) -> &'static [Reads] {
        &[Reads::Pods]
    }

    fn asks_about(&self, kind: &str) -> bool {
        self.is_about(kind)
    }

    fn name(&self) -> Option<&str> {
        Some(&self.params.name)
    }

    fn notices(&self) -> Vec<PolicyFault> {
        let kinds = self.params.kinds.iter().enumerate();
        let unread = kinds.filter(|(_, kind)| UNREAD.contains(&kind.as_str())).map(|(index, kind)| {
            let message = format!("the webhook is not asked about a {kind}: `volgate check` alone judges it");
            PolicyFault::harmless(self.at.key("kinds").index(index), message)
        });
        let pods_alone = (self.pod_alone && self.params.kinds == ["Pod"]).then(|| {
            let message = "asks about pods alone, once they are made: without `kinds` the rule is asked about all that makes \
                           pods as well";
            PolicyFault::harmless(self.at.key("kinds"), message)
        });
        unread.chain(pods_alone).collect()
    }
}

impl Cel {
    /// The field that a finding points at. `podSpec` and `podMeta` stand where the object has them.
    fn field_in(&self, pod: Option<FieldPath>) -> FieldPath {
        let Some((Segment::Key(first), rest)) = self.field.segments().split_first() else {
            return self.field.clone();
        };
        let base = match (first.as_ref(), pod) {
            ("podSpec", Some(pod)) => pod,
            ("podMeta", Some(pod)) => pod.parent().unwrap_or_default().key("metadata"),
            ("podSpec" | "podMeta", None) => return FieldPath::root(),
            _ => return self.field.clone(),
        };
        base.join(&FieldPath::from(rest.to_vec()))
    }

    fn is_about(&self, kind: &str) -> bool {
        self.params.kinds.is_empty() || self.params.kinds.iter().any(|named| named == kind)
    }

    /// What is wrong, if anything is.
    fn answer(&self, context: &Context<'_>) -> Result<Option<String>, String> {
        let Some(expression) = &self.expression else { return Ok(None) };
        let globals = OfReview(context);
        let steps = limits::STEPS.min(context.cel.left());
        let mut run = Run::new(&globals, &self.variables, steps);
        let answer = self.ask(&mut run, expression);
        context.cel.took(steps - run.left());
        answer.map_err(|why| if run.left() == 0 { exhausted(steps) } else { why })
    }

    fn ask<'r>(&'r self, run: &mut Run<'r>, expression: &'r Program) -> Result<Option<String>, String> {
        if let Some(when) = &self.when
            && !truth(run, when).map_err(|why| format!("`when`: {why}"))?
        {
            return Ok(None);
        }
        if truth(run, expression)? {
            return Ok(None);
        }
        let name = &self.params.name;
        let made = self.message.as_ref().and_then(|message| run.eval(&message.code).ok());
        let made = made.as_ref().and_then(as_text).map(str::trim).filter(|text| !text.is_empty());
        Ok(Some(match made.or(self.params.message.as_deref()) {
            Some(message) => format!("{message} ({name})"),
            None => format!("not true: {} ({name})", self.params.expression.trim()),
        }))
    }
}

fn exhausted(steps: u64) -> String {
    if steps == limits::STEPS {
        format!(
            "it takes more than {steps} steps on this object: loop over less, or put what a loop repeats into `variables`"
        )
    } else {
        format!(
            "not evaluated: the cel rules take more than {} steps on this object together; ask less, or in fewer rules",
            limits::REVIEW
        )
    }
}

fn truth<'r>(run: &mut Run<'r>, program: &'r Program) -> Result<bool, String> {
    let answer = run.eval(&program.code);
    // An expression can go on after a part of it failed; what it comes to then is not to be trusted.
    match answer {
        _ if run.left() == 0 => Err(String::new()),
        Ok(Val::Bool(truth)) => Ok(truth),
        Ok(other) => Err(format!("it comes to {}, not to true or false", other.kind().name())),
        Err(Fault::Because(why)) => Err(why.to_string()),
        Err(Fault::Steps) => Err(String::new()),
    }
}

#[cfg(test)]
mod tests;
