//! What a rule becomes in CEL, and the pieces of text that rules share.

/// The kinds that a rule is about.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kinds {
    /// Pods, and what makes them.
    pub(super) pods: bool,
    pub(super) claims: bool,
    pub(super) volumes: bool,
    pub(super) classes: bool,
    /// Whether a change of a claim is asked about as well.
    pub(super) resized: bool,
    /// Whether workloads are asked about when they are made alone.
    pub(super) made: bool,
}

/// A rule in CEL.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The kinds that it is about.
    pub(super) kinds: Kinds,
    /// Kinds to which it is confined; none: all of the policy's.
    pub(super) only: Vec<String>,
    /// Whether it reads objects as they stand, so that `Pod` does not stand for what makes pods.
    pub(super) as_it_stands: bool,
    /// Expressions with a name; each can use those before it.
    pub(super) variables: Vec<(String, String)>,
    /// What must hold.
    pub(super) validations: Vec<Validation>,
    /// Parts of the rule that stay with the webhook, and why.
    pub(super) left: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Validation {
    pub(super) expression: String,
    pub(super) message: String,
    pub(super) message_expression: Option<String>,
}

impl Written {
    pub(super) fn about(kinds: Kinds) -> Self {
        Self { kinds, ..Self::default() }
    }

    pub(super) fn variable(mut self, name: &str, expression: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), expression.into()));
        self
    }

    pub(super) fn validation(mut self, expression: String, message: impl Into<String>) -> Self {
        self.validations.push(Validation { expression, message: message.into(), message_expression: None });
        self
    }

    pub(super) fn left(mut self, why: &str) -> Self {
        self.left.push(why.to_owned());
        self
    }

    /// With `podSpec`, `volumes` and `containers` of what is a pod or makes pods.
    pub(super) fn with_pods(self) -> Self {
        self.variable("podSpec", POD_SPEC)
            .variable("volumes", "variables.podSpec != null && has(variables.podSpec.volumes) ? variables.podSpec.volumes : []")
            .variable(
                "containers",
                "variables.podSpec == null ? [] : variables.podSpec.containers + (has(variables.podSpec.initContainers) ? \
                 variables.podSpec.initContainers : [])",
            )
    }
}

/// The spec of the pod that an object is or makes; null for all others.
pub(super) const POD_SPEC: &str = "request.kind.kind == 'Pod' ? object.spec : request.kind.kind == 'CronJob' ? \
     object.spec.jobTemplate.spec.template.spec : request.kind.kind in ['Deployment', 'StatefulSet', 'DaemonSet', \
     'ReplicaSet', 'ReplicationController', 'Job'] ? object.spec.template.spec : null";

/// The metadata of that pod.
pub(super) const POD_META: &str = "request.kind.kind == 'Pod' ? object.metadata : request.kind.kind == 'CronJob' ? \
     object.spec.jobTemplate.spec.template.metadata : request.kind.kind in ['Deployment', 'StatefulSet', 'DaemonSet', \
     'ReplicaSet', 'ReplicationController', 'Job'] ? object.spec.template.metadata : null";

/// A text as a literal.
pub(super) fn literal(text: &str) -> String {
    let mut literal = String::from("'");
    for char in text.chars() {
        match char {
            '\'' | '\\' => literal.extend(['\\', char]),
            '\n' => literal.push_str("\\n"),
            char if char.is_control() => literal.push_str(&format!("\\u{:04x}", u32::from(char))),
            char => literal.push(char),
        }
    }
    literal.push('\'');
    literal
}

/// Whether a text fits one of some patterns with `*`.
pub(super) fn fits_any(text: &str, patterns: &[String]) -> String {
    if patterns.is_empty() {
        return "false".to_owned();
    }
    let one = |pattern: &String| match pattern.contains('*') {
        false => format!("{text} == {}", literal(pattern)),
        true => format!("{text}.matches({})", literal(&expression(pattern))),
    };
    format!("({})", patterns.iter().map(one).collect::<Vec<_>>().join(" || "))
}

/// A pattern with `*` as a regular expression.
fn expression(pattern: &str) -> String {
    let parts: Vec<String> = pattern.split('*').map(escaped).collect();
    format!("^(?s:{})$", parts.join(".*"))
}

/// A text as an expression that it alone fits.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, char| {
        if r"\.+*?()|[]{}^$".contains(char) {
            escaped.push('\\');
        }
        escaped.push(char);
        escaped
    })
}

/// Whether a path, in a variable, lies in a directory that is written clean.
pub(super) fn covers(directory: &str, path: &str) -> String {
    if directory == "/" {
        return "true".to_owned();
    }
    format!("({path} == {} || {path}.startsWith({}))", literal(directory), literal(&format!("{directory}/")))
}
