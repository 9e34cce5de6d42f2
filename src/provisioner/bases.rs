//! Where volumes may be on each node: rancher's `config.json`, or the one default.

use crate::model::{FsPath, below};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Where volumes are unless a configuration says otherwise; rancher's default as well.
pub const DEFAULT_BASE: &str = "/opt/local-path-provisioner";
/// In `nodePathMap`, what stands for every node that it does not name.
const OTHER_NODES: &str = "DEFAULT_PATH_FOR_NON_LISTED_NODES";

/// The bases of each class on each node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bases {
    general: ClassBases,
    /// Where there are any, classes that are not among them have none.
    classes: BTreeMap<String, ClassBases>,
    configured: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ClassBases {
    nodes: BTreeMap<String, Vec<String>>,
    shared: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawConfig {
    #[serde(flatten)]
    general: RawClassConfig,
    #[serde(default)]
    storage_class_configs: BTreeMap<String, RawClassConfig>,
    #[serde(default)]
    setup_command: String,
    #[serde(default)]
    teardown_command: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawClassConfig {
    #[serde(default)]
    node_path_map: Vec<RawNodePaths>,
    #[serde(default)]
    shared_file_system_path: String,
}

#[derive(Deserialize)]
struct RawNodePaths {
    #[serde(default)]
    node: String,
    #[serde(default)]
    paths: Vec<String>,
}

impl Default for Bases {
    fn default() -> Self {
        let nodes = BTreeMap::from([(OTHER_NODES.to_owned(), vec![DEFAULT_BASE.to_owned()])]);
        Self { general: ClassBases { nodes, shared: None }, classes: BTreeMap::new(), configured: false }
    }
}

impl Bases {
    /// Reads rancher's `config.json`, and says what of it has no effect here.
    ///
    /// # Errors
    /// What is wrong with it, as a fragment.
    pub fn parse(text: &str) -> Result<(Self, Vec<String>), String> {
        let raw: RawConfig = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut ignored = Vec::new();
        for (name, value) in
            [("setupCommand", &raw.setup_command), ("teardownCommand", &raw.teardown_command)]
        {
            if !value.is_empty() {
                ignored.push(format!("{name} has no effect: the agent makes and removes directories itself"));
            }
        }
        let mut classes = BTreeMap::new();
        for (name, config) in raw.storage_class_configs {
            let bases =
                ClassBases::new(config).map_err(|why| format!("storageClassConfigs.{name}: {why}"))?;
            classes.insert(name, bases);
        }
        Ok((Self { general: ClassBases::new(raw.general)?, classes, configured: true }, ignored))
    }

    /// The bases of a class on a node, at least one.
    ///
    /// # Errors
    /// Why there is none, for a person.
    pub fn of(&self, class: &str, node: &str) -> Result<&[String], String> {
        let bases = if self.classes.is_empty() {
            &self.general
        } else {
            let known = self.classes.get(class);
            known.ok_or_else(|| format!("the configuration's storageClassConfigs has no class {class:?}"))?
        };
        if let Some(path) = &bases.shared {
            return Err(format!(
                "the configuration has sharedFileSystemPath {path:?}, which volgate does not support: its volumes \
                 belong to one node; give nodePathMap instead"
            ));
        }
        match bases.nodes.get(node).or_else(|| bases.nodes.get(OTHER_NODES)) {
            Some(paths) if !paths.is_empty() => Ok(paths),
            Some(_) => Err(format!("the configuration's nodePathMap has no path for node {node:?}")),
            None => {
                Err(format!("the configuration's nodePathMap has neither node {node:?} nor {OTHER_NODES}"))
            }
        }
    }

    /// Whether a directory may be a base at all: where nothing is configured, an agent's word is enough.
    pub fn admits_others(&self) -> bool {
        !self.configured
    }

    /// The base of the node, of any class, that a path lies beneath, and the rest of the path; of several the longest.
    pub fn base_of<'a>(&self, node: &str, path: &'a str) -> Option<(String, &'a str)> {
        let all = std::iter::once(&self.general).chain(self.classes.values());
        let here =
            all.flat_map(|bases| bases.nodes.get(node).into_iter().chain(bases.nodes.get(OTHER_NODES)));
        let parts = here.flatten().filter_map(|base| Some((base, beneath(base, path)?)));
        let (base, rest) = parts.max_by_key(|(base, _)| base.len())?;
        Some((base.clone(), rest))
    }
}

/// What of a path lies beneath a base, if the path is clean and not the base itself. An agent may have reported the base:
/// nothing is beneath an empty one or the root.
pub(super) fn beneath<'a>(base: &str, path: &'a str) -> Option<&'a str> {
    if base.is_empty() || base.ends_with('/') || FsPath::new(path).as_str() != path {
        return None;
    }
    below(path, base).filter(|rest| !rest.is_empty())
}

impl ClassBases {
    fn new(raw: RawClassConfig) -> Result<Self, String> {
        let mut nodes = BTreeMap::new();
        for RawNodePaths { node, paths } in raw.node_path_map {
            let mut cleaned: Vec<String> = Vec::new();
            for path in paths {
                if !path.starts_with('/') {
                    return Err(format!("nodePathMap: the path {path:?} of node {node:?} must begin with /"));
                }
                let clean = FsPath::new(&path).as_str().to_owned();
                if clean == "/" {
                    return Err(format!("nodePathMap: the root cannot be a path of node {node:?}"));
                }
                if cleaned.contains(&clean) {
                    return Err(format!(
                        "nodePathMap: the path {path:?} of node {node:?} stands there twice"
                    ));
                }
                cleaned.push(clean);
            }
            if nodes.insert(node.clone(), cleaned).is_some() {
                return Err(format!("nodePathMap: node {node:?} stands there twice"));
            }
        }
        let shared = Some(raw.shared_file_system_path).filter(|path| !path.is_empty());
        if shared.is_some() && !nodes.is_empty() {
            return Err("nodePathMap and sharedFileSystemPath exclude each other".to_owned());
        }
        Ok(Self { nodes, shared })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"nodePathMap": [
        {"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": ["/opt/local-path-provisioner/"]},
        {"node": "n1", "paths": ["/data1", "/data2"]}, {"node": "n2", "paths": []}],
        "setupCommand": "x"}"#;

    #[test]
    fn reads_what_rancher_has() {
        let (bases, ignored) = Bases::parse(CONFIG).unwrap();
        assert_eq!(bases.of("any", "n1").unwrap(), ["/data1", "/data2"]);
        assert_eq!(bases.of("any", "n9").unwrap(), ["/opt/local-path-provisioner"]);
        assert!(bases.of("any", "n2").unwrap_err().contains("no path for node \"n2\""));
        assert!(ignored[0].starts_with("setupCommand has no effect") && ignored.len() == 1);
    }

    #[test]
    fn classes_of_their_own_exclude_all_others() {
        let text = r#"{"storageClassConfigs": {"fast": {"nodePathMap": [{"node": "n1", "paths": ["/nvme"]}]},
            "nfs": {"sharedFileSystemPath": "/share"}}}"#;
        let (bases, _) = Bases::parse(text).unwrap();
        assert_eq!(bases.of("fast", "n1").unwrap(), ["/nvme"]);
        for (class, node, part) in [
            ("fast", "n2", "neither node \"n2\" nor DEFAULT"),
            ("slow", "n1", "no class \"slow\""),
            ("nfs", "n1", "sharedFileSystemPath \"/share\", which volgate does not support"),
        ] {
            let why = bases.of(class, node).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn refuses_what_rancher_refuses() {
        let map = |nodes: &str| format!(r#"{{"nodePathMap": [{nodes}]}}"#);
        for (text, part) in [
            (map(r#"{"node": "a", "paths": ["x"]}"#), "must begin with /"),
            (map(r#"{"node": "a", "paths": ["/x/.."]}"#), "the root cannot be"),
            (map(r#"{"node": "a", "paths": ["/x", "/x/"]}"#), "twice"),
            (map(r#"{"node": "a", "paths": ["/x"]}, {"node": "a", "paths": ["/y"]}"#), "twice"),
            ("{".to_owned(), "EOF"),
            (
                r#"{"sharedFileSystemPath": "/s", "nodePathMap": [{"node": "a", "paths": ["/x"]}]}"#
                    .to_owned(),
                "exclude",
            ),
        ] {
            let why = Bases::parse(&text).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn finds_the_base_of_a_path() {
        let (bases, _) = Bases::parse(CONFIG).unwrap();
        let default = "/opt/local-path-provisioner";
        for (node, path, wanted) in [
            ("n1", "/data1/x", Some(("/data1", "x"))),
            ("n1", "/data1", None),
            ("n1", "/data1/", None),
            ("n1", "/data11/x", None),
            ("n1", "/data1/../etc", None),
            ("n1", "/data1//x", None),
            ("n1", "/opt/local-path-provisioner/x", Some((default, "x"))),
            ("n9", "/data1/x", None),
            ("n9", "/opt/local-path-provisioner/a/b", Some((default, "a/b"))),
        ] {
            let found = bases.base_of(node, path);
            let found = found.as_ref().map(|(base, rest)| (base.as_str(), *rest));
            assert_eq!(found, wanted, "{node} {path}");
        }
        assert_eq!((beneath("", "/etc/x"), beneath("/", "/etc/x")), (None, None));
    }
}
