//! One thread for each base carries plans out: a disk that hangs holds up its own volumes alone.

use super::backend::{self, Sought};
use super::base::Base;
use super::base_view::BaseView;
use super::plan::{Around, Asked, Other, Room, Seen, Step, after_fault, plan};
use super::shared::Shared;
use super::{Directory, Fault, Found, point};
use crate::model::{Backend, NodeVolumeStatus};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

/// What a worker is asked to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Go on with a volume.
    Volume(Box<Asked>),
    /// Look at the base again.
    Look,
    /// Remove what nobody knows any more.
    RemoveOrphan(String),
}

/// What a worker answers.
#[derive(Debug)]
pub(super) enum Answer {
    /// A volume is as far as it can be brought now.
    Volume {
        /// Its name.
        volume: String,
        /// What is to be told of it, when that is news.
        news: Option<NodeVolumeStatus>,
    },
    /// The base was looked at.
    Looked,
}

/// The way to a worker.
pub(super) fn start(
    shared: Arc<Shared>,
    view: Arc<BaseView>,
    answer: impl Fn(Answer) + Send + 'static,
    emptied: Sender<()>,
) -> std::io::Result<Sender<Job>> {
    let (sender, jobs) = channel();
    let worker = Worker { base: None, shared, view, emptied };
    thread::Builder::new().name("base".to_owned()).spawn(move || worker.run(&jobs, answer))?;
    Ok(sender)
}

struct Worker {
    base: Option<Base>,
    shared: Arc<Shared>,
    view: Arc<BaseView>,
    /// Told when something has come into the trash.
    emptied: Sender<()>,
}

impl Worker {
    fn run(mut self, jobs: &Receiver<Job>, answer: impl Fn(Answer)) {
        for job in jobs {
            match job {
                Job::Volume(asked) => {
                    let news = self.volume(&asked);
                    answer(Answer::Volume { volume: asked.volume, news });
                }
                Job::Look => {
                    self.look_at_base();
                    answer(Answer::Looked);
                }
                Job::RemoveOrphan(volume) => {
                    if let Err(fault) = self.remove_orphan(&volume) {
                        tracing::error!(volume, base = self.view.path, error = %fault, "failed to remove an orphan; it stays");
                    }
                    self.look_at_base();
                    answer(Answer::Looked);
                }
            }
        }
    }

    /// Opens the base, again when another disk is there, and notes what room it has.
    fn look_at_base(&mut self) {
        let room = self.current().and_then(|()| self.room());
        self.view.set_room(room);
    }

    fn current(&mut self) -> Result<(), Fault> {
        if self.base.as_ref().is_some_and(Base::is_current) {
            return Ok(());
        }
        self.base = None;
        self.view.forget();
        let base = Base::open(&self.shared.host_root, &self.view.path)?;
        let records = base.records()?;
        for (volume, fault) in &records.bad {
            tracing::error!(
                volume,
                base = base.path(),
                error = %fault,
                "a record cannot be read; its volume is left alone. Repair or remove the file in .volgate/volumes"
            );
        }
        self.view.opened(base.identity(), records);
        self.base = Some(base);
        Ok(())
    }

    fn base(&self) -> Result<&Base, Fault> {
        self.base.as_ref().ok_or_else(|| Fault::passing("BaseClosed", "the base is not open"))
    }

    fn room(&self) -> Result<Room, Fault> {
        let base = self.base()?;
        let fail = |errno| Fault::system(format_args!("measure {}", base.path()), errno);
        let statvfs = rustix::fs::fstatvfs(base.root()).map_err(fail)?;
        let size = |blocks: u64| i64::try_from(blocks.saturating_mul(statvfs.f_frsize)).unwrap_or(i64::MAX);
        let (capacity, free) = (size(statvfs.f_blocks), size(statvfs.f_bavail));
        let loop_volumes = self.shared.loop_volumes();
        let unsupported = |backend| {
            Some((backend, backend::unsupported(base, &self.shared.devices, backend, loop_volumes)?))
        };
        let unsupported = Backend::ALL.into_iter().filter_map(unsupported).collect();
        Ok(Room {
            filesystem: super::filesystem::name(base.root()),
            capacity,
            available: free.min(self.shared.promisable(capacity, base.identity().0)),
            unwritable: base.check_writable().err().or_else(|| without_inodes(base.path(), &statvfs)),
            unsupported,
        })
    }

    /// Brings a volume as far as it can be brought, and gives what is to be told of it.
    fn volume(&mut self, asked: &Asked) -> Option<NodeVolumeStatus> {
        let opened = self.current();
        if let (Ok(()), Some(why)) = (&opened, self.view.bad_record(&asked.volume)) {
            let fault = Fault::lasting(
                "BadRecord",
                format!("the record of {} in {} cannot be read: {why}", asked.volume, asked.spec.base),
            );
            return reported(&after_fault(asked, &nothing(), &Fault { passing: true, ..fault }));
        }
        let seen = match self.seen(asked) {
            Ok(seen) => seen,
            Err(fault) => return self.retreat(asked, &nothing(), &fault),
        };
        let base = opened.and_then(|()| self.room());
        // Always before a base's lock, never after it.
        let live = self.shared.live();
        let steps = self.view.with_records(|records| {
            let others = records.values().filter(|record| record.volume != asked.volume);
            let others = others.map(|record| Other { record, live: live.contains(&record.volume) }).collect();
            plan(asked, &seen, &Around { node_uid: &self.shared.node_uid(), base, others })
        });
        drop(live);
        match self.carry_out(asked, &steps) {
            Ok(()) => reported(&steps),
            Err(fault) => {
                tracing::warn!(
                    volume = asked.volume,
                    reason = fault.reason,
                    error = %fault,
                    "failed to take a step for a volume"
                );
                let seen = self.seen(asked).unwrap_or_else(|_| seen.clone());
                self.retreat(asked, &seen, &fault)
            }
        }
    }

    fn retreat(&mut self, asked: &Asked, seen: &Seen, fault: &Fault) -> Option<NodeVolumeStatus> {
        let steps = after_fault(asked, seen, fault);
        match self.carry_out(asked, &steps) {
            Ok(()) => reported(&steps),
            // Not even that: it stays as it is, and is tried again.
            Err(second) => {
                tracing::error!(volume = asked.volume, error = %second, "failed to clear up after a fault");
                let fault = Fault { passing: true, ..fault.clone() };
                reported(&after_fault(asked, &nothing(), &fault))
            }
        }
    }

    /// What is on the disk of a volume.
    fn seen(&self, asked: &Asked) -> Result<Seen, Fault> {
        let spec = &asked.spec;
        let record = self.view.with_records(|records| records.get(&asked.volume).cloned());
        let nothing = Seen { record, ..nothing() };
        // The plan refuses a bad name and a base that is not open.
        let Ok(base) = self.base() else { return Ok(nothing) };
        if Directory::parse(&spec.directory).is_err() || !super::usable_name(&asked.volume) {
            return Ok(nothing);
        }
        let sought = Sought {
            backend: spec.backend,
            volume: &asked.volume,
            directory: &spec.directory,
            size: nothing.record.as_ref().map(|record| record.size_bytes),
            project: nothing.record.as_ref().and_then(|record| record.project),
            bytes_per_inode: self.shared.bytes_per_inode,
        };
        let state = backend::look(base, &self.shared.devices, sought)?;
        Ok(Seen { found: state.found, bound: state.bound, attached: state.attached, ..nothing })
    }

    fn carry_out(&mut self, asked: &Asked, steps: &[Step]) -> Result<(), Fault> {
        for step in steps {
            // The report is the API client's to make, and its points with it.
            if matches!(step, Step::Report(_)) {
                continue;
            }
            let started = Instant::now();
            point(step.name(), "before");
            let done = self.step(asked, step);
            point(step.name(), "after");
            self.shared.metrics.stepped(
                step.name(),
                started.elapsed(),
                done.as_ref().err().map(|f| f.reason),
            );
            done?;
        }
        Ok(())
    }

    fn step(&mut self, asked: &Asked, step: &Step) -> Result<(), Fault> {
        let base = self.base()?;
        let record = || {
            let record = self.view.with_records(|records| records.get(&asked.volume).cloned());
            record.ok_or_else(|| Fault::passing("NoRecord", "the record is not written yet"))
        };
        let spec = &asked.spec;
        match step {
            Step::WriteRecord(record) => {
                let mut record = record.clone();
                record.project = match self.view.with_records(|records| records.get(&record.volume)?.project)
                {
                    Some(project) => Some(project),
                    None => backend::project(base, &record, |id| self.shared.has_project(id))?,
                };
                base.write_record(&record)?;
                self.view.with_records(|records| records.insert(record.volume.clone(), record));
                Ok(())
            }
            Step::ForgetRecord(volume) => {
                base.forget_record(volume)?;
                self.view.with_records(|records| records.remove(volume));
                Ok(())
            }
            Step::Make => backend::make(base, &record()?),
            Step::Bound(size) => {
                let bytes_per_inode = self.shared.bytes_per_inode;
                backend::bound(base, &self.shared.devices, &record()?, *size, bytes_per_inode)
            }
            Step::Attach => backend::attach(base, &self.shared.devices, &record()?),
            Step::Detach => backend::detach(base, &self.shared.devices, spec.backend, &asked.volume),
            Step::MoveToTrash => {
                let place = backend::place(spec.backend, &asked.volume, &spec.directory);
                base.move_to_trash(&place, &asked.volume)?;
                let _ = self.emptied.send(());
                Ok(())
            }
            Step::Report(_) => Ok(()),
        }
    }

    /// Removes a volume that nobody knows any more, by its record alone.
    fn remove_orphan(&mut self, volume: &str) -> Result<(), Fault> {
        self.current()?;
        let Some(record) = self.view.with_records(|records| records.get(volume).cloned()) else {
            return Ok(());
        };
        let asked = super::orphans::removal(&self.view.path, &record);
        let news = self.volume(&asked);
        match news.and_then(|status| status.reason.zip(status.message)) {
            None => Ok(()),
            Some((_, message)) => Err(Fault::lasting("Orphan", message)),
        }
    }
}

/// Why nothing can be made on a disk that pods have filled with files, though it may have room for their bytes. A file system
/// that makes inodes as it needs them reports none.
fn without_inodes(path: &str, statvfs: &rustix::fs::StatVfs) -> Option<Fault> {
    (statvfs.f_files > 0 && statvfs.f_favail == 0).then(|| {
        let all = statvfs.f_files;
        Fault::lasting("NotEnoughSpace", format!("no inode is left of {all} on {path}: it is full of files"))
    })
}

fn nothing() -> Seen {
    Seen { record: None, found: Found::Nothing, bound: None, attached: false }
}

fn reported(steps: &[Step]) -> Option<NodeVolumeStatus> {
    steps.iter().rev().find_map(|step| match step {
        Step::Report(status) => Some(status.clone()),
        _ => None,
    })
}
