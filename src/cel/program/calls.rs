//! Calls of functions.

use super::super::budget::Fault;
use super::super::library::{FUNCTIONS, Signature};
use super::super::parse::{Part, Tree, unescape};
use super::super::pattern::Pattern;
use super::super::run::{Call, Code, Run};
use super::super::types::{Kind, Type};
use super::super::value::Val;
use super::super::{limits, time};
use super::kinds::gives;
use super::macros::{MACROS, loop_of};
use super::{Lowered, Lowering, NOTHING, Nothing, VARIABLES, is_variables, names};
use crate::model::nearest;
use std::sync::Arc;

impl Lowering<'_> {
    pub(super) fn call(&mut self, at: usize, on: Option<Tree>, name: &str, args: Vec<Tree>) -> Lowered {
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

    pub(super) fn has(&mut self, at: usize, of: Tree, name: &str) -> Lowered {
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
    pub(super) fn function(&mut self, at: usize, name: &str, on: Option<Tree>, args: Vec<Tree>) -> Lowered {
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

    pub(super) fn unknown_function(&mut self, at: usize, name: &str) {
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
    pub(super) fn constants(
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
}

/// The functions that are tried when all that they are called with is constant.
pub(super) const TRIED: [&str; 7] = ["cidr", "duration", "ip", "quantity", "semver", "timestamp", "url"];
