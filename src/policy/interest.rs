//! What the policies in force may have a say about: all that the webhook has to be asked. It follows from the rules and the
//! catalog alone. Which objects a policy matches may hang on their owners and namespaces, which the API server does not know.

use super::set::PolicySet;
use crate::catalog::ProductWord;
use crate::rule::{Concern, Reads};
use crate::storage::DATABASES;
use std::collections::BTreeSet;

/// What may have to be judged or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interest {
    /// What rules can find something in, of pods and what makes them.
    pub finds: Concern,
    /// What rules can change, of the same.
    pub changes: Concern,
    /// What shows products; none where it may be anything.
    pub products: Option<BTreeSet<ProductWord>>,
    /// Whether PersistentVolumeClaims are judged.
    pub claims: bool,
    /// Whether PersistentVolumes are.
    pub volumes: bool,
    /// Whether StorageClasses are.
    pub classes: bool,
    /// The kinds that are judged when they are scaled.
    pub scaled: BTreeSet<&'static str>,
}

/// The kinds that have a `scale` subresource.
const SCALABLE: [&str; 4] = ["Deployment", "ReplicaSet", "ReplicationController", "StatefulSet"];

impl Interest {
    /// Everything that any policy could be about.
    pub fn everything() -> Self {
        Self {
            finds: Concern::anything(),
            changes: Concern::anything(),
            products: None,
            claims: true,
            volumes: true,
            classes: true,
            scaled: SCALABLE.into(),
        }
    }

    /// What either is about.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let products = self.products.as_ref().zip(other.products.as_ref());
        Self {
            finds: self.finds.clone().or(&other.finds),
            changes: self.changes.clone().or(&other.changes),
            products: products.map(|(ours, theirs)| ours.union(theirs).cloned().collect()),
            claims: self.claims || other.claims,
            volumes: self.volumes || other.volumes,
            classes: self.classes || other.classes,
            scaled: self.scaled.union(&other.scaled).copied().collect(),
        }
    }

    /// Whether it leaves out nothing of the other.
    pub fn covers(&self, other: &Self) -> bool {
        self.or(other) == *self
    }
}

impl PolicySet {
    /// What these policies may have a say about.
    pub fn interest(&self) -> Interest {
        let rules = || self.policies().iter().flat_map(|policy| &policy.rules).map(|rule| &rule.rule);
        let any = |kind: &str, reads: Reads| {
            rules()
                .any(|rule| rule.asks_about(kind) && (rule.reads_any_kind() || rule.reads().contains(&reads)))
        };
        let finds = rules().fold(Concern::default(), |all, rule| all.or(&rule.finds()));
        let own = (0..self.policies().len()).filter_map(|index| self.own_catalog(index));
        let catalogs = own.chain([self.catalog()]).filter(|_| finds.products);
        let words: Option<Vec<_>> = catalogs.map(|catalog| catalog.product_words()).collect();
        // Where products are judged, so are images that are called like databases.
        let called = DATABASES.iter().filter(|_| finds.products);
        let called = called.map(|word| ProductWord::LastWord((*word).to_owned()));
        Interest {
            products: words.map(|words| words.into_iter().flatten().chain(called).collect()),
            changes: rules().fold(Concern::default(), |all, rule| all.or(&rule.changes())),
            finds,
            claims: any("PersistentVolumeClaim", Reads::Claims),
            volumes: any("PersistentVolume", Reads::Volumes),
            classes: any("StorageClass", Reads::Classes),
            scaled: SCALABLE.into_iter().filter(|kind| self.reads_replicas(kind)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{embedded_baseline, load};
    use serde_json::json;

    fn interest(rules: serde_json::Value) -> Interest {
        let policy = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy",
                            "metadata": {"name": "p"}, "spec": {"rules": rules}});
        PolicySet::build(vec![load(&policy).unwrap()]).unwrap().interest()
    }

    #[test]
    fn the_baseline_is_about_products_volumes_and_claims() {
        let baseline = PolicySet::build(vec![embedded_baseline().unwrap()]).unwrap().interest();
        let Interest { finds, changes, claims, .. } = &baseline;
        assert!(finds.products && finds.stateful_sets && finds.pods_of_sets && !finds.anything, "{finds:?}");
        let types = ["csi", "emptyDir", "ephemeral", "gitRepo", "hostPath", "persistentVolumeClaim"];
        assert_eq!(finds.volumes, types.into());
        assert!(!changes.products && changes.claims && changes.stateful_sets, "{changes:?}");
        assert_eq!(changes.volumes, ["ephemeral", "persistentVolumeClaim"].into());
        assert!(*claims && baseline.products.is_some() && baseline.scaled.is_empty());
    }

    #[test]
    fn no_policy_is_about_nothing() {
        let nothing = PolicySet::build(Vec::new()).unwrap().interest();
        assert!(!nothing.finds.has_pods() && !nothing.changes.has_pods());
        assert!(!nothing.claims && !nothing.volumes && !nothing.classes && !nothing.changes.claims);
    }

    #[test]
    fn what_cannot_be_told_is_everything() {
        let cel = |rest: serde_json::Value| {
            let mut rule = json!({"name": "n", "expression": "object.metadata.name != 'x'", "message": "m"});
            rule.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            interest(json!([{"cel": rule}]))
        };
        assert!(cel(json!({})).finds.anything && cel(json!({})).claims && cel(json!({})).volumes);
        assert!(cel(json!({"kinds": ["CronJob"]})).finds.anything);
        let claims = cel(json!({"kinds": ["PersistentVolumeClaim"]}));
        assert!(!claims.finds.has_pods() && claims.claims && !claims.volumes && !claims.classes);
        let named = interest(json!([{"durableData": {"data": [{"paths": ["/uploads"]}]}}]));
        assert!(named.finds.anything);
    }

    #[test]
    fn a_wider_one_covers_a_narrower_one() {
        let narrow = interest(json!([{"hostPath": {"allow": []}}]));
        let wide = interest(json!([{"hostPath": {"allow": []}}, {"durableData": {}}]));
        assert!(wide.covers(&narrow) && !narrow.covers(&wide) && wide.covers(&wide));
        let everything = Interest::everything();
        assert!(everything.covers(&wide) && !wide.covers(&everything));
        let other = interest(json!([{"emptyDir": {"requireSizeLimit": true}}]));
        let both = other.or(&narrow);
        assert!(!other.covers(&narrow) && both.covers(&other) && both.covers(&narrow));
    }
}
