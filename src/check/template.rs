//! Templates of OpenShift: their objects with the values that the parameters have, as `oc process` makes them.

use super::text;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// How many bytes the values may add to the objects of one Template.
const MOST_ADDED: usize = 1 << 20;

/// A Template and the values of its parameters.
pub(super) struct Template<'t> {
    /// The objects as they are written.
    pub(super) objects: &'t [Value],
    values: BTreeMap<&'t str, &'t str>,
    left: usize,
}

impl<'t> Template<'t> {
    /// An object as a Template, if it is one.
    pub(super) fn of(object: &'t Value) -> Option<Self> {
        let is_template = text(object, "kind") == Some("Template")
            && matches!(text(object, "apiVersion"), Some("v1" | "template.openshift.io/v1"));
        let objects = object.get("objects").filter(|_| is_template)?.as_array()?;
        let parameters = object.get("parameters").and_then(Value::as_array).into_iter().flatten();
        // One without a value is generated, or whoever uses the Template names it.
        let values =
            parameters.filter_map(|parameter| Some((text(parameter, "name")?, text(parameter, "value")?)));
        Some(Self { objects, values: values.collect(), left: MOST_ADDED })
    }

    /// An object of it with the values in it.
    pub(super) fn filled(&mut self, object: &'t Value) -> Cow<'t, Value> {
        if self.values.is_empty() || !has_reference(object) {
            return Cow::Borrowed(object);
        }
        let mut object = object.clone();
        self.fill(&mut object);
        Cow::Owned(object)
    }

    fn fill(&mut self, value: &mut Value) {
        match value {
            Value::String(text) if text.contains("${") => {
                if let Some(filled) = self.fill_text(text) {
                    *value = filled;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.fill(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.fill(field)),
            _ => {}
        }
    }

    /// A text with the values in it; what is not known stays. `${{NAME}}` alone becomes what the value is in JSON, such as a number.
    fn fill_text(&mut self, text: &str) -> Option<Value> {
        let whole = text.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}"));
        if let Some(value) = whole.and_then(|name| self.values.get(name)) {
            let value = *value;
            self.left = self.left.checked_sub(value.len())?;
            return Some(serde_json::from_str(value).unwrap_or_else(|_| Value::from(value)));
        }
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            filled.push_str(before);
            let known =
                after.split_once('}').and_then(|(name, after)| Some((*self.values.get(name)?, after)));
            match known {
                Some((value, after)) => {
                    self.left = self.left.checked_sub(value.len())?;
                    filled.push_str(value);
                    rest = after;
                }
                None => {
                    filled.push_str("${");
                    rest = after;
                }
            }
        }
        filled.push_str(rest);
        Some(Value::String(filled))
    }
}

/// Whether some text in it stands for a value of a parameter.
pub(super) fn has_reference(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("${"),
        Value::Array(items) => items.iter().any(has_reference),
        Value::Object(fields) => fields.values().any(has_reference),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filled(object: Value, parameters: Value) -> Value {
        let template = json!({"apiVersion": "template.openshift.io/v1", "kind": "Template", "objects": [object],
                              "parameters": parameters});
        let mut template = Template::of(&template).unwrap();
        template.objects.iter().map(|object| template.filled(object).into_owned()).next().unwrap()
    }

    #[test]
    fn values_of_parameters_are_put_in() {
        let parameters = json!([{"name": "NAME", "value": "db"}, {"name": "N", "value": "3"}, {"name": "ON", "value": "true"},
            {"name": "EMPTY", "value": ""}, {"name": "ID", "generate": "expression", "from": "[a-z]{4}"}]);
        for (text, wanted) in [
            ("${NAME}", json!("db")),
            ("a-${NAME}-${N}", json!("a-db-3")),
            ("${{N}}", json!(3)),
            ("${{ON}}", json!(true)),
            ("${{NAME}}", json!("db")),
            ("a${{N}}", json!("a${{N}}")),
            ("${EMPTY}", json!("")),
            ("${ID}-${NAME}", json!("${ID}-db")),
            ("${NAME", json!("${NAME")),
            ("$(NAME) $NAME", json!("$(NAME) $NAME")),
        ] {
            assert_eq!(filled(json!([text]), parameters.clone()), json!([wanted]), "{text}");
        }
    }

    #[test]
    fn what_the_values_add_is_bounded() {
        let large = "x".repeat(MOST_ADDED / 4);
        let text = "${A}".repeat(1_000);
        let object = filled(json!([text.clone(), "${A}"]), json!([{"name": "A", "value": large}]));
        assert_eq!(object[0], json!(text), "too much");
        assert!(object.to_string().len() < 2 * MOST_ADDED);
    }

    #[test]
    fn other_kinds_of_that_name_are_none() {
        for (api_version, is_one) in
            [("v1", true), ("template.openshift.io/v1", true), ("example.org/v1", false)]
        {
            let object = json!({"apiVersion": api_version, "kind": "Template", "objects": []});
            assert_eq!(Template::of(&object).is_some(), is_one, "{api_version}");
        }
        assert!(Template::of(&json!({"apiVersion": "v1", "kind": "Template"})).is_none());
    }
}
