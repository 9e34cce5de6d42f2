use super::State;
use crate::daemon::{Check, health_routes};
use axum::Router;
use std::sync::Arc;

/// `/livez`, `/readyz` and `/metrics` of the webhook, for a port of their own without TLS.
pub fn health_router(state: Arc<State>) -> Router {
    let (ready, counted) = (state.clone(), state);
    health_routes(move || checks(&ready).to_vec(), move || counted.metrics.render(&counted))
}

/// That there is no policy is none of it: whoever has deleted them all wants nothing judged, and a webhook that is not ready would
/// have everything refused.
fn checks(state: &State) -> [Check; 3] {
    let waiting = state.caches.waiting();
    let caches = (!waiting.is_empty()).then(|| waiting.join("; "));
    let certificate = state.certificates.current();
    let certificate = certificate.invalid_at(state.clock.now());
    let certificate =
        certificate.map(|why| format!("the certificate {why}; the API server does not trust it: renew it"));
    let certificate = certificate.or_else(|| state.certificates.distrust());
    let certificate = state.certificates.awaited().or(certificate);
    let shutdown = state.draining().then(|| "shutting down".to_owned());
    [("caches", caches), ("certificate", certificate), ("shutdown", shutdown)]
}
