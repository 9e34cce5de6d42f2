//! Sizes that are no whole number of bytes: the API server warns of them, and rounds up.

use crate::model::{FieldPath, Quantity, shortened};
use serde_json::Value;

/// The sizes of storage that an object asks for or has, with the API server's warning for each that is no whole number.
pub(super) fn fractional(object: &Value) -> Vec<(FieldPath, String)> {
    let spec = FieldPath::root().key("spec");
    let requested = |spec: &FieldPath| spec.key("resources").key("requests").key("storage");
    let mut sizes = Vec::new();
    match super::text(object, "kind") {
        Some("PersistentVolumeClaim") => sizes.push(requested(&spec)),
        Some("PersistentVolume") => sizes.push(spec.key("capacity").key("storage")),
        Some("StatefulSet") => {
            let templates = object.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
            let at = |index| requested(&spec.key("volumeClaimTemplates").index(index).key("spec"));
            sizes.extend((0..templates.map_or(0, Vec::len)).map(at));
        }
        _ => {}
    }
    let message = |field: &FieldPath| {
        let text = object.pointer(&field.to_json_pointer())?.as_str()?;
        // What is no quantity at all is a fault elsewhere.
        let quantity = Quantity::parse(text.trim()).ok()?;
        let size = shortened(text, 50);
        (!quantity.is_whole()).then(|| {
            format!("fractional byte value {size:?} is invalid, must be an integer: the API server warns of it too")
        })
    };
    sizes.into_iter().filter_map(|field| Some((field.clone(), message(&field)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_part_of_a_byte_is_told() {
        let told = |size: &str| {
            let spec = json!({"resources": {"requests": {"storage": size}}});
            let claim = fractional(&json!({"kind": "PersistentVolumeClaim", "spec": spec}));
            let set = fractional(
                &json!({"kind": "StatefulSet", "spec": {"volumeClaimTemplates": [{"spec": spec}]}}),
            );
            let volume =
                fractional(&json!({"kind": "PersistentVolume", "spec": {"capacity": {"storage": size}}}));
            assert!(claim.len() == set.len() && set.len() == volume.len());
            claim.len() == 1
        };
        assert!(told("100m") && told("1.1Gi") && told("0.5"));
        assert!(!told("1.5Gi") && !told("1Gi") && !told("1e3") && !told("much"));
    }
}
