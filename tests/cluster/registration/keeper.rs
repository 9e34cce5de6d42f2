//! Two replicas of `volgate serve --register` behind one address, while somebody makes objects all the time.

use crate::support::cluster::DEVELOPER;
use crate::support::serve::{self, Serve, free_address};
use crate::support::{Cluster, Output, volgate, wait_until};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// How long the slowest machine may take for any step.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

/// Two replicas, and the address by which the API server reaches one of them, in turns.
pub(crate) struct Replicas {
    pub(crate) both: [Serve; 2],
}

impl Replicas {
    /// Starts both at once.
    pub(crate) async fn start(cluster: &Cluster) -> Self {
        Self::start_by(cluster, [volgate(), volgate()]).await
    }

    /// The same by commands of their own.
    pub(crate) async fn start_by(cluster: &Cluster, commands: [Command; 2]) -> Self {
        let addresses = [free_address(), free_address()];
        let url = format!("https://{}", balance(addresses).await);
        let mut commands = commands.into_iter();
        let both = addresses.map(|address| {
            let listen = address.to_string();
            let args = ["--register", "--url", &url, "--listen", &listen, "--lease-duration", "6"];
            let command = commands.next().unwrap();
            Serve::start_by(command, &cluster.kubeconfig_for(&serve::user().name), &args)
        });
        for replica in &both {
            replica.ready().await;
        }
        Self { both }
    }

    /// How many times the log of either says so.
    pub(crate) fn said(&self, words: &str) -> usize {
        self.both.iter().map(|replica| replica.process.log().matches(words).count()).sum()
    }

    /// What both have in their logs, for the message of a test that fails.
    pub(crate) fn logs(&self) -> String {
        self.both.iter().map(|replica| replica.process.log_tail(40)).collect::<Vec<_>>().join("\n---\n")
    }

    /// Waits until the log of both together says so as many times.
    pub(crate) async fn say(&self, words: &str, times: usize) {
        wait_until(&format!("{times} times {words:?}"), LIMIT, async || {
            if self.said(words) >= times { Ok(()) } else { Err(self.logs()) }
        })
        .await;
    }
}

/// Takes connections and passes each on to one of the two in turns, as a Service does; to the other where the one is gone.
async fn balance(to: [SocketAddr; 2]) -> SocketAddr {
    // Not a loopback address: an API server speaks HTTP/2 to those alone, and HTTP/1.1 to every webhook of a real cluster.
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for turn in 0.. {
            let Ok((mut from, _)) = listener.accept().await else { return };
            tokio::spawn(async move {
                for at in [to[turn % 2], to[(turn + 1) % 2]] {
                    if let Ok(mut there) = TcpStream::connect(at).await {
                        let _ = tokio::io::copy_bidirectional(&mut from, &mut there).await;
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Makes pods about which both webhooks are asked, one after the other, until it is told to end.
pub(crate) struct Load {
    end: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<Vec<String>>,
}

impl Load {
    /// Begins in that namespace.
    pub(crate) fn start(cluster: &Cluster, namespace: &str) -> Self {
        let pods: Api<Pod> = Api::namespaced(cluster.client(DEVELOPER), namespace);
        let (end, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let task = tokio::spawn({
            let (end, made) = (end.clone(), made.clone());
            async move {
                let mut refused = Vec::new();
                while !end.load(Ordering::Relaxed) {
                    let pod = serde_json::from_value(json!({
                        "metadata": {"generateName": "load-"},
                        "spec": {"containers": [{"name": "c", "image": "nginx"}],
                                 "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "some"}}]}
                    }));
                    match pods.create(&PostParams::default(), &pod.unwrap()).await {
                        Ok(_) => _ = made.fetch_add(1, Ordering::Relaxed),
                        Err(error) => refused.push(error.to_string()),
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                refused
            }
        });
        Self { end, made, task }
    }

    /// Ends it: not one pod was refused, and there were many.
    pub(crate) async fn end_with_none_refused(self, least: usize) {
        self.end.store(true, Ordering::Relaxed);
        let refused = self.task.await.unwrap();
        let made = self.made.load(Ordering::Relaxed);
        assert!(refused.is_empty(), "{} of {} refused: {refused:#?}", refused.len(), made + refused.len());
        assert!(made >= least, "only {made} were made");
        crate::support::say(&format!("{made} pods were made, none was refused"));
    }
}

/// An object as the administrator sees it; null when there is none.
pub(crate) async fn get(cluster: &Cluster, line: &str) -> Value {
    let line = format!("get {line} --ignore-not-found -o json");
    let output = cluster.kubectl(&line.split(' ').collect::<Vec<_>>(), None).await;
    assert!(output.success, "{output}");
    if output.stdout.is_empty() { Value::Null } else { serde_json::from_str(&output.stdout).unwrap() }
}

/// Waits until an object is as it should be.
pub(crate) async fn until(cluster: &Cluster, line: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_until(line, LIMIT, async || {
        let found = get(cluster, line).await;
        if wanted(&found) { Ok(found) } else { Err(found.to_string()) }
    })
    .await
}

/// A JSON patch by the administrator.
pub(crate) async fn patch(cluster: &Cluster, of: &[&str], patch: Value) -> Output {
    let text = patch.to_string();
    cluster.kubectl(&[&["patch"], of, &["--type=json", "-p", &text]].concat(), None).await
}
