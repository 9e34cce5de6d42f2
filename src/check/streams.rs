//! Images that OpenShift puts in: a trigger names a tag of an ImageStream, which takes the place of what the manifest says.

use super::{Manifest, text};
use crate::model::FieldPath;
use serde_json::Value;
use std::borrow::Cow;

/// The annotation with the triggers of a workload of Kubernetes' own, as JSON.
const TRIGGERS: &str = "image.openshift.io/triggers";

/// Where a cluster of OpenShift keeps the images of its streams.
const REGISTRY: &str = "image-registry.openshift-image-registry.svc:5000";

impl Manifest<'_> {
    /// Puts in the images of streams in another namespace, such as `openshift`, whose images are Red Hat's. One in the object's own
    /// may be of anything.
    pub(super) fn put_in_stream_images(&mut self) {
        for (field, image) in streams(&self.value) {
            if self
                .value
                .pointer(&field.to_json_pointer())
                .and_then(Value::as_str)
                .is_none_or(|old| *old == image)
            {
                continue;
            }
            let mut value = std::mem::take(&mut self.value).into_owned();
            if let Some(place) = value.pointer_mut(&field.to_json_pointer()) {
                *place = image.into();
            }
            self.value = Cow::Owned(value);
        }
    }
}

/// The fields with an image that a trigger puts in, and the image.
fn streams(object: &Value) -> Vec<(FieldPath, String)> {
    let annotation = object.get("metadata").and_then(|of| of.get("annotations")?.get(TRIGGERS)?.as_str());
    if let Some(annotation) = annotation {
        let triggers: Vec<Value> = serde_json::from_str(annotation).unwrap_or_default();
        let named = triggers.iter().filter_map(|trigger| {
            Some((field(object, text(trigger, "fieldPath")?)?, image(trigger.get("from")?)?))
        });
        return named.collect();
    }
    let is_config = text(object, "kind") == Some("DeploymentConfig");
    let triggers = object.pointer("/spec/triggers").filter(|_| is_config).and_then(Value::as_array);
    let changes = triggers.into_iter().flatten().filter_map(|trigger| trigger.get("imageChangeParams"));
    let named = changes.flat_map(|change| {
        let image = change.get("from").and_then(image);
        let names = change.get("containerNames").and_then(Value::as_array).into_iter().flatten();
        names
            .filter_map(Value::as_str)
            .filter_map(move |name| Some((container(object, name)?, image.clone()?)))
    });
    named.collect()
}

/// The image of a tag of a stream whose namespace is said.
fn image(from: &Value) -> Option<String> {
    let (namespace, name) = (text(from, "namespace")?, text(from, "name")?);
    let is_known = !namespace.is_empty() && !namespace.contains("${");
    (text(from, "kind") == Some("ImageStreamTag") && is_known)
        .then(|| format!("{REGISTRY}/{namespace}/{name}"))
}

fn containers() -> FieldPath {
    ["spec", "template", "spec", "containers"].into_iter().fold(FieldPath::root(), |path, key| path.key(key))
}

/// The image of the container of that name.
fn container(object: &Value, name: &str) -> Option<FieldPath> {
    let list = object.pointer(&containers().to_json_pointer())?.as_array()?;
    let index = list.iter().position(|container| text(container, "name") == Some(name))?;
    Some(containers().index(index).key("image"))
}

/// What an annotation calls `spec.template.spec.containers[0].image`, or `…containers[?(@.name=="web")].image`.
fn field(object: &Value, path: &str) -> Option<FieldPath> {
    let which = path.strip_prefix("spec.template.spec.containers[")?.strip_suffix("].image")?;
    match which.parse() {
        Ok(index) => Some(containers().index(index).key("image")),
        Err(_) => container(object, which.strip_prefix("?(@.name==\"")?.strip_suffix("\")")?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(kind: &str, annotation: &str, triggers: Value) -> Vec<String> {
        let object = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "d", "annotations": {TRIGGERS: annotation}},
            "spec": {"triggers": triggers, "template": {"spec": {"containers": [{"name": "a", "image": " "}, {"name": "db", "image": "postgresql"}]}}}});
        streams(&object).into_iter().map(|(field, image)| format!("{field}={image}")).collect()
    }

    #[test]
    fn an_annotation_names_the_images() {
        let with = |namespace: &str, path: &str| {
            let from = json!({"kind": "ImageStreamTag", "name": "postgresql:15", "namespace": namespace});
            of("Deployment", &json!([{"from": from, "fieldPath": path}]).to_string(), Value::Null)
        };
        let wanted = format!("spec.template.spec.containers[1].image={REGISTRY}/openshift/postgresql:15");
        for path in [
            "spec.template.spec.containers[1].image",
            "spec.template.spec.containers[?(@.name==\"db\")].image",
        ] {
            assert_eq!(with("openshift", path), [&*wanted], "{path}");
        }
        for (namespace, path) in [
            ("openshift", "spec.template.spec.containers[?(@.name==\"no\")].image"),
            ("openshift", "spec.template.spec.initContainers[0].image"),
            ("${NAMESPACE}", "spec.template.spec.containers[1].image"),
            ("", "spec.template.spec.containers[1].image"),
        ] {
            assert_eq!(with(namespace, path), [""; 0], "{namespace} {path}");
        }
        assert_eq!(of("Deployment", "no JSON", Value::Null), [""; 0]);
    }

    #[test]
    fn a_deployment_config_names_the_containers() {
        let change = |from: Value| json!([{"type": "ConfigChange"}, {"type": "ImageChange", "imageChangeParams": {"containerNames": ["db"], "from": from}}]);
        let object = |kind: &str, from: Value| {
            let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "d"}, "spec": {"triggers": change(from),
                "template": {"spec": {"containers": [{"name": "a", "image": " "}, {"name": "db", "image": "postgresql"}]}}}});
            streams(&object).into_iter().map(|(field, image)| format!("{field}={image}")).collect::<Vec<_>>()
        };
        let tag = json!({"kind": "ImageStreamTag", "name": "postgresql:15", "namespace": "openshift"});
        let wanted = format!("spec.template.spec.containers[1].image={REGISTRY}/openshift/postgresql:15");
        assert_eq!(object("DeploymentConfig", tag.clone()), [wanted]);
        assert_eq!(object("Other", tag), [""; 0]);
        assert_eq!(
            object("DeploymentConfig", json!({"kind": "ImageStreamTag", "name": "shop:latest"})),
            [""; 0]
        );
    }
}
