//! What is wrong with the paths of a policy.

use super::{AllowedPath, Params, real};
use crate::model::{FieldPath, FsPath};
use crate::rule::PolicyFault;

pub(super) fn path_faults(path: &str, field: FieldPath, faults: &mut Vec<PolicyFault>) {
    if climbs(path) {
        faults.push(PolicyFault::new(field, format!("{path:?} has `..`: write the path it means")));
    } else if !path.starts_with('/') {
        faults.push(PolicyFault::new(field, format!("{path:?} must start with `/`")));
    } else if path.ends_with('*') {
        let above = path.trim_end_matches('*').trim_end_matches('/');
        let above = if above.is_empty() { "/" } else { above };
        let message = format!(
            "{path:?} ends in `*`, which stands for itself here: {above:?} admits that directory and all beneath it"
        );
        faults.push(PolicyFault::harmless(field, message));
    } else if path.contains('*') {
        let message = format!("{path:?} has a `*`, which stands for itself here: name each directory");
        faults.push(PolicyFault::harmless(field, message));
    }
}

/// Reports entries of `allow` that `deny` takes back, and of denied paths that another one holds.
pub(super) fn never_allowed(params: &Params, at: &FieldPath, faults: &mut Vec<PolicyFault>) {
    // Each is held against each.
    const MOST_COMPARED: usize = 200;
    let deny = || params.deny.iter().enumerate().take(MOST_COMPARED);
    for (index, entry) in params.allow.iter().enumerate().take(MOST_COMPARED) {
        if let Some((_, denied)) = deny().find(|(_, denied)| real(denied).covers(&real(&entry.path))) {
            let message = format!(
                "{:?} can never be mounted, as `deny` has {denied:?}: take one of the two out",
                entry.path
            );
            faults.push(PolicyFault::harmless(at.key("allow").index(index).key("path"), message));
        }
    }
    for (index, path) in deny() {
        let path_now = real(path);
        let holds = |(other, wider): &(usize, &String)| {
            let wider = real(wider);
            *other != index && wider.covers(&path_now) && (wider != path_now || *other < index)
        };
        if let Some((_, wider)) = deny().find(holds) {
            let message = format!("{path:?} adds nothing to {wider:?}: take one of the two out");
            faults.push(PolicyFault::harmless(at.key("deny").index(index), message));
        }
    }
}

/// Reports entries that change nothing: the closest one to a path counts, and the next one above says the same.
pub(super) fn useless(allow: &[AllowedPath], at: &FieldPath, faults: &mut Vec<PolicyFault>) {
    // Each is held against each.
    const MOST_COMPARED: usize = 200;
    for (index, entry) in allow.iter().enumerate().take(MOST_COMPARED) {
        let path = FsPath::new(&entry.path);
        let others = allow.iter().enumerate().take(MOST_COMPARED).filter(|(other, _)| *other != index);
        let above = others.filter(|(other, wider)| {
            let wider = FsPath::new(&wider.path);
            wider.covers(&path) && (wider != path || *other < index)
        });
        let Some(closest) = above.clone().map(|(_, wider)| FsPath::new(&wider.path).as_str().len()).max()
        else {
            continue;
        };
        // Several entries for one path are for several types.
        let says_the_same =
            |wider: &AllowedPath| (wider.read_only, &wider.types) == (entry.read_only, &entry.types);
        let mut same = above.filter(|(_, wider)| FsPath::new(&wider.path).as_str().len() == closest);
        if let Some((other, wider)) = same.find(|(_, wider)| says_the_same(wider)) {
            let message = format!("adds nothing to entry {other}, {wider}: take one of the two out");
            faults.push(PolicyFault::harmless(at.index(index), message));
        }
    }
}

/// Whether a path has a `..` segment, on Windows nodes as well.
pub(super) fn climbs(path: &str) -> bool {
    path.split(['/', '\\']).any(|segment| segment == "..")
}
