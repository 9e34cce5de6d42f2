use super::claim::ClaimSpec;
use super::fault::{FactsFault, OrFault};
use super::pod::ByName;
use super::read::{Object, each};
use super::{Meta, PodFacts, PodsAt};
use crate::json::Node;
use crate::model::FieldPath;

/// The kinds that hold a pod's spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Kubernetes' own names
pub enum WorkloadKind {
    Pod,
    PodTemplate,
    ReplicationController,
    ReplicaSet,
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
    CronJob,
}

impl WorkloadKind {
    /// The kind of that API group and name.
    pub fn of(group: &str, kind: &str) -> Option<Self> {
        Some(match (group, kind) {
            ("", "Pod") => Self::Pod,
            ("", "PodTemplate") => Self::PodTemplate,
            ("", "ReplicationController") => Self::ReplicationController,
            ("apps" | "extensions", "ReplicaSet") => Self::ReplicaSet,
            ("apps" | "extensions", "Deployment") => Self::Deployment,
            ("apps", "StatefulSet") => Self::StatefulSet,
            ("apps" | "extensions", "DaemonSet") => Self::DaemonSet,
            ("batch", "Job") => Self::Job,
            ("batch", "CronJob") => Self::CronJob,
            _ => return None,
        })
    }

    /// The steps from the object to the pod's template: the one place that knows them.
    fn template(self) -> &'static [&'static str] {
        match self {
            Self::Pod => &[],
            Self::PodTemplate => &["template"],
            Self::CronJob => &["spec", "jobTemplate", "spec", "template"],
            _ => &["spec", "template"],
        }
    }

    /// The steps from the object to the pod's spec.
    fn pod_spec(self) -> &'static [&'static str] {
        match self {
            Self::Pod => &["spec"],
            Self::PodTemplate => &["template", "spec"],
            Self::CronJob => &["spec", "jobTemplate", "spec", "template", "spec"],
            _ => &["spec", "template", "spec"],
        }
    }

    /// The name of Kubernetes' controller that makes what an object of that kind owns.
    pub fn controller(self) -> Option<&'static str> {
        Some(match self {
            Self::Pod | Self::PodTemplate => return None,
            Self::ReplicationController => "replication-controller",
            Self::ReplicaSet => "replicaset-controller",
            Self::Deployment => "deployment-controller",
            Self::StatefulSet => "statefulset-controller",
            Self::DaemonSet => "daemon-set-controller",
            Self::Job => "job-controller",
            Self::CronJob => "cronjob-controller",
        })
    }

    /// Whether `replicas` says how many pods there are.
    pub fn has_replicas(self) -> bool {
        matches!(self, Self::ReplicationController | Self::ReplicaSet | Self::Deployment | Self::StatefulSet)
    }
}

/// Anything that holds a pod's spec.
#[derive(Debug)]
pub struct Workload<'a> {
    /// Which kind.
    pub kind: WorkloadKind,
    /// The pod.
    pub pod: PodFacts<'a>,
    /// `spec.replicas`; 1 where the kind has them and none are given.
    pub replicas: i64,
    /// `spec.strategy.type` of a Deployment, `RollingUpdate` by default.
    pub strategy: Option<&'a str>,
    /// How many pods beyond `replicas` a Deployment's rolling update makes: `maxSurge`, 25% rounded up by default. 0
    /// where it is no Deployment.
    pub max_surge: i64,
    /// How many of `replicas` a Deployment's rolling update may stop first: `maxUnavailable`, 25% rounded down by
    /// default. 0 where it is no Deployment.
    pub max_unavailable: i64,
    /// How many pods of a Job, or of one run of a CronJob, run at a time: `parallelism`, at most `completions`.
    pub parallelism: i64,
    /// `spec.concurrencyPolicy` of a CronJob, `Allow` by default.
    pub concurrency: Option<&'a str>,
    /// `spec.volumeClaimTemplates` of a StatefulSet.
    pub claim_templates: Vec<ClaimTemplate<'a>>,
    templates_by_name: ByName,
    /// `spec.persistentVolumeClaimRetentionPolicy` of a StatefulSet: whenDeleted and whenScaled.
    pub claim_retention: Option<(&'a str, &'a str)>,
    /// Of how many pod templates of one custom resource it is one: they share what the object may cost.
    pub templates: usize,
    /// Whether it is a StatefulSet, or a pod that names one as its controller. Whoever writes a pod can write that: it
    /// may ask more of a pod and never excuses it, for which proof
    /// of the owner is asked.
    pub stateful_set: bool,
    /// Whether it is a step of a run of some workflow, and no pod template: what its containers keep for themselves ends with
    /// the run, and names in it may be filled in.
    pub is_step: bool,
}

/// One `volumeClaimTemplates` entry.
#[derive(Debug)]
pub struct ClaimTemplate<'a> {
    /// Its index.
    pub index: usize,
    /// Its name: a pod volume of that name is its claim.
    pub name: &'a str,
    /// What its claims ask for.
    pub spec: ClaimSpec,
    /// What holds the list, where that is another part of a custom resource than `spec`.
    within: Option<FieldPath>,
}

impl ClaimTemplate<'_> {
    /// Its path in the StatefulSet.
    pub fn path(&self) -> FieldPath {
        let within = self.within.clone().unwrap_or_else(|| FieldPath::root().key("spec"));
        within.key("volumeClaimTemplates").index(self.index)
    }
}

impl<'a> Workload<'a> {
    /// `own` is the object's own metadata.
    pub(super) fn read(object: Node<'a>, kind: WorkloadKind, own: Meta<'a>) -> Result<Self, FactsFault> {
        let meta = match kind.template() {
            [] => own,
            steps => Meta::read(walk(object, steps)?).map_err(|fault| prefixed(steps, fault))?,
        };
        if kind == WorkloadKind::CronJob {
            let steps = &["spec", "jobTemplate"];
            Meta::read(walk(object, steps)?).map_err(|fault| prefixed(steps, fault))?;
        }
        let spec_steps = kind.pod_spec();
        let pod_spec = walk(object, spec_steps)?;
        let pod = PodFacts::read(pod_spec, meta, spec_steps).map_err(|fault| prefixed(spec_steps, fault))?;
        let spec = if kind == WorkloadKind::PodTemplate { Node::NULL } else { walk(object, &["spec"])? };
        let job = match kind {
            WorkloadKind::Job => walk(object, &["spec"])?,
            WorkloadKind::CronJob => walk(object, &["spec", "jobTemplate", "spec"])?,
            _ => Node::NULL,
        };
        let parallelism = parallelism(job).map_err(|fault| match kind {
            WorkloadKind::CronJob => prefixed(&["spec", "jobTemplate", "spec"], fault),
            _ => prefixed(&["spec"], fault),
        })?;
        let mut workload = Self { parallelism, ..Self::of(kind, pod, own) };
        let mut read = || -> Result<(), FactsFault> {
            if kind.has_replicas() {
                workload.replicas = spec.int_at("replicas")?.unwrap_or(1);
            }
            match kind {
                WorkloadKind::Deployment => {
                    workload.strategy = Some(strategy(spec)?);
                    workload.roll(spec);
                }
                WorkloadKind::StatefulSet => workload.claim_templates = claim_templates(spec)?,
                WorkloadKind::CronJob => {
                    workload.concurrency = Some(spec.str_at("concurrencyPolicy")?.unwrap_or("Allow"));
                }
                _ => {}
            }
            workload.claim_retention = claim_retention(spec)?;
            Ok(())
        };
        read().or_within("spec")?;
        Ok(workload)
    }

    /// Reads a pod template that stands at `path` in a custom resource. `own` is the object's own metadata.
    pub(super) fn of_template(
        object: Node<'a>,
        path: &FieldPath,
        template: Node<'a>,
        at: &PodsAt,
        own: Meta<'a>,
    ) -> Result<Self, FactsFault> {
        let kind = at.alike.kind();
        let meta = Meta::read(template)?;
        let spec = template.map_at("spec")?.unwrap_or(Node::NULL);
        let pod = PodFacts::read(spec, meta, &["spec"]).or_within("spec")?.beneath(path.clone());
        // What stands beside a template says how many pods are made of it, and with which claims.
        let parent = path.parent().unwrap_or_default();
        let beside = object.at(&parent).unwrap_or(Node::NULL);
        let mut workload = Self::of(kind, pod, own);
        workload.replicas = beside.get("replicas").and_then(Node::as_i64).unwrap_or(1);
        workload.strategy = Some("Recreate");
        if at.rolls {
            let named = beside.get("strategy").and_then(|it| it.get("type")?.as_str());
            workload.strategy = Some(named.filter(|name| *name == "Recreate").unwrap_or("RollingUpdate"));
            workload.roll(beside);
        }
        workload.claim_templates = claim_templates(beside)?;
        for template in &mut workload.claim_templates {
            template.within = Some(parent.clone());
        }
        workload.claim_retention = claim_retention(beside)?;
        Ok(workload)
    }

    /// One pod of that kind, as far as the kind and its owner say what it is.
    pub(in crate::facts) fn of(kind: WorkloadKind, pod: PodFacts<'a>, own: Meta<'a>) -> Self {
        let is_owned = own.controller.is_some_and(|owner| owner.kind == "StatefulSet");
        Self {
            kind,
            pod,
            replicas: 1,
            strategy: None,
            max_surge: 0,
            max_unavailable: 0,
            parallelism: 1,
            concurrency: None,
            claim_templates: Vec::new(),
            templates_by_name: ByName::default(),
            claim_retention: None,
            templates: 1,
            stateful_set: kind == WorkloadKind::StatefulSet || is_owned,
            is_step: false,
        }
    }

    fn roll(&mut self, spec: Node<'_>) {
        (self.max_surge, self.max_unavailable) = rolling_update(spec, self.replicas);
    }

    /// The claim template that stands behind a pod volume of that name.
    pub fn claim_template(&self, name: &str) -> Option<&ClaimTemplate<'a>> {
        self.templates_by_name.find(&self.claim_templates, name, |template| template.name)
    }
}

fn claim_retention(spec: Node<'_>) -> Result<Option<(&str, &str)>, FactsFault> {
    Ok(spec.map_at("persistentVolumeClaimRetentionPolicy")?.map(|policy| {
        let text = |key| policy.get(key).and_then(Node::as_str).unwrap_or("Retain");
        (text("whenDeleted"), text("whenScaled"))
    }))
}

fn strategy(spec: Node<'_>) -> Result<&str, FactsFault> {
    match spec.map_at("strategy")? {
        Some(strategy) => Ok(strategy.str_at("type").or_within("strategy")?.unwrap_or("RollingUpdate")),
        None => Ok("RollingUpdate"),
    }
}

/// `maxSurge` and `maxUnavailable` in pods, as the Deployment controller takes them.
fn rolling_update(spec: Node<'_>, replicas: i64) -> (i64, i64) {
    let field = |key| spec.get("strategy")?.get("rollingUpdate")?.get(key);
    let part = |key, up: bool| {
        let value = field(key).unwrap_or(Node::NULL);
        if value.is_number() {
            return value.as_i64().unwrap_or(0);
        }
        let percent = value.as_str().and_then(|text| text.strip_suffix('%')?.parse().ok());
        let hundredths = replicas.saturating_mul(percent.unwrap_or(25));
        hundredths.div_euclid(100) + i64::from(up && hundredths.rem_euclid(100) != 0)
    };
    match (part("maxSurge", true), part("maxUnavailable", false)) {
        // Nothing would ever move.
        (0, 0) => (0, 1),
        parts => parts,
    }
}

fn parallelism(job: Node<'_>) -> Result<i64, FactsFault> {
    let parallelism = job.int_at("parallelism")?.unwrap_or(1);
    Ok(job.int_at("completions")?.map_or(parallelism, |completions| parallelism.min(completions)))
}

fn claim_templates(spec: Node<'_>) -> Result<Vec<ClaimTemplate<'_>>, FactsFault> {
    each(spec, "volumeClaimTemplates", |item, index| {
        let meta = Meta::read(item)?;
        let name = match item.map_at("metadata")? {
            Some(metadata) => metadata.name_at("name").or_within("metadata")?.unwrap_or_default(),
            None => "",
        };
        Ok(ClaimTemplate { index, name, spec: ClaimSpec::read(item, &meta)?, within: None })
    })
}

/// The object behind the steps; an absent one is an empty one.
fn walk<'a>(object: Node<'a>, steps: &'static [&'static str]) -> Result<Node<'a>, FactsFault> {
    let mut at = object;
    for (depth, step) in steps.iter().copied().enumerate() {
        at = match at.map_at(step) {
            Ok(Some(next)) => next,
            Ok(None) => return Ok(Node::NULL),
            Err(fault) => return Err(prefixed(steps.get(..depth).unwrap_or_default(), fault)),
        };
    }
    Ok(at)
}

fn prefixed(steps: &[&'static str], fault: FactsFault) -> FactsFault {
    let base = steps.iter().fold(FieldPath::root(), |path, key| path.key(*key));
    FactsFault { path: base.join(&fault.path), ..fault }
}
