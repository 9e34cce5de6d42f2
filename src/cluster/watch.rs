//! The one watch loop of all daemons: the API server's events, with pauses after errors and words for them; and from there
//! to a [`Sink`].

use super::object::{Cached, Observed};
use super::watched::POLICIES;
use super::{Watched, chain};
use crate::daemon::{Backoff, LogOnChange};
use crate::model::lock;
use futures::{Stream, StreamExt, stream};
use kube::Resource;
use kube::api::Api;
use kube::core::Status;
use kube::runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tracing::{debug, info, warn};

/// The pauses after errors; a cache stays stale for the longest at most after an outage is over.
const PAUSES: Backoff = Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(30) };

/// Where the events of a watch go.
pub(super) trait Sink: Send {
    /// What is made of an object.
    type Facts: Cached;
    /// A list begins; a list that had begun before is forgotten.
    fn begin(&mut self);
    /// An object of the list.
    fn stage(&mut self, facts: Self::Facts);
    /// The list is whole.
    fn replace(&mut self);
    /// An object is new or has changed.
    fn apply(&mut self, facts: Self::Facts);
    /// An object is gone.
    fn delete(&mut self, namespace: &str, name: &str);
    /// The list or the watch failed and will be tried again; `missing` when the API server does not know the resource.
    fn failed(&mut self, _missing: bool, _why: &str) {}
}

/// How a watch is doing.
#[derive(Debug)]
pub(super) struct WatchState {
    pub(super) watched: Watched,
    listed: AtomicBool,
    lists: AtomicU64,
    restarts: AtomicU64,
    last_error: Mutex<Option<(Instant, String)>>,
}

impl WatchState {
    pub(super) fn new(watched: Watched) -> Self {
        Self {
            watched,
            listed: AtomicBool::new(false),
            lists: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            last_error: Mutex::new(None),
        }
    }

    /// Whether there has been a whole list.
    pub(super) fn listed(&self) -> bool {
        self.listed.load(Relaxed)
    }

    /// How many lists have been taken over.
    pub(super) fn lists(&self) -> u64 {
        self.lists.load(Relaxed)
    }

    /// How often the list or the watch failed and was begun again.
    pub(super) fn restarts(&self) -> u64 {
        self.restarts.load(Relaxed)
    }

    /// When the last error came and what it was.
    pub(super) fn last_error(&self) -> Option<(Instant, String)> {
        lock(&self.last_error).clone()
    }

    fn note(&self, why: &str) {
        self.restarts.fetch_add(1, Relaxed);
        *lock(&self.last_error) = Some((Instant::now(), why.to_owned()));
    }
}

/// The events of a watch, without end. An error is logged once for each outage, and followed by a pause.
pub(crate) fn events<T>(
    api: Api<T>,
    config: watcher::Config,
    watched: Watched,
) -> impl Stream<Item = Result<Event<T>, Fault>>
where
    T: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    paced(watcher(api, config), watched)
}

fn paced<T>(
    events: impl Stream<Item = watcher::Result<Event<T>>> + Send,
    watched: Watched,
) -> impl Stream<Item = Result<Event<T>, Fault>> {
    let start = (Box::pin(events), Failures::default());
    stream::unfold(start, move |(mut events, mut failures)| async move {
        let pause = failures.pause();
        // Even a sleep of no time waits for the timer's next millisecond, and a list may have 10,000 events.
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let event = events.next().await?.map_err(|error| Fault::of(&error, watched));
        match &event {
            // It comes before each attempt.
            Ok(Event::Init) => failures.paused = true,
            Ok(_) => failures = Failures::default(),
            Err(fault) => failures.log(watched, fault),
        }
        Some((event, (events, failures)))
    })
}

/// The errors of a watch since it worked last.
#[derive(Debug, Default)]
struct Failures {
    count: u32,
    log: LogOnChange,
    /// Whether the pause after the last one is over.
    paused: bool,
}

impl Failures {
    fn log(&mut self, watched: Watched, fault: &Fault) {
        let is_new = self.log.is_new(&fault.text);
        match fault.level {
            Level::Expected => debug!(resource = %watched, error = %fault.text, "the watch begins again"),
            Level::Fault if is_new => {
                warn!(resource = %watched, error = %fault.text, "failed to watch; trying again");
            }
            Level::Fault => debug!(resource = %watched, error = %fault.text, "still failing to watch"),
        }
        self.count = self.count.saturating_add(1);
        self.paused = false;
    }

    fn pause(&self) -> Duration {
        if self.count == 0 || self.paused { Duration::ZERO } else { PAUSES.pause(self.count) }
    }
}

/// Lists and watches, without end.
pub(super) async fn run<S: Sink>(client: kube::Client, state: &WatchState, mut sink: S) {
    let api: Api<Observed<S::Facts>> = Api::all_with(client, &state.watched);
    let config = watcher::Config::default().page_size(<S::Facts as Cached>::PAGE);
    let mut events = pin!(events(api, config, state.watched));
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => take(state, &mut sink, event),
            Err(fault) => {
                state.note(&fault.text);
                sink.failed(fault.missing, &fault.text);
            }
        }
    }
}

fn take<S: Sink>(state: &WatchState, sink: &mut S, event: Event<Observed<S::Facts>>) {
    match event {
        Event::Init => sink.begin(),
        Event::InitApply(object) => {
            if let Some(facts) = facts(state.watched, object) {
                sink.stage(facts);
            }
        }
        Event::InitDone => {
            sink.replace();
            state.lists.fetch_add(1, Relaxed);
            if !state.listed.swap(true, Relaxed) {
                info!(resource = %state.watched, "listed; watching from now on");
            }
        }
        Event::Apply(object) => {
            if let Some(facts) = facts(state.watched, object) {
                sink.apply(facts);
            }
        }
        Event::Delete(object) => {
            let namespace = object.meta.namespace.unwrap_or_default();
            sink.delete(&namespace, &object.meta.name.unwrap_or_default());
        }
    }
}

fn facts<F: Cached>(watched: Watched, object: Observed<F>) -> Option<F> {
    match object.facts {
        Ok(mut facts) => {
            facts.set_kind(watched.kind);
            Some(facts)
        }
        Err(fault) => {
            let (namespace, name) = (object.meta.namespace, object.meta.name);
            warn!(
                resource = %watched, namespace, name, error = %fault,
                "an object cannot be read and is passed over; it is not seen as it is now"
            );
            None
        }
    }
}

#[derive(Debug, PartialEq)]
enum Level {
    /// Part of watching, such as that the API server's history is short.
    Expected,
    Fault,
}

/// An error of a watch, in words.
#[derive(Debug)]
pub(crate) struct Fault {
    text: String,
    missing: bool,
    level: Level,
}

impl Fault {
    fn of(error: &watcher::Error, watched: Watched) -> Self {
        use kube::Error::Api as Answer;
        let (verb, status): (_, Option<&Status>) = match error {
            watcher::Error::InitialListFailed(Answer(status)) => ("list", Some(status)),
            watcher::Error::WatchStartFailed(Answer(status))
            | watcher::Error::WatchFailed(Answer(status)) => ("watch", Some(status)),
            watcher::Error::WatchError(status) => ("watch", Some(status)),
            watcher::Error::InitialListFailed(_) => ("list", None),
            _ => ("watch", None),
        };
        let Watched { group, version, resource, .. } = watched;
        let fault = |text: String| Self { text, missing: false, level: Level::Fault };
        match status {
            Some(status) if status.code == 403 => fault(format!(
                "failed to {verb} {resource}: volgate is not allowed to. Add this to its ClusterRole: {{apiGroups: \
                 [{group:?}], resources: [{resource}], verbs: [list, watch]}} (the API server says: {})",
                status.message
            )),
            // Of an unknown group the answer is plain text: only the code is the API server's own.
            Some(status) if status.code == 404 => {
                let of = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
                let text = format!("failed to {verb} {resource}: the API server does not know them in {of}");
                // A cluster without the CRD is no fault: the policy watch says so once.
                let level = if watched == POLICIES { Level::Expected } else { Level::Fault };
                Self { text, missing: true, level }
            }
            Some(status) if status.code == 410 => Self {
                level: Level::Expected,
                ..fault(format!(
                    "the watch of {resource} has fallen behind; listing them again: {}",
                    status.message
                ))
            },
            Some(status) => {
                fault(format!("failed to {verb} {resource}: {} ({})", status.message, status.code))
            }
            None => fault(format!("failed to {verb} {resource}: {}", chain(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::watched::{CLASSES, VOLUMES};
    use super::*;
    use crate::facts::VolumeFacts;
    use futures::FutureExt;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    fn answer(code: u16, reason: &str) -> kube::Error {
        kube::Error::Api(Box::new(Status::failure("no way", reason).with_code(code)))
    }

    #[test]
    fn says_what_the_cluster_role_lacks() {
        let fault = Fault::of(&watcher::Error::InitialListFailed(answer(403, "Forbidden")), CLASSES);
        assert_eq!(
            fault.text,
            "failed to list storageclasses: volgate is not allowed to. Add this to its ClusterRole: {apiGroups: \
             [\"storage.k8s.io\"], resources: [storageclasses], verbs: [list, watch]} (the API server says: no way)"
        );
        let fault = Fault::of(&watcher::Error::WatchStartFailed(answer(403, "Forbidden")), VOLUMES);
        assert!(
            fault.text.starts_with("failed to watch persistentvolumes: volgate is not allowed"),
            "{}",
            fault.text
        );
    }

    #[test]
    fn tells_a_missing_resource_and_an_old_watch_from_faults() {
        let fault = Fault::of(&watcher::Error::InitialListFailed(answer(404, "NotFound")), CLASSES);
        assert!(
            fault.missing && fault.text.ends_with("does not know them in storage.k8s.io/v1"),
            "{}",
            fault.text
        );
        assert_eq!(fault.level, Level::Fault);
        let fault = Fault::of(
            &watcher::Error::InitialListFailed(answer(404, "Failed to parse error data")),
            POLICIES,
        );
        assert_eq!((fault.level, fault.missing), (Level::Expected, true));
        let expired = Status::failure("too old", "Expired").with_code(410);
        let fault = Fault::of(&watcher::Error::WatchError(Box::new(expired)), VOLUMES);
        assert_eq!(fault.level, Level::Expected);
        let fault = Fault::of(&watcher::Error::WatchFailed(answer(500, "InternalError")), VOLUMES);
        assert_eq!((fault.level, fault.missing), (Level::Fault, false));
    }

    #[tokio::test]
    async fn an_event_waits_for_no_timer_unless_there_was_an_error() {
        let fault = watcher::Error::InitialListFailed(answer(500, "InternalError"));
        let answers =
            [Ok(Event::Init), Ok(Event::InitApply(1)), Ok(Event::InitDone), Err(fault), Ok(Event::Apply(2))];
        let mut events = pin!(paced(stream::iter(answers), VOLUMES));
        for at in 0..4 {
            let event =
                events.next().now_or_never().expect("it is there at once").expect("the stream goes on");
            assert_eq!(event.is_ok(), at < 3, "{at}");
        }
        assert!(events.next().now_or_never().is_none(), "no pause after an error");
    }

    #[derive(Default)]
    struct Log(Vec<String>);

    impl Sink for Log {
        type Facts = VolumeFacts;
        fn begin(&mut self) {
            self.0.push("begin".into());
        }
        fn stage(&mut self, facts: VolumeFacts) {
            self.0.push(format!("stage {}", facts.name));
        }
        fn replace(&mut self) {
            self.0.push("replace".into());
        }
        fn apply(&mut self, facts: VolumeFacts) {
            self.0.push(format!("apply {}", facts.name));
        }
        fn delete(&mut self, namespace: &str, name: &str) {
            self.0.push(format!("delete {namespace}/{name}"));
        }
    }

    #[test]
    fn passes_over_what_cannot_be_read_and_counts_lists() {
        let object = |name: &str, good: bool| {
            let facts = VolumeFacts { name: name.into(), ..VolumeFacts::default() };
            Observed {
                meta: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
                facts: good.then_some(facts).ok_or_else(|| crate::facts::FactsFault::at("spec", "is bad")),
            }
        };
        let (state, mut log) = (WatchState::new(VOLUMES), Log::default());
        let events = [
            Event::Init,
            Event::InitApply(object("a", true)),
            Event::InitApply(object("b", false)),
            Event::InitDone,
            Event::Apply(object("c", true)),
            Event::Apply(object("d", false)),
            Event::Delete(object("d", false)),
        ];
        for event in events {
            assert_eq!(state.listed(), log.0.iter().any(|line| line == "replace"));
            take(&state, &mut log, event);
        }
        assert_eq!(log.0, ["begin", "stage a", "replace", "apply c", "delete /d"]);
        assert_eq!((state.lists(), state.restarts()), (1, 0));
    }
}
