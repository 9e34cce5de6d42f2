//! An expression's text → its tree. The parser is our own because that of the library evaluates `!!x` as `!x`, takes twice
//! as long for each further `!!(`, needs 200 KiB of stack for a level, and forgets where what it read stands.

use super::limits;
use super::value::Val;
use std::fmt;
use std::sync::Arc;

/// A part of an expression.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    /// Where it stands in the text, in bytes: an operator or a name, not what it is applied to.
    pub(crate) at: usize,
    /// How deep it is.
    pub(crate) depth: usize,
    /// What it is.
    pub(crate) part: Part,
}

/// What a part of an expression is.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Value(Val<'static>),
    Name(String),
    Field {
        of: Box<Tree>,
        name: String,
        optional: bool,
    },
    Index {
        of: Box<Tree>,
        key: Box<Tree>,
        optional: bool,
    },
    Call {
        on: Option<Box<Tree>>,
        name: String,
        args: Vec<Tree>,
    },
    List(Vec<Item>),
    Map(Vec<(Tree, Item)>),
    /// `Name{…}`, which makes a message.
    Message(String),
    Not(Box<Tree>),
    Negate(Box<Tree>),
    And(Vec<Tree>),
    Or(Vec<Tree>),
    Two(Operator, Box<Tree>, Box<Tree>),
    Choice(Box<[Tree; 3]>),
}

/// An item of a list or a value of a map.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) tree: Tree,
    /// Whether it is left out where it is an optional without a value.
    pub(crate) optional: bool,
}

/// An operator between two values, but for `&&` and `||`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
        })
    }
}

const SUMS: [(&str, Operator); 2] = [("+", Operator::Add), ("-", Operator::Subtract)];
const PRODUCTS: [(&str, Operator); 3] =
    [("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Modulo)];
const RELATIONS: [(&str, Operator); 7] = [
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    ("<", Operator::Less),
    ("<=", Operator::LessOrEqual),
    (">", Operator::Greater),
    (">=", Operator::GreaterOrEqual),
    ("in", Operator::In),
];

/// Why a text is no expression, as a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SyntaxFault {
    /// Something that the grammar does not have, and where.
    Here(usize, String),
    /// It nests too deep.
    Nested,
    /// It is too deep.
    Deep,
}

type Parsed<T> = Result<T, SyntaxFault>;

/// Reads an expression.
///
/// # Errors
/// The first fault.
pub(crate) fn parse(text: &str) -> Parsed<Tree> {
    let tokens = Lexer { text, at: 0 }.all()?;
    let mut parser = Parser { tokens, next: 0, level: 0 };
    let tree = parser.expression()?;
    match parser.peek() {
        (_, Token::End) => Ok(tree),
        _ => Err(parser.unexpected()),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
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
const SYMBOLS: [&str; 25] = [
    "&&", "||", "==", "!=", "<=", ">=", "(", ")", "[", "]", "{", "}", ".", ",", "?", ":", "+", "-", "*", "/",
    "%", "<", ">", "!", "=",
];
/// Words that are no names.
const WORDS: [&str; 4] = ["in", "true", "false", "null"];
/// Words that are names of fields alone.
const RESERVED: [&str; 17] = [
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

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn all(mut self) -> Parsed<Vec<(usize, Token)>> {
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

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    level: usize,
}

impl Parser {
    fn peek(&self) -> (usize, &Token) {
        self.tokens.get(self.next).or(self.tokens.last()).map_or((0, &Token::End), |(at, token)| (*at, token))
    }

    fn advance(&mut self) {
        self.next += 1;
    }

    /// Takes that symbol, if it is the next, and tells where it stands.
    fn take(&mut self, symbol: &str) -> Option<usize> {
        match self.peek() {
            (at, Token::Symbol(next)) if *next == symbol => {
                self.advance();
                Some(at)
            }
            _ => None,
        }
    }

    fn expect(&mut self, symbol: &str) -> Parsed<usize> {
        self.take(symbol).ok_or_else(|| self.unexpected())
    }

    fn unexpected(&self) -> SyntaxFault {
        let (at, token) = self.peek();
        SyntaxFault::Here(at, format!("unexpected {token}"))
    }

    fn expression(&mut self) -> Parsed<Tree> {
        if self.level == limits::NESTING {
            return Err(SyntaxFault::Nested);
        }
        self.level += 1;
        let condition = self.or()?;
        let tree = match self.take("?") {
            Some(at) => {
                let yes = self.or()?;
                self.expect(":")?;
                let no = self.expression()?;
                let depth = condition.depth.max(yes.depth).max(no.depth);
                tree(at, depth, Part::Choice(Box::new([condition, yes, no])))?
            }
            None => condition,
        };
        self.level -= 1;
        Ok(tree)
    }

    fn or(&mut self) -> Parsed<Tree> {
        self.chain("||", Self::and, Part::Or)
    }

    fn and(&mut self) -> Parsed<Tree> {
        self.chain("&&", Self::relation, Part::And)
    }

    /// Any number of terms, of which the first that decides is the last that is evaluated.
    fn chain(
        &mut self,
        symbol: &str,
        term: fn(&mut Self) -> Parsed<Tree>,
        part: fn(Vec<Tree>) -> Part,
    ) -> Parsed<Tree> {
        let first = term(self)?;
        let Some(at) = self.take(symbol) else { return Ok(first) };
        let mut terms = vec![first, term(self)?];
        while self.take(symbol).is_some() {
            terms.push(term(self)?);
        }
        let depth = terms.iter().map(|term| term.depth).max().unwrap_or(0);
        tree(at, depth, part(terms))
    }

    fn relation(&mut self) -> Parsed<Tree> {
        self.binary(&RELATIONS, |parser| parser.binary(&SUMS, |parser| parser.binary(&PRODUCTS, Self::unary)))
    }

    fn binary(
        &mut self,
        operators: &[(&str, Operator)],
        term: fn(&mut Self) -> Parsed<Tree>,
    ) -> Parsed<Tree> {
        let mut left = term(self)?;
        loop {
            let found = operators.iter().find_map(|(symbol, operator)| Some((self.take(symbol)?, *operator)));
            let Some((at, operator)) = found else { return Ok(left) };
            let right = term(self)?;
            let depth = left.depth.max(right.depth);
            left = tree(at, depth, Part::Two(operator, Box::new(left), Box::new(right)))?;
        }
    }

    fn unary(&mut self) -> Parsed<Tree> {
        let mut signs: Vec<usize> = Vec::new();
        let (symbol, part): (_, fn(Box<Tree>) -> Part) = match self.peek() {
            (_, Token::Symbol("!")) => ("!", Part::Not),
            (_, Token::Symbol("-")) => ("-", Part::Negate),
            _ => return self.member(),
        };
        while let Some(at) = self.take(symbol) {
            signs.push(at);
        }
        let mut operand = None;
        if symbol == "-" {
            // The sign is the number's own: the smallest one has no positive counterpart.
            let literal = match self.peek() {
                (_, Token::Int(number)) => {
                    let number = 0_i64.checked_sub_unsigned(*number);
                    Some(Val::Int(number.ok_or_else(|| {
                        SyntaxFault::Here(self.peek().0, "the number is too large".to_owned())
                    })?))
                }
                (_, Token::Double(number)) => Some(Val::Double(-number)),
                _ => None,
            };
            if let Some(literal) = literal
                && let Some(at) = signs.pop()
            {
                self.advance();
                let literal = tree(at, 0, Part::Value(literal))?;
                operand = Some(self.behind(literal)?);
            }
        }
        let mut operand = match operand {
            Some(operand) => operand,
            None => self.member()?,
        };
        // An even number of them still asks for a truth or a number; more than two do what two fewer do.
        let count = match signs.len() {
            0..=2 => signs.len(),
            more => 2 - more % 2,
        };
        for at in signs.into_iter().rev().take(count) {
            let depth = operand.depth;
            operand = tree(at, depth, part(Box::new(operand)))?;
        }
        Ok(operand)
    }

    fn member(&mut self) -> Parsed<Tree> {
        let first = self.primary()?;
        self.behind(first)
    }

    /// The fields, calls and indexes behind a value.
    fn behind(&mut self, mut on: Tree) -> Parsed<Tree> {
        loop {
            let depth = on.depth;
            if self.take(".").is_some() {
                let optional = self.take("?").is_some();
                let (at, name) = self.name()?;
                let call = if optional { None } else { self.take("(") };
                on = match call {
                    None => tree(at, depth, Part::Field { of: Box::new(on), name, optional })?,
                    Some(_) => {
                        let args = self.arguments()?;
                        let depth = args.iter().map(|arg| arg.depth).max().unwrap_or(0).max(depth);
                        tree(at, depth, Part::Call { on: Some(Box::new(on)), name, args })?
                    }
                };
            } else if let Some(at) = self.take("[") {
                let optional = self.take("?").is_some();
                let key = self.expression()?;
                self.expect("]")?;
                let depth = depth.max(key.depth);
                on = tree(at, depth, Part::Index { of: Box::new(on), key: Box::new(key), optional })?;
            } else if self.peek().1 == &Token::Symbol("{")
                && let Some(name) = dotted(&on)
            {
                let at = on.at;
                self.advance();
                self.message()?;
                on = tree(at, depth, Part::Message(name))?;
            } else {
                return Ok(on);
            }
        }
    }

    fn name(&mut self) -> Parsed<(usize, String)> {
        match self.peek() {
            (at, Token::Name(name)) => {
                let named = (at, name.clone());
                self.advance();
                Ok(named)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// Up to the closing parenthesis.
    fn arguments(&mut self) -> Parsed<Vec<Tree>> {
        let mut args = Vec::new();
        if self.take(")").is_some() {
            return Ok(args);
        }
        loop {
            args.push(self.expression()?);
            if self.take(",").is_none() {
                self.expect(")")?;
                return Ok(args);
            }
        }
    }

    /// The fields of a message, which are read and forgotten, up to the closing brace.
    fn message(&mut self) -> Parsed<()> {
        while self.take("}").is_none() {
            self.take("?");
            self.name()?;
            self.expect(":")?;
            self.expression()?;
            if self.take(",").is_none() {
                self.expect("}")?;
                return Ok(());
            }
        }
        Ok(())
    }

    fn primary(&mut self) -> Parsed<Tree> {
        let (at, token) = self.peek();
        let value = |value| tree(at, 0, Part::Value(value));
        let token = token.clone();
        self.advance();
        match token {
            Token::Symbol("null") => value(Val::Null),
            Token::Symbol("true") => value(Val::Bool(true)),
            Token::Symbol("false") => value(Val::Bool(false)),
            Token::Int(number) => match i64::try_from(number) {
                Ok(number) => value(Val::Int(number)),
                Err(_) => Err(SyntaxFault::Here(at, "the number is too large".to_owned())),
            },
            Token::Uint(number) => value(Val::Uint(number)),
            Token::Double(number) => value(Val::Double(number)),
            Token::Text(text) => value(Val::text(text)),
            Token::Bytes(bytes) => value(Val::Bytes(bytes)),
            Token::Symbol("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Symbol("[") => self.list(at),
            Token::Symbol("{") => self.map(at),
            Token::Symbol(".") => {
                let (at, name) = self.name()?;
                tree(at, 0, Part::Name(format!(".{name}")))
            }
            Token::Name(name) => {
                if self.take("(").is_some() {
                    let args = self.arguments()?;
                    let depth = args.iter().map(|arg| arg.depth).max().unwrap_or(0);
                    return tree(at, depth, Part::Call { on: None, name, args });
                }
                if RESERVED.contains(&name.as_str()) {
                    return Err(SyntaxFault::Here(
                        at,
                        format!("`{name}` is a word that CEL keeps for itself"),
                    ));
                }
                tree(at, 0, Part::Name(name))
            }
            _ => {
                self.next -= 1;
                Err(self.unexpected())
            }
        }
    }

    fn list(&mut self, at: usize) -> Parsed<Tree> {
        let mut items = Vec::new();
        while self.take("]").is_none() {
            let optional = self.take("?").is_some();
            items.push(Item { tree: self.expression()?, optional });
            if self.take(",").is_none() {
                self.expect("]")?;
                break;
            }
        }
        let depth = items.iter().map(|item| item.tree.depth).max().unwrap_or(0);
        tree(at, depth, Part::List(items))
    }

    fn map(&mut self, at: usize) -> Parsed<Tree> {
        let mut entries = Vec::new();
        while self.take("}").is_none() {
            let optional = self.take("?").is_some();
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, Item { tree: self.expression()?, optional }));
            if self.take(",").is_none() {
                self.expect("}")?;
                break;
            }
        }
        let depth = entries.iter().map(|(key, item)| key.depth.max(item.tree.depth)).max().unwrap_or(0);
        tree(at, depth, Part::Map(entries))
    }
}

/// A part above others of that depth.
fn tree(at: usize, below: usize, part: Part) -> Parsed<Tree> {
    if below == limits::DEPTH {
        return Err(SyntaxFault::Deep);
    }
    Ok(Tree { at, depth: below + 1, part })
}

/// The name with dots that the part is, if it is one.
pub(crate) fn dotted(tree: &Tree) -> Option<String> {
    match &tree.part {
        Part::Name(name) => Some(name.clone()),
        Part::Field { of, name, optional: false } => Some(format!("{}.{name}", dotted(of)?)),
        _ => None,
    }
}
