//! What stands in the containers of the catalog's products, for whoever cannot look them up: the API server. Others may have it,
//! too, and every container of which the catalog says that it keeps data has.

use std::collections::BTreeSet;

/// What stands in every image that a pattern of the catalog names, or shows a product in an image of somebody's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProductWord {
    /// This name, or publisher and name: `redis`, `mssql/server`.
    Named(String),
    /// This name, a dash and a digit: `postgresql` of `rhel9/postgresql-16`.
    Versioned(String),
    /// This publisher before any name: `linuxserver`.
    Publisher(String),
    /// This end of a name, with its dash: `-operator`.
    Ending(String),
    /// This beginning of a name, with its dash: `mirrored-`.
    Beginning(String),
    /// This as the last of a name's words, which `-`, `_` and `.` part: `db` of `catalogue-db`.
    LastWord(String),
    /// This program in the command or the arguments of any image.
    Program(String),
    /// This port of any image, together with a variable.
    Port(u16),
    /// This name of a variable, together with a port.
    Variable(String),
}

impl ProductWord {
    fn text(&self) -> &str {
        match self {
            Self::Named(text)
            | Self::Versioned(text)
            | Self::Publisher(text)
            | Self::Ending(text)
            | Self::Beginning(text)
            | Self::LastWord(text)
            | Self::Program(text)
            | Self::Variable(text) => text,
            Self::Port(_) => "",
        }
    }
}

/// The longest name that can be asked for.
const LONGEST_NAME: usize = 255;
/// The longest text of all words: an API server parses 100,000 characters of a condition, and each word is quoted there.
const LONGEST: usize = 32 << 10;

/// What no name of an image holds.
const OUTSIDE: &str = "[^a-zA-Z0-9._-]";

/// What to look for in a container, without quotes and backslashes. Its image may be one of the catalog when one of the image's
/// segments, or its tag, is among `names`; when one is among `names_of_publishers` and another among `publishers`; or when
/// `pattern` matches it. Any image may be a product when its command or arguments hold one of `programs`, or when it has one of
/// `ports` and one of `variables`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ProductWords<'w> {
    /// Names that stand for themselves, whoever publishes them, and publishers before any name.
    pub names: BTreeSet<&'w str>,
    /// Names that count with one of the publishers only.
    pub names_of_publishers: BTreeSet<&'w str>,
    /// Those publishers.
    pub publishers: BTreeSet<&'w str>,
    /// For what is only a part of a segment, in the syntax of RE2; empty where nothing is.
    pub pattern: String,
    /// Programs that show a product.
    pub programs: BTreeSet<&'w str>,
    /// Ports that do so with one of the variables.
    pub ports: BTreeSet<u16>,
    /// Those variables.
    pub variables: BTreeSet<&'w str>,
}

impl<'w> ProductWords<'w> {
    /// Sorts words by how they are looked for; none where they are too many, or not to be written as they are.
    pub fn new(words: &'w BTreeSet<ProductWord>) -> Option<Self> {
        let mut all = Self::default();
        let (mut versioned, mut endings, mut last_words) = (Vec::new(), Vec::new(), Vec::new());
        let mut beginnings = Vec::new();
        let mut length = 0;
        for word in words {
            let text = word.text();
            length += text.len();
            if text.len() > LONGEST_NAME || length > LONGEST || !text.bytes().all(is_plain) {
                return None;
            }
            match word {
                ProductWord::Named(name) => match name.rsplit_once('/') {
                    Some((publisher, name)) => {
                        all.names_of_publishers.insert(name);
                        all.publishers.insert(publisher);
                    }
                    None => {
                        all.names.insert(name);
                    }
                },
                ProductWord::Publisher(publisher) => {
                    all.names.insert(publisher);
                }
                ProductWord::Versioned(name) => versioned.push(escaped(name)),
                ProductWord::Ending(end) => endings.push(escaped(end)),
                ProductWord::Beginning(start) => beginnings.push(escaped(start)),
                ProductWord::LastWord(last) => {
                    all.names.insert(last);
                    last_words.push(escaped(last));
                }
                ProductWord::Program(program) => {
                    all.programs.insert(program);
                }
                ProductWord::Port(port) => {
                    all.ports.insert(*port);
                }
                ProductWord::Variable(name) => {
                    all.variables.insert(name);
                }
            }
        }
        let parts = [
            (last_words, "[._-](", format!(")({OUTSIDE}|$)")),
            (versioned, "(", ")-[0-9]".to_owned()),
            (endings, "(", format!(")({OUTSIDE}|$)")),
            (beginnings, "(", ")".to_owned()),
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
            ProductWord::Named("redis".to_owned()),
            ProductWord::Named("mssql/server".to_owned()),
            ProductWord::Publisher("linuxserver".to_owned()),
            ProductWord::Versioned("v1.postgresql".to_owned()),
            ProductWord::Ending("-operator".to_owned()),
            ProductWord::Beginning("mirrored-".to_owned()),
            ProductWord::LastWord("db".to_owned()),
            ProductWord::Program("redis-server".to_owned()),
            ProductWord::Port(3306),
            ProductWord::Variable("MYSQL_DATABASE".to_owned()),
        ]
        .into();
        let words = ProductWords::new(&words).unwrap();
        assert_eq!(words.names, ["db", "linuxserver", "redis"].into());
        assert_eq!((words.names_of_publishers, words.publishers), (["server"].into(), ["mssql"].into()));
        assert_eq!(
            words.pattern,
            format!("[._-](db)({OUTSIDE}|$)|(v1[.]postgresql)-[0-9]|(-operator)({OUTSIDE}|$)|(mirrored-)")
        );
        assert_eq!((words.programs, words.ports), (["redis-server"].into(), [3306].into()));
        assert_eq!(words.variables, ["MYSQL_DATABASE"].into());
        assert_eq!(ProductWords::new(&BTreeSet::new()), Some(ProductWords::default()));
    }

    #[test]
    fn what_may_name_any_image_or_takes_too_much_is_not_looked_for() {
        let entry = |images: &[&str]| {
            let entry = serde_json::json!({"product": "P", "images": images, "data": [{"path": "/x/y"}]});
            Catalog::with(vec![serde_json::from_value(entry).unwrap()], Vec::new())
        };
        assert_eq!(entry(&["docker.io/*"]).product_words(), None, "every official image");
        for image in ["docker.io/ledger", "corp.example/ledger"] {
            let words = entry(&[image]).product_words().unwrap();
            let words = ProductWords::new(&words).unwrap();
            assert!(words.names.contains("ledger"), "the registry may be left out");
        }
        let many: Vec<String> = (0..4_000).map(|n| format!("corp/ledger-of-{}", n * 7_919)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(ProductWords::new(&entry(&many).product_words().unwrap()), None);
        let long = "x".repeat(300);
        assert_eq!(ProductWords::new(&entry(&[&long]).product_words().unwrap()), None);
    }

    #[test]
    fn there_is_room_for_more_products() {
        let words = Catalog::embedded().product_words().unwrap();
        let length: usize =
            ProductWords::new(&words).map(|_| words.iter().map(|word| word.text().len()).sum()).unwrap();
        assert!(length < LONGEST / 3 * 2, "{length}");
    }
}
