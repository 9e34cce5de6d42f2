//! What an event would do, as a part of the page.

use super::super::WhatIf;
use super::super::what_if::{LostData, PodGroup};
use super::{Part, Text, badge, counted, name_of, names, size};
use std::collections::BTreeMap;
use std::fmt::Write;

pub(super) fn what_if(part: &mut Part, event: &WhatIf) {
    let mut text =
        format!("<section><h2>What if {}</h2>\n<p>{}</p>\n<ul>\n", Text(&event.event), Text(&event.supposes));
    let count = |groups: &[PodGroup]| groups.iter().map(|group| group.pods.len()).sum::<usize>();
    let of_products = event.lost.iter().filter(|data| data.data_of.is_some()).count();
    let lines = [
        (
            badge("lost", "lost"),
            format!(
                "{}, {of_products} with data that must last; claims of up to {}",
                counted(event.lost.len(), "place"),
                size(event.lost_bytes)
            ),
        ),
        (badge("range", "may be lost"), counted(event.may_be_lost.len(), "place")),
        (badge("reach", "out of reach"), counted(event.out_of_reach.len(), "place")),
        (badge("stranded", "stranded Pending"), counted(count(&event.stranded), "pod")),
        (badge("empty", "comes back empty"), counted(count(&event.back_empty), "pod")),
        (badge("back", "comes back"), counted(count(&event.back), "pod")),
        (badge("gone", "not made again"), counted(count(&event.gone), "pod")),
        (badge("back", "not touched"), counted(event.untouched.len(), "workload")),
    ];
    for (badge, words) in lines {
        let _ = writeln!(text, "<li>{badge} {words}</li>");
    }
    text.push_str("</ul>\n");
    for note in &event.notes {
        let _ = writeln!(text, "<p class=\"soft\">{}</p>", Text(note));
    }
    text.push_str("</section>\n");
    part.add(&text);
    data_table(part, "lost", "Lost", &event.lost);
    data_table(part, "range", "May be lost", &event.may_be_lost);
    data_table(part, "reach", "Out of reach", &event.out_of_reach);
    pod_table(part, "stranded", "Stranded Pending", &event.stranded);
    pod_table(part, "empty", "Comes back empty", &event.back_empty);
    pod_table(part, "gone", "Not made again", &event.gone);
    pod_table(part, "range", "Not known", &event.unknown);
    pod_table(part, "back", "Comes back", &event.back);
    if !event.untouched.is_empty() {
        let untouched: Vec<String> = event.untouched.iter().map(ToString::to_string).collect();
        part.add(&format!(
            "<details class=\"card\"><summary>{}</summary><p>{}</p></details>\n",
            badge("back", "Not touched"),
            names(untouched.iter())
        ));
    }
}

/// What makes data alike: whether it is scratch, what holds it, whose it is, why it is met, and its workload where that matters.
type Alike<'d> = (bool, &'d str, Option<&'d str>, &'d str, String);

fn data_table(part: &mut Part, class: &str, title: &str, all: &[LostData]) {
    if all.is_empty() {
        return;
    }
    // Of one kind alone the list can be as long as the share is; each of the others must have room as well.
    let mut rows = Part::new(part.left / 3);
    // Scratch of many pods is one row.
    let mut alike: BTreeMap<Alike<'_>, (usize, &LostData)> = BTreeMap::new();
    for data in all {
        let is_claim = data.volume.is_some() || data.what.starts_with("claim ");
        let own =
            if is_claim || data.data_of.is_some() { name_of(data.workload.as_ref()) } else { String::new() };
        let key =
            (data.data_of.is_none(), data.what.as_str(), data.data_of.as_deref(), data.why.as_str(), own);
        alike.entry(key).or_insert((0, data)).0 += 1;
    }
    for (times, data) in alike.into_values() {
        let whose = data.data_of.as_deref().map_or_else(
            || "<span class=\"soft\">not known to be data</span>".to_owned(),
            |product| format!("<b>{}</b>", Text(product)),
        );
        let more = if times > 1 { format!(" and {} more workloads", times - 1) } else { String::new() };
        let volume = data.volume.as_ref().filter(|volume| !data.what.ends_with(volume.as_str()));
        rows.add(&format!(
            "<tr><td>{whose}</td><td>{}{}</td><td>{}</td><td>{}{more}<br><span class=\"soft\">{}</span></td><td>{}</td></tr>\n",
            Text(&data.what),
            volume.map(|volume| format!("<br><span class=\"soft\">volume {}</span>", Text(volume))).unwrap_or_default(),
            Text(data.size.as_deref().unwrap_or("-")),
            Text(name_of(data.workload.as_ref())),
            names(data.pods.iter()),
            Text(&data.why),
        ));
    }
    let text = format!(
        "<div class=\"card\"><h3>{}</h3><table><tr><th>Data of</th><th>What holds it</th><th>Size</th><th>Workload, pods</th><th>Why</th></tr>\n{}</table></div>\n",
        badge(class, title),
        rows.end_in_table("places", 5)
    );
    part.add(&text);
}

fn pod_table(part: &mut Part, class: &str, title: &str, groups: &[PodGroup]) {
    if groups.is_empty() {
        return;
    }
    let mut rows = Part::new(part.left / 3);
    let mut alike: BTreeMap<(&[String], &str), Vec<&PodGroup>> = BTreeMap::new();
    for group in groups {
        alike.entry((&group.products, &group.why)).or_default().push(group);
    }
    for ((products, why), groups) in alike {
        let workloads: Vec<String> = groups.iter().map(|group| group.workload.to_string()).collect();
        let pods: Vec<&String> = groups.iter().flat_map(|group| &group.pods).collect();
        rows.add(&format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            names(workloads.iter()),
            names(products.iter()),
            names(pods.into_iter()),
            Text(why),
        ));
    }
    let text = format!(
        "<div class=\"card\"><h3>{}</h3><table><tr><th>Workload</th><th>Data of</th><th>Pods</th><th>Why</th></tr>\n{}</table></div>\n",
        badge(class, title),
        rows.end_in_table("groups of workloads", 4)
    );
    part.add(&text);
}
