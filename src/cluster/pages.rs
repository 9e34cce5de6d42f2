//! Lists of objects, a page at a time: what is in memory is one page, however many objects there are.

use super::{chain, within};
use kube::api::{ListParams, Request};
use serde_json::Value;
use std::time::Duration;

/// How many objects a page has: it is in memory whole, and each of them may have more than a megabyte.
const PAGE: u32 = 50;
/// How long a page may take to come.
const LONGEST: Duration = Duration::from_secs(60);
/// How often a list begins again that took so long that the API server has forgotten where it was.
const AGAIN: usize = 3;

/// Which objects are listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// The API version, such as `apps/v1`.
    pub api_version: String,
    /// Their kind.
    pub kind: String,
    /// The resource, such as `deployments`.
    pub resource: String,
}

impl Listed {
    fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.api_version.contains('/') { "/apis" } else { "/api" };
        let within = namespace.map(|name| format!("namespaces/{name}/")).unwrap_or_default();
        format!("{root}/{}/{within}{}", self.api_version, self.resource)
    }
}

/// How a list ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It is whole.
    Whole,
    /// The API server knows no such resource.
    Unknown,
    /// It could not be read, for a person: most often it is forbidden.
    Failed(String),
}

/// Lists objects, of all namespaces or of one, and tells `step` of each.
pub(super) async fn each(
    client: &kube::Client,
    listed: &Listed,
    namespace: Option<&str>,
    step: impl FnMut(Step),
) -> Ended {
    each_labelled(client, listed, namespace, "", step).await
}

/// The same of those that a label selector is about.
pub(super) async fn each_labelled(
    client: &kube::Client,
    listed: &Listed,
    namespace: Option<&str>,
    labels: &str,
    mut step: impl FnMut(Step),
) -> Ended {
    let request = Request::new(listed.path(namespace));
    for _ in 0..=AGAIN {
        step(Step::Begin);
        let mut params = ListParams::default().limit(PAGE).labels(labels);
        loop {
            let page = match request.list(&params) {
                Ok(page) => page,
                Err(error) => return Ended::Failed(chain(&error)),
            };
            let answer = within(LONGEST, client.request::<Value>(page)).await;
            let mut page = match answer {
                Ok(Ok(page)) => page,
                Ok(Err(kube::Error::Api(status))) if status.code == 404 => return Ended::Unknown,
                Ok(Err(kube::Error::Api(status))) if status.code == 410 => break,
                Ok(Err(kube::Error::Api(status))) => {
                    return Ended::Failed(format!("{} ({})", status.message, status.code));
                }
                Ok(Err(error)) => return Ended::Failed(chain(&error)),
                Err(late) => return Ended::Failed(late),
            };
            if let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) {
                items.into_iter().for_each(|item| step(Step::Object(listed.named(item))));
            }
            let next = page.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default();
            if next.is_empty() {
                return Ended::Whole;
            }
            params = params.continue_token(next);
        }
    }
    Ended::Failed("the list changes faster than it can be read".to_owned())
}

/// What comes of a list.
pub(super) enum Step {
    /// It begins, or begins again: what came before is to be forgotten.
    Begin,
    /// One object.
    Object(Value),
}

impl Listed {
    /// The object with its kind, which the items of a list leave out.
    fn named(&self, mut object: Value) -> Value {
        if let Some(fields) = object.as_object_mut() {
            fields.insert("apiVersion".to_owned(), self.api_version.clone().into());
            fields.insert("kind".to_owned(), self.kind.clone().into());
        }
        object
    }
}
