//! Of which requests a policy of another engine is asked.

/// The operations of which volgate is asked as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operations {
    pub(super) create: bool,
    pub(super) update: bool,
}

impl Operations {
    pub(super) const ALL: Self = Self { create: true, update: true };

    /// Those of a list, of which an empty one means all.
    pub(super) fn of<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let mut names = names.peekable();
        if names.peek().is_none() {
            return Self::ALL;
        }
        names.fold(Self { create: false, update: false }, |all, name| Self {
            create: all.create || matches!(name, "CREATE" | "*"),
            update: all.update || matches!(name, "UPDATE" | "*"),
        })
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self { create: self.create && other.create, update: self.update && other.update }
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self { create: self.create || other.create, update: self.update || other.update }
    }

    /// The condition of a `cel` rule that asks of these alone, where one is needed.
    ///
    /// # Errors
    /// That volgate is asked of none of them.
    pub(super) fn condition(self) -> Result<Option<&'static str>, String> {
        match (self.create, self.update) {
            (true, true) => Ok(None),
            (true, false) => Ok(Some("request.operation == 'CREATE'")),
            (false, true) => Ok(Some("request.operation == 'UPDATE'")),
            (false, false) => {
                Err("it is about deletions or connections alone, of which volgate is not asked".to_owned())
            }
        }
    }
}
