//! Conversion: a record becomes an image.
//!
//! A [`Converter`] is compiled once from a conversion schema - paths resolved, expressions parsed, regular
//! expressions compiled, transformations bound - and then run on page after page. It never fails as a whole:
//! each record has its own [`Outcome`].

mod bind;
mod coerce;
mod compile;
mod condition;
mod dates;
mod expression;
mod formula;
mod invert;
mod mapping;
mod notices;
mod number;
mod outbound;
mod plan;
mod predicate;
mod row;
mod schema;
mod template;
mod text;
mod transform;
mod validate;

#[cfg(test)]
mod tests;

pub use dates::stamp;
pub use formula::Formula;
pub use notices::{Noticed, Notices};
pub use outbound::{Outbound, OutboundSpec, Reference as OutboundReference};
pub use schema::{DerivedSpec, RelationshipSpec, Target};

use crate::config::model::{ConversionSchema, Entity, Normaliser};
use crate::matching::normalise::normalise;
use crate::problem::{ConfigPath, Problem};
use crate::record::{Page, Record, Shape};
use crate::shard::{Image, Layout};
use crate::value::{Cell, Value};
use compact_str::CompactString;
use condition::Check;
use dates::{Moment, parse_format};
use jiff::Timestamp;
use mapping::{FieldPlan, Source};
use row::{Roots, Row};
use schema::{DerivedPlan, EntityPlan, RelationshipPlan};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A compiled conversion schema.
#[derive(Debug)]
pub struct Converter {
    layout: Arc<Layout>,
    roots: Roots,
    entity: EntityPlan,
    filter: Vec<Check>,
    fields: Vec<FieldPlan>,
    /// Index into `fields` of each lookup.
    lookup_fields: Vec<usize>,
    lookups: Vec<LookupSpec>,
    relationships: Vec<RelationshipSpec>,
    relationship_plans: Vec<RelationshipPlan>,
    derived: Vec<DerivedSpec>,
    derived_plans: Vec<DerivedPlan>,
}

/// What a shard's own id is called beside its fields.
pub const SHARD_ID: &str = "shard_id";

/// What the texts of fixed values can name, as in `{{ task }}`.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The owner of the configuration.
    pub tenant: &'a str,
    /// The connection that records come from.
    pub connection: &'a str,
    /// The entity that records are of.
    pub entity: &'a str,
    /// The sync task.
    pub task: &'a str,
}

/// A field that is taken from another shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupSpec {
    /// The index of the field in [`Converter::layout`].
    pub field: usize,
    /// The type of the other shard.
    pub shard_type: String,
    /// How the other shard is found.
    pub by: Target,
    /// The field of the other shard that is taken, or [`SHARD_ID`].
    pub returns: String,
}

/// What became of one record.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    /// As [`Record::source`].
    pub source: u32,
    /// As [`Record::line`].
    pub line: u64,
    /// The record's key; its parts joined with `|`. Empty where the record has none, which makes it invalid.
    pub external_id: CompactString,
    /// When the record last changed, in microseconds since 1970; `None` where it does not say so readably.
    pub modified: Option<i64>,
    /// What it became.
    pub outcome: Outcome,
}

/// What a record became.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Images.
    Mapped(Box<Mapped>),
    /// It was deleted at its source.
    Deleted,
    /// The schema's filter does not take it.
    Filtered,
    /// It is refused, for all of these reasons.
    Invalid(Vec<FieldError>),
}

/// The images of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapped {
    /// What it says of its primary shard; looked-up fields are absent until [`Converter::finish_lookup`], or null where
    /// the record says that it refers to nothing.
    pub image: Image,
    /// What to look for, in the order of [`Converter::lookups`]; `None` where the record does not say.
    pub lookups: Vec<Option<CompactString>>,
    /// Its links to other shards, by relationship, then in the record's own order.
    pub references: Vec<Reference>,
    /// What it says of further shards, in the order of [`Converter::derived`].
    pub derived: Vec<DerivedImage>,
}

/// A link to another shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Index into [`Converter::relationships`].
    pub relationship: u16,
    /// The external id or field value of the other shard.
    pub target: CompactString,
}

/// What a record says of a derived shard.
#[derive(Clone, Debug, PartialEq)]
pub struct DerivedImage {
    /// Index into [`Converter::derived`].
    pub derived: u16,
    /// Names the thing; records with the same key share the shard.
    pub key: CompactString,
    /// In the layout of the derived shard.
    pub image: Image,
}

/// Why a record is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("field `{field}`: {problem}")]
pub struct FieldError {
    /// The field of the shard; `name.field` in a derived shard; a key's or relationship's own name.
    pub field: String,
    /// The value that is refused, as far as there is one.
    pub value: Option<Value>,
    /// What is wrong with it: lower case, no final period.
    pub problem: String,
}

impl Converter {
    /// Compiles `schema`, which stands at `path`, for records of `entity`; `layouts` has the layouts of all shard
    /// types by name.
    ///
    /// # Errors
    ///
    /// All problems, each at its place below `path` (those of `entity` below `connections`).
    pub fn compile(
        schema: &ConversionSchema,
        entity: &Entity,
        layouts: &BTreeMap<String, Arc<Layout>>,
        names: &Names<'_>,
        path: &ConfigPath,
    ) -> Result<Self, Vec<Problem>> {
        schema::compile(schema, entity, layouts, names, path)
    }

    /// Converts a page: one result for each of its records, in their order.
    pub fn convert(&self, page: &Page) -> Vec<Converted> {
        let slots = self.roots.bind(&page.shape);
        let row = |record| Row { record, slots: &slots, shape: &page.shape };
        page.records.iter().map(|record| self.record(&row(record))).collect()
    }

    /// The version of each record of a page, where its system says one; none at all where the entity names no field
    /// for it.
    pub fn versions(&self, page: &Page) -> Vec<Option<CompactString>> {
        let Some(path) = &self.entity.version else { return Vec::new() };
        let slots = self.roots.bind(&page.shape);
        let row = |record| Row { record, slots: &slots, shape: &page.shape };
        page.records.iter().map(|record| row(record).get(path).and_then(plain_key)).collect()
    }

    /// The external id of each record of a page; `None` where it has none.
    pub fn external_ids(&self, page: &Page) -> Vec<Option<CompactString>> {
        let slots = self.roots.bind(&page.shape);
        let row = |record| Row { record, slots: &slots, shape: &page.shape };
        page.records.iter().map(|record| self.entity.external_id(&row(record)).ok()).collect()
    }

    /// Whether the system marks deleted records, and keeps them.
    pub fn marks_deleted(&self) -> bool {
        self.entity.deleted.is_some()
    }

    /// Of the records of a page that were deleted because they were merged into others: the external id of each, and that
    /// of the one that stays.
    pub fn merged(&self, page: &Page) -> Vec<(CompactString, CompactString)> {
        let (Some(into), Some(deleted)) = (&self.entity.merged_into, &self.entity.deleted) else {
            return Vec::new();
        };
        let slots = self.roots.bind(&page.shape);
        let rows =
            page.records.iter().map(|record| Row { record, slots: &slots, shape: &page.shape });
        let pair = |row: Row<'_>| {
            let stays = row.get(into).and_then(plain_key)?;
            Some((self.entity.external_id(&row).ok()?, stays))
        };
        rows.filter(|row| deleted.holds(row)).filter_map(pair).collect()
    }

    /// The values of the key fields that `external_id` is made of; `None` where it does not have as many.
    pub fn key_of(&self, external_id: &str) -> Option<Vec<CompactString>> {
        if self.entity.key.len() == 1 {
            return Some(vec![CompactString::new(external_id)]);
        }
        let parts: Vec<CompactString> = external_id.split('|').map(CompactString::new).collect();
        (parts.len() == self.entity.key.len()).then_some(parts)
    }

    /// The fields of primary images.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The lookups, in the order of [`Mapped::lookups`].
    pub fn lookups(&self) -> &[LookupSpec] {
        &self.lookups
    }

    /// The relationships, which [`Reference::relationship`] indexes.
    pub fn relationships(&self) -> &[RelationshipSpec] {
        &self.relationships
    }

    /// The derived shards, which [`DerivedImage::derived`] indexes.
    pub fn derived(&self) -> &[DerivedSpec] {
        &self.derived
    }

    /// Puts what lookup number `index` `found` through the field's transformations, default and validation, and
    /// into `image`. Expressions of that mapping see the value, but not the record's fields.
    ///
    /// # Errors
    ///
    /// When the value is refused, or there is none and the field is required; the record is then invalid.
    pub fn finish_lookup(
        &self,
        index: usize,
        found: Option<&Value>,
        image: &mut Image,
    ) -> Result<(), FieldError> {
        let plan = &self.fields[self.lookup_fields[index]];
        let (record, shape) = (Record::default(), Shape::default());
        let row = Row { record: &record, slots: &[], shape: &shape };
        let missing = "required, but nothing was found to look it up in";
        let held = found.map(Cow::Borrowed);
        image[plan.index] = plan.finish(held, &row, missing, || found.cloned())?;
        Ok(())
    }

    /// What the shard's field of index `field` would be for a record of which `fields` are known; `None` where no
    /// mapping makes it of a record alone, or the value is refused.
    pub fn read_back(&self, fields: &[(CompactString, Value)], field: usize) -> Option<Cell> {
        let plan = self.fields.iter().find(|plan| plan.index == field)?;
        if matches!(plan.source, Source::Lookup { .. }) {
            return None;
        }
        let shape = Shape::new(fields.iter().map(|(name, _)| name.as_str()));
        let cells = fields.iter().map(|(_, value)| Some(value.clone())).collect();
        let record = Record { cells, ..Record::default() };
        let slots = self.roots.bind(&shape);
        plan.run(&Row { record: &record, slots: &slots, shape: &shape }).ok()
    }

    fn record(&self, row: &Row<'_>) -> Converted {
        let (external_id, outcome) = match self.entity.external_id(row) {
            Ok(id) => {
                let outcome = self.outcome(row, &id);
                (id, outcome)
            }
            Err(error) => (CompactString::default(), Outcome::Invalid(vec![error])),
        };
        let instant = self.entity.modified(row);
        Converted {
            source: row.record.source,
            line: row.record.line,
            external_id,
            modified: instant.map(|instant| instant.as_microsecond()),
            outcome,
        }
    }

    fn outcome(&self, row: &Row<'_>, id: &CompactString) -> Outcome {
        let deleted = self.entity.deleted.as_ref();
        if row.record.deleted || deleted.is_some_and(|check| check.holds(row)) {
            return Outcome::Deleted;
        }
        if !self.filter.iter().all(|check| check.holds(row)) {
            return Outcome::Filtered;
        }
        let mut errors = Vec::new();
        let image = image(&self.layout, &self.fields, row, &mut errors);
        let references = self.references(row, &mut errors);
        let derived = self.derived_images(row, id, &mut errors);
        if !errors.is_empty() {
            return Outcome::Invalid(errors);
        }
        let lookups = self.lookup_fields.iter().map(|position| &self.fields[*position]);
        let lookups = lookups.map(|plan| match &plan.source {
            Source::Lookup { from, .. } => row.get(from).and_then(plain_key),
            _ => None,
        });
        let lookups = lookups.collect();
        Outcome::Mapped(Box::new(Mapped { image, lookups, references, derived }))
    }

    fn references(&self, row: &Row<'_>, errors: &mut Vec<FieldError>) -> Vec<Reference> {
        let mut references = Vec::new();
        for (relationship, plan) in (0_u16..).zip(&self.relationship_plans) {
            let before = references.len();
            let found = row.get(&plan.from);
            let items = match found {
                Some(Value::List(items)) => items.as_slice(),
                Some(one) => std::slice::from_ref(one),
                None => &[],
            };
            let targets = items.iter().filter_map(plain_key);
            references.extend(targets.map(|target| Reference { relationship, target }));
            if plan.required && references.len() == before {
                errors.push(FieldError {
                    field: self.relationships[usize::from(relationship)].name.clone(),
                    value: found.cloned(),
                    problem: "required, but the record refers to nothing".to_owned(),
                });
            }
        }
        references
    }

    fn derived_images(
        &self,
        row: &Row<'_>,
        id: &CompactString,
        errors: &mut Vec<FieldError>,
    ) -> Vec<DerivedImage> {
        let mut images = Vec::with_capacity(self.derived_plans.len());
        for (index, (plan, spec)) in (0_u16..).zip(self.derived_plans.iter().zip(&self.derived)) {
            match plan.key(row, id) {
                Ok(Some(key)) => {
                    let image = image(&spec.layout, &plan.fields, row, errors);
                    images.push(DerivedImage { derived: index, key, image });
                }
                Ok(None) => {}
                Err(problem) => {
                    errors.push(FieldError { field: spec.name.clone(), value: None, problem });
                }
            }
        }
        images
    }
}

impl EntityPlan {
    fn external_id(&self, row: &Row<'_>) -> Result<CompactString, FieldError> {
        let mut id = CompactString::default();
        for (position, (name, path)) in self.key.iter().enumerate() {
            let found = row.get(path);
            let Some(part) = found.and_then(plain_key) else {
                let problem = match found {
                    Some(Value::List(_) | Value::Map(_)) => "a key must be text or a number",
                    _ => "a key is required, but the record has no value",
                };
                let problem = problem.to_owned();
                return Err(FieldError { field: name.clone(), value: found.cloned(), problem });
            };
            if position == 0 {
                id = part;
            } else {
                id.push('|');
                id.push_str(&part);
            }
        }
        Ok(id)
    }

    /// When the record changed, as it says itself; `None` where it does not say, or not so that it can be read.
    fn modified(&self, row: &Row<'_>) -> Option<Timestamp> {
        let value = row.get(self.modified.as_ref()?)?;
        if self.modified_formats.is_empty() {
            return Moment::of(value)?.instant();
        }
        let plain = value.to_plain();
        let formats = self.modified_formats.iter();
        formats.filter_map(|format| parse_format(format, &plain).ok()).next()?.instant()
    }
}

impl DerivedPlan {
    /// The key of the shard to make; `None` where none is made.
    fn key(&self, row: &Row<'_>, id: &CompactString) -> Result<Option<CompactString>, String> {
        if let Some(when) = &self.when
            && !when.holds(row)?
        {
            return Ok(None);
        }
        let Some(template) = &self.key else { return Ok(Some(id.clone())) };
        let Some(key) = template.render(row)? else { return Ok(None) };
        if self.normaliser == Normaliser::None {
            return Ok((!key.is_empty()).then_some(key));
        }
        let normalised = normalise(self.normaliser, &key);
        Ok((!normalised.is_empty()).then(|| CompactString::new(normalised)))
    }
}

/// The image that `plans` make of a record; what is wrong with it goes to `errors`.
fn image(
    layout: &Layout,
    plans: &[FieldPlan],
    row: &Row<'_>,
    errors: &mut Vec<FieldError>,
) -> Image {
    let mut image = layout.empty_image();
    for plan in plans {
        match plan.run(row) {
            Ok(cell) => image[plan.index] = cell,
            Err(error) => errors.push(error),
        }
    }
    image
}

/// A value that names something, as text; `None` where it is blank, a list or a map.
fn plain_key(value: &Value) -> Option<CompactString> {
    match value {
        Value::List(_) | Value::Map(_) => None,
        Value::Text(text) => (!text.trim().is_empty()).then(|| text.clone()),
        Value::Null => None,
        other => Some(CompactString::new(other.to_plain())),
    }
}
