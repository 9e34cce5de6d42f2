//! What several subcommands are given beside the manifests: policies, a cluster's objects, a namespace, settings.

use super::config::{Choice, Config};
use super::input::Rendering;
use super::render;
use super::state::StateArgs;
use std::mem::take;
use std::path::PathBuf;

/// Which policies are applied. A subcommand that does something else without any says so in its own help.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PolicyArgs {
    /// Policy files or folders; without any, the policies of the cluster state, or else the built-in baseline
    #[arg(
        long,
        short,
        value_name = "PATH",
        value_delimiter = '\n',
        env = "VOLGATE_POLICY",
        hide_env_values = true
    )]
    pub(super) policy: Vec<PathBuf>,
}

/// Where objects are that name no namespace.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct NamespaceArgs {
    /// The namespace of objects that name none [default: default]
    #[arg(long, short, value_name = "NAMESPACE", env = "VOLGATE_NAMESPACE", hide_env_values = true)]
    namespace: Option<String>,
}

impl NamespaceArgs {
    pub(super) fn name(&self) -> &str {
        self.namespace.as_deref().unwrap_or("default")
    }
}

/// All of it, with a file of settings for what is not said.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct InputArgs {
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    pub(super) state: StateArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    pub(super) config: Choice,
    #[command(flatten)]
    rendering: render::Options,
}

impl InputArgs {
    /// The policy files and folders.
    pub(super) fn policies(&self) -> &[PathBuf] {
        &self.policies.policy
    }

    /// The namespace of objects that name none.
    pub(super) fn namespace(&self) -> &str {
        self.namespace.name()
    }

    /// How charts and kustomizations are rendered.
    pub(super) fn rendering(&self) -> Rendering<'_> {
        Rendering { options: &self.rendering, namespace: self.namespace(), falls_back: true }
    }

    /// Takes from the settings what neither a flag nor a variable says.
    pub(super) fn fill_in(&mut self, config: &mut Config) {
        or(&mut self.policies.policy, take(&mut config.policies));
        or(&mut self.rendering.helm_values, take(&mut config.helm_values));
        or(&mut self.rendering.helm_set, take(&mut config.helm_set));
        self.state.fill_in(take(&mut config.cluster_state), config.kube_context.take());
        self.namespace.namespace = self.namespace.namespace.take().or(config.namespace.take());
        self.rendering.no_render |= config.render == Some(false);
    }
}

/// Takes the second list where the first is empty.
pub(super) fn or<T>(list: &mut Vec<T>, other: Vec<T>) {
    if list.is_empty() {
        *list = other;
    }
}
