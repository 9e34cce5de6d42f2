//! `volgate reports` as it is installed: a pod of volgate's image with the rights and the network policy of its component.

use crate::support::installed::Installed;
use crate::support::node::Pods;
use crate::support::report_crd::report_crd;
use crate::support::run::root;

const NAMESPACE: &str = "reports";
/// Admitted with a warning, so that there is something to report.
const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: nginx, volumeMounts: [{name: files, mountPath: /data/db}]}]
      volumes: [{name: files, emptyDir: {}}]
";

#[tokio::test]
async fn the_installed_reports_are_written_into_the_cluster() {
    let Some(installed) = Installed::shared().await else { return };
    installed.real.namespace(NAMESPACE, &[]).await;
    let pods = Pods::new(&installed.real, NAMESPACE);
    pods.apply(WEB).await;
    for (kind, plural) in [("Report", "reports"), ("ClusterReport", "clusterreports")] {
        let crd = report_crd("openreports.io", "v1alpha1", kind, plural, &["high", "medium", "low", "info"]);
        pods.apply(&crd.to_string()).await;
        let name = format!("crd/{plural}.openreports.io");
        pods.works(&["wait", "--for=condition=Established", "--timeout=60s", &name], None).await;
    }
    let component = root("manifests/components/reports/reports.yaml");
    installed.works(&["apply", "-f", component.to_str().unwrap()], None).await;
    let rolled_out =
        ["rollout", "status", "deployment/volgate-reports", "--namespace=volgate-system", "--timeout=120s"];
    installed.works(&rolled_out, None).await;

    let warned = |list: &serde_json::Value| {
        list["items"].as_array().into_iter().flatten().any(|report| {
            report["scope"]["name"] == "web"
                && report["scope"]["kind"] == "Deployment"
                && report["summary"]["warn"] == 1
        })
    };
    let found = pods.until("reports.openreports.io", "tell of the Deployment", warned).await;
    let text = found.to_string();
    assert!(text.contains("/data/db") && text.contains("durable-data"), "{text}");
}
