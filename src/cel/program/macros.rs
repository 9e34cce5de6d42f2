//! Macros: what becomes a loop.

use super::super::globals::GLOBALS;
use super::super::limits;
use super::super::parse::{Part, Tree};
use super::super::run::{Code, Loop, LoopKind};
use super::super::types::{Kind, Type};
use super::{Lowered, Lowering, NOTHING, VARIABLES, inside};

impl Lowering<'_> {
    /// The name of a variable of a macro.
    pub(super) fn binds(&mut self, at: usize, macro_name: &str, tree: Tree) -> Option<String> {
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

    pub(super) fn repeat(
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
        if self.loops_left == 0 {
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
        self.loops_left -= 1;
        let mut bodies: Vec<Lowered> = args.map(|tree| self.lower(tree)).collect();
        self.loops_left += 1;
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

    pub(super) fn opt_map(&mut self, at: usize, name: &str, on: Tree, args: Vec<Tree>) -> Lowered {
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

    pub(super) fn otherwise(&mut self, at: usize, name: &str, on: Tree, args: Vec<Tree>) -> Lowered {
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

    pub(super) fn want_optional(&mut self, at: usize, name: &str, kind: &Type) {
        if !kind.may_be(Kind::Optional) {
            let message =
                format!("`{name}` is called on {kind}, which is no optional: write .?field before it");
            self.fault(at, &message);
        }
    }
}

/// The macros that go through a list or a map: the name, the number of arguments, what comes of it, and whether there are
/// two variables.
pub(super) const MACROS: [(&str, usize, LoopKind, bool); 18] = [
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

pub(super) fn loop_of(name: &str, count: usize) -> Option<(&'static str, LoopKind, bool)> {
    let found = MACROS.iter().find(|(known, takes, ..)| *known == name && *takes == count);
    found.map(|(name, _, what, two)| (*name, *what, *two))
}
