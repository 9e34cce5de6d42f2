//! CSIStorageCapacity objects: what the scheduler reads before it chooses a node.

use super::super::calls::Fault;
use super::{ProvisionerView, Shared, reached};
use crate::cluster::watched::CAPACITIES;
use crate::provisioner::{CAPACITY_LABEL, Capacity, capacities};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Changes that come together are written together.
const TOGETHER: Duration = Duration::from_millis(500);
/// How often the objects are listed again, in case somebody has changed them by hand.
const RELIST: Duration = Duration::from_secs(600);

/// Keeps the objects of this provisioner as they should be, while this process leads. Never ends.
pub(super) async fn keep(shared: &Shared, view: &ProvisionerView, namespace: &str) {
    let mut known: Option<(Instant, BTreeMap<String, Capacity>)> = None;
    let mut seen = None;
    loop {
        tokio::time::sleep(TOGETHER).await;
        // Before all is listed, what is not known yet would be taken for gone.
        if !shared.leads() || !view.waiting().is_empty() {
            (known, seen) = (None, None);
            continue;
        }
        if known.as_ref().is_some_and(|(at, _)| at.elapsed() > RELIST) {
            known = None;
        }
        let places = shared.world().places();
        if known.is_some() && seen == Some(places) {
            continue;
        }
        match round(shared, namespace, &mut known).await {
            Ok(()) => seen = Some(places),
            Err(why) => {
                tracing::warn!(
                    error = %why,
                    "failed to keep the storage capacities; the scheduler may choose a node without room until it works"
                );
                known = None;
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        }
    }
}

async fn round(
    shared: &Shared,
    namespace: &str,
    known: &mut Option<(Instant, BTreeMap<String, Capacity>)>,
) -> Result<(), String> {
    let wanted = capacities(&shared.world(), &shared.settings.load());
    let (_, known) = match known {
        Some(known) => known,
        None => known.insert((Instant::now(), list(shared, namespace).await?)),
    };
    let gone: Vec<String> = known.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
    for name in gone {
        if !shared.leads() {
            return Ok(());
        }
        delete(shared, namespace, &name).await?;
        known.remove(&name);
    }
    for (name, capacity) in wanted {
        if !shared.leads() {
            return Ok(());
        }
        match known.get(&name) {
            Some(before) if before.same_place(&capacity) && !before.differs(&capacity) => continue,
            // Class and node of such an object cannot change.
            Some(before) if !before.same_place(&capacity) => {
                delete(shared, namespace, &name).await?;
                create(shared, namespace, &name, &capacity).await?;
            }
            Some(_) => set(shared, namespace, &name, &capacity).await?,
            None => create(shared, namespace, &name, &capacity).await?,
        }
        shared.metrics.wrote("write-capacity-of-node", true);
        known.insert(name, capacity);
    }
    Ok(())
}

async fn create(shared: &Shared, namespace: &str, name: &str, capacity: &Capacity) -> Result<(), String> {
    let object = object(shared, namespace, name, capacity);
    written("create-node-capacity", shared.calls.create(CAPACITIES, Some(namespace), &object)).await
}

async fn set(shared: &Shared, namespace: &str, name: &str, capacity: &Capacity) -> Result<(), String> {
    let bytes = capacity.bytes.to_string();
    let patch = json!({"capacity": bytes, "maximumVolumeSize": bytes});
    written("set-node-capacity", shared.calls.merge(CAPACITIES, Some(namespace), name, patch)).await
}

async fn delete(shared: &Shared, namespace: &str, name: &str) -> Result<(), String> {
    let call = shared.calls.delete(CAPACITIES, Some(namespace), name, None);
    let gone = async {
        match call.await {
            Err(Fault::Missing) => Ok(Value::Null),
            answer => answer,
        }
    };
    written("delete-node-capacity", gone).await
}

async fn written(
    write: &'static str,
    call: impl Future<Output = Result<Value, Fault>>,
) -> Result<(), String> {
    reached(write, false);
    match call.await {
        Ok(_) => {
            reached(write, true);
            Ok(())
        }
        Err(Fault::Other(why) | Fault::Invalid(why)) => Err(why),
        Err(other) => Err(format!("a capacity is another than it was: {other:?}")),
    }
}

fn object(shared: &Shared, namespace: &str, name: &str, capacity: &Capacity) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSIStorageCapacity",
        "metadata": {"name": name, "namespace": namespace, "labels": {CAPACITY_LABEL: shared.world().provisioner()}},
        "storageClassName": capacity.class,
        "nodeTopology": {"matchLabels": {"kubernetes.io/hostname": capacity.hostname}},
        "capacity": capacity.bytes.to_string(),
        "maximumVolumeSize": capacity.bytes.to_string(),
    })
}

async fn list(shared: &Shared, namespace: &str) -> Result<BTreeMap<String, Capacity>, String> {
    let labels = format!("{CAPACITY_LABEL}={}", shared.world().provisioner());
    let list = shared.calls.list(CAPACITIES, Some(namespace), &labels).await;
    let list = list.map_err(|fault| match fault {
        Fault::Other(why) | Fault::Invalid(why) => why,
        other => format!("failed to list {CAPACITIES}: {other:?}"),
    })?;
    let items = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    let text =
        |item: &Value, at: &str| item.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let read = |item: &Value| {
        let capacity = Capacity {
            class: text(item, "/storageClassName"),
            hostname: text(item, "/nodeTopology/matchLabels/kubernetes.io~1hostname"),
            bytes: crate::model::Quantity::parse(&text(item, "/capacity"))
                .ok()
                .and_then(|quantity| i64::try_from(quantity.value()).ok())
                .unwrap_or(-1),
        };
        (text(item, "/metadata/name"), capacity)
    };
    Ok(items.iter().map(read).collect())
}
