//! JSON written in odd ways that all mean the same: white space, escapes, fields in another order and written twice.

use serde_json::Value;
use std::fmt::Write;

/// Writes a value oddly; another way for another seed.
pub fn write(value: &Value, seed: u64) -> String {
    let mut writer = Writer { text: String::new(), seed: seed | 1 };
    writer.value(value);
    writer.text
}

struct Writer {
    text: String,
    seed: u64,
}

impl Writer {
    /// Whether to do something, once in so many times.
    fn once_in(&mut self, times: u64) -> bool {
        // Xorshift: nothing here needs better chance.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed.is_multiple_of(times)
    }

    fn space(&mut self) {
        for space in [' ', '\n', '\t', '\r'] {
            if self.once_in(9) {
                self.text.push(space);
            }
        }
    }

    fn value(&mut self, value: &Value) {
        self.space();
        match value {
            Value::String(text) => self.string(text),
            Value::Array(items) => {
                self.text.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.text.push(',');
                    }
                    self.value(item);
                }
                self.space();
                self.text.push(']');
            }
            Value::Object(map) => {
                let mut fields: Vec<(&String, &Value)> = map.iter().collect();
                if self.once_in(2) {
                    fields.reverse();
                }
                self.text.push('{');
                for (index, (key, value)) in fields.into_iter().enumerate() {
                    if index > 0 {
                        self.text.push(',');
                    }
                    if self.once_in(6) {
                        let other = if self.once_in(2) { "{\"name\":[1,{}]}" } else { "null" };
                        self.space();
                        self.string(key);
                        let _ = write!(self.text, ":{other},");
                    }
                    self.space();
                    self.string(key);
                    self.space();
                    self.text.push(':');
                    self.value(value);
                }
                self.space();
                self.text.push('}');
            }
            other => {
                let _ = write!(self.text, "{other}");
            }
        }
        self.space();
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            if c == '"' || c == '\\' || c < ' ' || self.once_in(30) {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(self.text, "\\u{unit:04X}");
                }
            } else if c == '/' && self.once_in(4) {
                self.text.push_str("\\/");
            } else {
                self.text.push(c);
            }
        }
        self.text.push('"');
    }
}
