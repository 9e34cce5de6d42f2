mod asked;
mod custom;
mod doubt;
mod judge;
mod lost;
mod notes;
mod stateful_set;
mod text;

use super::support::Most;
use crate::catalog::Allowance;
use crate::facts::{Subject, WorkloadKind};
use crate::model::{Durability, FieldPath, LabelSelector};
use crate::rule::{
    Belongs, Concern, Context, NewFindings, PolicyFault, Reads, Rule, RuleKind, selector_faults,
};
use crate::storage::{DataPath, has_lasting};
use asked::Asked;
use judge::in_memory;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, OnceCell};
use std::sync::Arc;

/// Refuses stateful workloads whose data dies too early.
///
/// # Why it matters
/// Every path that a container can write to has a durability, the smallest thing whose end loses the data: `container`
/// (the writable layer), `memory` (tmpfs), `pod` (emptyDir, ephemeral volumes), `node` (hostPath), `claim` (a claim whose
/// volume is deleted with it), `volume` (a claim whose volume is retained).
///
/// # What it checks
/// This rule asks that the data of stateful workloads have at least the durability `require`.
///
/// A workload is stateful, and has data at some of its paths,
///
/// - when the image of a container is in the catalog (`volgate explain` shows what was found);
/// - when a StatefulSet owns it: its writable mounts. Without any durable mount it is refused where an emptyDir is mounted as
///   data by its path or name, and gets a warning otherwise, because a StatefulSet for identity alone is legal. Images that
///   never keep data get no finding;
/// - when `data` says so.
///
/// An image that is not in the catalog gets a warning
///
/// - where a pod volume that ends with the pod is mounted where a product of the catalog keeps its data, or as data by its
///   path or name (an emptyDir at `/var/lib/mysql` or `/data`), unless it is one file (`/data/.env`), or is only named so in a
///   pod that ends by itself;
/// - where a variable or an argument names a database file (`DATABASE_URL=sqlite:////data/app.db`) and no mount outlives the
///   pod;
/// - where it plainly runs a known server (`redis-server`, `mysqld`; or port 3306 with `MYSQL_ROOT_PASSWORD`), and nothing
///   lasts in its container.
///
/// A Job of an image in the catalog with nothing at its data that outlives the pod gets a warning: most often its script only
/// calls a client. `jobs` asks for more or less; with `jobs: Deny` a Job that starts a server is refused like any other
/// workload, and a script that volgate cannot read stays a warning. A pod counts as a Job's when the Job exists with the uid
/// that the pod names, or when the Job controller itself makes the pod; in CI, where the Job is not among the manifests, the
/// finding is a warning that says so. A product that many run without keeping its data (Grafana, Prometheus, Tempo) gets a
/// warning, unless `dispensable` asks for more.
///
/// A container that runs only clients and tools keeps nothing, whatever else its script calls. What runs another program of
/// the image, or a script that volgate cannot read, is a warning at most, unless it has a mount at the data, or, for a script,
/// a port or a probe, as servers have. So is a role that the catalog does not know (`args: [some-role]`), unless it has a mount at
/// the data, and an image of a publisher whose layout is not known, where it mounts a claim elsewhere,
/// and a read replica.
///
/// A container that somebody starts to debug is a warning at most: an ephemeral container (`kubectl debug`), and a
/// container with `stdin` and `tty` whose command is a shell with nothing to run (`kubectl run -it --image=postgres --
/// bash`).
///
/// What lies on a hostPath of a DaemonSet belongs to its node: of a product that many run without keeping its data, as of an
/// agent that measures its node, nothing is said; of any other it is a warning, because the data end with the node.
///
/// A mount beneath a data directory takes away what lies there. Where the catalog knows that as a part without which the
/// rest is lost (`appendonlydir` of Redis, `pg_wal` of PostgreSQL, `member/wal` of etcd), it is judged like the directory
/// itself; any other, such as a plugin directory or a socket's, is taken for scratch.
///
/// # Example
/// Bad: redis without a volume at `/data`, or with an emptyDir there. Good: a claim mounted at `/data`.
///
/// # Details
/// Where a claim or class is not known, the answer is a warning and not a guess. The same holds where a configuration
/// file, or a variable from a ConfigMap or a Secret, may have moved the data from their default directory to another
/// mount of the container that lasts, or may make the product a cache; with no such mount the data are lost wherever
/// they lie. The same holds where the directory is not known at all, because the container's arguments and variables
/// cannot be followed that far.
///
/// `volgate check` reads the ConfigMaps and Secrets among the manifests and in `--cluster-state`: variables by `valueFrom` and
/// `envFrom`, the configuration files that the catalog knows (`redis.conf`, `my.cnf`, `loki.yaml` …), and scripts that are
/// mounted and run. What a Secret says is never shown: of a directory that it names, only the mount that covers it. The
/// webhook has no right to read either; for it they are not known, and the answer is a warning where they matter.
///
/// Custom resources of known operators are judged as well, in CI and where their CRDs are installed: their pod
/// templates like the workload that they resemble, and what they say of storage by a table (`customResources` of a
/// policy adds to it). A Kafka with `storage: {type: ephemeral}`, and a product that keeps its data on an emptyDir
/// unless it is told otherwise, is reported to the user who applies it, and not to the operator. A change of an
/// existing one that does not touch its storage gets a warning.
///
/// A start script is followed as far as its text says: the variables that it sets outside of conditions and loops, the commands
/// whose output it takes, and links that it makes (`ln -s /keep/etcd /var/lib/etcd`).
///
/// # What it does not check
/// It knows nothing of backups and of copies on other nodes: what a product could rebuild from its other members counts
/// as lost with its pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The least durability that data must have.
    #[serde(default = "claim")]
    pub require: Durability,
    /// The strictest action for a StatefulSet of unknown images without any durable mount. With `Deny`, known images
    /// that are set up to keep nothing count as well, except those that never keep data.
    #[serde(default)]
    pub stateful_sets: Most,
    /// The same where it mounts an emptyDir that holds data by its path (`/data`, `/var/lib/app`, `/srv/db`) or by the
    /// pod volume's name (`data`, `storage`, `db`). It counts where `statefulSets` is `Warn` or `Deny`; with `Deny`, a
    /// product that many run without keeping its data counts as well, unless a controller made the StatefulSet. The
    /// baseline has `Deny`.
    #[serde(default)]
    pub stateful_set_data: Most,
    /// The strictest action for products that are commonly run without persistent storage, by the catalog
    /// (`dispensable` in its entries).
    #[serde(default)]
    pub dispensable: Most,
    /// The strictest action for a Job that starts a server of a product of the catalog without storage that outlives
    /// the pod; a script that may start one is a warning at most.
    #[serde(default)]
    pub jobs: Most,
    /// Paths that are not data, with all that lies beneath them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = "^/")))]
    pub scratch: Vec<String>,
    /// Workloads that are stateful because this policy says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<NamedData>,
}

/// Paths that a policy calls data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamedData {
    /// Whose: the labels of the workload, its pod template or its owner. Default: everyone's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_selector: Option<LabelSelector>,
    /// The paths, in every container of it.
    #[schemars(length(min = 1), inner(regex(pattern = "^/")))]
    pub paths: Vec<String>,
}

fn claim() -> Durability {
    Durability::Claim
}

impl RuleKind for Params {
    const ID: &'static str = "durable-data";
    const FIELD: &'static str = "durableData";
    const READS_BEYOND: Option<&'static str> =
        Some("it reads the catalog of images, and the claims and classes that lie behind a pod");

    fn compile(&self, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        for (index, named) in self.data.iter().enumerate() {
            if let Some(selector) = &named.object_selector {
                selector_faults(selector, &at.key("data").index(index).key("objectSelector"), faults);
            }
        }
        if self.require == Durability::Container {
            let message = "`container` is the least there is, so that this rule would never find anything: write \
                           claim, or take the rule out";
            faults.push(PolicyFault::new(at.key("require"), message));
        }
        Arc::new(DurableData(self.clone()))
    }
}

#[derive(Debug)]
struct DurableData(Params);

impl Rule for DurableData {
    fn reads(&self) -> &'static [Reads] {
        &[Reads::Pods]
    }

    fn finds(&self) -> Concern {
        if !self.0.data.is_empty() {
            return Concern::anything();
        }
        // In an image that is not known only what goes with its pod counts, by its path or its name.
        let volumes = Concern::volumes(["csi", "emptyDir", "ephemeral", "gitRepo"]);
        Concern { products: true, database_files: true, stateful_sets: true, pods_of_sets: true, ..volumes }
    }

    fn check(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        if let Subject::Custom(custom) = &context.facts.subject {
            return self.judge_custom(custom, context, findings);
        }
        let Some((workload, storage)) = context.storage() else { return };
        let about = |named: &&NamedData| {
            named.object_selector.as_ref().is_none_or(|selector| context.subjects.labelled(selector))
        };
        let named = self.0.data.iter().filter(about).flat_map(|named| &named.paths);
        let Some(data) = context.data_with(&self.0.scratch, named.map(String::as_str)) else { return };
        let by_catalog = data.placed || data.keeps_nothing || !data.unplaced.is_empty();
        let asked = Asked {
            workload,
            context,
            allowance: Allowance::among(workload.templates),
            rows: &data.paths,
            held: OnceCell::new(),
            unmounted: OnceCell::new(),
            job: context.subjects.belongs_to(WorkloadKind::Job),
            made: context.subjects.has_controller(),
            lasts: OnceCell::new(),
            started: Cell::new(None),
        };
        let prepared = |row: &DataPath<'_, '_>| data.paths.iter().any(|main| row.is_prepared_for(main));
        let told = data.paths.iter().filter(|row| !row.cover.read_only && !prepared(row));
        let told: Vec<_> = told.collect();
        let moves = |row: &DataPath<'_, '_>| has_lasting(&storage, row.container, self.0.require);
        for alike in told.chunk_by(|a, b| a.is_alike(b, || moves(a))) {
            findings.extend(self.judge(&asked, storage, alike));
        }
        findings.extend(data.unplaced.iter().filter_map(|data| self.judge_unplaced(workload, data)));
        if asked.job == Belongs::No && self.0.require > Durability::Memory {
            findings.extend(data.in_memory.iter().map(|lost| in_memory(&asked, lost)));
        }
        // Without containers, or with one that has no image, it is part of a patch: what it mounts stands elsewhere.
        let containers = &workload.pod.containers;
        let whole = !containers.is_empty() && containers.iter().all(|container| !container.image.is_empty());
        let strict = self.0.stateful_sets == Most::Deny && !data.never_keeps;
        let keeps = data.placed || !data.unplaced.is_empty();
        if workload.stateful_set && whole && (!by_catalog || (strict && !keeps)) {
            self.judge_set(&asked, storage, &data.set_mounts, findings);
        }
    }
}

#[cfg(test)]
mod tests;
