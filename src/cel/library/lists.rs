//! The functions of lists, sets and integers' bits.

use super::super::budget::{Answer, Budget, Fault, mismatch};
use super::super::limits;
use super::super::parse::Operator;
use super::super::types::Kind::{List, Number, Span};
use super::super::value::Val;
use super::refused;

/// The first item of a list, or the last.
pub(super) fn end<'r>(args: &[Val<'r>], back: usize) -> Option<Val<'r>> {
    let [list] = args else { return None };
    let index = if back == 0 { 0 } else { list.length()?.checked_sub(back)? };
    list.item(index)
}

pub(super) fn reverse<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [list] = args else { return refused("reverse", args) };
    budget.charge(limits::ITEM * list.length().unwrap_or(0) as u64)?;
    let mut items: Vec<_> = list.items().collect();
    items.reverse();
    Ok(Val::list(items))
}

pub(super) fn place_in_list<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [list, value] = args else { return refused("indexOf", args) };
    for (index, item) in list.items().enumerate() {
        if budget.equal(&item, value)? {
            return Ok(Val::Int(index as i64));
        }
    }
    Ok(Val::Int(-1))
}

pub(super) fn last_place_in_list<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [list, value] = args else { return refused("lastIndexOf", args) };
    let mut found = -1;
    for (index, item) in list.items().enumerate() {
        if budget.equal(&item, value)? {
            found = index as i64;
        }
    }
    Ok(Val::Int(found))
}

pub(super) fn distinct<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [list] = args else { return refused("distinct", args) };
    let mut kept: Vec<Val<'r>> = Vec::new();
    for item in list.items() {
        budget.charge(limits::ITEM)?;
        if !stands_in(budget, &item, &kept)? {
            kept.push(item);
        }
    }
    Ok(Val::list(kept))
}

pub(super) fn stands_in<'r>(budget: &mut Budget, item: &Val<'r>, others: &[Val<'r>]) -> Result<bool, Fault> {
    for other in others {
        if budget.equal(item, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn flatten<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    fn put<'r>(
        budget: &mut Budget,
        list: &Val<'r>,
        depth: i64,
        made: &mut Vec<Val<'r>>,
    ) -> Result<(), Fault> {
        for item in list.items() {
            budget.charge(limits::ITEM)?;
            if depth > 0 && item.kind() == List {
                put(budget, &item, depth - 1, made)?;
            } else {
                made.push(item);
            }
        }
        Ok(())
    }
    let (list, depth) = match args {
        [list] => (list, 1),
        [list, Val::Int(depth)] if *depth >= 0 => (list, *depth),
        [_, Val::Int(_)] => return Err(Fault::new("flatten: the depth must not be negative")),
        _ => return refused("flatten", args),
    };
    let mut made = Vec::new();
    put(budget, list, depth, &mut made)?;
    Ok(Val::list(made))
}

pub(super) fn is_sorted<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [list] = args else { return refused("isSorted", args) };
    let mut before: Option<Val<'r>> = None;
    for item in list.items() {
        if let Some(before) = before.take()
            && let Val::Bool(false) = budget.two(Operator::LessOrEqual, before, item.clone())?
        {
            return Ok(Val::Bool(false));
        }
        budget.charge(1)?;
        before = Some(item);
    }
    Ok(Val::Bool(true))
}

/// The item of a list, or of all that is given, to which each other one stands as the operator does not say.
pub(super) fn extreme<'r>(budget: &mut Budget, args: &[Val<'r>], operator: Operator) -> Answer<'r> {
    let given = Val::list(args.to_vec());
    let list = match args {
        [list] if list.kind() == List => list,
        _ => &given,
    };
    let mut found: Option<Val<'r>> = None;
    for item in list.items() {
        budget.charge(1)?;
        found = match found {
            Some(found) => match budget.two(operator, item.clone(), found.clone())? {
                Val::Bool(true) => Some(item),
                _ => Some(found),
            },
            None => Some(item),
        };
    }
    found.ok_or_else(|| Fault::new("`min` and `max` need a list with items"))
}

pub(super) fn slice<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [list, Val::Int(start), Val::Int(end)] = args else { return refused("slice", args) };
    let length = list.length().unwrap_or(0);
    match (usize::try_from(*start), usize::try_from(*end)) {
        (Ok(from), Ok(to)) if from <= to && to <= length => {
            budget.charge(limits::ITEM * to as u64)?;
            Ok(Val::list(list.items().skip(from).take(to - from).collect()))
        }
        _ => Err(Fault::new(format!("slice: a list of {length} has no items {start} to {end}"))),
    }
}

pub(super) fn sort<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [list] = args else { return refused("sort", args) };
    budget.charge(limits::ITEM * list.length().unwrap_or(0) as u64)?;
    let mut items: Vec<_> = list.items().map(|item| (item, Val::Null)).collect();
    budget.sort(&mut items, "sort")?;
    Ok(Val::list(items.into_iter().map(|(item, _)| item).collect()))
}

pub(super) fn sum<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [list] = args else { return refused("sum", args) };
    let mut sum: Option<Val<'r>> = None;
    for item in list.items() {
        budget.charge(1)?;
        if !(Number.takes(item.kind()) || item.kind() == Span) {
            return Err(mismatch("`sum`", &[&item]));
        }
        sum = Some(match sum {
            Some(sum) => budget.two(Operator::Add, sum, item)?,
            None => item,
        });
    }
    Ok(sum.unwrap_or(Val::Int(0)))
}

pub(super) fn range<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [Val::Int(count)] = args else { return refused("lists.range", args) };
    let steps =
        u64::try_from(*count).map_err(|_| Fault::new("lists.range: the number must not be negative"))?;
    budget.charge(limits::LETTER.saturating_mul(steps))?;
    Ok(Val::list((0..*count).map(Val::Int).collect()))
}

pub(super) fn bits<'r>(args: &[Val<'r>], combine: fn(u64, u64) -> u64) -> Answer<'r> {
    match args {
        [Val::Int(one), Val::Int(other)] => {
            Ok(Val::Int(combine(one.cast_unsigned(), other.cast_unsigned()).cast_signed()))
        }
        [Val::Uint(one), Val::Uint(other)] => Ok(Val::Uint(combine(*one, *other))),
        _ => refused("the operation on bits", args),
    }
}

pub(super) fn bit_not<'r>(_: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    match args {
        [Val::Int(number)] => Ok(Val::Int(!number)),
        [Val::Uint(number)] => Ok(Val::Uint(!number)),
        _ => refused("math.bitNot", args),
    }
}

/// Nothing is left of a number that is shifted by 64 or more; a sign is shifted like any other bit.
pub(super) fn shifted<'r>(args: &[Val<'r>], shift: fn(u64, u32) -> Option<u64>) -> Answer<'r> {
    let [number, Val::Int(by)] = args else { return refused("the shift", args) };
    if *by < 0 {
        return Err(Fault::new("a number cannot be shifted by less than nothing"));
    }
    let shifted = |number: u64| u32::try_from(*by).ok().and_then(|by| shift(number, by)).unwrap_or(0);
    match number {
        Val::Int(number) => Ok(Val::Int(shifted(number.cast_unsigned()).cast_signed())),
        Val::Uint(number) => Ok(Val::Uint(shifted(*number))),
        _ => refused("the shift", args),
    }
}

/// Whether any of `items` is in `others`, or is not, as `sought` says.
pub(super) fn compared<'r>(
    budget: &mut Budget,
    items: &Val<'r>,
    others: &Val<'r>,
    sought: bool,
) -> Result<bool, Fault> {
    for item in items.items() {
        budget.charge(1)?;
        if budget.within(&item, others)? == sought {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn sets_contains<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [all, some] = args else { return refused("sets.contains", args) };
    Ok(Val::Bool(!compared(budget, some, all, false)?))
}

pub(super) fn sets_equivalent<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [one, other] = args else { return refused("sets.equivalent", args) };
    Ok(Val::Bool(!compared(budget, one, other, false)? && !compared(budget, other, one, false)?))
}

pub(super) fn sets_intersects<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [one, other] = args else { return refused("sets.intersects", args) };
    Ok(Val::Bool(compared(budget, one, other, true)?))
}
