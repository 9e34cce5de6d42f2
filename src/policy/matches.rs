//! Which objects a policy, an exclusion or an exception is about.

use super::schema::{Match, Users};
use crate::model::{LabelSelector, fits};
use crate::rule::{Requester, Subjects, Trust};

/// The kind that stands for all that makes such.
pub(super) const POD: &str = "Pod";

/// The namespaces that no policy is about: without them a cluster does not come up again.
pub const EXCLUDED_NAMESPACES: [&str; 4] =
    ["kube-system", "kube-public", "kube-node-lease", "volgate-system"];

/// Whether something is about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holds {
    /// It is not.
    No,
    /// It depends on who asks, which is not known.
    Perhaps,
    /// It is.
    Yes,
}

impl Holds {
    /// What is left of it where that is taken away.
    pub(super) fn without(self, taken: Self) -> Self {
        self.min(match taken {
            Self::No => Self::Yes,
            Self::Perhaps => Self::Perhaps,
            Self::Yes => Self::No,
        })
    }
}

impl Match {
    /// Whether all parts that are given hold of the object. With `widened`, `Pod` stands for all that makes pods.
    pub fn holds(&self, subjects: &Subjects<'_>, trust: Trust, widened: bool) -> Holds {
        let Self { namespaces, namespace_selector, object_selector, users, kinds, kinds_only } = self;
        let makes_pods = || widened && !kinds_only && subjects.has_pods();
        let is_object = (namespaces.is_empty()
            || namespaces.iter().any(|pattern| fits(pattern, subjects.namespace_name())))
            && namespace_selector.as_ref().is_none_or(|selector| match subjects.namespace() {
                Some(namespace) => selector.matches(namespace),
                None => *selector == LabelSelector::default(),
            })
            && object_selector.as_ref().is_none_or(|selector| subjects.has_labels(selector, trust))
            && (kinds.is_empty()
                || kinds.iter().any(|kind| subjects.is_kind(kind, trust) || kind == POD && makes_pods()));
        match users {
            _ if !is_object => Holds::No,
            None => Holds::Yes,
            Some(users) => users.hold(subjects, trust),
        }
    }
}

impl Users {
    fn hold(&self, subjects: &Subjects<'_>, trust: Trust) -> Holds {
        match subjects.requester() {
            None => Holds::Perhaps,
            Some(requester) if self.name(requester) => Holds::Yes,
            // Whoever wrote the owner may be excused. Nobody comes under a policy so: the owner itself was judged.
            Some(_) if trust == Trust::Proven && subjects.is_made_for_an_owner() => Holds::Perhaps,
            Some(_) => Holds::No,
        }
    }

    /// Whether one of the lists names that user.
    fn name(&self, requester: &Requester) -> bool {
        let Self { names, groups, service_accounts } = self;
        let is_account = |(namespace, name): (&str, &str)| {
            let accounts = service_accounts.iter().filter_map(|account| account.split_once('/'));
            accounts.into_iter().any(|(of, account)| fits(of, namespace) && fits(account, name))
        };
        names.iter().any(|pattern| fits(pattern, &requester.name))
            || groups.iter().any(|pattern| requester.groups.iter().any(|group| fits(pattern, group)))
            || requester.service_account().is_some_and(is_account)
    }
}
