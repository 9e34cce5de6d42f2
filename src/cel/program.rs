//! An expression's tree → what is evaluated: names are resolved, macros become loops, and what can never be right is
//! refused with the place where it stands.

mod calls;
mod kinds;
mod macros;

use super::globals::{GLOBALS, Global, Globals};
use super::library::FUNCTIONS;
use super::limits;
use super::parse::{Item, Operator, Part, SyntaxFault, Tree, dotted, parse, unescape};
use super::reads::{Reads, reads};
use super::run::{Call, Code};
use super::types::{Kind, Record, TYPE_NAMES, Type};
use super::value::Val;
use crate::model::{did_you_mean_code, nearest};
use kinds::{inside, sum};

/// The map of the rule's own variables.
pub(crate) const VARIABLES: &str = "variables";

/// An expression that is ready to be evaluated.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// What is evaluated.
    pub(crate) code: Code,
    /// What it comes to, as far as that shows without evaluating it.
    pub(crate) kind: Type,
    /// How deep its evaluation goes, the variables that it uses included.
    pub(crate) depth: usize,
    /// Whether it reads the request.
    pub(crate) reads_request: bool,
    /// What it reads of the object itself.
    pub(crate) reads: Reads,
}

/// A variable that an expression can use.
#[derive(Debug, Clone)]
pub(crate) struct Known<'v> {
    /// Its name.
    pub(crate) name: &'v str,
    /// What it comes to.
    pub(crate) kind: Type,
    /// How deep its evaluation goes.
    pub(crate) depth: usize,
}

/// Compiles an expression, which can use these variables.
///
/// # Errors
/// Every fault that shows without evaluating it, as a fragment with the line and column.
pub(crate) fn compile(text: &str, variables: &[Known<'_>]) -> Result<Program, Vec<String>> {
    compile_within(text, variables, &[])
}

/// Compiles an expression around which these variables stand, as those of a loop do.
///
/// # Errors
/// As [`compile`].
pub(crate) fn compile_within(
    text: &str,
    variables: &[Known<'_>],
    around: &[(&str, Type)],
) -> Result<Program, Vec<String>> {
    if text.len() > limits::LENGTH {
        return Err(vec![format!(
            "is {} bytes long, and {} is the limit: split it into `variables` or rules",
            text.len(),
            limits::LENGTH
        )]);
    }
    compile_with(text, variables, around, limits::LOOPS)
}

/// Compiles an expression of any length, with loops as deep as they may be: what is written for an API server.
///
/// # Errors
/// As [`compile`].
#[cfg(test)]
pub(crate) fn compile_own(text: &str) -> Result<Program, Vec<String>> {
    compile_with(text, &[], &[], usize::MAX)
}

fn compile_with(
    text: &str,
    variables: &[Known<'_>],
    around: &[(&str, Type)],
    loops: usize,
) -> Result<Program, Vec<String>> {
    let tree = parse(text).map_err(|fault| vec![syntax(text, fault)])?;
    let reads = reads(&tree);
    let scope = around.iter().map(|(name, kind)| ((*name).to_owned(), kind.clone())).collect();
    let mut lowering = Lowering {
        text,
        variables,
        scope,
        loops_left: loops,
        level: 0,
        deepest: 0,
        reads_request: false,
        faults: Vec::new(),
    };
    let (code, kind) = lowering.lower(tree);
    if !lowering.faults.is_empty() {
        lowering.faults.dedup();
        return Err(lowering.faults);
    }
    let depth = lowering.deepest;
    if depth > limits::DEPTH {
        return Err(vec![too_deep()]);
    }
    Ok(Program { code, kind, depth, reads_request: lowering.reads_request, reads })
}

fn too_deep() -> String {
    format!(
        "is more than {} steps deep, counting the variables that it uses: shorten its chains of fields or operators",
        limits::DEPTH
    )
}

fn syntax(text: &str, fault: SyntaxFault) -> String {
    match fault {
        SyntaxFault::Here(at, message) => {
            let (line, column) = position(text, at);
            format!("failed to parse it at line {line}, column {column}: {message}")
        }
        SyntaxFault::Nested => {
            format!("nests more than {} levels deep: split it into `variables`", limits::NESTING)
        }
        SyntaxFault::Deep => too_deep(),
    }
}

/// Nothing is seen by a call that is tried when the policy is loaded.
struct Nothing;

impl<'r> Globals<'r> for Nothing {
    fn global(&self, _: Global) -> Result<Val<'r>, String> {
        Ok(Val::Null)
    }
}

struct Lowering<'t> {
    text: &'t str,
    variables: &'t [Known<'t>],
    /// The variables of the loops that stand around.
    scope: Vec<(String, Type)>,
    /// How many more may stand inside.
    loops_left: usize,
    level: usize,
    deepest: usize,
    reads_request: bool,
    faults: Vec<String>,
}

type Lowered = (Code, Type);

const NOTHING: Lowered = (Code::Value(Val::Null), Type::Dyn);

impl Lowering<'_> {
    fn fault(&mut self, at: usize, message: &str) {
        let (line, column) = position(self.text, at);
        self.faults.push(format!("{message} (line {line}, column {column})"));
    }

    fn lower(&mut self, tree: Tree) -> Lowered {
        self.level += 1;
        self.deepest = self.deepest.max(self.level);
        let lowered = self.part(tree.at, tree.part);
        self.level -= 1;
        lowered
    }

    fn boxed(&mut self, tree: Tree) -> (Box<Code>, Type) {
        let (code, kind) = self.lower(tree);
        (Box::new(code), kind)
    }

    fn part(&mut self, at: usize, part: Part) -> Lowered {
        match part {
            Part::Value(value) => {
                let kind = value.kind().into();
                (Code::Value(value), kind)
            }
            Part::Name(name) => self.name(at, &name),
            Part::Field { of, name, optional } => self.field(at, *of, &name, optional),
            Part::Index { of, key, optional } => self.index(at, *of, *key, optional),
            Part::Call { on, name, args } => self.call(at, on.map(|on| *on), &name, args),
            Part::List(items) => {
                let mut kinds = Vec::new();
                let items = items.into_iter().map(|Item { tree, optional }| {
                    let (code, kind) = self.lower(tree);
                    kinds.push(if optional { inside(kind) } else { kind });
                    (code, optional)
                });
                let items = items.collect();
                (Code::List(items), Type::list(Type::of_all(kinds)))
            }
            Part::Map(entries) => {
                let mut kinds = Vec::new();
                let entries = entries.into_iter().map(|(key, Item { tree, optional })| {
                    let (key, _) = self.lower(key);
                    let (value, kind) = self.lower(tree);
                    kinds.push(if optional { inside(kind) } else { kind });
                    (key, value, optional)
                });
                let entries = entries.collect();
                (Code::Map(entries), Type::Map(Box::new(Type::of_all(kinds))))
            }
            Part::Message(name) => {
                self.fault(
                    at,
                    &format!("`{name}{{…}}` makes a message, of which there are none: write a map"),
                );
                NOTHING
            }
            Part::Not(of) => {
                let (of, kind) = self.boxed(*of);
                self.want(at, "`!`", &kind, Kind::Bool);
                (Code::Not(of), Kind::Bool.into())
            }
            Part::Negate(of) => {
                let (of, kind) = self.boxed(*of);
                if !kind.may_be(Kind::Int) && !kind.may_be(Kind::Double) {
                    self.fault(at, &format!("`-` does not take {kind}"));
                }
                (Code::Negate(of), kind)
            }
            Part::And(terms) => (Code::And(self.terms(at, "`&&`", terms)), Kind::Bool.into()),
            Part::Or(terms) => (Code::Or(self.terms(at, "`||`", terms)), Kind::Bool.into()),
            Part::Two(operator, left, right) => self.two(at, operator, *left, *right),
            Part::Choice(parts) => {
                let [condition, yes, no] = *parts;
                let (condition, kind) = self.lower(condition);
                self.want(at, "`? :`", &kind, Kind::Bool);
                let ((yes, one), (no, other)) = (self.lower(yes), self.lower(no));
                (Code::Choice(Box::new([condition, yes, no])), one.or(other))
            }
        }
    }

    /// Whether a value of that type may be what is wanted; a fault where not.
    fn want(&mut self, at: usize, what: &str, kind: &Type, wanted: Kind) {
        if !kind.may_be(wanted) {
            self.fault(at, &format!("{what} takes {}, not {kind}", wanted.name()));
        }
    }

    fn terms(&mut self, at: usize, what: &str, terms: Vec<Tree>) -> Vec<Code> {
        let lowered = terms.into_iter().map(|term| {
            let (code, kind) = self.lower(term);
            self.want(at, what, &kind, Kind::Bool);
            code
        });
        lowered.collect()
    }

    fn bound(&self, name: &str) -> Option<usize> {
        self.scope.iter().rposition(|(bound, _)| bound == name)
    }

    fn name(&mut self, at: usize, name: &str) -> Lowered {
        let (local, name) = match name.strip_prefix('.') {
            Some(name) => (None, name),
            None => (self.bound(name), name),
        };
        if let Some((index, (_, kind))) = local.and_then(|index| Some((index, self.scope.get(index)?))) {
            return (Code::Local(index), kind.clone());
        }
        if let Some((_, global)) = GLOBALS.iter().find(|(global, _)| *global == name) {
            self.reads_request |= *global == Global::Request;
            return (Code::Global(*global), global.kind());
        }
        if let Some((name, _)) = TYPE_NAMES.iter().find(|(known, _)| *known == name) {
            return (Code::Value(Val::Type((*name).into())), Kind::Type.into());
        }
        if name == VARIABLES {
            self.fault(at, "`variables` is not a value: write variables.<name>");
            return NOTHING;
        }
        let globals: Vec<&str> = GLOBALS.iter().map(|(name, _)| *name).collect();
        let mut known = globals.clone();
        known.extend(self.scope.iter().map(|(name, _)| name.as_str()));
        let hint = match did_you_mean_code(name, &known) {
            Some(meant) => meant,
            None if self.variables.iter().any(|known| known.name == name) => {
                format!("write variables.{name}")
            }
            None => format!("there are {} and variables.<name>", globals.join(", ")),
        };
        self.fault(at, &format!("unknown variable `{name}`: {hint}"));
        NOTHING
    }

    fn field(&mut self, at: usize, of: Tree, name: &str, optional: bool) -> Lowered {
        if is_variables(&of) && self.bound(VARIABLES).is_none() {
            let (code, kind) = self.variable(at, name);
            return match optional {
                // It is there, or it is a fault already.
                true => (optional_of(code), Type::optional(kind)),
                false => (code, kind),
            };
        }
        if let Some(dotted) = dotted(&of)
            && let Some((name, _)) = TYPE_NAMES.iter().find(|(known, _)| *known == format!("{dotted}.{name}"))
        {
            return (Code::Value(Val::Type((*name).into())), Kind::Type.into());
        }
        let (of, on) = self.boxed(of);
        let name = unescape(name);
        let kind = self.field_kind(at, &on, &name, optional);
        (Code::Field { of, name: name.into(), optional }, kind)
    }

    /// The type of a field of what has that type.
    fn field_kind(&mut self, at: usize, on: &Type, name: &str, optional: bool) -> Type {
        let kind = match on {
            Type::Dyn => Type::Dyn,
            Type::Map(value) => (**value).clone(),
            Type::Record(record) => self.field_of(at, record, name),
            Type::Optional(inside) => return Type::optional(self.field_kind(at, inside, name, false)),
            other => {
                self.fault(at, &format!("{other} has no field `{name}`"));
                Type::Dyn
            }
        };
        if optional { Type::optional(kind) } else { kind }
    }

    fn field_of(&mut self, at: usize, record: &Record, name: &str) -> Type {
        if let Some((_, shape)) = record.fields.iter().find(|(known, _)| *known == name) {
            return (*shape).into();
        }
        let known: Vec<&str> = record.fields.iter().map(|(name, _)| *name).collect();
        let hint = did_you_mean_code(name, &known).unwrap_or_else(|| format!("it has {}", known.join(", ")));
        self.fault(at, &format!("{} has no field `{name}`: {hint}", record.name));
        Type::Dyn
    }

    fn variable(&mut self, at: usize, name: &str) -> Lowered {
        if let Some(index) = self.variables.iter().position(|known| known.name == name)
            && let Some(known) = self.variables.get(index)
        {
            self.deepest = self.deepest.max(self.level + known.depth);
            return (Code::Variable(index), known.kind.clone());
        }
        let known: Vec<&str> = self.variables.iter().map(|known| known.name).collect();
        let hint = match nearest(name, &known) {
            Some(near) => format!("did you mean variables.{near}?"),
            None if known.is_empty() => "no variable stands before this expression".to_owned(),
            None => format!("those before this expression are {}", known.join(", ")),
        };
        self.fault(at, &format!("unknown variable `variables.{name}`: {hint}"));
        NOTHING
    }

    fn index(&mut self, at: usize, of: Tree, key: Tree, optional: bool) -> Lowered {
        let name = match &key.part {
            Part::Value(Val::Text(name)) => Some(name.to_string()),
            _ => None,
        };
        let (of, on) = self.boxed(of);
        let (key, key_kind) = self.boxed(key);
        let kind = self.index_kind(at, &on, &key_kind, name.as_deref(), optional);
        (Code::Index { of, key, optional }, kind)
    }

    fn index_kind(&mut self, at: usize, on: &Type, key: &Type, name: Option<&str>, optional: bool) -> Type {
        let kind = match on {
            Type::Optional(inside) => return Type::optional(self.index_kind(at, inside, key, name, false)),
            Type::List(item) => {
                self.want(at, "`[…]` behind a list", key, Kind::Number);
                (**item).clone()
            }
            Type::Map(value) => (**value).clone(),
            Type::Record(record) => match name {
                Some(name) => self.field_of(at, record, name),
                None => Type::Dyn,
            },
            Type::Dyn => Type::Dyn,
            other => {
                self.fault(at, &format!("`[…]` does not take {other}"));
                Type::Dyn
            }
        };
        if optional { Type::optional(kind) } else { kind }
    }

    fn two(&mut self, at: usize, operator: Operator, left: Tree, right: Tree) -> Lowered {
        let ((left, one), (right, other)) = (self.boxed(left), self.boxed(right));
        let code = Code::Two(operator, left, right);
        let unlike = |this: &mut Self| {
            this.fault(at, &format!("`{operator}` does not take {one} and {other}"));
        };
        match operator {
            Operator::Equal | Operator::Unequal => {
                if !one.may_equal(&other) {
                    let why = match one.kind() == other.kind() {
                        true => "what is in them is never equal".to_owned(),
                        false => format!("{one} and {other} are never equal"),
                    };
                    self.fault(at, &format!("`{operator}` does not take these two: {why}"));
                }
                (code, Kind::Bool.into())
            }
            Operator::In => {
                match &other {
                    Type::Dyn | Type::Map(_) | Type::Record(_) => {}
                    Type::List(item) if item.may_equal(&one) => {}
                    _ => unlike(self),
                }
                (code, Kind::Bool.into())
            }
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                let ordered = [Kind::Number, Kind::Bool, Kind::Text, Kind::Bytes, Kind::Span, Kind::Time];
                if !ordered.iter().any(|kind| one.may_be(*kind) && other.may_be(*kind)) {
                    unlike(self);
                }
                (code, Kind::Bool.into())
            }
            _ => match sum(operator, &one, &other) {
                Some(kind) => (code, kind),
                None => {
                    unlike(self);
                    (code, Type::Dyn)
                }
            },
        }
    }
}

fn optional_of(code: Code) -> Code {
    let signatures = FUNCTIONS.iter().filter(|signature| signature.name == "optional.of").collect();
    Code::Call(Box::new(Call { name: "optional.of", signatures, args: vec![code], pattern: None }))
}

fn names(kinds: &[Kind]) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    names.join(" and ")
}

fn is_variables(tree: &Tree) -> bool {
    matches!(&tree.part, Part::Name(name) if name == VARIABLES)
}

/// The line and column of a place in bytes, both from 1 and the column in characters.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    (line, before.chars().rev().take_while(|c| *c != '\n').count() + 1)
}
