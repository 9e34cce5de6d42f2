//! Whether a container keeps data, and where: the answer of the catalog.

use super::budget::Excess;
use super::container::Origin;
use super::start::Start;
use std::borrow::Cow;
use std::fmt;

/// Whether a container keeps data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statefulness<'a> {
    /// The catalog does not know the image, or an extension took it out.
    NotListed,
    /// The product is known, and set up so that it keeps nothing.
    Cache {
        /// The product's name.
        product: &'a str,
        /// Why it keeps nothing.
        why: &'a str,
        /// Whether no container of the image ever keeps anything, however it is set up.
        always: bool,
        /// Whether what is put into it is lost, as of a development server in memory.
        lossy: bool,
    },
    /// The image is known, but the container runs only clients of a server or plain tools.
    Client {
        /// The product's name.
        product: &'a str,
        /// What it runs.
        program: String,
    },
    /// The container keeps data.
    Stateful {
        /// The product's name.
        product: &'a str,
        /// Where it keeps them.
        data: Vec<DataPlace<'a>>,
        /// Directories beneath each of them that hold data when they are mounted apart.
        parts: &'a [String],
        /// Directories beneath each of them of which one that lasts is enough for a warning.
        enough: &'a [String],
        /// Writable paths that are not data.
        scratch: &'a [String],
        /// Why many run it without keeping the data; none where losing them is an accident.
        dispensable: Option<&'a str>,
        /// Why losing it does little harm: another server keeps the same, or what matters lies elsewhere.
        copy: Option<&'a str>,
        /// Set where a variable whose value is not known decides whether it keeps any data at all.
        cache: Option<CacheDoubt<'a>>,
        /// What the container starts.
        start: Start,
    },
    /// The container keeps data, and nothing is known of where.
    Unplaced {
        /// The product's name.
        product: &'a str,
        /// Why that is not known.
        why: Unplaced<'a>,
        /// As above.
        dispensable: Option<&'a str>,
    },
}

/// Why nothing is known of where the data lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unplaced<'a> {
    /// Finding it out would take too much.
    Excess(Excess),
    /// This argument, variable or key names the directory, and its value is not known.
    Value(Named<'a>),
}

/// A variable or a file that is not known and may make the product keep nothing, or little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheDoubt<'a> {
    /// What is not known.
    pub by: Unsure<'a>,
    /// Why the product would keep no more than that.
    pub why: &'a str,
    /// What it would keep.
    pub keeps: Keeps,
}

/// What a product keeps where little is left to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// Nothing at all.
    Nothing,
    /// Nothing in this directory.
    NothingThere,
    /// A few files.
    Little,
}

impl fmt::Display for Keeps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::NothingThere => "nothing there",
            Self::Little => "little",
        })
    }
}

/// What leaves a condition open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsure<'a> {
    /// The variable of this name, whose value is not known.
    Variable(&'a str),
    /// The configuration file of this name, whose content is not known.
    File(&'a str),
}

/// A directory with data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataPlace<'a> {
    /// The absolute path, without `.`, `..` and doubled slashes.
    pub path: Cow<'a, str>,
    /// What put it there; `None` when it is the default.
    pub moved_by: Option<MovedBy<'a>>,
    /// Set when the path is a guess: what may have moved the data elsewhere.
    pub doubt: Option<PlaceDoubt<'a>>,
    /// The VOLUME of the image in which the path lies. When no mount is at it or between it and the path, containerd
    /// mounts a fresh volume there, which dies with the container, even over a claim mounted at a parent.
    pub image_volume: Option<&'a str>,
    /// Whether nothing is to be said where no volume is mounted at it.
    pub mounted_only: bool,
    /// Set where a variable or a file that is not known decides whether it holds data.
    pub cache: Option<CacheDoubt<'a>>,
}

/// What may have moved a data directory from where it is guessed to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceDoubt<'a> {
    /// A configuration file.
    Configuration,
    /// An argument or a variable whose value is not known.
    Value(MovedBy<'a>),
    /// A variable that `envFrom` may bring.
    EnvFrom(&'a str),
    /// The image's publisher is none of those whose layout is known.
    Publisher,
    /// A script of one's own starts the product.
    Script,
    /// The path is relative, and the working directory is not known.
    WorkingDir,
}

/// What moved a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovedBy<'a> {
    /// By which name.
    pub named: Named<'a>,
    /// Where in the container it stands.
    pub origin: Origin,
}

/// The name by which something is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<'a> {
    /// The argument, the variable or the key as the catalog names it.
    pub name: &'a str,
    /// The configuration file of a key.
    pub file: Option<&'a str>,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file {
            Some(file) => write!(f, "{} in {file}", self.name),
            None => f.write_str(self.name),
        }
    }
}
