//! How long a volume occupies the one thread of its base, on which others wait for it.

use crate::agent::backends::btrfs;
use crate::agent::world::{Node, names};
use crate::support::say;
use std::fs;
use volgate::model::{Backend, NodeVolumeMode, NodeVolumeSpec, Phase};

const VOLUMES: usize = 40;

/// What all steps on the disk have taken, by the agent's own metrics: seconds, how many there were, and how many of them
/// took no more than 100 ms.
async fn taken(node: &Node) -> [f64; 3] {
    let (_, text) = node.get("/metrics").await.unwrap();
    ["_sum{", "_count{", r#"le="0.1""#].map(|part| {
        let lines = text.lines().filter(|line| line.starts_with("volgate_agent_step_duration_seconds"));
        let values = lines.filter(|line| line.contains(part)).filter_map(|line| line.rsplit(' ').next());
        values.map(|value| value.parse::<f64>().unwrap()).sum()
    })
}

/// Says what some work on so many volumes has taken since it was last asked.
async fn told(node: &Node, since: &mut [f64; 3], what: &str) {
    let now = taken(node).await;
    let [seconds, steps, quick] = [0, 1, 2].map(|index| now[index] - since[index]);
    let each = seconds * 1000.0 / VOLUMES as f64;
    say(&format!("{what}: {each:.1} ms a volume; over 100 ms: {} of {steps} steps", steps - quick));
    *since = now;
}

async fn made(node: &Node, name: &str, change: fn(&mut NodeVolumeSpec)) {
    for index in 0..VOLUMES {
        let change = |spec: &mut NodeVolumeSpec| {
            spec.size_bytes = 16 << 20;
            change(spec);
        };
        node.ask(&format!("pvc-{}-{name}-{index}", node.name), change).await;
    }
    for index in 0..VOLUMES {
        node.phase(&format!("pvc-{}-{name}-{index}", node.name), Phase::Ready).await;
    }
}

/// Makes volumes, and removes them.
async fn measure(node: &Node, backend: &str, change: fn(&mut NodeVolumeSpec)) {
    let mut since = taken(node).await;
    made(node, "some", change).await;
    told(node, &mut since, &format!("{backend}, made")).await;
    for index in 0..VOLUMES {
        node.ask_absent(&format!("pvc-{}-some-{index}", node.name)).await;
    }
    for index in 0..VOLUMES {
        node.phase(&format!("pvc-{}-some-{index}", node.name), Phase::Removed).await;
    }
    told(node, &mut since, &format!("{backend}, removed")).await;
}

/// Makes volumes while the data of a removed one with many files goes.
async fn measure_beside_a_removal(node: &Node, backend: &str, change: fn(&mut NodeVolumeSpec)) {
    let large = format!("pvc-{}-large", node.name);
    node.ask(&large, change).await;
    node.phase(&large, Phase::Ready).await;
    for directory in 0..200 {
        let directory = node.beneath(&format!("{large}_default_claim/{directory}"));
        fs::create_dir(&directory).unwrap();
        (0..1000).for_each(|file| fs::write(directory.join(file.to_string()), "data").unwrap());
    }
    let mut since = taken(node).await;
    node.ask_absent(&large).await;
    node.phase(&large, Phase::Removed).await;
    let seconds = taken(node).await[0] - since[0];
    say(&format!("{backend}, 200,000 files moved to the trash in {:.1} ms", seconds * 1000.0));
    since[0] += seconds;
    made(node, "beside", change).await;
    let left = names(&node.beneath(".volgate/trash")).len();
    let what =
        format!("{backend}, made after 200,000 files went to the trash, which has {left} entries left");
    told(node, &mut since, &what).await;
}

/// A measurement, which prints and asserts nothing of times: `cargo test --test node -- --ignored --nocapture agent::pace`.
#[tokio::test]
#[ignore = "a measurement, for a quiet machine"]
async fn measures_what_a_volume_takes() {
    let Some(node) = Node::start("pace").await else { return };
    measure(&node, "directory", |_| {}).await;
    measure_beside_a_removal(&node, "directory", |_| {}).await;
    let Some(node) = Node::start("pace-loop").await else { return };
    let device = |spec: &mut NodeVolumeSpec| {
        spec.backend = Backend::Loop;
        spec.volume_mode = NodeVolumeMode::Block;
    };
    measure(&node, "loop", device).await;
    let Some(mut node) = Node::without_agent("pace-btrfs").await else { return };
    let mounted = btrfs(&node, 4096);
    node.start_agent(&[], None).await;
    measure(&node, "btrfs", |spec| spec.backend = Backend::Btrfs).await;
    measure_beside_a_removal(&node, "btrfs", |spec| spec.backend = Backend::Btrfs).await;
    node.stop_agent();
    drop(mounted);
}
