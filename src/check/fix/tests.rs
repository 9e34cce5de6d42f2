//! Volumes for the data of workloads, by table: what the text becomes.

use crate::check::{Input, Repaired, Run, Wanted, component, effective};
use crate::policy::{PolicySet, embedded_baseline, load};
use crate::source::Source;
use crate::verdict::Action;
use serde_json::json;

fn baseline() -> PolicySet {
    PolicySet::build(vec![embedded_baseline().unwrap()]).unwrap()
}

fn run(policies: &PolicySet) -> Run<'_> {
    let today = jiff::civil::date(2026, 11, 23);
    Run::new(policies, today)
}

fn repair_as(text: &str, wanted: &Wanted) -> Repaired {
    let policies = baseline();
    run(&policies).repair(&[Input::new(Source::new("x.yaml", text), true)], wanted)
}

fn repair(text: &str) -> Repaired {
    repair_as(text, &Wanted::default())
}

/// The text with volumes, after it was seen that nothing is refused any more and that a second run changes nothing.
#[track_caller]
fn fixed(text: &str) -> String {
    let policies = baseline();
    let repaired = repair(text);
    assert_ne!(repaired.repairs.len(), 0, "{:?}", repaired.refused);
    let denied: Vec<String> = run(&policies)
        .check(&repaired.inputs)
        .findings
        .iter()
        .filter(|located| effective(&located.finding) == Action::Deny)
        .map(|located| located.finding.message.clone())
        .collect();
    assert!(denied.is_empty(), "{denied:?}");
    let again = run(&policies).repair(&repaired.inputs, &Wanted::default());
    assert_eq!(again.repairs.len(), 0);
    repaired.inputs[0].source.text.to_string()
}

/// Why nothing was written; the text is as it was.
#[track_caller]
fn refused(text: &str) -> String {
    let repaired = repair(text);
    assert_eq!(&*repaired.inputs[0].source.text, text);
    assert_eq!(repaired.repairs.len(), 0);
    repaired.refused.values().cloned().collect::<Vec<_>>().join("; ")
}

const SET: &str = "\
# The cache of sessions.
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: redis}
spec:
  replicas: 3 # one a zone
  selector: {matchLabels: {app: redis}}
  template:
    metadata: {labels: {app: redis}}
    spec:
      containers:
      - name: redis
        image: redis:8
        volumeMounts:
        - name: data # where it lies
          mountPath: /data
        - {name: conf, mountPath: /conf}
      volumes:
      - name: data
        emptyDir: {} # for now
      # kept
      - name: conf
        configMap: {name: conf}
---
kind: Later
apiVersion: example.com/v1
";

const TEMPLATE: &str = "  volumeClaimTemplates:
  - metadata:
      name: data
    spec:
      accessModes:
      - ReadWriteOnce
      resources:
        requests:
          storage: 8Gi
";

#[test]
fn a_stateful_set_gets_a_template_in_place_of_its_empty_dir() {
    let wanted = SET
        .replace("      - name: data\n        emptyDir: {} # for now\n", "")
        .replace("---\n", &format!("{TEMPLATE}---\n"));
    assert_eq!(fixed(SET), wanted);
    let note = repair(SET).repairs.remove(0).notes.join("");
    assert!(
        note.contains("kubectl delete sts redis --cascade=orphan") && note.contains("not carried over"),
        "{note}"
    );
    // With nothing else, the list goes too; with templates, it gets one more.
    let alone = SET.replace("      # kept\n      - name: conf\n        configMap: {name: conf}\n", "");
    let alone = alone.replace("        - {name: conf, mountPath: /conf}\n", "");
    assert!(!fixed(&alone).contains("volumes:"), "{}", fixed(&alone));
    let more = SET.replace("---\n", &format!("{}---\n", TEMPLATE.replace("name: data", "name: other")));
    assert_eq!(fixed(&more).matches("volumeClaimTemplates").count(), 1);
}

#[test]
fn what_others_mount_stays_for_them() {
    let text = SET.replace(
        "        - {name: conf, mountPath: /conf}",
        "        - {name: data, mountPath: /tmp, subPath: tmp}",
    );
    let new = fixed(&text);
    assert!(new.contains("- name: redis-data # where it lies"), "{new}");
    assert!(
        new.contains("emptyDir: {} # for now") && new.contains("{name: data, mountPath: /tmp, subPath: tmp}"),
        "{new}"
    );
    // Whoever mounts the same part goes with it.
    let text = SET.replace("      volumes:", "      - {name: backup, image: example.org/backup, volumeMounts: [{name: data, mountPath: /from, readOnly: true}]}\n      volumes:");
    let new = fixed(&text);
    assert!(
        !new.contains("emptyDir") && new.contains("volumeMounts: [{name: data, mountPath: /from"),
        "{new}"
    );
}

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
  namespace: apps
spec:
  strategy:
    type: RollingUpdate # as ever
    rollingUpdate: {maxSurge: 1}
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
        - name: db
          image: mongo:8
          ports: [{containerPort: 27017}]
";

#[test]
fn a_deployment_gets_a_claim_and_one_pod_at_a_time() {
    let wanted = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
  namespace: apps
spec:
  strategy:
    type: Recreate # as ever
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
        - name: db
          image: mongo:8
          ports: [{containerPort: 27017}]
          volumeMounts:
            - name: data
              mountPath: /data/db
      volumes:
        - name: data
          persistentVolumeClaim:
            claimName: shop-data
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: shop-data
  namespace: apps
spec:
  accessModes:
    - ReadWriteOnce
  resources:
    requests:
      storage: 8Gi
";
    assert_eq!(fixed(DEPLOYMENT), wanted);
    // The source of a pod volume changes where it stands.
    let text = DEPLOYMENT.replace("27017}]\n", "27017}]\n          volumeMounts: [{name: store, mountPath: /data/db}]\n      volumes:\n        - name: store # all of it\n          emptyDir:\n            sizeLimit: 3Gi\n");
    let new = fixed(&text);
    assert!(new.contains("        - name: store # all of it\n          persistentVolumeClaim:\n            claimName: shop-store\n---"), "{new}");
    assert!(new.contains("storage: 3Gi") && !new.contains("emptyDir"), "{new}");
    // A name that is taken gets a number.
    let claim = "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: shop-data, namespace: apps}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n";
    assert!(fixed(&format!("{DEPLOYMENT}{claim}")).contains("claimName: shop-data-2"));
}

#[test]
fn sizes_and_classes_are_as_asked_or_as_the_catalog_has_them() {
    let kafka = DEPLOYMENT.replace("mongo:8", "apache/kafka:4.1.0");
    assert!(fixed(&kafka).contains("storage: 20Gi"), "{}", fixed(&kafka));
    let wanted = Wanted { size: Some("5Gi".into()), class: Some("fast".into()), ..Wanted::default() };
    let text = repair_as(&kafka, &wanted).inputs[0].source.text.to_string();
    assert!(text.contains("storage: 5Gi\n  storageClassName: fast\n"), "{text}");
}

#[test]
fn a_new_file_system_suits_the_product() {
    // initdb refuses a directory with lost+found in it.
    let text = fixed(&DEPLOYMENT.replace("mongo:8", "postgres:16"));
    assert!(text.contains("mountPath: /var/lib/postgresql/data\n              subPath: pgdata\n"), "{text}");
    // Where the data lie beneath the image's VOLUME, the volume is mounted at that.
    let text = fixed(&DEPLOYMENT.replace("mongo:8", "rabbitmq:4"));
    assert!(text.contains("mountPath: /var/lib/rabbitmq\n") && !text.contains("subPath"), "{text}");
    let text =
        fixed(&DEPLOYMENT.replace("    spec:\n", "    spec:\n      securityContext: {runAsUser: 999}\n"));
    assert!(text.contains("securityContext: {runAsUser: 999, fsGroup: 999}"), "{text}");
    let text = fixed(
        &DEPLOYMENT
            .replace("    spec:\n", "    spec:\n      securityContext: {runAsUser: 999, fsGroup: 7}\n"),
    );
    assert!(text.contains("securityContext: {runAsUser: 999, fsGroup: 7}"), "{text}");
}

#[test]
fn several_directories_lie_on_one_claim() {
    let text = fixed(&DEPLOYMENT.replace("mongo:8", "zookeeper:3.9"));
    assert_eq!(text.matches("kind: PersistentVolumeClaim").count(), 1, "{text}");
    for path in ["/data\n              subPath: data\n", "/datalog\n              subPath: datalog\n"] {
        assert!(text.contains(path), "{text}");
    }
}

#[test]
fn a_path_is_mounted_once() {
    // One directory lies on the emptyDir, and the VOLUME of the image holds the other.
    let mounted = "          volumeMounts: [{name: d, mountPath: /var/lib/cassandra/data}]\n      volumes: [{name: d, emptyDir: {}}]\n";
    let text = fixed(&format!("{}{mounted}", DEPLOYMENT.replace("mongo:8", "cassandra:5")));
    assert_eq!(text.matches("kind: PersistentVolumeClaim").count(), 2, "{text}");
    assert_eq!(text.matches("mountPath: /var/lib/cassandra}").count(), 1, "{text}");
    assert_eq!(text.matches("mountPath: /var/lib/cassandra").count(), 2, "{text}");
}

#[test]
fn line_breaks_lists_json_and_flow_style_stay_what_they_are() {
    let new = fixed(&DEPLOYMENT.replace('\n', "\r\n"));
    assert_eq!(new.matches('\n').count(), new.matches("\r\n").count(), "{new:?}");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [crate::source::parse(DEPLOYMENT)[0].as_ref().unwrap().value]});
    let new = fixed(&format!("{list:#}"));
    let new: serde_json::Value = serde_json::from_str(&new).unwrap();
    assert_eq!(new["items"][1]["kind"], "PersistentVolumeClaim");
    let one = serde_json::to_string_pretty(&list["items"][0]).unwrap();
    let new = fixed(&one);
    let documents: Vec<_> =
        serde_json::Deserializer::from_str(&new).into_iter::<serde_json::Value>().collect();
    assert_eq!(documents.len(), 2, "{new}");
    let flow = "{apiVersion: v1, kind: Pod, metadata: {name: r}, spec: {containers: [{name: r, image: redis, volumeMounts: [{name: d, mountPath: /data}]}], volumes: [{name: d, emptyDir: {}}]}}\n";
    let new = fixed(flow);
    assert!(
        new.starts_with("{apiVersion: v1, kind: Pod,")
            && new.contains("volumes: [{name: d, persistentVolumeClaim: {claimName: r-d}}]}}\n---\n"),
        "{new}"
    );
}

#[test]
fn what_comes_from_an_anchor_is_refused_and_nothing_is_half_done() {
    let text = DEPLOYMENT
        .replace("      containers:\n", "      containers: &all\n")
        .replace("27017}]\n", "27017}]\n      initContainers: *all\n");
    let why = refused(&text);
    assert!(why.contains("failed to edit"), "{why}");
    // Beside it, what can be written is.
    let both = format!("{text}---\n{SET}");
    let repaired = repair(&both);
    assert_eq!((repaired.repairs.len(), repaired.refused.len()), (1, 1));
    let new = &*repaired.inputs[0].source.text;
    assert!(new.starts_with(&text) && new.contains("volumeClaimTemplates"), "{new}");
}

#[test]
fn where_one_claim_cannot_serve_it_is_said_why() {
    for (old, new, why) in [
        ("spec:\n  strategy", "spec:\n  replicas: 2\n  strategy", "`replicas` runs 2 of its pods at a time"),
        ("kind: Deployment", "kind: DaemonSet", "a pod on each node"),
        ("  name: shop\n", "  generateName: shop-\n", "no name of its own"),
        (
            "  name: shop\n",
            "  name: shop\n  ownerReferences: [{kind: Shop, name: s, uid: u, apiVersion: a/v1, controller: true}]\n",
            "Shop s makes it",
        ),
        ("  name: shop\n", "  name: ${NAME}\n", "its name is filled in later"),
    ] {
        let text = DEPLOYMENT.replace(old, new);
        let said = refused(&text);
        assert!(said.contains(why), "{new}: {said}");
    }
    let scaler = "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h, namespace: apps}\nspec: {maxReplicas: 4, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}}\n";
    let said = refused(&format!("{DEPLOYMENT}{scaler}"));
    assert!(said.contains("HorizontalPodAutoscaler h runs up to 4"), "{said}");
    // Of another Deployment it says nothing.
    fixed(&format!("{DEPLOYMENT}{}", scaler.replace("name: shop", "name: other")));
    let typed = "apiVersion: apps/v1\nkind: DeploymentList\nitems:\n".to_owned()
        + format!("- {}", DEPLOYMENT.replace('\n', "\n  ")).trim_end()
        + "\n";
    assert!(refused(&typed).contains("list of one kind"), "{}", refused(&typed));
    let template = typed.replace("apps/v1\nkind: DeploymentList\nitems", "v1\nkind: Template\nobjects");
    assert!(refused(&template).contains("stands in a Template"), "{}", refused(&template));
}

#[test]
fn only_what_is_refused_is_changed() {
    let policies =
        PolicySet::build(vec![
        load(&json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"},
                     "spec": {"action": "Warn", "rules": [{"durableData": {}}]}}))
        .unwrap(),
    ])
        .unwrap();
    let repaired = run(&policies).repair(&[Input::new(Source::new("x.yaml", SET), true)], &Wanted::default());
    assert_eq!((repaired.repairs.len(), &*repaired.inputs[0].source.text), (0, SET));
    // A claim is not enough for who asks for a volume that is retained: nothing is written that does not help.
    let retained =
        PolicySet::build(vec![
        load(&json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"},
                     "spec": {"rules": [{"durableData": {"require": "volume"}}]}}))
        .unwrap(),
    ])
        .unwrap();
    let class = "---\napiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: gone}\nprovisioner: example.com/p\nreclaimPolicy: Delete\n";
    let text = format!("{SET}{class}");
    let wanted = Wanted { class: Some("gone".into()), ..Wanted::default() };
    let repaired = run(&retained).repair(&[Input::new(Source::new("x.yaml", &*text), true)], &wanted);
    assert_eq!(&*repaired.inputs[0].source.text, text);
    let why = repaired.refused.values().next().unwrap();
    assert!(why.contains("refused for its data all the same"), "{why}");
}

#[test]
fn edits_make_the_text_that_is_written() {
    for text in [SET.to_owned(), DEPLOYMENT.to_owned(), DEPLOYMENT.replace('\n', "\r\n")] {
        let repaired = repair_as(&text, &Wanted { edits: true, ..Wanted::default() });
        let mut edited = text.clone();
        for edit in repaired.repairs[0].edits.iter().rev() {
            edited.replace_range(edit.spot.start..edit.spot.end, &edit.text);
        }
        assert_eq!(edited, *repaired.inputs[0].source.text);
    }
}

#[test]
fn a_component_patches_what_one_does_not_own() {
    let policies = baseline();
    let run = run(&policies);
    let rendered = Input::from_rendered("chart/templates/db.yaml", DEPLOYMENT.as_bytes());
    let kept = run.repair(std::slice::from_ref(&rendered), &Wanted::default());
    assert!(kept.refused.values().next().unwrap().contains("--as-patch"), "{:?}", kept.refused);
    let repaired = run.repair(&[rendered], &Wanted { rendered: true, ..Wanted::default() });
    let files = component(&repaired.repairs, &run.check(&repaired.inputs), |_| true);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["persistentvolumeclaim-shop-data.yaml", "deployment-shop.yaml", "kustomization.yaml"]);
    let value = |index: usize| crate::source::parse(&files[index].1)[0].as_ref().unwrap().value.clone();
    // What mutation would change in the claim is in it.
    assert_eq!(value(0)["spec"]["storageClassName"], "local-path");
    let patch: json_patch::Patch = serde_json::from_value(value(1)).unwrap();
    let mut patched = crate::source::parse(DEPLOYMENT)[0].as_ref().unwrap().value.clone();
    json_patch::patch(&mut patched, &patch).unwrap();
    assert_eq!(patched, repaired.inputs[0].documents().next().unwrap().value);
    // Where the containers are others by now, it does not apply.
    let mut other =
        crate::source::parse(&DEPLOYMENT.replace("name: db", "name: web"))[0].as_ref().unwrap().value.clone();
    assert!(json_patch::patch(&mut other, &patch).is_err());
    assert_eq!(value(2)["patches"][0]["target"]["name"], "shop");
}
