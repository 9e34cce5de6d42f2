//! Objects as they were before a change.

use super::{Input, Manifest, Notice, manifests};
use crate::facts::Facts;
use crate::model::{FieldPath, ObjectRef, Operation};
use crate::rule::Review;
use std::collections::HashMap;

/// The objects before the change, by what they are.
pub(super) struct Before<'o> {
    objects: HashMap<ObjectRef, Manifest<'o>>,
    namespace: &'o str,
}

impl<'o> Before<'o> {
    pub(super) fn of(old: &'o [Input], namespace: &'o str) -> Self {
        let key = |manifest: Manifest<'o>| (id(&manifest, namespace), manifest);
        Self { objects: manifests(old).into_iter().map(key).collect(), namespace }
    }

    /// The review as one of a change, where the object was there before.
    pub(super) fn change<'r>(&'r self, review: Review<'r>) -> Review<'r> {
        if self.objects.is_empty() {
            return review;
        }
        let mut id = Facts::identify(review.object, Some(self.namespace));
        any_version(&mut id);
        match self.objects.get(&id) {
            Some(old) => Review { operation: Operation::Update, old: Some((&*old.value).into()), ..review },
            None => review,
        }
    }

    /// A notice for every object that was not there before: it is judged as a new one.
    pub(super) fn unmatched(&self, manifests: &[Manifest<'_>]) -> Vec<Notice> {
        let is_new = |manifest: &&Manifest<'_>| {
            manifest.is_object()
                && !manifest.patch
                && !manifest.review
                && !self.objects.contains_key(&id(manifest, self.namespace))
        };
        let notice = |manifest: &Manifest<'_>| Notice {
            spot: Some(manifest.spot(&FieldPath::root().key("metadata").key("name"))),
            message: format!("{} is not among the old objects: it is judged as a new one", manifest.name()),
        };
        // Without old objects nothing is a change.
        let manifests = if self.objects.is_empty() { &[] } else { manifests };
        manifests.iter().filter(is_new).map(notice).collect()
    }
}

fn id(manifest: &Manifest<'_>, namespace: &str) -> ObjectRef {
    let mut id = Facts::identify(&*manifest.value, Some(namespace));
    any_version(&mut id);
    id
}

/// One object, whatever version it is written in.
fn any_version(id: &mut ObjectRef) {
    id.api_version = id.api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
}
