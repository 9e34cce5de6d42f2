use std::time::Duration;

/// What comes of a call, or that there is no answer in time. What was called for may be done all the same.
///
/// # Errors
/// `no answer within …`.
pub(crate) async fn within<T>(limit: Duration, call: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(limit, call).await.map_err(|_| format!("no answer within {limit:?}"))
}
