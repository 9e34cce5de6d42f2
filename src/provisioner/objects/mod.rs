//! What is kept of each object: as little as the plan needs, as there can be tens of thousands.

mod claim;
mod class;
mod node;
mod node_volume;
mod volume;

pub use claim::{Claim, Unbound};
pub use class::Class;
pub use node::{Node, Storage};
pub use node_volume::NodeVolume;
pub use volume::{Volume, VolumePhase};

use crate::facts::{CLASS_ANNOTATION, ClassName, FactsFault};
use crate::model::{Quantity, beginning};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Text that is kept for long and never grows.
type Text = Box<str>;
/// Text that many objects share; the world keeps one of each.
type Shared = Arc<str>;
type Map = BTreeMap<String, String>;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawMeta {
    name: String,
    namespace: String,
    uid: String,
    resource_version: String,
    generation: i64,
    deletion_timestamp: Option<String>,
    finalizers: Vec<String>,
    annotations: Option<Map>,
    labels: Option<Map>,
}

impl RawMeta {
    fn version(&self) -> u64 {
        self.resource_version.parse().unwrap_or(0)
    }
    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str).filter(|text| !text.is_empty())
    }
    /// The class that the object names by its legacy annotation or its field.
    fn class(&self, field: Option<&str>) -> Shared {
        let annotation = self.annotations.as_ref().and_then(|map| map.get(CLASS_ANNOTATION));
        as_name(ClassName::of(annotation.map(String::as_str), field).name().unwrap_or_default()).into()
    }
    fn text(&self, key: &str) -> Option<Text> {
        self.annotation(key).map(Into::into)
    }
}

/// Something that names an object, at the length that it can have: a longer one names none, and none when it is cut either.
fn as_name(text: &str) -> &str {
    beginning(text, 254)
}

fn read<T: DeserializeOwned>(object: &Value) -> Result<T, FactsFault> {
    T::deserialize(object).map_err(|error| FactsFault::at("object", error.to_string()))
}

/// A quantity's bytes; one that cannot be read or does not fit is none.
fn bytes(text: Option<&String>) -> Option<i64> {
    i64::try_from(Quantity::parse(text?).ok()?.value()).ok()
}
