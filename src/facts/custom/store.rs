//! Where a custom resource says that data lie, and which claims it asks for.

use super::path::{Path, Steps};
use super::table::{ClaimAt, ClaimForm, CustomKind, FieldIs, Lies, StoreAt, TemplatesAt};
use crate::facts::claim::{ClassName, modes as modes_of};
use crate::facts::{ClaimSpec, Meta};
use crate::json::Node;
use crate::model::{FieldPath, Quantity, beginning, shortened};
use std::borrow::Cow;

/// A place where a custom resource says on what data lie.
#[derive(Debug, Clone, PartialEq)]
pub struct Store<'t> {
    /// Whose data.
    pub product: &'t str,
    /// Where they lie.
    pub lies: Lies,
    /// The field that says it, or that would.
    pub field: FieldPath,
    /// Why they lie there, as the end of a sentence: "as `spec.storage` is not set".
    pub why: String,
    /// The claims that it asks for.
    pub claims: Vec<CustomClaim>,
    /// The templates that may bring claims, where it asks for none itself.
    pub templates: Vec<NamedTemplate<'t>>,
    /// Why many run the product without keeping its data.
    pub dispensable: Option<&'t str>,
    /// What to write so that the data last.
    pub help: Option<&'t str>,
    /// Whether the object said the same before it was changed: most operators cannot change it any more.
    pub unchanged: bool,
}

/// A template that a custom resource names.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTemplate<'t> {
    /// Its kind.
    pub kind: &'t str,
    /// Its namespace, where that is said.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The field that names it.
    pub field: FieldPath,
}

/// What a template says of data and claims.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateFacts {
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Where what is made from it keeps its data; nowhere if the template says nothing of that.
    pub lies: Lies,
    /// The claims that it asks for.
    pub claims: Vec<CustomClaim>,
}

/// A claim that a custom resource asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomClaim {
    /// What it asks for. The access modes are none where the operator fills them in.
    pub spec: ClaimSpec,
    /// The field with the class, or that would have it.
    pub class: FieldPath,
    /// The field with the size.
    pub size: FieldPath,
    /// The field with the access modes.
    pub modes: FieldPath,
    /// What of it was the same before the object was changed.
    pub unchanged: Unchanged,
}

/// What of a claim was judged before, and is the same now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unchanged {
    /// The class.
    pub class: bool,
    /// The size.
    pub size: bool,
    /// The access modes.
    pub modes: bool,
}

impl<'t> Store<'t> {
    /// The stores of one entry of the table.
    pub(super) fn all(entry: &'t CustomKind, at: &'t StoreAt, object: Node<'_>, steps: &Steps) -> Vec<Self> {
        let owners = Path(at.of.as_deref().unwrap_or_default()).all(object, steps);
        owners.into_iter().filter_map(|(path, node)| Self::read(entry, at, &path, node, steps)).collect()
    }

    fn read(
        entry: &'t CustomKind,
        at: &'t StoreAt,
        path: &FieldPath,
        node: Node<'_>,
        steps: &Steps,
    ) -> Option<Self> {
        if !at.when.iter().all(|is| holds(is, node, steps).is_some()) {
            return None;
        }
        let (lies, field, why) = if let Some(blocked) = Path(&at.at).blocked(node) {
            let field = path.join(&blocked);
            let why = format!("as `{field}` is no map");
            (Lies::Unknown, field, why)
        } else {
            Self::by_cases(at, path, node, steps)
        };
        let claims = match lies {
            Lies::Claim | Lies::Unknown => {
                at.claims.iter().flat_map(|claim| CustomClaim::all(claim, path, node, steps)).collect()
            }
            _ => Vec::new(),
        };
        let templates = match (&at.templates, lies) {
            (Some(named), lies) if lies != Lies::Claim => NamedTemplate::all(named, path, node, steps),
            _ => Vec::new(),
        };
        // What was not looked at is not absent.
        if steps.are_spent() {
            return None;
        }
        Some(Self {
            product: at.product.as_deref().unwrap_or(&entry.product),
            lies,
            field,
            why,
            claims,
            templates,
            dispensable: at.dispensable.as_deref(),
            help: at.help.as_deref(),
            unchanged: false,
        })
    }

    /// Where the data lie by the cases, the field that says so, and why.
    fn by_cases(at: &StoreAt, path: &FieldPath, node: Node<'_>, steps: &Steps) -> (Lies, FieldPath, String) {
        let own = || match Path(&at.at).first(node, steps) {
            Some((found, _)) => path.join(&found),
            None => Path(&at.at).place(path),
        };
        match at.cases.iter().find_map(|case| {
            let held: Option<Vec<_>> = case.when.iter().map(|is| holds(is, node, steps)).collect();
            Some((case, held?))
        }) {
            Some((case, held)) => {
                let given = held.into_iter().flatten().next();
                let said = given.as_ref().map(|(found, value)| {
                    let field = path.join(found);
                    match scalar(*value) {
                        Some(text) => format!("as `{field}` is `{}`", shortened(&text, 60)),
                        None => format!("as it has `{field}`"),
                    }
                });
                let why = case.why.clone().or(said).unwrap_or_else(|| format!("as `{}` is not set", own()));
                (case.lies, given.map_or_else(own, |(found, _)| path.join(&found)), why)
            }
            None => {
                let field = own();
                let why = match Path(&at.at).first(node, steps) {
                    Some(_) => format!("as `{field}` asks for nothing else"),
                    None => format!("as `{field}` is not set"),
                };
                (at.otherwise, field, why)
            }
        }
    }

    /// Remembers what an object said before it was changed.
    pub(super) fn compare(&mut self, old: &[Store<'_>]) {
        self.unchanged = old
            .iter()
            .any(|old| (old.product, old.lies, &old.field) == (self.product, self.lies, &self.field));
        let before = |claim: &CustomClaim| {
            old.iter()
                .flat_map(|old| &old.claims)
                .find(|old| old.class == claim.class && old.size == claim.size)
        };
        for claim in &mut self.claims {
            let Some(old) = before(claim) else { continue };
            claim.unchanged = Unchanged {
                class: old.spec.class == claim.spec.class,
                size: old.spec.request == claim.spec.request,
                modes: old.spec.access_modes == claim.spec.access_modes,
            };
        }
    }
}

impl<'t> NamedTemplate<'t> {
    fn all(at: &'t TemplatesAt, path: &FieldPath, node: Node<'_>, steps: &Steps) -> Vec<Self> {
        let text = |node: Node<'_>, key| {
            node.get(key).and_then(Node::as_str).map(|text| beginning(text, 253).to_owned())
        };
        let named = Path(&at.at).all(node, steps).into_iter();
        named
            .filter_map(|(found, node)| {
                let (namespace, name) = (text(node, "namespace"), text(node, "name")?);
                let namespace = namespace.filter(|namespace| !namespace.is_empty());
                Some(Self { kind: &at.kind, namespace, name, field: path.join(&found) })
            })
            .collect()
    }
}

impl CustomClaim {
    fn all(at: &ClaimAt, path: &FieldPath, node: Node<'_>, steps: &Steps) -> Vec<Self> {
        let asking = Path(&at.at).all(node, steps).into_iter();
        let asking = asking.filter(|(_, node)| at.when.iter().all(|is| holds(is, *node, steps).is_some()));
        asking.filter_map(|(found, node)| Self::read(at, &path.join(&found), node, steps)).collect()
    }

    fn read(at: &ClaimAt, path: &FieldPath, node: Node<'_>, steps: &Steps) -> Option<Self> {
        // What has another type than a claim has is the API server's to refuse: nothing is known of it here.
        let (mut spec, base) = match at.form {
            ClaimForm::Template => {
                let meta = Meta::read(node).unwrap_or_default();
                (ClaimSpec::read(node, &meta).ok()?, path.key("spec"))
            }
            ClaimForm::Spec => (ClaimSpec::of_spec(node).ok()?, path.clone()),
            ClaimForm::Fields => (ClaimSpec::default(), path.clone()),
        };
        let place = |own: &Option<String>, usual: &[&'static str]| match own {
            Some(own) => {
                let found = Path(own).first(node, steps);
                let at = found.as_ref().map_or_else(|| Path(own).place(path), |(found, _)| path.join(found));
                (at, found.map(|(_, value)| value))
            }
            None => (usual.iter().fold(base.clone(), |at, key| at.key(*key)), None),
        };
        let (class, own_class) = place(&at.class, &["storageClassName"]);
        let (size, own_size) = place(&at.size, &["resources", "requests", "storage"]);
        let (modes, own_modes) = place(&at.modes, &["accessModes"]);
        if let Some(text) = own_class.and_then(Node::as_str) {
            spec.class = ClassName::of(Some(beginning(text, 253)), None);
        }
        if let Some(quantity) = own_size.and_then(quantity) {
            spec.request = Some(quantity);
        }
        if let Some(read) = own_modes.and_then(|listed| modes_of(listed.items()).ok()) {
            spec.access_modes = read;
        }
        Some(Self { spec, class, size, modes, unchanged: Unchanged::default() })
    }
}

/// The longest quantity that is read, in bytes.
const LONGEST_QUANTITY: usize = 64;

fn quantity(value: Node<'_>) -> Option<Quantity> {
    let text = scalar(value)?;
    let text = text.trim();
    if text.len() > LONGEST_QUANTITY { None } else { Quantity::parse(text).ok() }
}

/// Whether a condition holds, and the field by which it does where there is one.
fn holds<'a>(is: &FieldIs, node: Node<'a>, steps: &Steps) -> Option<Option<(FieldPath, Node<'a>)>> {
    let fits = |value: Node<'_>, wanted: &String| {
        scalar(value).is_some_and(|text| text.trim().eq_ignore_ascii_case(wanted))
            || (wanted == "0" && quantity(value).is_some_and(|quantity| quantity.value() == 0))
    };
    let mut all = Path(&is.field).all(node, steps).into_iter();
    let found = all.find(|(_, value)| is.is.is_empty() || is.is.iter().any(|wanted| fits(*value, wanted)));
    match (found, is.not) {
        (Some(found), false) => Some(Some(found)),
        (None, true) => Some(None),
        _ => None,
    }
}

/// The value of a field as text, where it is no map and no list.
fn scalar(value: Node<'_>) -> Option<Cow<'_, str>> {
    let text = value.as_str().map(Cow::Borrowed);
    text.or_else(|| Some(value.as_bool()?.to_string().into()))
        .or_else(|| Some(value.as_number()?.to_string().into()))
}
