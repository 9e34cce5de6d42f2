//! Clocks that jump under load: the certificates are what API servers hold against their own clock, so that a replica whose clock
//! is wrong must neither write one that nobody takes, nor give up one that everybody takes.

use super::{Load, a_cluster_of, all_is_well};
use crate::registration::keeper::{LIMIT, get};
use crate::support::{Scratch, volgate, wait_until};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Loaded before the C library: the time of day is shifted by as many seconds as the file says, and what runs on in one direction
/// is not.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *at) {
    long failed = syscall(SYS_clock_gettime, clock, at);
    const char *name = getenv("TEST_CLOCK");
    if (failed || clock != CLOCK_REALTIME || !name) return failed;
    char text[32] = {0};
    int file = open(name, O_RDONLY | O_CLOEXEC);
    if (file < 0) return failed;
    if (read(file, text, sizeof text - 1) > 0) at->tv_sec += atoll(text);
    close(file);
    return failed;
}
"#;

const HOUR: i64 = 3_600;
const YEAR: i64 = 365 * 24 * HOUR;

/// The clocks of two processes, each set by a file.
struct Clocks {
    scratch: Scratch,
}

impl Clocks {
    fn new() -> Self {
        let clocks = Self { scratch: Scratch::new("clocks").unwrap() };
        let source = clocks.path("shim.c");
        fs::write(&source, SHIM).unwrap();
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-o"]).args([clocks.path("shim.so"), source]);
        assert!(compile.status().unwrap().success(), "cc makes the library that shifts a clock");
        clocks.shift([0, 1], 0);
        clocks
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn volgate(&self, replica: usize) -> Command {
        let mut command = volgate();
        command.env("LD_PRELOAD", self.path("shim.so"));
        command.env("TEST_CLOCK", self.path(&replica.to_string()));
        command
    }

    /// As one write, so that nobody reads a part of it.
    fn shift(&self, replicas: impl IntoIterator<Item = usize>, seconds: i64) {
        for replica in replicas {
            let (new, name) = (self.path("new"), self.path(&replica.to_string()));
            fs::write(&new, seconds.to_string()).unwrap();
            fs::rename(new, name).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes 100 seconds: .ci/faults runs it"]
async fn a_clock_that_jumps_costs_no_answer() {
    let clocks = Clocks::new();
    let Some((cluster, replicas)) = a_cluster_of([clocks.volgate(0), clocks.volgate(1)]).await else {
        return;
    };
    let (cluster, replicas) = (&cluster, &replicas);
    let secret = "secret volgate-tls --namespace volgate-system";
    let before = get(cluster, secret).await["data"].clone();
    // Only a CA that was registered for as long signs anything.
    tokio::time::sleep(Duration::from_secs(32)).await;
    all_is_well(cluster, "the start").await;

    let leader = usize::from(!replicas.both[0].process.log().contains(" leads"));
    for (what, whose, by) in [
        ("the leader's clock two hours ahead", vec![leader], 2 * HOUR),
        ("both clocks two hours behind", vec![0, 1], -2 * HOUR),
        ("the leader's clock a year ahead", vec![leader], YEAR),
        ("both clocks a year ahead", vec![0, 1], YEAR),
        ("both clocks ten years ahead", vec![0, 1], 10 * YEAR),
        ("both clocks a year behind", vec![0, 1], -YEAR),
    ] {
        let load = Load::start(cluster);
        clocks.shift(whose.clone(), by);
        tokio::time::sleep(Duration::from_secs(8)).await;
        for replica in &replicas.both {
            replica.ready().await;
        }
        clocks.shift(whose, 0);
        let over = Instant::now();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let [_, allowed, controller] = load.end(what, over).await;
        assert_eq!((allowed.closed, controller.admitted), (0, 0), "{what}: {}", replicas.logs());
    }
    assert_eq!(get(cluster, secret).await["data"], before, "no certificate was due: {}", replicas.logs());

    // One that starts with a wrong clock has the certificate of the others, and answers.
    clocks.shift([leader], YEAR);
    let load = Load::start(cluster);
    replicas.both[leader].process.start_again();
    replicas.both[leader].ready().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    load.end("a start with a wrong clock", Instant::now()).await;
    all_is_well(cluster, "a start with a wrong clock").await;
    replicas.both[leader].logs("the clock of this node shows").await;

    // Where there is none yet, none is made that the API server would not take.
    replicas.both.iter().for_each(|replica| replica.process.kill());
    let gone =
        cluster.kubectl(&["delete", "secret", "volgate-tls", "--namespace", "volgate-system"], None).await;
    assert!(gone.success, "{gone}");
    replicas.both[leader].process.start_again();
    wait_until("it says why it makes no certificate", LIMIT, async || {
        match replicas.both[leader].health("/readyz").await {
            Ok((503, text)) if text.contains("the clock of this node shows") => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    })
    .await;
    clocks.shift([leader], 0);
    replicas.both[leader].ready().await;
}
