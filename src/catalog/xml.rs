//! The keys and values of a configuration file that is written in XML, as ClickHouse has it.

use super::nested::{DEEPEST, within};
use std::borrow::Cow;

/// What stands for a value that something else puts there: `<path from_env="DIR"/>`.
const FILLED_IN: &str = "${}";

/// The elements that hold a text, with the names of those they stand in; the root's is left out.
pub(super) fn pairs(text: &str) -> Vec<(Cow<'_, str>, &str)> {
    let mut pairs = Vec::new();
    let mut open: Vec<Cow<'_, str>> = Vec::new();
    let (mut rest, mut filled_in, mut is_leaf) = (text, false, false);
    while let Some((before, after)) = rest.split_once('<') {
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
            continue;
        }
        let Some((tag, behind)) = after.split_once('>') else { break };
        rest = behind;
        if tag.starts_with(['?', '!']) {
            continue;
        }
        if tag.starts_with('/') {
            let name = open.pop().filter(|name| is_leaf && !name.is_empty());
            pairs.extend(name.map(|name| (name, if filled_in { FILLED_IN } else { before.trim() })));
            (filled_in, is_leaf) = (false, false);
            continue;
        }
        let own = tag.trim_end_matches('/');
        let name = own.split_whitespace().next().unwrap_or_default();
        let comes = [" from_env", " from_zk", " incl"].iter().any(|attribute| own.contains(attribute));
        let name = match open.len() {
            0 => Cow::Borrowed(""),
            depth if depth <= DEEPEST => within(open.last(), Cow::Borrowed(name)),
            // Deeper than any server's settings nest, the names are of no use.
            _ => Cow::Borrowed(""),
        };
        if own.len() < tag.len() {
            if !name.is_empty() {
                pairs.push((name, if comes { FILLED_IN } else { "" }));
            }
            is_leaf = false;
        } else {
            open.push(name);
            (filled_in, is_leaf) = (comes, true);
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values<'t>(text: &'t str, key: &str) -> Vec<&'t str> {
        pairs(text).into_iter().filter(|(name, _)| name == key).map(|(_, value)| value).collect()
    }

    #[test]
    fn elements_are_read_beneath_the_root() {
        let text = "<?xml version=\"1.0\"?>\n<!-- <path>/no</path> -->\n<clickhouse>\n <path replace=\"1\"> /srv/ch/ </path>\n \
                    <storage><disk><path>/disk</path></disk></storage>\n <tmp_path><!-- x -->/t</tmp_path>\n</clickhouse>";
        assert_eq!(values(text, "path"), ["/srv/ch/"]);
        assert_eq!(values(text, "storage.disk.path"), ["/disk"]);
        assert_eq!(values(text, "tmp_path"), ["/t"]);
        assert_eq!(values(text, "clickhouse"), [""; 0]);
        assert_eq!(values("<a><path from_env=\"X\"/></a>", "path"), [FILLED_IN]);
        assert_eq!(values("<a><path from_env=\"X\"></path></a>", "path"), [FILLED_IN]);
        assert_eq!(values("<a><b/></a>", "b"), [""]);
    }

    #[test]
    fn what_is_no_xml_ends_nothing() {
        for text in ["<", "<a", "<a><b></a></b></c>", "<!-- ", "</a>", "a > b", "<a><path>/x"] {
            assert!(pairs(text).len() < 3, "{text}");
        }
        let deep = "<a>".repeat(1000);
        assert!(pairs(&(deep + "x</a>")).iter().all(|(name, _)| name.len() < 32));
    }
}
