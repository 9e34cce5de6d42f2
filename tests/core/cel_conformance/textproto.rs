//! Protocol buffers as text, as far as the cases use it.

use std::iter::Peekable;
use std::str::CharIndices;

/// A message: its fields in their order.
#[derive(Debug, Default)]
pub(crate) struct Message {
    pub(crate) fields: Vec<(String, Field)>,
}

/// The value of a field.
#[derive(Debug)]
pub(crate) enum Field {
    /// A number or a name.
    Word(String),
    /// A string, which need not be UTF-8.
    Text(Vec<u8>),
    Message(Message),
}

impl Message {
    /// The messages that stand in the field of that name.
    pub(crate) fn messages<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m Message> {
        self.fields.iter().filter(move |(field, _)| field == name).filter_map(|(_, value)| match value {
            Field::Message(message) => Some(message),
            _ => None,
        })
    }

    /// The string of that name; empty where there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.fields
            .iter()
            .find_map(|(field, value)| match value {
                Field::Text(text) if field == name => std::str::from_utf8(text).ok(),
                _ => None,
            })
            .unwrap_or_default()
    }

    /// Whether it has such a field.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| field == name)
    }
}

/// Reads a message.
///
/// # Panics
/// When it is none.
pub(crate) fn parse(text: &str) -> Message {
    let mut reader = Reader { text, letters: text.char_indices().peekable() };
    let message = reader.message();
    assert!(reader.next_is(None), "the text goes on behind the message: {:?}", reader.rest());
    message
}

struct Reader<'t> {
    text: &'t str,
    letters: Peekable<CharIndices<'t>>,
}

impl Reader<'_> {
    fn rest(&mut self) -> &str {
        let at = self.letters.peek().map_or(self.text.len(), |(at, _)| *at);
        let end = (at + 60).min(self.text.len());
        self.text.get(at..end).unwrap_or_default()
    }

    fn skip(&mut self) {
        while let Some((_, letter)) = self.letters.peek() {
            match letter {
                '#' => while self.letters.next_if(|(_, letter)| *letter != '\n').is_some() {},
                letter if letter.is_whitespace() => drop(self.letters.next()),
                _ => return,
            }
        }
    }

    fn next_is(&mut self, wanted: Option<char>) -> bool {
        self.skip();
        self.letters.peek().map(|(_, letter)| *letter) == wanted
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.next_is(Some(wanted));
        if found {
            self.letters.next();
        }
        found
    }

    fn word(&mut self) -> String {
        self.skip();
        let mut word = String::new();
        let inside = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '.' | '-' | '+' | '/');
        while let Some((_, letter)) = self.letters.next_if(|(_, letter)| inside(*letter)) {
            word.push(letter);
        }
        assert!(!word.is_empty(), "a word is missing at {:?}", self.rest());
        word
    }

    /// Up to the closing brace or the end.
    fn message(&mut self) -> Message {
        let mut message = Message::default();
        while !self.next_is(Some('}')) && !self.next_is(None) {
            let name = if self.take('[') {
                let name = self.word();
                assert!(self.take(']'));
                name
            } else {
                self.word()
            };
            let _ = self.take(':');
            if self.take('[') {
                while !self.take(']') {
                    let value = self.value();
                    message.fields.push((name.clone(), value));
                    let _ = self.take(',');
                }
            } else {
                let value = self.value();
                message.fields.push((name, value));
            }
            let _ = self.take(',') || self.take(';');
        }
        message
    }

    fn value(&mut self) -> Field {
        if self.take('{') {
            let message = self.message();
            assert!(self.take('}'));
            return Field::Message(message);
        }
        if !self.next_is(Some('"')) && !self.next_is(Some('\'')) {
            return Field::Word(self.word());
        }
        let mut text = Vec::new();
        while self.next_is(Some('"')) || self.next_is(Some('\'')) {
            let quote = self.letters.next().map(|(_, letter)| letter);
            loop {
                let letter = self.letters.next().map(|(_, letter)| letter);
                match letter {
                    letter if letter == quote => break,
                    Some('\\') => self.escape(&mut text),
                    Some(letter) => text.extend(letter.encode_utf8(&mut [0; 4]).bytes()),
                    None => panic!("a string has no end"),
                }
            }
        }
        Field::Text(text)
    }

    fn escape(&mut self, text: &mut Vec<u8>) {
        let letter = self.letters.next().map(|(_, letter)| letter).unwrap();
        let mut digits = |first: &str, most: usize, radix: u32| {
            let mut digits = first.to_owned();
            while digits.len() < most
                && let Some((_, digit)) = self.letters.next_if(|(_, letter)| letter.is_digit(radix))
            {
                digits.push(digit);
            }
            u32::from_str_radix(&digits, radix).unwrap()
        };
        match letter {
            'a' => text.push(7),
            'b' => text.push(8),
            'f' => text.push(12),
            'n' => text.push(b'\n'),
            'r' => text.push(b'\r'),
            't' => text.push(b'\t'),
            'v' => text.push(11),
            'x' | 'X' => text.push(digits("", 2, 16) as u8),
            'u' => text.extend(char::from_u32(digits("", 4, 16)).unwrap().to_string().bytes()),
            'U' => text.extend(char::from_u32(digits("", 8, 16)).unwrap().to_string().bytes()),
            '0'..='7' => text.push(digits(&letter.to_string(), 3, 8) as u8),
            letter => text.extend(letter.to_string().bytes()),
        }
    }
}
