//! The webhook over HTTP: a router that is built apart from the socket, limits, health, metrics, and an end that
//! loses no request.

mod body;
mod budget;
mod clock;
mod connections;
mod health;
mod judges;
mod listen;
mod metrics;
mod review;
mod seldom;
mod state;

pub use body::MAX_BODY;
pub use clock::{Clock, ToldTime};
pub use health::health_router;
pub use listen::{ServeFault, Shutdown, serve, serve_plain};
pub use metrics::{Metrics, REVIEW_BUCKETS, sample as metrics_sample};
pub use review::webhook_service;
pub use state::{CacheState, Limits, NoCaches, OnDenial, State};
