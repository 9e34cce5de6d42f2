//! An expression's tree → what is evaluated: names are resolved, macros become loops, and what can never be right is
//! refused with the place where it stands.

use super::globals::{GLOBALS, Global, Globals};
use super::library::{FUNCTIONS, Gives, Signature};
use super::limits;
use super::parse::{Item, Operator, Part, SyntaxFault, Tree, dotted, parse};
use super::pattern::Pattern;
use super::reads::{Reads, reads};
use super::run::{Call, Code, Fault, Loop, LoopKind, Run};
use super::time;
use super::types::{Kind, Record, TYPE_NAMES, Type};
use super::value::Val;
use crate::model::nearest;
use std::sync::Arc;

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
    let tree = parse(text).map_err(|fault| vec![syntax(text, fault)])?;
    let reads = reads(&tree);
    let scope = around.iter().map(|(name, kind)| ((*name).to_owned(), kind.clone())).collect();
    let mut lowering = Lowering {
        text,
        variables,
        scope,
        loops: 0,
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
    loops: usize,
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
        let hint = match nearest(name, &known) {
            Some(near) => format!("did you mean `{near}`?"),
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
        let hint = match nearest(name, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has {}", known.join(", ")),
        };
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

    fn call(&mut self, at: usize, on: Option<Tree>, name: &str, args: Vec<Tree>) -> Lowered {
        let Some(on) = on else {
            return match (name, <[Tree; 1]>::try_from(args)) {
                ("has", Ok([Tree { part: Part::Field { of, name, optional: false }, at, .. }])) => {
                    self.has(at, *of, &name)
                }
                ("has", _) => {
                    self.fault(at, "has(…) takes one field, such as has(object.spec)");
                    NOTHING
                }
                (_, Ok([arg])) => self.function(at, name, None, vec![arg]),
                (_, Err(args)) => self.function(at, name, None, args),
            };
        };
        if let Part::Name(prefix) = &on.part
            && self.bound(prefix).is_none()
        {
            let qualified = format!("{prefix}.{name}");
            if FUNCTIONS.iter().any(|signature| signature.name == qualified) {
                return self.function(at, &qualified, None, args);
            }
        }
        if let Some((name, what, two)) = loop_of(name, args.len()) {
            return self.repeat(at, name, what, two, on, args);
        }
        match (name, args.len()) {
            ("optMap" | "optFlatMap", 2) => self.opt_map(at, name, on, args),
            ("or" | "orValue", 1) => self.otherwise(at, name, on, args),
            _ => self.function(at, name, Some(on), args),
        }
    }

    fn has(&mut self, at: usize, of: Tree, name: &str) -> Lowered {
        if is_variables(&of) && self.bound(VARIABLES).is_none() {
            self.variable(at, name);
            return (Code::Value(Val::Bool(true)), Kind::Bool.into());
        }
        let (of, on) = self.boxed(of);
        let name = unescape(name);
        self.field_kind(at, &on, &name, false);
        (Code::Has { of, name: name.into() }, Kind::Bool.into())
    }

    /// A call of a function that is none of the language's own.
    fn function(&mut self, at: usize, name: &str, on: Option<Tree>, args: Vec<Tree>) -> Lowered {
        let method = on.is_some();
        let before = self.faults.len();
        let mut codes = Vec::new();
        let mut kinds = Vec::new();
        for tree in on.into_iter().chain(args) {
            let (code, kind) = self.lower(tree);
            codes.push(code);
            kinds.push(kind);
        }
        // What it is called with is no call of anything yet.
        if self.faults.len() > before {
            return NOTHING;
        }
        let named: Vec<&Signature> = FUNCTIONS.iter().filter(|signature| signature.name == name).collect();
        let Some(first) = named.first() else {
            self.unknown_function(at, name);
            return NOTHING;
        };
        let name = first.name;
        let styled: Vec<_> = named.into_iter().filter(|signature| signature.method == method).collect();
        if styled.is_empty() {
            let right = if method { format!("{name}(…)") } else { format!("x.{name}(…)") };
            self.fault(at, &format!("`{name}` is not called like this: write {right}"));
            return NOTHING;
        }
        let counted: Vec<_> = styled.iter().copied().filter(|it| it.takes_count(codes.len())).collect();
        if counted.is_empty() {
            let base = usize::from(method);
            let mut counts: Vec<String> =
                styled.iter().map(|it| (it.takes.len() - base).to_string()).collect();
            counts.sort();
            counts.dedup();
            let message = format!(
                "`{name}` takes {} arguments, and here are {}",
                counts.join(" or "),
                codes.len() - base
            );
            self.fault(at, &message);
            return NOTHING;
        }
        let fits = |signature: &&&Signature| {
            kinds.iter().enumerate().all(|(index, kind)| kind.may_be(signature.wanted(index)))
        };
        let signatures: Vec<&'static Signature> = counted.iter().filter(fits).copied().collect();
        if signatures.is_empty() {
            let given: Vec<String> = kinds.iter().map(Type::to_string).collect();
            let wanted: Vec<String> = counted.iter().map(|it| names(it.takes)).collect();
            let message = format!("`{name}` takes {}, not {}", wanted.join(" or "), given.join(" and "));
            self.fault(at, &message);
            return NOTHING;
        }
        let kind = Type::of_all(signatures.iter().map(|signature| gives(signature.gives, &kinds)));
        let pattern = self.constants(at, name, &signatures, &codes);
        (Code::Call(Box::new(Call { name, signatures, args: codes, pattern })), kind)
    }

    fn unknown_function(&mut self, at: usize, name: &str) {
        let mut known: Vec<&str> = FUNCTIONS.iter().map(|signature| signature.name).collect();
        known.extend(MACROS.iter().map(|(name, ..)| *name));
        known.extend(["has", "or", "orValue", "optMap", "optFlatMap"]);
        let hint = match nearest(name, &known) {
            Some(near) if near == name => "it takes another number of arguments".to_owned(),
            Some(near) => format!("did you mean `{near}`?"),
            None => "it is none of CEL's or Kubernetes'".to_owned(),
        };
        self.fault(at, &format!("unknown function `{name}`: {hint}"));
    }

    /// Evaluates at once what has but constants in it, so that a bad regular expression, quantity or date is told when
    /// the policy is loaded. Comes to the regular expression, if it is one.
    fn constants(
        &mut self,
        at: usize,
        name: &'static str,
        signatures: &[&'static Signature],
        args: &[Code],
    ) -> Option<Arc<Pattern>> {
        let outcome = match args {
            [_, Code::Value(Val::Text(pattern)), ..]
                if signatures.iter().all(|signature| signature.searches()) =>
            {
                match Pattern::compile(pattern) {
                    Ok((pattern, _)) => return Some(Arc::new(pattern)),
                    Err(message) => Err(Fault::new(message)),
                }
            }
            [_, Code::Value(Val::Text(zone))]
                if signatures.iter().all(|it| it.takes == [Kind::Time, Kind::Text]) =>
            {
                time::offset(zone).map(|_| ())
            }
            args if TRIED.contains(&name) && args.iter().all(|arg| matches!(arg, Code::Value(_))) => {
                let call = Call { name, signatures: signatures.to_vec(), args: args.to_vec(), pattern: None };
                let code = Code::Call(Box::new(call));
                Run::new(&Nothing, &[], limits::STEPS).eval(&code).map(|_| ())
            }
            _ => Ok(()),
        };
        if let Err(Fault::Because(why)) = outcome {
            self.fault(at, &format!("{name}(…) cannot be: {why}"));
        }
        None
    }

    /// The name of a variable of a macro.
    fn binds(&mut self, at: usize, macro_name: &str, tree: Tree) -> Option<String> {
        let Part::Name(name) = tree.part else {
            self.fault(tree.at, &format!("`{macro_name}` needs the name of a variable here"));
            return None;
        };
        let taken = GLOBALS.iter().any(|(global, _)| *global == name) || name == VARIABLES;
        if taken || self.bound(&name).is_some() {
            self.fault(
                at,
                &format!(
                    "`{macro_name}` calls its item `{name}`, which is something else already: rename it"
                ),
            );
        }
        Some(name)
    }

    fn repeat(
        &mut self,
        at: usize,
        name: &'static str,
        what: LoopKind,
        two: bool,
        on: Tree,
        args: Vec<Tree>,
    ) -> Lowered {
        let (over, over_kind) = self.lower(on);
        if !over_kind.may_be(Kind::List) && !over_kind.may_be(Kind::Map) {
            self.fault(at, &format!("`{name}` needs a list or a map to go through, not {over_kind}"));
        }
        if self.loops == limits::LOOPS {
            let message =
                format!("more than {} loops stand inside each other: use `variables`", limits::LOOPS);
            self.fault(at, &message);
            return NOTHING;
        }
        let (key, value) = match &over_kind {
            Type::List(item) => (Kind::Int.into(), (**item).clone()),
            Type::Map(value) => (Type::Dyn, (**value).clone()),
            Type::Record(_) => (Kind::Text.into(), Type::Dyn),
            _ => (Type::Dyn, Type::Dyn),
        };
        let item = if over_kind.kind() == Kind::List || two { value.clone() } else { key.clone() };
        let item = if over_kind == Type::Dyn { Type::Dyn } else { item };
        let mut args = args.into_iter();
        let before = self.scope.len();
        for (tree, kind) in args.by_ref().take(1 + usize::from(two)).zip(if two {
            [key, item.clone()]
        } else {
            [item.clone(), Type::Dyn]
        }) {
            let Some(bound) = self.binds(at, name, tree) else {
                self.scope.truncate(before);
                return NOTHING;
            };
            self.scope.push((bound, kind));
        }
        self.loops += 1;
        let mut bodies: Vec<Lowered> = args.map(|tree| self.lower(tree)).collect();
        self.loops -= 1;
        let local = self.scope.len().saturating_sub(1);
        self.scope.truncate(before);
        let last = bodies.pop();
        let (condition, made) = match what {
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => (last, None),
            LoopKind::List if name == "filter" => (last, Some((Code::Local(local), item))),
            _ => (bodies.pop(), last),
        };
        if let Some((_, kind)) = &condition {
            let kind = kind.clone();
            self.want(at, &format!("the condition of `{name}`"), &kind, Kind::Bool);
        }
        let made_kind = made.as_ref().map_or(Type::Dyn, |(_, kind)| kind.clone());
        let kind = match what {
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => Kind::Bool.into(),
            LoopKind::List => Type::list(made_kind),
            LoopKind::Values => Type::Map(Box::new(made_kind)),
            LoopKind::Entries => {
                self.want(at, "`transformMapEntry`", &made_kind, Kind::Map);
                made_kind
            }
            LoopKind::Sorted => over_kind,
        };
        let parts = Loop {
            what,
            name,
            over,
            two,
            condition: condition.map(|(code, _)| code),
            value: made.map(|(code, _)| code),
        };
        (Code::Loop(Box::new(parts)), kind)
    }

    fn opt_map(&mut self, at: usize, name: &str, on: Tree, args: Vec<Tree>) -> Lowered {
        let (optional, on) = self.boxed(on);
        self.want_optional(at, name, &on);
        let mut args = args.into_iter();
        let (Some(variable), Some(value)) = (args.next(), args.next()) else { return NOTHING };
        let Some(bound) = self.binds(at, name, variable) else { return NOTHING };
        self.scope.push((bound, inside(on)));
        let (value, made) = self.boxed(value);
        self.scope.pop();
        let flat = name == "optFlatMap";
        if flat {
            self.want(at, "`optFlatMap`", &made, Kind::Optional);
        }
        let kind = if flat { made } else { Type::optional(made) };
        (Code::OptMap { optional, value, flat }, kind)
    }

    fn otherwise(&mut self, at: usize, name: &str, on: Tree, args: Vec<Tree>) -> Lowered {
        let (optional, on) = self.boxed(on);
        self.want_optional(at, name, &on);
        let Some(other) = args.into_iter().next() else { return NOTHING };
        let (other, kind) = self.boxed(other);
        let unwrap = name == "orValue";
        if !unwrap {
            self.want(at, "`or`", &kind, Kind::Optional);
        }
        let kind = if unwrap { inside(on).or(kind) } else { on.or(kind) };
        (Code::Otherwise { optional, other, unwrap }, kind)
    }

    fn want_optional(&mut self, at: usize, name: &str, kind: &Type) {
        if !kind.may_be(Kind::Optional) {
            let message =
                format!("`{name}` is called on {kind}, which is no optional: write .?field before it");
            self.fault(at, &message);
        }
    }
}

/// The functions that are tried when all that they are called with is constant.
const TRIED: [&str; 7] = ["cidr", "duration", "ip", "quantity", "semver", "timestamp", "url"];

/// The macros that go through a list or a map: the name, the number of arguments, what comes of it, and whether there are
/// two variables.
const MACROS: [(&str, usize, LoopKind, bool); 18] = [
    ("all", 2, LoopKind::All, false),
    ("all", 3, LoopKind::All, true),
    ("exists", 2, LoopKind::Exists, false),
    ("exists", 3, LoopKind::Exists, true),
    ("exists_one", 2, LoopKind::ExistsOne, false),
    ("exists_one", 3, LoopKind::ExistsOne, true),
    ("existsOne", 2, LoopKind::ExistsOne, false),
    ("existsOne", 3, LoopKind::ExistsOne, true),
    ("filter", 2, LoopKind::List, false),
    ("map", 2, LoopKind::List, false),
    ("map", 3, LoopKind::List, false),
    ("sortBy", 2, LoopKind::Sorted, false),
    ("transformList", 3, LoopKind::List, true),
    ("transformList", 4, LoopKind::List, true),
    ("transformMap", 3, LoopKind::Values, true),
    ("transformMap", 4, LoopKind::Values, true),
    ("transformMapEntry", 3, LoopKind::Entries, true),
    ("transformMapEntry", 4, LoopKind::Entries, true),
];

fn loop_of(name: &str, count: usize) -> Option<(&'static str, LoopKind, bool)> {
    let found = MACROS.iter().find(|(known, takes, ..)| *known == name && *takes == count);
    found.map(|(name, _, what, two)| (*name, *what, *two))
}

/// What a function comes to that is called with these.
fn gives(gives: Gives, args: &[Type]) -> Type {
    let first = args.first().cloned().unwrap_or(Type::Dyn);
    let item = |list: Type| match list {
        Type::List(item) => *item,
        _ => Type::Dyn,
    };
    match gives {
        Gives::Of(kind) => kind.into(),
        Gives::ListOf(kind) => Type::list(kind.into()),
        Gives::Same => first,
        Gives::Item => item(first),
        Gives::OptionalItem => Type::optional(item(first)),
        Gives::OptionalOf(kind) => Type::optional(kind.into()),
        Gives::OptionalTexts => Type::optional(Type::list(Kind::Text.into())),
        Gives::OptionalSame => Type::optional(first),
        Gives::Inside => inside(first),
    }
}

/// What two values of these types come to by an operator of arithmetic; none where they cannot.
fn sum(operator: Operator, one: &Type, other: &Type) -> Option<Type> {
    let add = operator == Operator::Add;
    let both = |kind: Kind| one.may_be(kind) && other.may_be(kind);
    if *one == Type::Dyn && *other == Type::Dyn {
        return Some(Type::Dyn);
    }
    for kind in [Kind::Int, Kind::Uint, Kind::Double] {
        let whole = operator != Operator::Modulo || kind != Kind::Double;
        if whole && both(kind) {
            return Some(kind.into());
        }
    }
    let times = |kind: &Type| matches!(kind.kind(), Kind::Span | Kind::Time | Kind::Any);
    if matches!(operator, Operator::Add | Operator::Subtract) && times(one) && times(other) {
        let sides = (one.kind(), other.kind());
        return match sides {
            (Kind::Time, Kind::Time) if add => None,
            (Kind::Span, Kind::Time) if !add => None,
            (Kind::Time, Kind::Time) | (Kind::Span, Kind::Span) => Some(Kind::Span.into()),
            (Kind::Time, Kind::Span) | (Kind::Span, Kind::Time) => Some(Kind::Time.into()),
            _ => Some(Type::Dyn),
        };
    }
    for kind in [Kind::Text, Kind::Bytes] {
        if add && both(kind) {
            return Some(kind.into());
        }
    }
    if add && both(Kind::List) {
        return Some(match (one, other) {
            (Type::List(_), Type::List(_)) => one.clone().or(other.clone()),
            _ => Kind::List.into(),
        });
    }
    None
}

/// What is in an optional.
fn inside(kind: Type) -> Type {
    match kind {
        Type::Optional(inside) => *inside,
        _ => Type::Dyn,
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

/// The line and column of a place in bytes, both from 1 and the column in characters.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    (line, before.chars().rev().take_while(|c| *c != '\n').count() + 1)
}
