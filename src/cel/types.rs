//! What is known of a value before it is there: an expression that cannot be right is refused when the policy is loaded.

use std::fmt;

/// What a value is, or what a function takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Whatever it is.
    Any,
    /// An int, a uint or a double.
    Number,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    List,
    Map,
    Optional,
    Span,
    Time,
    Type,
    Quantity,
    Ip,
    Cidr,
    Url,
    Semver,
    Format,
}

/// The names of types that an expression can write as values.
pub(crate) const TYPE_NAMES: [(&str, Kind); 13] = [
    ("bool", Kind::Bool),
    ("bytes", Kind::Bytes),
    ("double", Kind::Double),
    ("google.protobuf.Duration", Kind::Span),
    ("google.protobuf.Timestamp", Kind::Time),
    ("int", Kind::Int),
    ("list", Kind::List),
    ("map", Kind::Map),
    ("null_type", Kind::Null),
    ("optional_type", Kind::Optional),
    ("string", Kind::Text),
    ("type", Kind::Type),
    ("uint", Kind::Uint),
];

impl Kind {
    /// The kind of a value of Kubernetes' library, by its name there.
    pub(crate) fn of_library(name: &str) -> Self {
        match name {
            "kubernetes.Quantity" => Self::Quantity,
            "net.IP" => Self::Ip,
            "net.CIDR" => Self::Cidr,
            "kubernetes.URL" => Self::Url,
            "kubernetes.Semver" => Self::Semver,
            "kubernetes.Format" => Self::Format,
            _ => Self::Any,
        }
    }

    /// What `type()` calls it.
    pub(crate) fn type_name(self) -> &'static str {
        TYPE_NAMES.iter().find(|(_, kind)| *kind == self).map_or(self.name(), |(name, _)| *name)
    }

    /// What messages call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Number => "a number",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::Text => "string",
            Self::Bytes => "bytes",
            Self::List => "list",
            Self::Map => "map",
            Self::Optional => "optional",
            Self::Span => "duration",
            Self::Time => "timestamp",
            Self::Type => "type",
            Self::Quantity => "quantity",
            Self::Ip => "ip",
            Self::Cidr => "cidr",
            Self::Url => "url",
            Self::Semver => "semver",
            Self::Format => "format",
        }
    }

    /// Whether what takes this takes a value of that kind.
    pub(crate) fn takes(self, other: Self) -> bool {
        match self {
            Self::Any => true,
            Self::Number => matches!(other, Self::Int | Self::Uint | Self::Double),
            _ => self == other,
        }
    }
}

/// A map whose fields are known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// What messages call it.
    pub(crate) name: &'static str,
    /// Its fields.
    pub(crate) fields: &'static [(&'static str, Shape)],
}

/// The type of a known field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Any,
    Bool,
    Int,
    Text,
    Texts,
    /// A map of strings, such as labels.
    Labels,
    Record(&'static Record),
    Records(&'static Record),
}

/// What is known of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    /// Nothing.
    Dyn,
    /// Its kind.
    Of(Kind),
    List(Box<Type>),
    /// A map with values of that type.
    Map(Box<Type>),
    /// A map with these fields, or null.
    Record(&'static Record),
    Optional(Box<Type>),
}

impl From<Kind> for Type {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Any | Kind::Number => Self::Dyn,
            Kind::List => Self::List(Box::new(Self::Dyn)),
            Kind::Map => Self::Map(Box::new(Self::Dyn)),
            Kind::Optional => Self::Optional(Box::new(Self::Dyn)),
            kind => Self::Of(kind),
        }
    }
}

impl From<Shape> for Type {
    fn from(shape: Shape) -> Self {
        match shape {
            Shape::Any => Self::Dyn,
            Shape::Bool => Self::Of(Kind::Bool),
            Shape::Int => Self::Of(Kind::Int),
            Shape::Text => Self::Of(Kind::Text),
            Shape::Texts => Self::List(Box::new(Self::Of(Kind::Text))),
            Shape::Labels => Self::Map(Box::new(Self::Of(Kind::Text))),
            Shape::Record(record) => Self::Record(record),
            Shape::Records(record) => Self::List(Box::new(Self::Record(record))),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().name())
    }
}

impl Type {
    pub(crate) fn list(item: Self) -> Self {
        Self::List(Box::new(item))
    }

    pub(crate) fn optional(inside: Self) -> Self {
        Self::Optional(Box::new(inside))
    }

    /// Its kind; any where nothing is known.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Dyn => Kind::Any,
            Self::Of(kind) => *kind,
            Self::List(_) => Kind::List,
            Self::Map(_) | Self::Record(_) => Kind::Map,
            Self::Optional(_) => Kind::Optional,
        }
    }

    /// Whether a value of this type may be what is wanted.
    pub(crate) fn may_be(&self, wanted: Kind) -> bool {
        *self == Self::Dyn || wanted.takes(self.kind())
    }

    /// Whether two values of these types may be equal.
    pub(crate) fn may_equal(&self, other: &Self) -> bool {
        let number = |kind| Kind::Number.takes(kind);
        match (self, other) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::Record(_), Self::Of(Kind::Null)) | (Self::Of(Kind::Null), Self::Record(_)) => true,
            (Self::List(one), Self::List(other)) | (Self::Optional(one), Self::Optional(other)) => {
                one.may_equal(other)
            }
            (Self::Map(one), Self::Map(other)) => one.may_equal(other),
            (one, other) => {
                let (one, other) = (one.kind(), other.kind());
                one == other || (number(one) && number(other))
            }
        }
    }

    /// What is known of a value that is of one of these types.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::List(one), Self::List(other)) => Self::list(one.or(*other)),
            (Self::Map(one), Self::Map(other)) => Self::Map(Box::new(one.or(*other))),
            (Self::Optional(one), Self::Optional(other)) => Self::optional(one.or(*other)),
            _ => Self::Dyn,
        }
    }

    /// The one that all of them are; nothing is known where there is none.
    pub(crate) fn of_all(types: impl IntoIterator<Item = Self>) -> Self {
        types.into_iter().reduce(Self::or).unwrap_or(Self::Dyn)
    }
}
