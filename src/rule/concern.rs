//! What an object must have for a rule to have a say about it, as far as that shows in the object alone. The API server asks
//! volgate only about such objects, so that more may be named here than is needed, and never less.

use crate::facts::VolumeSource;
use std::collections::BTreeSet;

/// What of a pod, or of what makes pods, a rule can find or change something in. One of these is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Concern {
    /// Whatever it has.
    pub anything: bool,
    /// A product that the catalog knows, by its image or by what it shows.
    pub products: bool,
    /// That it is a StatefulSet.
    pub stateful_sets: bool,
    /// That it is a pod which names a StatefulSet as its owner.
    pub pods_of_sets: bool,
    /// A block device of a container.
    pub devices: bool,
    /// A variable or an argument that names a database file.
    pub database_files: bool,
    /// Pod volumes of these types; with one named, those that volgate does not know as well.
    pub volumes: BTreeSet<&'static str>,
    /// PersistentVolumeClaims. What a rule finds in them is asked for by [`Rule::reads`](super::Rule::reads).
    pub claims: bool,
}

impl Concern {
    /// Everything.
    pub fn anything() -> Self {
        Self { anything: true, claims: true, ..Self::default() }
    }

    /// Pod volumes of these types, which are among [`VolumeSource::types`].
    pub fn volumes<const N: usize>(types: [&'static str; N]) -> Self {
        Self { volumes: types.into(), ..Self::default() }
    }

    /// Pod volumes of every type.
    pub fn any_volume() -> Self {
        Self { volumes: VolumeSource::types().collect(), ..Self::default() }
    }

    /// Whatever holds a claim's spec: StatefulSets with their templates, and generic ephemeral volumes.
    pub fn claim_sites() -> Self {
        Self { stateful_sets: true, ..Self::volumes(["ephemeral"]) }
    }

    /// What either is concerned with.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        if self.anything || other.anything {
            return Self { claims: self.claims || other.claims, anything: true, ..Self::default() };
        }
        self.products |= other.products;
        self.stateful_sets |= other.stateful_sets;
        self.pods_of_sets |= other.pods_of_sets;
        self.devices |= other.devices;
        self.database_files |= other.database_files;
        self.claims |= other.claims;
        self.volumes.extend(&other.volumes);
        self
    }

    /// Whether some pod, or something that makes pods, can be among what is meant.
    pub fn has_pods(&self) -> bool {
        *self != Self { claims: self.claims, ..Self::default() }
    }
}
