use super::super::testing::{faults, judge, judge_review, lines};
use crate::model::Operation;
use crate::rule::Review;
use crate::verdict::Verdict;
use serde_json::{Value, json};

fn pod(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "redis", "namespace": "default"}, "spec": spec})
}

fn found(params: Value, context: &[Value], object: &Value) -> Vec<String> {
    lines(&judge(json!([{"durableData": params}]), context, object))
}

fn redis(mount: Value, volume: Value) -> Value {
    pod(
        json!({"containers": [{"name": "redis", "image": "redis:7", "volumeMounts": [mount]}], "volumes": [volume]}),
    )
}

#[test]
fn the_writable_layer_dies_with_the_container() {
    let bare = pod(json!({"containers": [{"name": "redis", "image": "redis"}]}));
    assert_eq!(
        found(json!({}), &[], &bare),
        [
            "Deny spec.containers[0].image: Redis keeps its data in /data, which is in the container's writable \
             layer: lost when the container restarts"
        ]
    );
}

#[test]
fn a_mount_beneath_the_data_does_not_cover_it() {
    let object =
        redis(json!({"name": "v", "mountPath": "/data/redis"}), json!({"name": "v", "emptyDir": {}}));
    let verdict = judge(json!([{"durableData": {}}]), &[], &object);
    assert_eq!(verdict.findings[0].field.to_string(), "spec.containers[0].image");
    assert_eq!(verdict.findings[0].related[0].1, "only /data/redis is covered, not /data");
}

#[test]
fn every_kind_of_volume_has_its_durability() {
    let mount = json!({"name": "v", "mountPath": "/data"});
    let on = |source: Value| {
        let mut volume = source;
        volume["name"] = json!("v");
        found(json!({}), &[], &redis(mount.clone(), volume)).join("")
    };
    assert!(on(json!({"emptyDir": {}})).contains("lost when the pod ends"));
    assert!(on(json!({"emptyDir": {"medium": "Memory"}})).contains("tmpfs"));
    assert!(on(json!({"hostPath": {"path": "/srv"}})).contains("scheduled elsewhere"));
    assert!(
        on(json!({"ephemeral": {"volumeClaimTemplate": {"spec": {}}}})).contains("lost when the pod ends")
    );
    assert!(on(json!({"csi": {"driver": "x"}})).contains("lost when the pod ends"));
    assert_eq!(on(json!({"persistentVolumeClaim": {"claimName": "c"}})), "");
    assert_eq!(on(json!({"nfs": {"server": "s", "path": "/"}})), "");
    assert_eq!(on(json!({"configMap": {"name": "c"}})), "", "nothing can be written there");
}

#[test]
fn require_volume_looks_at_the_reclaim_policy() {
    let class = |reclaim: &str| {
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "c"},
               "provisioner": "x", "reclaimPolicy": reclaim})
    };
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "c", "namespace": "default"}, "spec": {"storageClassName": "c"}});
    let object = redis(
        json!({"name": "v", "mountPath": "/data"}),
        json!({"name": "v", "persistentVolumeClaim": {"claimName": "c"}}),
    );
    let on = |context: &[Value]| found(json!({"require": "volume"}), context, &object).join("");
    assert!(on(&[claim.clone(), class("Delete")]).starts_with("Deny"));
    assert_eq!(on(&[claim.clone(), class("Retain")]), "");
    assert!(on(&[claim]).starts_with("Warn"), "the class is not known");
    assert!(on(&[]).starts_with("Warn"), "the claim is not known");
}

#[test]
fn a_stateful_set_without_a_durable_mount_is_a_warning() {
    let set = |volumes: Value, templates: Value, mounts: Value| {
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}, "spec": {
            "template": {"spec": {"containers": [{"name": "c", "image": "corp/app", "volumeMounts": mounts}],
                                  "volumes": volumes}},
            "volumeClaimTemplates": templates}})
    };
    let mounts = json!([{"name": "v", "mountPath": "/srv/app"}, {"name": "t", "mountPath": "/tmp"}]);
    let scratch = json!({"name": "t", "emptyDir": {}});
    let on_empty = set(json!([{"name": "v", "emptyDir": {}}, scratch]), json!([]), mounts.clone());
    assert!(found(json!({}), &[], &on_empty)[0].starts_with("Warn spec.template.spec.volumes[0].emptyDir"));
    assert!(found(json!({"statefulSets": "Deny"}), &[], &on_empty)[0].starts_with("Deny"));
    assert!(found(json!({"statefulSets": "Ignore"}), &[], &on_empty).is_empty());
    let template = json!([{"metadata": {"name": "v"}, "spec": {}}]);
    let on_claim = set(json!([scratch]), template.clone(), mounts.clone());
    assert!(found(json!({}), &[], &on_claim).is_empty());
    let mut pieces = mounts;
    for path in ["/srv/a", "/srv/b", "/srv/a"] {
        pieces.as_array_mut().unwrap().push(json!({"name": "e", "mountPath": path, "subPath": "x"}));
    }
    let with_scratch = set(json!([scratch, {"name": "e", "emptyDir": {}}]), template, pieces);
    assert_eq!(
        found(json!({}), &[], &with_scratch),
        ["Audit spec.template.spec.volumes[1].emptyDir: /srv/a, /srv/b of a StatefulSet, which lie on the \
             emptyDir \"e\": lost when the pod ends"]
    );
    let bare = set(json!([]), json!([]), json!([]));
    assert!(found(json!({}), &[], &bare)[0].starts_with("Warn spec.template.spec:"));
    let mut patch = bare.clone();
    patch["spec"]["template"]["spec"]["containers"][0].as_object_mut().unwrap().remove("image");
    assert_eq!(found(json!({}), &[], &patch), [""; 0], "a part of a StatefulSet, as an overlay has it");
}

#[test]
fn a_policy_can_call_paths_data() {
    let mut object = pod(json!({"containers": [{"name": "c", "image": "corp/app"}]}));
    object["metadata"]["labels"] = json!({"tier": "data"});
    let params = |tier: &str| json!({"data": [{"objectSelector": {"matchLabels": {"tier": tier}}, "paths": ["/srv"]}]});
    assert!(found(params("data"), &[], &object)[0].contains("the policy calls /srv data"));
    assert!(found(params("web"), &[], &object).is_empty());
}

#[test]
fn a_mount_above_an_image_volume_does_not_keep_it() {
    let object = pod(json!({
        "containers": [{"name": "pg", "image": "postgres:16",
                        "volumeMounts": [{"name": "v", "mountPath": "/var/lib/postgresql"}]}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}));
    assert!(found(json!({}), &[], &object)[0].contains("VOLUME /var/lib/postgresql/data"));
}

#[test]
fn one_claim_is_asked_for_where_one_is_enough() {
    let help = |image: &str| {
        let object = pod(json!({"containers": [{"name": "c", "image": image}]}));
        asked(json!({}), &[], None, &object).findings[0].help.clone().unwrap()
    };
    let one = help("influxdb:1.8");
    assert!(one.starts_with("mount a PersistentVolumeClaim at /var/lib/influxdb: "), "the VOLUME: {one}");
    let two = help("zookeeper:3.9");
    assert!(two.starts_with("mount PersistentVolumeClaims at /data and /datalog: "), "{two}");
}

#[test]
fn a_named_etcd_lies_in_the_working_directory_of_whichever_release() {
    let at = |mount: &str, more: Value| {
        let mut container = json!({"name": "c", "image": "etcd:v3.5.12", "volumeMounts": [{"name": "v", "mountPath": mount}]});
        container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        found(
            json!({}),
            &[],
            &pod(json!({"containers": [container],
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]})),
        )
    };
    for named in [
        json!({}),
        json!({"command": ["etcd", "--name", "infra0"]}),
        json!({"env": [{"name": "ETCD_NAME", "value": "infra0"}]}),
    ] {
        assert_eq!(at("/var/lib/etcd", named.clone()), [""; 0], "the working directory since 3.5.7");
        assert!(at("/srv", named)[0].contains("keeps its data in /"), "lost");
    }
    let elsewhere = json!({"command": ["etcd", "--name", "infra0", "--data-dir", "/x"]});
    assert!(at("/var/lib/etcd", elsewhere)[0].contains("/x (set by --data-dir)"), "said in so many words");
}

#[test]
fn an_unknown_image_at_a_telling_directory_is_a_warning() {
    let at = |path: &str, volume: Value, params: Value| {
        let mut object = redis(json!({"name": "v", "mountPath": path}), volume);
        object["spec"]["containers"][0]["image"] = json!("corp/shop-database:3");
        found(params, &[], &object).join("")
    };
    let empty = json!({"name": "v", "emptyDir": {}});
    assert_eq!(
        at("/var/lib/mysql", empty.clone(), json!({})),
        "Warn spec.volumes[0].emptyDir: /var/lib/mysql, a directory in which MySQL keeps its data, lies on \
         the emptyDir \"v\": lost when the pod ends"
    );
    assert_eq!(
        at("/data", empty.clone(), json!({})),
        "Warn spec.volumes[0].emptyDir: /data, a directory for data by its name, lies on the emptyDir \"v\": lost \
         when the pod ends"
    );
    for anyones in
        ["/srv/app", "/data/cache", "/var/lib/nginx", "/home/app", "/app/config", "/work", "/tmp/data"]
    {
        assert_eq!(at(anyones, empty.clone(), json!({})), "", "{anyones}");
    }
    assert_eq!(at("/var/lib/mysql", empty, json!({"scratch": ["/var/lib/mysql"]})), "");
    assert_eq!(
        at("/var/lib/etcd", json!({"name": "v", "hostPath": {"path": "/var/lib/etcd"}}), json!({})),
        ""
    );
    assert_eq!(
        at("/var/lib/mysql", json!({"name": "v", "persistentVolumeClaim": {"claimName": "c"}}), json!({})),
        ""
    );
}

#[test]
fn a_helper_of_a_known_product_is_not_told_again() {
    let mount = json!([{"name": "v", "mountPath": "/var/lib/mysql"}]);
    let object = pod(json!({
        "containers": [{"name": "db", "image": "mysql", "volumeMounts": mount},
                       {"name": "backup", "image": "corp/backup", "volumeMounts": mount}],
        "volumes": [{"name": "v", "emptyDir": {}}]}));
    assert_eq!(found(json!({}), &[], &object).len(), 1);
}

#[test]
fn a_job_and_its_pods_are_warned_at_most() {
    let spec =
        json!({"containers": [{"name": "dump", "image": "postgres:16", "command": ["/scripts/backup.sh"]}]});
    let cron = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c"},
                      "spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}});
    assert!(found(json!({}), &[], &cron)[0].starts_with("Warn spec.jobTemplate"));
    let mut object = pod(spec);
    object["spec"]["containers"][0]["command"] = json!(["postgres"]);
    assert!(found(json!({}), &[], &object)[0].starts_with("Deny"));
    object["metadata"]["ownerReferences"] = json!([owner("batch/v1", "Job")]);
    assert!(found(json!({}), &[], &object)[0].starts_with("Warn"));
    object["spec"] = json!({"volumes": [{"name": "v", "emptyDir": {}}], "containers": [
        {"name": "c", "image": "corp/x", "volumeMounts": [{"name": "v", "mountPath": "/var/lib/mysql"}]}]});
    assert_eq!(found(json!({}), &[job("u")], &object), [""; 0], "as of its Job");
    assert!(found(json!({}), &[], &object)[0].starts_with("Warn"), "of a Job that nobody has seen");
}

fn owner(api_version: &str, kind: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "name": "c-1", "uid": "u", "controller": true})
}

fn job(uid: &str) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "c-1", "namespace": "default", "uid": uid},
           "spec": {"template": {"spec": {"containers": []}}}})
}

fn owned_by(owner: Value) -> Value {
    let mut object =
        pod(json!({"containers": [{"name": "r", "image": "redis", "command": ["redis-server"]}]}));
    object["metadata"]["ownerReferences"] = json!([owner]);
    object
}

/// The verdict on a request of that user's, or of nobody's, as in `check`.
fn asked(params: Value, context: &[Value], user: Option<&str>, object: &Value) -> Verdict {
    let review = Review { user, ..Review::create(object) };
    judge_review(json!([{"durableData": params}]), context, &review)
}

#[test]
fn a_pod_belongs_to_a_job_when_that_is_proven() {
    let of = |context: &[Value], user: &str, object: &Value| {
        lines(&asked(json!({}), context, Some(user), object)).concat()
    };
    let pod = owned_by(owner("batch/v1", "Job"));
    assert!(of(&[job("u")], "alice", &pod).starts_with("Warn"), "the Job is there");
    for controller in ["system:serviceaccount:kube-system:job-controller", "system:kube-controller-manager"] {
        assert!(
            of(&[], controller, &pod).starts_with("Warn"),
            "{controller} makes pods before anyone knows the Job"
        );
    }
    for (context, user) in [
        (&[][..], "alice"),
        (&[job("another")], "alice"),
        (&[], ""),
        (&[], "system:serviceaccount:default:job-controller"),
        (&[], "system:serviceaccount:kube-system:cronjob-controller"),
    ] {
        assert!(of(context, user, &pod).starts_with("Deny"), "{context:?} {user}");
    }
    let volcano = owned_by(owner("batch.volcano.sh/v1alpha1", "Job"));
    assert!(of(&[job("u")], "alice", &volcano).starts_with("Deny"), "another group's Job");
    let mut not_controlling = pod;
    not_controlling["metadata"]["ownerReferences"][0]["controller"] = json!(false);
    assert!(of(&[job("u")], "alice", &not_controlling).starts_with("Deny"));
}

#[test]
fn an_owner_that_is_not_proven_is_told() {
    let pod = owned_by(owner("batch/v1", "Job"));
    let help =
        |context: &[Value], user| asked(json!({}), context, user, &pod).findings[0].help.clone().unwrap();
    let told = help(&[], Some("alice"));
    assert!(
        told.ends_with(
            "that it belongs to Job \"c-1\" excuses nothing, because there is no such Job under that uid, and anyone \
             can write that"
        ),
        "{told}"
    );
    assert!(help(&[], None).ends_with("is not proven: the Job is not in what was given"));
    assert!(help(&[job("another")], None).ends_with("is not proven: the Job of that name has another uid"));
    assert!(!help(&[job("u")], None).contains("proven"));
}

#[test]
fn a_policy_says_what_jobs_may_lose() {
    let job = |command: Value| {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": {"spec":
            {"containers": [{"name": "db", "image": "postgres:16", "command": command}]}}}})
    };
    let on = |jobs: &str, command: Value| found(json!({"jobs": jobs}), &[], &job(command)).concat();
    for command in
        [json!([]), json!(["postgres"]), json!(["sh", "-c", "docker-entrypoint.sh postgres & /test.sh"])]
    {
        for jobs in ["Deny", "Warn", "Audit"] {
            assert!(on(jobs, command.clone()).starts_with(jobs), "{jobs} {command}");
        }
        assert_eq!(on("Ignore", command), "");
    }
    assert!(on("Deny", json!(["/backup.sh"])).starts_with("Warn"), "nobody knows what it runs");
    assert_eq!(on("Deny", json!(["pg_dump"])), "", "a client");
    // What nobody has proven is no less than a warning.
    let pod = owned_by(owner("batch/v1", "Job"));
    let unproven = |jobs: &str| lines(&asked(json!({"jobs": jobs}), &[], None, &pod)).concat();
    for (jobs, action) in [("Deny", "Deny"), ("Warn", "Warn"), ("Audit", "Warn"), ("Ignore", "Warn")] {
        assert!(unproven(jobs).starts_with(action), "{jobs}");
    }
}

#[test]
fn a_stateful_set_that_is_made_up_hides_nothing() {
    let mut object =
        redis(json!({"name": "v", "mountPath": "/var/lib/mysql"}), json!({"name": "v", "emptyDir": {}}));
    object["spec"]["containers"][0]["image"] = json!("corp/shop-database:3");
    object["metadata"]["ownerReferences"] = json!([owner("apps/v1", "StatefulSet")]);
    let told = |user| lines(&asked(json!({"statefulSets": "Ignore"}), &[], Some(user), &object));
    assert!(
        told("alice")[0].starts_with("Warn spec.volumes[0].emptyDir: /var/lib/mysql, a directory in which")
    );
    assert_eq!(told("system:serviceaccount:kube-system:statefulset-controller"), [""; 0]);
}

#[test]
fn who_looks_around_is_warned_at_most() {
    let debug = |container: Value| {
        let old = pod(json!({"containers": [{"name": "app", "image": "corp/app"}]}));
        let mut new = old.clone();
        new["spec"]["ephemeralContainers"] = json!([container]);
        let review = Review {
            operation: Operation::Update,
            old: Some((&old).into()),
            subresource: Some("ephemeralcontainers"),
            user: Some("alice"),
            ..Review::create(&new)
        };
        lines(&judge_review(json!([{"durableData": {}}]), &[], &review)).concat()
    };
    assert!(
        debug(json!({"name": "d", "image": "postgres", "command": ["bash"], "stdin": true, "tty": true}))
            .starts_with("Warn spec.ephemeralContainers[0].image: PostgreSQL")
    );
    assert!(debug(json!({"name": "d", "image": "postgres"})).starts_with("Warn"), "always");

    let shell = json!({"name": "db", "image": "postgres:16", "args": ["bash"], "stdin": true, "tty": true});
    let with = |changes: Value| {
        let mut container = shell.clone();
        container.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        container
    };
    let run = |container: Value| found(json!({}), &[], &pod(json!({"containers": [container]}))).concat();
    assert!(run(shell.clone()).starts_with("Warn spec.containers[0].image: PostgreSQL"));
    for changes in [
        json!({"args": []}),
        json!({"args": ["postgres"]}),
        json!({"command": ["bash"], "args": ["-c", "postgres & bash"]}),
        json!({"command": ["docker-entrypoint.sh"], "args": ["postgres"]}),
        json!({"tty": false}),
        json!({"stdin": false}),
        json!({"lifecycle": {"postStart": {"exec": {"command": ["postgres"]}}}}),
    ] {
        assert!(run(with(changes.clone())).starts_with("Deny"), "{changes}");
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "spec": {"template": {"spec": {"containers": [with(changes.clone())]}}}});
        assert!(found(json!({}), &[], &deployment)[0].starts_with("Deny"), "{changes}");
    }
    let mut two = pod(json!({"containers": [shell, {"name": "r", "image": "redis"}]}));
    assert_eq!(
        found(json!({}), &[], &two).iter().filter(|line| line.starts_with("Deny")).count(),
        1,
        "the other"
    );
    two["spec"]["volumes"] = json!([{"name": "n", "hostPath": {"path": "/"}}]);
    assert!(lines(&judge(json!([{"hostPath": {}}]), &[], &two))[0].starts_with("Deny"), "another rule");
}

#[test]
fn a_variable_that_may_have_moved_the_data_is_asked_for() {
    let object = |mounts: Value| {
        pod(json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}], "containers": [
            {"name": "pg", "image": "postgres:16", "envFrom": [{"configMapRef": {"name": "e"}}], "volumeMounts": mounts}]}))
    };
    let related = |object: Value| judge(json!([{"durableData": {}}]), &[], &object).findings[0].related.len();
    assert_eq!(related(object(json!([{"name": "v", "mountPath": "/pg"}]))), 1);
    assert_eq!(related(object(json!([]))), 0, "it can lie nowhere else");
}

/// A container with a claim mounted at `claim`, if it is given; its action and message, if there is a finding.
fn with_claim(container: Value, claim: Option<&str>, params: Value) -> (String, String) {
    let mut object = pod(json!({"containers": [container]}));
    if let Some(path) = claim {
        object["spec"]["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]);
        object["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": path}]);
    }
    let lines = found(params, &[], &object);
    assert!(lines.len() < 2, "{lines:?}");
    let line = lines.first().map_or("", String::as_str);
    let (action, message) = line.split_once(' ').unwrap_or_default();
    (action.to_owned(), message.to_owned())
}

/// What may have moved the data of each container from the default directory that it comes with.
fn guesses() -> Vec<(Value, &'static str)> {
    let of = |image: &str, more: Value| {
        let mut container = more;
        container["name"] = json!("c");
        container["image"] = json!(image);
        container
    };
    let from = |kind: &str, name: &str| json!({"name": name, "valueFrom": {kind: {"name": "x", "key": "y"}}});
    vec![
        (of("redis:7", json!({"command": ["redis-server", "/etc/redis.conf"]})), "/data"),
        (of("mysql:8", json!({"args": ["--defaults-file=/etc/my.cnf"]})), "/var/lib/mysql"),
        (of("postgres:16", json!({"args": ["-c", "config_file=/etc/pg.conf"]})), "/var/lib/postgresql/data"),
        (of("mongo:7", json!({"args": ["--config", "/etc/mongod.conf"]})), "/data/db"),
        (
            of(
                "quay.io/coreos/etcd:v3.5.0",
                json!({"env": [{"name": "ETCD_CONFIG_FILE", "value": "/etc/etcd.yaml"}]}),
            ),
            "/default.etcd",
        ),
        (
            of("postgres:16", json!({"envFrom": [{"configMapRef": {"name": "e"}}]})),
            "/var/lib/postgresql/data",
        ),
        (of("postgres:16", json!({"envFrom": [{"secretRef": {"name": "e"}}]})), "/var/lib/postgresql/data"),
        (of("postgres:16", json!({"env": [from("configMapKeyRef", "PGDATA")]})), "/var/lib/postgresql/data"),
        (of("postgres:16", json!({"env": [from("secretKeyRef", "PGDATA")]})), "/var/lib/postgresql/data"),
        (
            of("mysql:8", json!({"env": [from("secretKeyRef", "D")], "args": ["--datadir=$(D)"]})),
            "/var/lib/mysql",
        ),
        (
            of("mysql:8", json!({"envFrom": [{"secretRef": {"name": "e"}}], "args": ["--datadir=$(D)"]})),
            "/var/lib/mysql",
        ),
    ]
}

#[test]
fn a_guess_is_a_warning_when_the_data_may_lie_on_another_mount_that_lasts() {
    for (container, default) in guesses() {
        let (action, message) = with_claim(container.clone(), Some("/elsewhere"), json!({}));
        assert_eq!(action, "Warn", "{container}: {message}");
        assert!(message.contains(", unless ") && message.contains("puts them on another mount"), "{message}");
        assert_eq!(
            with_claim(container.clone(), None, json!({})).0,
            "Deny",
            "{container}: it can lie nowhere else"
        );
        assert_eq!(with_claim(container.clone(), Some(default), json!({})).0, "", "{container}: all is well");
        // What lasts is what the policy asks for.
        let mut on_node = pod(json!({"containers": [container], "volumes": [
            {"name": "h", "hostPath": {"path": "/srv"}}, {"name": "r", "persistentVolumeClaim": {"claimName": "c"}}]}));
        on_node["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "h", "mountPath": "/elsewhere"}, {"name": "r", "mountPath": "/r", "readOnly": true}]);
        assert!(found(json!({}), &[], &on_node)[0].starts_with("Deny"), "a node's directory does not last");
        assert!(found(json!({"require": "node"}), &[], &on_node)[0].starts_with("Warn"), "here it does");
    }
}

#[test]
fn an_unknown_value_that_moves_nothing_is_no_doubt() {
    let secret = json!([{"secretRef": {"name": "password"}}]);
    let password =
        json!([{"name": "MYSQL_ROOT_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "p", "key": "k"}}}]);
    for container in [
        json!({"name": "c", "image": "mysql:8", "envFrom": secret}),
        json!({"name": "c", "image": "mysql:8", "env": password}),
        json!({"name": "c", "image": "postgres:16", "envFrom": secret, "env": [{"name": "PGDATA", "value": "/x"}]}),
        json!({"name": "c", "image": "redis:7", "env": password, "args": ["--requirepass", "$(MYSQL_ROOT_PASSWORD)"]}),
    ] {
        let (action, message) = with_claim(container.clone(), Some("/elsewhere"), json!({}));
        assert!(action == "Deny" && !message.contains("unless"), "{container}: {message}");
    }
}

#[test]
fn a_variable_that_may_make_it_a_cache_is_a_doubt_wherever_it_comes_from() {
    let bucket =
        json!({"name": "REGISTRY_STORAGE", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "y"}}});
    let from = json!([{"configMapRef": {"name": "x"}}]);
    for more in [json!({"env": [bucket]}), json!({"envFrom": from})] {
        for claim in [None, Some("/elsewhere")] {
            let mut container = more.clone();
            container["name"] = json!("c");
            container["image"] = json!("registry:2");
            let (action, message) = with_claim(container, claim, json!({}));
            assert_eq!(action, "Warn", "{message}");
            let unless =
                "unless REGISTRY_STORAGE, whose value is not known here, makes it keep nothing (its storage";
            assert!(message.contains(unless), "{message}");
        }
    }
    let plain = json!({"name": "c", "image": "registry:2", "env": [{"name": "REGISTRY_STORAGE", "value": "filesystem"}]});
    assert_eq!(with_claim(plain, None, json!({})).0, "Deny");
}

#[test]
fn what_an_unknown_value_may_name_is_pointed_to() {
    let object = pod(
        json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}], "containers": [
        {"name": "c", "image": "postgres:16", "volumeMounts": [{"name": "v", "mountPath": "/pg"}],
         "env": [{"name": "A", "value": "b"}, {"name": "PGDATA", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]}]}),
    );
    let related = judge(json!([{"durableData": {}}]), &[], &object).findings[0].related.clone();
    let fields: Vec<String> = related.iter().map(|(field, _)| field.to_string()).collect();
    assert_eq!(fields, ["spec.containers[0].env[1]"]);
}

#[test]
fn a_directory_of_which_nothing_is_known_is_one_warning() {
    let words: Vec<String> = (0..14_000).map(|n| format!("/{n}/{{1...64}}")).collect();
    let mut args = vec!["server"];
    args.extend(words.iter().map(String::as_str));
    let many = json!({"name": "c", "image": "minio/minio", "args": args});
    assert_eq!(
        with_claim(many, None, json!({})),
        (
            "Warn".to_owned(),
            "spec.containers[0].image: where MinIO keeps its data is not known: more than 128 directories are named"
                .to_owned()
        )
    );
    let unnamed = json!({"name": "c", "image": "surrealdb/surrealdb", "args": ["start"], "env": [
        {"name": "SURREAL_PATH", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "y"}}}]});
    let (action, message) = with_claim(unnamed, Some("/data"), json!({}));
    assert!(
        action == "Warn" && message.ends_with("the value of SURREAL_PATH is not known here"),
        "{message}"
    );
    let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}, "spec": {"template":
        {"spec": {"containers": [{"name": "c", "image": "minio/minio", "args": args}]}}}});
    assert_eq!(found(json!({}), &[], &set).len(), 1, "not once more as a StatefulSet without a mount");
}

#[test]
fn directories_that_keys_of_one_file_set_are_one_finding() {
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"},
        "data": {"influxdb.conf": "[meta]\ndir = \"/var/lib/influxdb/meta\"\n[data]\ndir = \"/var/lib/influxdb/data\"\nwal-dir = \"/var/lib/influxdb/wal\"\n"}});
    let influx = pod(json!({"containers": [{"name": "c", "image": "influxdb:1.8", "volumeMounts": [
            {"name": "e", "mountPath": "/var/lib/influxdb"}, {"name": "c", "mountPath": "/etc/influxdb"}]}],
        "volumes": [{"name": "e", "emptyDir": {}}, {"name": "c", "configMap": {"name": "c"}}]}));
    let lines = found(json!({}), &[config], &influx);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("(set by data.dir, data.wal-dir, meta.dir in influxdb.conf)"), "{lines:?}");
}

#[test]
fn disks_that_lie_on_the_same_are_one_finding() {
    let minio = |mounts: Value| {
        pod(
            json!({"containers": [{"name": "c", "image": "minio/minio", "args": ["server", "/data{1...64}"], "volumeMounts": mounts}],
                   "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "e", "emptyDir": {}}]}),
        )
    };
    let lines = found(json!({}), &[], &minio(json!([])));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("in /data1, /data2, /data3, ")
            && lines[0].contains("/data8 and 56 more (set by server)"),
        "{lines:?}"
    );
    let mixed = json!([{"name": "v", "mountPath": "/data1"}, {"name": "e", "mountPath": "/data2"}, {"name": "v", "mountPath": "/data3"}]);
    let lines = found(json!({}), &[], &minio(mixed));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines.iter().any(|line| line.contains("in /data2 (set by server), which lies on the emptyDir")),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line.contains("/data11 and 53 more (set by server)")), "{lines:?}");
}

#[test]
fn the_containers_of_a_pod_share_what_they_may_name() {
    let container = json!({"name": "c", "image": "minio/minio", "args": ["server", "/data{1...128}"]});
    let object = pod(json!({"containers": vec![container; 30]}));
    let lines = found(json!({}), &[], &object);
    let unknown = lines
        .iter()
        .filter(|line| line.contains("is not known: more than 1024 directories are named"))
        .count();
    assert_eq!((lines.len(), unknown), (30, 30 - 1024 / 124));
}

#[test]
fn long_paths_and_many_mounts_are_cut_in_messages() {
    let long = "x".repeat(4000);
    let mounts: Vec<Value> =
        (0..100).map(|n| json!({"name": "e", "mountPath": format!("/{long}/{n}")})).collect();
    let object = pod(json!({"volumes": [{"name": "e", "emptyDir": {}}], "containers": [
        {"name": "c", "image": "redis", "args": ["--dir", format!("/{long}")], "volumeMounts": mounts}]}));
    let verdict = judge(json!([{"durableData": {}}]), &[], &object);
    let texts = |finding: &crate::verdict::Finding| {
        finding.message.len()
            + finding.help.as_ref().map_or(0, String::len)
            + finding.related.iter().map(|(_, note)| note.len()).sum::<usize>()
    };
    assert_eq!(verdict.findings.len(), 1);
    assert!(
        verdict.findings[0].message.contains(" and 92 more are covered"),
        "{}",
        verdict.findings[0].message
    );
    assert!(texts(&verdict.findings[0]) < 5000, "{}", texts(&verdict.findings[0]));
}

#[test]
fn data_that_is_moved_to_a_scratch_path_is_lost_all_the_same() {
    let object = pod(json!({"containers": [
        {"name": "pg", "image": "postgres:16", "env": [{"name": "PGDATA", "value": "/dev/shm/pg"}]}]}));
    assert!(found(json!({}), &[], &object)[0].contains("keeps its data in /dev/shm/pg (set by PGDATA)"));
    assert!(found(json!({"scratch": ["/dev/shm"]}), &[], &object).is_empty(), "unless the policy says so");
}

#[test]
fn a_cache_is_not_stateful() {
    let object = pod(json!({"containers": [
        {"name": "redis", "image": "redis", "args": ["--save", "", "--appendonly", "no"]}]}));
    assert!(found(json!({}), &[], &object).is_empty());
}

#[test]
fn what_many_run_without_is_a_warning_unless_the_policy_asks_for_more() {
    let mut object = redis(
        json!({"name": "storage", "mountPath": "/var/lib/grafana"}),
        json!({"name": "storage", "emptyDir": {}}),
    );
    object["spec"]["containers"][0]["image"] = json!("docker.io/grafana/grafana:12.0.0");
    let verdict = judge(json!([{"durableData": {}}]), &[], &object);
    assert_eq!(
        lines(&verdict),
        [
            "Warn spec.volumes[0].emptyDir: Grafana keeps its data in /var/lib/grafana, which lies on the emptyDir \
             \"storage\": lost when the pod ends"
        ]
    );
    let help = verdict.findings[0].help.as_deref().unwrap();
    assert!(help.starts_with("Grafana is often run so, as dashboards"), "{help}");
    assert!(help.contains("to keep them, mount a PersistentVolumeClaim at /var/lib/grafana"), "{help}");
    assert!(found(json!({"dispensable": "Deny"}), &[], &object)[0].starts_with("Deny"));
    assert!(found(json!({"dispensable": "Audit"}), &[], &object)[0].starts_with("Audit"));
    assert!(found(json!({"dispensable": "Ignore"}), &[], &object).is_empty());
    object["metadata"]["ownerReferences"] = json!([owner("batch/v1", "Job")]);
    assert!(
        found(json!({"dispensable": "Audit"}), &[], &object)[0].starts_with("Audit"),
        "the lesser of two"
    );
}

#[test]
fn a_mount_within_the_data_can_take_a_part_of_it_away() {
    let object = |image: &str, data: &str, inner: &str, source: Value| {
        let mut inner_volume = source;
        inner_volume["name"] = json!("inner");
        pod(json!({
            "containers": [{"name": "c", "image": image, "volumeMounts": [
                {"name": "data", "mountPath": data}, {"name": "inner", "mountPath": inner}]}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}, inner_volume]}))
    };
    let on = |image: &str, data: &str, inner: &str| {
        found(json!({}), &[], &object(image, data, inner, json!({"emptyDir": {}}))).join("")
    };
    assert_eq!(
        on("redis", "/data", "/data/appendonlydir"),
        "Deny spec.volumes[1].emptyDir: Redis keeps its data in /data/appendonlydir, which lies on the emptyDir \
         \"inner\": lost when the pod ends"
    );
    for (image, data, inner) in [
        ("postgres:16", "/var/lib/postgresql/data", "/var/lib/postgresql/data/pg_wal"),
        ("bitnami/etcd:3", "/bitnami/etcd", "/bitnami/etcd/data/member"),
        ("registry:2", "/var/lib/registry", "/var/lib/registry/docker"),
    ] {
        assert!(on(image, data, inner).starts_with("Deny"), "{image} {inner}");
    }
    for (image, data, inner) in [
        ("redis", "/data", "/data/appendonlydir/tmp"),
        ("redis", "/data", "/data/append"),
        ("grafana/grafana", "/var/lib/grafana", "/var/lib/grafana/plugins"),
        ("jenkins/jenkins", "/var/jenkins_home", "/var/jenkins_home/casc_configs"),
        ("postgres:16", "/var/lib/postgresql/data", "/var/lib/postgresql/data/pg_stat_tmp"),
    ] {
        assert_eq!(on(image, data, inner), "", "{image} {inner}");
    }
    let inner =
        |source: Value| found(json!({}), &[], &object("redis", "/data", "/data/appendonlydir", source));
    assert_eq!(inner(json!({"persistentVolumeClaim": {"claimName": "log"}})), [""; 0], "it lasts as well");
    assert_eq!(inner(json!({"configMap": {"name": "x"}})), [""; 0], "nothing can be written there");
    let mut same = object("redis", "/data", "/data/appendonlydir", json!({"emptyDir": {}}));
    same["spec"]["containers"][0]["volumeMounts"][1] =
        json!({"name": "data", "mountPath": "/data/appendonlydir", "subPath": "log"});
    assert_eq!(found(json!({}), &[], &same), [""; 0], "the same volume");
    let mut log = object(
        "postgres:16",
        "/var/lib/postgresql/data",
        "/var/lib/postgresql/data/pg_wal",
        json!({"emptyDir": {}}),
    );
    log["spec"]["containers"][0]["env"] =
        json!([{"name": "POSTGRES_INITDB_WALDIR", "value": "/var/lib/postgresql/data/pg_wal"}]);
    assert_eq!(found(json!({}), &[], &log).len(), 1, "told once");
}

#[test]
fn what_may_be_no_server_is_a_warning_at_most() {
    let pod_of = |container: Value, policy: &str| {
        let mut object = pod(json!({"containers": [container], "restartPolicy": policy}));
        object["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
        found(json!({}), &[], &object).concat()
    };
    let script = json!({"name": "c", "image": "postgres:16", "command": ["/scripts/entry.sh"]});
    assert!(pod_of(script.clone(), "Always").starts_with("Warn"));
    let with = |key: &str, value: Value| {
        let mut container = script.clone();
        container[key] = value;
        pod_of(container, "Always")
    };
    assert!(with("ports", json!([{"containerPort": 5432}])).starts_with("Deny"), "it serves");
    assert!(with("readinessProbe", json!({"tcpSocket": {"port": 5432}})).starts_with("Deny"), "it serves");
    let mounts = json!([{"name": "v", "mountPath": "/var/lib/postgresql/data"}]);
    assert!(with("volumeMounts", mounts).starts_with("Deny"), "somebody meant its data");
    assert!(with("command", json!(["docker-entrypoint.sh", "postgres"])).starts_with("Deny"));
    assert!(with("command", json!(["pg_archivecleanup", "/x"])).starts_with("Warn"), "another program");
    let mut other = json!({"name": "c", "image": "postgres:16", "command": ["pg_archivecleanup", "/x"]});
    other["ports"] = json!([{"containerPort": 9187}]);
    assert!(pod_of(other.clone(), "Always").starts_with("Warn"), "its own port");
    assert_eq!(pod_of(other, "Never"), "", "that ends");
    let mut role = json!({"name": "c", "image": "gitea/gitea:1.21", "args": ["some-role"]});
    role["ports"] = json!([{"containerPort": 3000}]);
    assert!(pod_of(role.clone(), "Always").starts_with("Warn"), "a role that the catalog does not know");
    let help = asked(json!({}), &[], None, &pod(json!({"containers": [role]}))).findings[0].help.clone();
    assert!(help.as_ref().unwrap().contains("does not know the role `some-role`"), "{help:?}");
    role["volumeMounts"] = json!([{"name": "v", "mountPath": "/data"}]);
    assert!(pod_of(role.clone(), "Always").starts_with("Deny"), "somebody meant its data");
    role["args"] = json!(["web"]);
    role["volumeMounts"] = json!([]);
    assert!(pod_of(role, "Always").starts_with("Deny"), "one that it knows");
    let server = json!({"name": "c", "image": "postgres:16", "command": ["postgres"]});
    assert!(pod_of(server, "Never").starts_with("Deny"), "a server all the same");
}

#[test]
fn a_stateful_set_is_judged_by_paths_and_names() {
    let set = |image: &str, volume: &str, path: &str, source: Value| {
        let mut pod_volume = source;
        pod_volume["name"] = json!(volume);
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}, "spec": {"template": {"spec": {
            "containers": [{"name": "c", "image": image, "volumeMounts": [{"name": volume, "mountPath": path}]}],
            "volumes": [pod_volume]}}}})
    };
    let action = |params: Value, object: &Value| {
        let mut params = params;
        if params.get("statefulSetData").is_none() {
            params["statefulSetData"] = json!("Deny");
        }
        found(params, &[], object)
            .first()
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .unwrap_or_default()
    };
    let empty = || json!({"emptyDir": {}});
    for (volume, path, expected) in [
        ("v", "/data", "Deny"),
        ("v", "/var/lib/app", "Deny"),
        ("v", "/var/opt/app/x", "Deny"),
        ("v", "/srv/db", "Deny"),
        ("v", "/app/storage", "Deny"),
        ("data", "/srv/app", "Deny"),
        ("app-storage", "/srv/app", "Deny"),
        ("v", "/tmp", "Warn"),
        ("v", "/home/app", "Warn"),
        ("v", "/data/cache", "Warn"),
        ("v", "/run", "Warn"),
        ("v", "/work", "Warn"),
    ] {
        let object = set("corp/app", volume, path, empty());
        assert_eq!(action(json!({}), &object), expected, "{volume} {path}");
        assert_eq!(action(json!({"statefulSets": "Deny"}), &object), "Deny", "{volume} {path}");
        assert_eq!(action(json!({"statefulSets": "Ignore"}), &object), "", "{volume} {path}");
        let known = set("memcached", volume, path, empty());
        assert_eq!(
            action(json!({"statefulSets": "Deny"}), &known),
            "",
            "{volume} {path}: it never keeps anything"
        );
    }
    let tmpfs = set("corp/app", "v", "/data", json!({"emptyDir": {"medium": "Memory"}}));
    assert_eq!(action(json!({}), &tmpfs), "Deny");
    assert_eq!(action(json!({"statefulSetData": "Warn"}), &tmpfs), "Warn");
    let claim = set("corp/app", "data", "/data", json!({"persistentVolumeClaim": {"claimName": "c"}}));
    assert_eq!(action(json!({"statefulSets": "Deny"}), &claim), "");
    let grafana = set("grafana/grafana", "data", "/var/lib/grafana", empty());
    assert_eq!(action(json!({}), &grafana), "Deny", "a StatefulSet was not made for dashboards from files");
    assert_eq!(action(json!({"statefulSetData": "Warn"}), &grafana), "Warn");
    let mut made = grafana.clone();
    made["metadata"]["ownerReferences"] = json!([owner("monitoring.coreos.com/v1", "Prometheus")]);
    assert_eq!(action(json!({}), &made), "Warn", "by an operator");
    let mut cache = set("redis", "data", "/data", empty());
    cache["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["--save", "", "--appendonly", "no"]);
    assert_eq!(action(json!({}), &cache), "");
    assert_eq!(action(json!({"statefulSets": "Deny"}), &cache), "Deny", "known or not");
    let patch = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}, "spec": {"replicas": 2}});
    assert_eq!(action(json!({"statefulSets": "Deny"}), &patch), "", "a part of an object");
}

#[test]
fn another_publishers_image_with_a_claim_elsewhere_is_a_warning_with_both_paths() {
    let on =
        |image: &str, claim: &str| with_claim(json!({"name": "c", "image": image}), Some(claim), json!({}));
    let (action, message) = on("example/redis:7", "/bitnami/redis");
    assert_eq!(action, "Warn");
    assert!(message.contains("keeps its data in /data"), "{message}");
    assert!(
        message.ends_with("unless this publisher's image keeps them in /bitnami/redis, which lasts"),
        "{message}"
    );
    assert_eq!(on("redis:7", "/bitnami/redis").0, "Deny");
    let none = json!({"name": "c", "image": "example/redis:7"});
    assert_eq!(with_claim(none, None, json!({})).0, "Deny", "it can lie nowhere else");
}

#[test]
fn a_script_that_keeps_one_directory_keeps_the_other() {
    let object = |command: Value, claim: bool| {
        let volume = match claim {
            true => json!({"name": "v", "persistentVolumeClaim": {"claimName": "c"}}),
            false => json!({"name": "v", "emptyDir": {}}),
        };
        let mut object =
            pod(json!({"volumes": [volume], "containers": [{"name": "zk", "image": "zookeeper:3.5.5",
            "ports": [{"containerPort": 2181}], "volumeMounts": [{"name": "v", "mountPath": "/data"}]}]}));
        object["spec"]["containers"][0]["command"] = command;
        found(json!({}), &[], &object)
    };
    assert_eq!(object(json!(["/bin/bash", "-xec", "/config-scripts/run"]), true), [""; 0]);
    let lines = object(json!(["/bin/bash", "-xec", "/config-scripts/run"]), false);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("keeps its data in /data, which lies on the emptyDir"), "{lines:?}");
    assert_eq!(object(json!(["zkServer.sh", "start-foreground"]), true).len(), 1, "/datalog");
}

#[test]
fn asking_for_nothing_is_a_fault() {
    assert!(
        faults(json!([{"durableData": {"require": "container"}}]))[0].contains("would never find anything")
    );
}

fn deployment(spec: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "default"},
           "spec": {"template": {"spec": spec}}})
}

#[test]
fn an_inline_volume_of_some_csi_drivers_is_a_share_that_stays() {
    let on = |driver: &str| {
        let mount = json!({"name": "v", "mountPath": "/data"});
        found(json!({}), &[], &redis(mount, json!({"name": "v", "csi": {"driver": driver}}))).join("")
    };
    for driver in ["gcsfuse.csi.storage.gke.io", "file.csi.azure.com", "nfs.csi.k8s.io"] {
        assert_eq!(on(driver), "", "{driver}");
    }
    assert_eq!(on("secrets-store.csi.k8s.io"), "", "nothing can be written there");
    assert!(on("hostpath.csi.k8s.io").starts_with("Deny"));
}

#[test]
fn where_the_part_that_matters_is_kept_the_rest_is_a_warning() {
    let wordpress = |path: &str, volume: Value| {
        let mut volume = volume;
        volume["name"] = json!("v");
        let container =
            json!({"name": "w", "image": "wordpress:6", "volumeMounts": [{"name": "v", "mountPath": path}]});
        found(json!({}), &[], &deployment(json!({"containers": [container], "volumes": [volume]}))).join("")
    };
    let claim = || json!({"persistentVolumeClaim": {"claimName": "c"}});
    let uploads = "/var/www/html/wp-content/uploads";
    assert!(wordpress(uploads, claim()).starts_with("Warn"), "{}", wordpress(uploads, claim()));
    assert!(wordpress(uploads, json!({"nfs": {"server": "s", "path": "/"}})).starts_with("Warn"));
    assert!(wordpress(uploads, json!({"emptyDir": {}})).starts_with("Deny"));
    assert!(wordpress("/var/www/html/wp-content/plugins", claim()).starts_with("Deny"));
    assert_eq!(wordpress("/var/www/html", claim()), "");
}

#[test]
fn a_helper_beside_the_server_of_its_image_keeps_nothing() {
    let set = |helper: Value, claim: &str| {
        let server = json!({"name": "db", "image": "postgres:16", "ports": [{"containerPort": 5432}],
            "volumeMounts": [{"name": "data", "mountPath": claim}]});
        let object = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s", "namespace": "default"},
            "spec": {"template": {"spec": {"containers": [server, helper]}},
                     "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}});
        found(json!({}), &[], &object)
    };
    let data = "/var/lib/postgresql/data";
    let script = json!({"name": "b", "image": "postgres:16", "command": ["/scripts/backup.sh"], "ports": [{"containerPort": 80}]});
    assert_eq!(set(script.clone(), data), [""; 0]);
    let second = json!({"name": "b", "image": "postgres:16"});
    assert_eq!(set(second, data).len(), 1, "a second server has data of its own");
    assert_eq!(set(script, "/elsewhere").len(), 2, "nobody keeps the data");
}

#[test]
fn an_image_that_is_called_like_a_database_is_a_warning() {
    let with = |image: &str, fields: Value| {
        let mut container = json!({"name": "c", "image": image, "ports": [{"containerPort": 3306}]});
        container.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let volumes = json!([{"name": "c", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "t", "emptyDir": {}}]);
        found(json!({}), &[], &deployment(json!({"containers": [container], "volumes": volumes})))
    };
    let told = "Warn spec.template.spec.containers[0].image: the image is called like a database, and its data is in the \
                container's writable layer: lost when the container restarts";
    assert_eq!(with("shop/catalogue-db:1", json!({})), [told]);
    assert_eq!(
        with("shop/catalogue-db:1", json!({"volumeMounts": [{"name": "t", "mountPath": "/tmp"}]})),
        [told]
    );
    let kept = json!({"volumeMounts": [{"name": "c", "mountPath": "/anywhere"}]});
    assert_eq!(with("shop/catalogue-db:1", kept), [""; 0]);
    assert_eq!(with("shop/catalogue-db:1", json!({"command": ["migrate"]})), [""; 0]);
    assert_eq!(with("shop/catalogue-db:1", json!({"ports": []})), [""; 0], "it serves nothing");
    assert_eq!(with("zabbix/zabbix-server-mysql:7", json!({})), [""; 0]);
    let ports = |ports: Value| json!({"ports": ports});
    let other = json!([{"containerPort": 8000}]);
    assert_eq!(with("shop/prep-redis:1", ports(other)), [""; 0], "no database listens there");
    let both = json!([{"containerPort": 9104}, {"containerPort": 3306}]);
    assert_eq!(with("shop/catalogue-db:1", ports(both)), [told]);
    let probe = json!({"ports": [], "readinessProbe": {"exec": {"command": ["true"]}}});
    assert_eq!(with("shop/catalogue-db:1", probe), [told], "its port is not told");
}

#[test]
fn a_stateful_set_that_cannot_write_loses_nothing() {
    let set = |security: Value, mounts: Value| {
        let container =
            json!({"name": "c", "image": "shop/app:1", "securityContext": security, "volumeMounts": mounts});
        let pod = json!({"containers": [container], "volumes": [{"name": "t", "emptyDir": {}}, {"name": "c", "configMap": {"name": "c"}}]});
        let object = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s", "namespace": "default"},
            "spec": {"template": {"spec": pod}}});
        found(json!({"statefulSets": "Warn"}), &[], &object).len()
    };
    let read_only = || json!({"readOnlyRootFilesystem": true});
    assert_eq!(set(read_only(), json!([])), 0);
    assert_eq!(set(read_only(), json!([{"name": "c", "mountPath": "/etc/app"}])), 0);
    assert_eq!(set(read_only(), json!([{"name": "t", "mountPath": "/tmp"}])), 1);
    assert_eq!(set(json!({}), json!([])), 1);
}

#[test]
fn what_lies_in_data_is_data_by_its_name() {
    let at = |path: &str, volume: Value| {
        let mut volume = volume;
        volume["name"] = json!("v");
        let container =
            json!({"name": "c", "image": "shop/app", "volumeMounts": [{"name": "v", "mountPath": path}]});
        found(json!({}), &[], &deployment(json!({"containers": [container], "volumes": [volume]}))).join("")
    };
    let empty = || json!({"emptyDir": {}});
    for path in ["/data/app", "/data/shop/orders", "/data/uploads"] {
        assert!(at(path, empty()).starts_with("Warn"), "{path}");
    }
    for path in ["/data/cache", "/data/app/logs", "/data/models", "/data/server-certs", "/data/downloads"] {
        assert_eq!(at(path, empty()), "", "{path}");
    }
    assert_eq!(at("/data/app", json!({"persistentVolumeClaim": {"claimName": "c"}})), "");
    assert_eq!(at("/data/app", json!({"configMap": {"name": "c"}})), "");
}

#[test]
fn volumes_of_models_and_of_what_runs_are_no_data() {
    let at = |path: &str, volume: &str| {
        let container =
            json!({"name": "c", "image": "shop/app", "volumeMounts": [{"name": volume, "mountPath": path}]});
        let volumes = json!([{"name": volume, "emptyDir": {}}]);
        found(json!({}), &[], &deployment(json!({"containers": [container], "volumes": volumes}))).len()
    };
    assert_eq!(at("/data", "v"), 1);
    assert_eq!(at("/data", "model-volume"), 0, "models are fetched again");
    assert_eq!(at("/var/lib/app", "app-runtime"), 0);
    assert_eq!(at("/var/lib/varnish", "v"), 0);
}

#[test]
fn where_other_releases_keep_the_data_counts_when_a_volume_is_mounted_there() {
    let with = |volumes: Value, mounts: Value| {
        let container =
            json!({"name": "c", "image": "ghcr.io/immich-app/immich-server:v2", "volumeMounts": mounts});
        found(json!({}), &[], &deployment(json!({"containers": [container], "volumes": volumes}))).join("")
    };
    let claim = || json!([{"name": "v", "persistentVolumeClaim": {"claimName": "v"}}]);
    let at = |path: &str| json!([{"name": "v", "mountPath": path}]);
    assert_eq!(with(claim(), at("/usr/src/app/upload")), "");
    assert_eq!(with(claim(), at("/data")), "");
    let empty = with(json!([{"name": "v", "emptyDir": {}}]), at("/usr/src/app/upload"));
    assert!(empty.starts_with("Deny") && empty.contains("/usr/src/app/upload, which lies on"), "{empty}");
    let elsewhere = with(claim(), at("/import"));
    assert!(elsewhere.starts_with("Deny") && elsewhere.contains("in /data, which is in"), "{elsewhere}");
}

#[test]
fn an_operator_by_its_name_alone_is_none_with_data_of_its_own() {
    let set = |image: &str, path: &str, volume: Value| {
        let mut volume = volume;
        volume["name"] = json!("v");
        let container =
            json!({"name": "c", "image": image, "volumeMounts": [{"name": "v", "mountPath": path}]});
        let object = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s", "namespace": "default"},
            "spec": {"template": {"spec": {"containers": [container], "volumes": [volume]}}}});
        found(json!({"statefulSetData": "Deny", "statefulSets": "Warn"}), &[], &object).join("")
    };
    let empty = || json!({"emptyDir": {}});
    assert!(set("shop/tel-operator:1", "/data", empty()).starts_with("Deny"));
    assert_eq!(set("shop/tel-operator:1", "/tmp", empty()), "");
    assert_eq!(set("shop/tel-operator:1", "/data", json!({"configMap": {"name": "c"}})), "");
    assert_eq!(set("shop/tel-operator:1", "/data", json!({"persistentVolumeClaim": {"claimName": "c"}})), "");
}

#[test]
fn what_does_not_last_within_a_directory_that_does_is_scratch() {
    let volumes =
        json!([{"name": "c", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "r", "emptyDir": {}}]);
    let with = |outer: &str| {
        let mounts =
            json!([{"name": "c", "mountPath": outer}, {"name": "r", "mountPath": "/var/lib/barman/recover"}]);
        let container = json!({"name": "c", "image": "shop/barman", "volumeMounts": mounts});
        found(json!({}), &[], &deployment(json!({"containers": [container], "volumes": volumes})))
    };
    assert_eq!(with("/var/lib/barman"), [""; 0]);
    assert_eq!(with("/srv").len(), 1);
}

#[test]
fn the_one_volume_for_all_scratch_is_no_data() {
    let with = |name: &str| {
        let container = json!({"name": "c", "image": "shop/app",
            "volumeMounts": [{"name": name, "mountPath": "/opt/app/data", "subPath": "data"}]});
        found(
            json!({}),
            &[],
            &deployment(json!({"containers": [container], "volumes": [{"name": name, "emptyDir": {}}]})),
        )
    };
    assert_eq!(with("empty-dir"), [""; 0]);
    assert_eq!(with("app").len(), 1);
}

/// The help of the one finding of a Deployment.
fn help(container: Value, volumes: Value) -> String {
    let object = deployment(json!({"containers": [container], "volumes": volumes}));
    let mut verdict = judge(json!([{"durableData": {}}]), &[], &object);
    assert_eq!(verdict.findings.len(), 1, "{:?}", verdict.findings);
    verdict.findings.remove(0).help.unwrap_or_default()
}

#[test]
fn a_mount_that_lasts_in_another_place_is_pointed_to() {
    let on_claim = |image: &str, path: &str| {
        let container =
            json!({"name": "c", "image": image, "volumeMounts": [{"name": "d", "mountPath": path}]});
        help(container, json!([{"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]))
    };
    for (image, path, at) in [
        ("postgres:18", "/var/lib/postgresql/data", "/var/lib/postgresql"),
        ("postgres:16", "/var/lib/postgresql", "/var/lib/postgresql/data"),
        ("mongo:7", "/data", "/data/db"),
        ("mysql:8", "/var/lib/mysql-files", "/var/lib/mysql"),
        ("mysql:8", "/var/lib/MySQL", "/var/lib/mysql"),
        ("n8nio/n8n:1", "/root/.n8n", "/home/node/.n8n"),
    ] {
        assert_eq!(
            on_claim(image, path),
            format!(
                "\"d\", which lasts, is mounted at {path}: if it is meant for these data, mount it at {at} instead; \
                 otherwise, mount a PersistentVolumeClaim at {at}: add it to `volumes` and mount it with \
                 `mountPath: {at}`"
            ),
            "{image}"
        );
    }
}

#[test]
fn a_claim_is_asked_for_where_it_can_be_mounted() {
    let lost = |container: Value| {
        let object = deployment(json!({"containers": [container]}));
        let mut verdict = judge(json!([{"durableData": {}}]), &[], &object);
        assert_eq!(verdict.findings.len(), 1, "{:?}", verdict.findings);
        let finding = verdict.findings.remove(0);
        (finding.help.unwrap_or_default(), finding.lost.map(|lost| lost.paths))
    };
    let (help, paths) = lost(json!({"name": "c", "image": "pingcap/tikv:v8.5.0"}));
    assert!(help.starts_with("have it keep them in a directory that holds nothing else"), "{help}");
    assert_eq!(paths, None, "no volume can be mounted at /");
    let args = json!(["serve", "--cache-file", "/var/cache/ntfy/cache.db"]);
    let (help, paths) = lost(json!({"name": "c", "image": "binwiederhier/ntfy:v2", "args": args}));
    assert!(help.starts_with("mount a PersistentVolumeClaim at /var/cache/ntfy: "), "{help}");
    assert_eq!(paths, Some(vec!["/var/cache/ntfy".to_owned()]), "a database is a file");
    let (help, _) = lost(json!({"name": "c", "image": "metabase/metabase:v0.50"}));
    assert!(help.starts_with("mount a PersistentVolumeClaim at /metabase.db: "), "{help}");
}

#[test]
fn a_mount_that_holds_data_or_does_not_last_is_not_pointed_to() {
    let mounts = json!([{"name": "d", "mountPath": "/data"}, {"name": "e", "mountPath": "/scratch"}]);
    let container = json!({"name": "c", "image": "zookeeper:3.9", "volumeMounts": mounts});
    let claim = json!({"name": "d", "persistentVolumeClaim": {"claimName": "d"}});
    let log = help(container.clone(), json!([claim, {"name": "e", "emptyDir": {}}]));
    assert_eq!(
        log,
        "mount a PersistentVolumeClaim at /datalog: add it to `volumes` and mount it with `mountPath: /datalog`"
    );
    let log = help(container, json!([claim, {"name": "e", "persistentVolumeClaim": {"claimName": "e"}}]));
    assert!(log.starts_with("\"e\", which lasts, is mounted at /scratch: if"), "{log}");
}

#[test]
fn what_lasts_and_is_mounted_nowhere_is_pointed_to() {
    let container = json!({"name": "c", "image": "redis:7"});
    let claim = json!([{"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]);
    let text = help(container.clone(), claim);
    assert!(
        text.starts_with(
            "\"d\", which lasts, is mounted nowhere: if it is meant for these data, mount it at /data;"
        ),
        "{text}"
    );
    let text = help(container, json!([{"name": "d", "emptyDir": {}}]));
    assert!(text.starts_with("mount a PersistentVolumeClaim at /data"), "{text}");
    let set = |mounts: Value| {
        let object = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}, "spec": {
            "template": {"spec": {"containers": [{"name": "c", "image": "corp/app", "volumeMounts": mounts}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "home"}, "spec": {"storageClassName": "x"}}]}});
        judge(json!([{"durableData": {}}]), &[], &object).findings
    };
    let findings = set(json!([]));
    assert_eq!(
        findings[0].help.as_deref(),
        Some("\"home\", which lasts, is mounted nowhere: mount it where the data lies, or leave it out")
    );
    assert!(set(json!([{"name": "home", "mountPath": "/home/app"}])).is_empty());
}

#[test]
fn a_directory_within_a_cache_is_no_data_by_its_name() {
    let on_empty = |path: &str| {
        let container =
            json!({"name": "c", "image": "corp/app", "volumeMounts": [{"name": "v", "mountPath": path}]});
        let volumes = json!([{"name": "v", "emptyDir": {}}]);
        found(json!({}), &[], &deployment(json!({"containers": [container], "volumes": volumes}))).join("")
    };
    for path in ["/cache/data", "/srv/tmp/db", "/scratch/storage"] {
        assert_eq!(on_empty(path), "", "{path}");
    }
    assert!(on_empty("/srv/data").starts_with("Warn"), "its own name counts");
}

#[test]
fn a_database_file_that_nothing_keeps_is_told_and_never_refused() {
    let web = |container: Value, volumes: Value| {
        let mut container = container;
        container["name"] = json!("web");
        container["image"] = json!("example.com/web:1");
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"template": {"spec": {"containers": [container], "volumes": volumes}}}});
        found(json!({}), &[], &object).join("; ")
    };
    let env = |value: &str| json!({"env": [{"name": "DATABASE_URL", "value": value}]});
    let mounted = |value: &str, path: &str, source: Value| {
        let (mut container, mut volume) = (env(value), source);
        container["volumeMounts"] = json!([{"name": "v", "mountPath": path}]);
        volume["name"] = json!("v");
        web(container, json!([volume]))
    };
    let claim = || json!({"persistentVolumeClaim": {"claimName": "c"}});
    let at = "Warn spec.template.spec.containers[0].env[0]: DATABASE_URL names the database ";
    for (value, told) in [
        ("sqlite:////data/x.db", "/data/x.db, which is in the container's writable layer"),
        ("sqlite:///x.db", "/x.db, which is in the container's writable layer"),
        (
            "sqlite:///./x.db",
            "x.db in the image's working directory, which is in the container's writable layer",
        ),
    ] {
        assert!(
            web(env(value), json!([])).starts_with(&format!("{at}{told}")),
            "{value}: {}",
            web(env(value), json!([]))
        );
    }
    for value in [
        "sqlite://",
        "sqlite:////tmp/x.db",
        "sqlite:////app/cache/x.db",
        "postgres://db/x",
        "/usr/share/x.db",
    ] {
        assert_eq!(web(env(value), json!([])), "", "{value}");
    }
    let on_disk = mounted("sqlite:////work/x.db", "/work", json!({"emptyDir": {}}));
    assert!(
        on_disk.starts_with(&format!(
            "{at}/work/x.db, which lies on the emptyDir \"v\": lost when the pod ends"
        ))
    );
    assert_eq!(mounted("sqlite:////data/x.db", "/data", claim()), "");
    assert_eq!(
        mounted("sqlite:////data/x.db", "/data", json!({"hostPath": {"path": "/srv"}})),
        "",
        "for host-path"
    );
    assert_ne!(
        mounted("sqlite:////data/x.db", "/other", claim()),
        "",
        "a claim elsewhere keeps nothing of it"
    );
    // A relative path may lie on any mount, and some take three slashes for one.
    assert_eq!(mounted("sqlite:///./x.db", "/app", claim()), "");
    assert_eq!(mounted("sqlite:///data/x.db", "/app/data", claim()), "");
    assert_eq!(
        mounted("sqlite:///./x.db", "/app", json!({"emptyDir": {}})),
        "",
        "where it lies is not known"
    );
    let mut read_only = env("sqlite:////data/x.db");
    read_only["securityContext"] = json!({"readOnlyRootFilesystem": true});
    assert_eq!(web(read_only, json!([])), "", "nothing can be written there");
    let mut in_app = env("sqlite:///x.db");
    in_app["workingDir"] = json!("/tmp/app");
    assert_eq!(web(in_app, json!([])), "", "it may be scratch");
}

#[test]
fn a_database_file_is_told_of_unknown_images_and_not_of_jobs() {
    let env = json!([{"name": "DATABASE_URL", "value": "sqlite:////data/x.db"}]);
    let of = |kind: &str, image: &str| {
        let template = json!({"spec": {"containers": [{"name": "c", "image": image, "env": env}]}});
        let api = if kind == "Job" { "batch/v1" } else { "apps/v1" };
        let object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": "x", "namespace": "default"},
            "spec": {"template": template}});
        found(json!({}), &[], &object).join("; ")
    };
    assert!(of("Deployment", "example.com/web").contains("/data/x.db"));
    assert!(
        of("StatefulSet", "example.com/web").contains("/data/x.db"),
        "{}",
        of("StatefulSet", "example.com/web")
    );
    assert_eq!(of("Job", "example.com/web"), "");
    assert!(
        !of("Deployment", "grafana/grafana").contains("/data/x.db"),
        "the catalog says where its data lie"
    );
}

#[test]
fn a_database_file_by_a_config_map_is_told_and_by_a_secret_is_not() {
    let object = pod(
        json!({"containers": [{"name": "c", "image": "example.com/web", "envFrom": [{"configMapRef": {"name": "m"}}]}]}),
    );
    let config = |kind: &str, value: &str| {
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "m", "namespace": "default"},
               "data": {"DATABASE_URL": value}})
    };
    let told = found(json!({}), &[config("ConfigMap", "sqlite:////data/x.db")], &object).join("; ");
    assert!(
        told.starts_with(
            "Warn spec.containers[0].envFrom[0]: a variable of `envFrom` names the database /data/x.db"
        ),
        "{told}"
    );
    let sealed = pod(
        json!({"containers": [{"name": "c", "image": "example.com/web", "envFrom": [{"secretRef": {"name": "m"}}]}]}),
    );
    let secret = config("Secret", "c3FsaXRlOi8vLy9kYXRhL3guZGI=");
    assert_eq!(found(json!({}), &[secret], &sealed), [""; 0]);
}

#[test]
fn the_path_of_a_stateful_sets_mount_counts_more_than_the_name_tmp() {
    let set = |kind: &str, volume: &str, path: &str| {
        let object = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "s", "namespace": "default"},
            "spec": {"template": {"spec": {"volumes": [{"name": volume, "emptyDir": {}}], "containers": [
                {"name": "c", "image": "corp/ledger", "volumeMounts": [{"name": volume, "mountPath": path}]}]}}}});
        found(json!({"statefulSetData": "Deny", "statefulSets": "Warn"}), &[], &object).join("; ")
    };
    assert!(set("StatefulSet", "tmp", "/data").starts_with("Deny"));
    assert!(set("StatefulSet", "tmp", "/var/lib/app").starts_with("Deny"));
    assert!(set("StatefulSet", "data", "/tmp").starts_with("Warn"), "/tmp is scratch, whatever lies there");
    assert!(set("StatefulSet", "tmp", "/tmp").starts_with("Warn"));
    assert!(set("StatefulSet", "cache", "/data").starts_with("Warn"));
    assert_eq!(set("Deployment", "tmp", "/data"), "");
}

#[test]
fn a_value_of_a_secret_that_no_mount_covers_is_told_and_never_shown() {
    let secret = |value: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "m", "namespace": "default"},
               "stringData": {"PGDATA": value}})
    };
    let with = |container: Value| {
        let mut container = container;
        container["name"] = json!("c");
        container["image"] = json!("postgres:16");
        container["volumeMounts"] = json!([{"name": "d", "mountPath": "/var/lib/postgresql/data"}]);
        pod(json!({"containers": [container],
                   "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]}))
    };
    for container in [
        json!({"envFrom": [{"secretRef": {"name": "m"}}]}),
        json!({"env": [{"name": "PGDATA", "valueFrom": {"secretKeyRef": {"name": "m", "key": "PGDATA"}}}]}),
    ] {
        let object = with(container);
        let of = |value: &str| found(json!({}), &[secret(value)], &object).join("; ");
        let told = of("/srv/hidden");
        let wanted = "PostgreSQL keeps its data in a directory that no mount covers (set by PGDATA), which is in the container's \
                      writable layer: lost when the container restarts";
        assert!(told.starts_with("Deny") && told.contains(wanted), "{told}");
        assert!(!told.contains("/srv"), "{told}");
        assert_eq!(of("/var/lib/postgresql/data/pgdata"), "");
        assert_eq!(of("ENC[AES256_GCM,data:x]"), "", "not known, and the default lasts");
    }
}

#[test]
fn a_configuration_file_in_base64_is_read_and_a_secrets_is_not_shown() {
    let object = |volume: Value| {
        pod(
            json!({"containers": [{"name": "c", "image": "redis:7", "args": ["/etc/redis/redis.conf"], "volumeMounts": [
                       {"name": "conf", "mountPath": "/etc/redis"}, {"name": "d", "mountPath": "/srv"}]}],
                   "volumes": [volume, {"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]}),
        )
    };
    // `dir /srv/hidden`, and `dir /else/hidden`.
    let (lasts, lost) = ("ZGlyIC9zcnYvaGlkZGVuCg==", "ZGlyIC9lbHNlL2hpZGRlbgo=");
    let (map, secret) = (
        json!({"name": "conf", "configMap": {"name": "m"}}),
        json!({"name": "conf", "secret": {"secretName": "m"}}),
    );
    for (kind, field, volume) in [("ConfigMap", "binaryData", &map), ("Secret", "data", &secret)] {
        let of = |kind: &str, field: &str, text: &str| {
            let mut config =
                json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "m", "namespace": "default"}});
            config[field] = json!({"redis.conf": text});
            found(json!({}), &[config], &object((*volume).clone())).join("; ")
        };
        assert_eq!(of(kind, field, lasts), "", "{kind}");
        let told = of(kind, field, lost);
        assert!(told.contains("Redis keeps its data in"), "{kind}: {told}");
        assert_eq!(told.contains("/else/hidden"), kind == "ConfigMap", "{told}");
        if kind == "ConfigMap" {
            assert_eq!(told, of(kind, "data", "dir /else/hidden\n"), "as in plain text");
        }
    }
}

#[test]
fn what_keeps_everything_in_memory_by_its_arguments_is_told_and_never_refused() {
    let of = |image: &str, args: &[&str]| {
        found(json!({}), &[], &pod(json!({"containers": [{"name": "c", "image": image, "args": args}]})))
            .join("; ")
    };
    for (image, args) in [
        ("hashicorp/vault:1.15", &["server", "-dev"][..]),
        ("hashicorp/vault:1.15", &[]),
        ("hashicorp/consul", &["agent", "-dev"]),
        ("surrealdb/surrealdb", &["start", "memory"]),
        ("quay.io/keycloak/keycloak", &["start-dev", "--db", "dev-mem"]),
    ] {
        let told = of(image, args);
        assert!(
            told.starts_with("Warn spec.containers[0].image: ") && told.contains("keeps nothing, as"),
            "{image}: {told}"
        );
    }
    for (image, args) in [
        ("hashicorp/vault", &["agent"][..]),
        ("redis", &["--save", "", "--appendonly", "no"]),
        ("memcached", &[]),
    ] {
        assert_eq!(of(image, args), "", "{image}: meant to keep nothing");
    }
    assert!(of("hashicorp/vault", &["server"]).starts_with("Deny"), "a server with storage");
}

#[test]
fn a_helper_that_keeps_nothing_says_nothing_of_the_others() {
    let set = |images: &[&str], init: &[&str]| {
        let containers = |images: &[&str]| -> Vec<Value> {
            images
                .iter()
                .enumerate()
                .map(|(at, image)| json!({"name": format!("c{at}"), "image": image}))
                .collect()
        };
        let object = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s", "namespace": "default"},
            "spec": {"template": {"spec": {"containers": containers(images), "initContainers": containers(init)}}}});
        found(json!({}), &[], &object).join("; ")
    };
    let told = "this StatefulSet has no durable mount";
    assert!(set(&["corp/ledger"], &[]).contains(told));
    assert!(set(&["corp/ledger", "prom/statsd-exporter"], &[]).contains(told), "an exporter beside it");
    assert!(set(&["corp/ledger"], &["bitnami/jmx-exporter"]).contains(told), "an exporter before it");
    assert_eq!(set(&["memcached", "corp/metrics"], &[]), "", "the first container is the workload's own");
    assert_eq!(set(&["memcached", "prom/memcached-exporter"], &[]), "");
}

#[test]
fn a_stateful_set_that_writes_nowhere_and_shows_no_data_gets_no_word() {
    let set = |container: Value| {
        let object = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s", "namespace": "default"},
            "spec": {"template": {"spec": {"containers": [container], "volumes": [
                {"name": "models", "persistentVolumeClaim": {"claimName": "models"}},
                {"name": "zone", "hostPath": {"path": "/etc/localtime"}},
                {"name": "data", "emptyDir": {}}]}}}});
        found(json!({"statefulSetData": "Deny"}), &[], &object).join("; ")
    };
    let named = |name: &str, image: &str| json!({"name": name, "image": image});
    for (name, image) in [
        ("manager", "corp/policies"),
        ("app", "corp/http-transport:3"),
        ("app", "nginx:1.27"),
        ("app", "registry.k8s.io/pause:3.10"),
        ("app", "stefanprodan/podinfo:6.7"),
        ("app", "grafana/promtail:2.9.8"),
    ] {
        assert_eq!(set(named(name, image)), "", "{name} {image}");
    }
    for (name, image) in [("app", "corp/ledger"), ("manager", "corp/orders-db"), ("node", "corp/chain")] {
        assert!(set(named(name, image)).contains("whatever it writes is lost"), "{name} {image}");
    }
    // What reads from a claim has its data there.
    let mounting = |name: &str, image: &str, volume: &str, path: &str, read_only: bool| {
        json!({"name": name, "image": image,
            "volumeMounts": [{"name": volume, "mountPath": path, "readOnly": read_only}]})
    };
    assert_eq!(set(mounting("app", "corp/inference", "models", "/models", true)), "");
    // A file of the node is as if nothing were mounted.
    assert_eq!(set(mounting("manager", "corp/policies", "zone", "/etc/localtime", false)), "");
    let told = set(mounting("app", "corp/ledger", "zone", "/etc/localtime", false));
    assert!(told.starts_with("Warn") && told.contains("whatever it writes is lost"), "{told}");
    for image in ["corp/policies", "nginx", "registry.k8s.io/pause:3.10"] {
        assert!(set(mounting("manager", image, "data", "/data", false)).starts_with("Deny"), "{image}");
    }
}

#[test]
fn what_is_cloned_from_git_is_no_data() {
    let pod = |kind: &str, args: Value| {
        let mount = |path: &str| json!([{"name": "dags-data", "mountPath": path}]);
        let containers = json!([{"name": "app", "image": "corp/flows", "volumeMounts": mount("/opt/dags/data")},
            {"name": "side", "image": "corp/side", "args": args, "volumeMounts": mount("/dags")}]);
        let object = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "s", "namespace": "default"},
            "spec": {"template": {"spec": {"containers": containers,
                "volumes": [{"name": "dags-data", "emptyDir": {}}]}}}});
        found(json!({"statefulSetData": "Deny"}), &[], &object).concat()
    };
    for args in
        [json!(["ssh://git@example.com/dags.git", "/dags"]), json!(["sh", "-c", "git clone $REPO /dags"])]
    {
        assert_eq!(pod("Deployment", args.clone()), "", "{args}");
        assert!(pod("StatefulSet", args.clone()).starts_with("Warn"), "{args}");
    }
    assert!(pod("Deployment", json!(["https://example.com/metrics", "/dags"])).starts_with("Warn"));
    assert!(pod("StatefulSet", json!(["/dags"])).starts_with("Deny"));
}

#[test]
fn of_an_image_whose_layout_is_not_known_a_part_that_lasts_is_enough_for_a_warning() {
    let told = |image: &str, path: &str| {
        let mut object = redis(
            json!({"name": "v", "mountPath": path}),
            json!({"name": "v", "persistentVolumeClaim": {"claimName": "c"}}),
        );
        object["spec"]["containers"][0]["image"] = json!(image);
        found(json!({}), &[], &object).join("; ")
    };
    for image in ["lscr.io/linuxserver/grocy", "hotio/mylar3", "ghcr.io/home-operations/charts-syncer"] {
        assert!(told(image, "/config/data").starts_with("Warn"), "{image}");
        assert_eq!(told(image, "/config"), "", "{image}");
    }
    assert!(told("lscr.io/linuxserver/grocy", "/books").starts_with("Deny"));
    assert!(
        told("postgres:16", "/var/lib/postgresql/data/base").starts_with("Deny"),
        "a layout that is known"
    );
}

#[test]
fn a_container_called_an_arbiter_is_a_warning() {
    let told = |name: &str| {
        let mut object =
            redis(json!({"name": "v", "mountPath": "/data/db"}), json!({"name": "v", "emptyDir": {}}));
        object["spec"]["containers"][0]["image"] = json!("percona/percona-server-mongodb:6.0");
        object["spec"]["containers"][0]["name"] = json!(name);
        found(json!({}), &[], &object).join("; ")
    };
    assert!(told("mongod-arbiter").starts_with("Warn"));
    assert!(told("mongod").starts_with("Deny"));
}

#[test]
fn a_sidecar_that_stands_first_says_nothing_of_the_others() {
    let set = |first: Value, second: Value| {
        let object = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s", "namespace": "default"},
            "spec": {"template": {"spec": {"containers": [first, second], "volumes": [
                {"name": "data", "emptyDir": {}}, {"name": "work", "emptyDir": {}},
                {"name": "settings", "configMap": {"name": "c"}}]}}}});
        found(json!({"statefulSetData": "Deny"}), &[], &object).join("; ")
    };
    let side = |image: &str| json!({"name": "side", "image": image});
    let app = |volume: &str, path: &str| json!({"name": "app", "image": "corp/ledger", "volumeMounts": [{"name": volume, "mountPath": path}]});
    for image in [
        "istio/proxyv2:1.20",
        "fluent/fluent-bit:3",
        "prom/statsd-exporter",
        "edoburu/pgbouncer",
        "haproxy:2.9",
        "registry.k8s.io/sig-storage/csi-provisioner:v5",
    ] {
        let told = set(side(image), app("data", "/data"));
        assert!(told.starts_with("Deny") && told.contains("no durable mount: /data"), "{image}: {told}");
        assert_eq!(set(side(image), side("memcached:1.6")), "", "{image} beside one that keeps nothing");
    }
    // What the sidecar itself mounts is none of the data.
    let mut buffers = side("fluent/fluent-bit:3");
    buffers["volumeMounts"] = json!([{"name": "work", "mountPath": "/buffers/data"}]);
    let told = set(buffers.clone(), app("data", "/data"));
    assert!(told.contains("no durable mount: /data"), "{told}");
    assert_eq!(set(buffers, side("memcached:1.6")), "");
    // A helper of one that keeps nothing, without data of its own.
    assert_eq!(set(side("memcached:1.6"), app("work", "/opt/plugins")), "");
    assert_eq!(set(side("memcached:1.6"), app("settings", "/data")), "", "read-only");
}

#[test]
fn a_script_of_ones_own_may_put_the_data_on_a_mount_that_lasts() {
    let redis = |mounts: Value| {
        found(json!({}), &[], &pod(json!({
            "containers": [{"name": "c", "image": "redis:7", "command": ["/scripts/run.sh"], "ports": [{"containerPort": 6379}],
                            "volumeMounts": mounts}],
            "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "scratch", "emptyDir": {}}]})))
        .join("; ")
    };
    let both =
        redis(json!([{"name": "scratch", "mountPath": "/data"}, {"name": "claim", "mountPath": "/kept"}]));
    assert!(
        both.starts_with("Warn") && both.contains("unless its script keeps them in /kept, which lasts"),
        "{both}"
    );
    assert!(redis(json!([{"name": "scratch", "mountPath": "/data"}])).starts_with("Deny"), "nothing lasts");
    assert_eq!(redis(json!([{"name": "claim", "mountPath": "/data"}])), "");
}

/// What is told of a Deployment of one container beside a claim, which is mounted where `claim` says.
fn told_of(container: Value, claim: Option<&str>) -> Vec<String> {
    let mut container = container;
    let fields = container.as_object_mut().unwrap();
    fields.insert("name".to_owned(), json!("c"));
    if let Some(path) = claim {
        fields.insert("volumeMounts".to_owned(), json!([{"name": "c", "mountPath": path}]));
    }
    let volumes = json!([{"name": "c", "persistentVolumeClaim": {"claimName": "c"}}]);
    let spec = if claim.is_some() {
        json!({"containers": [container], "volumes": volumes})
    } else {
        json!({"containers": [container]})
    };
    found(json!({}), &[], &deployment(spec))
}

#[test]
fn a_member_of_etcd_keeps_its_data_by_its_name() {
    let named = || {
        let env = json!([{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]);
        json!({"image": "quay.io/coreos/etcd:v3.5.0", "command": ["etcd", "--name", "$(POD)"], "env": env})
    };
    let told = told_of(named(), Some("/elsewhere"));
    assert!(told[0].starts_with("Deny") && !told[0].contains("unless"), "{told:?}");
    assert_eq!(told_of(named(), Some("/default.etcd")), [""; 0]);
}

#[test]
fn data_behind_a_link_lies_where_it_leads() {
    let linked = |target: &str| {
        let script =
            format!("ln -sfn {target} /var/run/etcd && exec etcd --data-dir /var/run/etcd/default.etcd");
        json!({"image": "quay.io/coreos/etcd:v3.5.0", "command": ["sh", "-c", script]})
    };
    assert_eq!(told_of(linked("/keep/etcd"), Some("/keep")), [""; 0]);
    assert_eq!(told_of(linked("/keep/$(hostname)"), Some("/keep")), [""; 0]);
    let lost = told_of(linked("/tmp/etcd"), Some("/keep"));
    assert!(lost[0].starts_with("Deny") && lost[0].contains("/tmp/etcd/default.etcd"), "{lost:?}");
    let unknown = told_of(linked("/data/$(hostname)"), Some("/keep"));
    assert!(unknown[0].starts_with("Warn") && unknown[0].contains("its script"), "{unknown:?}");
}

#[test]
fn a_product_that_shows_in_an_image_of_ones_own_is_a_warning() {
    let own = |fields: Value| {
        let mut container = json!({"image": "corp/own:1"});
        container.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        container
    };
    let server = || own(json!({"command": ["redis-server", "--dir", "/x"]}));
    let told = told_of(server(), None);
    assert_eq!(
        told,
        [
            "Warn spec.template.spec.containers[0].image: the container starts redis-server, and Redis keeps its data in /x (set \
          by --dir), which is in the container's writable layer: lost when the container restarts"
        ]
    );
    let env = json!([{"name": "MYSQL_ROOT_PASSWORD", "value": "x"}]);
    let told = told_of(own(json!({"env": env, "ports": [{"containerPort": 3306}]})), None);
    assert!(
        told[0]
            .contains("the container has port 3306 and MYSQL_ROOT_PASSWORD, as MySQL has, and MySQL keeps"),
        "{told:?}"
    );
    assert!(told[0].starts_with("Warn"), "{told:?}");
    for (command, told) in [
        (&["minio", "server", "/x"][..], "MinIO keeps its data in /x"),
        (&["nats-server", "-js", "-sd", "/x"], "NATS keeps its data in /x"),
        (&["prometheus", "--storage.tsdb.path=/x"], "Prometheus keeps its data in /x"),
    ] {
        let found = told_of(own(json!({"command": command})), None).concat();
        assert!(found.starts_with("Warn") && found.contains(told), "{found}");
    }
    assert_eq!(told_of(own(json!({"command": ["nats-server", "--port", "1"]})), None), [""; 0]);
    // What stays allowed: what lasts anywhere in it, a cache, a client, a Job.
    assert_eq!(told_of(server(), Some("/anywhere")), [""; 0]);
    let cache = json!({"command": ["redis-server", "--save", "", "--appendonly", "no"]});
    assert_eq!(told_of(own(cache), None), [""; 0]);
    assert_eq!(told_of(own(json!({"command": ["redis-cli", "-h", "redis-server"]})), None), [""; 0]);
    // A StatefulSet with an emptyDir for its data is refused, whatever it starts.
    let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s", "namespace": "n"},
        "spec": {"serviceName": "s", "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
            "containers": [{"name": "c", "image": "corp/own:1", "command": ["mongod"],
                "volumeMounts": [{"name": "data", "mountPath": "/data/db"}]}],
            "volumes": [{"name": "data", "emptyDir": {}}]}}}});
    let told = found(json!({"statefulSetData": "Deny"}), &[], &set);
    assert!(
        told[0].starts_with("Deny") && told[0].contains("no durable mount: /data/db lies on the emptyDir"),
        "{told:?}"
    );
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "n"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "corp/own:1",
            "command": ["mongod", "--fork"]}]}}}});
    assert_eq!(found(json!({}), &[], &job), [""; 0]);
}

#[test]
fn a_label_tells_a_replica() {
    let told = |image: &str, label: &str, role: &str| {
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s", "namespace": "n"}, "spec": {
            "template": {"metadata": {"labels": {label: role}}, "spec": {"containers": [{"name": "c", "image": image}]}}}});
        found(json!({}), &[], &set).concat()
    };
    for (image, label, role) in [
        ("redis:7", "app.kubernetes.io/component", "replica"),
        ("postgres:16", "role", "standby"),
        ("mysql:8", "component", "slave"),
        ("mongo:7", "app.kubernetes.io/component", "arbiter"),
        ("mongo:7", "app.kubernetes.io/role", "mongos"),
    ] {
        let told = told(image, label, role);
        assert!(told.starts_with("Warn"), "{image} {label}={role}: {told}");
    }
    // What stays refused: the server that they follow, any other label, a product without replicas.
    for (image, label, role) in [
        ("redis:7", "app.kubernetes.io/component", "master"),
        ("postgres:16", "tier", "standby"),
        ("mongo:7", "app.kubernetes.io/component", "replica"),
        ("gitea/gitea:1.21", "role", "replica"),
    ] {
        let told = told(image, label, role);
        assert!(told.starts_with("Deny"), "{image} {label}={role}: {told}");
    }
}

#[test]
fn the_paths_of_a_message_stand_once_and_with_what_sets_them() {
    let env = |dirs: &[(&str, &str)]| -> Vec<Value> {
        dirs.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
    };
    let zookeeper =
        |dirs: &[(&str, &str)]| told_of(json!({"image": "zookeeper:3.9", "env": env(dirs)}), None).remove(0);
    let both = zookeeper(&[("ZOO_DATA_DIR", "/d"), ("ZOO_DATA_LOG_DIR", "/d")]);
    assert!(both.contains("keeps its data in /d (set by ZOO_DATA_DIR, ZOO_DATA_LOG_DIR), which"), "{both}");
    let one = zookeeper(&[("ZOO_DATA_DIR", "/d")]);
    assert!(one.contains("keeps its data in /d (set by ZOO_DATA_DIR) and /datalog, which are"), "{one}");
}

#[test]
fn what_people_upload_and_keep_is_data_by_its_name() {
    let told = |path: &str, volume: &str| {
        let spec = json!({
            "containers": [{"name": "c", "image": "corp/app:1", "volumeMounts": [{"name": volume, "mountPath": path}]}],
            "volumes": [{"name": volume, "emptyDir": {}}]});
        found(json!({}), &[], &deployment(spec)).len()
    };
    for (path, volume) in
        [("/app/uploads", "u"), ("/srv/x", "app-backups"), ("/game/saves", "s"), ("/srv/x", "worlds")]
    {
        assert_eq!(told(path, volume), 1, "{path} {volume}");
    }
    for (path, volume) in
        [("/mnt/modelcache", "data"), ("/srv/flyte", "shared-data"), ("/uploads/cache", "c")]
    {
        assert_eq!(told(path, volume), 0, "{path} {volume}");
    }
}

fn configured(image: &str, file: &str, text: &str, claim_at: &str) -> Vec<String> {
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config", "namespace": "default"},
                        "data": {"file": text}});
    let claim = json!({"name": "kept", "persistentVolumeClaim": {"claimName": "c"}});
    let files = json!({"name": "config", "configMap": {"name": "config"}});
    let object = deployment(json!({
        "containers": [{"name": "c", "image": image, "volumeMounts": [
            {"name": "config", "mountPath": file, "subPath": "file"}, {"name": "kept", "mountPath": claim_at}]}],
        "volumes": [files, claim]}));
    found(json!({}), &[config], &object)
}

#[test]
fn a_file_of_settings_says_where_the_database_lies() {
    let authelia =
        |text: &str, claim: &str| configured("authelia/authelia:4", "/config/configuration.yml", text, claim);
    let local = "storage:\n  local:\n    path: /data/db.sqlite3\n";
    assert_eq!(authelia(local, "/data"), [""; 0]);
    assert!(authelia(local, "/config/more")[0].contains("/data"), "{:?}", authelia(local, "/config/more"));
    assert_eq!(authelia("storage:\n  postgres:\n    address: tcp://pg:5432\n", "/other"), [""; 0]);
    assert!(authelia("theme: light\n", "/other")[0].contains("/config"));
    // A relative directory is one beneath the program's own.
    let grafana = |claim: &str| {
        configured("grafana/grafana:11", "/etc/grafana/grafana.ini", "[paths]\ndata = data\n", claim)
    };
    assert_eq!(grafana("/usr/share/grafana/data"), [""; 0]);
    assert!(grafana("/var/lib/grafana")[0].contains("/usr/share/grafana/data"));
}

#[test]
fn an_exporter_in_the_image_of_its_product_keeps_nothing() {
    let run = |command: &str| {
        let container =
            json!({"name": "c", "image": "solr:9", "command": [command], "ports": [{"containerPort": 8983}]});
        found(json!({}), &[], &deployment(json!({"containers": [container]})))
    };
    assert_eq!(run("/opt/solr/prometheus-exporter/bin/solr-exporter"), [""; 0]);
    assert_eq!(run("redis_exporter"), [""; 0]);
    assert!(run("/opt/solr/bin/solr-foreground")[0].starts_with("Deny"));
    assert!(
        run("/opt/solr/bin/solr-export")[0].contains("/var/solr"),
        "what only begins so is another program"
    );
}

#[test]
fn libraries_for_a_database_are_no_data() {
    let told = |volume: &str, path: &str| {
        let mounts = json!([{"name": volume, "mountPath": path}]);
        let container = json!({"name": "c", "image": "example/app", "volumeMounts": mounts});
        let volumes = json!([{"name": volume, "emptyDir": {}}]);
        found(json!({}), &[], &deployment(json!({"containers": [container], "volumes": volumes})))
    };
    assert_eq!(told("db-connector-jar", "/home/app/components/lib"), [""; 0]);
    assert_eq!(told("db-driver", "/opt/app/lib"), [""; 0]);
    assert!(told("app-db", "/home/app/components/lib")[0].contains("by its name"));
}

/// The first word of each finding of a pod with a container of that image; volumes are named by what they are.
fn actions(image: &str, mounts: Value, context: &[Value]) -> String {
    let object = pod(json!({
        "initContainers": [{"name": "i", "image": "busybox", "command": ["sh", "-c", "cp /a /b"],
            "volumeMounts": [{"name": "rendered", "mountPath": "/out"}]}],
        "containers": [{"name": "c", "image": image, "volumeMounts": mounts}],
        "volumes": [
            {"name": "claim", "persistentVolumeClaim": {"claimName": "d"}},
            {"name": "files", "configMap": {"name": "c"}},
            {"name": "rendered", "emptyDir": {}}, {"name": "empty", "emptyDir": {}}]}));
    found(json!({}), context, &object).iter().filter_map(|line| line.split(' ').next()).collect()
}

#[test]
fn clickhouse_that_config_d_moves_off_its_claim_is_found() {
    let config = |key: &str, text: &str| {
        let data = json!({key: text});
        [
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}, "data": data}),
        ]
    };
    let on = |path: &str, context: &[Value]| {
        let mounts = json!([{"name": "files", "mountPath": "/etc/clickhouse-server/config.d"},
            {"name": "claim", "mountPath": path}]);
        actions("clickhouse/clickhouse-server:24", mounts, context)
    };
    let xml = config("p.xml", "<clickhouse><path>/srv/ch/</path></clickhouse>");
    let yaml = config("p.yaml", "path: /srv/ch/\n");
    let other = config("p.xml", "<clickhouse><logger><level>trace</level></logger></clickhouse>");
    for moved in [&xml, &yaml] {
        assert_eq!(on("/var/lib/clickhouse", moved), "Deny");
        assert_eq!(on("/srv", moved), "");
    }
    assert_eq!(on("/var/lib/clickhouse", &other), "");
    assert_eq!(on("/srv", &other), "Deny");
    assert_eq!(on("/srv", &[]), "Warn", "nobody knows what it says");
}

#[test]
fn configuration_that_nobody_reads_is_a_doubt_where_a_claim_is_mounted_elsewhere() {
    let nexus = |mounts: Value| actions("sonatype/nexus3:3.70.1", mounts, &[]);
    let files = json!({"name": "files", "mountPath": "/opt/sonatype/nexus/etc"});
    let claim = json!({"name": "claim", "mountPath": "/srv/nexus"});
    assert_eq!(nexus(json!([files, claim])), "Warn");
    assert_eq!(nexus(json!([files])), "Deny", "nothing lasts");
    assert_eq!(nexus(json!([claim])), "Deny", "nothing configures it");
    let rendered = json!({"name": "rendered", "mountPath": "/opt/sonatype/nexus/etc"});
    assert_eq!(nexus(json!([rendered, claim])), "Warn", "an init container writes it");
    let empty = json!({"name": "empty", "mountPath": "/opt/sonatype/nexus/etc"});
    assert_eq!(nexus(json!([empty, claim])), "Deny", "nobody writes it");
    let certificates = json!({"name": "files", "mountPath": "/etc/ssl/certs"});
    assert_eq!(nexus(json!([certificates, claim])), "Deny", "no configuration");
    let data = json!({"name": "empty", "mountPath": "/nexus-data"});
    assert_eq!(nexus(json!([files, claim, data])), "Deny", "somebody meant its data to lie there");
}

#[test]
fn a_file_of_settings_may_make_a_product_keep_nothing() {
    for (image, file, text, expected) in [
        (
            "sonarqube:10",
            "/opt/sonarqube/conf/sonar.properties",
            "sonar.jdbc.url=jdbc:postgresql://db/s\n",
            "",
        ),
        ("sonarqube:10", "/opt/sonarqube/conf/sonar.properties", "sonar.web.context=/s\n", "Deny"),
        (
            "mattermost/mattermost-team-edition",
            "/mattermost/config/config.json",
            r#"{"FileSettings": {"DriverName": "amazons3"}}"#,
            "",
        ),
        (
            "mattermost/mattermost-team-edition",
            "/mattermost/config/config.json",
            r#"{"FileSettings": {"DriverName": "local"}}"#,
            "Deny",
        ),
        ("chrislusf/seaweedfs", "/etc/seaweedfs/filer.toml", "[postgres2]\nenabled = true\n", ""),
        ("chrislusf/seaweedfs", "/etc/seaweedfs/filer.toml", "[leveldb2]\nenabled = true\n", "Deny"),
        ("registry:2", "/etc/docker/registry/config.yml", "storage:\n  oss:\n    bucket: b\n", ""),
        ("registry:2", "/etc/docker/registry/config.yml", "storage:\n  filesystem: {}\n", "Deny"),
        (
            "verdaccio/verdaccio:5",
            "/verdaccio/conf/config.yaml",
            "store:\n  aws-s3-storage:\n    bucket: b\n",
            "",
        ),
        ("verdaccio/verdaccio:5", "/verdaccio/conf/config.yaml", "storage: /verdaccio/storage\n", "Deny"),
        ("emqx/emqx:5", "/opt/emqx/etc/emqx.conf", "node {\n role = replicant\n}\n", ""),
        ("emqx/emqx:5", "/opt/emqx/etc/emqx.conf", "node {\n role = core\n}\n", "Deny"),
        ("eclipse-mosquitto:2", "/mosquitto/config/mosquitto.conf", "listener 1883\n", ""),
        ("eclipse-mosquitto:2", "/mosquitto/config/mosquitto.conf", "persistence true\n", "Deny"),
        ("mattermost/focalboard", "/opt/focalboard/config.json", r#"{"dbtype": "postgres"}"#, "Warn"),
        ("mattermost/focalboard", "/opt/focalboard/config.json", r#"{"dbtype": "sqlite3"}"#, "Deny"),
        (
            "ghcr.io/project-zot/zot",
            "/etc/zot/config.json",
            r#"{"extensions": {"sync": {"registries": [{"onDemand": true}]}}}"#,
            "Warn",
        ),
        ("ghcr.io/project-zot/zot", "/etc/zot/config.json", r#"{"extensions": {}}"#, "Deny"),
        ("matomo:5", "/var/www/html/config/config.ini.php", "[database]\nhost = \"db\"\n", ""),
        ("matomo:5", "/var/www/html/config/other.ini.php", "[database]\nhost = \"db\"\n", "Deny"),
    ] {
        let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"},
                            "data": {"file": text}});
        let args = if image.contains("seaweedfs") { json!(["filer", "-master=m"]) } else { json!([]) };
        let mounts = json!([{"name": "files", "mountPath": file, "subPath": "file"}]);
        let container = json!({"name": "c", "image": image, "args": args, "volumeMounts": mounts});
        let volumes = json!([{"name": "files", "configMap": {"name": "c"}}]);
        let object = deployment(json!({"containers": [container], "volumes": volumes}));
        let told = found(json!({}), &[config], &object).concat();
        assert_eq!(told.split(' ').next(), Some(expected), "{image} {text}: {told}");
    }
}

#[test]
fn a_file_that_a_start_script_copies_is_read() {
    let vault = |script: &str, storage: &str| {
        let text = format!("ui = true\nstorage \"{storage}\" {{\n path = \"/vault/data\"\n}}\n");
        let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"},
                            "data": {"values.hcl": text}});
        let mounts = json!([{"name": "files", "mountPath": "/vault/config"}]);
        let container = json!({"name": "c", "image": "hashicorp/vault:1.20", "command": ["/bin/sh", "-ec", script],
                               "volumeMounts": mounts});
        let volumes = json!([{"name": "files", "configMap": {"name": "c"}}]);
        let object = deployment(json!({"containers": [container], "volumes": volumes}));
        found(json!({}), &[config], &object).concat()
    };
    let copied = "cp /vault/config/values.hcl /tmp/s.hcl; sed -Ei \"s|POD_IP|${POD_IP?}|g\" /tmp/s.hcl; \
                  docker-entrypoint.sh vault server -config=/tmp/s.hcl";
    let told = vault(copied, "file");
    assert!(told.starts_with("Deny") && told.contains("/vault/data (set by storage.file.path"), "{told}");
    assert_eq!(vault(copied, "consul"), "");
    let more = copied.replace("sed", "cat /x >/tmp/s.hcl; sed");
    assert!(vault(&more, "file").starts_with("Warn"), "what is written over it is not known");
}

#[test]
fn a_claim_at_the_part_that_people_fill_makes_the_rest_a_warning() {
    for (image, part, other) in [
        ("graphiteapp/graphite-statsd", "/opt/graphite/storage/whisper", "/opt/graphite/storage/log"),
        ("odoo:17", "/var/lib/odoo/filestore", "/var/lib/odoo/addons"),
        ("jenkins/jenkins:lts", "/var/jenkins_home/jobs", "/var/jenkins_home/workspace"),
        ("gitlab/gitlab-ce:17", "/var/opt/gitlab/git-data", "/var/opt/gitlab/backups"),
        ("gitea/gitea:1", "/data/git", "/data/log"),
        ("ghost:5", "/var/lib/ghost/content/images", "/var/lib/ghost/content/themes"),
        ("questdb/questdb:8", "/var/lib/questdb/db", "/var/lib/questdb/log"),
        ("apache/activemq-classic:6", "/opt/apache-activemq/data/kahadb", "/opt/apache-activemq/data/log"),
        ("emqx/emqx:4", "/opt/emqx/data/mnesia", "/opt/emqx/data/certs"),
        ("ghcr.io/immich-app/immich-server", "/data/library", "/data/thumbs"),
    ] {
        let on = |path: &str| actions(image, json!([{"name": "claim", "mountPath": path}]), &[]);
        assert!(!on(part).contains("Deny") || image.contains("gitlab"), "{image} {part}: {}", on(part));
        assert!(on(part).contains("Warn"), "{image} {part}: {}", on(part));
        assert!(on(other).starts_with("Deny"), "{image} {other}: {}", on(other));
    }
}

/// What is found of an image that is not known, with a part of an emptyDir at that path, or all of it.
fn with_a_file(kind: &str, path: &str, sub_path: &str) -> String {
    let mut mount = json!({"name": "data", "mountPath": path});
    if !sub_path.is_empty() {
        mount["subPath"] = json!(sub_path);
    }
    let container = json!({"name": "app", "image": "example/app", "volumeMounts": [mount]});
    let spec = json!({"containers": [container], "volumes": [{"name": "data", "emptyDir": {}}]});
    let object = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "app", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "serviceName": "app",
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": spec}}});
    found(json!({"statefulSetData": "Deny"}), &[], &object).join("")
}

#[test]
fn a_mount_of_one_file_is_no_directory_for_data() {
    for (path, sub_path) in [
        ("/data/.env", ".env"),
        ("/data/config.json", "config.json"),
        ("/srv/db/cluster.YAML", "x"),
        ("/etc/ssh/sshd_config", "ssh/sshd_config"),
        ("/srv/data/host-key", "ssh/host-key"),
        ("/usr/local/bin/tool", "tool"),
        ("/bin/busybox", ""),
    ] {
        assert_eq!(with_a_file("Deployment", path, sub_path), "", "{path}");
        let set = with_a_file("StatefulSet", path, sub_path);
        assert!(set.starts_with("Warn") && !set.contains(path), "{path}: {set}");
    }
    for (path, sub_path) in [
        ("/data/app.db", "app.db"),
        ("/data/sqlite.db3", "sqlite.db3"),
        ("/var/lib/app.d", ""),
        ("/home/node/.ethereum", ""),
        ("/home/node/.ethereum", ".ethereum"),
        ("/etc/app/data", "data"),
    ] {
        let (warned, denied) =
            (with_a_file("Deployment", path, sub_path), with_a_file("StatefulSet", path, sub_path));
        assert!(warned.starts_with("Warn") && warned.contains(path), "{path}: {warned}");
        assert!(denied.starts_with("Deny") && denied.contains(path), "{path}: {denied}");
    }
}

/// What is found of a StatefulSet whose script comes from a ConfigMap, with its data on an emptyDir.
fn started_by(image: &str, script: &str, files: &[(&str, &str)], data: &str) -> String {
    let map = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data});
    let files: serde_json::Map<String, Value> =
        files.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
    let context = [map("scripts", json!({"start.sh": script})), map("files", Value::Object(files))];
    let container = json!({"name": "db", "image": image, "command": ["/bin/bash", "-ec", "/start-scripts/start.sh"],
        "ports": [{"containerPort": 1}], "volumeMounts": [{"name": "scripts", "mountPath": "/start-scripts"},
            {"name": "files", "mountPath": "/mounted"}, {"name": "etc", "mountPath": "/opt/etc"},
            {"name": "data", "mountPath": data}]});
    let volumes = json!([{"name": "scripts", "configMap": {"name": "scripts"}}, {"name": "etc", "emptyDir": {}},
        {"name": "files", "configMap": {"name": "files"}}, {"name": "data", "emptyDir": {}}]);
    let template = json!({"metadata": {"labels": {"a": "b"}},
                          "spec": {"containers": [container], "volumes": volumes}});
    let object = json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "serviceName": "db", "template": template}});
    found(json!({}), &context, &object).concat()
}

#[test]
fn a_mounted_file_that_a_script_looks_for_and_copies_is_read() {
    let script = "#!/bin/bash\nif [[ -f /mounted/redis.conf ]];then\n  cp /mounted/redis.conf /opt/etc/redis.conf\nfi\n\
                  ARGS=(\"--port\" \"${REDIS_PORT}\")\nARGS+=(\"--include\" \"/opt/etc/redis.conf\")\nexec redis-server \"${ARGS[@]}\"\n";
    let redis = |text: &str| started_by("redis:8", script, &[("redis.conf", text)], "/data");
    let told = redis("dir /data\nappendonly yes\nsave \"\"\n");
    assert!(told.starts_with("Deny") && !told.contains("unless"), "{told}");
    assert_eq!(redis("dir /data\nappendonly no\nsave \"\"\n"), "", "a cache");
    let written = script.replace("cp /mounted/redis.conf", "cat /secret/redis.conf >");
    let told = started_by("redis:8", &written, &[("redis.conf", "dir /data\n")], "/data");
    assert!(
        told.starts_with("Warn") && told.contains("unless"),
        "what the script writes is not known: {told}"
    );
}

#[test]
fn a_variable_that_a_script_chooses_is_all_that_it_may_be() {
    let script = |first: &str, other: &str| {
        format!(
            "#!/bin/bash\n. /lib.sh\nif [[ $HOSTNAME =~ (.*)-0$ ]]; then\n  info \"first\"\n  \
             export MONGODB_REPLICA_SET_MODE={first}\nelse\n  export MONGODB_REPLICA_SET_MODE=\"{other}\"\nfi\n\
             exec /opt/bitnami/scripts/mongodb/entrypoint.sh /opt/bitnami/scripts/mongodb/run.sh\n"
        )
    };
    let mongo =
        |first, other| started_by("bitnami/mongodb:8.0", &script(first, other), &[], "/bitnami/mongodb");
    let told = mongo("primary", "secondary");
    assert!(told.starts_with("Deny") && !told.contains("unless"), "{told}");
    assert!(mongo("secondary", "secondary").starts_with("Warn"), "a copy, whichever");
    assert_eq!(mongo("arbiter", "arbiter"), "", "one that only votes");
    let told = mongo("primary", "arbiter");
    assert!(told.starts_with("Warn") && told.contains("MONGODB_REPLICA_SET_MODE"), "{told}");
}

/// A workload of that kind with one container, whose mounts are these volumes by their paths.
fn mounting(kind: &str, image: &str, mounts: &[(&str, &str, Value)]) -> Value {
    let all: Vec<Value> =
        mounts.iter().map(|(name, path, _)| json!({"name": name, "mountPath": path})).collect();
    let volume = |(name, _, source): &(&str, &str, Value)| {
        let mut volume = source.clone();
        volume["name"] = json!(name);
        volume
    };
    let volumes: Vec<Value> = mounts.iter().map(volume).collect();
    let spec =
        json!({"containers": [{"name": "c", "image": image, "volumeMounts": all}], "volumes": volumes});
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "app", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "serviceName": "app",
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": spec}}})
}

fn claim() -> Value {
    json!({"persistentVolumeClaim": {"claimName": "c"}})
}

#[test]
fn directories_on_several_empty_dirs_are_one_finding_with_all_paths() {
    let disk = || json!({"emptyDir": {}});
    let zookeeper = |data: Value, log: Value| {
        let mounts = [("data", "/data", data), ("log", "/datalog", log)];
        found(json!({}), &[], &mounting("Deployment", "zookeeper:3.9", &mounts))
    };
    assert_eq!(
        zookeeper(disk(), disk()),
        [
            "Deny spec.template.spec.volumes[0].emptyDir: Apache ZooKeeper keeps its data in /data and /datalog, which lie on \
             the emptyDirs \"data\" and \"log\": lost when the pod ends"
        ]
    );
    assert_eq!(zookeeper(disk(), json!({"emptyDir": {"medium": "Memory"}})).len(), 2, "lost at other times");
    let told = zookeeper(claim(), disk()).concat();
    assert!(told.contains("in /datalog, which lies on the emptyDir \"log\""), "{told}");
    let mounts = [("a", "/srv/agent/data", disk()), ("b", "/srv/agent/user_data", disk())];
    let told = found(json!({}), &[], &mounting("Deployment", "example/agent", &mounts));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("/srv/agent/data and /srv/agent/user_data, directories for data"), "{told:?}");
}

#[test]
fn a_directory_within_another_is_not_told_beside_it() {
    let mounts = [("all", "/persist", json!({"emptyDir": {}}))];
    let verdict =
        judge(json!([{"durableData": {}}]), &[], &mounting("Deployment", "gristlabs/grist", &mounts));
    let [finding] = verdict.findings.as_slice() else { panic!("{:?}", verdict.findings) };
    assert!(finding.message.contains("in /persist, which lies on"), "{}", finding.message);
    let help = finding.help.as_deref().unwrap_or_default();
    assert!(help.contains("a PersistentVolumeClaim at /persist:"), "{help}");
}

#[test]
fn a_daemon_set_is_never_scheduled_elsewhere() {
    let node = || json!({"hostPath": {"path": "/srv/data"}});
    let at = |kind: &str, image: &str, path: &str, source: Value| {
        found(json!({}), &[], &mounting(kind, image, &[("v", path, source)])).concat()
    };
    assert_eq!(at("DaemonSet", "netdata/netdata", "/var/lib/netdata", node()), "", "figures of its own node");
    let told = at("DaemonSet", "redis:7", "/data", node());
    assert!(told.starts_with("Warn") && told.ends_with("lost when the node ends"), "{told}");
    let told = at("Deployment", "redis:7", "/data", node());
    assert!(told.starts_with("Deny") && told.contains("scheduled elsewhere"), "{told}");
    assert!(at("DaemonSet", "redis:7", "/data", json!({"emptyDir": {}})).starts_with("Deny"));
}

#[test]
fn another_publishers_image_is_judged_by_the_mount_that_is_visibly_its_data() {
    let at = |path: &str, source: Value| {
        found(json!({}), &[], &mounting("Deployment", "example/zookeeper:5", &[("v", path, source)])).concat()
    };
    let told = at("/var/lib/zookeeper/data", json!({"emptyDir": {}}));
    assert!(told.starts_with("Deny") && told.contains("in /var/lib/zookeeper/data, which lies on"), "{told}");
    assert_eq!(at("/var/lib/zookeeper/data", claim()), "");
    let told = at("/srv/things", claim());
    assert!(told.starts_with("Warn") && told.contains("/srv/things, which lasts"), "{told}");
    assert!(at("/srv/things", json!({"emptyDir": {}})).contains("writable layer"), "nothing is visible");
}

#[test]
fn a_pod_that_ends_by_itself_keeps_no_data_by_a_name_alone() {
    let told = |image: &str, path: &str, policy: &str| {
        let container =
            json!({"name": "c", "image": image, "volumeMounts": [{"name": "db", "mountPath": path}]});
        let mut object = pod(
            json!({"restartPolicy": policy, "containers": [container], "volumes": [{"name": "db", "emptyDir": {}}]}),
        );
        object["metadata"]["annotations"] = json!({"helm.sh/hook": "test-success"});
        found(json!({}), &[], &object).concat()
    };
    assert_eq!(told("example/rally", "/var/lib/rally", "Never"), "");
    assert!(told("example/rally", "/var/lib/rally", "Always").starts_with("Warn"));
    assert!(told("redis:7", "/data", "Never").starts_with("Deny"), "a server in a test");
}

#[test]
fn roles_in_a_variable_count_before_a_file_that_is_not_known() {
    let search = |image: &str, env: Value| {
        let mounts = json!([{"name": "files", "mountPath": "/usr/share/opensearch/config/opensearch.yml", "subPath": "x"},
            {"name": "files", "mountPath": "/usr/share/elasticsearch/config/elasticsearch.yml", "subPath": "x"}]);
        let container = json!({"name": "c", "image": image, "env": env, "volumeMounts": mounts});
        let volumes = json!([{"name": "files", "configMap": {"name": "elsewhere"}}]);
        found(json!({}), &[], &deployment(json!({"containers": [container], "volumes": volumes}))).concat()
    };
    for image in ["opensearchproject/opensearch:2", "elasticsearch:8"] {
        let told = search(image, json!([{"name": "node.roles", "value": "master,ingest,data"}]));
        assert!(told.starts_with("Deny") && !told.contains("unless"), "{image}: {told}");
        assert_eq!(search(image, json!([{"name": "node.roles", "value": "ingest,ml"}])), "", "{image}");
        assert!(search(image, json!([])).starts_with("Warn"), "{image}: the file may say it");
    }
}

#[test]
fn an_own_image_that_says_that_it_keeps_nothing_is_believed() {
    let node = |env: Value| {
        let mount = json!({"name": "v", "mountPath": "/usr/share/elasticsearch/data"});
        let container = json!({"name": "c", "image": "example/search", "env": env, "volumeMounts": [mount]});
        let volumes = json!([{"name": "v", "emptyDir": {}}]);
        found(json!({}), &[], &deployment(json!({"containers": [container], "volumes": volumes}))).concat()
    };
    let no = |name: &str| json!({"name": name, "value": "false"});
    assert_eq!(node(json!([no("NODE_DATA"), no("NODE_MASTER")])), "");
    assert_eq!(node(json!([{"name": "node.roles", "value": "ingest,remote_cluster_client"}])), "");
    assert!(node(json!([no("NODE_MASTER")])).starts_with("Warn"), "it has data");
    assert!(node(json!([])).starts_with("Warn"));
}

#[test]
fn an_init_container_of_a_job_makes_files_for_the_next_one() {
    let generate = json!({"name": "g", "image": "matrixdotorg/synapse", "args": ["generate"],
        "volumeMounts": [{"name": "v", "mountPath": "/data"}]});
    let reads =
        json!({"name": "r", "image": "example/kubectl", "volumeMounts": [{"name": "v", "mountPath": "/in"}]});
    let spec = |init: &Value, main: &Value| {
        json!({"restartPolicy": "Never", "initContainers": [init], "containers": [main],
               "volumes": [{"name": "v", "emptyDir": {}}]})
    };
    let job = |spec: Value| {
        let object = json!({"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "j", "namespace": "default"}, "spec": {"template": {"spec": spec}}});
        found(json!({}), &[], &object).concat()
    };
    assert_eq!(job(spec(&generate, &reads)), "");
    assert!(job(spec(&reads, &generate)).starts_with("Warn"), "the Job's own container");
    let mut alone = reads.clone();
    alone["volumeMounts"] = json!([]);
    assert!(job(spec(&generate, &alone)).starts_with("Warn"), "nobody reads them");
}

#[test]
fn a_pipeline_of_logs_keeps_only_what_its_configuration_puts_on_disk() {
    let set = |image: &str, dir: &str, file: &str, text: Option<&str>| {
        let folder = if file == "fluent.conf" { "/etc/fluent" } else { "/etc/vector" };
        let mounts = json!([{"name": "data", "mountPath": dir}, {"name": "config", "mountPath": folder}]);
        let volumes =
            json!([{"name": "data", "emptyDir": {}}, {"name": "config", "configMap": {"name": "config"}}]);
        let container = json!({"name": "c", "image": image, "volumeMounts": mounts});
        let object = json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "s", "namespace": "default"},
            "spec": {"template": {"spec": {"containers": [container], "volumes": volumes}}}});
        let config = |text: &str| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config", "namespace": "default"},
                   "data": {file: text}})
        };
        let context: Vec<Value> = text.map(config).into_iter().collect();
        found(json!({"statefulSetData": "Deny"}), &context, &object).concat()
    };
    let vector = |text| set("timberio/vector:0.41.1", "/vector-data-dir", "vector.yaml", text);
    let plain = "data_dir: /vector-data-dir\nsources: {in: {type: vector}}\nsinks: {a: {buffer: {type: memory}}, out: {type: http, buffer: {type: memory}}}\n";
    assert_eq!(vector(Some(plain)), "");
    let disk = plain.replacen("memory", "disk", 1);
    assert!(vector(Some(&disk)).starts_with("Deny"), "{}", vector(Some(&disk)));
    let file = plain.replace("vector}", "file}");
    assert!(vector(Some(&file)).starts_with("Deny"), "how far it was read");
    assert!(vector(None).starts_with("Warn"), "{}", vector(None));
    let fluentd = |text| set("fluent/fluentd:v1.17", "/fluentd/data", "fluent.conf", text);
    let plain = "<system>\n  root_dir /fluentd/data\n</system>\n<match **>\n  @type stdout\n</match>\n";
    assert_eq!(fluentd(Some(plain)), "");
    let buffered = plain.replace("</match>", "  <buffer>\n    @type file\n  </buffer>\n</match>");
    assert!(fluentd(Some(&buffered)).starts_with("Deny"), "{}", fluentd(Some(&buffered)));
    let more = format!("{plain}@include more/*.conf\n");
    assert!(fluentd(Some(&more)).starts_with("Deny"), "what it takes in is not read");
    assert!(fluentd(None).starts_with("Warn"), "{}", fluentd(None));
}

#[test]
fn a_program_that_is_fetched_and_run_is_no_data() {
    let set = |init: Option<&str>, command: Value, env: Value| {
        let mount = json!([{"name": "data", "mountPath": "/data"}]);
        let main =
            json!({"name": "c", "image": "corp/jobs", "command": command, "env": env, "volumeMounts": mount});
        let inits: Vec<Value> = init
            .map(|script| json!({"name": "i", "image": "busybox", "command": ["sh", "-c"], "args": [script], "volumeMounts": mount}))
            .into_iter()
            .collect();
        let object = json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "s", "namespace": "default"},
            "spec": {"template": {"spec": {"initContainers": inits, "containers": [main],
                "volumes": [{"name": "data", "emptyDir": {}}]}}}});
        found(json!({"statefulSetData": "Deny"}), &[], &object).concat()
    };
    let fetch = Some("wget -O /data/init.sh https://example.com/init.sh && chmod +x /data/init.sh");
    for command in [
        json!(["/data/init.sh", "/srv/app"]),
        json!(["bash", "/data/init.sh"]),
        json!(["/bin/sh", "-c", "cd /srv; . \"/data/init.sh\"; exec app"]),
    ] {
        assert!(set(fetch, command.clone(), json!([])).starts_with("Warn"), "{command}");
    }
    for command in [
        json!(["/data/init.sh", "/srv/app", "--store", "/data"]),
        json!(["/srv/app", "--data-dir=/data"]),
        json!(["sh", "-c", "/data/init.sh > /data/out"]),
        json!(["/srv/app"]),
    ] {
        assert!(set(fetch, command.clone(), json!([])).starts_with("Deny"), "{command}");
    }
    let run = json!(["/data/init.sh"]);
    assert!(set(None, run.clone(), json!([])).starts_with("Deny"), "nobody fetches it");
    assert!(set(Some("cp -r /seed/. /data/"), run.clone(), json!([])).starts_with("Deny"), "all of a folder");
    let named = json!([{"name": "APP_HOME", "value": "/data/app"}]);
    assert!(set(fetch, run, named).starts_with("Deny"), "a variable names it");
}

#[test]
fn one_volume_of_a_product_is_told_once() {
    let mount = json!([{"name": "data", "mountPath": "/bitnami/kafka"}]);
    let kafka = |name: &str, env: Value| json!({"name": name, "image": "bitnami/kafka:4.0.0", "env": env, "volumeMounts": mount});
    let spec = |inits: Value, main: Value| {
        let object = json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "s", "namespace": "default"},
            "spec": {"template": {"spec": {"initContainers": inits, "containers": [main],
                "volumes": [{"name": "data", "emptyDir": {}}]}}}});
        found(json!({}), &[], &object)
    };
    let prepare = kafka("prepare", json!([{"name": "KAFKA_VOLUME_DIR", "value": "/bitnami/kafka"}]));
    let told = spec(json!([prepare]), kafka("kafka", json!([])));
    assert_eq!(told.len(), 1, "{told:?}");
    let doubted = json!([{"name": "data", "mountPath": "/data/db"}, {"name": "made", "mountPath": "/made"}]);
    let mongo = |args: Value| json!({"name": "m", "image": "mongo:8", "args": args, "volumeMounts": doubted});
    let object = deployment(json!({"initContainers": [mongo(json!(["--dbpath=/data/db"]))],
        "containers": [mongo(json!(["--config=/made/mongod.conf"]))],
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "made", "emptyDir": {}}]}));
    assert!(found(json!({}), &[], &object).concat().contains("Deny"), "a doubt about the main one alone");
    let helper = json!({"name": "c", "image": "corp/helper", "volumeMounts": mount});
    assert_eq!(spec(json!([prepare]), helper).len(), 1, "the init container's own");
    let milvus = json!({"name": "m", "image": "milvusdb/milvus:v2.5.0", "args": ["milvus", "run", "standalone"],
        "env": [{"name": "ETCD_USE_EMBED", "value": "true"}, {"name": "ETCD_DATA_DIR", "value": "/var/lib/milvus/etcd"}],
        "volumeMounts": [{"name": "data", "mountPath": "/var/lib/milvus"}]});
    let told = spec(json!([]), milvus);
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn configuration_that_a_script_fills_in_is_read() {
    let set = |script: &str, data: &str| {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config", "namespace": "default"},
            "data": {"a.template": format!("node.id=${{NODE_ID}}\nlog.dirs={data}\n"), "start.sh": script}});
        let mounts = json!([{"name": "keep", "mountPath": "/keep"}, {"name": "config", "mountPath": "/in"}]);
        let container = json!({"name": "c", "image": "apache/kafka:3.9.0", "command": ["/bin/bash", "/in/start.sh"],
            "volumeMounts": mounts});
        let object = json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "s", "namespace": "default"},
            "spec": {"template": {"spec": {"containers": [container],
                "volumes": [{"name": "config", "configMap": {"name": "config"}},
                    {"name": "keep", "persistentVolumeClaim": {"claimName": "c"}}]}}}});
        found(json!({}), &[map], &object).concat()
    };
    let run = "exec /opt/kafka/bin/kafka-server-start.sh /tmp/server.properties";
    for fill in [
        "sed -e \"s|\\${NODE_ID}|$NODE_ID|g\" \\\n  -e 's|a|b|' \\\n  /in/a.template \\\n  > /tmp/server.properties",
        "envsubst < /in/a.template >/tmp/server.properties",
        "cp /in/a.template /tmp/server.properties\nsed -i s/a/b/ /tmp/server.properties",
    ] {
        let script = format!("{fill}\n{run}\n");
        assert_eq!(set(&script, "/keep/data"), "", "{fill}");
        let told = set(&script, "/else/data");
        assert!(told.starts_with("Deny") && told.contains("/else/data"), "{fill}: {told}");
        let more = format!("{fill}\necho log.dirs=/x >> /tmp/server.properties\n{run}\n");
        assert!(set(&more, "/keep/data").starts_with("Warn"), "{fill}, and more");
    }
}

#[test]
fn a_client_that_ends_its_script_is_no_server() {
    let job = |script: &str| {
        let container = json!({"name": "c", "image": "postgres:15", "command": ["/bin/sh", "-c"], "args": [script],
                "env": [{"name": "USER_OF_DB", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]});
        let object = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "default"},
            "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}});
        found(json!({}), &[], &object).concat()
    };
    assert_eq!(job("pg_isready -h db || $(echo \"no database\" && exit 1)\necho ready\n"), "");
    assert_eq!(job("pg_isready -U $(USER_OF_DB) || $(echo \"no database\" && exit 1)\necho ready\n"), "");
    for script in ["pg_isready -h db || $(cat /run/what)", "pg_isready -h db && $(echo postgres -D /x)"] {
        assert!(job(script).starts_with("Warn"), "{script}");
    }
}

#[test]
fn clickhouse_keeper_alone_has_a_directory_of_its_own() {
    let keeper = |path: &str| {
        let mounts = json!([{"name": "data", "mountPath": path}]);
        let container = json!({"name": "c", "image": "clickhouse/clickhouse-server:24.12",
            "command": ["clickhouse-keeper", "--config-file=/etc/clickhouse-keeper/keeper.xml"], "volumeMounts": mounts});
        let volumes = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}]);
        found(json!({}), &[], &deployment(json!({"containers": [container], "volumes": volumes}))).concat()
    };
    for path in ["/var/lib/clickhouse-keeper", "/var/lib/clickhouse", "/var/lib/clickhouse/coordination"] {
        assert_eq!(keeper(path), "", "{path}");
    }
    assert_ne!(keeper("/srv"), "");
}
