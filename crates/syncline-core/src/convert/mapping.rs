//! One field's mapping: where its value comes from, and what becomes of it.

use super::FieldError;
use super::coerce::coerce;
use super::condition::{Check, Test};
use super::expression::Expr;
use super::row::{FieldPath, Row};
use super::template::Template;
use super::transform::{Held, Step, is_empty};
use super::validate::Rules;
use crate::config::model::{FieldType, Take};
use crate::value::{Cell, Value};
use compact_str::CompactString;
use std::borrow::Cow;

/// A compiled mapping of one field.
#[derive(Debug)]
pub(super) struct FieldPlan {
    /// The field's index in its layout.
    pub(super) index: usize,
    /// What errors call it.
    pub(super) name: String,
    pub(super) field_type: FieldType,
    pub(super) source: Source,
    pub(super) steps: Vec<Step>,
    /// Already of the field's type.
    pub(super) default: Option<Value>,
    pub(super) default_fills_blank: bool,
    pub(super) required: bool,
    pub(super) required_refuses_blank: bool,
    pub(super) rules: Option<Rules>,
}

/// Where a field's value comes from.
#[derive(Debug)]
pub(super) enum Source {
    Field(FieldPath),
    Fixed(Value),
    Join {
        fields: Vec<FieldPath>,
        separator: String,
    },
    Template(Template),
    Cases {
        cases: Vec<CaseArm>,
        otherwise: Option<Value>,
    },
    Flatten(Box<Items>),
    /// The value comes later; this names the index of the lookup and what is looked for.
    Lookup {
        index: usize,
        from: FieldPath,
        /// Whether null means that there is nothing, and not only that it is not known.
        clears: bool,
    },
    Expression(Expr),
}

/// A case of a conditional mapping.
#[derive(Debug)]
pub(super) struct CaseArm {
    pub(super) when: When,
    pub(super) source: Source,
    pub(super) steps: Vec<Step>,
}

/// When something holds.
#[derive(Debug)]
pub(super) enum When {
    Expression(Expr),
    All(Vec<Check>),
}

/// Values out of a list.
#[derive(Debug)]
pub(super) struct Items {
    pub(super) from: FieldPath,
    /// What is taken of each item; empty for the item itself.
    pub(super) path: Vec<CompactString>,
    /// Only items that meet this, at a path inside them.
    pub(super) only: Option<(Vec<CompactString>, Test)>,
    pub(super) take: Take,
    pub(super) separator: String,
}

impl FieldPlan {
    /// The field's cell for a record. A lookup's is absent until [`FieldPlan::finish`], or null where that is said.
    pub(super) fn run(&self, row: &Row<'_>) -> Result<Cell, FieldError> {
        if let Source::Lookup { from, clears, .. } = &self.source {
            let is_nothing = *clears && row.get(from).is_some_and(Value::is_null);
            return Ok(is_nothing.then_some(Value::Null));
        }
        let found = self.source.read(row).map_err(|problem| self.error(None, problem))?;
        let missing = "required, but the record has no value";
        self.finish(found, row, missing, || {
            self.source.read(row).ok().flatten().map(Cow::into_owned)
        })
    }

    /// What becomes of the value that was found; `original` gives it again, for errors, and `missing` is what
    /// is said when a required one is not there.
    pub(super) fn finish<'a>(
        &'a self,
        mut held: Held<'a>,
        row: &Row<'_>,
        missing: &str,
        original: impl Fn() -> Cell,
    ) -> Result<Cell, FieldError> {
        for step in &self.steps {
            held = step.apply(held, row).map_err(|problem| self.error(original(), problem))?;
        }
        let mut cell = match held {
            Some(value) => {
                let coerced = coerce(value, self.field_type);
                Some(coerced.map_err(|problem| self.error(original(), problem))?)
            }
            None => None,
        };
        if let Some(default) = &self.default
            && is_missing(cell.as_ref(), self.default_fills_blank)
        {
            cell = Some(default.clone());
        }
        if self.required && is_missing(cell.as_ref(), self.required_refuses_blank) {
            return Err(self.error(cell, missing.to_owned()));
        }
        if let (Some(rules), Some(value)) = (&self.rules, &cell)
            && let Err(problem) = rules.check(value, row)
        {
            return Err(self.error(cell, problem));
        }
        Ok(cell)
    }

    fn error(&self, value: Cell, problem: String) -> FieldError {
        FieldError { field: self.name.clone(), value, problem }
    }
}

/// Whether there is no value: absent, null or, if `blank_too`, blank text.
fn is_missing(cell: Option<&Value>, blank_too: bool) -> bool {
    cell.is_none_or(|value| value.is_null() || (blank_too && is_empty(value)))
}

impl Source {
    /// The value in the record, before any transformation.
    pub(super) fn read<'a>(&'a self, row: &Row<'a>) -> Result<Held<'a>, String> {
        Ok(match self {
            Self::Field(path) | Self::Lookup { from: path, .. } => row.get(path).map(Cow::Borrowed),
            Self::Fixed(value) => Some(Cow::Borrowed(value)),
            Self::Join { fields, separator } => joined(fields, separator, row),
            Self::Template(template) => {
                template.render(row)?.map(|text| Cow::Owned(Value::Text(text)))
            }
            Self::Cases { cases, otherwise } => {
                for case in cases {
                    if case.when.holds(row)? {
                        let found = case.source.read(row)?;
                        return case
                            .steps
                            .iter()
                            .try_fold(found, |held, step| step.apply(held, row));
                    }
                }
                otherwise.as_ref().map(Cow::Borrowed)
            }
            Self::Flatten(items) => items.read(row),
            Self::Expression(expr) => expr.eval(row, None)?.map(Cow::Owned),
        })
    }
}

impl When {
    /// Whether it holds for a record.
    ///
    /// # Errors
    ///
    /// What went wrong in an expression.
    pub(super) fn holds(&self, row: &Row<'_>) -> Result<bool, String> {
        match self {
            Self::Expression(expr) => expr.holds(row, None),
            Self::All(checks) => Ok(checks.iter().all(|check| check.holds(row))),
        }
    }
}

fn joined<'a>(fields: &[FieldPath], separator: &str, row: &Row<'a>) -> Held<'a> {
    let values = fields.iter().filter_map(|field| row.get(field));
    let mut parts = values.filter(|value| !value.is_blank()).map(Value::to_plain);
    let mut text = CompactString::new(parts.next()?);
    for part in parts {
        text.push_str(separator);
        text.push_str(&part);
    }
    Some(Cow::Owned(Value::Text(text)))
}

impl Items {
    fn read<'a>(&'a self, row: &Row<'a>) -> Held<'a> {
        let items = match row.get(&self.from)? {
            Value::Null => return Some(Cow::Owned(Value::Null)),
            Value::List(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        let mut values = items
            .iter()
            .filter(|item| self.only.as_ref().is_none_or(|(path, test)| test.holds(item.at(path))))
            .filter_map(|item| item.at(&self.path))
            .filter(|value| !value.is_null());
        let or_null =
            |value: Option<&'a Value>| Some(value.map_or(Cow::Owned(Value::Null), Cow::Borrowed));
        match self.take {
            Take::First => or_null(values.next()),
            Take::Last => or_null(values.next_back()),
            Take::All => Some(Cow::Owned(Value::List(values.cloned().collect()))),
            Take::Count => Some(Cow::Owned(Value::Int(i64::try_from(values.count()).ok()?))),
            Take::Join => {
                let parts: Vec<_> =
                    values.filter(|value| !value.is_blank()).map(Value::to_plain).collect();
                Some(Cow::Owned(match parts.as_slice() {
                    [] => Value::Null,
                    parts => Value::text(parts.join(&self.separator)),
                }))
            }
        }
    }
}
