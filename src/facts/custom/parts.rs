//! Pods whose parts stand apart: the steps of a task, the container of a workflow's template.

use super::path::{Path, Steps};
use super::table::{PodParts, PodsAt};
use crate::facts::container::{Container, Section};
use crate::facts::pod::PodFacts;
use crate::facts::pod_volume::PodVolume;
use crate::facts::{FactsFault, Meta, Workload};
use crate::json::Node;
use crate::model::FieldPath;
use std::collections::HashSet;

/// How many pod volumes one of them may have.
const MOST_VOLUMES: usize = 1_000;

impl<'a> Workload<'a> {
    /// Reads the parts of a pod that stand at `path` in a custom resource; nothing where no container does.
    pub(super) fn of_parts(
        object: Node<'a>,
        path: &FieldPath,
        template: Node<'a>,
        (at, parts): (&PodsAt, &PodParts),
        own: Meta<'a>,
        steps: &Steps,
    ) -> Result<Option<Self>, FactsFault> {
        let mut containers = Vec::new();
        for (section, paths) in [(Section::Init, &parts.init_containers), (Section::Main, &parts.containers)]
        {
            for (found, node) in all(template, paths, steps) {
                let read = is_map(node).and_then(|node| Container::read(node, section, containers.len()));
                let mut container = read.map_err(|fault| beneath(&found, fault))?;
                container.place = Some(path.join(&found));
                containers.push(container);
            }
        }
        if containers.is_empty() {
            return Ok(None);
        }
        let own_defaults =
            all(template, &parts.defaults, steps).map(|(found, node)| (path.join(&found), node));
        for (place, node) in own_defaults.chain(all(object, &parts.shared_defaults, steps)) {
            let read = is_map(node).and_then(|node| Container::read(node, Section::Main, 0));
            // The caller puts the template's path before it.
            let default = read.map_err(|fault| FactsFault { path: FieldPath::root(), ..fault })?;
            inherit(&mut containers, &Container { place: Some(place), ..default });
        }
        let mounted: HashSet<&str> =
            containers.iter().flat_map(|it| it.mounts.iter().map(|mount| mount.volume)).collect();
        let mut volumes: Vec<PodVolume<'a>> = Vec::new();
        let own_volumes = all(template, &parts.volumes, steps).map(|(found, node)| (path.join(&found), node));
        let shared = all(object, &parts.shared_volumes, steps);
        let shared = shared.filter(|(_, node)| {
            node.get("name").and_then(Node::as_str).is_none_or(|name| mounted.contains(name))
        });
        for (place, node) in own_volumes.chain(shared).take(MOST_VOLUMES) {
            let mut volume = is_map(node).and_then(|node| PodVolume::read(node, volumes.len())).map_err(
                // The caller puts the template's path before it.
                |fault| FactsFault { path: FieldPath::root(), ..fault },
            )?;
            volume.place = Some(place);
            volumes.push(volume);
        }
        let meta = Meta::read(template)?;
        let pod = PodFacts::of_parts(path.clone(), template, meta, containers, volumes);
        let mut workload = Self::of(at.alike.kind(), pod, own);
        workload.is_step = true;
        Ok(Some(workload))
    }
}

/// Gives containers what a default has. Its mounts go to the first of them alone: what is wrong with one is told once.
fn inherit<'a>(containers: &mut [Container<'a>], default: &Container<'a>) {
    let mut main = containers.iter_mut().filter(|container| container.section == Section::Main).peekable();
    if let Some(first) = main.peek_mut() {
        let own: HashSet<_> = first.mounts.iter().map(|mount| mount.path.clone()).collect();
        let new = default.mounts.iter().filter(|mount| !own.contains(&mount.path));
        first.mounts.extend(new.map(|mount| mount.at(default.mount_path(&FieldPath::root(), mount))));
    }
    for container in main {
        container.memory_limit = container.memory_limit.take().or_else(|| default.memory_limit.clone());
        container.storage_limit = container.storage_limit.take().or_else(|| default.storage_limit.clone());
    }
}

/// What stands at any of these paths.
fn all<'a>(root: Node<'a>, paths: &[String], steps: &Steps) -> impl Iterator<Item = (FieldPath, Node<'a>)> {
    paths.iter().flat_map(move |path| Path(path).all(root, steps))
}

fn is_map(node: Node<'_>) -> Result<Node<'_>, FactsFault> {
    if node.is_map() {
        Ok(node)
    } else {
        Err(FactsFault { path: FieldPath::root(), message: "must be a map".to_owned() })
    }
}

fn beneath(path: &FieldPath, fault: FactsFault) -> FactsFault {
    FactsFault { path: path.join(&fault.path), ..fault }
}

#[cfg(test)]
mod tests {
    use crate::catalog::Catalog;
    use crate::facts::{Container, Facts, Parts, Subject, Workload};
    use serde_json::{Value, json};

    /// The fields of the containers and pod volumes of each pod, with its path.
    fn places(object: &Value) -> Vec<String> {
        let parts: Parts<'_> = Facts::read_all(object, None, Catalog::embedded().kinds()).unwrap();
        let mut found = Vec::new();
        for workload in parts.iter().filter_map(Facts::workload) {
            let pod = workload.pod.path();
            let containers = workload.pod.containers.iter();
            let volumes = workload.pod.volumes.iter();
            let fields: Vec<String> = containers
                .map(|it| it.path(&pod).to_string())
                .chain(volumes.map(|it| it.source_path(&pod).to_string()))
                .collect();
            assert!(workload.is_step);
            found.push(format!("{pod}: {}", fields.join(", ")));
        }
        found
    }

    #[test]
    fn the_parts_of_an_argo_template_are_one_pod() {
        let workflow = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"}, "spec": {
            "volumes": [{"name": "sock", "hostPath": {"path": "/run"}}, {"name": "other", "emptyDir": {}}],
            "templates": [
                {"name": "all", "dag": {"tasks": []}},
                {"name": "a", "container": {"image": "x", "volumeMounts": [{"name": "sock", "mountPath": "/run"}]},
                 "sidecars": [{"name": "s", "image": "y"}], "initContainers": [{"name": "i", "image": "z"}],
                 "volumes": [{"name": "own", "emptyDir": {}}]},
                {"name": "b", "script": {"image": "x", "source": "true"}},
                {"name": "c", "containerSet": {"containers": [{"name": "m", "image": "x"}]}}]}});
        assert_eq!(
            places(&workflow),
            [
                "spec.templates[1]: spec.templates[1].initContainers[0], spec.templates[1].container, \
                 spec.templates[1].sidecars[0], spec.templates[1].volumes[0].emptyDir, spec.volumes[0].hostPath",
                "spec.templates[2]: spec.templates[2].script",
                "spec.templates[3]: spec.templates[3].containerSet.containers[0]",
            ]
        );
    }

    #[test]
    fn the_steps_of_a_tekton_task_are_one_pod_wherever_the_task_stands() {
        let task = json!({"steps": [{"image": "x"}, {"image": "y"}], "sidecars": [{"image": "db"}],
            "volumes": [{"name": "v", "emptyDir": {}}]});
        let of = |kind: &str, spec: Value| {
            places(
                &json!({"apiVersion": "tekton.dev/v1", "kind": kind, "metadata": {"name": "t"}, "spec": spec}),
            )
        };
        let shown = |at: &str| {
            format!("{at}: {at}.steps[0], {at}.steps[1], {at}.sidecars[0], {at}.volumes[0].emptyDir")
        };
        assert_eq!(of("Task", task.clone()), [shown("spec")]);
        assert_eq!(of("TaskRun", json!({"taskSpec": task})), [shown("spec.taskSpec")]);
        let tasks = json!({"tasks": [{"taskRef": {"name": "t"}}, {"taskSpec": task}], "finally": [{"taskSpec": task}]});
        assert_eq!(
            of("Pipeline", tasks.clone()),
            [shown("spec.tasks[1].taskSpec"), shown("spec.finally[0].taskSpec")]
        );
        let run = of("PipelineRun", json!({"pipelineSpec": tasks}));
        assert_eq!(run.first(), Some(&shown("spec.pipelineSpec.tasks[1].taskSpec")));
    }

    /// The mounts of each container, with their paths, and whether it has a limit of storage.
    fn mounts(object: &Value) -> Vec<String> {
        let parts: Parts<'_> = Facts::read_all(object, None, Catalog::embedded().kinds()).unwrap();
        let workloads = parts.iter().filter_map(Facts::workload);
        let containers =
            workloads.flat_map(|workload| workload.pod.containers.iter().map(move |it| (workload, it)));
        let shown = |(workload, it): (&Workload<'_>, &Container<'_>)| {
            let paths = it.mounts.iter().map(|mount| it.mount_path(&workload.pod.path(), mount).to_string());
            let paths = paths.collect::<Vec<_>>().join(", ");
            format!("{paths} {}", if it.storage_limit.is_some() { "limited" } else { "unlimited" })
        };
        containers.map(shown).collect()
    }

    #[test]
    fn steps_inherit_mounts_and_limits() {
        let task = |template: Value| {
            json!({"apiVersion": "tekton.dev/v1", "kind": "Task", "metadata": {"name": "t"}, "spec": {
                "stepTemplate": template,
                "steps": [{"image": "x", "volumeMounts": [{"name": "own", "mountPath": "/own"}]}, {"image": "y"}]}})
        };
        let template = json!({"volumeMounts": [{"name": "a", "mountPath": "/a"}, {"name": "b", "mountPath": "/own"}],
            "resources": {"limits": {"ephemeral-storage": "1Gi"}}});
        assert_eq!(
            mounts(&task(template)),
            ["spec.steps[0].volumeMounts[0], spec.stepTemplate.volumeMounts[0] limited", " limited"],
            "each once, and none over a step's own"
        );
        let unread = task(json!({"volumeMounts": "none"}));
        let parts = Facts::read_all(&unread, None, Catalog::embedded().kinds()).unwrap();
        let Subject::Custom(custom) = &parts.first.subject else { panic!("{parts:?}") };
        assert_eq!(custom.unread.len(), 1);
        let workflow = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"}, "spec": {
            "templateDefaults": {"container": {"volumeMounts": [{"name": "d", "mountPath": "/d"}]},
                "volumes": [{"name": "d", "hostPath": {"path": "/d"}}]},
            "templates": [{"name": "a", "container": {"image": "x"}}]}});
        assert_eq!(mounts(&workflow), ["spec.templateDefaults.container.volumeMounts[0] unlimited"]);
        assert_eq!(
            places(&workflow),
            ["spec.templates[0]: spec.templates[0].container, spec.templateDefaults.volumes[0].hostPath"]
        );
    }

    #[test]
    fn what_is_no_container_is_told_with_its_place() {
        let task = json!({"apiVersion": "tekton.dev/v1", "kind": "Task", "metadata": {"name": "t"}, "spec": {
            "steps": [{"image": "x"}, {"image": 5}]}});
        let parts = Facts::read_all(&task, None, Catalog::embedded().kinds()).unwrap();
        let Subject::Custom(custom) = &parts.first.subject else { panic!("{parts:?}") };
        assert_eq!(custom.unread[0].path.to_string(), "spec.steps[1].image");
    }
}
