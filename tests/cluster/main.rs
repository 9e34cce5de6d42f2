//! What needs Kubernetes' own programs (README.md here): the webhook, the provisioner's controller, the manifests and the
//! chart against a real API server.
// A panic is how a test fails, in its helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod caches;
mod chart;
mod control_plane;
mod events;
mod faults;
mod fix;
mod kubectl_yaml;
mod live;
mod manifests;
mod map;
mod provisioner;
mod registration;
mod rendering;
mod reports;
mod sent;
mod serve;
mod upgrade;
mod vap;
