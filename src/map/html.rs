//! The map as one HTML page: no script, nothing from the network, every name escaped, at most [`MOST_BYTES`].

mod event;

use super::{MapData, MapFinding, MapNode, MapWorkload, StorageMap, WhatIf};
use crate::model::{Brief, Durability, ObjectRef};
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};

/// The most bytes that a page has, however large the cluster is.
pub const MOST_BYTES: usize = 3_000_000;
/// What the parts of the page may have of it. What all events say shares the first.
const EVENTS: usize = 900_000;
const WORKLOADS: usize = 1_000_000;
const NODES: usize = 500_000;
const VOLUMES: usize = 250_000;
const FINDINGS: usize = 150_000;
/// How many names stand in one list.
const MOST_NAMES: usize = 40;

const STYLE: &str = include_str!("html/style.css");
const SCALE: [Durability; 6] = [
    Durability::Container,
    Durability::Memory,
    Durability::Pod,
    Durability::Node,
    Durability::Claim,
    Durability::Volume,
];

/// The page. `source` says what the map was made of.
pub fn html(map: &StorageMap, events: &[WhatIf], source: &str) -> String {
    let mut page = String::with_capacity(64 << 10);
    page.push_str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    page.push_str("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Storage map</title>\n<style>");
    page.push_str(STYLE);
    page.push_str("</style></head><body>\n");
    head(&mut page, map, source);
    let mut part = Part::new(EVENTS);
    for predicted in events {
        event::what_if(&mut part, predicted);
    }
    page.push_str(&part.end("predictions"));
    for (title, text) in [
        ("Workloads", workloads(map)),
        ("Nodes", nodes(map)),
        ("Volumes", volumes(map)),
        ("Findings in claims, volumes and classes", findings(map)),
    ] {
        if !text.is_empty() {
            let _ = writeln!(page, "<section><h2>{title}</h2>\n{text}</section>");
        }
    }
    page.push_str("</body></html>\n");
    page
}

/// A text from a cluster: escaped, of bounded length, without characters that change how others are shown.
struct Text<T>(T);

impl<T: fmt::Display> fmt::Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in Brief(&self.0).to_string().chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {
                    write!(f, "\\u{{{:x}}}", u32::from(c))?;
                }
                c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A part of the page that takes no more than its share: what does not fit is counted.
struct Part {
    text: String,
    left: usize,
    more: usize,
}

impl Part {
    fn new(left: usize) -> Self {
        Self { text: String::new(), left, more: 0 }
    }

    /// Adds an entry as a whole, or counts it.
    fn add(&mut self, entry: &str) {
        match self.left.checked_sub(entry.len()) {
            Some(left) if self.more == 0 => {
                self.left = left;
                self.text.push_str(entry);
            }
            _ => self.more += 1,
        }
    }

    fn end(mut self, what: &str) -> String {
        if self.more > 0 {
            let _ = writeln!(
                self.text,
                "<p class=\"soft\">{} more {what} are not shown: <code>-o json</code> has all.</p>",
                self.more
            );
        }
        self.text
    }
}

fn badge(class: &str, word: &str) -> String {
    format!("<b class=\"d {class}\">{word}</b>")
}

/// The word of the scale, or both ends of what is possible.
fn durability(place: &MapData) -> String {
    if place.durability == place.at_most {
        return badge(place.durability.as_str(), place.durability.as_str());
    }
    badge("range", &format!("{} to {}", place.durability, place.at_most))
}

/// A list of names, of which the first are shown.
fn names<'n>(names: impl ExactSizeIterator<Item = &'n String>) -> String {
    let count = names.len();
    let mut text = String::new();
    for (at, name) in names.take(MOST_NAMES).enumerate() {
        let comma = if at > 0 { ", " } else { "" };
        let _ = write!(text, "{comma}{}", Text(name));
    }
    if count > MOST_NAMES {
        let _ = write!(text, " and {} more", count - MOST_NAMES);
    }
    text
}

/// A size in bytes as people read it.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    match tenths % 10 {
        0 => format!("{} {name}", tenths / 10),
        tenth => format!("{}.{tenth} {name}", tenths / 10),
    }
}

/// A number with its noun.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn head(page: &mut String, map: &StorageMap, source: &str) {
    let pods: usize = map.workloads.iter().map(|workload| workload.pods.len()).sum();
    let _ = writeln!(
        page,
        "<h1>Storage map</h1>\n<p class=\"soft\">{}: {}, {}, {}, {}, {}.</p>",
        Text(source),
        counted(map.nodes.len(), "node"),
        counted(map.volumes.len(), "volume"),
        counted(map.claims.len(), "claim"),
        counted(map.workloads.len(), "workload"),
        counted(pods, "pod"),
    );
    page.push_str("<table><tr><th>Durability</th><th>The data is lost when</th><th>Workloads with data there</th></tr>\n");
    for word in SCALE {
        let has = |workload: &&MapWorkload| {
            workload.data.iter().any(|place| place.data_of.is_some() && place.durability == word)
        };
        let count = map.workloads.iter().filter(has).count();
        let badge = badge(word.as_str(), word.as_str());
        let _ = writeln!(page, "<tr><td>{badge}</td><td>{}</td><td>{count}</td></tr>", word.lost_when());
    }
    page.push_str("</table>\n");
    if !map.notes.is_empty() {
        page.push_str("<ul>");
        for note in map.notes.iter().take(MOST_NAMES) {
            let _ = writeln!(page, "<li>{}</li>", Text(note));
        }
        page.push_str("</ul>\n");
    }
}

impl Part {
    fn end_in_table(self, what: &str, columns: usize) -> String {
        let more = self.more;
        let mut text = self.text;
        if more > 0 {
            let _ = writeln!(
                text,
                "<tr><td colspan=\"{columns}\" class=\"soft\">{more} more {what} are not shown: <code>-o json</code> has all.</td></tr>"
            );
        }
        text
    }
}

fn name_of(object: Option<&ObjectRef>) -> String {
    object.map(ToString::to_string).unwrap_or_default()
}

/// What makes workloads alike: all that a card says but their names and pods.
type Alike<'m> = (&'m str, Vec<MapData>, &'m [MapFinding], bool);

fn alike(workload: &MapWorkload) -> String {
    let places: Vec<MapData> = workload
        .data
        .iter()
        .cloned()
        .map(|place| match place.kind {
            // Claims have names of their own.
            super::Backing::Claim => MapData { backing: "claim".to_owned(), ..place },
            _ => place,
        })
        .collect();
    let key: Alike<'_> =
        (&workload.object.kind, places, &workload.findings, workload.pods.iter().any(|pod| pod.exists));
    format!("{key:?}")
}

fn workloads(map: &StorageMap) -> String {
    let mut order: Vec<String> = Vec::new();
    let mut groups: HashMap<String, Vec<&MapWorkload>> = HashMap::new();
    for workload in &map.workloads {
        let key = alike(workload);
        let group = groups.entry(key.clone()).or_default();
        if group.is_empty() {
            order.push(key);
        }
        group.push(workload);
    }
    let mut part = Part::new(WORKLOADS);
    for key in order {
        if let Some(group) = groups.get(&key) {
            part.add(&card(group));
        }
    }
    part.end("groups of workloads")
}

/// One card for workloads that are alike.
fn card(group: &[&MapWorkload]) -> String {
    let Some(first) = group.first() else { return String::new() };
    let mut text = format!("<div class=\"card\"><h3>{}", Text(&first.object));
    if group.len() > 1 {
        let _ = write!(text, " and {} alike", group.len() - 1);
    }
    text.push_str("</h3>\n");
    if first.data.is_empty() {
        text.push_str(
            "<p class=\"soft\">mounts nothing that it can write to, and is not known to keep data</p>\n",
        );
    } else {
        text.push_str("<table>\n");
        for place in &first.data {
            let whose = match (&place.data_of, place.certain) {
                (Some(name), true) => format!("data of <b>{}</b>", Text(name)),
                (Some(name), false) => format!("perhaps data of <b>{}</b>", Text(name)),
                (None, _) => "<span class=\"soft\">not known to be data</span>".to_owned(),
            };
            let _ = writeln!(
                text,
                "<tr><td>{}</td><td>{whose}</td><td>{}</td><td><code>{}</code></td></tr>",
                durability(place),
                Text(&place.backing),
                names(place.paths.iter()),
            );
        }
        text.push_str("</table>\n");
    }
    for finding in &first.findings {
        text.push_str(&finding_line(finding));
    }
    if group.len() > 1 {
        let others: Vec<String> = group.iter().map(|workload| workload.object.to_string()).collect();
        let _ = writeln!(
            text,
            "<details><summary>{} workloads</summary><p>{}</p></details>",
            group.len(),
            names(others.iter())
        );
    }
    let mut by_node: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    let pods: usize = group.iter().map(|workload| workload.pods.len()).sum();
    for pod in group.iter().flat_map(|workload| &workload.pods) {
        let place =
            pod.node.as_deref().unwrap_or(if pod.exists { "no node yet" } else { "not in the input" });
        by_node.entry(place).or_default().push(&pod.name);
    }
    let more: i64 = group.iter().map(|workload| workload.more_pods).fold(0, i64::saturating_add);
    if pods > 0 {
        let _ = write!(
            text,
            "<details><summary>{} on {}</summary><ul>",
            counted(pods, "pod"),
            counted(by_node.len(), "node")
        );
        let count = by_node.len();
        for (node, pods) in by_node.into_iter().take(MOST_NAMES) {
            let _ = write!(
                text,
                "<li>{}: {}</li>",
                Text(node),
                names(pods.into_iter().take(MOST_NAMES).collect::<Vec<_>>().into_iter())
            );
        }
        if count > MOST_NAMES {
            let _ = write!(text, "<li>{} more nodes</li>", count - MOST_NAMES);
        }
        text.push_str("</ul></details>\n");
    }
    if more > 0 {
        let _ = writeln!(text, "<p class=\"soft\">{more} more pods are to come</p>");
    }
    text.push_str("</div>\n");
    text
}

fn finding_line(finding: &MapFinding) -> String {
    let word = finding.action.as_str();
    let excused =
        finding.excused.as_ref().map(|why| format!(" <span class=\"soft\">(excused: {})</span>", Text(why)));
    format!(
        "<p>{} {}: {}{}</p>\n",
        badge(word, word),
        Text(finding.rule),
        Text(&finding.message),
        excused.unwrap_or_default()
    )
}

fn nodes(map: &StorageMap) -> String {
    let mut counts: HashMap<&str, (usize, BTreeMap<Durability, usize>)> = HashMap::new();
    for workload in &map.workloads {
        for pod in &workload.pods {
            let Some(node) = &pod.node else { continue };
            let (pods, data) = counts.entry(node).or_default();
            *pods += 1;
            for place in workload.data.iter().filter(|place| place.data_of.is_some()) {
                *data.entry(place.durability).or_default() += 1;
            }
        }
    }
    let mut volumes: HashMap<&str, Vec<String>> = HashMap::new();
    for volume in map.volumes.iter().filter(|volume| volume.local) {
        for node in volume.nodes.iter().flatten() {
            let of_claim = volume.claim.as_ref().map(|claim| format!(" of {claim}"));
            let state = volume.orphan.map(|state| format!(" ({state})")).unwrap_or_default();
            let words = format!(
                "{}{} {} {}{state}",
                volume.name,
                of_claim.unwrap_or_default(),
                volume.size.as_deref().unwrap_or_default(),
                volume.kind
            );
            volumes.entry(node).or_default().push(words);
        }
    }
    let mut part = Part::new(NODES);
    let mut empty = Vec::new();
    for node in &map.nodes {
        let (counted, local) = (counts.get(node.name.as_str()), volumes.get(node.name.as_str()));
        if counted.is_none() && local.is_none() && node.bases.is_empty() && node.exists {
            empty.push(node.name.clone());
            continue;
        }
        part.add(&node_card(node, counted, local.map_or(&[][..], Vec::as_slice)));
    }
    if !empty.is_empty() {
        part.add(&format!(
            "<p class=\"card\">{} without pods and volumes: {}</p>\n",
            counted(empty.len(), "node"),
            names(empty.iter())
        ));
    }
    part.end("nodes")
}

fn node_card(
    node: &MapNode,
    counts: Option<&(usize, BTreeMap<Durability, usize>)>,
    volumes: &[String],
) -> String {
    let mut text = format!("<div class=\"card\"><h3>{}", Text(&node.name));
    if let Some(zone) = &node.zone {
        let _ = write!(text, " <span class=\"soft\">zone {}</span>", Text(zone));
    }
    let states = [
        (!node.exists, "no such Node object"),
        (node.exists && !node.ready, "not ready"),
        (node.cordoned, "takes no new pods"),
    ];
    for (_, word) in states.into_iter().filter(|(holds, _)| *holds) {
        let _ = write!(text, " {}", badge("range", word));
    }
    text.push_str("</h3>\n");
    if let Some((pods, data)) = counts {
        let _ = write!(text, "<p>{}; data: ", counted(*pods, "pod"));
        for (word, count) in data {
            let _ = write!(text, "{} {count} ", badge(word.as_str(), word.as_str()));
        }
        text.push_str(if data.is_empty() { "none known</p>\n" } else { "</p>\n" });
    }
    for base in &node.bases {
        let bytes = |bytes: i64| size(u64::try_from(bytes).unwrap_or_default());
        let _ = writeln!(
            text,
            "<p>disk <code>{}</code> {}: {} of {} can be allocated{}</p>",
            Text(&base.path),
            Text(&base.filesystem),
            bytes(base.available_bytes),
            bytes(base.capacity_bytes),
            if base.usable { "" } else { "; it cannot be used" },
        );
    }
    if !volumes.is_empty() {
        let _ = writeln!(
            text,
            "<p>{} on its disks: {}</p>",
            counted(volumes.len(), "volume"),
            names(volumes.iter())
        );
    }
    text.push_str("</div>\n");
    text
}

fn volumes(map: &StorageMap) -> String {
    let mut part = Part::new(VOLUMES);
    let mut rest: Vec<_> = map
        .volumes
        .iter()
        .filter(|volume| !volume.local || volume.nodes.is_none() || volume.orphan.is_some())
        .collect();
    rest.sort_by_key(|volume| (volume.orphan != Some("released"), volume.orphan.is_none()));
    if rest.is_empty() {
        return String::new();
    }
    for volume in rest {
        let state = match (volume.orphan, &volume.claim) {
            (Some("released"), Some(claim)) => {
                format!("{} its claim {} has gone", badge("range", "released"), Text(claim))
            }
            (Some(word), _) => badge("reach", word),
            (None, Some(claim)) => format!("claim {}", Text(claim)),
            (None, None) => String::new(),
        };
        let nodes = volume.nodes.as_ref().map_or_else(|| "any node".to_owned(), |nodes| names(nodes.iter()));
        let policy = if volume.reclaim_policy == "Retain" { Durability::Volume } else { Durability::Claim };
        part.add(&format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{state}</td><td>{nodes}</td></tr>\n",
            badge(policy.as_str(), policy.as_str()),
            Text(&volume.name),
            Text(volume.size.as_deref().unwrap_or("-")),
            Text(&volume.kind),
        ));
    }
    format!(
        "<p class=\"soft\">Those outside the nodes, and those that no claim uses.</p><div class=\"card\"><table><tr><th>Durability</th><th>Volume</th><th>Size</th><th>Kind</th><th>State</th><th>Nodes</th></tr>\n{}</table></div>\n",
        part.end_in_table("volumes", 6)
    )
}

fn findings(map: &StorageMap) -> String {
    let mut part = Part::new(FINDINGS);
    for found in &map.findings {
        part.add(&format!(
            "<div class=\"card\"><h3>{}</h3>{}</div>\n",
            Text(&found.object),
            finding_line(&found.finding)
        ));
    }
    part.end("findings")
}
