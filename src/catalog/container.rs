//! A container as the catalog wants to see it.

use super::configuration::Configuration;

/// The labels of a pod that tell its role.
pub const ROLE_LABELS: [&str; 4] =
    ["app.kubernetes.io/component", "app.kubernetes.io/role", "component", "role"];

/// What the catalog has to know of a container.
#[derive(Debug, Clone, Copy, Default)]
pub struct ContainerView<'a> {
    /// Its name, which anybody may give it.
    pub name: &'a str,
    /// What the pod's labels say of its role, which anybody may give it.
    pub roles: [Option<&'a str>; ROLE_LABELS.len()],
    /// The image reference.
    pub image: &'a str,
    /// `command`, which replaces the image's entry point.
    pub command: &'a [&'a str],
    /// `args`.
    pub args: &'a [&'a str],
    /// `env` in its order; a value that comes from a ConfigMap, a Secret or a field is `None`.
    pub env: &'a [(&'a str, Option<&'a str>)],
    /// What the names of further variables begin with that `envFrom` brings, one for each of its entries.
    pub env_from: &'a [&'a str],
    /// `workingDir`, when set.
    pub working_dir: Option<&'a str>,
    /// What ConfigMaps and Secrets bring, as far as that is known.
    pub configuration: Option<&'a Configuration<'a>>,
}

/// A place in a container's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `command[index]`.
    Command {
        /// The index in `command`.
        index: usize,
    },
    /// `args[index]`.
    Args {
        /// The index in `args`.
        index: usize,
    },
    /// `env[index]`.
    Env {
        /// The index in `env`; `None` when it is not set there.
        index: Option<usize>,
    },
    /// `envFrom[index]`.
    EnvFrom {
        /// The index in `envFrom`.
        index: usize,
    },
    /// A file that `volumeMounts[index]` brings.
    Mount {
        /// The index in `volumeMounts`; `None` for a file of the image.
        index: Option<usize>,
    },
}
