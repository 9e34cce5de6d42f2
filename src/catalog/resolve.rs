//! What a container of a catalogued image keeps, and where.

use super::argv::Argv;
use super::budget::{Budget, Excess};
use super::condition::{Said, Truth, all_hold, any_holds};
use super::configuration::Configuration;
use super::container::ContainerView;
use super::entry::{CacheWhen, ConfigFile, DataDir, Entry, StatefulWhen, Variant};
use super::image::ImageRef;
use super::links::follow;
use super::places::Places;
use super::settings::Settings;
use super::start::{Programs, Runs, Start, runs};
use super::statefulness::{CacheDoubt, Keeps, PlaceDoubt, Statefulness, Unplaced, Unsure};
use crate::model::below;

/// An entry with what its variants change for one container.
struct Chosen<'a> {
    data: &'a [DataDir],
    image_volumes: &'a [String],
    config_files: &'a [ConfigFile],
    stateful_when: Option<&'a StatefulWhen>,
    cache_when: &'a [CacheWhen],
}

/// Why a product keeps nothing whose directory is named by another service's URL.
const ELSEWHERE: &str = "its data is in the service that it is given";

/// What the catalog lists an image as.
#[derive(Clone, Copy)]
pub(super) struct Listing<'a, 'v> {
    pub(super) entry: &'a Entry,
    /// The entry's variants that are about the image.
    pub(super) variants: &'v [usize],
    /// Whether somebody publishes it of whose images the layout is not known.
    pub(super) foreign: bool,
    /// Whether the entry is a policy's own.
    pub(super) extension: bool,
}

/// Evaluates an entry for a container.
pub(super) fn resolve<'a>(
    listing: &Listing<'a, '_>,
    image: &ImageRef<'_>,
    container: &ContainerView<'_>,
    budget: &mut Budget,
) -> Statefulness<'a> {
    let entry = listing.entry;
    if !entry.stateful {
        return Statefulness::NotListed;
    }
    if let Some(why) = &entry.keeps_nothing {
        return Statefulness::Cache { product: &entry.product, why, always: true, lossy: false };
    }
    resolve_within(listing, image, container, budget)
        .unwrap_or_else(|excess| unplaced(entry, Unplaced::Excess(excess)))
}

fn unplaced<'a>(entry: &'a Entry, why: Unplaced<'a>) -> Statefulness<'a> {
    Statefulness::Unplaced { product: &entry.product, why, dispensable: entry.dispensable.as_deref() }
}

fn resolve_within<'a>(
    listing: &Listing<'a, '_>,
    image: &ImageRef<'_>,
    container: &ContainerView<'_>,
    budget: &mut Budget,
) -> Result<Statefulness<'a>, Excess> {
    let &Listing { entry, variants, foreign, extension } = listing;
    let product = entry.product.as_str();
    let argv = Argv::new(container, &entry.args_env, budget)?;
    let start = match runs(container, &argv, Programs::of(Some(entry), extension)) {
        Runs::Client(program) => return Ok(Statefulness::Client { product, program }),
        Runs::Start(start) => start,
    };
    let chosen = choose(entry, variants, image, &argv);
    let working_dir = container.working_dir.or(entry.working_dir.as_deref());
    let settings =
        Settings::open((chosen.config_files, chosen.data), &argv, container.configuration, working_dir);
    let said = Said { argv: &argv, settings: &settings };
    let (mut doubt, mut unsure) = (None, false);
    if let Some(when) = chosen.stateful_when.filter(|when| !when.any.is_empty()) {
        match any_holds(&when.any, &said) {
            // Such a product most often keeps nothing, and a file that is not known makes none of it a database.
            Truth::No | Truth::Perhaps(Unsure::File(_)) => {
                let bare = when.bare.as_deref().filter(|_| argv.words.is_empty());
                let (why, lossy) = (bare.unwrap_or(&when.otherwise), bare.is_some());
                return Ok(Statefulness::Cache { product, why, always: false, lossy });
            }
            Truth::Perhaps(by) => {
                unsure = true;
                doubt = Some(CacheDoubt { by, why: &when.otherwise, keeps: Keeps::Nothing });
            }
            Truth::Yes => {}
        }
    }
    let mut copy = None;
    for cache in chosen.cache_when {
        let CacheWhen { why, partly, .. } = cache;
        let keeps = if *partly { Keeps::Little } else { Keeps::Nothing };
        match all_hold(&cache.all, &said) {
            Truth::No => {}
            Truth::Perhaps(Unsure::File(_)) if cache.rare => {}
            Truth::Perhaps(by) => doubt = doubt.or(Some(CacheDoubt { by, why, keeps })),
            Truth::Yes if *partly => copy = copy.or(Some(why)),
            Truth::Yes => {
                let (lossy, always) = (cache.lossy, entry.elsewhere && !cache.lossy);
                return Ok(Statefulness::Cache { product, why, always, lossy });
            }
        }
    }
    let is_copy = |copy: &&CacheWhen| all_hold(&copy.all, &said) == Truth::Yes;
    let copy = copy.or_else(|| entry.copy_when.iter().find(is_copy).map(|copy| &copy.why));
    let configured = (!settings.are_known() && any_holds(&entry.uncertain_when, &said) != Truth::No)
        || is_configured_unread(&chosen, container.configuration);
    let mut found = Places {
        argv: &argv,
        settings: &settings,
        configuration: container.configuration,
        configured,
        working_dir,
        budget,
        all: Vec::with_capacity(chosen.data.len()),
        elsewhere: false,
        nowhere: None,
        open: None,
    };
    let mut empty = None;
    for dir in chosen.data {
        let mut perhaps = None;
        if let Some(when) = &dir.when {
            let why = &when.otherwise;
            match (all_hold(&when.all, &said), any_holds(&when.unless, &said)) {
                (Truth::No, _) | (_, Truth::Yes) => {
                    empty = Some(why);
                    continue;
                }
                (Truth::Perhaps(by), _) | (_, Truth::Perhaps(by)) => {
                    perhaps = Some(CacheDoubt { by, why, keeps: Keeps::NothingThere });
                }
                (Truth::Yes, Truth::No) => {}
            }
        }
        let before = found.all.len();
        found.add_dir(dir)?;
        found.all.iter_mut().skip(before).for_each(|place| place.cache = perhaps);
    }
    let Places { all: mut data, elsewhere, nowhere, .. } = found;
    if let Some(name) = nowhere.filter(|_| data.is_empty()) {
        return Ok(unplaced(entry, Unplaced::Value(name)));
    }
    if elsewhere && data.is_empty() {
        return Ok(Statefulness::Cache { product, why: ELSEWHERE, always: true, lossy: false });
    }
    if let Some(why) = empty.filter(|_| data.is_empty()) {
        return Ok(Statefulness::Cache { product, why, always: false, lossy: false });
    }
    follow(&mut data, &entry.links, &argv);
    for place in &mut data {
        // Such a product most often keeps nothing: by a value that is not known it does only where a volume is ready for it.
        place.mounted_only |= unsure;
        if place.moved_by.is_none() {
            // A file that stands alone among the arguments is most often the product's configuration.
            let own = start == Start::Script && !container.command.is_empty();
            let by_script = own.then_some(PlaceDoubt::Script);
            place.doubt = place.doubt.or(foreign.then_some(PlaceDoubt::Publisher)).or(by_script);
        }
        place.image_volume = volume_over(chosen.image_volumes, &place.path);
    }
    Ok(Statefulness::Stateful {
        product,
        data,
        parts: &entry.parts,
        enough: &entry.enough,
        scratch: &entry.scratch,
        dispensable: entry.dispensable.as_deref(),
        copy: copy.map(String::as_str),
        cache: doubt,
        start,
    })
}

/// Whether a mount brings configuration of a format that the catalog does not model, and none is at the product's directories.
fn is_configured_unread(chosen: &Chosen<'_>, configuration: Option<&Configuration<'_>>) -> bool {
    let Some(known) = configuration.filter(|_| chosen.config_files.is_empty()) else { return false };
    let is_mounted = |dir: &DataDir| {
        let mount = dir.path.as_deref().and_then(|path| known.over(path));
        mount.is_some_and(|(mount, _)| mount.files.is_none())
    };
    known.configures() && !chosen.data.iter().any(is_mounted)
}

fn choose<'a>(entry: &'a Entry, variants: &[usize], image: &ImageRef<'_>, argv: &Argv<'_, '_>) -> Chosen<'a> {
    let (settings, mut unsure_layout) = (Settings::default(), false);
    // Which files a product reads follows from its variant, so that no variant follows from a file.
    let said = Said { argv, settings: &settings };
    let mut chosen = Chosen {
        data: &entry.data,
        image_volumes: &entry.image_volumes,
        config_files: &entry.config_files,
        stateful_when: entry.stateful_when.as_ref(),
        cache_when: &entry.cache_when,
    };
    for variant in variants.iter().filter_map(|index| entry.variants.get(*index)) {
        let tagged = |part: &String| image.tag.is_some_and(|tag| tag.contains(part.as_str()));
        if !variant.tag_contains.as_ref().is_none_or(tagged) || all_hold(&variant.when, &said) != Truth::Yes {
            continue;
        }
        match in_range(variant, image) {
            Some(true) => {}
            Some(false) => continue,
            None => {
                unsure_layout = true;
                continue;
            }
        }
        if let Some(data) = &variant.data {
            chosen.data = data;
        }
        if let Some(volumes) = &variant.image_volumes {
            chosen.image_volumes = volumes;
        }
        if let Some(files) = &variant.config_files {
            chosen.config_files = files;
        }
        if let Some(when) = &variant.stateful_when {
            chosen.stateful_when = Some(when);
        }
        if let Some(cache) = &variant.cache_when {
            chosen.cache_when = cache;
        }
    }
    // With the version unknown, which paths are volumes is unknown as well, and a wrong one would be a false alarm.
    if unsure_layout {
        chosen.image_volumes = &[];
    }
    chosen
}

/// Whether a variant is about a version; `None` when that cannot be said.
fn in_range(variant: &Variant, image: &ImageRef<'_>) -> Option<bool> {
    if variant.since.is_none() && variant.below.is_none() {
        return Some(true);
    }
    let major = image.major()?;
    Some(variant.since.is_none_or(|since| major >= since) && variant.below.is_none_or(|below| major < below))
}

fn volume_over<'a>(volumes: &'a [String], path: &str) -> Option<&'a str> {
    volumes
        .iter()
        .map(String::as_str)
        .filter(|volume| below(path, volume).is_some())
        .max_by_key(|volume| volume.len())
}
