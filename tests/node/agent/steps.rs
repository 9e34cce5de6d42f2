//! The agent is killed at every step of a volume's life, and the next one goes on.

use crate::agent::world::{LIMIT, Node, names};
use crate::support::wait_until;
use serde_json::json;
use std::cell::Cell;
use std::fs;
use volgate::agent::Step;
use volgate::model::{NodeVolumeSpec, Phase};

/// Lets an agent die at a point; gives false when it came to the end of the work without passing it.
async fn dies(node: &mut Node, point: &str, over: impl AsyncFn(&Node) -> bool) -> bool {
    node.start_agent(&[], Some(point)).await;
    // The API server knows of it a moment before the agent is past its telling.
    let patience = Cell::new(if point.starts_with("agent-after-report") { 20 } else { 0 });
    wait_until(&format!("the agent dies at {point} or is done"), LIMIT, async || {
        match node.agent().exited() {
            // 128 and SIGABRT.
            Some(status) if status.code() == Some(134) => Ok(true),
            Some(status) => panic!("{point}: {status}: {}", node.log()),
            None if !over(node).await => Err("it runs".to_owned()),
            None if patience.get() == 0 => Ok(false),
            None => {
                patience.set(patience.get() - 1);
                Err("it has told".to_owned())
            }
        }
    })
    .await
}

/// Every point before and after every step, and those within steps.
fn points() -> Vec<String> {
    let around =
        Step::NAMES.iter().flat_map(|step| ["before", "after"].map(|when| format!("agent-{when}-{step}")));
    let twice = around.clone().map(|point| format!("{point}#2"));
    around.chain(twice).chain(Step::WITHIN.map(|point| format!("agent-{point}"))).collect()
}

async fn in_phase(node: &Node, volume: &str, phase: Phase, size: Option<i64>) -> bool {
    let object = node.volume(volume).await;
    let status = object.status.unwrap_or_default();
    status.phase == phase
        && Some(status.observed_generation) == object.metadata.generation
        && size.is_none_or(|size| status.size_bytes == Some(size))
}

/// Lets an agent die at every point of a volume's life. Gives the points that were met.
pub(crate) async fn survives(
    node: &mut Node,
    change: fn(&mut NodeVolumeSpec),
    data: fn(&Node, &str),
) -> Vec<String> {
    const LARGER: i64 = 64 << 20;
    let mut met = Vec::new();
    // Another volume, no byte of which may change.
    let witness = format!("pvc-witness-{}", node.name);
    node.ask(&witness, |spec| {
        spec.directory = "witness".into();
        spec.size_bytes = 1 << 20;
    })
    .await;
    node.phase(&witness, Phase::Ready).await;
    fs::write(node.beneath("witness/data"), "data").unwrap();
    for (index, point) in points().iter().enumerate() {
        let volume = format!("pvc-step-{}-{index}", node.name);
        node.stop_agent();
        node.ask(&volume, |spec| {
            spec.directory = format!("d{index}");
            change(spec);
            spec.size_bytes = 32 << 20;
        })
        .await;
        let died = dies(node, point, async |node| in_phase(node, &volume, Phase::Ready, None).await).await;
        node.start_agent(&[], None).await;
        node.phase(&volume, Phase::Ready).await;
        data(node, &volume);
        met.extend(died.then(|| format!("create {point}")));

        node.stop_agent();
        node.change(&volume, json!({"sizeBytes": LARGER})).await;
        let died =
            dies(node, point, async |node| in_phase(node, &volume, Phase::Ready, Some(LARGER)).await).await;
        node.start_agent(&[], None).await;
        node.until(&volume, "grown", |status| status.size_bytes == Some(LARGER)).await;
        met.extend(died.then(|| format!("grow {point}")));

        node.stop_agent();
        node.ask_absent(&volume).await;
        let died = dies(node, point, async |node| in_phase(node, &volume, Phase::Removed, None).await).await;
        node.start_agent(&[], None).await;
        node.phase(&volume, Phase::Removed).await;
        met.extend(died.then(|| format!("remove {point}")));
        node.forget(&volume).await;
        assert_eq!(
            names(&node.beneath(".volgate/volumes")),
            [format!("{witness}.json")],
            "{point}: no record is left"
        );
    }
    node.trash_is_empty().await;
    assert_eq!(fs::read_to_string(node.beneath("witness/data")).unwrap(), "data");
    met
}

#[tokio::test]
async fn a_directory_survives_the_agents_end_at_every_step() {
    let Some(mut node) = Node::start("steps").await else { return };
    let met = survives(
        &mut node,
        |_| {},
        |node, volume| {
            let directory = volume.rsplit('-').next().unwrap();
            fs::write(node.beneath(&format!("d{directory}")).join("data"), "data").unwrap();
        },
    )
    .await;
    assert_eq!(names(&node.base()), [".volgate", "witness"]);
    let expected = [
        "create agent-before-write-record",
        "grow agent-before-write-record",
        "create agent-after-write-record",
        "grow agent-after-write-record",
        "remove agent-before-forget-record",
        "remove agent-after-forget-record",
        "create agent-before-make",
        "create agent-after-make",
        "remove agent-before-move-to-trash",
        "remove agent-after-move-to-trash",
        "create agent-before-report",
        "grow agent-before-report",
        "remove agent-before-report",
        "create agent-after-report",
        "grow agent-after-report",
        "remove agent-after-report",
        "create agent-before-write-record#2",
        "create agent-after-write-record#2",
        "create agent-within-write-record",
        "grow agent-within-write-record",
        "create agent-within-make",
        "remove agent-within-move-to-trash",
    ];
    assert_eq!(met, expected);
}
