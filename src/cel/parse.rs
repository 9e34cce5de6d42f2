//! An expression's text → its tree. The parser is our own because that of the library evaluates `!!x` as `!x`, takes twice
//! as long for each further `!!(`, needs 200 KiB of stack for a level, and forgets where what it read stands.

mod lexer;

use super::limits;
use super::value::Val;
pub(crate) use lexer::unescape;
use lexer::{Lexer, RESERVED, Token};
use std::fmt;

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
/// The names in an expression that are none of fields, each with its place; nothing where it cannot be read.
pub(crate) fn names(text: &str) -> Option<Vec<(usize, String)>> {
    let tokens = Lexer { text, at: 0 }.all().ok()?;
    let is = |at: Option<usize>, symbol: &'static str| {
        at.and_then(|at| tokens.get(at)).is_some_and(|(_, token)| *token == Token::Symbol(symbol))
    };
    let is_field = |at: usize| {
        let (one, two) = (at.checked_sub(1), at.checked_sub(2));
        is(one, ".") || (is(one, "?") && is(two, "."))
    };
    let named = tokens.iter().enumerate().filter(|(at, _)| !is_field(*at));
    Some(
        named
            .filter_map(|(_, (at, token))| match token {
                Token::Name(name) => Some((*at, name.clone())),
                _ => None,
            })
            .collect(),
    )
}
