//! What the storage map reads of a cluster: two rounds of lists, a page at a time.

use super::pages::{Ended, Step, each};
use super::snapshot::listed;
use super::watched::{CLAIMS, CLASSES, NAMESPACES, NODE_STORAGES, NODES, OWNERS, PODS, VOLUMES};
use crate::lookup::LookupKind;
use crate::map::Builder;

/// Gives a builder the objects of a cluster. What could not be read is returned as texts for a person, and told on the map.
pub async fn read_map(client: &kube::Client, builder: &mut Builder<'_>) -> Vec<String> {
    let mut unread = Vec::new();
    let looked_up = [
        (CLASSES, Some(LookupKind::Class)),
        (VOLUMES, Some(LookupKind::Volume)),
        (CLAIMS, Some(LookupKind::Claim)),
        (NODES, Some(LookupKind::Node)),
        (NAMESPACES, Some(LookupKind::Namespace)),
        (NODE_STORAGES, None),
    ];
    for (of, kind) in looked_up.into_iter().chain(OWNERS.map(|of| (of, None))) {
        let ended = each(client, &listed(of), None, |step| {
            if let Step::Object(object) = step {
                builder.note(&object);
            }
        })
        .await;
        match (ended, kind) {
            (Ended::Whole, Some(kind)) => builder.set_known(kind),
            (Ended::Whole, None) | (Ended::Unknown, _) => {}
            (Ended::Failed(why), _) => unread.push(format!("{of} cannot be read: {why}")),
        }
    }
    for of in [CLASSES, VOLUMES, CLAIMS, PODS].into_iter().chain(OWNERS) {
        let ended = each(client, &listed(of), None, |step| {
            if let Step::Object(object) = step {
                builder.add(&object);
            }
        })
        .await;
        let why = match ended {
            Ended::Failed(why) => format!("{of} cannot be read: {why}"),
            Ended::Whole | Ended::Unknown => continue,
        };
        // Once is enough for what could not be listed in the first round either.
        if !unread.contains(&why) {
            unread.push(why);
        }
    }
    for why in &unread {
        builder.tell(why.clone());
    }
    unread
}
