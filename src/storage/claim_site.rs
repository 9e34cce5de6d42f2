use crate::facts::{
    CLASS_ANNOTATION, ClaimSpec, ClaimTemplate, ClassFacts, ClassName, CustomClaim, Facts, PodVolume,
    Subject, Unchanged, VolumeSource,
};
use crate::lookup::Lookup;
use crate::model::FieldPath;
use std::sync::Arc;

/// One place where an object asks for a claim.
#[derive(Debug, Clone)]
pub struct ClaimSite<'f> {
    /// Which kind of place.
    pub kind: ClaimSiteKind<'f>,
    /// What the claim asks for.
    pub spec: &'f ClaimSpec,
    /// The path of the claim or template: what holds `metadata` and `spec`.
    pub path: FieldPath,
}

/// The kinds of place where an object asks for a claim.
#[derive(Debug, Clone, Copy)]
pub enum ClaimSiteKind<'f> {
    /// The claim itself.
    Claim,
    /// An entry of a StatefulSet's `volumeClaimTemplates`.
    Template(&'f ClaimTemplate<'f>),
    /// A pod volume's `ephemeral.volumeClaimTemplate`.
    Ephemeral(&'f PodVolume<'f>),
    /// What a custom resource asks its operator for.
    Custom(&'f CustomClaim),
}

impl<'a> Facts<'a> {
    /// Every claim that the object is or asks for: the claim itself, claim templates, ephemeral volumes.
    pub fn claim_sites(&self) -> impl Iterator<Item = ClaimSite<'_>> {
        let own = match &self.subject {
            Subject::Claim(claim) => {
                Some(ClaimSite { kind: ClaimSiteKind::Claim, spec: &claim.spec, path: FieldPath::root() })
            }
            _ => None,
        };
        let stores = match &self.subject {
            Subject::Custom(custom) => custom.stores.as_slice(),
            _ => &[],
        };
        let of_operator = stores.iter().flat_map(|store| &store.claims).map(ClaimSite::custom);
        own.into_iter().chain(of_operator).chain(self.workload().into_iter().flat_map(|workload| {
            let templates = workload.claim_templates.iter().map(ClaimSite::template);
            let volumes = workload.pod.volumes.iter();
            let ephemeral = volumes
                .filter(|volume| matches!(volume.source, VolumeSource::Ephemeral(_)))
                .filter_map(|volume| ClaimSite::ephemeral(volume, &workload.pod.path()));
            templates.chain(ephemeral)
        }))
    }
}

impl<'f> ClaimSite<'f> {
    /// A StatefulSet's claim template.
    pub fn template(template: &'f ClaimTemplate<'f>) -> Self {
        Self { kind: ClaimSiteKind::Template(template), spec: &template.spec, path: template.path() }
    }

    /// An ephemeral pod volume of the pod whose spec stands at `pod`; none of another type.
    pub fn ephemeral(volume: &'f PodVolume<'f>, pod: &FieldPath) -> Option<Self> {
        let VolumeSource::Ephemeral(spec) = &volume.source else { return None };
        let path = volume.source_path(pod).key("volumeClaimTemplate");
        Some(Self { kind: ClaimSiteKind::Ephemeral(volume), spec, path })
    }

    /// A claim of a custom resource.
    pub fn custom(claim: &'f CustomClaim) -> Self {
        Self { kind: ClaimSiteKind::Custom(claim), spec: &claim.spec, path: FieldPath::root() }
    }

    /// What of it was judged before the object was changed, and cannot be changed or has not.
    pub fn unchanged(&self) -> Unchanged {
        match self.kind {
            ClaimSiteKind::Custom(claim) => claim.unchanged,
            _ => Unchanged::default(),
        }
    }

    /// The path of a field of the claim's spec.
    pub fn field(&self, name: &'static str) -> FieldPath {
        if let ClaimSiteKind::Custom(claim) = self.kind {
            return match name {
                "accessModes" => claim.modes.clone(),
                "storageClassName" => claim.class.clone(),
                _ => claim.class.parent().unwrap_or_default().key(name),
            };
        }
        self.path.key("spec").key(name)
    }

    /// The path of the field that names the class, or that would.
    pub fn class_field(&self) -> FieldPath {
        if let ClaimSiteKind::Custom(claim) = self.kind {
            return claim.class.clone();
        }
        if self.spec.class_in_annotation {
            return self.path.key("metadata").key("annotations").key(CLASS_ANNOTATION);
        }
        self.field("storageClassName")
    }

    /// The path of the storage request.
    pub fn request_field(&self) -> FieldPath {
        if let ClaimSiteKind::Custom(claim) = self.kind {
            return claim.size.clone();
        }
        self.field("resources").key("requests").key("storage")
    }
}

impl ClaimSpec {
    /// The class that the claim gets as far as is known: the one it names, or the cluster's default.
    pub fn class_facts(&self, lookup: &dyn Lookup) -> Option<Arc<ClassFacts>> {
        match &self.class {
            ClassName::Named(name) => lookup.class(name),
            ClassName::Empty => None,
            ClassName::Absent => lookup.default_class(),
        }
    }

    /// The name of the class that the claim gets: `""` for none, nothing where the cluster's default is not known.
    pub fn class_in_effect(&self, lookup: &dyn Lookup) -> Option<String> {
        match &self.class {
            ClassName::Named(name) => Some(name.clone()),
            ClassName::Empty => Some(String::new()),
            ClassName::Absent => Some(lookup.default_class()?.name.clone()),
        }
    }
}
