//! What the writer does in one round: it holds what is registered against what was asked for.

use super::{Course, Next, REPAIRS, Writer, owned_by};
use crate::cluster::calls::Fault;
use crate::cluster::desired::{Progress, desired, is_newer, is_older, must_wait, with_owner};
use crate::cluster::register::{CustomResource, LAST_NAME, NAME, Registration, configurations};
use crate::cluster::registered::{Registered, Trust};
use crate::cluster::watched::{MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, Watched};
use crate::model::lock;
use crate::policy::Interest;
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;

impl Writer<'_> {
    /// Writes what is not as it should be.
    pub(super) async fn keep(
        &self,
        course: &mut Course,
        found: Registered,
        bundle: String,
    ) -> Result<Next, String> {
        let trusted = {
            let seen = lock(&self.view.seen);
            let current = self.view.certificates.current();
            Trust::of(&seen.callers, &current, self.view.clock.now()) == Trust::Holds
        };
        let complete = found.mutating.is_some() && found.validating.is_some();
        let interest = self.interest();
        // What is wider is registered first, and what is left over is taken away then: other replicas may judge by it yet.
        let send = match &course.interest {
            Some(sent) if !sent.covers(&interest) => Arc::new(sent.or(&interest)),
            _ => interest.clone(),
        };
        course.verified &= trusted && complete;
        let progress = Progress { trusted, verified: course.verified };
        let custom = self.custom_resources();
        let plain = self.wanted(&bundle, None, &custom, &send)?;
        let both = [(&found.validating, &plain.0), (&found.mutating, &plain.1)];
        let waits = both.iter().any(|(found, wanted)| must_wait(found.as_ref(), wanted, progress));
        let others = both.iter().filter_map(|(found, wanted)| Some((found.as_ref()?, *wanted)));
        let newer = others.clone().any(|(found, wanted)| is_newer(found, wanted));
        if newer && !course.newer {
            tracing::warn!(
                "a newer version of volgate has written the webhook configurations: they are left as they are, but for their CA"
            );
        }
        course.newer = newer;
        let older = others.clone().any(|(found, wanted)| is_older(found, wanted));
        let asked = match waits {
            true => self.wanted(&bundle, Some(&self.options.namespace), &custom, &send)?,
            false => plain,
        };
        let other = course.bundle != bundle
            || course.custom != custom
            || course.interest.as_ref().is_none_or(|sent| **sent != *send);
        let urgent = !course.registered || !trusted || !complete || older || other || found.earlier;
        let patient = course.repaired.is_some_and(|at| at.elapsed() < REPAIRS) && !urgent;
        let (mut wrote, is_earlier) = (false, found.is_earlier() && !newer);
        let all = [
            (VALIDATING_WEBHOOKS, &found.validating, &asked.0),
            (MUTATING_WEBHOOKS, &found.mutating, &asked.1),
        ];
        let renamed = |of: Watched| of == MUTATING_WEBHOOKS && is_earlier;
        for (of, found, wanted) in all {
            let known = found.as_ref().and_then(owned_by);
            let differs = desired(found.as_ref(), wanted, known, progress).is_some() || renamed(of);
            if !differs && (known.is_some() || course.registered) || patient {
                continue;
            }
            let owner = self.owner(course).await?;
            let object = desired(found.as_ref(), wanted, owner.as_ref(), progress);
            let object = object.or_else(|| renamed(of).then(|| with_owner(wanted, owner.as_ref())));
            if let Some(object) = object {
                match self.write(of, &object).await {
                    // Some clusters let only those own an object who may delete it.
                    Err(why) if owner.is_some() && why.contains("ownerRef") => {
                        tracing::warn!(
                            error = %why,
                            "the webhook configurations get no owner, and must be removed by hand when volgate is"
                        );
                        course.ownerless = true;
                    }
                    written => written?,
                }
                wrote = true;
            }
        }
        if wrote {
            if course.registered && !urgent {
                tracing::warn!("the webhook configurations were changed by somebody else; repaired");
                course.repaired = Some(Instant::now());
            }
            (course.bundle, course.custom) = (bundle, custom);
            self.note_sent(course, send);
            return Ok(Next::Go);
        }
        let rest = *send != *interest;
        self.note_sent(course, send);
        if found.earlier && !is_earlier && !newer {
            self.remove_earlier(course).await;
        }
        if rest {
            return Ok(Next::Go);
        }
        if waits {
            course.registered = false;
            return self.verify(course).await;
        }
        (course.bundle, course.custom) = (bundle, custom);
        if !std::mem::replace(&mut course.registered, true) {
            tracing::info!("the webhook configurations are registered");
        }
        Ok(Next::Rest)
    }

    /// What the policies in force may have a say about.
    fn interest(&self) -> Arc<Interest> {
        let known = self.in_force.as_ref().and_then(|in_force| in_force.borrow().interest.clone());
        known.unwrap_or_else(|| Arc::new(Interest::everything()))
    }

    /// Keeps what is registered to be sent, for the one that says whether a policy is in force.
    fn note_sent(&self, course: &mut Course, sent: Arc<Interest>) {
        self.sent.send_if_modified(|known| {
            let other = known.as_ref() != Some(&sent);
            *known = Some(sent.clone());
            other
        });
        course.interest = Some(sent);
    }

    /// Deletes the mutating configuration of an earlier version: there is another one that does the same, and to ask both changes
    /// nothing.
    async fn remove_earlier(&self, course: &mut Course) {
        let why = match self.calls.delete(MUTATING_WEBHOOKS, None, NAME, None).await {
            Ok(_) | Err(Fault::Missing) => {
                tracing::info!(
                    kind = MUTATING_WEBHOOKS.kind,
                    name = NAME,
                    replaced_by = LAST_NAME,
                    "deleted the webhook configuration of an earlier version"
                );
                return course.earlier_log.clear();
            }
            Err(Fault::Other(why) | Fault::Invalid(why)) => why,
            Err(fault) => format!("failed to delete the {} {NAME}: {fault:?}", MUTATING_WEBHOOKS.kind),
        };
        if course.earlier_log.is_new(&why) {
            tracing::warn!(
                kind = MUTATING_WEBHOOKS.kind,
                name = NAME,
                replaced_by = LAST_NAME,
                error = %why,
                "failed to delete the webhook configuration of an earlier version: delete it by hand, so that nothing is \
                 asked twice"
            );
        }
    }

    /// The custom resources that are judged and installed, in an order that does not change.
    fn custom_resources(&self) -> Vec<CustomResource> {
        let mut custom = (self.options.known)();
        custom.retain(|custom| self.installed.has(&custom.group, &custom.resource));
        custom.sort();
        custom
    }

    /// The validating and the mutating configuration as they are asked for.
    fn wanted(
        &self,
        bundle: &str,
        probe: Option<&str>,
        custom: &[CustomResource],
        interest: &Interest,
    ) -> Result<(Value, Value), String> {
        let registration = Registration {
            ca_bundle: bundle.as_bytes().to_vec(),
            probe: probe.map(str::to_owned),
            custom_resources: custom.to_vec(),
            interest: interest.clone(),
            mutating_name: LAST_NAME,
            ..self.options.registration.clone()
        };
        let (mutating, validating) = configurations(&registration);
        let value = |result: Result<Value, serde_json::Error>| result.map_err(|error| error.to_string());
        Ok((value(serde_json::to_value(validating))?, value(serde_json::to_value(mutating))?))
    }
}
