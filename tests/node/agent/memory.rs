//! What an agent with many volumes takes. With `VOLGATE_BINARY` a build that is shipped is measured, as `docs/figures.md`
//! tells.

use crate::agent::world::Node;
use crate::support::say;
use std::fs;
use volgate::model::Phase;

const VOLUMES: usize = 200;
/// What a build that is shipped may take beside its code, in KiB.
const SHIPPED: u64 = 12 * 1024;
/// What any may take beside its code, in KiB: one that is made to look for faults in holds much more.
const DATA: u64 = 64 * 1024;

/// The resident memory of the node's agent, in KiB: all of it, and what of it is not the program's own code, which is
/// read from its file and given back when memory is short.
fn resident(node: &Node) -> (u64, u64) {
    let wanted = format!("agent\0--node-name\0{}\0", node.name);
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        // Not the shell that guards it.
        if command.contains(&wanted) && !command.contains("read -r signal") {
            let status = fs::read_to_string(process.path().join("status")).unwrap();
            let value = |name: &str| {
                let line = status.lines().find(|line| line.starts_with(name)).unwrap();
                line.split_whitespace().nth(1).unwrap().parse().unwrap()
            };
            return (value("VmRSS:"), value("RssAnon:"));
        }
    }
    panic!("the agent of {} does not run", node.name);
}

#[tokio::test]
async fn memory_of_an_agent_with_two_hundred_volumes() {
    let Some(node) = Node::start("memory").await else { return };
    let (idle, _) = resident(&node);
    for index in 0..VOLUMES {
        node.ask(&format!("pvc-memory-{index}"), |spec| spec.size_bytes = 1 << 20).await;
    }
    for index in 0..VOLUMES {
        node.phase(&format!("pvc-memory-{index}"), Phase::Ready).await;
    }
    node.get("/metrics").await.unwrap();
    let (full, own) = resident(&node);
    say(&format!("an agent takes {idle} KiB, and with {VOLUMES} volumes {full} KiB, {own} KiB of it data"));
    assert!(own <= DATA, "{own} KiB");
    assert!(own <= SHIPPED || std::env::var_os("VOLGATE_BINARY").is_none(), "{own} KiB");
}
