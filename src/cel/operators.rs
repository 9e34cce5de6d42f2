//! Operators: arithmetic, comparison, and what stands in what.

use super::budget::{Answer, Budget, Fault, mismatch};
use super::limits;
use super::parse::Operator;
use super::time::{moment, span};
use super::types::Kind;
use super::value::Val;
use std::cmp::Ordering;

impl Budget {
    /// What an operator between two values comes to.
    pub(crate) fn two<'r>(&mut self, operator: Operator, left: Val<'r>, right: Val<'r>) -> Answer<'r> {
        match operator {
            Operator::Equal => self.equal(&left, &right).map(Val::Bool),
            Operator::Unequal => self.equal(&left, &right).map(|equal| Val::Bool(!equal)),
            Operator::In => self.within(&left, &right).map(Val::Bool),
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                if let (Val::Text(text), Val::Text(_)) = (&left, &right) {
                    self.charge(limits::text(text.len()))?;
                }
                match left.compare(&right) {
                    Some(order) => Ok(Val::Bool(match operator {
                        Operator::Less => order == Ordering::Less,
                        Operator::LessOrEqual => order != Ordering::Greater,
                        Operator::Greater => order == Ordering::Greater,
                        _ => order != Ordering::Less,
                    })),
                    // No order to what is no number.
                    None if left.kind() == Kind::Double || right.kind() == Kind::Double => {
                        let numbers = Kind::Number.takes(left.kind()) && Kind::Number.takes(right.kind());
                        if numbers { Ok(Val::Bool(false)) } else { Err(unlike(operator, &left, &right)) }
                    }
                    None => Err(unlike(operator, &left, &right)),
                }
            }
            _ => self.arithmetic(operator, left, right),
        }
    }

    fn arithmetic<'r>(&mut self, operator: Operator, left: Val<'r>, right: Val<'r>) -> Answer<'r> {
        let sign = operator.to_string();
        let fit = |number: Option<Val<'r>>| number.ok_or_else(|| overflow(&sign));
        let zero = matches!(operator, Operator::Divide | Operator::Modulo)
            && matches!((&left, &right), (Val::Int(_), Val::Int(0)) | (Val::Uint(_), Val::Uint(0)));
        if zero {
            return Err(Fault::new(format!("`{sign}` by zero")));
        }
        match (operator, &left, &right) {
            (Operator::Add, Val::Int(a), Val::Int(b)) => fit(a.checked_add(*b).map(Val::Int)),
            (Operator::Add, Val::Uint(a), Val::Uint(b)) => fit(a.checked_add(*b).map(Val::Uint)),
            (Operator::Add, Val::Double(a), Val::Double(b)) => Ok(Val::Double(a + b)),
            (Operator::Add, Val::Text(a), Val::Text(b)) => {
                self.charge(limits::text(a.len() + b.len()))?;
                Ok(Val::text([&**a, &**b].concat()))
            }
            (Operator::Add, Val::Bytes(a), Val::Bytes(b)) => {
                self.charge(limits::text(a.len() + b.len()))?;
                Ok(Val::Bytes([&**a, &**b].concat().into()))
            }
            (Operator::Add, a, b) if a.kind() == Kind::List && b.kind() == Kind::List => {
                let count = a.length().unwrap_or(0) + b.length().unwrap_or(0);
                self.charge(limits::ITEM * count as u64)?;
                Ok(Val::list(a.items().chain(b.items()).collect()))
            }
            (Operator::Subtract, Val::Int(a), Val::Int(b)) => fit(a.checked_sub(*b).map(Val::Int)),
            (Operator::Subtract, Val::Uint(a), Val::Uint(b)) => fit(a.checked_sub(*b).map(Val::Uint)),
            (Operator::Subtract, Val::Double(a), Val::Double(b)) => Ok(Val::Double(a - b)),
            (Operator::Multiply, Val::Int(a), Val::Int(b)) => fit(a.checked_mul(*b).map(Val::Int)),
            (Operator::Multiply, Val::Uint(a), Val::Uint(b)) => fit(a.checked_mul(*b).map(Val::Uint)),
            (Operator::Multiply, Val::Double(a), Val::Double(b)) => Ok(Val::Double(a * b)),
            (Operator::Divide, Val::Int(a), Val::Int(b)) => fit(a.checked_div(*b).map(Val::Int)),
            (Operator::Divide, Val::Uint(a), Val::Uint(b)) => fit(a.checked_div(*b).map(Val::Uint)),
            (Operator::Divide, Val::Double(a), Val::Double(b)) => Ok(Val::Double(a / b)),
            (Operator::Modulo, Val::Int(a), Val::Int(b)) => fit(a.checked_rem(*b).map(Val::Int)),
            (Operator::Modulo, Val::Uint(a), Val::Uint(b)) => fit(a.checked_rem(*b).map(Val::Uint)),
            (Operator::Add, Val::Span(a), Val::Span(b)) => fit(a.checked_add(*b).and_then(span)),
            (Operator::Subtract, Val::Span(a), Val::Span(b)) => fit(a.checked_sub(*b).and_then(span)),
            (Operator::Add, Val::Time(time), Val::Span(by))
            | (Operator::Add, Val::Span(by), Val::Time(time)) => {
                fit(time.checked_add(*by).ok().and_then(moment))
            }
            (Operator::Subtract, Val::Time(time), Val::Span(by)) => {
                fit(time.checked_sub(*by).ok().and_then(moment))
            }
            (Operator::Subtract, Val::Time(a), Val::Time(b)) => fit(span(a.duration_since(*b))),
            _ => Err(unlike(operator, &left, &right)),
        }
    }

    /// Whether two values are the same; numbers of one value are, whatever their types.
    pub(crate) fn equal(&mut self, left: &Val<'_>, right: &Val<'_>) -> Result<bool, Fault> {
        self.charge(1)?;
        Ok(match (left, right) {
            (Val::Null, Val::Null) => true,
            (Val::Text(one), Val::Text(other)) => {
                if one.len() == other.len() {
                    self.charge(limits::text(one.len()) - 1)?;
                }
                **one == **other
            }
            (Val::Bytes(one), Val::Bytes(other)) => {
                self.charge(limits::text(one.len()) - 1)?;
                one == other
            }
            (Val::Type(one), Val::Type(other)) => one == other,
            (Val::Opaque(one), Val::Opaque(other)) => one.0.opaque_eq(other.0.as_ref()),
            (Val::Optional(None), Val::Optional(None)) => true,
            (Val::Optional(Some(one)), Val::Optional(Some(other))) => self.equal(one, other)?,
            _ => match (left.kind(), right.kind()) {
                (Kind::List, Kind::List) => {
                    if left.length() != right.length() {
                        return Ok(false);
                    }
                    for (one, other) in left.items().zip(right.items()) {
                        if !self.equal(&one, &other)? {
                            return Ok(false);
                        }
                    }
                    true
                }
                (Kind::Map, Kind::Map) => {
                    if left.length() != right.length() {
                        return Ok(false);
                    }
                    // Both in the order of their keys.
                    self.charge(limits::ITEM * left.length().unwrap_or(0) as u64)?;
                    for ((key, one), (other_key, other)) in left.entries().into_iter().zip(right.entries()) {
                        if !self.equal(&key, &other_key)? || !self.equal(&one, &other)? {
                            return Ok(false);
                        }
                    }
                    true
                }
                _ => left.compare(right) == Some(Ordering::Equal),
            },
        })
    }

    /// Puts items into the order of their keys, which must all have one.
    pub(crate) fn sort<'r>(&mut self, items: &mut [(Val<'r>, Val<'r>)], name: &str) -> Result<(), Fault> {
        let weight = items.iter().map(|(key, _)| key.weight()).sum::<u64>();
        self.charge(weight.saturating_mul(u64::from(items.len().max(1).ilog2()) + 1))?;
        let ordered = |pair: &[(Val<'r>, Val<'r>)]| match pair {
            [(one, _), (other, _)] => {
                one.kind() == other.kind() && (one.kind() == Kind::Double || one.compare(other).is_some())
            }
            _ => true,
        };
        if !items.windows(2).all(ordered) {
            return Err(Fault::new(format!("`{name}` takes values of one type that has an order")));
        }
        items.sort_by(|(one, _), (other, _)| one.compare(other).unwrap_or(Ordering::Equal));
        Ok(())
    }

    /// Whether the value stands in the list, or is a key of the map.
    pub(crate) fn within(&mut self, value: &Val<'_>, container: &Val<'_>) -> Result<bool, Fault> {
        match container.kind() {
            Kind::List => {
                for item in container.items() {
                    if self.equal(&item, value)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Kind::Map => {
                self.look_up(container)?;
                Ok(container.entry(value).is_some())
            }
            _ => {
                Err(Fault::new(format!("needs a list or a map after `in`, not {}", container.kind().name())))
            }
        }
    }
}

pub(super) fn overflow(operator: &str) -> Fault {
    Fault::new(format!("what `{operator}` comes to is out of range"))
}

pub(super) fn unlike(operator: Operator, left: &Val<'_>, right: &Val<'_>) -> Fault {
    mismatch(&format!("`{operator}`"), &[left, right])
}
