//! What `check` and `explain` are given: policies, manifests and the cluster's objects.

use super::ignored::Exclude;
use super::input::{self, Found, Rendering};
use super::input_policies::{self, FromInput};
use super::policies;
use super::state::StateArgs;
use super::texts::put_in_order;
use crate::check::{Input, ObjectKind, Report, Run, Stream, What};
use crate::policy::KIND;
use crate::rule::Requester;
use anyhow::Result;
use std::path::PathBuf;

/// All of it, read.
pub(super) struct Given {
    pub(super) policies: policies::Loaded,
    /// The manifests, and what was met on the way to them.
    pub(super) found: Found,
    context: Found,
    /// The policies among the manifests, if they are asked for.
    from_input: Option<FromInput>,
    /// Who applies the manifests.
    requester: Option<Requester>,
}

impl Given {
    pub(super) fn read(
        paths: &[PathBuf],
        rendering: Rendering<'_>,
        exclude: Option<&Exclude>,
        policy: &[PathBuf],
        state: &StateArgs,
    ) -> Result<Self> {
        let mut given = Self::find(paths, rendering, exclude, policy, state)?;
        given.found.read();
        Ok(given)
    }

    /// The same without reading the manifests.
    pub(super) fn find(
        paths: &[PathBuf],
        rendering: Rendering<'_>,
        exclude: Option<&Exclude>,
        policy: &[PathBuf],
        state: &StateArgs,
    ) -> Result<Self> {
        let context = state.read()?;
        Ok(Self {
            policies: in_force(policy, &context.inputs)?,
            found: input::find_manifests(paths, Some(rendering), exclude),
            context,
            from_input: None,
            requester: None,
        })
    }

    /// Applies the policies among the manifests as well.
    pub(super) fn add_policies_from_input(&mut self) {
        self.from_input = Some(input_policies::add(&mut self.policies, &self.found.inputs));
    }

    /// Judges the manifests a portion at a time. Of their texts what is to be shown is kept.
    pub(super) fn judge_in_portions(
        &mut self,
        namespace: &str,
        with_policies: bool,
        old: &[Input],
        comments: bool,
    ) -> Report<'static> {
        if with_policies {
            self.add_policies_from_input();
        }
        let texts = std::mem::take(&mut self.found.texts);
        let mut faults;
        let (report, inputs) = loop {
            let run = self.run(namespace);
            let mut stream = Stream::new(&run, old, comments);
            // Verdicts rest on all policies: where some are among the manifests, it begins once more with them.
            let is_unknown = with_policies && self.found.inputs.is_empty();
            faults =
                texts.pass_to(&mut stream, |manifest| with_policies && input_policies::is_policy(manifest));
            if !is_unknown || !stream.keeps_any() {
                break stream.finish(|place| texts.read_again(place));
            }
            let inputs = stream.into_inputs();
            self.found.inputs = inputs;
            self.add_policies_from_input();
        };
        self.found.inputs = inputs;
        put_in_order(&mut self.found.faults, faults);
        report
    }

    /// Goes on with other texts of the same files.
    pub(super) fn set_inputs(&mut self, inputs: Vec<Input>, policy: &[PathBuf]) -> Result<()> {
        self.found.inputs = inputs;
        if self.from_input.is_some() {
            // Those among them stand elsewhere in the new texts.
            self.policies = in_force(policy, &self.context.inputs)?;
            self.add_policies_from_input();
        }
        Ok(())
    }

    /// Says who applies the manifests.
    pub(super) fn set_requester(&mut self, requester: Option<Requester>) {
        self.requester = requester;
    }

    /// The run over it today. A context, once given, is the whole cluster.
    pub(super) fn run<'g>(&'g self, namespace: &'g str) -> Run<'g> {
        let requester = self.requester.as_ref();
        let run = Run { namespace, requester, ..Run::new(&self.policies.set, super::today()) };
        run.in_cluster(&self.context.inputs)
    }

    /// Adds what was met on the way to the texts, before what was found in them.
    pub(super) fn add_found(&self, report: &mut Report<'_>) {
        let faults = self.found.faults.iter().chain(&self.context.faults).cloned();
        report.faults.splice(0..0, faults);
        let notices = self.found.notices.iter().chain(&self.context.notices);
        let notices = self.policies.notices.iter().chain(notices).cloned();
        report.notices.splice(0..0, notices);
        report.not_judged.splice(0..0, self.found.folders.entries());
        if let Some(found) = &self.from_input {
            // What makes a policy a faulty one is no mere notice.
            report.notices.retain(|notice| {
                notice.spot.is_none() || !found.faults.iter().any(|fault| fault.spot == notice.spot)
            });
            report.notices.extend(found.notices.iter().cloned());
            report.faults.extend(found.faults.iter().cloned());
            report.faults.sort_by(|a, b| a.spot.cmp(&b.spot));
            report.not_judged.retain(|entry| !is_policies(&entry.what));
            report.policies.clone_from(&found.applied);
        }
    }
}

/// The policies that are named; without any those of the cluster, which are in force there.
fn in_force(policy: &[PathBuf], state: &[Input]) -> Result<policies::Loaded> {
    let of_state = if policy.is_empty() { policies::of_state(state)? } else { None };
    of_state.map_or_else(|| policies::read(policy), Ok)
}

/// Whether these are policies, which are applied and not judged.
fn is_policies(what: &What) -> bool {
    let is_own = |kind: &ObjectKind| {
        policies::is_own(&kind.api_version) && (kind.kind == KIND || policies::is_misspelt(&kind.kind))
    };
    matches!(what, What::Source(kind) | What::Kind(kind) if is_own(kind))
}
