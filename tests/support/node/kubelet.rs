//! A node: a machine with containerd, a kubelet, kube-proxy and a pod network.

use super::super::cluster::ADMIN;
use super::super::{Cluster, Process, say};
use super::credentials::write_kubeconfig;
use super::image::{Image, busybox, pause, redis};
use super::machine::Machine;
use super::pods::is_ready;
use super::slot::Slot;
use super::tools::Tools;
use serde_json::{Value, json};
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long the slowest machine may take for any step of the start.
const START_LIMIT: Duration = Duration::from_secs(120);

const KUBELET_PORT: u16 = 10250;

/// What a node should be like.
#[derive(Clone, Debug, Default)]
pub struct NodeOptions {
    /// Labels besides those that every kubelet sets.
    pub labels: Vec<(String, String)>,
    /// Further arguments of the kubelet.
    pub kubelet_args: Vec<String>,
    /// Images besides busybox, nginx (the same) and Redis.
    pub images: Vec<Image>,
}

/// A running node. Dropping it ends all of it; so does the end of the test process, however it comes.
#[derive(Debug)]
pub struct Node {
    // Dropped in this order; the machine takes along whatever runs on it.
    kubelet: Mutex<Process>,
    kubelet_args: Vec<String>,
    proxy: Process,
    containerd: Process,
    machine: Machine,
    name: String,
    address: Ipv4Addr,
    tools: Tools,
}

impl Node {
    /// Starts the node with this number, counted from 1, and waits until pods can run on it. It blocks for some seconds, and
    /// for minutes when the tools have to be made first.
    ///
    /// # Errors
    /// A text for a person, with the end of the log of the process that is to blame.
    pub fn start(cluster: &Cluster, slot: &Slot, index: u8, options: &NodeOptions) -> Result<Self, String> {
        let tools = Tools::get()?;
        let machine = Machine::start(slot, index, &tools)?;
        let name = format!("node-{index}");
        configure(cluster, slot, index, &name, &machine)?;

        let containerd = machine.spawn("containerd", &["--config=/node/conf/containerd.toml".into()])?;
        let address = slot.node_address(index);
        wait_for("containerd answers", &[&containerd], || {
            let output = machine.run("ctr", &["version"], None);
            if output.success { Ok(()) } else { Err(output.to_string()) }
        })?;
        let kubelet_args = kubelet_args(&name, address, options);
        let kubelet = Mutex::new(machine.spawn("kubelet", &kubelet_args)?);
        let proxy = machine.spawn(
            "kube-proxy",
            &["--config=/node/conf/kube-proxy.yaml".into(), format!("--hostname-override={name}")],
        )?;
        let node = Self { kubelet, kubelet_args, proxy, containerd, machine, name, address, tools };
        for image in [pause(), busybox(), redis(&node.tools)?].iter().chain(&options.images) {
            node.import(image)?;
        }
        node.await_ready(cluster)?;
        Ok(node)
    }

    fn await_ready(&self, cluster: &Cluster) -> Result<(), String> {
        let kubelet = self.kubelet.lock().unwrap();
        let processes = [&self.containerd, &*kubelet, &self.proxy];
        wait_for("the node is Ready", &processes, || {
            let output = cluster.kubectl_blocking(&["get", "node", &self.name, "-o", "json"], None);
            let node: Value = serde_json::from_str(&output.stdout).map_err(|_| output.to_string())?;
            if is_ready(&node) { Ok(()) } else { Err(node["status"]["conditions"].to_string()) }
        })?;
        // Admission has put it on; the controller that takes it off may be switched off because of fake nodes.
        let patch = r#"{"spec": {"taints": null}}"#;
        let output = cluster.kubectl_blocking(&["patch", "node", &self.name, "-p", patch], None);
        if !output.success {
            return Err(format!("failed to take the taints off {}: {output}", self.name));
        }
        wait_for("kube-proxy answers for Services", &processes, || {
            let rules = self.machine.run("nft", &["list", "table", "ip", "kube-proxy"], None);
            if rules.stdout.contains("default/kubernetes/tcp/https") {
                Ok(())
            } else {
                Err(rules.to_string())
            }
        })
    }

    /// Makes an image known to the node, so that pods can use it with `imagePullPolicy: IfNotPresent` or `Never`.
    ///
    /// # Errors
    /// A text for a person.
    pub fn import(&self, image: &Image) -> Result<(), String> {
        let archive = image.archive(&self.tools, &self.machine.file("/tmp"))?;
        let inside = format!("/tmp/{}", archive.file_name().unwrap_or_default().to_string_lossy());
        let output = self.machine.run(
            "ctr",
            &["--namespace=k8s.io", "images", "import", "--no-unpack=false", &inside],
            None,
        );
        if !output.success {
            return Err(format!("failed to import {}: {output}", image.names().join(", ")));
        }
        fs::remove_file(&archive).map_err(|e| format!("failed to remove {}: {e}", archive.display()))
    }

    /// The name of the Node object.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is reached, from this machine too.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The machine it runs on, for its files, programs and logs.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// A path of the node's disk, as the test finds it: what `hostPath` volumes and local volumes name.
    pub fn file(&self, path: &str) -> PathBuf {
        self.machine.file(path)
    }

    /// Kills the kubelet with SIGKILL and starts it anew; pods go on meanwhile. It blocks until the new one answers.
    ///
    /// # Errors
    /// A text for a person, with the end of the log.
    pub fn restart_kubelet(&self) -> Result<(), String> {
        let mut kubelet = self.kubelet.lock().unwrap();
        let connect =
            || TcpStream::connect((self.address, KUBELET_PORT)).map(|_| ()).map_err(|e| e.to_string());
        kubelet.kill();
        let gone = || if connect().is_err() { Ok(()) } else { Err("it still answers".to_owned()) };
        wait_for("the kubelet is gone", &[], gone)?;
        *kubelet = self.machine.spawn("kubelet", &self.kubelet_args)?;
        wait_for("the kubelet answers", &[&kubelet], connect)
    }
}

fn configure(cluster: &Cluster, slot: &Slot, index: u8, name: &str, machine: &Machine) -> Result<(), String> {
    let conf = machine.file("/node/conf");
    let cni = json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{
            "type": "bridge", "bridge": "pods", "isGateway": true, "hairpinMode": true,
            "ipam": {
                "type": "host-local", "dataDir": "/run/cni",
                "ranges": [[{"subnet": slot.pods(index)}]], "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    });
    fs::create_dir_all(conf.join("cni")).map_err(|e| format!("failed to create {}: {e}", conf.display()))?;
    for (file, text) in [
        ("containerd.toml", include_str!("containerd.toml")),
        ("kubelet.yaml", include_str!("kubelet.yaml")),
        ("kube-proxy.yaml", include_str!("kube-proxy.yaml")),
        ("cni/pods.conflist", &cni.to_string()),
    ] {
        fs::write(conf.join(file), text)
            .map_err(|e| format!("failed to write {file} in {}: {e}", conf.display()))?;
    }
    let user = format!("system:node:{name}");
    write_kubeconfig(cluster, &user, Some("system:nodes"), &conf.join("kubelet.kubeconfig"))?;
    write_kubeconfig(cluster, "system:kube-proxy", None, &conf.join("kube-proxy.kubeconfig"))
}

fn kubelet_args(name: &str, address: Ipv4Addr, options: &NodeOptions) -> Vec<String> {
    let labels: Vec<String> = options.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut args = vec![
        "--config=/node/conf/kubelet.yaml".into(),
        "--kubeconfig=/node/conf/kubelet.kubeconfig".into(),
        format!("--hostname-override={name}"),
        format!("--node-ip={address}"),
        format!("--node-labels={}", labels.join(",")),
    ];
    args.extend(options.kubelet_args.iter().cloned());
    args
}

/// Asks again and again; the processes must go on meanwhile.
pub fn wait_for(
    what: &str,
    processes: &[&Process],
    probe: impl Fn() -> Result<(), String>,
) -> Result<(), String> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let Err(fault) = probe() else { return Ok(()) };
        for process in processes {
            if let Some(status) = process.exited() {
                let (name, log) = (process.name(), process.log_tail(20));
                return Err(format!("{name} ended by itself ({status}). The end of its log:\n{log}"));
            }
        }
        if Instant::now() > deadline {
            let logs: String = processes
                .iter()
                .map(|process| {
                    format!("\n--- end of the log of {}\n{}", process.name(), process.log_tail(20))
                })
                .collect();
            return Err(format!(
                "waited {} s until {what}; last answer: {fault}{logs}",
                START_LIMIT.as_secs()
            ));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
