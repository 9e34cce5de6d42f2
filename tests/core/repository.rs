//! What the repository promises of itself: its commands, its generated pages, its links, its pure core.

use crate::support;
use crate::support::run::root;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::successors;
use std::path::Path;
use std::process::Command;

fn read(path: &str) -> String {
    std::fs::read_to_string(root(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The lines of the ```sh blocks of a Markdown text.
fn shell_lines(text: &str) -> Vec<&str> {
    let blocks = text.split("```sh\n").skip(1);
    blocks.flat_map(|block| block.split("```").next().unwrap().lines()).collect()
}

#[test]
fn the_readme_has_two_commands_and_ci_runs_both() {
    let readme = read("README.md");
    let commands = shell_lines(&readme);
    assert_eq!(commands.len(), 2, "{commands:?}");
    let script = read(".ci/run");
    for command in commands {
        let runs = |line: &str| {
            line == command || line.strip_prefix(command).is_some_and(|rest| rest.starts_with(" |"))
        };
        assert!(script.lines().any(runs), ".ci/run does not run {command:?}");
    }
}

#[test]
fn the_readme_shows_what_volgate_says() {
    let readme = read("README.md");
    let shown = readme.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let (command, shown) = shown.split_once('\n').unwrap();
    let file = command.strip_prefix("$ volgate check ").unwrap();
    let set = support::run::baseline_and(&[]);
    let inputs = [support::run::input(file)];
    let run = volgate::check::Run::new(&set, support::run::TODAY);
    let report = run.check(&inputs);
    let said = format!(
        "{}no --policy given: the built-in baseline is used\n{}\n",
        volgate::report::human(&report, &inputs, &volgate::report::Options::default()),
        volgate::report::summary_line(&report, false)
    );
    assert_eq!(shown, said);
}

#[test]
fn the_rules_page_is_fresh() {
    let page = volgate::report::rules_markdown();
    if std::env::var("UPDATE").is_ok_and(|value| value == "1") {
        std::fs::write(root("docs/rules.md"), &page).unwrap();
    }
    assert_eq!(
        read("docs/rules.md"),
        page,
        "docs/rules.md is not fresh: UPDATE=1 cargo test --test core repository"
    );
}

#[test]
fn every_rule_has_a_manual_page_with_the_same_headings() {
    const HEADINGS: [&str; 5] =
        ["WHY IT MATTERS", "WHAT IT CHECKS", "EXAMPLE", "WHAT IT DOES NOT CHECK", "PARAMETERS"];
    for rule in volgate::rules::all() {
        let page = volgate::report::rule_manual(rule);
        let has: Vec<&str> = page.lines().filter(|line| HEADINGS.contains(line)).collect();
        assert_eq!(has, HEADINGS, "{}:\n{page}", rule.id);
    }
}

#[test]
fn every_link_leads_somewhere() {
    let pages = files(".", ".md");
    assert!(pages.iter().any(|page| page == "./docs/design/README.md"), "{pages:?}");
    for page in &pages {
        for link in read(page).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = Path::new(page).parent().unwrap();
            let there = if target.is_empty() { Path::new(page).to_owned() } else { folder.join(target) };
            assert!(root(there.to_str().unwrap()).exists(), "{page}: {link}");
            if !anchor.is_empty() {
                let anchors = anchors(&read(there.to_str().unwrap()));
                assert!(anchors.iter().any(|known| known == anchor), "{page}: {link}: {anchors:?}");
            }
        }
    }
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let texts = headings.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    texts
        .map(|text| {
            let kept = text.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn the_core_is_pure() {
    let tree =
        ["tree", "--locked", "--no-default-features", "--edges=normal", "--prefix=none", "--format={lib}"];
    let output = Command::new(env!("CARGO")).args(tree).current_dir(root("")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let crates: Vec<&str> =
        tree.lines().map(|line| line.split_whitespace().next().unwrap_or_default()).collect();
    assert!(crates.contains(&"serde_json"), "{tree}");
    for io in [
        "tokio",
        "kube",
        "kube_client",
        "k8s_openapi",
        "axum",
        "hyper",
        "rustls",
        "mio",
        "tracing_subscriber",
    ] {
        assert!(!crates.contains(&io), "the core depends on {io}: cargo tree --no-default-features -i {io}");
    }
}

/// The files below a folder whose names end in `suffix`, as paths from the root. What is hidden or built is left out.
fn files(folder: &str, suffix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{folder}/{name}");
        if entry.file_type().unwrap().is_dir() {
            if !name.starts_with('.') && name != "target" {
                found.extend(files(&path, suffix));
            }
        } else if name.ends_with(suffix) {
            found.push(path);
        }
    }
    found
}

/// The rooms, from the lowest; those of one line stand beside each other. Code takes names from lines below its own alone.
const ROOMS: [&[&str]; 19] = [
    &["model", "failpoint"],
    &["schema", "json", "source", "verdict"],
    &["facts", "patch"],
    &["catalog", "lookup", "cel"],
    &["storage"],
    &["rule"],
    &["rules"],
    &["policy"],
    &["crd", "engine"],
    &["daemon"],
    &["admission", "provisioner"],
    &["check"],
    &["explain", "export", "map"],
    &["report"],
    &["tls"],
    &["server"],
    &["cluster"],
    &["agent"],
    &["cli"],
];

#[test]
fn no_arrow_between_rooms_points_up() {
    let rank = |room: &str| ROOMS.iter().position(|line| line.contains(&room));
    let mut upward = Vec::new();
    let mut arrows = 0;
    for file in files("src", ".rs") {
        let within = file.strip_prefix("src/").unwrap();
        let room = within.split(['/', '.']).next().unwrap();
        // Tests look down on all of it.
        if within.ends_with("tests.rs") || within.contains("/tests/") || ["lib", "main"].contains(&room) {
            continue;
        }
        let text = read(&file);
        let code = without_tests(&text);
        let own = rank(room).unwrap_or_else(|| panic!("{file}: the room {room:?} has no place in ROOMS"));
        for path in code.split("crate::").skip(1) {
            let names: Vec<&str> = match path.strip_prefix('{') {
                Some(list) => list
                    .split('}')
                    .next()
                    .unwrap()
                    .split(',')
                    .map(|name| name.trim().split(':').next().unwrap())
                    .collect(),
                None => vec![path.split(|c: char| !c.is_ascii_lowercase() && c != '_').next().unwrap()],
            };
            for name in names.into_iter().filter(|name| *name != room) {
                arrows += 1;
                if rank(name).is_none_or(|other| other >= own) {
                    upward.push(format!("{file}: crate::{name}"));
                }
            }
        }
    }
    assert!(arrows > 300, "only {arrows} arrows were seen");
    assert!(
        upward.is_empty(),
        "these point up, or to a room that has no place in ROOMS:\n{}",
        upward.join("\n")
    );
}

/// Files of one room that need each other in a circle. Take a file out when it no longer is in one; nothing is ever added.
const CIRCLES: &[&[&str]] = &[
    // One type: a node may be of a layer, and a layer lies over a node.
    &["json/layer.rs", "json/node.rs"],
];

#[test]
fn no_arrows_within_a_room_make_a_circle() {
    let code = code_of_src();
    let modules: BTreeMap<String, &str> =
        code.iter().map(|(file, _)| (module_of(file), file.as_str())).collect();
    let mut arrows: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (file, text) in &code {
        let own = module_of(file);
        for path in paths(text, &own) {
            let mut above = successors(Some(path.as_str()), |path| Some(path.rsplit_once("::")?.0));
            let Some(module) = above.find(|path| modules.contains_key(*path)) else { continue };
            // A module and what it is made of are one.
            let is_within =
                |inner: &str, outer: &str| inner == outer || inner.starts_with(&format!("{outer}::"));
            let room = |module: &str| module.split("::").next().unwrap().to_owned();
            if room(module) == room(&own) && !is_within(module, &own) && !is_within(&own, module) {
                arrows.entry(file).or_default().insert(modules[module]);
            }
        }
    }
    let count: usize = arrows.values().map(BTreeSet::len).sum();
    assert!(count > 500, "only {count} arrows were seen");
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        arrows.keys().map(|file| (*file, reached_from(file, &arrows))).collect();
    let circle = |file: &&str| -> Vec<&str> {
        let back = |other: &&str| reached.get(other).is_some_and(|reached| reached.contains(file));
        reached[file].iter().copied().filter(back).collect()
    };
    let found: BTreeSet<Vec<&str>> = arrows.keys().map(circle).filter(|circle| !circle.is_empty()).collect();
    let known: BTreeSet<Vec<&str>> = CIRCLES.iter().map(|circle| circle.to_vec()).collect();
    let new: Vec<_> = found.difference(&known).collect();
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "circles that CIRCLES does not have (move what both need to a file of its own, below both): {new:#?}\n\
         circles of CIRCLES that are no longer so, or smaller (correct the list): {gone:#?}"
    );
}

/// The files of `src` with their code, without tests and comments.
fn code_of_src() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for file in files("src", ".rs") {
        let within = file.strip_prefix("src/").unwrap();
        if within.ends_with("tests.rs") || within.contains("/tests/") {
            continue;
        }
        let text = read(&file);
        let code = without_tests(&text).lines().filter(|line| !line.trim_start().starts_with("//"));
        all.push((within.to_owned(), code.collect::<Vec<_>>().join("\n")));
    }
    all
}

/// The Rust code of a file, without its tests.
fn without_tests(text: &str) -> &str {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
    code.split("#[cfg(test)]\npub(crate) mod ").next().unwrap()
}

/// The path of a file's module from the crate on.
fn module_of(file: &str) -> String {
    let module = file.strip_suffix(".rs").unwrap();
    module.strip_suffix("/mod").unwrap_or(module).replace('/', "::")
}

/// All paths in the code of a module that begin with `crate` or `super`, from the crate on.
fn paths(code: &str, module: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        path_at(&code[at + "crate::".len()..], "", &mut found);
    }
    for (at, _) in code.match_indices("super::").filter(|(at, _)| !code[..*at].ends_with("super::")) {
        let (mut rest, mut above) = (&code[at..], module);
        while let Some(inner) = rest.strip_prefix("super::") {
            (rest, above) = (inner, above.rsplit_once("::").map_or("", |(above, _)| above));
        }
        path_at(rest, above, &mut found);
    }
    found
}

/// Reads a path behind `above`, and all of a list in braces: `a::{b, c::d}` is `a::b` and `a::c::d`. Gives what stands behind it.
fn path_at<'c>(code: &'c str, above: &str, found: &mut Vec<String>) -> &'c str {
    if let Some(mut rest) = code.strip_prefix('{') {
        loop {
            rest = path_at(rest.trim_start(), above, found);
            let Some(end) = rest.find([',', '}']) else { return rest };
            let (closes, behind) = (rest[end..].starts_with('}'), &rest[end + 1..]);
            rest = behind.trim_start();
            if closes || rest.starts_with('}') {
                return rest.strip_prefix('}').filter(|_| !closes).unwrap_or(rest);
            }
        }
    }
    let end = code.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(code.len());
    let (name, rest) = code.split_at(end);
    let path = if above.is_empty() { name.to_owned() } else { format!("{above}::{name}") };
    match rest.strip_prefix("::") {
        Some(inner) if !name.is_empty() => path_at(inner, &path, found),
        _ => {
            found.push(path);
            rest
        }
    }
}

/// All files that a file needs, itself among them where it is in a circle.
fn reached_from<'f>(file: &'f str, arrows: &BTreeMap<&'f str, BTreeSet<&'f str>>) -> BTreeSet<&'f str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![file];
    while let Some(next) = open.pop() {
        let needed = arrows.get(next).into_iter().flatten().copied();
        open.extend(needed.filter(|needed| reached.insert(*needed)));
    }
    reached
}

/// What stands between parentheses, from behind the first one to the one that closes it, with the texts (`"…"`) that stand in no
/// other parentheses within.
fn texts_of_call(code: &str) -> Vec<&str> {
    let (mut depth, mut texts, mut from) = (1, Vec::new(), None);
    let mut signs = code.char_indices();
    while let Some((at, sign)) = signs.next() {
        match (sign, from) {
            ('\\', Some(_)) => drop(signs.next()),
            ('"', Some(start)) => {
                if depth == 1 {
                    texts.push(&code[start..at]);
                }
                from = None;
            }
            ('"', None) => from = Some(at + 1),
            ('(', None) => depth += 1,
            (')', None) if depth == 1 => break,
            (')', None) => depth -= 1,
            _ => {}
        }
    }
    texts
}

#[test]
fn log_messages_are_constant() {
    let mut calls = 0;
    let mut varied = Vec::new();
    for file in files("src", ".rs").into_iter().filter(|file| !file.ends_with("tests.rs")) {
        let text = read(&file);
        let code = without_tests(&text);
        for level in ["error!(", "warn!(", "info!(", "debug!(", "trace!("] {
            for (at, _) in code.match_indices(level) {
                let texts = texts_of_call(&code[at + level.len()..]);
                calls += 1;
                if texts.is_empty() || texts.iter().any(|text| text.contains('{')) {
                    let line = code[..at].lines().count();
                    varied.push(format!("{file}:{line}: {texts:?}"));
                }
            }
        }
    }
    assert!(calls > 90, "only {calls} calls were seen");
    assert!(
        varied.is_empty(),
        "what varies in a line of the log is a field (error = %why), and no part of its message:\n{}",
        varied.join("\n")
    );
}

/// How many lines a file may have, without its tests.
const MOST_LINES: usize = 500;

#[test]
fn no_file_is_too_long() {
    let is_test = |file: &str| file.ends_with("tests.rs") || file.contains("/tests/");
    let mut longer = Vec::new();
    for file in files("src", ".rs").into_iter().filter(|file| !is_test(file)) {
        if without_tests(&read(&file)).lines().count() > MOST_LINES {
            longer.push(file);
        }
    }
    assert_eq!(longer, [""; 0], "files over {MOST_LINES} lines without their tests");
}
