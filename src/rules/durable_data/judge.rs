//! The finding about data of a product, or about paths that a policy or their name calls data.

use super::asked::Asked;
use super::lost::lost_data;
use super::notes::with_places;
use super::text::{claim_help, directory, field, told};
use super::{DurableData, Most};
use crate::catalog::{Start, Unplaced, is_task};
use crate::facts::{Container, Workload, WorkloadKind};
use crate::model::{Durability, beginning};
use crate::rule::{Belongs, NewFinding};
use crate::storage::{DataPath, InMemory, Place, Storage, UnplacedData, Why, is_named_data};
use crate::verdict::Action;

impl DurableData {
    /// Judges paths of which there is one thing to tell.
    pub(super) fn judge<'w, 'a>(
        &self,
        asked: &Asked<'_, 'w, 'a>,
        storage: Storage<'w, 'a>,
        alike: &[&DataPath<'w, 'a>],
    ) -> Option<NewFinding> {
        let data = *alike.first()?;
        let fate = data.cover.fate;
        let require = self.0.require;
        if fate.least >= require || matches!(data.cover.place, Place::Missing) {
            return None;
        }
        let pod = asked.workload.pod.path();
        let of_its_node = is_of_its_node(asked, data);
        // What an agent keeps of its own node is of no use on another one, or without it.
        if of_its_node && matches!(data.why, Why::Product { dispensable: Some(_), .. }) {
            return None;
        }
        let told = told(data, alike, storage);
        let field = field(&pod, data);
        let claim_help = claim_help(asked, &storage, alike, data, require);
        let mut new_finding = if fate.most < require {
            let lost = if of_its_node { "the node ends" } else { fate.least.lost_when() };
            let help = match fate.most {
                Durability::Claim => "use a class or volume with reclaim policy Retain".to_owned(),
                _ => claim_help,
            };
            NewFinding::new(field, format!("{told}: lost when {lost}")).help(help)
        } else {
            NewFinding::new(
                field,
                format!("{told}: whether that lasts is not known ({} or {})", fate.least, fate.most),
            )
            .help("give volgate the claim, class or volume it lies on (in CI: `--cluster-state`), or name a class")
            .at_most(Action::Warn)
        };
        if fate.most < require {
            new_finding = self.doubted(new_finding, storage, data);
        }
        if matches!(data.why, Why::Resembles { .. } | Why::Named) {
            let help = "if it is data, mount a PersistentVolumeClaim there; if not, name the path in the rule's \
                        `scratch`, or the image in a catalog entry of the policy";
            new_finding = new_finding.help(help).at_most(Action::Warn);
        }
        if data.why == Why::Called {
            let help = "mount a PersistentVolumeClaim where it keeps its data; if it keeps none, name the image in a catalog \
                        entry of the policy, with `stateful: false`";
            new_finding = new_finding.help(help).at_most(Action::Warn);
        }
        if data.shown_by.is_some() {
            let help = "mount a PersistentVolumeClaim where the data lies; if the image keeps none, name it in a catalog entry \
                        of the policy, with `stateful: false`";
            new_finding = new_finding.help(help).at_most(Action::Warn);
        }
        if of_its_node && matches!(data.why, Why::Product { .. }) {
            let help = "if it keeps only what belongs to its own node, ignore this, or except it with a reason; data that must \
                        outlive the node belong in a StatefulSet with `volumeClaimTemplates`";
            new_finding = new_finding.help(help).at_most(Action::Warn);
        }
        let is_file = matches!(data.why, Why::File { .. });
        if is_file {
            let help = "let it name a file in a directory that holds nothing else, and mount a PersistentVolumeClaim there; \
                        if it may be lost, name the image in a catalog entry of the policy, with `stateful: false`";
            new_finding = new_finding.help(help).at_most(Action::Warn);
        }
        if let Why::Product { name, dispensable: Some(why), .. } = data.why {
            let most = self.dispensable(asked, storage, alike)?;
            if most < Action::Deny && new_finding.at_most.is_none() {
                let kept = new_finding.help.take().unwrap_or_default();
                new_finding =
                    new_finding.help(format!("{name} is often run so, as {why}; to keep them, {kept}"));
            }
            new_finding = new_finding.at_most(most);
        }
        if let Why::Product { copy: Some(why), .. } = data.why {
            new_finding =
                new_finding.at_most(Action::Warn).and_help(Some(format!("it is a warning, as {why}")));
        }
        if matches!(data.why, Why::Product { .. }) && fate.most <= Durability::Pod {
            new_finding = self.of_a_job(asked, data, new_finding)?;
            if data.may_be_no_server(asked.workload) {
                let help = if data.start == Some(Start::Task) {
                    format!(
                        "the catalog does not know {}: if it keeps nothing, ignore this, or except it with a reason; otherwise \
                         mount a PersistentVolumeClaim where the data lies",
                        role(data.container)
                    )
                } else {
                    "a container that only calls clients loses nothing: ignore this, or except it with a reason; if \
                     its script starts the server, mount a PersistentVolumeClaim where the data lies"
                        .to_owned()
                };
                new_finding = new_finding.help(help).at_most(Action::Warn);
            }
        }
        new_finding = asked.looked_around(data.container, new_finding);
        // A claim at the file's directory may hide the program itself.
        if fate.most < require && !is_file && alike.iter().all(|data| directory(data).is_some()) {
            new_finding = new_finding.losing(lost_data(asked, &pod, alike));
        }
        Some(with_places(new_finding, &pod, storage, alike))
    }

    /// The most that losing these data of a product leads to which many run without keeping them. A StatefulSet that puts
    /// them on an emptyDir and has nothing that lasts was not made for a product without data. What an operator makes of a
    /// custom resource was: Prometheus, for one.
    fn dispensable(
        &self,
        asked: &Asked<'_, '_, '_>,
        storage: Storage<'_, '_>,
        alike: &[&DataPath<'_, '_>],
    ) -> Option<Action> {
        let most = self.0.dispensable.action()?;
        let raised = asked.workload.stateful_set
            && !asked.made
            && most == Action::Warn
            && self.0.stateful_set_data == Most::Deny
            && alike
                .iter()
                .any(|data| data.empty_dir().is_some() && data.cover.mount.is_some_and(is_named_data))
            && !asked.lasts(&storage);
        Some(if raised { Action::Deny } else { most })
    }

    /// Data of which only the product is known.
    pub(super) fn judge_unplaced(
        &self,
        workload: &Workload<'_>,
        data: &UnplacedData<'_, '_>,
    ) -> Option<NewFinding> {
        let most = if data.dispensable.is_some() { self.0.dispensable.action()? } else { Action::Warn };
        let field = data.container.path(&workload.pod.path()).key("image");
        let why = match data.why {
            Unplaced::Excess(excess) => excess.to_string(),
            Unplaced::Value(name) => format!("the value of {name} is not known here"),
        };
        let message = format!("where {} keeps its data is not known: {why}", data.product);
        let new_finding = NewFinding::new(field, message)
            .help("write the directory as a plain value into `args` or `env`, and mount a PersistentVolumeClaim there");
        Some(new_finding.at_most(most).at_most(Action::Warn))
    }

    /// The finding about a product's data as it is where a Job runs the product; nothing where the policy ignores Jobs.
    fn of_a_job<'w, 'a>(
        &self,
        asked: &Asked<'_, 'w, 'a>,
        data: &DataPath<'w, 'a>,
        new_finding: NewFinding,
    ) -> Option<NewFinding> {
        let (most, missing) = match &asked.job {
            Belongs::No => return Some(new_finding),
            Belongs::Invented(why) => return Some(new_finding.and_help(Some(why.clone()))),
            Belongs::Proven => (self.0.jobs, None),
            // A warning, so that somebody looks at it; refused only if any Job's pod is.
            Belongs::Unknown(why) if self.0.jobs == Most::Deny => (Most::Deny, Some(why.clone())),
            Belongs::Unknown(why) => (Most::Warn, Some(why.clone())),
        };
        let most = most.action()?;
        if most == Action::Deny && data.start >= Some(Start::Unknown) {
            return Some(new_finding);
        }
        // A script of one's own most often calls a client of the product, and no server.
        let help = "a job that only calls clients, such as a dump, loses nothing: ignore this, or except it with a \
                    reason; if it runs a server, its data goes with each run";
        Some(new_finding.help(help).and_help(missing).at_most(most.min(Action::Warn)))
    }
}

/// The role in which a container starts its product, as far as a word of its own names it.
fn role(container: &Container<'_>) -> String {
    let mut words = container.command.iter().skip(1).chain(&container.args);
    let named = words.find(|word| is_task(word)).map(|word| beginning(word, 64));
    named.map_or_else(|| "this role of the product".to_owned(), |word| format!("the role `{word}`"))
}

/// Whether the data lie on a hostPath of a DaemonSet, whose pods are never scheduled elsewhere.
fn is_of_its_node(asked: &Asked<'_, '_, '_>, data: &DataPath<'_, '_>) -> bool {
    data.cover.fate.most == Durability::Node
        && asked.context.subjects.belongs_to(WorkloadKind::DaemonSet) == Belongs::Proven
}

/// The finding about a container that loses what is put into it. That it does is what its author wrote, so that it is never refused.
pub(super) fn in_memory<'w, 'a>(asked: &Asked<'_, 'w, 'a>, lost: &InMemory<'w, 'a>) -> NewFinding {
    let field = lost.container.path(&asked.workload.pod.path()).key("image");
    let message =
        format!("{} keeps nothing, as {}: lost when the container restarts", lost.product, lost.why);
    let help = "to try it out, this does no harm: ignore it, or except it with a reason; otherwise give it storage of its own \
                on a PersistentVolumeClaim";
    asked.looked_around(lost.container, NewFinding::new(field, message).help(help).at_most(Action::Warn))
}
