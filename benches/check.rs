//! What judging costs beside reading: `volgate check` over 5,000 realistic manifests, and the bare parse of the same
//! bytes, in one run. Prints the best time of several rounds of each, and their ratio.
//!
//! `cargo bench --no-default-features --bench check`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a bench that cannot be set up cannot run

use std::hint::black_box;
use std::time::{Duration, Instant};
use volgate::check::{Input, Run};
use volgate::policy::{PolicySet, embedded_baseline};
use volgate::source::parse;

const MANIFESTS: usize = 5_000;
const ROUNDS: usize = 7;

fn main() {
    let Some(policies) = baseline() else {
        eprintln!("failed to load the built-in baseline");
        return;
    };
    let manifests: Vec<String> = (0..MANIFESTS).map(manifest).collect();
    compare("one folder", &policies, &manifests);
    compare("one file", &policies, &[manifests.join("---\n")]);
}

fn baseline() -> Option<PolicySet> {
    PolicySet::build(vec![embedded_baseline().ok()?]).ok()
}

fn compare(name: &str, policies: &PolicySet, texts: &[String]) {
    let bytes: usize = texts.iter().map(String::len).sum();
    let bare = best(|| {
        for text in texts {
            black_box(parse(text));
        }
    });
    let files: Vec<(String, Vec<u8>, bool)> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| (format!("{index}.yaml"), text.clone().into_bytes(), false))
        .collect();
    let full = best(|| {
        let inputs = Input::read_all(&files);
        black_box(run(policies).check(&inputs).summary());
    });
    let inputs = Input::read_all(&files);
    let judged = best(|| {
        black_box(run(policies).check(&inputs).summary());
    });
    let ratio = full.as_secs_f64() / bare.as_secs_f64();
    println!(
        "{name}: {MANIFESTS} manifests, {bytes} bytes: bare parse {bare:.1?}, check {full:.1?} (of it judging \
         {judged:.1?}), ratio {ratio:.2}; {:?}",
        run(policies).check(&inputs).summary()
    );
}

fn run(policies: &PolicySet) -> Run<'_> {
    Run::new(policies, jiff::civil::date(2026, 11, 23))
}

fn best(mut work: impl FnMut()) -> Duration {
    let time = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..ROUNDS).map(time).min().unwrap_or_default()
}

/// A mix as a cluster has it: stateless Deployments and Services, ConfigMaps, databases with claims and without.
fn manifest(index: usize) -> String {
    match index % 8 {
        0 if index.is_multiple_of(80) => deployment(index, "redis:7", "data", "emptyDir: {}"),
        0 | 1 => deployment(index, "registry.example/team/api:1.4", "cache", "emptyDir: {}"),
        2 => deployment(
            index,
            "redis:7",
            "data",
            &format!("persistentVolumeClaim: {{claimName: claim-{index}}}"),
        ),
        3 => stateful_set(index),
        4 => format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: pod-{index}\n  namespace: shop\n  labels:\n    app: pod-{index}\n\
             spec:\n  containers:\n  - name: main\n    image: nginx:1.27\n    ports:\n    - containerPort: 80\n    \
             volumeMounts:\n    - name: html\n      mountPath: /usr/share/nginx/html\n  volumes:\n  - name: html\n    \
             configMap:\n      name: html-{index}\n"
        ),
        5 => format!(
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  name: claim-{index}\n  namespace: shop\nspec:\n  \
             accessModes:\n  - ReadWriteOnce\n  resources:\n    requests:\n      storage: 10Gi\n"
        ),
        6 => format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: service-{index}\n  namespace: shop\nspec:\n  selector:\n    \
             app: app-{index}\n  ports:\n  - name: http\n    port: 80\n    targetPort: 8080\n    protocol: TCP\n"
        ),
        _ => format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: config-{index}\n  namespace: shop\ndata:\n  LOG_LEVEL: info\n  \
             app.properties: |\n    server.port=8080\n    cache.size=1024\n    feature.one=true\n    feature.two=false\n"
        ),
    }
}

fn deployment(index: usize, image: &str, volume: &str, source: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-{index}\n  namespace: shop\n  labels:\n    app: \
         app-{index}\n    app.kubernetes.io/part-of: shop\nspec:\n  replicas: 2\n  selector:\n    matchLabels:\n      app: \
         app-{index}\n  template:\n    metadata:\n      labels:\n        app: app-{index}\n    spec:\n      \
         serviceAccountName: app\n      containers:\n      - name: main\n        image: {image}\n        env:\n        - \
         name: LOG_LEVEL\n          value: info\n        - name: PASSWORD\n          valueFrom:\n            \
         secretKeyRef: {{name: app-{index}, key: password}}\n        ports:\n        - name: http\n          \
         containerPort: 8080\n        resources:\n          requests: {{cpu: 100m, memory: 128Mi}}\n          limits: \
         {{memory: 256Mi}}\n        readinessProbe:\n          httpGet: {{path: /healthz, port: http}}\n          \
         periodSeconds: 10\n        securityContext:\n          allowPrivilegeEscalation: false\n        \
         volumeMounts:\n        - name: {volume}\n          mountPath: /data\n        - name: config\n          \
         mountPath: /etc/app\n      volumes:\n      - name: {volume}\n        {source}\n      - name: config\n        \
         configMap:\n          name: config-{index}\n"
    )
}

fn stateful_set(index: usize) -> String {
    format!(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata:\n  name: db-{index}\n  namespace: shop\nspec:\n  serviceName: \
         db-{index}\n  replicas: 3\n  selector:\n    matchLabels:\n      app: db-{index}\n  template:\n    metadata:\n      \
         labels:\n        app: db-{index}\n    spec:\n      containers:\n      - name: postgres\n        image: \
         postgres:17\n        env:\n        - name: PGDATA\n          value: /var/lib/postgresql/data/pgdata\n        \
         ports:\n        - containerPort: 5432\n        volumeMounts:\n        - name: data\n          mountPath: \
         /var/lib/postgresql/data\n      - name: exporter\n        image: prometheuscommunity/postgres-exporter:v0.17\n  \
         volumeClaimTemplates:\n  - metadata:\n      name: data\n    spec:\n      accessModes: [ReadWriteOnce]\n      \
         resources:\n        requests:\n          storage: 20Gi\n"
    )
}
