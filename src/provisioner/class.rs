//! What a class asks for by its parameters, and what a claim may add to it.

use super::names::{RANCHER_DEFAULT_VOLUME_TYPE, RANCHER_VOLUME_TYPE};
use super::objects::{Claim, Class, Unbound};
use super::pattern;
use crate::model::{Backend, FsPath, HOSTNAME, as_one_name};

/// Why a class cannot be served, or a claim of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ClassFault(pub String);

/// How a pod's node reaches a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VolumeType {
    /// A `local` volume: fsGroup, statistics, and pods wait where its path is missing.
    #[default]
    Local,
    /// A `hostPath` volume.
    HostPath,
}

/// A class's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// `backend`: unless the class names one, directories, and loop devices for claims of volumeMode Block.
    pub backend: Backend,
    /// Whether the class names it.
    pub backend_named: bool,
    /// `nodePath`: the base that the class wants.
    pub node_path: Option<String>,
    /// `pathPattern`.
    pub path_pattern: Option<String>,
    /// `allowUnsafePathPattern`: a path that does not begin with the claim's namespace and name is taken. What leads out
    /// of the base never is.
    pub any_path: bool,
    /// `volumeType`, or the class's annotation `defaultVolumeType`.
    pub volume_type: VolumeType,
    /// `allowClaimVolumeType`: whether claims may choose hostPath by their annotation `volumeType`. They may unless the
    /// class says no, as they may with rancher's provisioner.
    pub claims_choose: bool,
    /// `fsType` of a loop volume; the kubelet makes the file system.
    pub fs_type: Option<String>,
}

impl Default for Parameters {
    /// What holds for a class without parameters.
    fn default() -> Self {
        Self {
            backend: Backend::default(),
            backend_named: false,
            node_path: None,
            path_pattern: None,
            any_path: false,
            volume_type: VolumeType::default(),
            claims_choose: true,
            fs_type: None,
        }
    }
}

impl Parameters {
    /// Reads a class's parameters.
    ///
    /// # Errors
    /// One that is not known or has a value that is not.
    pub fn of(class: &Class) -> Result<Self, ClassFault> {
        let fault = |text: String| Err(ClassFault(format!("class {:?}: {text}", class.facts.name)));
        let mut read = Self::default();
        if let Some(text) = class.annotations.get(RANCHER_DEFAULT_VOLUME_TYPE) {
            match VolumeType::parse(text) {
                Some(volume_type) => read.volume_type = volume_type,
                None => {
                    return fault(format!(
                        "the annotation defaultVolumeType must be local or hostPath, not {text:?}"
                    ));
                }
            }
        }
        // The parameters of a class cannot be changed, and so the annotation goes after them.
        let mut any_path = None;
        if let Some(text) = class.annotations.get(ANY_PATH) {
            any_path = parse_bool(text);
            if any_path.is_none() {
                return fault(format!("the annotation {ANY_PATH} must be true or false, not {text:?}"));
            }
        }
        for (key, value) in &class.facts.parameters {
            match key.as_str() {
                "backend" => match Backend::ALL.into_iter().find(|backend| backend.name() == value) {
                    Some(backend) => (read.backend, read.backend_named) = (backend, true),
                    None => {
                        let known: Vec<&str> = Backend::ALL.into_iter().map(Backend::name).collect();
                        return fault(format!(
                            "the parameter backend must be one of {}, not {value:?}",
                            known.join(", ")
                        ));
                    }
                },
                "nodePath" if value.is_empty() => {}
                "nodePath" if value.starts_with('/') => {
                    read.node_path = Some(FsPath::new(value).as_str().to_owned());
                }
                "nodePath" => {
                    return fault(format!("the parameter nodePath must begin with /, unlike {value:?}"));
                }
                "pathPattern" => read.path_pattern = Some(value.clone()).filter(|text| !text.is_empty()),
                ANY_PATH => match parse_bool(value) {
                    Some(any_path) => read.any_path = any_path,
                    None => {
                        return fault(format!(
                            "the parameter {ANY_PATH} must be true or false, not {value:?}"
                        ));
                    }
                },
                "volumeType" => match VolumeType::parse(value) {
                    Some(volume_type) => read.volume_type = volume_type,
                    None => {
                        return fault(format!(
                            "the parameter volumeType must be local or hostPath, not {value:?}"
                        ));
                    }
                },
                "allowClaimVolumeType" => match value.as_str() {
                    "true" => read.claims_choose = true,
                    "false" => read.claims_choose = false,
                    _ => {
                        return fault(format!(
                            "the parameter allowClaimVolumeType must be true or false, not {value:?}"
                        ));
                    }
                },
                "fsType" | "csi.storage.k8s.io/fstype" => {
                    read.fs_type = Some(value.clone()).filter(|text| !text.is_empty());
                }
                "nodeAffinityKey" if value.is_empty() || value == HOSTNAME => {}
                "nodeAffinityKey" => {
                    return fault(format!(
                        "the parameter nodeAffinityKey can be {HOSTNAME} alone, not {value:?}: a label that two nodes \
                         share would let a pod run where its data is not"
                    ));
                }
                "userPattern" | "groupPattern" | "permPattern" => {
                    return fault(format!(
                        "the parameter {key} is not supported: give the pod a securityContext with fsGroup"
                    ));
                }
                other => {
                    return fault(format!(
                        "the parameter {other:?} is unknown; there are backend, nodePath, pathPattern, \
                         allowUnsafePathPattern, volumeType, allowClaimVolumeType and fsType"
                    ));
                }
            }
        }
        if let Some(any_path) = any_path {
            read.any_path = any_path;
        }
        if read.fs_type.is_some() && read.backend != Backend::Loop {
            return fault(
                "the parameter fsType goes with backend loop alone: no other has a file system of its own"
                    .to_owned(),
            );
        }
        if read.volume_type == VolumeType::HostPath && read.backend == Backend::Loop {
            return fault(
                "backend loop makes devices, which a hostPath volume cannot mount: leave volumeType out"
                    .to_owned(),
            );
        }
        Ok(read)
    }

    /// What holds for a claim of volumeMode Block.
    ///
    /// # Errors
    /// The class names a backend that makes no block devices.
    pub fn of_block(self, class: &Class) -> Result<Self, ClassFault> {
        if self.backend == Backend::Loop {
            return Ok(self);
        }
        if self.backend_named {
            return Err(ClassFault(format!(
                "the claim has volumeMode Block, and class {:?} names backend {}: only loop makes block devices",
                class.facts.name,
                self.backend.name()
            )));
        }
        // A device is no path to mount, however the class's directories are reached.
        Ok(Self { backend: Backend::Loop, volume_type: VolumeType::Local, ..self })
    }

    /// How the volume of one claim is reached.
    ///
    /// # Errors
    /// The claim's annotation is not known, or does not go with the class.
    pub fn volume_type_for(&self, rest: &Unbound) -> Result<VolumeType, ClassFault> {
        let Some(text) = rest.annotations.get(RANCHER_VOLUME_TYPE) else { return Ok(self.volume_type) };
        match VolumeType::parse(text) {
            Some(VolumeType::HostPath) if self.backend == Backend::Loop => Err(ClassFault(
                "the claim's annotation volumeType asks for hostPath, which a volume of backend loop cannot be".to_owned(),
            )),
            Some(VolumeType::HostPath) if !self.claims_choose && self.volume_type != VolumeType::HostPath => {
                Err(ClassFault(
                    "the claim's annotation volumeType asks for hostPath, which its class leaves to no claim (parameter \
                     allowClaimVolumeType is \"false\"): leave the annotation out, or use a class whose own volumeType is \
                     hostPath"
                        .to_owned(),
                ))
            }
            Some(volume_type) => Ok(volume_type),
            None => Err(ClassFault(format!("the claim's annotation volumeType must be local or hostPath, not {text:?}"))),
        }
    }

    /// Where beneath its base a claim's volume is.
    ///
    /// # Errors
    /// The pattern cannot be filled in, or leads where no volume can be.
    pub fn directory(&self, volume: &str, claim: &Claim, rest: &Unbound) -> Result<String, ClassFault> {
        let Some(pattern) = &self.path_pattern else {
            // A claim's name can be as long as a whole name of a file system; the volume's tells it from others'.
            let name = format!("{volume}_{}_{}", claim.namespace, claim.name);
            return Ok(as_one_name(&name).to_owned());
        };
        let path = pattern::fill(pattern, volume, claim, rest).map_err(ClassFault)?;
        pattern::check(&path).map_err(ClassFault)?;
        let own = FsPath::new(&format!("{}/{}", claim.namespace, claim.name)).into_owned();
        // Who writes a claim could otherwise name another's directory by an annotation.
        if !self.any_path && !own.covers(&FsPath::new(&path)) {
            return Err(ClassFault(format!(
                "the class's pathPattern gives {path:?}, which must begin with {{{{ .PVC.Namespace }}}}/{{{{ .PVC.Name \
                 }}}}; an administrator who trusts those who write claims may set allowUnsafePathPattern"
            )));
        }
        Ok(path)
    }
}

/// The parameter, or the annotation, for paths that do not begin with the claim's namespace and name.
const ANY_PATH: &str = "allowUnsafePathPattern";

/// A truth in any of the spellings that Go's `strconv.ParseBool` takes, as rancher's provisioner does.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

impl VolumeType {
    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "local" => Some(Self::Local),
            "hostpath" => Some(Self::HostPath),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn unsafe_patterns_are_allowed_by_parameter_or_annotation_in_any_spelling_of_go() {
        let read = |parameters, annotations| {
            Parameters::of(&class(parameters, annotations)).map(|read| read.any_path).ok()
        };
        for spelling in ["1", "t", "T", "true", "TRUE", "True"] {
            assert_eq!(read(json!({ANY_PATH: spelling}), json!({})), Some(true), "{spelling}");
            assert_eq!(read(json!({}), json!({ANY_PATH: spelling})), Some(true), "{spelling}");
        }
        for spelling in ["0", "f", "F", "false", "FALSE", "False"] {
            assert_eq!(
                read(json!({ANY_PATH: "true"}), json!({ANY_PATH: spelling})),
                Some(false),
                "{spelling}"
            );
        }
        assert_eq!(read(json!({}), json!({})), Some(false));
        assert_eq!(read(json!({ANY_PATH: "yes"}), json!({})), None, "no spelling of Go's");
        assert_eq!(read(json!({}), json!({ANY_PATH: "tRUE"})), None);
    }

    fn class(parameters: Value, annotations: Value) -> Class {
        Class::read(&json!({"metadata": {"name": "fast", "annotations": annotations}, "provisioner": "p",
            "parameters": parameters}))
        .unwrap()
    }

    fn claim(annotations: Value) -> Claim {
        let metadata = json!({"namespace": "team", "name": "data", "uid": "u", "annotations": annotations});
        Claim::read(&json!({"metadata": metadata, "spec": {}})).unwrap()
    }

    #[test]
    fn reads_every_parameter() {
        let read = Parameters::of(&class(
            json!({"backend": "loop", "nodePath": "/data//x/", "pathPattern": "p", "allowUnsafePathPattern": "true",
                   "volumeType": "Local", "fsType": "xfs", "nodeAffinityKey": "kubernetes.io/hostname",
                   "allowClaimVolumeType": "false"}),
            json!({"defaultVolumeType": "hostPath"}),
        ));
        let wanted = Parameters {
            backend: Backend::Loop,
            backend_named: true,
            node_path: Some("/data/x".into()),
            path_pattern: Some("p".into()),
            any_path: true,
            volume_type: VolumeType::Local,
            claims_choose: false,
            fs_type: Some("xfs".into()),
        };
        assert_eq!(read, Ok(wanted));
        assert_eq!(Parameters::of(&class(json!({}), json!({}))), Ok(Parameters::default()));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for (parameters, part) in [
            (json!({"backend": "zfs"}), "one of directory, btrfs, projectQuota, loop"),
            (json!({"nodePath": "data"}), "must begin with /"),
            (json!({"volumeType": "nfs"}), "local or hostPath"),
            (json!({"allowClaimVolumeType": "no"}), "must be true or false"),
            (json!({"nodeAffinityKey": "zone"}), "a label that two nodes share"),
            (json!({"permPattern": "0700"}), "is not supported"),
            (json!({"nodepath": "/x"}), "\"nodepath\" is unknown"),
            (json!({"fsType": "xfs"}), "goes with backend loop alone"),
            (json!({"backend": "loop", "volumeType": "hostPath"}), "leave volumeType out"),
        ] {
            let fault = Parameters::of(&class(parameters, json!({}))).unwrap_err().to_string();
            assert!(fault.starts_with("class \"fast\": ") && fault.contains(part), "{fault}");
        }
    }

    #[test]
    fn a_claim_may_choose_how_it_is_reached() {
        let parameters = Parameters::of(&class(json!({}), json!({"defaultVolumeType": "hostPath"}))).unwrap();
        let chosen = |annotations: Value| {
            parameters.volume_type_for(claim(annotations).unbound.as_ref().unwrap()).map_err(|fault| fault.0)
        };
        assert_eq!(chosen(json!({})), Ok(VolumeType::HostPath));
        assert_eq!(chosen(json!({"volumeType": "local"})), Ok(VolumeType::Local));
        assert!(chosen(json!({"volumeType": "nfs"})).unwrap_err().contains("local or hostPath"));
    }

    #[test]
    fn a_class_decides_whether_claims_may_choose_host_path() {
        let chosen = |parameters: Value, asked: &str| {
            let claim = claim(json!({"volumeType": asked}));
            let parameters = Parameters::of(&class(parameters, json!({}))).unwrap();
            parameters.volume_type_for(claim.unbound.as_ref().unwrap()).map_err(|fault| fault.0)
        };
        for parameters in [json!({}), json!({"allowClaimVolumeType": "true"})] {
            assert_eq!(chosen(parameters, "hostPath"), Ok(VolumeType::HostPath), "as rancher's");
        }
        let no = || json!({"allowClaimVolumeType": "false"});
        for spelled in ["hostPath", "HostPath", "hostpath"] {
            assert!(chosen(no(), spelled).unwrap_err().contains("allowClaimVolumeType"), "{spelled}");
        }
        assert_eq!(chosen(no(), "local"), Ok(VolumeType::Local));
        let own = |asked| chosen(json!({"allowClaimVolumeType": "false", "volumeType": "hostPath"}), asked);
        assert_eq!(own("hostPath"), Ok(VolumeType::HostPath), "the class's own choice");
        assert_eq!(own("local"), Ok(VolumeType::Local), "what is safe is never refused");
    }

    #[test]
    fn a_directory_is_named_as_ranchers_or_by_the_pattern_within_the_claims_own() {
        let claim = claim(json!({"dir": "other/victim"}));
        let rest = claim.unbound.as_ref().unwrap();
        let directory = |parameters: Value| {
            let parameters = Parameters::of(&class(parameters, json!({}))).unwrap();
            parameters.directory("pvc-u", &claim, rest).map_err(|fault| fault.0)
        };
        assert_eq!(directory(json!({})), Ok("pvc-u_team_data".into()));
        let own = "{{ .PVC.Namespace }}/{{ .PVC.Name }}";
        assert_eq!(directory(json!({"pathPattern": own})), Ok("team/data".into()));
        assert_eq!(
            directory(json!({"pathPattern": format!("{own}/{{{{ .PVName }}}}")})),
            Ok("team/data/pvc-u".into())
        );
        let others = json!({"pathPattern": "{{ .PVC.Annotations.dir }}"});
        assert!(directory(others).unwrap_err().contains("must begin with"));
        let trusted =
            |pattern: &str| directory(json!({"pathPattern": pattern, "allowUnsafePathPattern": "true"}));
        assert_eq!(trusted("{{ .PVC.Annotations.dir }}"), Ok("other/victim".into()));
        assert!(trusted("../{{ .PVC.Name }}").unwrap_err().contains("has the name \"..\" in it"));
        // What no agent takes is told at once, and not after every node has refused it.
        for path in ["x/".repeat(600) + "x", "a/.volgate".to_owned(), ".Volgate/x".to_owned()] {
            assert!(trusted(&path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_directorys_name_is_never_longer_than_file_systems_take() {
        let metadata = json!({"namespace": "n".repeat(63), "name": "c".repeat(253), "uid": "u"});
        let claim = Claim::read(&json!({"metadata": metadata, "spec": {}})).unwrap();
        let volume = format!("pvc-{}", "0".repeat(36));
        let directory = Parameters::default().directory(&volume, &claim, claim.unbound.as_ref().unwrap());
        let directory = directory.unwrap();
        assert_eq!(pattern::check(&directory), Ok(()));
        assert!(directory.starts_with(&format!("{volume}_nnn")) && directory.len() == 255, "{directory}");
    }
}
