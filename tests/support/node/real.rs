//! A whole cluster: the control plane and its nodes.

use super::super::{Cluster, Options};
use super::kubelet::{Node, NodeOptions, wait_for};
use super::node_tests_skipped;
use super::pods::Pods;
use super::requirements;
use super::slot::Slot;
use std::net::IpAddr;
use std::ops::Deref;
use std::path::Path;
use std::sync::OnceLock;

/// A control plane with real nodes; it is a [`Cluster`] with all that this one does.
#[derive(Debug)]
pub struct RealCluster {
    // Dropped in this order: what uses the network and the API server, the API server, the network.
    nodes: Vec<Node>,
    cluster: Cluster,
    slot: Slot,
}

impl RealCluster {
    /// The cluster with one node that all tests of one test binary share, started by the first that asks; each test takes a
    /// namespace of its own in it. `None` only when an opt-out is set, which is said on stderr.
    ///
    /// # Panics
    /// When it does not start, with what to do about it.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Result<RealCluster, String>> = OnceLock::new();
        if node_tests_skipped() {
            return None;
        }
        match SHARED.get_or_init(|| Self::start(Options::default(), &[NodeOptions::default()])) {
            Ok(cluster) => Some(cluster),
            Err(fault) => panic!("{fault}"),
        }
    }

    /// A cluster of the test's own, with a node for each of the options. `advertise` and `services` of the control plane's
    /// options are set here. It blocks; it may be called within a tokio runtime and without one.
    ///
    /// # Errors
    /// A text for a person: what is missing, or the end of the log of the process that is to blame.
    pub fn start(options: Options, nodes: &[NodeOptions]) -> Result<Self, String> {
        requirements::check()?;
        if nodes.len() > usize::from(Slot::NODES) {
            return Err(format!("{} nodes are too many: there is room for {}", nodes.len(), Slot::NODES));
        }
        let slot = Slot::claim()?;
        let cluster = Cluster::start(Options {
            advertise: Some(IpAddr::V4(slot.host_address())),
            services: slot.services(),
            ..options
        })?;
        let output = cluster.kubectl_blocking(&["apply", "-f", "-"], Some(include_str!("no-pull.yaml")));
        if !output.success {
            return Err(format!("failed to apply tests/support/node/no-pull.yaml: {output}"));
        }
        let indexed = (1..=Slot::NODES).zip(nodes);
        let nodes = indexed.map(|(index, options)| Node::start(&cluster, &slot, index, options));
        let nodes = nodes.collect::<Result<_, _>>()?;
        wait_for("pods take the images that the node has", &[], || {
            let create =
                ["run", "probe", "--image=redis", "--dry-run=server", "-o=jsonpath={..imagePullPolicy}"];
            let output = cluster.kubectl_blocking(&create, None);
            if output.stdout == "IfNotPresent" { Ok(()) } else { Err(output.to_string()) }
        })?;
        Ok(Self { nodes, cluster, slot })
    }

    /// The nodes: `node-1` and so on.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The first node.
    pub fn node(&self) -> &Node {
        &self.nodes[0]
    }

    /// What the nodes have outside of their machines is called so, or begins with it: bridge, interfaces, cgroup.
    pub fn name(&self) -> String {
        self.slot.name()
    }

    /// Where all files of the nodes are.
    pub fn files(&self) -> &Path {
        self.slot.dir()
    }

    /// Where nodes and pods reach this machine.
    pub fn host_address(&self) -> IpAddr {
        IpAddr::V4(self.slot.host_address())
    }

    /// Creates a namespace, for pods that really run.
    pub async fn pods<'a>(&'a self, namespace: &'a str) -> Pods<'a> {
        self.cluster.namespace(namespace, &[]).await;
        Pods::new(&self.cluster, namespace)
    }
}

impl Deref for RealCluster {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}
