use super::compile::CompiledPolicy;
use super::matches::EXCLUDED_NAMESPACES;
use crate::catalog::Catalog;
use crate::model::FieldPath;

/// All policies of a run, in the order in which they are applied.
#[derive(Debug)]
pub struct PolicySet {
    policies: Vec<CompiledPolicy>,
    catalog: Catalog,
    /// For each policy the catalog of its own, where what it adds counts for it alone.
    own_catalogs: Vec<Option<Catalog>>,
    excluded: Vec<String>,
}

/// Two policies that cannot both be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SetFault {
    /// The policy at which it shows; the index in the list that was given.
    pub policy: usize,
    /// The other one.
    pub other: usize,
    /// The field of `policy`.
    pub field: FieldPath,
    /// What contradicts, and the way out.
    pub message: String,
}

impl PolicySet {
    /// Puts policies together.
    ///
    /// # Errors
    /// Every pair of policies with the same name, and every pair that contradict each other.
    pub fn build(mut policies: Vec<CompiledPolicy>) -> Result<Self, Vec<SetFault>> {
        let mut faults = Vec::new();
        for (index, policy) in policies.iter().enumerate() {
            for (other_index, other) in policies.iter().enumerate().take(index) {
                let fault = |field: FieldPath, message: String| SetFault {
                    policy: index,
                    other: other_index,
                    field,
                    message,
                };
                if policy.name == other.name {
                    let message = format!("there are two policies named {:?}: rename one", policy.name);
                    faults.push(fault(FieldPath::root().key("metadata").key("name"), message));
                }
                faults.extend(contradictions(policy, other).map(|(field, message)| fault(field, message)));
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        policies.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
        let shared = || policies.iter().filter(|policy| !policy.alone);
        let extra: Vec<_> = shared().flat_map(|policy| policy.catalog.iter().cloned()).collect();
        let extra_kinds: Vec<_> =
            shared().flat_map(|policy| policy.custom_resources.iter().cloned()).collect();
        let own = |policy: &CompiledPolicy| {
            let is_own = policy.alone && !policy.catalog.is_empty();
            is_own.then(|| {
                Catalog::with(extra.iter().chain(&policy.catalog).cloned().collect(), extra_kinds.clone())
            })
        };
        Ok(Self {
            own_catalogs: policies.iter().map(own).collect(),
            policies,
            catalog: Catalog::with(extra, extra_kinds),
            excluded: EXCLUDED_NAMESPACES.map(str::to_owned).to_vec(),
        })
    }

    /// Leaves out a further namespace.
    pub fn exclude_namespace(&mut self, name: &str) {
        self.excluded.push(name.to_owned());
    }

    /// The policies, the one that goes first first.
    pub fn policies(&self) -> &[CompiledPolicy] {
        &self.policies
    }

    /// The catalog with what the policies add to it.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The catalog of the policy at that place among all, where what it adds counts for it alone.
    pub fn own_catalog(&self, index: usize) -> Option<&Catalog> {
        self.own_catalogs.get(index)?.as_ref()
    }

    /// Whether some rule reads the request around the object.
    pub fn reads_request(&self) -> bool {
        self.policies.iter().flat_map(|policy| &policy.rules).any(|rule| rule.rule.reads_request())
    }

    /// Whether some policy is for some users, or leaves some out.
    pub fn reads_users(&self) -> bool {
        self.policies.iter().any(CompiledPolicy::reads_users)
    }

    /// Whether some rule's verdict on a workload of that kind depends on its replicas.
    pub fn reads_replicas(&self, kind: &str) -> bool {
        self.policies.iter().flat_map(|policy| &policy.rules).any(|rule| rule.rule.reads_replicas(kind))
    }

    /// Whether no policy is about that namespace.
    pub fn excludes(&self, namespace: Option<&str>) -> bool {
        namespace.is_some_and(|namespace| self.excluded.iter().any(|name| name == namespace))
    }
}

/// What two policies demand that cannot both hold. Only policies that go first neither way and are about the same
/// objects for sure are held against each other.
fn contradictions<'a>(
    policy: &'a CompiledPolicy,
    other: &'a CompiledPolicy,
) -> impl Iterator<Item = (FieldPath, String)> + 'a {
    let same_subjects = policy.priority == other.priority
        && (policy.matches == other.matches || policy.matches.is_none() || other.matches.is_none())
        && policy.exclude == other.exclude;
    let pairs =
        policy.rules.iter().flat_map(move |rule| other.rules.iter().map(move |against| (rule, against)));
    pairs.filter(move |(rule, against)| same_subjects && rule.id == against.id).filter_map(move |(rule, against)| {
        let why = rule.rule.contradicts(&*against.rule)?;
        let message = format!(
            "policies {:?} and {:?} contradict each other in {}: {why}; give one of them a higher `priority` or a \
             narrower `match`",
            other.name, policy.name, rule.id
        );
        Some((rule.field.clone(), message))
    })
}
