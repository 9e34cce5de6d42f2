use super::*;
use crate::policy::{PolicySet, embedded_baseline};
use serde_json::{Value, json};

fn policies() -> PolicySet {
    PolicySet::build(vec![embedded_baseline().unwrap()]).unwrap()
}

fn map_of(objects: &[Value]) -> StorageMap {
    let policies = policies();
    let mut builder = Builder::new(&policies, jiff::civil::date(2026, 11, 29), "default");
    objects.iter().for_each(|object| builder.note(object));
    objects.iter().for_each(|object| builder.add(object));
    builder.finish()
}

fn what_if(map: &StorageMap, event: &str) -> WhatIf {
    map.what_if(&event.parse().unwrap()).unwrap()
}

fn node(name: &str, zone: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {
        "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone, "disk": name}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
}

/// Three nodes in two zones, a class of each sort.
fn cluster() -> Vec<Value> {
    let class = |name: &str, provisioner: &str| {
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
               "provisioner": provisioner, "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer"})
    };
    vec![
        node("n1", "a"),
        node("n2", "a"),
        node("n3", "b"),
        class("local-path", "rancher.io/local-path"),
        class("disk", "ebs.csi.aws.com"),
        class("share", "nfs.csi.k8s.io"),
        class("manual", "kubernetes.io/no-provisioner"),
    ]
}

fn on(labels: &[(&str, &str)]) -> Value {
    let expressions: Vec<Value> =
        labels.iter().map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]})).collect();
    json!({"required": {"nodeSelectorTerms": [{"matchExpressions": expressions}]}})
}

fn local(name: &str, claim: Option<&str>, node: &str, reclaim: &str) -> Value {
    let mut volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {"capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local-path",
                 "persistentVolumeReclaimPolicy": reclaim, "local": {"path": format!("/data/{name}")},
                 "nodeAffinity": on(&[("kubernetes.io/hostname", node)])},
        "status": {"phase": if claim.is_some() { "Bound" } else { "Available" }}});
    if let Some(claim) = claim {
        volume["spec"]["claimRef"] = json!({"namespace": "shop", "name": claim, "uid": "u"});
    }
    volume
}

fn network(name: &str, claim: &str, class: &str, driver: &str, affinity: Option<Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {"capacity": {"storage": "20Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": class,
                 "persistentVolumeReclaimPolicy": "Delete", "csi": {"driver": driver}, "nodeAffinity": affinity,
                 "claimRef": {"namespace": "shop", "name": claim, "uid": "u"}},
        "status": {"phase": "Bound"}})
}

fn claim(name: &str, class: &str, volume: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "shop", "uid": "u"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": class, "volumeName": volume,
                 "resources": {"requests": {"storage": "10Gi"}}},
        "status": {"phase": "Bound"}})
}

/// A workload of that kind, whose pods have this spec.
fn workload(kind: &str, name: &str, pod: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "shop", "uid": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}},
                 "template": {"metadata": {"labels": {"app": name}}, "spec": pod}}})
}

fn pod_of(owner: &Value, name: &str, node: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["nodeName"] = json!(node);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop",
        "labels": owner["spec"]["template"]["metadata"]["labels"],
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": owner["kind"], "name": owner["metadata"]["name"],
                             "uid": owner["metadata"]["uid"], "controller": true}]},
        "spec": spec, "status": {"phase": "Running"}})
}

/// A container at whose path a pod volume is mounted.
fn spec(image: &str, path: &str, volume: Value) -> Value {
    json!({"containers": [{"name": "c", "image": image, "volumeMounts": [{"name": "data", "mountPath": path}]}],
           "volumes": [volume]})
}

fn of_claim(claim: &str) -> Value {
    json!({"name": "data", "persistentVolumeClaim": {"claimName": claim}})
}

/// A StatefulSet of one Redis on n1 whose claim has that volume.
fn redis(volume: Value, class: &str) -> Vec<Value> {
    let template = json!({"containers": [{"name": "c", "image": "redis:7", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]});
    let mut set = workload("StatefulSet", "redis", &template);
    set["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": "10Gi"}}}}]);
    let pod = pod_of(&set, "redis-0", "n1", &spec("redis:7", "/data", of_claim("data-redis-0")));
    let name = volume["metadata"]["name"].as_str().unwrap().to_owned();
    vec![set, pod, claim("data-redis-0", class, &name), volume]
}

/// A Deployment of one pod on n1.
fn deployment(name: &str, pod: &Value) -> Vec<Value> {
    let owner = workload("Deployment", name, pod);
    let made = pod_of(&owner, &format!("{name}-x"), "n1", pod);
    vec![owner, made]
}

fn with(mut objects: Vec<Value>) -> StorageMap {
    objects.extend(cluster());
    map_of(&objects)
}

fn held(data: &[LostData]) -> Vec<String> {
    data.iter().map(|data| format!("{} {}", data.what, data.data_of.as_deref().unwrap_or("-"))).collect()
}

fn pods(groups: &[PodGroup]) -> Vec<&str> {
    groups.iter().flat_map(|group| &group.pods).map(String::as_str).collect()
}

/// What becomes of the one pod.
fn outcome(result: &WhatIf) -> &'static str {
    let lists = [
        (&result.stranded, "stranded"),
        (&result.back_empty, "empty"),
        (&result.back, "back"),
        (&result.gone, "gone"),
        (&result.unknown, "unknown"),
    ];
    let mut found = lists.into_iter().filter(|(list, _)| !list.is_empty()).map(|(_, word)| word);
    let first = found.next().unwrap_or("untouched");
    assert_eq!(found.next(), None, "{result:?}");
    first
}

#[test]
fn a_stateful_set_on_a_lost_disk_is_stranded_and_its_data_lost() {
    let map = with(redis(local("pv-1", Some("data-redis-0"), "n1", "Delete"), "local-path"));
    let lost = what_if(&map, "node=n1");
    assert_eq!(held(&lost.lost), ["claim shop/data-redis-0 Redis"]);
    assert_eq!(lost.lost[0].size.as_deref(), Some("10Gi"));
    assert_eq!((lost.lost_bytes, outcome(&lost)), (10 << 30, "stranded"));
    assert!(lost.stranded[0].why.contains("pv-1, which no other node can use"), "{lost:?}");
    assert_eq!(lost.stranded[0].products, ["Redis"]);
    // Another node's loss touches nothing of it.
    let other = what_if(&map, "node=n2");
    assert_eq!((other.lost.len(), outcome(&other)), (0, "untouched"));
    assert_eq!(other.untouched.len(), 1);
    // A drained node keeps the data, and the pod waits.
    let drained = what_if(&map, "drain=n1");
    assert_eq!(
        (held(&drained.lost).len(), held(&drained.out_of_reach)),
        (0, vec!["claim shop/data-redis-0 Redis".into()])
    );
    assert_eq!((outcome(&drained), drained.lost_bytes), ("stranded", 0));
}

#[test]
fn a_stateful_set_on_network_storage_moves_with_its_data() {
    let map = with(redis(network("pv-1", "data-redis-0", "disk", "ebs.csi.aws.com", None), "disk"));
    let lost = what_if(&map, "node=n1");
    assert_eq!((held(&lost.lost).len(), outcome(&lost)), (0, "back"));
    // The storage of the class itself is another matter.
    let class = what_if(&map, "class=disk");
    assert_eq!(
        (held(&class.lost), outcome(&class)),
        (vec!["claim shop/data-redis-0 Redis".into()], "stranded")
    );
    assert_eq!(outcome(&what_if(&map, "class=share")), "untouched");
}

#[test]
fn zonal_storage_is_out_of_reach_without_its_zone_alone() {
    let zone = on(&[("topology.kubernetes.io/zone", "a")]);
    let map = with(redis(network("pv-1", "data-redis-0", "disk", "ebs.csi.aws.com", Some(zone)), "disk"));
    assert_eq!(outcome(&what_if(&map, "node=n1")), "back", "n2 is in the same zone");
    let zone = what_if(&map, "zone=a");
    assert_eq!(
        (held(&zone.lost).len(), held(&zone.out_of_reach)),
        (0, vec!["claim shop/data-redis-0 Redis".into()])
    );
    assert_eq!(outcome(&zone), "stranded");
    assert_eq!(outcome(&what_if(&map, "zone=b")), "untouched");
    assert!(map.what_if(&"zone=c".parse().unwrap()).is_err());
}

#[test]
fn what_ends_with_a_pod_is_lost_wherever_the_pod_goes() {
    for (volume, backing) in [
        (json!({"name": "data", "emptyDir": {}}), "emptyDir data"),
        (json!({"name": "data", "emptyDir": {"medium": "Memory"}}), "emptyDir data in memory"),
    ] {
        let map = with(deployment("cache", &spec("redis:7", "/data", volume)));
        for event in ["node=n1", "drain=n1"] {
            let result = what_if(&map, event);
            assert_eq!(
                (held(&result.lost), outcome(&result)),
                (vec![format!("{backing} Redis")], "empty"),
                "{event}"
            );
        }
        assert_eq!(outcome(&what_if(&map, "node=n3")), "untouched");
    }
    // The same in the writable layer; a program that keeps nothing loses nothing.
    let bare = |image: &str| json!({"containers": [{"name": "c", "image": image}]});
    let result = what_if(&with(deployment("db", &bare("postgres:17"))), "node=n1");
    assert_eq!((held(&result.lost).len(), outcome(&result)), (1, "empty"), "{result:?}");
    let result = what_if(&with(deployment("web", &bare("nginx:1"))), "node=n1");
    assert_eq!((held(&result.lost).len(), outcome(&result)), (0, "back"));
}

#[test]
fn a_host_path_is_lost_with_its_node_and_out_of_sight_after_a_drain() {
    let volume = json!({"name": "data", "hostPath": {"path": "/srv/redis"}});
    let map = with(deployment("cache", &spec("redis:7", "/data", volume)));
    let lost = what_if(&map, "node=n1");
    assert_eq!((held(&lost.lost), outcome(&lost)), (vec!["hostPath /srv/redis Redis".into()], "empty"));
    let drained = what_if(&map, "drain=n1");
    assert_eq!(
        (held(&drained.lost).len(), held(&drained.out_of_reach)),
        (0, vec!["hostPath /srv/redis Redis".into()])
    );
    assert_eq!(outcome(&drained), "empty");
}

#[test]
fn a_retained_local_volume_is_lost_with_its_node_and_kept_without_its_claim() {
    let mut volume = local("pv-1", Some("data"), "n1", "Retain");
    volume["spec"]["storageClassName"] = json!("manual");
    let mut objects = deployment("db", &spec("postgres:17", "/var/lib/postgresql/data", of_claim("data")));
    objects.extend([claim("data", "manual", "pv-1"), volume]);
    let map = with(objects);
    let lost = what_if(&map, "node=n1");
    assert_eq!((held(&lost.lost), outcome(&lost)), (vec!["claim shop/data PostgreSQL".into()], "stranded"));
    // Without its claim the volume stays, and nothing makes the claim of a Deployment again.
    let deleted = what_if(&map, "claim=shop/data");
    assert_eq!((held(&deleted.lost).len(), held(&deleted.out_of_reach).len()), (0, 1));
    assert_eq!(outcome(&deleted), "stranded");
    assert!(map.what_if(&"claim=shop/dta".parse().unwrap()).unwrap_err().contains("did you mean shop/data"));
}

#[test]
fn a_stateful_set_gets_a_new_claim_and_it_is_empty() {
    let map = with(redis(network("pv-1", "data-redis-0", "disk", "ebs.csi.aws.com", None), "disk"));
    let deleted = what_if(&map, "claim=shop/data-redis-0");
    assert_eq!((held(&deleted.lost).len(), outcome(&deleted)), (1, "empty"));
    // Of a class whose volumes nobody makes it waits for a free one.
    let mut volume = local("pv-1", Some("data-redis-0"), "n1", "Retain");
    volume["spec"]["storageClassName"] = json!("manual");
    let mut objects = redis(volume, "manual");
    let waiting = what_if(&with(objects.clone()), "claim=shop/data-redis-0");
    assert_eq!((held(&waiting.out_of_reach).len(), outcome(&waiting)), (1, "stranded"));
    let mut free = local("pv-2", None, "n2", "Retain");
    free["spec"]["storageClassName"] = json!("manual");
    objects.push(free);
    assert_eq!(outcome(&what_if(&with(objects), "claim=shop/data-redis-0")), "empty");
}

#[test]
fn a_daemon_set_ends_with_its_node_and_stays_through_a_drain() {
    let pod = spec("fluentd", "/buffer", json!({"name": "data", "hostPath": {"path": "/var/buffer"}}));
    let owner = workload("DaemonSet", "logs", &pod);
    let objects = ["n1", "n2"].map(|node| pod_of(&owner, &format!("logs-{node}"), node, &pod));
    let map = with([vec![owner.clone()], objects.into()].concat());
    let lost = what_if(&map, "node=n1");
    assert_eq!(
        (pods(&lost.gone), held(&lost.lost)),
        (vec!["logs-n1"], vec!["hostPath /var/buffer -".into()])
    );
    assert_eq!(outcome(&what_if(&map, "drain=n1")), "untouched");
}

#[test]
fn a_share_is_not_touched_by_the_loss_of_a_node() {
    let mut objects = deployment("web", &spec("wordpress", "/var/www/html", of_claim("files")));
    objects
        .extend([claim("files", "share", "pv-1"), network("pv-1", "files", "share", "nfs.csi.k8s.io", None)]);
    let map = with(objects);
    let lost = what_if(&map, "node=n1");
    assert_eq!((held(&lost.lost).len(), outcome(&lost)), (0, "back"), "{lost:?}");
    let class = what_if(&map, "class=share");
    assert_eq!((held(&class.lost).len(), outcome(&class)), (1, "stranded"));
}

#[test]
fn orphans_are_on_the_map_and_go_with_their_node() {
    let mut released = local("pv-old", Some("gone"), "n1", "Retain");
    released["status"]["phase"] = json!("Released");
    let map =
        with(vec![released, local("pv-free", None, "n1", "Delete"), local("pv-else", None, "n2", "Delete")]);
    let orphans: Vec<_> =
        map.volumes.iter().filter_map(|volume| Some((volume.name.as_str(), volume.orphan?))).collect();
    assert_eq!(orphans, [("pv-else", "available"), ("pv-free", "available"), ("pv-old", "released")]);
    let lost = what_if(&map, "node=n1");
    assert_eq!(held(&lost.lost), ["volume pv-free -", "volume pv-old -"]);
    assert_eq!(lost.lost_bytes, 10 << 30, "a free volume holds nothing");
    assert_eq!(held(&what_if(&map, "node=n2").lost), ["volume pv-else -"]);
    assert_eq!(held(&what_if(&map, "drain=n1").out_of_reach), [""; 0]);
}

#[test]
fn a_pod_that_asks_for_the_lost_node_is_stranded() {
    let mut pod = spec("nginx", "/cache", json!({"name": "data", "emptyDir": {}}));
    pod["nodeSelector"] = json!({"disk": "n1"});
    assert_eq!(outcome(&what_if(&with(deployment("web", &pod)), "node=n1")), "stranded");
    pod["nodeSelector"] = json!({"topology.kubernetes.io/zone": "a"});
    let map = with(deployment("web", &pod));
    assert_eq!(outcome(&what_if(&map, "node=n1")), "empty");
    assert_eq!(outcome(&what_if(&map, "zone=a")), "stranded");
}

#[test]
fn taints_and_anti_affinity_leave_a_pod_no_node() {
    let pod = spec("nginx", "/cache", json!({"name": "data", "emptyDir": {}}));
    let tainted = |tolerations: Value| {
        let mut pod = pod.clone();
        pod["tolerations"] = tolerations;
        let mut other = node("n2", "a");
        other["spec"] = json!({"taints": [{"key": "for", "value": "gpu", "effect": "NoSchedule"}]});
        let objects = [deployment("web", &pod), vec![node("n1", "a"), other]].concat();
        outcome(&what_if(&map_of(&objects), "node=n1"))
    };
    assert_eq!(tainted(json!([])), "stranded");
    assert_eq!(tainted(json!([{"key": "for", "operator": "Exists"}])), "empty");
    assert_eq!(tainted(json!([{"key": "for", "operator": "Equal", "value": "cpu"}])), "stranded");

    let mut apart = pod.clone();
    apart["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}]}});
    let owner = workload("Deployment", "web", &apart);
    let of = |nodes: &[&str]| {
        let made = nodes.iter().map(|node| pod_of(&owner, &format!("web-{node}"), node, &apart));
        outcome(&what_if(&with([owner.clone()].into_iter().chain(made).collect()), "node=n1"))
    };
    assert_eq!(of(&["n1", "n2", "n3"]), "stranded");
    assert_eq!(of(&["n1", "n2"]), "empty");
}

#[test]
fn the_claim_of_an_ephemeral_volume_goes_with_its_pod() {
    let template = json!({"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "disk",
                                   "resources": {"requests": {"storage": "10Gi"}}}});
    let pod =
        spec("redis:7", "/data", json!({"name": "data", "ephemeral": {"volumeClaimTemplate": template}}));
    let mut claim = claim("cache-x-data", "disk", "pv-1");
    claim["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "Pod", "name": "cache-x", "uid": "p", "controller": true}]);
    let mut objects = deployment("cache", &pod);
    objects.extend([claim, network("pv-1", "cache-x-data", "disk", "ebs.csi.aws.com", None)]);
    let map = with(objects);
    let drained = what_if(&map, "drain=n1");
    assert_eq!(outcome(&drained), "empty");
    assert!(held(&drained.lost).contains(&"claim shop/cache-x-data Redis".to_owned()), "{drained:?}");
    assert_eq!(what_if(&map, "drain=n2").lost, []);
}

#[test]
fn a_bare_pod_is_gone_and_a_finished_one_is_not_there() {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "namespace": "shop"},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "redis:7"}]}, "status": {"phase": "Running"}});
    let lost = what_if(&with(vec![pod.clone()]), "node=n1");
    assert_eq!((outcome(&lost), lost.lost.len()), ("gone", 1));
    pod["status"]["phase"] = json!("Succeeded");
    assert_eq!(with(vec![pod]).workloads.len(), 0);
}

#[test]
fn manifests_alone_tie_pods_to_the_disks_of_their_claims() {
    // Neither pods nor nodes are known; the volume waits for the claim of the set.
    let mut volume = local("pv-1", Some("data-redis-0"), "n1", "Retain");
    volume["spec"]["claimRef"].as_object_mut().unwrap().remove("uid");
    volume["spec"]["storageClassName"] = json!("manual");
    volume["status"] = json!({});
    let mut set = redis(volume.clone(), "manual").swap_remove(0);
    set["spec"]["replicas"] = json!(2);
    let map = map_of(&[set, volume]);
    assert_eq!(
        map.nodes.iter().map(|node| (node.name.as_str(), node.exists)).collect::<Vec<_>>(),
        [("n1", false)]
    );
    let lost = what_if(&map, "node=n1");
    assert_eq!(
        (pods(&lost.stranded), held(&lost.lost)),
        (vec!["redis-0"], vec!["claim shop/data-redis-0 Redis".into()])
    );
    assert!(lost.notes.iter().any(|note| note.contains("without a node in the input: 2")), "{lost:?}");
}

#[test]
fn an_event_is_written_as_kind_and_name() {
    for (text, is_good) in [
        ("node=n1", true),
        ("drain=n1", true),
        ("zone=a", true),
        ("class=c", true),
        ("claim=a/b", true),
        ("claim=b", false),
        ("claim=/b", false),
        ("node=", false),
        ("disk=a", false),
        ("n1", false),
    ] {
        let read = text.parse::<Event>();
        assert_eq!(read.is_ok(), is_good, "{text}");
        if let Ok(event) = read {
            assert_eq!(event.to_string(), text);
        }
    }
}

#[test]
fn names_from_a_cluster_cannot_change_the_page() {
    let bad = "x\"><script>alert(1)</script><img src=x onerror='a'>\u{202e}&";
    let mut objects =
        deployment("cache", &spec("redis:7", "/data<i>", json!({"name": "data", "emptyDir": {}})));
    for object in &mut objects {
        object["metadata"]["name"] = json!(bad);
        object["metadata"]["namespace"] = json!(bad);
    }
    objects.push(node(bad, bad));
    objects.push(local(bad, Some(bad), bad, "Delete"));
    let map = map_of(&objects);
    let events = [what_if(&map, &format!("node={bad}")), what_if(&map, &format!("zone={bad}"))];
    let page = html(&map, &events, bad);
    for sign in ["<script", "<img", "onerror='", "\u{202e}", "<i>", "http://", "https://", "url("] {
        assert!(!page.contains(sign), "{sign}");
    }
    assert!(page.contains("&lt;script&gt;") && page.contains("\\u{202e}"));
    assert!(page.contains("default-src 'none'"));
    // The words stand beside the colours.
    for word in ["Lost", "not touched", "container", "writable layer"] {
        assert!(page.contains(word), "{word}");
    }
}

/// As many pods of as many workloads on as many nodes, alike or each another.
fn large(pods: usize, workloads: usize, nodes: usize, alike: bool) -> Vec<Value> {
    let mut objects: Vec<Value> =
        (0..nodes).map(|at| node(&format!("node-{at}"), &format!("zone-{}", at % 3))).collect();
    for at in 0..workloads {
        let path = if alike { "/data".to_owned() } else { format!("/data/<{at}>/{}", "\"long\"".repeat(40)) };
        let name = format!("workload-{at}");
        let pod = spec("redis:7", &path, json!({"name": "data", "emptyDir": {}}));
        let owner = workload("Deployment", &name, &pod);
        for of in 0..pods / workloads {
            let node = format!("node-{}", (at + of * 7) % nodes);
            objects.push(pod_of(&owner, &format!("{name}-{of}"), &node, &pod));
        }
        objects.push(owner);
    }
    objects
}

#[test]
fn the_page_is_bounded_and_what_is_alike_is_one_card() {
    let map = map_of(&large(2_000, 500, 100, true));
    let events = [what_if(&map, "zone=zone-1")];
    let page = html(&map, &events, "test");
    assert!(page.len() < 180_000, "{} bytes", page.len());
    assert!(page.contains("and 499 alike"), "one card for all");
    // However different they are, and however much escaping takes.
    let map = map_of(&large(3_000, 3_000, 3_000, false));
    let events = ["node=node-1", "zone=zone-1", "drain=node-2"].map(|event| what_if(&map, event));
    let page = html(&map, &events, "test");
    assert!(page.len() <= MOST_BYTES, "{} bytes", page.len());
    assert!(page.contains("groups of workloads are not shown"), "{} bytes", page.len());
    assert!(page.ends_with("</html>\n"));
    let whole: Value = serde_json::from_str(&map.json(&events).unwrap()).unwrap();
    assert_eq!(whole["workloads"].as_array().unwrap().len(), 3_000);
    assert_eq!(whole["whatIf"][0]["event"], "node=node-1");
}

#[test]
fn what_is_compared_grows_with_the_workloads_and_not_with_their_pods() {
    // Steps, not seconds: pods that ask for the same are held against the nodes once.
    let mut objects = large(4_000, 4, 400, true);
    for object in objects.iter_mut().filter(|object| object["kind"] == "Deployment") {
        object["spec"]["template"]["spec"]["nodeSelector"] = json!({"topology.kubernetes.io/zone": "zone-0"});
    }
    let map = map_of(&objects);
    let result = what_if(&map, "zone=zone-1");
    assert_eq!(pods(&result.unknown), [""; 0]);
    assert!(what_if::steps(&map, &"zone=zone-1".parse().unwrap()) < 10_000);
}
