//! What every subcommand that runs until it is told to end has in common: its log, its
//! ports, its files and its end.

use super::log_lines;
use crate::cluster::{LeaseSettings, random_text};
use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind, IsTerminal};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// What is logged when RUST_LOG says nothing. kube warns of every try of a watch, which volgate tells once and in its own
/// words.
const DEFAULT_LOG: &str = "info,kube_runtime=error,kube_client=error";

/// How many connections wait to be accepted; the kernel's own bound is lower or the same.
const BACKLOG: i32 = 4096;

/// How often files that are followed are compared with what they were.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// What every daemon can be told.
#[derive(Debug, clap::Args)]
pub(super) struct DaemonArgs {
    /// Address of health checks and metrics, plain HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:8080")]
    pub(super) health_listen: SocketAddr,
    /// Log format
    #[arg(long, value_enum, default_value_t)]
    pub(super) log_format: LogFormat,
}

impl DaemonArgs {
    /// Starts the log, and does the work on a runtime with a thread for each processor.
    pub(super) fn run(&self, work: impl Future<Output = Result<()>>) -> Result<ExitCode> {
        start_log(self.log_format);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime.context("failed to start the runtime")?.block_on(work)?;
        Ok(ExitCode::SUCCESS)
    }

    /// The port of health checks and metrics.
    pub(super) fn listen(&self) -> Result<TcpListener> {
        listen(self.health_listen)
    }
}

/// Does the work on this thread alone: what waits for the API server needs no more.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("failed to start the runtime")?.block_on(work)
}

/// Starts the log, on stderr.
pub(super) fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log_lines::stderr);
    let log = log.with_ansi(std::io::stderr().is_terminal());
    // It fails only where a log has been started before, which then serves as well.
    let _ = match format {
        LogFormat::Text => log.with_target(false).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}

/// Listens, or says where it cannot. `[::]` is every address of either family: a cluster may have pods of IPv6 alone, and a node a
/// kernel without it.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener> {
    let bound = match address {
        SocketAddr::V6(every) if every.ip().is_unspecified() => match of_both_families(address) {
            Err(error) if !matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, every.port()))
            }
            bound => bound,
        },
        _ => TcpListener::bind(address),
    };
    bound.with_context(|| format!("failed to listen on {address}"))
}

/// A listener that takes IPv4 as well, whatever the node's `net.ipv6.bindv6only` says.
fn of_both_families(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_only_v6(false)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The Lease of that name, for a process whose own name no other has.
pub(super) fn lease(namespace: &str, name: String, seconds: u32) -> Result<LeaseSettings> {
    let host = std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME"));
    let host = host.unwrap_or_else(|_| "volgate".to_owned());
    let duration = Duration::from_secs(seconds.into());
    Ok(LeaseSettings {
        namespace: namespace.to_owned(),
        name,
        identity: format!("{host}_{}", random_text().context("failed to name this process")?),
        duration,
        // What is on its way then, at most 4 s, arrives before the lease is over.
        deadline: duration.saturating_sub(Duration::from_secs(4)),
        retry: duration / 6,
    })
}

/// Ends with SIGTERM, as kubelet sends it, or with Ctrl-C.
pub(super) async fn stopped() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(error) => {
                tracing::error!(%error, "failed to listen for SIGTERM; an end will cut off what runs");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv6Addr, TcpStream};

    #[test]
    fn every_address_is_one_of_either_family() {
        let every = listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))).unwrap();
        let port = every.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        // Not where the kernel has no IPv6.
        if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        }
        assert!(listen(every.local_addr().unwrap()).is_err(), "it is taken");
        let four = listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).unwrap();
        assert!(four.local_addr().unwrap().is_ipv4());
    }
}
