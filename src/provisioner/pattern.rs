//! `pathPattern`: the part of Go's templates that paths are made with, and what a path beneath a base must be.

use super::objects::{Claim, Unbound};
use crate::model::Directory;

/// Fills a pattern in.
///
/// # Errors
/// What is wrong with the pattern or what the claim lacks, for a person.
pub(super) fn fill(pattern: &str, volume: &str, claim: &Claim, rest: &Unbound) -> Result<String, String> {
    let mut text = String::new();
    let mut left = pattern;
    while let Some(at) = left.find("{{") {
        let (before, action) = left.split_at(at);
        let action = action.strip_prefix("{{").unwrap_or_default();
        let Some(end) = action.find("}}") else {
            return Err(format!("pathPattern {pattern:?} has a {{{{ without its }}}}"));
        };
        let (inner, after) = action.split_at(end);
        let (trim_left, inner) = inner.strip_prefix("- ").map_or((false, inner), |inner| (true, inner));
        let (trim_right, inner) = inner.strip_suffix(" -").map_or((false, inner), |inner| (true, inner));
        text.push_str(if trim_left { before.trim_end() } else { before });
        text.push_str(&value(inner.trim(), volume, claim, rest)?);
        left = after.strip_prefix("}}").unwrap_or_default();
        if trim_right {
            left = left.trim_start();
        }
    }
    text.push_str(left);
    Ok(text)
}

fn value(action: &str, volume: &str, claim: &Claim, rest: &Unbound) -> Result<String, String> {
    let words: Vec<&str> = action.split_whitespace().collect();
    let (field, key) = match words.as_slice() {
        [".PVName"] => return Ok(volume.to_owned()),
        [".PVC.Namespace"] => return Ok(claim.namespace.to_string()),
        [".PVC.Name"] => return Ok(claim.name.to_string()),
        [".PVC.UID"] => return Ok(claim.uid.to_string()),
        ["index", field, key] => {
            let quoted = ['"', '`'].into_iter().find_map(|q| key.strip_prefix(q)?.strip_suffix(q));
            let Some(key) = quoted else {
                return Err(format!("pathPattern: {key} in {{{{ {action} }}}} must be in quotes"));
            };
            (*field, key)
        }
        [word] => match (word.strip_prefix(".PVC.Annotations."), word.strip_prefix(".PVC.Labels.")) {
            (Some(key), _) => (".PVC.Annotations", key),
            (_, Some(key)) => (".PVC.Labels", key),
            _ => (*word, ""),
        },
        _ => ("", ""),
    };
    let (map, what) = match field {
        ".PVC.Annotations" => (&rest.annotations, "annotation"),
        ".PVC.Labels" => (&rest.labels, "label"),
        _ => {
            return Err(format!(
                "pathPattern: {{{{ {action} }}}} is not known here; there are .PVC.Namespace, .PVC.Name, .PVC.UID, \
                 .PVC.Labels.x, .PVC.Annotations.x, index .PVC.Annotations \"x\", and .PVName"
            ));
        }
    };
    let found = map.get(key);
    found.cloned().ok_or_else(|| {
        format!("the class's pathPattern needs the claim's {what} {key:?}, which is not there")
    })
}

/// Whether a text can be a volume's path beneath a base, as its agent will ask as well.
///
/// # Errors
/// Why not, for a person.
pub(super) fn check(path: &str) -> Result<(), String> {
    Directory::parse(path).map(drop).map_err(|why| format!("the path {path:?} beneath the base {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claim() -> Claim {
        Claim::read(&json!({"metadata": {"namespace": "team", "name": "data", "uid": "u1",
            "labels": {"app": "db"}, "annotations": {"dir": "a", "x.io/dir": "b/c"}}, "spec": {}}))
        .unwrap()
    }

    fn filled(pattern: &str) -> Result<String, String> {
        let claim = claim();
        fill(pattern, "pvc-u1", &claim, claim.unbound.as_ref().unwrap())
    }

    #[test]
    fn fills_in_what_rancher_users_write() {
        for (pattern, wanted) in [
            ("{{ .PVC.Namespace }}/{{ .PVC.Name }}", "team/data"),
            ("{{.PVC.Namespace}}-{{.PVName}}", "team-pvc-u1"),
            ("{{ .PVC.Annotations.dir }}/{{ .PVC.Labels.app }}", "a/db"),
            (r#"{{ index .PVC.Annotations "x.io/dir" }}"#, "b/c"),
            ("{{ index .PVC.Labels `app` }}", "db"),
            ("a/ {{- .PVC.Name -}} /b", "a/data/b"),
            ("fixed", "fixed"),
        ] {
            assert_eq!(filled(pattern).unwrap(), wanted, "{pattern}");
        }
    }

    #[test]
    fn says_what_is_not_there_or_not_known() {
        for (pattern, part) in [
            ("{{ .PVC.Annotations.other }}", "annotation \"other\", which is not there"),
            ("{{ .PVC.Spec }}", "is not known here"),
            ("{{ .PVC.Name | lower }}", "is not known here"),
            ("{{ index .PVC.Labels app }}", "must be in quotes"),
            ("{{ .PVC.Name", "without its }}"),
        ] {
            let why = filled(pattern).unwrap_err();
            assert!(why.contains(part), "{pattern}: {why}");
        }
    }
}
