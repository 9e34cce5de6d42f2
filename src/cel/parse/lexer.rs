//! An expression's text → its tokens.

use super::{Parsed, SyntaxFault};
use std::fmt;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A whole number, which a `-` before it may still make a negative one.
    Int(u64),
    Uint(u64),
    Double(f64),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
    Name(String),
    /// An operator, a bracket, or one of the words that are none of a name.
    Symbol(&'static str),
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(_) | Self::Uint(_) | Self::Double(_) => f.write_str("a number"),
            Self::Text(_) => f.write_str("a string"),
            Self::Bytes(_) => f.write_str("bytes"),
            Self::Name(name) => write!(f, "`{name:.40}`"),
            Self::Symbol(symbol) => write!(f, "`{symbol}`"),
            Self::End => f.write_str("the end"),
        }
    }
}

/// The longer ones first.
pub(super) const SYMBOLS: [&str; 25] = [
    "&&", "||", "==", "!=", "<=", ">=", "(", ")", "[", "]", "{", "}", ".", ",", "?", ":", "+", "-", "*", "/",
    "%", "<", ">", "!", "=",
];
/// Words that are no names.
pub(super) const WORDS: [&str; 4] = ["in", "true", "false", "null"];
/// Words that are names of fields alone.
pub(super) const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

pub(super) struct Lexer<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn all(mut self) -> Parsed<Vec<(usize, Token)>> {
        let mut tokens = Vec::new();
        loop {
            self.skip();
            let at = self.at;
            let token = self.token()?;
            let end = token == Token::End;
            tokens.push((at, token));
            if end {
                return Ok(tokens);
            }
        }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// White space and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest().trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
            self.at = self.text.len() - rest.len();
            if !rest.starts_with("//") {
                return;
            }
            self.at += rest.find('\n').unwrap_or(rest.len());
        }
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn token(&mut self) -> Parsed<Token> {
        let rest = self.rest();
        let mut letters = rest.chars();
        let Some(first) = letters.next() else { return Ok(Token::End) };
        let second = letters.next();
        if first.is_ascii_digit() || (first == '.' && second.is_some_and(|c| c.is_ascii_digit())) {
            return self.number();
        }
        let quote = rest.bytes().take(3).position(|byte| matches!(byte, b'\'' | b'"')).filter(|at| {
            let prefix = rest.get(..*at).unwrap_or_default().to_ascii_lowercase();
            matches!(prefix.as_str(), "" | "r" | "b" | "rb" | "br")
        });
        if let Some(quote) = quote {
            return self.quoted(quote);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
            return Ok(match WORDS.iter().find(|word| **word == name) {
                Some(word) => Token::Symbol(word),
                None => Token::Name(name.to_owned()),
            });
        }
        match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            Some(symbol) => {
                self.at += symbol.len();
                Ok(Token::Symbol(symbol))
            }
            None => Err(SyntaxFault::Here(self.at, format!("unexpected character {first:?}"))),
        }
    }

    fn number(&mut self) -> Parsed<Token> {
        let start = self.at;
        let fault = || SyntaxFault::Here(start, "the number is too large".to_owned());
        let hex = self.rest().get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"));
        let digits = if hex {
            self.at += 2;
            self.take_while(|c| c.is_ascii_hexdigit())
        } else {
            self.take_while(|c| c.is_ascii_digit())
        };
        if !hex {
            let mut letters = self.rest().chars();
            let fraction = letters.next() == Some('.') && letters.next().is_some_and(|c| c.is_ascii_digit());
            if fraction {
                self.at += 1;
                self.take_while(|c| c.is_ascii_digit());
            }
            let exponent =
                self.rest().strip_prefix(['e', 'E']).map(|rest| rest.trim_start_matches(['+', '-']));
            let exponent = exponent.filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            if let Some(rest) = exponent {
                self.at = self.text.len() - rest.len();
                self.take_while(|c| c.is_ascii_digit());
            }
            if fraction || exponent.is_some() {
                let text = self.text.get(start..self.at).unwrap_or_default();
                let number = text.parse().map_err(|_| SyntaxFault::Here(start, "no number".to_owned()))?;
                return Ok(Token::Double(number));
            }
        }
        let number = u64::from_str_radix(digits, if hex { 16 } else { 10 }).map_err(|_| fault())?;
        if self.rest().starts_with(['u', 'U']) {
            self.at += 1;
            return Ok(Token::Uint(number));
        }
        Ok(Token::Int(number))
    }

    /// A string or bytes, whose first quote is so many bytes ahead.
    fn quoted(&mut self, quote: usize) -> Parsed<Token> {
        let start = self.at;
        let prefix = self.rest().get(..quote).unwrap_or_default().to_ascii_lowercase();
        let (raw, bytes) = (prefix.contains('r'), prefix.contains('b'));
        self.at += quote;
        let rest = self.rest();
        let single = rest.get(..1).unwrap_or_default();
        let triple = single.repeat(3);
        let long = rest.starts_with(&triple);
        let end = if long { triple.as_str() } else { single };
        self.at += end.len();
        let mut made: Vec<u8> = Vec::new();
        loop {
            let rest = self.rest();
            if rest.starts_with(end) {
                self.at += end.len();
                break;
            }
            let letter = rest.chars().next().filter(|c| long || !matches!(c, '\n' | '\r'));
            let Some(letter) = letter else {
                return Err(SyntaxFault::Here(start, "a string without its end".to_owned()));
            };
            self.at += letter.len_utf8();
            match letter {
                '\\' if !raw => self.escape(bytes, &mut made)?,
                letter => made.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if bytes {
            return Ok(Token::Bytes(made.into()));
        }
        let text = String::from_utf8(made).map_err(|_| SyntaxFault::Here(start, "no UTF-8".to_owned()))?;
        Ok(Token::Text(text.into()))
    }

    /// What stands behind a `\`.
    fn escape(&mut self, bytes: bool, made: &mut Vec<u8>) -> Parsed<()> {
        let start = self.at.saturating_sub(1);
        let fault = || SyntaxFault::Here(start, "no escape that CEL has".to_owned());
        let letter = self.rest().chars().next().ok_or_else(fault)?;
        let (from, digits, radix) = match letter {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' | '\'' | '"' | '`' | '?' => {
                self.at += 1;
                made.push(match letter {
                    'a' => 7,
                    'b' => 8,
                    'f' => 12,
                    'n' => b'\n',
                    'r' => b'\r',
                    't' => b'\t',
                    'v' => 11,
                    '\\' => b'\\',
                    '\'' => b'\'',
                    '"' => b'"',
                    '`' => b'`',
                    _ => b'?',
                });
                return Ok(());
            }
            'x' | 'X' => (1, 2, 16),
            'u' if !bytes => (1, 4, 16),
            'U' if !bytes => (1, 8, 16),
            '0'..='3' => (0, 3, 8),
            _ => return Err(fault()),
        };
        let digits = self.rest().get(from..from + digits).ok_or_else(fault)?;
        if !digits.chars().all(|c| c.is_digit(radix)) {
            return Err(fault());
        }
        let code = u32::from_str_radix(digits, radix).map_err(|_| fault())?;
        self.at += from + digits.len();
        if bytes {
            made.push(u8::try_from(code).map_err(|_| fault())?);
        } else {
            let letter = char::from_u32(code).ok_or_else(fault)?;
            made.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }
}

/// Kubernetes writes the names of fields that CEL's grammar does not take with escapes.
pub(crate) fn unescape(field: &str) -> String {
    match field.strip_prefix("__").and_then(|rest| rest.strip_suffix("__")) {
        Some(keyword) if !keyword.is_empty() && keyword.chars().all(|c| c.is_ascii_lowercase()) => {
            keyword.to_owned()
        }
        _ => field
            .replace("__dot__", ".")
            .replace("__dash__", "-")
            .replace("__slash__", "/")
            .replace("__underscores__", "__"),
    }
}
