//! What the account of the controller may write, by the roles and by the policies that `manifests/provisioner.yaml` has. All
//! of it as dry runs: the controller works meanwhile.

use crate::provisioner::harness::{BASE, Objects, USER, volume};
use crate::provisioner::shared;
use crate::support::{Cluster, cluster::ADMIN};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

const OURS: &str = "local-path.volgate.dev";
const UID: &str = "11111111-2222-3333-4444-555555555555";

/// Somebody who tries.
struct Somebody<'a>(Objects<'a>);

impl<'a> Somebody<'a> {
    fn new(cluster: &Cluster, user: &str, namespace: &'a str) -> Self {
        Self(Objects { client: cluster.client(user), namespace })
    }

    async fn creates(&self, object: &Value) -> String {
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let api = self.0.api(object["kind"].as_str().unwrap());
        said(api.create(&params, &serde_json::from_value(object.clone()).unwrap()).await)
    }

    async fn patches(&self, kind: &str, name: &str, patch: &Value) -> String {
        let params = PatchParams { dry_run: true, ..PatchParams::default() };
        match kind.strip_suffix("/status") {
            Some(kind) => said(self.0.api(kind).patch_status(name, &params, &Patch::Merge(patch)).await),
            None => said(self.0.api(kind).patch(name, &params, &Patch::Merge(patch)).await),
        }
    }

    async fn deletes(&self, kind: &str, name: &str) -> String {
        said(self.0.api(kind).delete(name, &DeleteParams { dry_run: true, ..DeleteParams::default() }).await)
    }
}

/// What came of an attempt: nothing to say, or what the API server said.
fn said<T>(result: kube::Result<T>) -> String {
    match result {
        Ok(_) => String::new(),
        Err(kube::Error::Api(status)) => format!("{} {}", status.code, status.message),
        Err(error) => panic!("{error}"),
    }
}

/// The volume of a claim, as the controller makes it.
fn made(path: &str, further: Value) -> Value {
    let mut object = volume(&format!("pvc-{UID}"), OURS, path);
    object["spec"]["claimRef"] = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "rights", "name": "data", "uid": UID});
    for (at, value) in further.as_object().unwrap() {
        let (outer, inner) = at.rsplit_once('/').unwrap();
        object.pointer_mut(outer).unwrap()[inner] = value.clone();
    }
    object
}

#[tokio::test]
async fn the_controllers_account_makes_volumes_of_its_own_below_its_bases_alone() {
    let Some(cluster) = shared() else { return };
    let (controller, admin) =
        (Somebody::new(cluster, USER, "default"), Somebody::new(cluster, ADMIN, "default"));
    let local = |path: &str| {
        let affinity = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": ["n"]}]}]}});
        made(
            "",
            json!({"/spec/hostPath": null, "/spec/local": {"path": path}, "/spec/nodeAffinity": affinity}),
        )
    };
    let below = format!("{BASE}/pvc-{UID}_rights_data");
    for allowed in [
        made(&below, json!({})),
        made(&format!("{BASE}/team/data/a b..c"), json!({})),
        local(&below),
        local(&format!("/dev/volgate/pvc-{UID}")),
        made(
            &below,
            json!({"/metadata/annotations": {"pv.kubernetes.io/provisioned-by": "rancher.io/local-path"}}),
        ),
    ] {
        assert_eq!(controller.creates(&allowed).await, "", "{allowed}");
    }
    let outside = "below none of: /opt/local-path-provisioner/";
    let other = "provisioned by 'somebody.example'";
    for (refused, why) in [
        (made("/etc", json!({})), outside),
        (local("/etc"), outside),
        (made("/", json!({})), outside),
        (made(BASE, json!({})), outside),
        (made(&format!("{BASE}/"), json!({})), outside),
        (made(&format!("{BASE}x/data"), json!({})), outside),
        (made(&format!("{BASE}//data"), json!({})), outside),
        (made(&format!("{BASE}/./data"), json!({})), outside),
        (made(&format!("{BASE}/.volgate"), json!({})), outside),
        (made(&format!("{BASE}/.volgate/volumes"), json!({})), outside),
        (local("/dev/sda"), outside),
        (local("/dev/volgate/pvc-of-another"), outside),
        (made("", json!({"/spec/hostPath": null, "/spec/nfs": {"server": "s", "path": below}})), outside),
        (
            made(
                &below,
                json!({"/metadata/annotations": {"pv.kubernetes.io/provisioned-by": "somebody.example"}}),
            ),
            other,
        ),
        (made(&below, json!({"/metadata/annotations": null})), "provisioned by ''"),
        (made(&below, json!({"/metadata/name": "pvc-of-another"})), "named after that claim's uid"),
        (made(&below, json!({"/spec/claimRef": null})), "named after that claim's uid"),
    ] {
        let said = controller.creates(&refused).await;
        assert!(said.starts_with("403") && said.contains(why), "{refused}: {said}");
        assert_eq!(admin.creates(&refused).await, "", "nobody else is refused: {refused}");
    }
}

#[tokio::test]
async fn the_controllers_account_changes_capacity_and_its_finalizer_of_its_own_volumes_alone() {
    let Some(cluster) = shared() else { return };
    let (controller, admin) =
        (Somebody::new(cluster, USER, "default"), Somebody::new(cluster, ADMIN, "default"));
    let ours = "external-provisioner.volume.kubernetes.io/finalizer";
    for (name, provisioner) in [("rights-own", OURS), ("rights-other", "somebody.example")] {
        let mut object = volume(name, provisioner, &format!("{BASE}/{name}"));
        object["metadata"]["finalizers"] = json!([ours, "kubernetes.io/pv-protection"]);
        admin.0.create(object).await;
    }
    let kind = "PersistentVolume";
    let larger = json!({"spec": {"capacity": {"storage": "2Gi"}}});
    let let_go = json!({"metadata": {"finalizers": ["kubernetes.io/pv-protection"]}});
    for allowed in [&larger, &let_go] {
        assert_eq!(controller.patches(kind, "rights-own", allowed).await, "", "{allowed}");
        let said = controller.patches(kind, "rights-other", allowed).await;
        assert!(said.contains("provisioned by 'somebody.example'"), "{allowed}: {said}");
    }
    for refused in [
        json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}}),
        json!({"spec": {"claimRef": {"namespace": "a", "name": "b", "uid": "c"}}}),
        json!({"spec": {"storageClassName": "x"}}),
        json!({"spec": {"accessModes": ["ReadWriteMany"]}}),
        json!({"spec": {"mountOptions": ["suid"]}}),
        json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "a", "operator": "Exists"}]}]}}}}),
        json!({"metadata": {"labels": {"a": "b"}}}),
        json!({"metadata": {"annotations": {"volgate.dev/base": "/etc"}}}),
        json!({"metadata": {"finalizers": [ours]}}),
        json!({"metadata": {"finalizers": [ours, "kubernetes.io/pv-protection", "a.example/b"]}}),
        json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}]}}),
    ] {
        let said = controller.patches(kind, "rights-own", &refused).await;
        assert!(
            said.starts_with("403") && said.contains("nothing of a PersistentVolume but its capacity"),
            "{refused}: {said}"
        );
        assert_eq!(
            admin.patches(kind, "rights-own", &refused).await,
            "",
            "nobody else is refused: {refused}"
        );
    }
    assert_eq!(controller.deletes(kind, "rights-own").await, "");
    let said = controller.deletes(kind, "rights-other").await;
    assert!(said.contains("provisioned by 'somebody.example'"), "{said}");
    assert_eq!(admin.deletes(kind, "rights-other").await, "");
}

#[tokio::test]
async fn the_controllers_account_takes_a_claims_node_away_and_changes_nothing_else() {
    let Some(cluster) = shared() else { return };
    let admin = Somebody(Objects::new(cluster, "rights").await);
    let controller = Somebody::new(cluster, USER, "rights");
    let selected = "volume.kubernetes.io/selected-node";
    let claim = |name: &str, annotations: Value, volume: &str| {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "annotations": annotations, "finalizers": ["a.example/b"]},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "no-volumes", "volumeName": volume,
                "resources": {"requests": {"storage": "1Gi"}}}})
    };
    let by = |name: &str| json!({"volume.kubernetes.io/storage-provisioner": name, selected: "n", "a": "b"});
    admin.0.create(claim("own", by(OURS), "")).await;
    admin.0.create(claim("by-hand", json!({}), "made-by-hand")).await;
    admin.0.create(claim("other", by("somebody.example"), "")).await;
    admin.0.create(claim("open", json!({selected: "n"}), "")).await;

    let (kind, status) = ("PersistentVolumeClaim", "PersistentVolumeClaim/status");
    let without_node = json!({"metadata": {"annotations": {selected: null}}});
    let grown = json!({"status": {"capacity": {"storage": "2Gi"}, "allocatedResources": {"storage": "2Gi"},
        "allocatedResourceStatuses": {"storage": "NodeResizePending"},
        "conditions": [{"type": "FileSystemResizePending", "status": "True"}]}});
    assert_eq!(controller.patches(kind, "own", &without_node).await, "");
    for name in ["own", "by-hand"] {
        assert_eq!(controller.patches(status, name, &grown).await, "", "{name}");
    }
    for (name, whose) in [("other", "for 'somebody.example'"), ("open", "for ''")] {
        for (kind, patch) in [(kind, &without_node), (status, &grown)] {
            let said = controller.patches(kind, name, patch).await;
            assert!(said.starts_with("403") && said.contains(whose), "{name} {kind}: {said}");
            assert_eq!(admin.patches(kind, name, patch).await, "", "nobody else is refused");
        }
    }
    for refused in [
        json!({"metadata": {"annotations": {selected: "another"}}}),
        json!({"metadata": {"annotations": {"a": null}}}),
        json!({"metadata": {"annotations": {"a": "c"}}}),
        json!({"metadata": {"annotations": {"new": "b"}}}),
        json!({"metadata": {"labels": {"a": "b"}}}),
        json!({"metadata": {"finalizers": null}}),
        json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}]}}),
        json!({"spec": {"volumeName": "another"}}),
    ] {
        for of in [kind, status] {
            // A status has no spec: there it is left as it is.
            if of == status && !refused["spec"].is_null() {
                continue;
            }
            let said = controller.patches(of, "own", &refused).await;
            assert!(
                said.starts_with("403")
                    && said.contains("nothing of a PersistentVolumeClaim but take its selected node"),
                "{of} {refused}: {said}"
            );
        }
        assert_eq!(admin.patches(kind, "own", &refused).await, "", "nobody else is refused: {refused}");
    }
    for refused in
        [json!({"status": {"phase": "Bound"}}), json!({"status": {"accessModes": ["ReadWriteMany"]}})]
    {
        let said = controller.patches(status, "own", &refused).await;
        assert!(
            said.starts_with("403") && said.contains("status but its sizes and conditions"),
            "{refused}: {said}"
        );
        assert_eq!(admin.patches(status, "own", &refused).await, "", "nobody else is refused: {refused}");
    }
    for said in
        [controller.creates(&claim("new", json!({}), "")).await, controller.deletes(kind, "own").await]
    {
        assert!(said.starts_with("403"), "{said}");
    }
}
