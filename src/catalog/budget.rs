//! What it may cost to find out where one container keeps its data.

use std::fmt;

use super::container::ContainerView;

/// What even the smallest container may need: bytes of filled-in text, and steps.
const FREE_BYTES: usize = 8 * 1024;
const FREE_STEPS: usize = 1024;

/// The most words, variables and references of one container. Linux starts no program with more than 2 MiB of
/// arguments and variables, nor with one longer than 128 KiB, and what people write is a thousandth of this.
const MOST_STEPS: usize = 1 << 16;

/// The most directories that one container may name: more disks than a server holds.
const MOST_PLACES: usize = 128;

/// How much text a vain search may read for one step.
const BYTES_A_STEP: usize = 4096;

/// What was used of the allowance of one container. Its size follows from the container's own, so that the cost of an
/// object follows from the object's: no text may stand for many times its length.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: Meter,
    steps: Meter,
    places: Meter,
}

#[derive(Debug)]
struct Meter {
    used: usize,
    most: usize,
}

/// What there is too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// More than this many bytes once the variables are filled in.
    Bytes(usize),
    /// More than this many words, variables and references.
    Steps(usize),
    /// More than this many directories.
    Places(usize),
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(most) => write!(f, "its variables and ranges fill in to more than {most} bytes"),
            Self::Steps(most) => {
                write!(f, "its command, arguments and variables have more than {most} words and references")
            }
            Self::Places(most) => write!(f, "more than {most} directories are named"),
        }
    }
}

impl Meter {
    fn take(&mut self, count: usize, excess: fn(usize) -> Excess) -> Result<(), Excess> {
        self.used = self.used.saturating_add(count);
        if self.used > self.most { Err(excess(self.most)) } else { Ok(()) }
    }
}

impl Budget {
    /// The allowance of a container.
    pub(super) fn of(container: &ContainerView<'_>) -> Self {
        // Each item counts for at least what its quotes and comma take.
        let texts = container.command.iter().chain(container.args).map(|text| text.len() + 3);
        let variables = container.env.iter().map(|(name, value)| name.len() + value.map_or(0, str::len) + 3);
        let input = texts.chain(variables).sum::<usize>() + container.working_dir.map_or(0, str::len);
        let of = |most| Meter { used: 0, most };
        Self {
            bytes: of(input.saturating_mul(4).saturating_add(FREE_BYTES)),
            steps: of(input.saturating_mul(2).saturating_add(FREE_STEPS).min(MOST_STEPS)),
            places: of(MOST_PLACES),
        }
    }

    /// A script that stands elsewhere counts as if it stood in the arguments.
    pub(super) fn grow(&mut self, bytes: usize) {
        self.bytes.most = self.bytes.most.saturating_add(bytes.saturating_mul(4));
        self.steps.most = self.steps.most.saturating_add(bytes.saturating_mul(2)).min(MOST_STEPS);
    }

    /// Text that is made of other text: a variable's value where it is referred to, a path.
    pub(super) fn bytes(&mut self, count: usize) -> Result<(), Excess> {
        self.bytes.take(count, Excess::Bytes)
    }

    /// Words, variables, references, ends of commands.
    pub(super) fn steps(&mut self, count: usize) -> Result<(), Excess> {
        self.steps.take(count, Excess::Steps)
    }

    /// A search through that much text that finds nothing.
    pub(super) fn vain_search(&mut self, bytes: usize) -> Result<(), Excess> {
        self.steps(1 + bytes / BYTES_A_STEP)
    }

    /// Directories.
    pub(super) fn places(&mut self, count: usize) -> Result<(), Excess> {
        self.places.take(count, Excess::Places)
    }

    /// Whether so many more directories would be too many.
    pub(super) fn has_places(&self, count: usize) -> Result<(), Excess> {
        let mut places = Meter { ..self.places };
        places.take(count, Excess::Places)
    }
}

#[cfg(test)]
impl Budget {
    /// Bytes, steps and places used so far.
    pub(super) fn used(&self) -> (usize, usize, usize) {
        (self.bytes.used, self.steps.used, self.places.used)
    }

    /// One that a test sets.
    pub(super) fn set(bytes: usize, steps: usize) -> Self {
        let of = |most| Meter { used: 0, most };
        Self { bytes: of(bytes), steps: of(steps), places: of(MOST_PLACES) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allowance_follows_from_the_input() {
        let small = Budget::of(&ContainerView { args: &["x"], ..ContainerView::default() });
        assert_eq!((small.bytes.most, small.steps.most), (FREE_BYTES + 16, FREE_STEPS + 8));
        let env = [("A", Some("b")), ("C", None)];
        let more =
            Budget::of(&ContainerView { env: &env, working_dir: Some("/w"), ..ContainerView::default() });
        assert_eq!(more.bytes.most, FREE_BYTES + 4 * (5 + 4 + 2));
        let long = "x".repeat(1 << 20);
        let large = Budget::of(&ContainerView { args: &[&long], ..ContainerView::default() });
        assert_eq!(large.steps.most, MOST_STEPS);
        assert!(large.bytes.most < 5 << 20);
    }

    #[test]
    fn what_is_beyond_it_is_refused_and_says_how_much_that_is() {
        let mut budget = Budget::set(10, 2);
        assert_eq!(budget.bytes(10), Ok(()));
        assert_eq!(budget.bytes(1), Err(Excess::Bytes(10)));
        assert_eq!(budget.steps(usize::MAX), Err(Excess::Steps(2)));
        assert_eq!(budget.steps(usize::MAX), Err(Excess::Steps(2)), "no overflow");
        assert_eq!(budget.has_places(MOST_PLACES), Ok(()));
        assert_eq!(budget.has_places(MOST_PLACES + 1), Err(Excess::Places(MOST_PLACES)));
        assert_eq!(budget.used().2, 0, "asked only");
        assert_eq!(Excess::Places(128).to_string(), "more than 128 directories are named");
    }
}
