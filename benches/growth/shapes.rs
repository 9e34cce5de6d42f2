//! Files whose size is up to whoever writes them, each of one shape: the bench and the test of how cost grows take the
//! same ones.

use serde_json::{Value, json};
use std::fmt::Write;

/// A way to make a file larger.
pub struct Shape {
    pub name: &'static str,
    /// The file with so many of what it is about.
    pub file: fn(usize) -> String,
}

/// All shapes.
pub const SHAPES: &[Shape] = &[
    Shape { name: "containers", file: containers },
    Shape { name: "containers of a policy's own data", file: labelled_containers },
    Shape { name: "containers at a product's directory", file: homes },
    Shape { name: "variables", file: variables },
    Shape { name: "containers that read one ConfigMap, and its lines", file: containers_and_lines },
    Shape { name: "pods that read one ConfigMap, and its YAML", file: pods_and_yaml },
    Shape { name: "pods that run one script, and its lines", file: pods_and_script },
    Shape { name: "containers with envFrom, and the keys of one ConfigMap", file: containers_and_keys },
    Shape { name: "mounts", file: mounts },
    Shape { name: "mounts in a StatefulSet", file: set_mounts },
    Shape { name: "mounts beneath a data directory", file: partial_mounts },
    Shape { name: "mounts that name nothing", file: dangling },
    Shape { name: "mounts without anything", file: empty_mounts },
    Shape { name: "mounts at one path", file: same_path },
    Shape { name: "mounts of one hostPath of a long path", file: one_host_path },
    Shape { name: "hostPaths and their mounts", file: host_paths },
    Shape { name: "pod volumes and mounts of one name", file: same_name },
    Shape { name: "pod volumes without anything", file: empty_volumes },
    Shape { name: "pod volumes of a long unknown type and mounts", file: long_type },
    Shape { name: "emptyDirs in memory and containers", file: memory },
    Shape { name: "API tokens and fields of the spec", file: tokens },
    Shape { name: "ephemeral volumes", file: ephemeral },
    Shape { name: "templates", file: templates },
    Shape { name: "access modes", file: access_modes },
    Shape { name: "claims with a node each", file: claims_apart },
    Shape { name: "claims of one node", file: claims_together },
    Shape { name: "claims in zones that overlap", file: claims_overlapping },
    Shape { name: "claims of several writers", file: shared_claims },
    Shape { name: "mounts of a claim of a static class and its free volumes", file: static_mounts },
    Shape { name: "free volumes", file: free_volumes },
    Shape { name: "pods and free volumes", file: pods_and_free_volumes },
    Shape { name: "claims of one pod and free volumes", file: claims_and_free_volumes },
    Shape { name: "pods and nodes", file: pods_and_nodes },
    Shape { name: "affinity terms", file: terms },
    Shape { name: "affinity terms and terms of the volume", file: terms_of_both },
    Shape { name: "affinity terms and labels of nodeSelector", file: terms_and_labels },
    Shape { name: "requirements on one label (NotIn)", file: not_in },
    Shape { name: "requirements on one label (In)", file: is_in },
    Shape { name: "requirements on as many labels", file: labels },
    Shape { name: "values of one requirement", file: values },
    Shape { name: "claims and requirements", file: claims_and_requirements },
    Shape { name: "refused objects, a document each", file: refused },
    Shape { name: "refused objects of one List", file: refused_list },
    Shape { name: "refused objects on one line", file: refused_line },
    Shape { name: "claims to be changed, a document each", file: claims_to_fix },
    Shape { name: "claims to be changed in one List", file: claims_to_fix_list },
    Shape { name: "items of a typed list", file: typed_list },
    Shape { name: "labels", file: own_labels },
    Shape { name: "documents of nothing", file: empty_documents },
    Shape { name: "documents that are no objects", file: no_objects },
    Shape { name: "documents that cannot be read", file: unreadable },
    Shape { name: "keys that are there twice", file: duplicates },
    Shape { name: "aliases", file: aliases },
    Shape { name: "aliases as keys", file: alias_keys },
    Shape { name: "anchors within anchors", file: anchors },
    Shape { name: "merge keys", file: merges },
    Shape { name: "small maps", file: small_maps },
    Shape { name: "small maps behind an anchor", file: small_maps_anchored },
    Shape { name: "depth", file: depth },
    Shape { name: "tags", file: tags },
    Shape { name: "comments", file: comments },
    Shape { name: "lines of a block", file: block },
    Shape { name: "lines of a plain scalar", file: plain },
    Shape { name: "blanks", file: blanks },
    Shape { name: "an open quote", file: quote },
    Shape { name: "digits", file: digits },
    Shape { name: "a long key", file: long_key },
    Shape { name: "signs of keys", file: complex_keys },
];

fn pod(containers: Vec<Value>, volumes: Vec<Value>, more: Value) -> Value {
    let mut spec = json!({"containers": containers, "volumes": volumes});
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}, "spec": spec})
}

fn each(count: usize, item: impl Fn(usize) -> Value) -> Vec<Value> {
    (0..count).map(item).collect()
}

fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

fn mount(n: usize) -> Value {
    json!({"name": format!("v{n}"), "mountPath": format!("/m/{n}")})
}

fn empty_dir(n: usize) -> Value {
    json!({"name": format!("v{n}"), "emptyDir": {}})
}

fn containers(count: usize) -> String {
    pod(each(count, |n| json!({"name": format!("c{n}"), "image": "redis:7"})), Vec::new(), json!({}))
        .to_string()
}

fn labelled_containers(count: usize) -> String {
    let container = |n: usize| json!({"name": format!("c{n}"), "image": "own/app", "volumeMounts": [{"name": "v0", "mountPath": "/x"}]});
    let mut pod = pod(each(count, container), each(1, empty_dir), json!({}));
    pod["metadata"]["labels"] = json!({"data": "own"});
    pod.to_string()
}

fn homes(count: usize) -> String {
    let container = |n: usize| json!({"name": format!("c{n}"), "image": "own/app", "volumeMounts": [{"name": format!("v{n}"), "mountPath": "/var/lib/mysql"}]});
    pod(each(count, container), each(count, empty_dir), json!({})).to_string()
}

fn variables(count: usize) -> String {
    let env = each(count, |n| json!({"name": format!("V{n}"), "value": "x"}));
    pod(vec![json!({"name": "c", "image": "postgres:17", "env": env})], Vec::new(), json!({})).to_string()
}

fn mounts(count: usize) -> String {
    let container = json!({"name": "c", "image": "redis:7", "volumeMounts": each(count, mount)});
    pod(vec![container], each(count, empty_dir), json!({})).to_string()
}

fn set_mounts(count: usize) -> String {
    let container = json!({"name": "c", "image": "own/app", "volumeMounts": each(count, mount)});
    let template = json!({"spec": pod(vec![container], each(count, empty_dir), json!({}))["spec"]});
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}, "spec": {"template": template}})
        .to_string()
}

fn partial_mounts(count: usize) -> String {
    let mounts = each(count, |n| json!({"name": "v0", "mountPath": format!("/data/{n}")}));
    let container = json!({"name": "c", "image": "redis:7", "volumeMounts": mounts});
    pod(vec![container], each(1, empty_dir), json!({})).to_string()
}

fn dangling(count: usize) -> String {
    pod(vec![json!({"name": "c".repeat(200), "volumeMounts": each(count, mount)})], Vec::new(), json!({}))
        .to_string()
}

fn empty_mounts(count: usize) -> String {
    pod(vec![json!({"name": "c", "volumeMounts": each(count, |_| json!({}))})], Vec::new(), json!({}))
        .to_string()
}

fn same_path(count: usize) -> String {
    let mounts = each(count, |_| json!({"name": "v0", "mountPath": "/m"}));
    pod(vec![json!({"name": "c", "volumeMounts": mounts})], each(1, empty_dir), json!({})).to_string()
}

fn one_host_path(count: usize) -> String {
    let mounts = each(count, |n| json!({"name": "v", "mountPath": format!("/m/{n}")}));
    let volume = json!({"name": "v", "hostPath": {"path": format!("/var/log/{}", "x".repeat(count * 20))}});
    pod(vec![json!({"name": "c", "volumeMounts": mounts})], vec![volume], json!({})).to_string()
}

fn host_paths(count: usize) -> String {
    let volume = |n: usize| json!({"name": format!("v{n}"), "hostPath": {"path": "/var/log"}});
    pod(vec![json!({"name": "c", "volumeMounts": each(count, mount)})], each(count, volume), json!({}))
        .to_string()
}

fn same_name(count: usize) -> String {
    let mounts = each(count, |n| json!({"name": "v", "mountPath": format!("/m/{n}")}));
    let volumes = each(count, |n| match n % 3 {
        0 => json!({"name": "v", "hostPath": {"path": "/var/log"}}),
        1 => json!({"name": "v", "emptyDir": {"medium": "Memory"}}),
        _ => json!({"name": "v", "persistentVolumeClaim": {"claimName": "c"}}),
    });
    let template =
        json!({"spec": pod(vec![json!({"name": "c", "volumeMounts": mounts})], volumes, json!({}))["spec"]});
    let workload = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "s"}, "spec": {"template": template}});
    list(&[workload, claim("c", json!({"accessModes": ["ReadWriteOnce"]}))])
}

fn empty_volumes(count: usize) -> String {
    pod(Vec::new(), each(count, |_| json!({})), json!({})).to_string()
}

fn long_type(count: usize) -> String {
    let mounts = each(count, |n| json!({"name": "v", "mountPath": format!("/data/{n}")}));
    let volume = json!({"name": "v", "x".repeat(count * 20): {}});
    let set =
        json!({"containers": [{"name": "c", "image": "redis", "volumeMounts": mounts}], "volumes": [volume]});
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}, "spec": {"template": {"spec": set}}})
        .to_string()
}

fn memory(count: usize) -> String {
    let volume =
        |n: usize| json!({"name": format!("v{n}"), "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}});
    let container = |n: usize| json!({"name": format!("c{n}"), "resources": {"limits": {"memory": "1Mi"}}, "volumeMounts": [mount(n), {"name": "v0", "mountPath": "/x"}]});
    pod(each(count, container), each(count, volume), json!({})).to_string()
}

fn tokens(count: usize) -> String {
    let source = json!({"sources": [{"serviceAccountToken": {"path": "token"}}]});
    let volumes = each(count, |n| json!({"name": format!("kube-api-access-{n}"), "projected": source}));
    let fields = (0..count).map(|n| (format!("field{n}"), json!(0))).collect();
    pod(Vec::new(), volumes, Value::Object(fields)).to_string()
}

fn ephemeral(count: usize) -> String {
    let template = json!({"spec": {"accessModes": ["ReadWriteMany"]}});
    let volumes =
        each(count, |n| json!({"name": format!("v{n}"), "ephemeral": {"volumeClaimTemplate": template}}));
    pod(vec![json!({"name": "c", "volumeMounts": each(count, mount)})], volumes, json!({})).to_string()
}

fn templates(count: usize) -> String {
    let templates = each(
        count,
        |n| json!({"metadata": {"name": format!("v{n}")}, "spec": {"accessModes": ["ReadWriteOnce"]}}),
    );
    let template = json!({"spec": {"containers": [{"name": "c", "image": "postgres:17", "volumeMounts": each(count, mount)}]}});
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"},
           "spec": {"template": template, "volumeClaimTemplates": templates}})
    .to_string()
}

fn access_modes(count: usize) -> String {
    claim("c", json!({"accessModes": each(count, |_| json!("ReadWriteOnze"))})).to_string()
}

fn claim(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"}, "spec": spec})
}

fn volume(name: &str, terms: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
           "spec": {"storageClassName": "static", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}})
}

fn requirement(key: &str, operator: &str, values: &[String]) -> Value {
    json!({"key": key, "operator": operator, "values": values})
}

fn host(node: String) -> Value {
    json!({"matchExpressions": [requirement("kubernetes.io/hostname", "In", &[node])]})
}

fn class() -> Value {
    json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "static"},
           "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"})
}

fn uses(count: usize, more: Value) -> Value {
    let uses =
        |n: usize| json!({"name": format!("v{n}"), "persistentVolumeClaim": {"claimName": format!("c{n}")}});
    pod(vec![json!({"name": "c", "volumeMounts": each(count, mount)})], each(count, uses), more)
}

/// A pod with so many bound claims, whose volumes have these terms.
fn bound(count: usize, more: Value, terms: impl Fn(usize) -> Value) -> String {
    let mut objects = vec![uses(count, more)];
    for n in 0..count {
        objects.push(claim(
            &format!("c{n}"),
            json!({"volumeName": format!("pv{n}"), "accessModes": ["ReadWriteOnce"]}),
        ));
        objects.push(volume(&format!("pv{n}"), terms(n)));
    }
    list(&objects)
}

fn claims_apart(count: usize) -> String {
    bound(count, json!({}), |n| json!([host(format!("n{n}"))]))
}

fn claims_together(count: usize) -> String {
    bound(count, json!({}), |_| json!([host("n".to_owned())]))
}

fn claims_overlapping(count: usize) -> String {
    bound(count, json!({}), |n| {
        let zone = requirement("zone", "NotIn", &[format!("z{n}")]);
        json!([{"matchExpressions": [zone]}])
    })
}

fn shared_claims(count: usize) -> String {
    let mut objects = each(count, |n| claim(&format!("c{n}"), json!({"accessModes": ["ReadWriteOnce"]})));
    let template = json!({"spec": uses(count, json!({}))["spec"]});
    objects.push(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "default"},
                        "spec": {"replicas": 3, "template": template}}));
    list(&objects)
}

fn waiting(name: &str) -> Value {
    let spec = json!({"storageClassName": "static", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    claim(name, spec)
}

fn free(count: usize) -> Vec<Value> {
    let mut objects = each(count, |n| volume(&format!("pv{n}"), json!([host(format!("n{n}"))])));
    objects.push(class());
    objects
}

fn static_mounts(count: usize) -> String {
    let mut objects = free(count);
    objects.push(waiting("c0"));
    let mounts = each(count, |n| json!({"name": "v0", "mountPath": format!("/data/{n}")}));
    let volumes = vec![json!({"name": "v0", "persistentVolumeClaim": {"claimName": "c0"}})];
    objects.push(pod(
        vec![json!({"name": "c", "image": "redis", "volumeMounts": mounts})],
        volumes,
        json!({}),
    ));
    list(&objects)
}

fn free_volumes(count: usize) -> String {
    let mut objects = free(count);
    objects.extend([waiting("c0"), uses(1, json!({}))]);
    list(&objects)
}

fn pods_and_free_volumes(count: usize) -> String {
    let mut objects = free(count);
    objects.push(waiting("c0"));
    objects.extend(each(count, |_| uses(1, json!({}))));
    list(&objects)
}

fn claims_and_free_volumes(count: usize) -> String {
    let mut objects = free(count);
    objects.extend(each(count, |n| waiting(&format!("c{n}"))));
    objects.push(uses(count, json!({})));
    list(&objects)
}

fn pods_and_nodes(count: usize) -> String {
    let labels = |n: usize| json!({"kubernetes.io/hostname": format!("n{n}")});
    let mut objects = each(
        count,
        |n| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("n{n}"), "labels": labels(n)}}),
    );
    objects.push(claim("c0", json!({"volumeName": "pv0", "accessModes": ["ReadWriteOnce"]})));
    objects.push(volume("pv0", json!([host("elsewhere".to_owned())])));
    objects.extend(each(count, |_| uses(1, json!({}))));
    list(&objects)
}

fn affinity(terms: Value) -> Value {
    json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
}

/// Terms that differ in two labels, so that none covers another.
fn distinct(label: &str, count: usize) -> Vec<Value> {
    each(count, |n| {
        let os = requirement("os", "In", &["linux".to_owned()]);
        json!({"matchExpressions": [requirement(label, "In", &[format!("x{n}")]), os]})
    })
}

fn terms(count: usize) -> String {
    bound(1, affinity(json!(distinct("rack", count))), |_| json!([host("n".to_owned())]))
}

fn terms_of_both(count: usize) -> String {
    let mut pod = affinity(json!(distinct("rack", count)));
    pod["nodeName"] = Value::Null;
    bound(1, pod, |_| json!(distinct("row", count)))
}

fn terms_and_labels(count: usize) -> String {
    let mut more = affinity(json!(distinct("rack", count)));
    let labels = (0..count).map(|n| (format!("l{n}"), json!("x"))).collect();
    more["nodeSelector"] = Value::Object(labels);
    bound(1, more, |_| json!([host("n".to_owned())]))
}

fn one_term(requirements: Vec<Value>) -> Value {
    affinity(json!([{"matchExpressions": requirements}]))
}

fn not_in(count: usize) -> String {
    let requirements = each(count, |n| requirement("kubernetes.io/hostname", "NotIn", &[format!("x{n}")]));
    bound(1, one_term(requirements), |_| json!([host("n".to_owned())]))
}

fn is_in(count: usize) -> String {
    let requirements =
        each(count, |n| requirement("kubernetes.io/hostname", "In", &["n".to_owned(), format!("x{n}")]));
    bound(1, one_term(requirements), |_| json!([host("n".to_owned())]))
}

fn labels(count: usize) -> String {
    let requirements = each(count, |n| requirement(&format!("l{n}"), "Exists", &[]));
    bound(1, one_term(requirements), |_| json!([host("n".to_owned())]))
}

fn values(count: usize) -> String {
    let values: Vec<String> = (0..count).map(|n| format!("x{n}")).collect();
    let requirements = vec![requirement("kubernetes.io/hostname", "In", &values)];
    bound(1, one_term(requirements), |_| json!([host("n".to_owned())]))
}

fn claims_and_requirements(count: usize) -> String {
    let requirements = each(count, |n| requirement(&format!("l{n}"), "In", &[format!("x{n}")]));
    bound(
        count,
        one_term(requirements),
        |n| json!([{"matchExpressions": [requirement(&format!("l{n}"), "In", &["y".to_owned()])]}]),
    )
}

const REDIS: &str =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - {name: c, image: redis}\n";

fn refused(count: usize) -> String {
    format!("{REDIS}---\n").repeat(count)
}

fn in_list(item: &str, count: usize) -> String {
    let mut text = "apiVersion: v1\nkind: List\nitems:\n".to_owned();
    for _ in 0..count {
        for (at, line) in item.lines().enumerate() {
            let _ = writeln!(text, "{}{line}", if at == 0 { "- " } else { "  " });
        }
    }
    text
}

fn refused_list(count: usize) -> String {
    in_list(REDIS, count)
}

fn refused_line(count: usize) -> String {
    list(&each(count, |_| pod(vec![json!({"name": "c", "image": "redis"})], Vec::new(), json!({}))))
}

const CLAIM: &str = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c}\nspec:\n  accessModes: [ReadWriteOnce]\n";

fn claims_to_fix(count: usize) -> String {
    format!("{CLAIM}---\n").repeat(count)
}

fn claims_to_fix_list(count: usize) -> String {
    in_list(CLAIM, count)
}

fn typed_list(count: usize) -> String {
    format!("apiVersion: v1\nkind: PodList\nitems: [{}]\n", "{a},".repeat(count))
}

fn own_labels(count: usize) -> String {
    let labels: Value =
        (0..count).map(|n| (format!("l{n}"), json!("x"))).collect::<serde_json::Map<_, _>>().into();
    let mut pod =
        pod(each(count, |n| json!({"name": format!("c{n}"), "image": "redis"})), Vec::new(), json!({}));
    pod["metadata"]["labels"] = labels.clone();
    pod["metadata"]["annotations"] = labels;
    pod.to_string()
}

fn empty_documents(count: usize) -> String {
    "---\n".repeat(count)
}

fn no_objects(count: usize) -> String {
    "a: 1\n---\n".repeat(count)
}

fn unreadable(count: usize) -> String {
    "a: [\n---\n".repeat(count)
}

fn duplicates(count: usize) -> String {
    format!("{{{}}}\n", "a,".repeat(count))
}

fn aliases(count: usize) -> String {
    format!("a: &a [x, y]\nb: [{}]\n", "*a,".repeat(count))
}

fn alias_keys(count: usize) -> String {
    let mut text = format!("a: &a {}\nb:\n", "x".repeat(count * 4));
    for _ in 0..count {
        text.push_str("  *a : 1\n");
    }
    text
}

fn anchors(count: usize) -> String {
    let mut text = String::new();
    for depth in 0..90 {
        let _ = write!(text, "&a{depth} [");
    }
    text.push_str(&"{a},".repeat(count));
    text.push_str(&"]".repeat(90));
    text.push_str(" # *\n");
    text
}

fn merges(count: usize) -> String {
    let mut text = "a: &a {b: 1, c: 2}\nd:\n".to_owned();
    for _ in 0..count {
        text.push_str("- {<<: *a, e: 3}\n");
    }
    text
}

fn small_maps(count: usize) -> String {
    format!("[{}]\n", "{a},".repeat(count))
}

fn small_maps_anchored(count: usize) -> String {
    format!("a: &a [{}]\nb: *b\n", "{a},".repeat(count))
}

fn depth(count: usize) -> String {
    "[".repeat(count)
}

fn tags(count: usize) -> String {
    format!("a: [{}]\n", "!!str x,".repeat(count))
}

fn comments(count: usize) -> String {
    format!("a: 1\n{}", "# a | > comment\n".repeat(count))
}

fn block(count: usize) -> String {
    format!("a: |\n{}", "  line\n\n".repeat(count))
}

fn plain(count: usize) -> String {
    format!("a:\n{}", "  line\n".repeat(count))
}

fn blanks(count: usize) -> String {
    format!("a: {}\nb: [{}]\n", " ".repeat(count), "x , \n ".repeat(count))
}

fn quote(count: usize) -> String {
    format!("a: \"{}", "x\\n".repeat(count))
}

fn digits(count: usize) -> String {
    format!("a: {}\nb: 1.{}\nc: [{}]\n", "7".repeat(count), "3".repeat(count), "1e30,".repeat(count))
}

fn long_key(count: usize) -> String {
    format!("{}: 1\n", "k".repeat(count.min(1000)).repeat(count.div_ceil(1000)))
}

fn complex_keys(count: usize) -> String {
    "? a\n: 1\n".repeat(count)
}

/// A ConfigMap with one key.
fn config_map(key: &str, lines: &str, count: usize) -> String {
    let text = format!("    {lines}\n").repeat(count);
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m}}\ndata:\n  {key}: |\n{text}---\n")
}

fn containers_and_lines(count: usize) -> String {
    let mut text = config_map("redis.conf", "rename-command A B", count);
    text.push_str("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  volumes: [{name: m, configMap: {name: m}}]\n  containers:\n");
    for n in 0..count {
        text.push_str(&format!("  - {{name: c{n}, image: redis, args: [/m/redis.conf], volumeMounts: [{{name: m, mountPath: /m}}]}}\n"));
    }
    text
}

/// Pods with one container each, with the ConfigMap mounted at `/m`.
fn pods(count: usize, container: &str) -> String {
    let pod = |n| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p{n}}}\nspec:\n  volumes: [{{name: m, configMap: {{name: m}}}}]\n  \
             containers: [{{name: c, {container}, volumeMounts: [{{name: m, mountPath: /m}}]}}]\n---\n"
        )
    };
    (0..count).map(pod).collect()
}

fn pods_and_yaml(count: usize) -> String {
    let loki = "image: grafana/loki, args: [-config.file=/m/loki.yaml]";
    let keys: String = (0..count).map(|n| format!("    k{n}: {{a: 1}}\n")).collect();
    let map =
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m}}\ndata:\n  loki.yaml: |\n{keys}---\n");
    map + &pods(count, loki)
}

fn pods_and_script(count: usize) -> String {
    config_map("run.sh", "mkdir -p /a/b", count) + &pods(count, "image: postgres, command: [sh, /m/run.sh]")
}

fn containers_and_keys(count: usize) -> String {
    let keys: String = (0..count).map(|n| format!("  K{n}: v\n")).collect();
    let mut text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m}}\ndata:\n{keys}---\n");
    text.push_str("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n");
    for n in 0..count {
        text.push_str(&format!(
            "  - {{name: c{n}, image: postgres, envFrom: [{{configMapRef: {{name: m}}}}]}}\n"
        ));
    }
    text
}
