//! Health and metrics over HTTP.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::fmt::Write;

/// A thing that readiness depends on, and what is wrong with it.
pub type Check = (&'static str, Option<String>);

/// `/livez`, `/readyz` by the checks, and `/metrics` in the OpenMetrics format.
pub fn health_routes(
    checks: impl Fn() -> Vec<Check> + Clone + Send + Sync + 'static,
    metrics: impl Fn() -> String + Clone + Send + Sync + 'static,
) -> Router {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(async move || readyz(checks())))
        .route("/metrics", get(async move || ([(header::CONTENT_TYPE, kind)], metrics())))
}

/// One line a check, as the API server's own endpoints have them.
fn readyz(checks: Vec<Check>) -> Response {
    let mut text = String::new();
    let mut ready = true;
    for (name, fault) in checks {
        // A string takes everything that is written to it.
        let _ = match fault {
            None => writeln!(text, "[+]{name} ok"),
            Some(fault) => {
                ready = false;
                writeln!(text, "[-]{name} failed: {fault}")
            }
        };
    }
    if ready {
        text.push_str("readyz check passed\n");
        text.into_response()
    } else {
        text.push_str("readyz check failed\n");
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    }
}
