//! A Kubernetes control plane of the test's own: etcd, kube-apiserver, kube-controller-manager and kube-scheduler, each a
//! process on ports and in a directory of its own. No kubelet: nodes are objects that nobody runs ([`Cluster::fake_node`]).

use super::{Output, Process, Scratch, binary, cluster_tests_skipped, run, say};
use k8s_openapi::api::core::v1::{Namespace, Node, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, DynamicObject, GetParams, Patch, PatchParams, PostParams, Request};
use kube::core::{ApiResource, GroupVersionKind};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::json;
use std::fs;
use std::future::Future;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The user in `system:masters`, for whom everything is allowed.
pub const ADMIN: &str = "admin";
/// A user who may do what the ClusterRoles `edit` and `view` allow, in every namespace, and nothing else.
pub const DEVELOPER: &str = "developer";
/// The horizontal pod autoscaler's account, which a test that needs it adds with [`autoscaler`].
pub const AUTOSCALER: &str = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";

/// The horizontal pod autoscaler, for [`Options::users`].
pub fn autoscaler() -> User {
    User { name: AUTOSCALER.into(), groups: Vec::new() }
}

/// How long the slowest machine may take for any step of the start.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long [`wait_until`] waits between two looks.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long [`Cluster::namespace`] and [`Cluster::fake_node`] wait for what they made.
const SMALL_LIMIT: Duration = Duration::from_secs(30);

/// Somebody with a token.
#[derive(Clone, Debug)]
pub struct User {
    /// What the API server calls them, and [`Cluster::client`] too.
    pub name: String,
    /// Their groups, besides `system:authenticated`.
    pub groups: Vec<String>,
}

/// What a cluster should be like. `Options::default()` is the whole control plane, which fake nodes are enough for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Run kube-controller-manager: it binds claims, makes Pods of workloads, makes default ServiceAccounts.
    pub controller_manager: bool,
    /// Run kube-scheduler: it assigns Pods to nodes, and nodes to claims that wait for their first consumer.
    pub scheduler: bool,
    /// Let the controller manager watch over nodes: it taints a node whose lease nobody renews for 40 s, as no fake
    /// node's lease is, and takes the not-ready taint off a real one.
    pub node_lifecycle: bool,
    /// Serve on every address of the machine, and let the Service `kubernetes` name this one, so that real pods reach the
    /// API server. It cannot be a loopback address. `None`: loopback only, and that Service leads nowhere.
    pub advertise: Option<IpAddr>,
    /// Where Services have their addresses: the first address, and the length of its network part. Clusters with nodes of
    /// their own must differ in it.
    pub services: (Ipv4Addr, u8),
    /// Further arguments, such as `--enable-admission-plugins=…` or `--feature-gates=…`.
    pub api_server_args: Vec<String>,
    /// Further arguments, such as `--kube-api-qps=300`.
    pub controller_manager_args: Vec<String>,
    /// Further arguments.
    pub scheduler_args: Vec<String>,
    /// Users besides `admin` and `developer`, such as `system:node:n1` in the group `system:nodes`.
    pub users: Vec<User>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            controller_manager: true,
            scheduler: true,
            node_lifecycle: false,
            advertise: None,
            services: (Ipv4Addr::new(10, 96, 0, 0), 16),
            api_server_args: Vec::new(),
            controller_manager_args: Vec::new(),
            scheduler_args: Vec::new(),
            users: Vec::new(),
        }
    }
}

/// A running control plane. Dropping it kills every process and removes its directory; so does the end of the test
/// process, however it comes.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: those who talk to the API server, the API server, etcd, and last their directory.
    processes: Vec<Process>,
    port: u16,
    advertise: Option<IpAddr>,
    ca_pem: String,
    ca_der: Vec<u8>,
    tokens: Vec<(User, String)>,
    scratch: Scratch,
}

impl Cluster {
    /// The cluster that all tests of one test binary share, started by the first that asks; each test takes a namespace
    /// of its own in it. `None` only when the opt-out is set, which is said on stderr.
    ///
    /// # Panics
    /// When it does not start, with what to do about it.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Result<Cluster, String>> = OnceLock::new();
        if cluster_tests_skipped() {
            return None;
        }
        match SHARED.get_or_init(|| Self::start(Options::default())) {
            Ok(cluster) => Some(cluster),
            Err(fault) => panic!("{fault}"),
        }
    }

    /// A cluster of the test's own, for a test that needs other options or that breaks things. `None` only when the
    /// opt-out is set, which is said on stderr.
    ///
    /// # Panics
    /// When it does not start, with what to do about it.
    pub fn own(options: Options) -> Option<Self> {
        if cluster_tests_skipped() {
            return None;
        }
        Some(Self::start(options).unwrap_or_else(|fault| panic!("{fault}")))
    }

    /// Starts a cluster and waits until it is ready. It blocks for some seconds, and for minutes when the control plane
    /// has to be built first; it may be called within a tokio runtime and without one.
    ///
    /// # Errors
    /// A text for a person, with the end of the log of the process that is to blame.
    pub fn start(options: Options) -> Result<Self, String> {
        super::assets()?;
        // A port that was free when asked for may be taken when it is used: begin again with others.
        let mut tries = 0;
        loop {
            let result = Self::try_start(&options);
            tries += 1;
            match result {
                Err(fault) if fault.contains("address already in use") && tries < 4 => {
                    say(
                        "a port was taken by somebody else meanwhile; starting the control plane again on others",
                    );
                }
                result => return result,
            }
        }
    }

    fn try_start(options: &Options) -> Result<Self, String> {
        let scratch = Scratch::new("cluster")?;
        let dir = scratch.path().to_owned();
        let write = |name: &str, text: &str| {
            let path = dir.join(name);
            let fail = |e: std::io::Error| format!("failed to write {}: {e}", path.display());
            fs::write(&path, text).map_err(fail)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(fail)
        };
        fs::create_dir(dir.join("home"))
            .map_err(|e| format!("failed to create home in {}: {e}", dir.display()))?;

        let keys = Keys::generate(options).map_err(|e| format!("failed to make certificates: {e}"))?;
        write("ca.pem", &keys.ca_pem)?;
        write("ca-key.pem", &keys.ca_key_pem)?;
        write("server.pem", &keys.server_pem)?;
        write("server-key.pem", &keys.server_key_pem)?;
        write("accounts-key.pem", &keys.accounts_key_pem)?;
        write("accounts.pem", &keys.accounts_pem)?;

        let mut users = vec![
            User { name: ADMIN.into(), groups: vec!["system:masters".into()] },
            User { name: DEVELOPER.into(), groups: vec!["developers".into()] },
        ];
        users.extend(options.users.iter().cloned());
        let tokens = users
            .into_iter()
            .map(|user| Ok((user, random_token()?)))
            .collect::<Result<Vec<_>, std::io::Error>>()
            .map_err(|e| format!("failed to make a token: {e}"))?;
        let table: String = tokens
            .iter()
            .map(|(user, token)| format!("{token},{0},{0},\"{1}\"\n", user.name, user.groups.join(",")))
            .collect();
        write("tokens.csv", &table)?;

        let [client_port, peer_port, port] =
            free_ports().map_err(|e| format!("failed to find free ports: {e}"))?;
        let mut cluster = Self {
            processes: Vec::new(),
            port,
            advertise: options.advertise,
            ca_pem: keys.ca_pem,
            ca_der: keys.ca_der,
            tokens,
            scratch,
        };
        for (user, token) in &cluster.tokens {
            write(&kubeconfig_name(&user.name), &cluster.kubeconfig_text(&user.name, token))?;
        }

        let etcd = cluster.spawn("etcd", &etcd_args(&dir, client_port, peer_port))?;
        let api_server =
            cluster.spawn("kube-apiserver", &api_server_args(&dir, options, port, client_port))?;
        cluster.processes = vec![api_server, etcd];
        cluster.wait_for_start("the API server is ready", async |client| {
            let request = Request::new("").get("readyz", &GetParams::default()).map_err(|e| e.to_string())?;
            client.request_text(request).await.map(|_| ()).map_err(|e| e.to_string())
        })?;
        cluster.allow_developer()?;
        if options.controller_manager {
            let process =
                cluster.spawn("kube-controller-manager", &controller_manager_args(&dir, options))?;
            cluster.processes.insert(0, process);
        }
        if options.scheduler {
            let process = cluster.spawn("kube-scheduler", &scheduler_args(&dir, options))?;
            cluster.processes.insert(0, process);
        }
        if options.controller_manager {
            cluster.wait_for_start("the controller manager works", async |client| {
                let accounts: Api<ServiceAccount> = Api::namespaced(client, "default");
                accounts.get("default").await.map(|_| ()).map_err(|e| e.to_string())
            })?;
        }
        Ok(cluster)
    }

    fn spawn(&self, name: &str, args: &[String]) -> Result<Process, String> {
        let mut command = Command::new(binary(name)?);
        // Whatever proxy the machine uses has no business between two processes on it.
        for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(variable);
        }
        command.args(args).current_dir(self.dir()).env("HOME", self.dir().join("home"));
        Process::spawn(name, &command, &self.dir().join(format!("{name}.log")))
    }

    /// Polls on a thread and a runtime of its own: [`Cluster::start`] may be called on a thread that runs one already.
    fn wait_for_start<F>(&self, what: &str, probe: F) -> Result<(), String>
    where
        F: AsyncFn(kube::Client) -> Result<(), String> + Send + Sync,
    {
        self.on_own_runtime(async || {
            let deadline = Instant::now() + START_LIMIT;
            let client = self.client(ADMIN);
            loop {
                let Err(fault) = probe(client.clone()).await else { return Ok(()) };
                for process in &self.processes {
                    if let Some(status) = process.exited() {
                        let (name, log) = (process.name(), process.log_tail(12));
                        return Err(format!("{name} ended by itself ({status}). The end of its log:\n{log}"));
                    }
                }
                if Instant::now() > deadline {
                    let logs: String = self
                        .processes
                        .iter()
                        .map(|process| {
                            format!("\n--- end of the log of {}\n{}", process.name(), process.log_tail(12))
                        })
                        .collect();
                    let seconds = START_LIMIT.as_secs();
                    return Err(format!("waited {seconds} s until {what}; last answer: {fault}{logs}"));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
    }

    fn on_own_runtime<T: Send>(
        &self,
        work: impl AsyncFnOnce() -> Result<T, String> + Send,
    ) -> Result<T, String> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(|e| format!("failed to build a runtime: {e}"))?;
                runtime.block_on(work())
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// `edit` and `view` themselves are empty until the controller manager has aggregated them.
    fn allow_developer(&self) -> Result<(), String> {
        use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
        self.on_own_runtime(async || {
            let bindings: Api<ClusterRoleBinding> = Api::all(self.client(ADMIN));
            for role in ["system:aggregate-to-edit", "system:aggregate-to-view"] {
                let binding = json!({
                    "metadata": {"name": format!("developers:{role}")},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "developers"}],
                });
                let binding = serde_json::from_value(binding).map_err(|e| e.to_string())?;
                bindings
                    .create(&PostParams::default(), &binding)
                    .await
                    .map_err(|e| format!("failed to allow the user developer {role}: {e}"))?;
            }
            Ok(())
        })
    }

    /// Such as `https://127.0.0.1:34567`.
    pub fn server_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// As [`Self::server_url`], for nodes; `None` when [`Options::advertise`] is.
    pub fn advertised_url(&self) -> Option<String> {
        self.advertise.map(|address| format!("https://{address}:{}", self.port))
    }

    /// The port of the API server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the API server's certificate is signed by, in PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The bearer token of `admin`.
    pub fn admin_token(&self) -> &str {
        self.token(ADMIN)
    }

    /// The bearer token of a user.
    ///
    /// # Panics
    /// There is no such user.
    pub fn token(&self, user: &str) -> &str {
        let found = self.tokens.iter().find(|(known, _)| known.name == user);
        &found.unwrap_or_else(|| panic!("the cluster has no user {user:?}: name it in Options::users")).1
    }

    /// A kubeconfig file for `admin`.
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.kubeconfig_for(ADMIN)
    }

    /// A kubeconfig file for a user.
    pub fn kubeconfig_for(&self, user: &str) -> PathBuf {
        self.dir().join(kubeconfig_name(user))
    }

    /// The cluster's directory: `ca.pem` and `ca-key.pem` (as for a kubelet's certificate), the kubeconfig files, and a
    /// `<process>.log` each.
    pub fn dir(&self) -> &Path {
        self.scratch.path()
    }

    /// One of the processes (`kube-scheduler`, …), to stop it, kill it or read its log.
    ///
    /// # Panics
    /// It does not run in this cluster.
    pub fn process(&self, name: &str) -> &Process {
        let found = self.processes.iter().find(|process| process.name() == name);
        found.unwrap_or_else(|| panic!("{name} does not run in this cluster: see Options"))
    }

    /// A client for a user; [`ADMIN`] and [`DEVELOPER`] are always there. It belongs to the runtime it is made in: make one
    /// in each test.
    ///
    /// # Panics
    /// There is no such user, or no tokio runtime.
    pub fn client(&self, user: &str) -> kube::Client {
        self.client_with_token(self.token(user))
    }

    /// A client for whoever the bearer token belongs to, such as a ServiceAccount by `kubectl create token`.
    ///
    /// # Panics
    /// There is no tokio runtime.
    pub fn client_with_token(&self, token: &str) -> kube::Client {
        let mut config = kube::Config::new(self.server_url().parse().unwrap());
        config.root_cert = Some(vec![self.ca_der.clone()]);
        config.auth_info = serde_json::from_value(json!({"token": token})).unwrap();
        config.proxy_url = None;
        kube::Client::try_from(config).unwrap_or_else(|e| panic!("failed to make a client: {e}"))
    }

    /// Runs kubectl as `admin`, with `stdin` given to it. It runs on a thread of its own, so that a webhook that the test
    /// serves on the same runtime can answer meanwhile.
    ///
    /// # Panics
    /// When kubectl cannot be run at all. That it fails is for the caller to look at.
    pub async fn kubectl(&self, args: &[&str], stdin: Option<&str>) -> Output {
        self.kubectl_as(ADMIN, args, stdin).await
    }

    /// As [`Cluster::kubectl`], as another user.
    pub async fn kubectl_as(&self, user: &str, args: &[&str], stdin: Option<&str>) -> Output {
        let command = self.kubectl_command(user, args);
        let stdin = stdin.map(str::to_owned);
        let work = tokio::task::spawn_blocking(move || run(command, stdin.as_deref()));
        let output = work.await.unwrap_or_else(|e| panic!("kubectl: {e}"));
        output.unwrap_or_else(|e| panic!("failed to run kubectl: {e}"))
    }

    /// As [`Cluster::kubectl`], for a test without a runtime.
    pub fn kubectl_blocking(&self, args: &[&str], stdin: Option<&str>) -> Output {
        let output = run(self.kubectl_command(ADMIN, args), stdin);
        output.unwrap_or_else(|e| panic!("failed to run kubectl: {e}"))
    }

    fn kubectl_command(&self, user: &str, args: &[&str]) -> Command {
        let mut command = Command::new(binary("kubectl").unwrap_or_else(|fault| panic!("{fault}")));
        command
            .args(args)
            .env("KUBECONFIG", self.kubeconfig_for(user))
            .env("HOME", self.dir().join("home"))
            .env("NO_PROXY", "127.0.0.1");
        command
    }

    /// Writes the `scale` of a workload as the horizontal pod autoscaler does: it is read, and put back with so many
    /// replicas. What the API server has against it.
    ///
    /// # Panics
    /// When the scale cannot be read.
    pub async fn autoscale(
        &self,
        of: (&str, &str),
        namespace: &str,
        name: &str,
        replicas: i32,
    ) -> Result<(), String> {
        let (group, version) = of.0.split_once('/').unwrap_or(("", of.0));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, of.1));
        let api: Api<DynamicObject> = Api::namespaced_with(self.client(AUTOSCALER), namespace, &resource);
        loop {
            let mut scale = api.get_scale(name).await.unwrap_or_else(|e| panic!("the scale of {name}: {e}"));
            scale.spec.get_or_insert_default().replicas = Some(replicas);
            match api.replace_scale(name, &PostParams::default(), &scale).await {
                Ok(_) => return Ok(()),
                // Its controller wrote the status in between. The real autoscaler comes back as well.
                Err(kube::Error::Api(status)) if status.reason == "Conflict" => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Creates a namespace, and waits until Pods can be created in it.
    ///
    /// # Panics
    /// It exists already, or its default ServiceAccount does not come.
    pub async fn namespace(&self, name: &str, labels: &[(&str, &str)]) {
        let client = self.client(ADMIN);
        let labels: serde_json::Map<_, _> = labels.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        let namespace =
            serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap();
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap_or_else(|e| panic!("failed to create namespace {name}: {e}"));
        let accounts: Api<ServiceAccount> = Api::namespaced(client, name);
        if !self.processes.iter().any(|process| process.name() == "kube-controller-manager") {
            let account = serde_json::from_value(json!({"metadata": {"name": "default"}})).unwrap();
            let created = accounts.create(&PostParams::default(), &account).await;
            created.unwrap_or_else(|e| panic!("failed to create the default ServiceAccount of {name}: {e}"));
        }
        wait_until(&format!("namespace {name} has its default ServiceAccount"), SMALL_LIMIT, async || {
            accounts.get("default").await.map_err(|e| e.to_string())
        })
        .await;
    }

    /// Creates a Node that is Ready, has room (8 CPUs, 32 GiB, 110 Pods) and no taints, and that nobody runs: Pods are
    /// scheduled to it and stay Pending. Its label `kubernetes.io/hostname` is its name unless `labels` says otherwise.
    ///
    /// # Panics
    /// When the API server refuses.
    pub async fn fake_node(&self, name: &str, labels: &[(&str, &str)]) -> Node {
        let nodes: Api<Node> = Api::all(self.client(ADMIN));
        let mut all = serde_json::Map::new();
        all.insert("kubernetes.io/hostname".to_owned(), json!(name));
        all.insert("kubernetes.io/os".to_owned(), json!("linux"));
        all.insert("kubernetes.io/arch".to_owned(), json!("amd64"));
        all.extend(labels.iter().map(|(key, value)| ((*key).to_owned(), json!(value))));
        let node = serde_json::from_value(json!({"metadata": {"name": name, "labels": all}})).unwrap();
        let created = nodes.create(&PostParams::default(), &node).await;
        created.unwrap_or_else(|e| panic!("failed to create node {name}: {e}"));
        let room = json!({"cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"});
        let now = Time(k8s_openapi::jiff::Timestamp::now());
        let status = json!({"status": {
            "capacity": room,
            "allocatable": room,
            "addresses": [{"type": "Hostname", "address": name}],
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Fake", "message": "a node of the tests",
                "lastHeartbeatTime": now, "lastTransitionTime": now,
            }],
        }});
        let merge = PatchParams::default();
        let patched = nodes.patch_status(name, &merge, &Patch::Merge(status)).await;
        patched.unwrap_or_else(|e| panic!("failed to make node {name} Ready: {e}"));
        // Admission has put the not-ready taint on it, and the controller that would take it off does not run.
        let patched = nodes.patch(name, &merge, &Patch::Merge(json!({"spec": {"taints": null}}))).await;
        patched.unwrap_or_else(|e| panic!("failed to take the taints off node {name}: {e}"))
    }

    fn kubeconfig_text(&self, user: &str, token: &str) -> String {
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {
                "server": self.server_url(), "certificate-authority": self.dir().join("ca.pem"),
            }}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "current-context": "test",
        })
        .to_string()
    }
}

/// Asks again and again until `probe` answers `Ok`, and returns that; an `Err` is a text that says what is still missing.
///
/// # Panics
/// When `limit` is over, with `what` and the last text.
pub async fn wait_until<T>(what: &str, limit: Duration, probe: impl AsyncFn() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(missing) if began.elapsed() > limit => {
                panic!("waited {} s until {what}; last seen: {missing}", limit.as_secs_f32())
            }
            // Many probes are a kubectl, and each is a tenth of a second of a core: what takes long is looked at less often.
            Err(_) => tokio::time::sleep((began.elapsed() / 10).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)).await,
        }
    }
}

fn etcd_args(dir: &Path, client_port: u16, peer_port: u16) -> Vec<String> {
    let (client, peer) = (format!("http://127.0.0.1:{client_port}"), format!("http://127.0.0.1:{peer_port}"));
    vec![
        "--name=test".into(),
        format!("--data-dir={}", dir.join("etcd").display()),
        "--unsafe-no-fsync".into(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=test={peer}"),
        "--log-level=warn".into(),
    ]
}

fn api_server_args(dir: &Path, options: &Options, port: u16, etcd_port: u16) -> Vec<String> {
    let file = |name: &str| dir.join(name).display().to_string();
    let mut args = vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        format!("--secure-port={port}"),
        format!("--tls-cert-file={}", file("server.pem")),
        format!("--tls-private-key-file={}", file("server-key.pem")),
        format!("--client-ca-file={}", file("ca.pem")),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--authorization-mode=Node,RBAC".into(),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-signing-key-file={}", file("accounts-key.pem")),
        format!("--service-account-key-file={}", file("accounts.pem")),
        format!("--service-cluster-ip-range={}/{}", options.services.0, options.services.1),
        "--kubelet-preferred-address-types=InternalIP".into(),
        "--allow-privileged=true".into(),
        "--profiling=false".into(),
    ];
    match options.advertise {
        Some(address) => {
            args.push("--bind-address=0.0.0.0".into());
            args.push(format!("--advertise-address={address}"));
        }
        None => {
            args.push("--bind-address=127.0.0.1".into());
            args.push("--advertise-address=127.0.0.1".into());
            // Endpoints cannot be loopback addresses: the attempt would fill the log.
            args.push("--endpoint-reconciler-type=none".into());
        }
    }
    args.extend(options.api_server_args.iter().cloned());
    args
}

fn controller_manager_args(dir: &Path, options: &Options) -> Vec<String> {
    let file = |name: &str| dir.join(name).display().to_string();
    let controllers = if options.node_lifecycle { "*" } else { "*,-node-lifecycle-controller" };
    let mut args = vec![
        format!("--kubeconfig={}", file(&kubeconfig_name(ADMIN))),
        format!("--controllers={controllers}"),
        "--leader-elect=false".into(),
        "--secure-port=0".into(),
        format!("--service-account-private-key-file={}", file("accounts-key.pem")),
        format!("--root-ca-file={}", file("ca.pem")),
        format!("--cluster-signing-cert-file={}", file("ca.pem")),
        format!("--cluster-signing-key-file={}", file("ca-key.pem")),
    ];
    args.extend(options.controller_manager_args.iter().cloned());
    args
}

fn scheduler_args(dir: &Path, options: &Options) -> Vec<String> {
    let mut args = vec![
        format!("--kubeconfig={}", dir.join(kubeconfig_name(ADMIN)).display()),
        "--leader-elect=false".into(),
        "--secure-port=0".into(),
    ];
    args.extend(options.scheduler_args.iter().cloned());
    args
}

/// The name of a user may have colons in it, but no slashes.
fn kubeconfig_name(user: &str) -> String {
    format!("{}.kubeconfig", user.replace(['/', ':'], "_"))
}

/// Ports that nobody listened on a moment ago, all different as they are held until the last is found.
fn free_ports<const N: usize>() -> std::io::Result<[u16; N]> {
    let mut ports = [0; N];
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn random_token() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

struct Keys {
    ca_pem: String,
    ca_der: Vec<u8>,
    ca_key_pem: String,
    server_pem: String,
    server_key_pem: String,
    accounts_key_pem: String,
    accounts_pem: String,
}

impl Keys {
    fn generate(options: &Options) -> Result<Self, rcgen::Error> {
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.distinguished_name.push(DnType::CommonName, "volgate test cluster");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let ca_certificate = ca.self_signed(&ca_key)?;

        let server_key = KeyPair::generate()?;
        let mut names: Vec<String> = [
            "localhost",
            "127.0.0.1",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ]
        .map(str::to_owned)
        .into();
        // That of the Service `kubernetes`.
        names.push(Ipv4Addr::from_bits(options.services.0.to_bits() + 1).to_string());
        names.extend(options.advertise.map(|address| address.to_string()));
        let mut server = CertificateParams::new(names)?;
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_certificate = server.signed_by(&server_key, &Issuer::from_params(&ca, &ca_key))?;

        let accounts_key = KeyPair::generate()?;
        Ok(Self {
            ca_pem: ca_certificate.pem(),
            ca_der: ca_certificate.der().to_vec(),
            ca_key_pem: ca_key.serialize_pem(),
            server_pem: server_certificate.pem(),
            server_key_pem: server_key.serialize_pem(),
            accounts_key_pem: accounts_key.serialize_pem(),
            accounts_pem: accounts_key.public_key_pem(),
        })
    }
}
