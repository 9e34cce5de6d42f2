//! What `volgate fix` writes, on a real node: refused before, admitted afterwards, and the data outlive their pod. All but
//! Redis are busybox under the names of the products: what counts here are an image's name and where its data lie.

use crate::experiments_node::{is_denied, write};
use crate::support::installed::Installed;
use crate::support::node::{LIMIT, Pods};
use crate::support::{Scratch, run, wait_until};
use serde_json::{Value, json};
use std::process::Command;
use volgate::source::to_yaml;

/// A product, its image, and where its data lie.
struct Product {
    name: &'static str,
    image: &'static str,
    data: &'static str,
    shape: Shape,
}

#[derive(Clone, Copy)]
enum Shape {
    /// Nothing is mounted.
    Pod,
    Deployment,
    /// An emptyDir is mounted here.
    StatefulSet(&'static str),
}

const PRODUCTS: [Product; 7] = [
    Product { name: "redis", image: "redis:7", data: "/data", shape: Shape::StatefulSet("/data") },
    Product {
        name: "postgres",
        image: "postgres:18",
        data: "/var/lib/postgresql/18/docker",
        shape: Shape::StatefulSet("/var/lib/postgresql"),
    },
    Product { name: "mysql", image: "mysql:9", data: "/var/lib/mysql", shape: Shape::Deployment },
    Product { name: "mongo", image: "mongo:8", data: "/data/db", shape: Shape::Pod },
    Product {
        name: "rabbitmq",
        image: "rabbitmq:4",
        data: "/var/lib/rabbitmq/mnesia",
        shape: Shape::StatefulSet("/var/lib/rabbitmq"),
    },
    Product { name: "influxdb", image: "influxdb:2", data: "/var/lib/influxdb2", shape: Shape::Deployment },
    Product { name: "neo4j", image: "neo4j:5", data: "/data", shape: Shape::Pod },
];

impl Product {
    fn manifest(&self) -> Value {
        let labels = json!({"app": self.name});
        let mut container = json!({"name": self.name, "image": self.image});
        let mut pod = json!({"terminationGracePeriodSeconds": 0});
        if let Shape::StatefulSet(path) = self.shape {
            container["volumeMounts"] = json!([{"name": "store", "mountPath": path}]);
            pod["volumes"] = json!([{"name": "store", "emptyDir": {}}]);
        }
        pod["containers"] = json!([container]);
        let mut spec = json!({"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}});
        let kind = match self.shape {
            Shape::Pod => {
                let metadata = json!({"name": self.name, "labels": labels});
                return json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod});
            }
            Shape::Deployment => "Deployment",
            Shape::StatefulSet(_) => {
                spec["serviceName"] = json!(self.name);
                "StatefulSet"
            }
        };
        json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": self.name}, "spec": spec})
    }

    /// The name of its pod and the pod's uid, once there is one that is Ready and not the one with that uid.
    async fn pod(&self, pods: &Pods<'_>, before: Option<&str>) -> (String, String) {
        let selector = format!("--selector=app={}", self.name);
        let each = "jsonpath={range .items[*]}{.metadata.uid} {.metadata.name}{\"\\n\"}{end}";
        let found = wait_until(&format!("{} has a new pod", self.name), LIMIT, async || {
            let found = pods.works(&["get", "pods", &selector, "-o", each], None).await;
            let new = |line: &&str| before.is_none_or(|before| !line.starts_with(before));
            found.lines().find(new).map(str::to_owned).ok_or(found)
        })
        .await;
        let (uid, name) = found.split_once(' ').unwrap();
        pods.ready(name).await;
        (name.to_owned(), uid.to_owned())
    }
}

#[tokio::test]
async fn data_outlive_their_pod_once_volgate_has_fixed_the_manifest() {
    let Some(installed) = Installed::shared().await else { return };
    let pods = installed.real.pods("fixed").await;
    let folder = Scratch::new("fixed").unwrap();
    for product in PRODUCTS {
        let file = folder.path().join(format!("{}.yaml", product.name));
        let manifest = to_yaml(&product.manifest());
        is_denied(&pods, &manifest, "lost when").await;
        std::fs::write(&file, &manifest).unwrap();
        let mut fix = Command::new(env!("CARGO_BIN_EXE_volgate"));
        fix.arg("fix").arg(&file).current_dir(folder.path());
        let output = run(fix, None).unwrap();
        assert!(output.success, "{}: {output}", product.name);
        let fixed = std::fs::read_to_string(&file).unwrap();
        pods.apply(&fixed).await;
        let (pod, uid) = product.pod(&pods, None).await;
        let path = format!("{}/hello.txt", product.data);
        pods.exec(&pod, &["mkdir", "-p", product.data]).await;
        write(&pods, &pod, &path).await;
        pods.delete(&format!("pod/{pod}")).await;
        if matches!(product.shape, Shape::Pod) {
            pods.apply(&fixed).await;
        }
        let (pod, _) = product.pod(&pods, Some(&uid)).await;
        assert_eq!(pods.exec(&pod, &["cat", &path]).await, "hello\n", "{}: {fixed}", product.name);
    }
}
