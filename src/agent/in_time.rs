//! Calls to the API server that end.

use crate::cluster::within;
use std::io::{self, ErrorKind};
use std::time::Duration;

/// How long one call may take: so that it is made again on another connection, when this one leads to nobody any more.
const LIMIT: Duration = Duration::from_secs(30);

/// The answer of a call that is no watch, or a fault when there is none in time. What was called for may be done all the
/// same.
pub(super) async fn in_time<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    by(LIMIT, call).await
}

async fn by<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, kube::Error> {
    let late = |why| Err(kube::Error::Service(io::Error::new(ErrorKind::TimedOut, why).into()));
    within(limit, call).await.unwrap_or_else(late)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::chain;

    #[tokio::test]
    async fn a_call_without_an_answer_ends() {
        let limit = Duration::from_millis(20);
        let late = by::<()>(limit, std::future::pending()).await.unwrap_err();
        assert!(chain(&late).contains("no answer within 20ms"), "{}", chain(&late));
        assert_eq!(by(limit, async { Ok(1) }).await.unwrap(), 1);
    }
}
