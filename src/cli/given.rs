//! What `check` and `explain` are given: policies, manifests and the cluster's objects.

use super::ignored::Exclude;
use super::input::{self, Found, Rendering};
use super::policies;
use crate::check::{Fault, Input, Report, Run};
use anyhow::Result;
use std::path::PathBuf;

/// All of it, read.
pub(super) struct Given {
    pub(super) policies: policies::Loaded,
    /// The manifests, and what was met on the way to them.
    pub(super) found: Found,
    context: Found,
}

impl Given {
    pub(super) fn read(
        paths: &[PathBuf],
        rendering: Rendering<'_>,
        exclude: Option<&Exclude>,
        policy: &[PathBuf],
        context: &[PathBuf],
    ) -> Result<Self> {
        Ok(Self {
            policies: policies::read(policy)?,
            found: input::read_manifests(paths, Some(rendering), exclude),
            context: input::read(context),
        })
    }

    /// The run over it today. A context, once given, is the whole cluster.
    pub(super) fn run<'g>(&'g self, namespace: &'g str) -> Run<'g> {
        Run {
            policies: &self.policies.set,
            context: &self.context.inputs,
            complete: !self.context.inputs.is_empty(),
            namespace,
            today: jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date(),
        }
    }

    /// Adds what was met on the way to the texts, before what was found in them.
    pub(super) fn add_found(&self, report: &mut Report<'_>) {
        let faults = self.found.faults.iter().chain(&self.context.faults).cloned();
        report.faults.splice(0..0, faults);
        let notices = self.found.notices.iter().chain(&self.context.notices);
        let notices = self.policies.notices.iter().chain(notices).cloned();
        report.notices.splice(0..0, notices);
        report.not_judged.splice(0..0, self.found.folders.entries());
    }
}

/// What a run that could not begin has to say: the faults of its policies with their texts, or the one error.
pub(super) fn refusal(error: &anyhow::Error) -> (Report<'static>, &[Input]) {
    match error.downcast_ref::<policies::Refused>() {
        Some(refused) => {
            (Report { faults: refused.report.faults.clone(), ..Report::default() }, &refused.inputs)
        }
        None => {
            let fault = Fault { spot: None, message: format!("{error:#}"), help: None };
            (Report { faults: vec![fault], ..Report::default() }, &[])
        }
    }
}
