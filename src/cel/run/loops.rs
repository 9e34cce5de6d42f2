//! Loops: what the macros become.

use super::super::limits;
use super::super::types::Kind;
use super::super::value::Val;
use super::{Answer, Fault, Loop, LoopKind, Run, mismatch};
use std::collections::BTreeMap;
use std::sync::Arc;

impl<'r> Run<'r> {
    pub(super) fn go_through(&mut self, parts: &'r Loop) -> Answer<'r> {
        let over = self.eval(&parts.over)?;
        match parts.what {
            LoopKind::All => self.search(parts, &over, false).map(|found| Val::Bool(!found)),
            LoopKind::Exists => self.search(parts, &over, true).map(Val::Bool),
            LoopKind::ExistsOne => {
                let mut found = 0;
                self.each(parts, &over, |run, _| {
                    found += i32::from(run.meets(parts)?);
                    Ok(true)
                })?;
                Ok(Val::Bool(found == 1))
            }
            LoopKind::List => {
                let mut made = Vec::new();
                self.each(parts, &over, |run, _| {
                    if run.meets(parts)? {
                        made.push(run.made(parts)?);
                    }
                    Ok(true)
                })?;
                Ok(Val::list(made))
            }
            LoopKind::Values | LoopKind::Entries => {
                let mut made = BTreeMap::new();
                self.each(parts, &over, |run, key| {
                    if run.meets(parts)? {
                        let value = run.made(parts)?;
                        if parts.what == LoopKind::Values {
                            run.put(&mut made, key, value)?;
                        } else if value.kind() == Kind::Map {
                            run.budget.charge(limits::ITEM * value.length().unwrap_or(0) as u64)?;
                            for (key, value) in value.entries() {
                                run.put(&mut made, &key, value)?;
                            }
                        } else {
                            return Err(mismatch("`transformMapEntry`", &[&value]));
                        }
                    }
                    Ok(true)
                })?;
                Ok(Val::Map(Arc::new(made)))
            }
            LoopKind::Sorted => {
                if over.kind() != Kind::List {
                    return Err(mismatch("`sortBy`", &[&over]));
                }
                let mut made = Vec::new();
                self.each(parts, &over, |run, _| {
                    let key = run.made(parts)?;
                    let item = run.locals.last().cloned().unwrap_or(Val::Null);
                    made.push((key, item));
                    Ok(true)
                })?;
                self.budget.sort(&mut made, "sortBy")?;
                Ok(Val::list(made.into_iter().map(|(_, item)| item).collect()))
            }
        }
    }

    /// Looks for an item whose condition is `sought`. As CEL has it, a fault in one item counts only when none is found.
    pub(super) fn search(&mut self, parts: &'r Loop, over: &Val<'r>, sought: bool) -> Result<bool, Fault> {
        let mut found = false;
        let mut fault = None;
        self.each(parts, over, |run, _| {
            match run.meets(parts) {
                Ok(truth) => found = truth == sought,
                Err(Fault::Steps) => return Err(Fault::Steps),
                Err(error) => {
                    fault.get_or_insert(error);
                }
            }
            Ok(!found)
        })?;
        match fault {
            Some(fault) if !found => Err(fault),
            _ => Ok(found),
        }
    }

    /// Whether the item of this round meets the condition.
    pub(super) fn meets(&mut self, parts: &'r Loop) -> Result<bool, Fault> {
        match parts.condition.as_ref().map(|condition| self.eval(condition)).transpose()? {
            None | Some(Val::Bool(true)) => Ok(true),
            Some(Val::Bool(false)) => Ok(false),
            Some(other) => Err(mismatch(&format!("the condition of `{}`", parts.name), &[&other])),
        }
    }

    /// What is made of the item of this round.
    pub(super) fn made(&mut self, parts: &'r Loop) -> Answer<'r> {
        self.budget.charge(limits::ITEM)?;
        parts.value.as_ref().map_or(Ok(Val::Null), |value| self.eval(value))
    }

    /// Goes through a list or a map. `body` is given the index or key of each, finds the loop's variables in its place,
    /// and tells whether to go on.
    pub(super) fn each(
        &mut self,
        parts: &Loop,
        over: &Val<'r>,
        mut body: impl FnMut(&mut Self, &Val<'r>) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let mut round = |run: &mut Self, key: Val<'r>, item: Val<'r>| {
            run.budget.charge(limits::ROUND)?;
            let before = run.locals.len();
            if parts.two {
                run.locals.push(key.clone());
            }
            run.locals.push(item);
            let more = body(run, &key);
            run.locals.truncate(before);
            more
        };
        match over.kind() {
            Kind::List => {
                for (index, item) in over.items().enumerate() {
                    if !round(self, Val::Int(index as i64), item)? {
                        break;
                    }
                }
                Ok(())
            }
            Kind::Map => {
                self.budget.charge(over.length().unwrap_or(0) as u64)?;
                for (key, value) in over.entries() {
                    let item = if parts.two { value } else { key.clone() };
                    if !round(self, key, item)? {
                        break;
                    }
                }
                Ok(())
            }
            other => Err(Fault::new(format!(
                "`{}` needs a list or a map to go through, not {}",
                parts.name,
                other.name()
            ))),
        }
    }
}
