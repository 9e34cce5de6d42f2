//! Pod volumes that hold nothing but a program: an init container puts it there, and the others only run it.

use crate::catalog::program;
use crate::facts::{Container, Mount, Section, Workload};
use crate::model::below;
use std::collections::BTreeSet;

/// How many mounts of init containers are looked at, and the longest command line that is read, in bytes. Both are many times
/// what people write, and bound the work for a pod that is made to cost time.
const MOST_MOUNTS: usize = 16;
const LONGEST: usize = 16 * 1024;

/// Words behind which a shell, or a program that starts others, finds what it runs.
const RUNNERS: [&str; 12] = ["&&", "||", "|", ";", "then", "do", "exec", ".", "source", "sh", "bash", "-c"];

/// The pod volumes of which every container that mounts them only runs a file, where an init container puts just these files.
pub(super) fn only_holds_programs<'w>(workload: &'w Workload<'_>) -> impl Iterator<Item = &'w str> {
    let inits = workload.pod.containers.iter().filter(|container| container.section == Section::Init);
    let filled = inits.flat_map(|init| init.mounts.iter().map(move |mount| (init, mount)));
    filled.take(MOST_MOUNTS).filter_map(|(init, mount)| {
        let run = programs_run(workload, mount.volume)?;
        (files_named(init, mount)? == run).then_some(mount.volume)
    })
}

/// The files of a pod volume that containers run, beneath its root; none where one of them does anything else with it.
fn programs_run<'w>(workload: &'w Workload<'_>, volume: &str) -> Option<BTreeSet<&'w str>> {
    let mut run = BTreeSet::new();
    for container in workload.pod.containers.iter().filter(|it| it.section != Section::Init) {
        for mount in container.mounts.iter().filter(|mount| mount.volume == volume) {
            let path = mount.path.as_str();
            let named = container.env.iter().filter_map(|(_, value)| *value).chain(container.working_dir);
            if named.into_iter().any(|value| value.contains(path)) {
                return None;
            }
            let words = words(container)?;
            let mut before = "&&";
            let mut found = false;
            for word in words {
                if let Some(file) = beneath(word, path) {
                    if file.is_empty() || !RUNNERS.contains(&program(before)) {
                        return None;
                    }
                    run.insert(file);
                    found = true;
                }
                before = word;
            }
            if !found {
                return None;
            }
        }
    }
    (!run.is_empty()).then_some(run)
}

/// What an init container names beneath a mount.
fn files_named<'w>(init: &'w Container<'_>, mount: &Mount<'_>) -> Option<BTreeSet<&'w str>> {
    Some(words(init)?.into_iter().filter_map(|word| beneath(word, mount.path.as_str())).collect())
}

/// The words of a command line, scripts in it as well, without their quotes.
fn words<'w>(container: &'w Container<'_>) -> Option<Vec<&'w str>> {
    let texts = || container.command.iter().chain(&container.args);
    if texts().map(|text| text.len()).sum::<usize>() > LONGEST {
        return None;
    }
    let lines = texts().flat_map(|text| text.split_inclusive(['\n', ';']));
    let parts = lines.flat_map(|line| {
        let end = line.ends_with(['\n', ';']).then_some(";");
        line.split_whitespace().chain(end)
    });
    Some(
        parts
            .map(|word| word.trim_matches(['"', '\'', ';']))
            .map(|word| if word.is_empty() { ";" } else { word })
            .collect(),
    )
}

/// The rest of a word that names something beneath a directory, wherever the directory stands in the word.
fn beneath<'t>(word: &'t str, directory: &str) -> Option<&'t str> {
    match word.find(directory)? {
        0 => below(word, directory),
        _ => Some(""),
    }
}
