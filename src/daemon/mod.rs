//! What the webhook, the provisioner's controller and the agent share: pauses after failures, the queue of what is to be
//! looked at, health and metrics over HTTP, files that are followed.

mod backoff;
mod followed;
#[cfg(feature = "serve")]
mod health;
mod log_on_change;
#[cfg(feature = "serve")]
mod metrics;
mod queue;

pub use backoff::{Backoff, RETRY};
pub use followed::{Followed, Look};
#[cfg(feature = "serve")]
pub use health::{Check, health_routes};
pub use log_on_change::LogOnChange;
#[cfg(feature = "serve")]
pub use metrics::{Register, signed};
pub use queue::{Outcome, Queue};
