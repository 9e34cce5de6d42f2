//! Takes the webhook configurations away, for whoever removes volgate.

use super::ClusterError;
use super::calls::{Calls, Fault};
use super::register::{LAST_NAME, NAME};
use super::registered::Registered;
use super::registrar::OWNER_ROLE;
use super::watched::{CLUSTER_ROLES, MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, Watched};
use std::time::{Duration, Instant};

/// How long both must be gone: longer than a write of volgate's that had begun, and than an API server takes to learn that
/// volgate may write no more.
const QUIET: Duration = Duration::from_secs(5);
/// How often they are looked at meanwhile.
const LOOK: Duration = Duration::from_millis(500);

/// Deletes both webhook configurations, after the ClusterRole that allows volgate to write them, and returns once they have
/// stayed away. What is not there already is no fault.
///
/// # Errors
/// They are not gone within `limit`, and why.
pub async fn unregister(client: kube::Client, limit: Duration) -> Result<(), ClusterError> {
    let calls = Calls::new(client);
    let end = Instant::now() + limit;
    let mut gone_since = None;
    loop {
        let why = match remove(&calls).await {
            Ok(true) => {
                if gone_since.get_or_insert_with(Instant::now).elapsed() >= QUIET {
                    return Ok(());
                }
                "they have only just been deleted".to_owned()
            }
            Ok(false) => {
                gone_since = None;
                "they were there again".to_owned()
            }
            Err(why) => {
                gone_since = None;
                why
            }
        };
        if Instant::now() > end {
            return Err(ClusterError::Unregister(why));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Deletes what is there; whether nothing was.
async fn remove(calls: &Calls) -> Result<bool, String> {
    delete(calls, CLUSTER_ROLES, OWNER_ROLE).await?;
    let found = Registered::read(calls).await?;
    if found.is_gone() {
        return Ok(true);
    }
    for (of, name) in [(VALIDATING_WEBHOOKS, NAME), (MUTATING_WEBHOOKS, LAST_NAME), (MUTATING_WEBHOOKS, NAME)]
    {
        delete(calls, of, name).await?;
    }
    Ok(false)
}

async fn delete(calls: &Calls, of: Watched, name: &str) -> Result<(), String> {
    match calls.delete(of, None, name, None).await {
        Ok(_) => {
            tracing::info!(kind = of.kind, name, "deleted what was registered");
            Ok(())
        }
        Err(Fault::Missing) => Ok(()),
        Err(Fault::Other(why) | Fault::Invalid(why)) => Err(why),
        Err(fault) => Err(format!("failed to delete the {} {name}: {fault:?}", of.kind)),
    }
}
