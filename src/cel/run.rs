//! The evaluation of a compiled expression, within its budget.

mod loops;

use super::budget::{Answer, Budget, Fault, mismatch};
use super::globals::{Global, Globals};
use super::library::{Signature, call};
use super::limits;
use super::operators::overflow;
use super::parse::Operator;
use super::pattern::Pattern;
use super::types::Kind;
use super::value::{Key, Val};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An expression that is ready to be evaluated.
#[derive(Debug, Clone)]
pub(crate) enum Code {
    Value(Val<'static>),
    Global(Global),
    /// The variable of a loop that stands around: the outermost loop's is the first.
    Local(usize),
    /// One of the rule's own variables.
    Variable(usize),
    Field {
        of: Box<Code>,
        name: Arc<str>,
        optional: bool,
    },
    Has {
        of: Box<Code>,
        name: Arc<str>,
    },
    Index {
        of: Box<Code>,
        key: Box<Code>,
        optional: bool,
    },
    Not(Box<Code>),
    Negate(Box<Code>),
    And(Vec<Code>),
    Or(Vec<Code>),
    Two(Operator, Box<Code>, Box<Code>),
    Choice(Box<[Code; 3]>),
    /// Items, and whether each is left out where it is an optional without a value.
    List(Vec<(Code, bool)>),
    Map(Vec<(Code, Code, bool)>),
    Call(Box<Call>),
    Loop(Box<Loop>),
    /// `or` and `orValue`: the other is evaluated only where there is no value.
    Otherwise {
        optional: Box<Code>,
        other: Box<Code>,
        unwrap: bool,
    },
    /// `optMap` and `optFlatMap`.
    OptMap {
        optional: Box<Code>,
        value: Box<Code>,
        flat: bool,
    },
}

/// A call of a function.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// What it is called.
    pub(crate) name: &'static str,
    /// Those of that name which it may be.
    pub(crate) signatures: Vec<&'static Signature>,
    /// What it is called on, if anything, and with.
    pub(crate) args: Vec<Code>,
    /// The regular expression, where it is a constant.
    pub(crate) pattern: Option<Arc<Pattern>>,
}

/// A macro that goes through a list or a map.
#[derive(Debug, Clone)]
pub(crate) struct Loop {
    pub(crate) what: LoopKind,
    /// What it is called, for messages.
    pub(crate) name: &'static str,
    pub(crate) over: Code,
    /// Whether it has a variable for the index or key before that for the item or value.
    pub(crate) two: bool,
    /// What an item must meet.
    pub(crate) condition: Option<Code>,
    /// What is made of an item.
    pub(crate) value: Option<Code>,
}

/// What comes of a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    List,
    /// A map with the same keys.
    Values,
    /// A map that is put together from maps.
    Entries,
    /// The list in the order of what is made of its items.
    Sorted,
}

/// One evaluation of a rule's expressions on one object.
pub(crate) struct Run<'r> {
    globals: &'r dyn Globals<'r>,
    variables: &'r [(String, Code)],
    values: Vec<Option<Answer<'r>>>,
    locals: Vec<Val<'r>>,
    budget: Budget,
}

impl<'r> Run<'r> {
    /// One that may take so many steps.
    pub(crate) fn new(globals: &'r dyn Globals<'r>, variables: &'r [(String, Code)], steps: u64) -> Self {
        Self {
            globals,
            variables,
            values: vec![None; variables.len()],
            locals: Vec::new(),
            budget: Budget::new(steps),
        }
    }

    /// The steps that are left.
    pub(crate) fn left(&self) -> u64 {
        self.budget.left()
    }

    /// Evaluates it.
    ///
    /// # Errors
    /// Why that cannot be.
    pub(crate) fn eval(&mut self, code: &'r Code) -> Answer<'r> {
        self.budget.charge(1)?;
        match code {
            Code::Value(value) => Ok(value.clone()),
            Code::Global(global) => self.globals.global(*global).map_err(Fault::new),
            Code::Local(index) => {
                self.locals.get(*index).cloned().ok_or_else(|| Fault::new("a loop has lost its variable"))
            }
            Code::Variable(index) => self.variable(*index),
            Code::Field { of, name, optional } => {
                let on = self.eval(of)?;
                self.field(&on, name, *optional)
            }
            Code::Has { of, name } => {
                let on = self.eval(of)?;
                self.has(&on, name).map(Val::Bool)
            }
            Code::Index { of, key, optional } => {
                let (on, key) = (self.eval(of)?, self.eval(key)?);
                self.index(&on, &key, *optional)
            }
            Code::Not(of) => match self.eval(of)? {
                Val::Bool(truth) => Ok(Val::Bool(!truth)),
                other => Err(mismatch("`!`", &[&other])),
            },
            Code::Negate(of) => match self.eval(of)? {
                Val::Int(number) => number.checked_neg().map(Val::Int).ok_or_else(|| overflow("-")),
                Val::Double(number) => Ok(Val::Double(-number)),
                other => Err(mismatch("`-`", &[&other])),
            },
            Code::And(terms) => self.decide(terms, false, "`&&`"),
            Code::Or(terms) => self.decide(terms, true, "`||`"),
            Code::Two(operator, left, right) => {
                let (left, right) = (self.eval(left)?, self.eval(right)?);
                self.budget.two(*operator, left, right)
            }
            Code::Choice(parts) => {
                let [condition, yes, no] = parts.as_ref();
                match self.eval(condition)? {
                    Val::Bool(true) => self.eval(yes),
                    Val::Bool(false) => self.eval(no),
                    other => Err(mismatch("`? :`", &[&other])),
                }
            }
            Code::List(items) => {
                let mut made = Vec::with_capacity(items.len());
                for (item, optional) in items {
                    match (self.eval(item)?, optional) {
                        (Val::Optional(None), true) => {}
                        (Val::Optional(Some(inside)), true) => made.push((*inside).clone()),
                        (other, true) => return Err(mismatch("`?` in a list", &[&other])),
                        (value, false) => made.push(value),
                    }
                }
                Ok(Val::list(made))
            }
            Code::Map(entries) => self.map(entries),
            Code::Call(call) => self.call(call),
            Code::Loop(parts) => self.go_through(parts),
            Code::Otherwise { optional, other, unwrap } => match (self.eval(optional)?, *unwrap) {
                (Val::Optional(None), true) => self.eval(other),
                (Val::Optional(None), false) => match self.eval(other)? {
                    other @ Val::Optional(_) => Ok(other),
                    other => Err(mismatch("`or`", &[&other])),
                },
                (Val::Optional(Some(inside)), true) => Ok((*inside).clone()),
                (some @ Val::Optional(Some(_)), false) => Ok(some),
                (other, true) => Err(not_optional("orValue", &other)),
                (other, false) => Err(not_optional("or", &other)),
            },
            Code::OptMap { optional, value, flat } => {
                let name = if *flat { "optFlatMap" } else { "optMap" };
                match self.eval(optional)? {
                    Val::Optional(None) => Ok(Val::Optional(None)),
                    Val::Optional(Some(inside)) => {
                        self.locals.push((*inside).clone());
                        let made = self.eval(value);
                        self.locals.pop();
                        match (made?, flat) {
                            (made, false) => Ok(Val::some(made)),
                            (made @ Val::Optional(_), true) => Ok(made),
                            (other, true) => Err(mismatch("`optFlatMap`", &[&other])),
                        }
                    }
                    other => Err(not_optional(name, &other)),
                }
            }
        }
    }

    /// The value of one of the rule's variables, evaluated when it is first needed.
    fn variable(&mut self, index: usize) -> Answer<'r> {
        if let Some(Some(known)) = self.values.get(index) {
            return known.clone();
        }
        let variables = self.variables;
        let Some((_, code)) = variables.get(index) else {
            return Err(Fault::new("there is no such variable"));
        };
        // It does not see the loops of the expression that uses it.
        let locals = std::mem::take(&mut self.locals);
        let value = self.eval(code);
        self.locals = locals;
        if let Some(place) = self.values.get_mut(index) {
            *place = Some(value.clone());
        }
        value
    }

    fn field(&mut self, on: &Val<'r>, name: &Arc<str>, optional: bool) -> Answer<'r> {
        self.budget.look_up(on)?;
        match on {
            Val::Optional(None) => Ok(Val::Optional(None)),
            // What is in it must have fields; that this one is absent makes it an optional without a value.
            Val::Optional(Some(inside))
                if optional || matches!(inside.kind(), Kind::Map | Kind::Optional) =>
            {
                self.field(inside, name, true)
            }
            map if map.kind() == Kind::Map => match (map.field(name), optional) {
                (found, true) => Ok(Val::Optional(found.map(Arc::new))),
                (Some(found), false) => Ok(found),
                (None, false) => Err(Fault::new(format!("there is no field `{name}`"))),
            },
            _ if optional => Ok(Val::Optional(None)),
            other => Err(mismatch(&format!("`.{name}`"), &[other])),
        }
    }

    fn has(&mut self, on: &Val<'r>, name: &Arc<str>) -> Result<bool, Fault> {
        self.budget.look_up(on)?;
        match on {
            Val::Optional(None) => Ok(false),
            Val::Optional(Some(inside)) => self.has(inside, name),
            map if map.kind() == Kind::Map => Ok(map.field(name).is_some()),
            other => Err(Fault::new(format!("needs a map in has(…), not {}", other.kind().name()))),
        }
    }

    fn index(&mut self, on: &Val<'r>, key: &Val<'r>, optional: bool) -> Answer<'r> {
        self.budget.look_up(on)?;
        let found = match (on, on.kind()) {
            (Val::Optional(None), _) => return Ok(Val::Optional(None)),
            (Val::Optional(Some(inside)), _)
                if optional || matches!(inside.kind(), Kind::Map | Kind::List | Kind::Optional) =>
            {
                return self.index(inside, key, true);
            }
            (_, Kind::Map) => on.entry(key),
            (_, Kind::List) => {
                let index = match key {
                    Val::Int(number) => usize::try_from(*number).ok(),
                    Val::Uint(number) => usize::try_from(*number).ok(),
                    Val::Double(number) if number.fract() == 0.0 && (0.0..9e15).contains(number) => {
                        Some(*number as usize)
                    }
                    Val::Double(_) => None,
                    other => return Err(mismatch("`[…]` behind a list", &[other])),
                };
                index.and_then(|index| on.item(index))
            }
            _ if optional => None,
            _ => return Err(mismatch("`[…]`", &[on, key])),
        };
        match (found, optional) {
            (found, true) => Ok(Val::Optional(found.map(Arc::new))),
            (Some(found), false) => Ok(found),
            (None, false) => Err(Fault::new(match (on.kind(), key) {
                (Kind::List, key) => format!("there is no item {} in the list", shown(key)),
                (_, Val::Text(text)) => format!("there is no field `{}`", &**text),
                (_, key) => format!("there is no key {} in the map", shown(key)),
            })),
        }
    }

    /// `&&` and `||`: the first that is `sought` decides. A fault of another counts only where none decides.
    fn decide(&mut self, terms: &'r [Code], sought: bool, name: &str) -> Answer<'r> {
        let mut fault = None;
        for term in terms {
            match self.eval(term) {
                Ok(Val::Bool(truth)) if truth == sought => return Ok(Val::Bool(sought)),
                Ok(Val::Bool(_)) => {}
                Ok(other) => {
                    fault.get_or_insert_with(|| mismatch(name, &[&other]));
                }
                Err(error) => {
                    fault.get_or_insert(error);
                }
            }
        }
        fault.map_or(Ok(Val::Bool(!sought)), Err)
    }

    fn map(&mut self, entries: &'r [(Code, Code, bool)]) -> Answer<'r> {
        let mut made = BTreeMap::new();
        for (key, value, optional) in entries {
            let key = self.eval(key)?;
            let value = match (self.eval(value)?, optional) {
                (Val::Optional(None), true) => continue,
                (Val::Optional(Some(inside)), true) => (*inside).clone(),
                (other, true) => return Err(mismatch("`?` in a map", &[&other])),
                (value, false) => value,
            };
            self.put(&mut made, &key, value)?;
        }
        Ok(Val::Map(Arc::new(made)))
    }

    fn put(&mut self, map: &mut BTreeMap<Key, Val<'r>>, key: &Val<'r>, value: Val<'r>) -> Result<(), Fault> {
        self.budget.charge(limits::ITEM + key.weight())?;
        let made = Key::of(key).filter(|_| key.kind() != Kind::Double);
        let made =
            made.ok_or_else(|| Fault::new(format!("{} cannot be the key of a map", key.kind().name())))?;
        match map.insert(made, value) {
            Some(_) => Err(Fault::new(format!("the map has the key {} twice", shown(key)))),
            None => Ok(()),
        }
    }

    fn call(&mut self, made: &'r Call) -> Answer<'r> {
        let mut args = Vec::with_capacity(made.args.len());
        for arg in &made.args {
            args.push(self.eval(arg)?);
        }
        let fits = |signature: &&&Signature| signature.takes(&args);
        match made.signatures.iter().find(fits) {
            Some(signature) => call(&mut self.budget, signature, made.pattern.as_deref(), &args),
            None => {
                let values: Vec<&Val<'_>> = args.iter().collect();
                Err(mismatch(&format!("`{}`", made.name), &values))
            }
        }
    }
}

fn not_optional(name: &str, value: &Val<'_>) -> Fault {
    Fault::new(format!(
        "`{name}` is called on {}, which is no optional: write .?field or optional.of(…) before it",
        value.kind().name()
    ))
}

/// A value in a message.
fn shown(value: &Val<'_>) -> Cow<'static, str> {
    match value {
        Val::Int(number) => number.to_string().into(),
        Val::Uint(number) => number.to_string().into(),
        Val::Double(number) => number.to_string().into(),
        Val::Bool(truth) => truth.to_string().into(),
        Val::Text(text) => format!("{:?}", text.chars().take(60).collect::<String>()).into(),
        other => other.kind().name().into(),
    }
}
