use std::borrow::Cow;

/// At most `most` characters of a text, for a message: what is left out at its end is an `…`.
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most || text.chars().nth(most).is_none() {
        return Cow::Borrowed(text);
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_whole_characters() {
        for (text, most, expected) in [
            ("/data", 5, "/data"),
            ("/data1", 5, "/dat…"),
            ("üüü", 3, "üüü"),
            ("üüüü", 3, "üü…"),
            ("", 0, ""),
        ] {
            assert_eq!(shortened(text, most), expected, "{text}");
        }
    }
}
