//! The accounts of Kubernetes' own controllers. Who asks is known from the request's user, which nobody can forge.

/// The account of all controllers where the controller manager has one credential for them.
const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";
/// What stands before a controller's name where each has a credential of its own.
const OWN_ACCOUNT: &str = "system:serviceaccount:kube-system:";

/// Those that make pods, claims or owners of pods from objects that were judged before, or scale such owners.
const CONTROLLERS: [&str; 9] = [
    "cronjob-controller",
    "daemon-set-controller",
    "deployment-controller",
    "ephemeral-volume-controller",
    "horizontal-pod-autoscaler",
    "job-controller",
    "replicaset-controller",
    "replication-controller",
    "statefulset-controller",
];

/// The users behind which Kubernetes' controllers stand, in the order of their names.
pub fn controller_users() -> impl Iterator<Item = String> {
    let own = CONTROLLERS.into_iter().map(|name| format!("{OWN_ACCOUNT}{name}"));
    std::iter::once(CONTROLLER_MANAGER.to_owned()).chain(own)
}

/// Whether that user is one of these controllers.
pub fn is_any_controller(user: &str) -> bool {
    CONTROLLERS.iter().any(|name| is_controller(user, name))
}

/// Whether that user is the controller of that name, such as `deployment-controller`.
pub fn is_controller(user: &str, name: &str) -> bool {
    user == CONTROLLER_MANAGER || user.strip_prefix(OWN_ACCOUNT) == Some(name)
}
