//! Work on all cores.

use rayon::prelude::*;

/// A thread costs about as much as judging so many small objects.
pub(crate) const SMALL_OBJECTS: usize = 64;

/// Works on every item, on all cores where there are more than `few`; the results stand in the order of the items.
pub(crate) fn in_parallel<'t, T: Sync, R: Send>(
    items: &'t [T],
    few: usize,
    work: impl Fn(&'t T) -> R + Sync + Send,
) -> Vec<R> {
    // Threads are started with the first work for them.
    if items.len() <= few {
        return items.iter().map(work).collect();
    }
    items.par_iter().with_min_len(share(items.len(), few)).map(work).collect()
}

/// The same, and takes the items: each is dropped where it was worked on.
pub(crate) fn take_in_parallel<T: Send, R: Send>(
    items: Vec<T>,
    few: usize,
    work: impl Fn(T) -> R + Sync + Send,
) -> Vec<R> {
    if items.len() <= few {
        return items.into_iter().map(work).collect();
    }
    let share = share(items.len(), few);
    items.into_par_iter().with_min_len(share).map(work).collect()
}

/// How many items are worked on in one go: a few goes for each core, since some items take longer than others.
fn share(items: usize, few: usize) -> usize {
    const GOES: usize = 64;
    (items / GOES).clamp(1, few.max(1))
}

/// How many texts are too few to be read on several cores, where all of them have so many bytes.
pub(crate) fn few_texts(texts: usize, bytes: usize) -> usize {
    // Reading so much takes longer than to start a thread.
    const SMALL_TEXTS: usize = 64 << 10;
    if bytes <= SMALL_TEXTS { texts } else { SMALL_TEXTS * texts / bytes }
}
