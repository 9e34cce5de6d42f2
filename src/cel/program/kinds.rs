//! What is known of the type of a part before anything is evaluated.

use super::super::library::Gives;
use super::super::parse::Operator;
use super::super::types::{Kind, Type};

/// What a function comes to that is called with these.
pub(super) fn gives(gives: Gives, args: &[Type]) -> Type {
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
pub(super) fn sum(operator: Operator, one: &Type, other: &Type) -> Option<Type> {
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
pub(super) fn inside(kind: Type) -> Type {
    match kind {
        Type::Optional(inside) => *inside,
        _ => Type::Dyn,
    }
}
