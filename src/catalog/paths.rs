//! The paths that an argument or a value names.

use super::argv::Argv;
use super::budget::{Budget, Excess};
use super::entry::{Positional, ValueForm};
use super::word::{Word, is_flag};

/// The bare words behind `after`, up to the end of the command, that look like paths.
pub(super) fn positionals<'w, 'c>(argv: &'w Argv<'c, '_>, positional: &Positional) -> Vec<&'w Word<'c>> {
    let mut words = argv.words.iter().skip_while(|word| word.text != positional.after).skip(1);
    let mut found = Vec::new();
    while let Some(word) = words.next().filter(|word| !word.end) {
        if is_flag(&word.text) {
            let takes_value =
                !word.text.contains('=') && !positional.switches.iter().any(|switch| word.text == *switch);
            if takes_value {
                words.next();
            }
        } else if !word.known || word.text.contains('/') {
            found.push(word);
        }
    }
    found
}

/// The paths that a value names, as they are written.
pub(super) fn paths<'v>(value: &'v str, form: ValueForm) -> Box<dyn Iterator<Item = &'v str> + 'v> {
    let not_empty = |path: &&str| !path.is_empty();
    match form {
        ValueForm::Path => Box::new(Some(local(value.trim())).into_iter().filter(not_empty)),
        ValueForm::List => Box::new(value.split(',').map(str::trim).map(local).filter(not_empty)),
        ValueForm::Spec => {
            let named = value.split(',').find_map(|part| part.trim().strip_prefix("path="));
            let bare = || value.split(',').next().filter(|first| !first.contains('='));
            Box::new(named.or_else(bare).into_iter().filter(not_empty))
        }
        ValueForm::Disks => Box::new(split_outside_placeholders(value).map(url_path)),
        ValueForm::File => Box::new(directory_of_file(value.trim()).into_iter()),
    }
}

/// The parts of a value between spaces, of which `${{ a.name }}` is none.
fn split_outside_placeholders(value: &str) -> impl Iterator<Item = &str> {
    let mut inner = false;
    let mut before = '\0';
    let parts = value.split(move |c: char| {
        if before == '{' && c == '{' {
            inner = true;
        } else if before == '}' && c == '}' {
            inner = false;
        }
        before = c;
        c.is_whitespace() && !inner
    });
    parts.filter(|part| !part.is_empty())
}

/// Whether a value names a place in another service, as `s3://bucket/segments` and `hdfs://namenode/x` do.
pub(super) fn is_remote(value: &str) -> bool {
    value.trim().split_once("://").is_some_and(|(scheme, _)| {
        scheme != "file" && !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric())
    })
}

/// `/data` of `file:///data`; anything else as it is.
fn local(path: &str) -> &str {
    path.strip_prefix("file://").filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

/// `/data` of `sqlite:///data/users.db?mode=rwc`, of `jdbc:h2:/data/users;AUTO_SERVER=TRUE` and of `/data/users.db`; nothing of
/// another database's URL.
fn directory_of_file(text: &str) -> Option<&str> {
    if let Some(text) = text.strip_prefix("jdbc:") {
        return directory_of_jdbc(text);
    }
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        None => text.split_once(':').unwrap_or(("", text)),
    };
    let is_file = scheme.is_empty() || scheme.starts_with("sqlite") || scheme == "file";
    if !is_file || rest.contains(":memory:") {
        return None;
    }
    // Four slashes begin an absolute path as three do: no program keeps its database in the root of a host.
    let path = match rest.trim_start_matches('/') {
        dotted if dotted.starts_with("./") || dotted.starts_with("../") => dotted,
        beyond if beyond.len() < rest.len() => rest.get(rest.len() - beyond.len() - 1..)?,
        relative => relative,
    };
    match path.rsplit_once('/') {
        Some(("", _)) => Some("/"),
        Some((directory, _)) => Some(directory),
        None => Some("."),
    }
}

/// `/data` of `h2:file:/data/app;MODE=MySQL` and of `sqlite:/data/app.db`. A database of Derby is a directory.
fn directory_of_jdbc(text: &str) -> Option<&str> {
    let text = text.split(';').next().unwrap_or_default();
    match text.split_once(':')? {
        ("h2" | "hsqldb", rest) => {
            let file = rest.strip_prefix("file:").unwrap_or(rest);
            // None is relative without saying so: what else stands there is in memory, or at a host.
            file.starts_with(['/', '.']).then(|| directory_of_file(file)).flatten()
        }
        ("derby", rest) => {
            let path = rest.strip_prefix("directory:").unwrap_or(rest);
            (path.starts_with(['/', '.']) && !path.starts_with("//")).then_some(path)
        }
        ("sqlite", rest) => directory_of_file(rest),
        _ => None,
    }
}

/// `/data` of `http://minio-0.minio:9000/data` and of `file:/data`; anything else as it is.
fn url_path(text: &str) -> &str {
    let from_slash = |rest: &'_ str| rest.find('/').map(|slash| text.len() - rest.len() + slash);
    let start = match text.split_once("://") {
        Some((_, rest)) => from_slash(rest),
        None => text.find(":/").map(|colon| colon + 1),
    };
    match start {
        Some(start) => text.get(start..).unwrap_or(text),
        None if text.contains("://") => "/",
        None => text,
    }
}

/// `/data1` and `/data2` of `/data{1...2}`, and `/data01` and so on of `/data{01...16}`.
pub(super) fn numbered(path: &str, budget: &mut Budget) -> Result<Vec<String>, Excess> {
    let (mut paths, mut rest) = (vec![String::new()], path);
    while let Some((before, from, to, after)) = range(rest) {
        let (first, last) = (from.parse::<u32>(), to.parse::<u32>());
        let (Ok(first), Ok(last)) = (first, last) else { break };
        let count = if first > last {
            0
        } else {
            usize::try_from(last - first).unwrap_or(usize::MAX).saturating_add(1)
        };
        budget.has_places(count.saturating_mul(paths.len()))?;
        let width = if from.starts_with('0') && from.len() > 1 { to.len() } else { 0 };
        let mut longer = Vec::with_capacity(count.saturating_mul(paths.len()));
        for head in &paths {
            for number in first..=last {
                let path = format!("{head}{before}{number:0width$}");
                budget.bytes(path.len())?;
                longer.push(path);
            }
        }
        (paths, rest) = (longer, after);
    }
    budget.bytes(rest.len().saturating_mul(paths.len()))?;
    for path in &mut paths {
        path.push_str(rest);
    }
    Ok(paths)
}

/// What stands before the first range, its ends, and what stands behind it.
fn range(text: &str) -> Option<(&str, &str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (range, after) = rest.split_once('}')?;
    let (from, to) = range.split_once("...")?;
    Some((before, from, to, after))
}
