//! What `check` and `explain` are given: policies, manifests and the cluster's objects.

use super::{input, policies};
use crate::check::{Input, Run};
use anyhow::Result;
use std::path::PathBuf;

/// All of it, read.
pub(super) struct Given {
    pub(super) policies: policies::Loaded,
    pub(super) inputs: Vec<Input>,
    context: Vec<Input>,
}

impl Given {
    pub(super) fn read(paths: &[PathBuf], policy: &[PathBuf], context: &[PathBuf]) -> Result<Self> {
        Ok(Self {
            policies: policies::read(policy)?,
            inputs: input::read(paths)?,
            context: input::read(context)?,
        })
    }

    /// The run over it today. A context, once given, is the whole cluster.
    pub(super) fn run<'g>(&'g self, namespace: &'g str) -> Run<'g> {
        Run {
            policies: &self.policies.set,
            context: &self.context,
            complete: !self.context.is_empty(),
            namespace,
            today: jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date(),
        }
    }
}
