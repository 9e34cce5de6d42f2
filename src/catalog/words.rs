//! One regular expression over all images of the catalog, for whoever cannot look an image up: the API server. It may match
//! other images, too, and matches every image of the catalog that keeps data.

use std::collections::{BTreeMap, BTreeSet};

/// What stands in every image that a pattern of the catalog names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageWord {
    /// This name, or publisher and name: `redis`, `mssql/server`.
    Named(String),
    /// This name, a dash and a digit: `postgresql` of `rhel9/postgresql-16`.
    Versioned(String),
    /// This publisher before any name: `linuxserver`.
    Publisher(String),
    /// This end of a name, with its dash: `-operator`.
    Ending(String),
    /// This as the last of a name's words, which `-`, `_` and `.` part: `db` of `catalogue-db`.
    LastWord(String),
}

/// The longest name that is put into an expression.
const LONGEST_NAME: usize = 255;
/// A name of so many letters stands for itself, whoever publishes it: that keeps the expression short.
const TELLING: usize = 7;
/// The longest expression: what it costs to look at an image grows with it.
const LONGEST: usize = 16 << 10;

/// What no name of an image holds.
const OUTSIDE: &str = "[^a-zA-Z0-9._-]";

/// The expression in the syntax of RE2, without quotes and backslashes; none where it would be too long. It looks for whole
/// words, so that several images can stand in one text with blanks between them.
pub fn image_expression(words: &BTreeSet<ImageWord>) -> Option<String> {
    let (mut names, mut open, mut endings) = (Trie::default(), String::new(), Vec::new());
    let mut last_words = Vec::new();
    let mut plain: BTreeSet<&str> = BTreeSet::new();
    for word in words {
        let (ImageWord::Named(text)
        | ImageWord::Versioned(text)
        | ImageWord::Publisher(text)
        | ImageWord::Ending(text)
        | ImageWord::LastWord(text)) = word;
        if text.len() > LONGEST_NAME || !text.bytes().all(is_plain) {
            return None;
        }
        match word {
            ImageWord::Named(name) => {
                let last = name.rsplit_once('/').map(|(_, last)| last).filter(|last| last.len() >= TELLING);
                plain.insert(last.unwrap_or(name));
            }
            ImageWord::Versioned(name) => open.push_str(&format!("|{}-[0-9]", escaped(name))),
            ImageWord::Publisher(publisher) => open.push_str(&format!("|{}/", escaped(publisher))),
            ImageWord::Ending(end) => endings.push(escaped(end)),
            ImageWord::LastWord(last) => last_words.push(escaped(last)),
        }
    }
    for name in &plain {
        // `bitnami/redis` says no more than `redis`.
        let covered = name.split_once('/').is_some_and(|(_, alone)| plain.contains(alone));
        if !covered {
            names.add(name);
        }
    }
    let mut names_text = String::new();
    names.write(&mut names_text);
    let mut text = String::new();
    if !plain.is_empty() {
        text = format!("(^|{OUTSIDE})({names_text}({OUTSIDE}|$){open})");
    } else if let Some(open) = open.strip_prefix('|') {
        text = format!("(^|{OUTSIDE})({open})");
    }
    if !endings.is_empty() {
        let or = if text.is_empty() { "" } else { "|" };
        text.push_str(&format!("{or}({})({OUTSIDE}|$)", endings.join("|")));
    }
    if !last_words.is_empty() {
        let or = if text.is_empty() { "" } else { "|" };
        text.push_str(&format!("{or}(^|[^a-zA-Z0-9])({})({OUTSIDE}|$)", last_words.join("|")));
    }
    (text.len() <= LONGEST).then_some(text)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-/:".contains(&byte)
}

fn escaped(text: &str) -> String {
    text.replace('.', "[.]")
}

/// Names that share their beginnings, so that the expression is short.
#[derive(Default)]
struct Trie {
    ends: bool,
    next: BTreeMap<char, Trie>,
}

impl Trie {
    fn add(&mut self, name: &str) {
        let mut at = self;
        for letter in name.chars() {
            at = at.next.entry(letter).or_default();
        }
        at.ends = true;
    }

    /// What may follow here. It goes as deep as the longest name.
    fn write(&self, text: &mut String) {
        let group = self.next.len() > 1 || (self.ends && !self.next.is_empty());
        if group {
            text.push('(');
        }
        for (place, (letter, next)) in self.next.iter().enumerate() {
            if place > 0 {
                text.push('|');
            }
            if *letter == '.' {
                text.push_str("[.]")
            } else {
                text.push(*letter)
            }
            next.write(text);
        }
        if group {
            text.push_str(if self.ends { ")?" } else { ")" });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Catalog;
    use super::*;
    use regex::Regex;

    fn expression(catalog: &Catalog) -> Regex {
        Regex::new(&image_expression(&catalog.image_words().unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn it_matches_every_image_of_the_catalog_however_it_is_written() {
        let catalog = Catalog::embedded();
        let expression = expression(catalog);
        assert!(expression.as_str().len() < 8_000, "{}", expression.as_str().len());
        let mut tried = 0;
        for entry in catalog.entries().iter().filter(|entry| entry.keeps_nothing.is_none()) {
            let variants = entry.variants.iter().flat_map(|variant| &variant.images);
            for pattern in entry.images.iter().chain(variants) {
                let name = pattern.replace("-#", "-16-c9s").replace("/*", "/anything");
                let name = name.strip_prefix('*').map_or(name.clone(), |end| format!("some{end}"));
                for image in [
                    name.clone(),
                    format!("{name}:7"),
                    format!("{name}@sha256:00"),
                    format!("mirror.corp:5000/docker.io/{name}:7@sha256:00"),
                    format!("localhost/{name}/"),
                    format!("{name}/:7"),
                    format!(" {name} "),
                ] {
                    tried += usize::from(catalog.entry(&image).is_some());
                    assert!(
                        expression.is_match(&image) || catalog.entry(&image).is_none(),
                        "{pattern}: {image}"
                    );
                }
            }
        }
        assert!(tried > 3_000, "{tried}");
    }

    #[test]
    fn it_leaves_out_what_the_catalog_does_not_know() {
        let expression = expression(Catalog::embedded());
        for image in [
            "nginx",
            "busybox:1.36",
            "corp/app@sha256:00",
            "mycorp/redis_exporter2",
            "i",
            "",
            "myredis",
            "redisx:1",
            "memcached:1.6",
            "corp/shop-operator:1",
        ] {
            assert!(!expression.is_match(image), "{image}");
        }
        assert!(expression.is_match("nginx corp/app redis:7 busybox"), "one of several");
    }

    #[test]
    fn what_may_name_any_image_or_takes_too_much_has_no_expression() {
        let entry = |images: &[&str]| {
            let entry = serde_json::json!({"product": "P", "images": images, "data": [{"path": "/x/y"}]});
            Catalog::with(vec![serde_json::from_value(entry).unwrap()], Vec::new())
        };
        assert_eq!(entry(&["docker.io/*"]).image_words(), None, "every official image");
        assert!(
            expression(&entry(&["docker.io/ledger"])).is_match("ledger:1"),
            "the registry may be left out"
        );
        assert!(expression(&entry(&["corp.example/ledger"])).is_match("corp.example/ledger:1"));
        let many: Vec<String> = (0..4_000).map(|n| format!("corp/ledger-of-{}", n * 7_919)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(image_expression(&entry(&many).image_words().unwrap()), None);
        let long = "x".repeat(300);
        assert_eq!(image_expression(&entry(&[&long]).image_words().unwrap()), None);
    }

    #[test]
    fn the_last_word_of_a_name_counts_wherever_the_name_stands() {
        let words = [ImageWord::LastWord("db".to_owned()), ImageWord::Named("redis".to_owned())].into();
        let expression = Regex::new(&image_expression(&words).unwrap()).unwrap();
        for image in ["shop/catalogue-db:1", "user_db", "a.db@sha256:00", "db", "nginx shop/x-db nginx"] {
            assert!(expression.is_match(image), "{image}");
        }
        for image in ["shop/db-backup", "mydb", "nginx:1.db2", "dbx"] {
            assert!(!expression.is_match(image), "{image}");
        }
    }

    #[test]
    fn without_images_nothing_matches() {
        assert_eq!(image_expression(&BTreeSet::new()).as_deref(), Some(""));
    }
}
