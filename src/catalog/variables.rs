//! A container's environment, with `$(VAR)` filled in as Kubernetes does.

use std::borrow::Cow;
use std::collections::HashMap;

use super::budget::{Budget, Excess};
use super::configuration::Configuration;
use super::container::{ContainerView, Origin};
use super::text::known_beginning;
use crate::facts::{ConfigFacts, ConfigValue, Sealed};

/// What is known of an environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Env<'v> {
    /// Nothing sets it.
    Unset,
    /// `env` does not set it, and `envFrom` may.
    Perhaps,
    /// It is set, to a value that is not known here.
    Unknown,
    /// It is set to the text of a Secret.
    Sealed(&'v Sealed),
    /// It is set to this.
    Value(&'v str),
}

impl<'v> Env<'v> {
    fn of(value: &'v ConfigValue) -> Self {
        match value {
            // What a tool such as Flux fills in before the cluster sees it.
            ConfigValue::Text(text) if text.as_str().contains("${") => Self::Unknown,
            ConfigValue::Text(text) => Self::Value(text.as_str()),
            ConfigValue::Sealed(text) => Self::Sealed(text),
            ConfigValue::Unknown => Self::Unknown,
        }
    }
}

/// The variables of a container. Each is filled in once, from those before it: a loop is none.
#[derive(Debug)]
pub(super) struct Variables<'a> {
    env: &'a [(&'a str, Option<&'a str>)],
    /// What the names begin with that `envFrom` may bring.
    prefixes: &'a [&'a str],
    /// What `valueFrom` and `envFrom` bring, as far as that is known.
    configuration: Option<&'a Configuration<'a>>,
    /// Where each name is set last among those read so far, in a list too long to be searched each time.
    last: HashMap<&'a str, usize>,
    /// The values that have references, filled in, by their index; false where that needs what is not known.
    filled: Vec<(usize, String, bool)>,
}

/// Up to this length a list is searched, which takes less time than making a map of it.
const SHORT: usize = 16;

/// In `last`: set further on in the list, and so not yet when Kubernetes fills in the value at hand.
const LATER: usize = usize::MAX;

/// Where a variable is set.
enum Set {
    Nowhere,
    Later,
    At(usize),
}

impl<'a> Variables<'a> {
    pub(super) fn new(container: &ContainerView<'a>, budget: &mut Budget) -> Result<Self, Excess> {
        let env = container.env;
        budget.steps(env.len())?;
        let mut variables = Self {
            env,
            prefixes: container.env_from,
            configuration: container.configuration,
            last: HashMap::new(),
            filled: Vec::new(),
        };
        if env.len() > SHORT {
            variables.last = env.iter().map(|(name, _)| (*name, LATER)).collect();
        }
        for (index, (name, value)) in env.iter().enumerate() {
            if let Some(value) = value.filter(|value| value.contains('$')) {
                let (text, known) = variables.fill_in_before(value, index, budget)?;
                variables.filled.push((index, text.into_owned(), known));
            }
            if let Some(last) = variables.last.get_mut(name) {
                *last = index;
            }
        }
        Ok(variables)
    }

    /// A variable as the container's process sees it.
    pub(super) fn get(&self, name: &str) -> Env<'_> {
        self.value(name, self.find(name, self.env.len()))
    }

    /// What decides a variable's value.
    pub(super) fn origin(&self, name: &str) -> Origin {
        match self.find(name, self.env.len()) {
            Set::At(index) if !self.is_left_out(index) => Origin::Env { index: Some(index) },
            Set::At(_) | Set::Nowhere | Set::Later => match self.brought(name) {
                Some((index, _)) => Origin::EnvFrom { index },
                None => Origin::Env { index: None },
            },
        }
    }

    /// Whether a variable's `valueFrom` names an optional key that does not exist.
    fn is_left_out(&self, index: usize) -> bool {
        matches!(self.configuration.and_then(|configuration| configuration.value(index)), Some(None))
    }

    /// Fills in the references in an argument. The second part is false when a value cannot be known.
    pub(super) fn fill_in<'t>(
        &self,
        text: &'t str,
        budget: &mut Budget,
    ) -> Result<(Cow<'t, str>, bool), Excess> {
        self.fill_in_before(text, self.env.len(), budget)
    }

    /// Where a name is set last before `end`.
    fn find(&self, name: &str, end: usize) -> Set {
        if self.env.len() > SHORT {
            return match self.last.get(name) {
                None => Set::Nowhere,
                Some(&LATER) => Set::Later,
                Some(&index) => Set::At(index),
            };
        }
        let is_it = |(known, _): &(&str, Option<&str>)| *known == name;
        let (before, after) = self.env.split_at_checked(end).unwrap_or((self.env, &[]));
        match before.iter().rposition(is_it) {
            Some(index) => Set::At(index),
            None if after.iter().any(is_it) => Set::Later,
            None => Set::Nowhere,
        }
    }

    fn value(&self, name: &str, set: Set) -> Env<'_> {
        let index = match set {
            Set::Nowhere => return self.by_env_from(name),
            Set::Later => return Env::Unknown,
            Set::At(index) => index,
        };
        match self.configuration.and_then(|configuration| configuration.value(index)) {
            Some(Some(value)) => return Env::of(value),
            Some(None) => return self.by_env_from(name),
            None => {}
        }
        let value = match self.filled(index) {
            Some((text, known)) => Some(text).filter(|_| known),
            None => self.env.get(index).and_then(|(_, value)| *value),
        };
        value.map_or(Env::Unknown, Env::Value)
    }

    /// The value at an index that has references, and whether all of it is known.
    fn filled(&self, index: usize) -> Option<(&str, bool)> {
        let at = self.filled.binary_search_by_key(&index, |(index, ..)| *index).ok()?;
        self.filled.get(at).map(|(_, text, known)| (text.as_str(), *known))
    }

    /// What the value of a variable begins with, where only the rest is not known: `postgres://` of
    /// `postgres://$(USER)@db`.
    pub(super) fn beginning(&self, name: &str) -> &str {
        match self.find(name, self.env.len()) {
            Set::At(index) => self.filled(index).map_or("", |(text, _)| known_beginning(text)),
            Set::Nowhere | Set::Later => "",
        }
    }

    /// A variable that only `envFrom` can bring. Of very many entries one is taken to fit, so that no reference reads all.
    fn by_env_from(&self, name: &str) -> Env<'_> {
        if self.prefixes.len() > SHORT {
            return Env::Perhaps;
        }
        match self.brought(name) {
            None => Env::Unset,
            Some((_, None)) => Env::Perhaps,
            Some((_, Some(value))) => Env::of(value),
        }
    }

    /// The last entry of `envFrom` that brings a variable, with its value; or that may bring it.
    fn brought(&self, name: &str) -> Option<(usize, Option<&ConfigValue>)> {
        let objects = self.configuration.map_or(&[][..], |configuration| &configuration.env_from);
        let entries = self.prefixes.iter().enumerate().rev().take(SHORT);
        entries.into_iter().find_map(|(index, prefix)| {
            let key = name.strip_prefix(prefix)?;
            match objects.get(index).and_then(Option::as_deref) {
                None => Some((index, None)),
                Some(object) => ConfigFacts::get(object, key).map(|value| (index, Some(value))),
            }
        })
    }

    /// `$$` is a dollar sign, and a name that nothing sets stays as it is written.
    fn fill_in_before<'t>(
        &self,
        text: &'t str,
        end: usize,
        budget: &mut Budget,
    ) -> Result<(Cow<'t, str>, bool), Excess> {
        if !text.contains('$') {
            return Ok((Cow::Borrowed(text), true));
        }
        let (mut out, mut known, mut rest) = (String::with_capacity(text.len()), true, text);
        // Whether a parenthesis that closes may still come: what was searched in vain once is not searched again.
        let mut closes = true;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            rest = after;
            if let Some(after) = after.strip_prefix('$') {
                out.push('$');
                rest = after;
                continue;
            }
            let Some(inner) = after.strip_prefix('(').filter(|_| closes) else {
                out.push('$');
                continue;
            };
            let Some((name, tail)) = inner.split_once(')') else {
                closes = false;
                budget.vain_search(inner.len())?;
                out.push('$');
                continue;
            };
            budget.steps(1)?;
            match self.value(name, self.find(name, end)) {
                Env::Value(value) => {
                    budget.bytes(value.len())?;
                    out.push_str(value);
                }
                unknown => {
                    known &= unknown == Env::Unset;
                    out.extend(["$(", name, ")"]);
                }
            }
            rest = tail;
        }
        out.push_str(rest);
        Ok((Cow::Owned(out), known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENV: &[(&str, Option<&str>)] = &[
        ("DIR", Some("/x")),
        ("SUB", Some("$(DIR)/sub")),
        ("SECRET", None),
        ("FLAGS", Some("--dir /y  --quiet")),
        ("LOOP", Some("$(LOOP)")),
    ];

    fn variables<'a>(env: &'a [(&'a str, Option<&'a str>)], env_from: &'a [&'a str]) -> Variables<'a> {
        let container = ContainerView { env, env_from, ..ContainerView::default() };
        Variables::new(&container, &mut Budget::of(&container)).unwrap()
    }

    #[test]
    fn references_are_filled_in_as_kubernetes_does() {
        let variables = variables(ENV, &[]);
        for (text, expected, known) in [
            ("--dir=$(DIR)", "--dir=/x", true),
            ("$(SUB)/deep", "/x/sub/deep", true),
            ("$$(DIR)", "$(DIR)", true),
            ("$(NONE)", "$(NONE)", true),
            ("$(SECRET)", "$(SECRET)", false),
            ("$(LOOP)", "$(LOOP)", false),
            ("$DIR $(", "$DIR $(", true),
        ] {
            let mut budget = Budget::set(100, 100);
            assert_eq!(variables.fill_in(text, &mut budget), Ok((Cow::Borrowed(expected), known)), "{text}");
        }
    }

    #[test]
    fn only_those_before_a_variable_are_filled_in_in_short_lists_and_long_ones() {
        let padding: Vec<String> = (0..2 * SHORT).map(|n| format!("P{n}")).collect();
        for extra in [0, padding.len()] {
            let mut env = vec![
                ("A", Some("1")),
                ("EARLY", Some("$(A)$(B)")),
                ("B", Some("2")),
                ("LATE", Some("$(A)$(B)")),
                ("A", Some("$(A)3")),
            ];
            env.extend(padding.iter().take(extra).map(|name| (name.as_str(), Some(""))));
            let variables = variables(&env, &[]);
            assert_eq!(variables.get("EARLY"), Env::Unknown, "Kubernetes would leave $(B) as it is");
            assert_eq!(variables.get("LATE"), Env::Value("12"));
            assert_eq!(variables.get("A"), Env::Value("13"), "the last of one name, from the one before");
            let index = |name| variables.origin(name);
            assert_eq!(
                (index("A"), index("NONE")),
                (Origin::Env { index: Some(4) }, Origin::Env { index: None })
            );
            assert_eq!(variables.get("NONE"), Env::Unset);
        }
    }

    #[test]
    fn what_env_from_may_bring_is_not_known() {
        let variables = variables(ENV, &["APP_", ""]);
        assert_eq!(variables.get("NONE"), Env::Perhaps);
        assert_eq!(variables.get("DIR"), Env::Value("/x"), "`env` goes before `envFrom`");
        assert_eq!(variables.get("SECRET"), Env::Unknown);
        let (text, known) = variables.fill_in("$(NONE)", &mut Budget::set(0, 1)).unwrap();
        assert_eq!((&*text, known), ("$(NONE)", false));
        let prefixed = super::tests::variables(ENV, &["APP_"]);
        assert_eq!((prefixed.get("APP_X"), prefixed.get("NONE")), (Env::Perhaps, Env::Unset));
        let many = ["APP_"; 2 * SHORT];
        assert_eq!(super::tests::variables(ENV, &many).get("NONE"), Env::Perhaps, "not each is looked at");
    }

    #[test]
    fn objects_that_are_known_bring_their_keys_and_nothing_else() {
        use super::super::configuration::{Allowance, Brought};
        use crate::facts::{Facts, Subject};
        use serde_json::json;
        use std::sync::Arc;
        let object = |kind: &str, data: serde_json::Value| {
            let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "o"}, "data": data});
            match Facts::read(&object, None).unwrap().subject {
                Subject::Config(facts) => Arc::new(facts),
                other => panic!("{other:?}"),
            }
        };
        let map = object("ConfigMap", json!({"A": "map", "B": "$(A)", "FLUX": "${X:=1}"}));
        let secret = object("Secret", json!({"A": "c2VjcmV0", "S": "c2VjcmV0"}));
        let allowance = Allowance::default();
        let mut configuration = Configuration::new(&allowance);
        configuration.env_from = vec![Some(Arc::clone(&secret)), Some(Arc::clone(&map)), None];
        configuration.values =
            vec![(0, Brought::Key(map, "A")), (1, Brought::Nothing), (3, Brought::Key(secret, "S"))];
        let env = [
            ("FROM", None),
            ("LEFT_OUT", None),
            ("FIELD", None),
            ("SEALED", None),
            ("X", Some("$(FROM)/$(SEALED)")),
        ];
        let container = ContainerView {
            env: &env,
            env_from: &["", "", "PRE_"],
            configuration: Some(&configuration),
            ..ContainerView::default()
        };
        let variables = Variables::new(&container, &mut Budget::of(&container)).unwrap();
        assert_eq!(variables.get("FROM"), Env::Value("map"));
        assert_eq!(variables.get("LEFT_OUT"), Env::Unset, "an optional key that is not there");
        assert_eq!(variables.get("FIELD"), Env::Unknown);
        assert!(matches!(variables.get("SEALED"), Env::Sealed(text) if text.is(|text| text == "secret")));
        assert_eq!(variables.get("X"), Env::Unknown, "a Secret's text is filled in nowhere");
        assert_eq!(variables.get("A"), Env::Value("map"), "the later entry wins");
        assert!(matches!(variables.get("S"), Env::Sealed(_)));
        assert_eq!(variables.get("B"), Env::Value("$(A)"), "not filled in");
        assert_eq!(variables.get("FLUX"), Env::Unknown, "a tool fills it in");
        assert_eq!(variables.get("NONE"), Env::Unset, "no object has it");
        assert_eq!(variables.get("PRE_X"), Env::Perhaps, "the last object is not known");
        assert_eq!(variables.origin("A"), Origin::EnvFrom { index: 1 });
    }

    #[test]
    fn each_variable_is_filled_in_once_however_often_it_is_used() {
        let long = "x".repeat(100);
        let env = [("A", Some(long.as_str())), ("B", Some("$(A)$(A)")), ("C", Some("$(B)$(B)"))];
        let container = ContainerView { env: &env, ..ContainerView::default() };
        let mut budget = Budget::of(&container);
        let variables = Variables::new(&container, &mut budget).unwrap();
        assert_eq!(budget.used(), (2 * 100 + 2 * 200, 3 + 4, 0), "3 variables, 4 references");
        for _ in 0..1000 {
            assert!(matches!(variables.get("C"), Env::Value(value) if value.len() == 400));
        }
    }

    #[test]
    fn four_variables_of_many_references_stop_at_the_budget() {
        let (value, mut texts) = ("x".repeat(60), Vec::new());
        for name in ["A", "B", "C", "D"] {
            texts.push(format!("$({name})").repeat(60));
        }
        let mut env = vec![("A", Some(value.as_str()))];
        env.extend(
            ["B", "C", "D", "E"].into_iter().zip(&texts).map(|(name, text)| (name, Some(text.as_str()))),
        );
        let container = ContainerView { env: &env, ..ContainerView::default() };
        let mut budget = Budget::of(&container);
        let excess = Variables::new(&container, &mut budget).unwrap_err();
        let Excess::Bytes(most) = excess else { panic!("{excess:?}") };
        let input: usize = env.iter().map(|(name, value)| name.len() + value.unwrap().len() + 3).sum();
        assert!(most <= 8192 + 4 * input, "{most}");
        let (bytes, steps, _) = budget.used();
        assert!(
            bytes <= 2 * most && steps < 200,
            "{bytes} bytes, {steps} steps: no value is longer than the budget"
        );
    }
}
