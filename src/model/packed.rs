//! Labels in as few bytes as they take: a run keeps those of every workload.

use super::Labels;

/// Texts by name, which do not change any more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackedLabels {
    /// Name and value of each, one behind the other, in the order of the names.
    text: Box<str>,
    /// Where each of them ends.
    ends: Box<[u32]>,
}

impl PackedLabels {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len() / 2
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All of them, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.len()).map(|index| (self.piece(2 * index), self.piece(2 * index + 1)))
    }

    fn piece(&self, index: usize) -> &str {
        let end = |index: usize| self.ends.get(index).map_or(0, |end| *end as usize);
        let start = index.checked_sub(1).map_or(0, end);
        self.text.get(start..end(index)).unwrap_or_default()
    }
}

impl<'l> FromIterator<(&'l str, &'l str)> for PackedLabels {
    /// Of a name that is there twice, the last counts. Texts of more than 4 GiB are left out.
    fn from_iter<I: IntoIterator<Item = (&'l str, &'l str)>>(labels: I) -> Self {
        let sorted: std::collections::BTreeMap<&str, &str> = labels.into_iter().collect();
        let (mut text, mut ends) = (String::new(), Vec::new());
        for (name, value) in sorted {
            let after_name = text.len() + name.len();
            let (Ok(name_end), Ok(end)) =
                (u32::try_from(after_name), u32::try_from(after_name + value.len()))
            else {
                break;
            };
            text.push_str(name);
            text.push_str(value);
            ends.extend([name_end, end]);
        }
        Self { text: text.into(), ends: ends.into() }
    }
}

impl Labels for PackedLabels {
    fn label(&self, key: &str) -> Option<&str> {
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = from + (to - from) / 2;
            match self.piece(2 * middle).cmp(key) {
                std::cmp::Ordering::Equal => return Some(self.piece(2 * middle + 1)),
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Greater => to = middle,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_label_is_found_by_its_name() {
        let labels: PackedLabels =
            [("tier", "data"), ("a", ""), ("", "empty"), ("ä/b", "c\0d"), ("tier", "web")]
                .into_iter()
                .collect();
        let all: Vec<_> = labels.iter().collect();
        assert_eq!(all, [("", "empty"), ("a", ""), ("tier", "web"), ("ä/b", "c\0d")]);
        for (name, value) in all {
            assert_eq!(labels.label(name), Some(value));
        }
        assert!(["b", "tie", "tiers", "ä"].iter().all(|name| labels.label(name).is_none()));
        assert!((labels.len(), labels.is_empty()) == (4, false) && PackedLabels::default().is_empty());
    }
}
