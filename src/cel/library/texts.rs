//! The functions of texts.

use super::super::budget::{Answer, Budget, Fault, mismatch};
use super::super::limits;
use super::super::value::Val;
use super::{in_library, refused};

/// The size of a text in characters, as CEL has it.
pub(super) fn size<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let size = match args {
        [Val::Text(text)] => {
            budget.charge(limits::text(text.len()))?;
            text.chars().count()
        }
        [Val::Bytes(bytes)] => bytes.len(),
        [value] => match value.length() {
            Some(length) => length,
            None => return refused("size", args),
        },
        _ => return refused("size", args),
    };
    Ok(Val::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

pub(super) fn contains<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    match args {
        [Val::Text(text), Val::Text(part)] => {
            budget.charge(limits::text(text.len()))?;
            Ok(Val::Bool(text.contains(&**part)))
        }
        [container, value] => budget.within(value, container).map(Val::Bool),
        _ => refused("contains", args),
    }
}

pub(super) fn ends_with<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [Val::Text(text), Val::Text(part)] = args else { return refused("endsWith", args) };
    budget.charge(limits::text(part.len()))?;
    Ok(Val::Bool(text.ends_with(&**part)))
}

pub(super) fn starts_with<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [Val::Text(text), Val::Text(part)] = args else { return refused("startsWith", args) };
    budget.charge(limits::text(part.len()))?;
    Ok(Val::Bool(text.starts_with(&**part)))
}

/// A text of which another one is made that is about as long.
pub(super) fn changed<'r>(
    budget: &mut Budget,
    args: &[Val<'r>],
    change: impl Fn(&str) -> String,
) -> Answer<'r> {
    let [Val::Text(text)] = args else { return refused("the function", args) };
    budget.charge(limits::text(text.len()))?;
    Ok(Val::text(change(text)))
}

/// Where in the text, in bytes, the character of that index starts; its end is a place too.
pub(super) fn place(text: &str, index: i64) -> Option<usize> {
    let index = usize::try_from(index).ok()?;
    text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(index)
}

pub(super) fn out_of_range<'r>(name: &str, index: i64) -> Answer<'r> {
    Err(Fault::new(format!("{name}: the text has no place {index}")))
}

pub(super) fn char_at<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let [Val::Text(text), Val::Int(index)] = args else { return refused("charAt", args) };
    budget.charge(limits::text(text.len()))?;
    let rest = place(text, *index).and_then(|at| text.get(at..));
    match rest {
        Some(rest) => Ok(Val::text(rest.chars().take(1).collect::<String>())),
        None => out_of_range("charAt", *index),
    }
}

pub(super) fn characters(text: &str) -> Val<'static> {
    Val::Int(i64::try_from(text.chars().count()).unwrap_or(i64::MAX))
}

pub(super) fn index_of<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let (text, part, from) = match args {
        [Val::Text(text), Val::Text(part)] => (text, part, 0),
        [Val::Text(text), Val::Text(part), Val::Int(from)] => (text, part, *from),
        _ => return refused("indexOf", args),
    };
    budget.charge(limits::text(text.len()))?;
    let Some(start) = place(text, from) else { return out_of_range("indexOf", from) };
    let found = text.get(start..).and_then(|rest| rest.find(&**part));
    Ok(found.and_then(|at| text.get(..start + at)).map_or(Val::Int(-1), characters))
}

pub(super) fn last_index_of<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let (text, part, most) = match args {
        [Val::Text(text), Val::Text(part)] => (text, part, None),
        [Val::Text(text), Val::Text(part), Val::Int(most)] => (text, part, Some(*most)),
        _ => return refused("lastIndexOf", args),
    };
    budget.charge(limits::text(text.len()))?;
    let found = match most {
        None => text.rfind(&**part),
        Some(most) => {
            let Some(start) = place(text, most) else { return out_of_range("lastIndexOf", most) };
            // It may start there and end behind; where that end is within a letter, it is not there.
            let end = start.saturating_add(part.len()).min(text.len());
            let end = (0..=end).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.get(..end).and_then(|before| before.rfind(&**part))
        }
    };
    Ok(found.and_then(|at| text.get(..at)).map_or(Val::Int(-1), characters))
}

pub(super) fn replace<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let (text, from, to, most) = match args {
        [Val::Text(text), Val::Text(from), Val::Text(to)] => (text, from, to, usize::MAX),
        // A negative number means all, as in Go.
        [Val::Text(text), Val::Text(from), Val::Text(to), Val::Int(most)] => {
            (text, from, to, usize::try_from(*most).unwrap_or(usize::MAX))
        }
        _ => return refused("replace", args),
    };
    budget.charge(limits::text(text.len()))?;
    let count = text.matches(&**from).take(most).count();
    budget.charge(limits::text(text.len().saturating_add(count.saturating_mul(to.len()))))?;
    Ok(Val::text(text.replacen(&**from, to, most)))
}

pub(super) fn split<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let (text, by, most) = match args {
        [Val::Text(text), Val::Text(by)] => (text, by, usize::MAX),
        [Val::Text(text), Val::Text(by), Val::Int(most)] => {
            (text, by, usize::try_from(*most).unwrap_or(usize::MAX))
        }
        _ => return refused("split", args),
    };
    budget.charge(limits::LETTER.saturating_mul(text.len() as u64))?;
    let parts: Vec<Val<'r>> = if most == 0 {
        Vec::new()
    } else if by.is_empty() {
        let mut parts: Vec<Val<'r>> = Vec::new();
        let mut rest = &**text;
        while let Some(letter) = rest.chars().next() {
            if parts.len() + 1 == most {
                parts.push(Val::text(rest));
                break;
            }
            let (one, behind) = rest.split_at(letter.len_utf8());
            parts.push(Val::text(one));
            rest = behind;
        }
        parts
    } else {
        text.splitn(most, &**by).map(Val::text).collect()
    };
    Ok(Val::list(parts))
}

pub(super) fn substring<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let (text, start, end) = match args {
        [Val::Text(text), Val::Int(start)] => (text, *start, None),
        [Val::Text(text), Val::Int(start), Val::Int(end)] => (text, *start, Some(*end)),
        _ => return refused("substring", args),
    };
    budget.charge(limits::text(text.len()))?;
    let Some(from) = place(text, start) else { return out_of_range("substring", start) };
    let to = end.map_or(Some(text.len()), |end| place(text, end));
    match to.and_then(|to| text.get(from..to)) {
        Some(part) => Ok(Val::text(part)),
        None => out_of_range("substring", end.unwrap_or(start)),
    }
}

pub(super) fn join<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    let (list, separator) = match args {
        [list] => (list, ""),
        [list, Val::Text(separator)] => (list, &**separator),
        _ => return refused("join", args),
    };
    let mut made = String::new();
    for (index, item) in list.items().enumerate() {
        let Val::Text(text) = &item else { return Err(mismatch("`join`", &[&item])) };
        budget.charge(limits::text(text.len() + separator.len()))?;
        if index > 0 {
            made.push_str(separator);
        }
        made.push_str(text);
    }
    Ok(Val::text(made))
}

pub(super) fn format_named<'r>(budget: &mut Budget, args: &[Val<'r>]) -> Answer<'r> {
    match in_library(budget, "format.named", false, args) {
        Ok(optional @ Val::Optional(_)) => Ok(optional),
        Ok(Val::Null) => Ok(Val::Optional(None)),
        Ok(format) => Ok(Val::some(format)),
        Err(Fault::Steps) => Err(Fault::Steps),
        Err(Fault::Because(_)) => Ok(Val::Optional(None)),
    }
}
