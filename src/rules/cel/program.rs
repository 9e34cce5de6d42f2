//! An expression's text → what is evaluated: parsed, checked, and rewritten so that it keeps count of its cost.

use super::library::{FUNCTIONS, LIBRARY, internal};
use super::limits;
use super::reads::{Reads, reads};
use crate::policy::nearest;
use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr, operators,
};
use kube_cel::cel::parser::{ParseErrors, Parser};
use kube_cel::cel::{ExecutionError, IdedExpr};
use std::collections::BTreeSet;

/// The variables that every expression has, but for the rule's own.
pub(super) const GLOBALS: [&str; 5] = ["object", "oldObject", "request", "namespaceObject", "facts"];
/// The map of the rule's own variables.
pub(super) const VARIABLES: &str = "variables";

/// An expression that is ready to be evaluated.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// What is evaluated.
    pub(super) expression: IdedExpr,
    /// Which of [`GLOBALS`] it uses.
    pub(super) globals: BTreeSet<&'static str>,
    /// What it comes to, where that shows without evaluating it.
    pub(super) kind: Kind,
    /// How deep its evaluation goes, the variables that it uses included.
    pub(super) depth: usize,
    /// What it reads of the object itself.
    pub(super) reads: Reads,
}

/// What an expression comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Truth,
    Text,
    Other,
    Unknown,
}

/// A variable that an expression can use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'v> {
    /// Its name.
    pub(super) name: &'v str,
    /// How deep its evaluation goes.
    pub(super) depth: usize,
}

/// Compiles an expression, which can use these variables.
///
/// # Errors
/// Every fault that shows without evaluating it, as a fragment with the line and column.
pub(super) fn compile(text: &str, variables: &[Known<'_>]) -> Result<Program, Vec<String>> {
    if text.len() > limits::LENGTH {
        return Err(vec![format!(
            "is {} bytes long, and {} is the limit: split it into `variables` or rules",
            text.len(),
            limits::LENGTH
        )]);
    }
    // The parser and the tree's own drop recurse as deep as the text nests; a stack of its own makes that harmless.
    let compiled = std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(limits::PARSER_STACK);
        let parser = builder.spawn_scoped(scope, || parse(text, variables))?;
        parser.join().map_err(|_| std::io::Error::other("the parser panicked"))
    });
    compiled.unwrap_or_else(|error| Err(vec![format!("failed to parse the expression: {error}")]))
}

fn parse(text: &str, variables: &[Known<'_>]) -> Result<Program, Vec<String>> {
    let parser = Parser::new().max_recursion_depth(limits::NESTING).enable_optional_syntax(true);
    let tree = parser.parse(text).map_err(|errors| syntax(&errors))?;
    let mut lowering = Lowering { text, variables, scope: Vec::new(), faults: Vec::new(), found: Program::empty() };
    // Before anything else goes through it, and is cut off before it leaves this thread's stack.
    if depth(&tree, &[]) > limits::DEPTH {
        return Err(vec![too_deep()]);
    }
    let kind = kind(&tree);
    let reads = reads(&tree);
    let expression = lowering.lower(tree);
    if !lowering.faults.is_empty() {
        lowering.faults.dedup();
        return Err(lowering.faults);
    }
    let depth = depth(&expression, variables);
    if depth > limits::DEPTH {
        return Err(vec![too_deep()]);
    }
    Ok(Program { expression, kind, depth, reads, ..lowering.found })
}

fn too_deep() -> String {
    format!(
        "is more than {} steps deep, counting the variables that it uses: shorten its chains of fields or operators",
        limits::DEPTH
    )
}

fn syntax(errors: &ParseErrors) -> Vec<String> {
    // Those behind the first follow from it more often than not.
    let Some(error) = errors.errors.first() else { return vec!["failed to parse it".to_owned()] };
    let inner = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
    if inner.contains("Recursion limit") {
        return vec![format!("nests more than {} levels deep: split it into `variables`", limits::NESTING)];
    }
    let message = error.msg.trim_start_matches("Syntax error: ");
    // What the parser would have taken instead is a list of every token that there is.
    let message = message.split(" expecting ").next().unwrap_or(message);
    vec![format!("failed to parse it at line {}, column {}: {message}", error.pos.0, error.pos.1)]
}

fn depth(tree: &IdedExpr, variables: &[Known<'_>]) -> usize {
    if let Expr::Call(CallExpr { func_name, args, .. }) = &tree.expr
        && func_name == internal::VARIABLE
        && let Some(Expr::Literal(LiteralValue::String(name))) = args.first().map(|name| &name.expr)
    {
        return 1 + variables.iter().find(|known| known.name == name.inner()).map_or(0, |known| known.depth);
    }
    1 + children(&tree.expr).into_iter().map(|child| depth(child, variables)).max().unwrap_or(0)
}

fn size(tree: &IdedExpr) -> i64 {
    1 + children(&tree.expr).into_iter().map(size).sum::<i64>()
}

fn children(expression: &Expr) -> Vec<&IdedExpr> {
    match expression {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(parts) => {
            vec![&parts.iter_range, &parts.accu_init, &parts.loop_cond, &parts.loop_step, &parts.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Struct(message) => message.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
    }
}

fn entry_parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

/// What the parsed tree comes to.
fn kind(tree: &IdedExpr) -> Kind {
    match &tree.expr {
        Expr::Literal(LiteralValue::Boolean(_)) => Kind::Truth,
        Expr::Literal(LiteralValue::String(_)) => Kind::Text,
        Expr::Literal(_) | Expr::List(_) | Expr::Map(_) => Kind::Other,
        Expr::Select(select) if select.test => Kind::Truth,
        Expr::Comprehension(parts) => match &parts.accu_init.expr {
            Expr::List(_) => Kind::Other,
            _ => Kind::Truth,
        },
        Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::CONDITIONAL, [_, yes, no]) if kind(yes) == kind(no) => kind(yes),
            (operators::ADD, [left, right]) => match (kind(left), kind(right)) {
                (Kind::Text, _) | (_, Kind::Text) => Kind::Text,
                // Whatever can be added, the sum is never a truth.
                _ => Kind::Unknown,
            },
            (
                operators::SUBSTRACT
                | operators::MULTIPLY
                | operators::DIVIDE
                | operators::MODULO
                | operators::NEGATE
                | "size",
                _,
            ) => Kind::Other,
            (
                operators::LOGICAL_AND
                | operators::LOGICAL_OR
                | operators::LOGICAL_NOT
                | operators::EQUALS
                | operators::NOT_EQUALS
                | operators::GREATER
                | operators::GREATER_EQUALS
                | operators::LESS
                | operators::LESS_EQUALS
                | operators::IN
                | "startsWith"
                | "endsWith"
                | "contains"
                | "matches",
                _,
            ) => Kind::Truth,
            ("format" | "join" | "lowerAscii" | "upperAscii" | "trim" | "string", _) => Kind::Text,
            _ => Kind::Unknown,
        },
        _ => Kind::Unknown,
    }
}

impl Program {
    fn empty() -> Self {
        Self {
            expression: IdedExpr::default(),
            globals: BTreeSet::new(),
            kind: Kind::Unknown,
            depth: 0,
            reads: Reads::new(),
        }
    }
}

/// Checks names and rewrites what the library does wrongly or without measure:
/// - a field of something that is no map is a fault and not `false`, and fields are not copied on the way;
/// - loops, sums and `in` keep count of what they cost, and a loop takes time in proportion to its rounds.
struct Lowering<'t> {
    text: &'t str,
    variables: &'t [Known<'t>],
    /// The items of the loops that stand around.
    scope: Vec<String>,
    faults: Vec<String>,
    found: Program,
}

impl Lowering<'_> {
    fn fault(&mut self, name: &str, message: String) {
        // The parser keeps no place for what it accepted; the name's first occurrence is the place.
        let (line, column) = position(self.text, name);
        self.faults.push(format!("{message} (line {line}, column {column})"));
    }

    fn lower(&mut self, tree: IdedExpr) -> IdedExpr {
        let IdedExpr { id, expr } = tree;
        let expr = match expr {
            Expr::Ident(name) => {
                self.name(&name);
                Expr::Ident(name)
            }
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(parts) => self.repeat(*parts),
            Expr::List(mut list) => {
                list.elements = self.arguments(list.elements);
                Expr::List(list)
            }
            Expr::Map(mut map) => {
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                        entry.key = self.lower(std::mem::take(&mut entry.key));
                        let value = self.lower(std::mem::take(&mut entry.value));
                        entry.value = self.counted(value);
                    }
                }
                Expr::Map(map)
            }
            Expr::Struct(message) => {
                let text = format!("`{}{{…}}` makes a message, of which there are none: write a map", message.type_name);
                self.fault(&message.type_name, text);
                Expr::Literal(LiteralValue::Null)
            }
            other @ Expr::Literal(_) => other,
            Expr::Unspecified => {
                self.faults.push("has an empty part".to_owned());
                Expr::Literal(LiteralValue::Null)
            }
        };
        IdedExpr { id, expr }
    }

    fn lower_all(&mut self, trees: Vec<IdedExpr>) -> Vec<IdedExpr> {
        trees.into_iter().map(|tree| self.lower(tree)).collect()
    }

    fn knows(&self, variable: &str) -> bool {
        self.variables.iter().any(|known| known.name == variable)
    }

    fn bound(&self, name: &str) -> bool {
        self.scope.iter().any(|bound| bound == name)
    }

    fn name(&mut self, name: &str) {
        if self.bound(name) {
            return;
        }
        if let Some(global) = GLOBALS.iter().find(|global| **global == name) {
            self.found.globals.insert(global);
        } else if name == VARIABLES {
            self.fault(name, "`variables` is not a value: write variables.<name>".to_owned());
        } else {
            let mut known: Vec<&str> = GLOBALS.to_vec();
            known.extend(self.scope.iter().map(String::as_str));
            let hint = match nearest(name, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None if self.knows(name) => format!("write variables.{name}"),
                None => format!("there are {} and variables.<name>", GLOBALS.join(", ")),
            };
            self.fault(name, format!("unknown variable `{name}`: {hint}"));
        }
    }

    fn select(&mut self, select: SelectExpr) -> Expr {
        let SelectExpr { operand, field, test } = select;
        if matches!(&operand.expr, Expr::Ident(name) if name == VARIABLES && !self.bound(name)) {
            self.variable(&field);
            // It is there, or it is a fault already.
            return match test {
                true => Expr::Literal(LiteralValue::Boolean(true.into())),
                false => call(internal::VARIABLE, vec![literal_text(&field)]),
            };
        }
        let operand = self.lower(*operand);
        let field = literal_text(&unescape(&field));
        match test {
            true => call(internal::HAS, vec![operand, field]),
            false => call(operators::INDEX, vec![operand, field]),
        }
    }

    fn variable(&mut self, name: &str) {
        if self.knows(name) {
            return;
        }
        let known: Vec<&str> = self.variables.iter().map(|known| known.name).collect();
        let hint = match nearest(name, &known) {
            Some(near) => format!("did you mean variables.{near}?"),
            None if known.is_empty() => "no variable stands before this expression".to_owned(),
            None => format!("those before this expression are {}", known.join(", ")),
        };
        self.fault(name, format!("unknown variable `variables.{name}`: {hint}"));
    }

    fn call(&mut self, made: CallExpr) -> Expr {
        let CallExpr { func_name, target, args } = made;
        if let Some(target) = &target
            && let Expr::Ident(prefix) = &target.expr
            && !self.bound(prefix)
        {
            let qualified = format!("{prefix}.{func_name}");
            if FUNCTIONS.contains(&qualified.as_str()) {
                let args = self.arguments(args);
                return self.checked(CallExpr { func_name, target: Some(target.clone()), args }, &qualified);
            }
        }
        match (func_name.as_str(), target) {
            (operators::ADD, None) => call(internal::ADD, self.lower_all(args)),
            (operators::IN, None) => call(internal::WITHIN, self.lower_all(args)),
            (operators::OPT_SELECT | operators::OPT_INDEX, None) => {
                let made = call(operators::OPT_INDEX, self.lower_all(args));
                self.counted(IdedExpr { id: 0, expr: made }).expr
            }
            (operators::EQUALS | operators::NOT_EQUALS, None) => {
                let equal = call(internal::EQUAL, self.lower_all(args));
                match func_name.as_str() {
                    operators::EQUALS => equal,
                    _ => call(operators::LOGICAL_NOT, vec![IdedExpr { id: 0, expr: equal }]),
                }
            }
            // In Kubernetes it hides a type from the checker, and here there is no checker.
            ("dyn", None) if args.len() == 1 => match self.lower_all(args).pop() {
                Some(only) => only.expr,
                None => Expr::Literal(LiteralValue::Null),
            },
            ("size", target) if target.is_some() != (args.len() == 1) => {
                let args = target.map(|target| *target).into_iter().chain(args).collect();
                call(internal::SIZE, self.lower_all(args))
            }
            (operator, None) if operator.starts_with(['_', '!', '-', '@']) => {
                call(&func_name, self.lower_all(args))
            }
            (name, target) => {
                if !FUNCTIONS.contains(&name) {
                    let hint = match nearest(name, FUNCTIONS) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "it is none of CEL's or Kubernetes'".to_owned(),
                    };
                    self.fault(name, format!("unknown function `{name}`: {hint}"));
                }
                let target = target.map(|target| self.lower(*target));
                let target = target.map(|target| Box::new(self.measured(name, target)));
                let args = self.arguments(args);
                let name = func_name.clone();
                self.checked(CallExpr { func_name, target, args }, &name)
            }
        }
    }

    fn arguments(&mut self, args: Vec<IdedExpr>) -> Vec<IdedExpr> {
        let args = self.lower_all(args);
        args.into_iter().map(|argument| self.counted(argument)).collect()
    }

    /// What a function is called on; where its cost does not show in that alone, it is looked at first.
    fn measured(&self, name: &str, target: IdedExpr) -> IdedExpr {
        let look = match name {
            "split" => internal::PARTS,
            "format" => internal::TEMPLATE,
            _ => return self.counted(target),
        };
        IdedExpr { id: target.id, expr: call(look, vec![target]) }
    }

    /// The library copies what a function is called with, so that it is counted.
    fn counted(&self, tree: IdedExpr) -> IdedExpr {
        if matches!(tree.expr, Expr::Literal(_)) {
            return tree;
        }
        IdedExpr { id: tree.id, expr: call(internal::CHARGED, vec![tree]) }
    }

    /// Evaluates at once what has but constants in it, so that a bad regular expression, quantity or date is told when
    /// the policy is loaded.
    fn checked(&mut self, made: CallExpr, name: &str) -> Expr {
        let CallExpr { func_name, target, args } = made;
        let constant = |tree: &IdedExpr| matches!(tree.expr, Expr::Literal(_));
        let probe = match (name, args.as_slice()) {
            ("matches" | "find" | "findAll", [pattern, ..]) if target.is_some() && constant(pattern) => {
                let target = Some(Box::new(literal_text("")));
                Some(CallExpr { func_name: func_name.clone(), target, args: vec![pattern.clone()] })
            }
            ("quantity" | "duration" | "timestamp" | "semver" | "ip" | "cidr" | "url", [only])
                if target.is_none() && constant(only) =>
            {
                Some(CallExpr { func_name: func_name.clone(), target: None, args: vec![only.clone()] })
            }
            _ => None,
        };
        if let Some(probe) = probe
            && let Err(error) = LIBRARY.resolve(&IdedExpr { id: 0, expr: Expr::Call(probe) })
        {
            self.fault(name, format!("{name}(…) cannot be: {}", why(&error)));
        }
        Expr::Call(CallExpr { func_name, target, args })
    }

    fn repeat(&mut self, parts: ComprehensionExpr) -> Expr {
        let ComprehensionExpr { iter_range, iter_var, accu_init, loop_step, .. } = parts;
        let range = self.lower(iter_range);
        if GLOBALS.contains(&iter_var.as_str()) || iter_var == VARIABLES || self.bound(&iter_var) {
            let message = format!("a loop calls its item `{iter_var}`, which is something else already: rename it");
            self.fault(&iter_var, message);
        }
        if self.scope.len() == limits::LOOPS {
            let message = format!("more than {} loops stand inside each other: use `variables`", limits::LOOPS);
            self.fault(&iter_var, message);
            return Expr::Literal(LiteralValue::Null);
        }
        let Some((function, body)) = body(&accu_init.expr, loop_step.expr) else {
            self.fault(&iter_var, "this kind of loop is not known".to_owned());
            return Expr::Literal(LiteralValue::Null);
        };
        self.scope.push(iter_var.clone());
        let body = self.lower_all(body);
        self.scope.pop();
        let steps = body.iter().map(size).sum::<i64>();
        let steps = IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::Int(steps.into())) };
        call(function, [range, literal_text(&iter_var), steps].into_iter().chain(body).collect())
    }
}

/// What the parser's macros made of a loop, taken apart again: the function, and the item's condition or value with,
/// for `filter` and the long `map`, the condition behind it.
fn body(start: &Expr, step: Expr) -> Option<(&'static str, Vec<IdedExpr>)> {
    let Expr::Call(CallExpr { func_name, args, .. }) = step else { return None };
    let mut args = args.into_iter();
    match (start, func_name.as_str()) {
        (Expr::Literal(LiteralValue::Boolean(_)), operators::LOGICAL_AND) => {
            Some((internal::ALL, vec![args.nth(1)?]))
        }
        (Expr::Literal(LiteralValue::Boolean(_)), operators::LOGICAL_OR) => {
            Some((internal::EXISTS, vec![args.nth(1)?]))
        }
        (Expr::Literal(LiteralValue::Int(_)), operators::CONDITIONAL) => {
            Some((internal::EXISTS_ONE, vec![args.next()?]))
        }
        (Expr::List(_), operators::ADD) => Some((internal::MAP, vec![appended(args.nth(1)?)?])),
        (Expr::List(_), operators::CONDITIONAL) => {
            let condition = args.next()?;
            let Expr::Call(CallExpr { args, .. }) = args.next()?.expr else { return None };
            Some((internal::MAP, vec![appended(args.into_iter().nth(1)?)?, condition]))
        }
        _ => None,
    }
}

/// The one element of the list that a round appends.
fn appended(list: IdedExpr) -> Option<IdedExpr> {
    match list.expr {
        Expr::List(list) => list.elements.into_iter().next(),
        _ => None,
    }
}

fn call(function: &str, args: Vec<IdedExpr>) -> Expr {
    Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args })
}

fn literal_text(text: &str) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::String(text.into())) }
}

/// Kubernetes writes the names of fields that CEL's grammar does not take with escapes.
pub(super) fn unescape(field: &str) -> String {
    match field.strip_prefix("__").and_then(|rest| rest.strip_suffix("__")) {
        Some(keyword) if !keyword.is_empty() && keyword.chars().all(|c| c.is_ascii_lowercase()) => keyword.to_owned(),
        _ => field
            .replace("__dot__", ".")
            .replace("__dash__", "-")
            .replace("__slash__", "/")
            .replace("__underscores__", "__"),
    }
}

/// The line and column, both from 1 and in characters, of a name's first occurrence as a whole word.
fn position(text: &str, name: &str) -> (usize, usize) {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let found = text.match_indices(name).find(|(at, _)| {
        let before = text.get(..*at).and_then(|before| before.chars().next_back());
        let behind = text.get(at + name.len()..).and_then(|behind| behind.chars().next());
        !before.is_some_and(word) && !behind.is_some_and(word)
    });
    let before = found.and_then(|(at, _)| text.get(..at)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    (line, before.chars().rev().take_while(|c| *c != '\n').count() + 1)
}

/// Why an evaluation failed, as a fragment. The library's own words show whole values, so they are cut.
pub(super) fn why(error: &ExecutionError) -> String {
    let text = match error {
        ExecutionError::NoSuchKey(key) => format!("there is no field `{key}`"),
        ExecutionError::NoSuchOverload => "an operator or function does not take what it is given; a field may be null or of another type".to_owned(),
        ExecutionError::UnexpectedType { got, want } => format!("needs {want}, not {got}"),
        ExecutionError::FunctionError { function, message } => format!("{function}: {message}"),
        ExecutionError::UnsupportedBinaryOperator(operator, ..) => {
            format!("the two sides of the operator ({operator}) do not go together; a field may be null or of another type")
        }
        ExecutionError::ValuesNotComparable(..) => "two values of different types cannot be compared".to_owned(),
        ExecutionError::IndexOutOfBounds(index) => format!("there is no item {index:?} in the list"),
        other => other.to_string(),
    };
    let mut text = text.replace(['\n', '\r'], " ");
    if let Some((cut, _)) = text.char_indices().nth(200) {
        text.truncate(cut);
        text.push('…');
    }
    text
}
