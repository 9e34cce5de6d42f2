//! Assignments of a script that it may pass over: those in conditions, loops and functions.

use super::assigned::{CLOSING, OPENING};
use super::client::WRAPPERS;
use super::word::Word;

/// The indexes of the words that stand in a condition, a loop or a function and set a variable there, in their order.
pub(super) fn in_branches(words: &[Word<'_>], sets: impl Fn(&Word<'_>) -> bool) -> Vec<u32> {
    let (mut depth, mut head, mut found) = (0_usize, true, Vec::new());
    for (at, word) in (0..).zip(words) {
        if word.end {
            head = true;
        } else if head && OPENING.contains(&&*word.text) {
            depth += 1;
        } else if head && CLOSING.contains(&&*word.text) {
            depth = depth.saturating_sub(1);
        } else {
            head &= WRAPPERS.contains(&&*word.text);
        }
        if depth > 0 && sets(word) {
            found.push(at);
        }
    }
    found
}
