//! What stands in the images of the catalog, for whoever cannot look an image up: the API server. Other images may have it, too,
//! and every image of the catalog that keeps data has.

use std::collections::BTreeSet;

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

impl ImageWord {
    fn text(&self) -> &str {
        let (Self::Named(text)
        | Self::Versioned(text)
        | Self::Publisher(text)
        | Self::Ending(text)
        | Self::LastWord(text)) = self;
        text
    }
}

/// The longest name that can be asked for.
const LONGEST_NAME: usize = 255;
/// The longest text of all words: a webhook configuration holds it once for each webhook.
const LONGEST: usize = 32 << 10;

/// What no name of an image holds.
const OUTSIDE: &str = "[^a-zA-Z0-9._-]";

/// What to look for in the segments of an image, without quotes and backslashes. An image may be one of the catalog when one
/// of its segments, or its tag, is among `names`; when one is among `names_of_publishers` and another among `publishers`; or
/// when `pattern` matches it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ImageWords<'w> {
    /// Names that stand for themselves, whoever publishes them, and publishers before any name.
    pub names: BTreeSet<&'w str>,
    /// Names that count with one of the publishers only.
    pub names_of_publishers: BTreeSet<&'w str>,
    /// Those publishers.
    pub publishers: BTreeSet<&'w str>,
    /// For what is only a part of a segment, in the syntax of RE2; empty where nothing is.
    pub pattern: String,
}

impl<'w> ImageWords<'w> {
    /// Sorts words by how they are looked for; none where they are too many, or not to be written as they are.
    pub fn new(words: &'w BTreeSet<ImageWord>) -> Option<Self> {
        let mut all = Self::default();
        let (mut versioned, mut endings, mut last_words) = (Vec::new(), Vec::new(), Vec::new());
        let mut length = 0;
        for word in words {
            let text = word.text();
            length += text.len();
            if text.len() > LONGEST_NAME || length > LONGEST || !text.bytes().all(is_plain) {
                return None;
            }
            match word {
                ImageWord::Named(name) => match name.rsplit_once('/') {
                    Some((publisher, name)) => {
                        all.names_of_publishers.insert(name);
                        all.publishers.insert(publisher);
                    }
                    None => {
                        all.names.insert(name);
                    }
                },
                ImageWord::Publisher(publisher) => {
                    all.names.insert(publisher);
                }
                ImageWord::Versioned(name) => versioned.push(escaped(name)),
                ImageWord::Ending(end) => endings.push(escaped(end)),
                ImageWord::LastWord(last) => {
                    all.names.insert(last);
                    last_words.push(escaped(last));
                }
            }
        }
        let parts = [
            (last_words, "[._-](", format!(")({OUTSIDE}|$)")),
            (versioned, "(", ")-[0-9]".to_owned()),
            (endings, "(", format!(")({OUTSIDE}|$)")),
        ];
        let parts = parts.into_iter().filter(|(words, ..)| !words.is_empty());
        let parts = parts.map(|(words, before, after)| format!("{before}{}{after}", words.join("|")));
        all.pattern = parts.collect::<Vec<_>>().join("|");
        Some(all)
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-/:".contains(&byte)
}

fn escaped(text: &str) -> String {
    text.replace('.', "[.]")
}

#[cfg(test)]
mod tests {
    use super::super::Catalog;
    use super::*;

    #[test]
    fn words_are_sorted_by_how_they_are_looked_for() {
        let words = [
            ImageWord::Named("redis".to_owned()),
            ImageWord::Named("mssql/server".to_owned()),
            ImageWord::Publisher("linuxserver".to_owned()),
            ImageWord::Versioned("v1.postgresql".to_owned()),
            ImageWord::Ending("-operator".to_owned()),
            ImageWord::LastWord("db".to_owned()),
        ]
        .into();
        let words = ImageWords::new(&words).unwrap();
        assert_eq!(words.names, ["db", "linuxserver", "redis"].into());
        assert_eq!((words.names_of_publishers, words.publishers), (["server"].into(), ["mssql"].into()));
        assert_eq!(
            words.pattern,
            format!("[._-](db)({OUTSIDE}|$)|(v1[.]postgresql)-[0-9]|(-operator)({OUTSIDE}|$)")
        );
        assert_eq!(ImageWords::new(&BTreeSet::new()), Some(ImageWords::default()));
    }

    #[test]
    fn what_may_name_any_image_or_takes_too_much_is_not_looked_for() {
        let entry = |images: &[&str]| {
            let entry = serde_json::json!({"product": "P", "images": images, "data": [{"path": "/x/y"}]});
            Catalog::with(vec![serde_json::from_value(entry).unwrap()], Vec::new())
        };
        assert_eq!(entry(&["docker.io/*"]).image_words(), None, "every official image");
        for image in ["docker.io/ledger", "corp.example/ledger"] {
            let words = entry(&[image]).image_words().unwrap();
            let words = ImageWords::new(&words).unwrap();
            assert!(words.names.contains("ledger"), "the registry may be left out");
        }
        let many: Vec<String> = (0..4_000).map(|n| format!("corp/ledger-of-{}", n * 7_919)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(ImageWords::new(&entry(&many).image_words().unwrap()), None);
        let long = "x".repeat(300);
        assert_eq!(ImageWords::new(&entry(&[&long]).image_words().unwrap()), None);
    }

    #[test]
    fn there_is_room_for_more_products() {
        let words = Catalog::embedded().image_words().unwrap();
        let length: usize =
            ImageWords::new(&words).map(|_| words.iter().map(|word| word.text().len()).sum()).unwrap();
        assert!(length < LONGEST / 2, "{length}");
    }
}
