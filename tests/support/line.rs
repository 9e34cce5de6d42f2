//! A way to the API server that can be cut, and on which what was sent can be held back.

use super::Cluster;
use std::path::PathBuf;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Each connection has a number; volgate's client has a connection for each watch, and others for calls.
#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    cut: bool,
    /// How often it was cut; a connection does not outlive a cut, however short.
    cuts: u64,
    /// Of connections with a smaller number, nothing that the client says arrives.
    requests_held_of: u64,
    /// Of connections with a smaller number, nothing that the server says arrives.
    answers_held_of: u64,
}

/// A way to the API server, as long as the runtime that it was made in.
#[derive(Debug)]
pub struct Line {
    port: u16,
    traffic: watch::Sender<Traffic>,
    connections: watch::Receiver<u64>,
}

impl Line {
    /// A way to that port of this machine.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (traffic, state) = watch::channel(Traffic::default());
        let (number, connections) = watch::channel(0);
        let line = Self { port: listener.local_addr().unwrap().port(), traffic, connections };
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let of = *number.borrow();
                number.send_replace(of + 1);
                tokio::spawn(carry(near, port, of, state.clone()));
            }
        });
        line
    }

    /// Breaks every connection, and each that comes.
    pub fn cut(&self) {
        self.traffic.send_modify(|traffic| {
            traffic.cut = true;
            traffic.cuts += 1;
        });
    }

    /// Lets new connections be made again.
    pub fn mend(&self) {
        self.traffic.send_modify(|traffic| traffic.cut = false);
    }

    /// Holds back all that clients say from now on, on connections that come later too.
    pub fn hold_requests(&self) {
        self.traffic.send_modify(|traffic| traffic.requests_held_of = u64::MAX);
    }

    /// Holds back all that the server says on the connections of now, such as every watch that is open. What is asked on
    /// later ones is answered.
    pub fn hold_watches(&self) {
        let of = *self.connections.borrow();
        self.traffic.send_modify(|traffic| traffic.answers_held_of = of);
    }

    /// Lets everything go on that was held back.
    pub fn let_go(&self) {
        self.traffic.send_modify(|traffic| {
            (traffic.requests_held_of, traffic.answers_held_of) = (0, 0);
        });
    }

    /// A kubeconfig file for a user that goes this way.
    pub fn kubeconfig(&self, cluster: &Cluster, user: &str) -> PathBuf {
        let direct = cluster.kubeconfig_for(user);
        let text = std::fs::read_to_string(&direct).unwrap();
        let text = text.replace(&cluster.server_url(), &format!("https://127.0.0.1:{}", self.port));
        let path = direct.with_extension(format!("by-{}.kubeconfig", self.port));
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A client for a user that goes this way.
    pub async fn client(&self, cluster: &Cluster, user: &str) -> kube::Client {
        let text = std::fs::read_to_string(self.kubeconfig(cluster, user)).unwrap();
        let kubeconfig = serde_json::from_str(&text).unwrap();
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
        config.proxy_url = None;
        kube::Client::try_from(config).unwrap()
    }
}

async fn carry(near: TcpStream, port: u16, number: u64, state: watch::Receiver<Traffic>) {
    let begun = *state.borrow();
    if begun.cut {
        return;
    }
    // Nobody listens while the API server is away.
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (near_reads, near_writes) = near.into_split();
    let (far_reads, far_writes) = far.into_split();
    let requests = pass(near_reads, far_writes, state.clone(), move |now| number >= now.requests_held_of);
    let answers = pass(far_reads, near_writes, state.clone(), move |now| number >= now.answers_held_of);
    let mut state = state;
    tokio::select! {
        _ = futures::future::join(requests, answers) => {}
        _ = state.wait_for(|traffic| traffic.cuts != begun.cuts) => {}
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<Traffic>,
    free: impl Fn(&Traffic) -> bool,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        // Also what was already on its way when the hold began.
        let held = state.wait_for(&free).await.is_err();
        if held || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
