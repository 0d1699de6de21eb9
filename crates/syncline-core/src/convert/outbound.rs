//! The way back: a shard becomes the fields of a record.
//!
//! Mappings are lenses: what was read, written back, changes nothing, and what was written is what is read. Renames,
//! type conversions, scaling, value maps and date formats invert by themselves; a mapping that does not needs an
//! `outbound:` of its own.

use super::compile::Scope;
use super::condition::Check;
use super::invert::{Inverse, invert, is_reference};
use super::mapping::FieldPlan;
use super::plan::{FieldCompiler, checks};
use super::row::Row;
use super::{Converter, FieldError, Names, SHARD_ID};
use crate::config::model::{
    Condition, ConversionSchema, Entity, FieldDef, FieldMapping, FieldType, ShardType,
};
use crate::problem::{ConfigPath, Problem};
use crate::record::{Record, Shape};
use crate::shard::Layout;
use crate::value::{Cell, Value};
use compact_str::CompactString;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How shards become records, compiled.
#[derive(Debug)]
pub struct Outbound {
    /// What mappings see: the shard's fields and its id.
    shape: Shape,
    written: Vec<Written>,
    filter: Vec<Check>,
    filter_slots: Vec<usize>,
    /// For each shard field, whether an update can write it.
    writable: Vec<bool>,
    references: Vec<Reference>,
}

/// A field of the record that names another record: it is written with the id of that one's shard, and whoever sends
/// it puts the other record's external id there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The record's field.
    pub name: CompactString,
    /// The shard field that holds the id.
    pub field: usize,
}

/// One field of the record.
#[derive(Debug)]
struct Written {
    name: CompactString,
    plan: FieldPlan,
    slots: Vec<usize>,
    /// The shard fields that it is made of.
    needs: Vec<usize>,
    /// It names the record, so that it is written once.
    is_key: bool,
}

/// What a mapping back is compiled for.
#[derive(Clone, Copy)]
pub struct OutboundSpec<'a> {
    /// The schema.
    pub schema: &'a ConversionSchema,
    /// Where it stands.
    pub schema_path: &'a ConfigPath,
    /// The entity that is written.
    pub entity: &'a Entity,
    /// Only shards that meet all of these are written.
    pub filter: &'a [Condition],
    /// Where that stands.
    pub filter_path: &'a ConfigPath,
    /// Shard fields that are never written.
    pub read_only: &'a BTreeSet<&'a str>,
}

impl Outbound {
    /// Compiles the way back of a schema's primary shard, whose fields are those of `layout`.
    ///
    /// # Errors
    ///
    /// Mappings that do not invert, and for which none is declared; what is wrong with those that are.
    pub fn compile(
        spec: &OutboundSpec<'_>,
        layout: &Arc<Layout>,
        names: &Names<'_>,
    ) -> Result<Self, Vec<Problem>> {
        let shape = Shape::new(
            layout.names().iter().map(CompactString::as_str).chain(std::iter::once(SHARD_ID)),
        );
        let mut problems = Vec::new();
        let mappings = mappings(spec, &mut problems);
        let mut written = Vec::new();
        for (name, (mapping, at)) in &mappings {
            match compile_field(name, mapping, layout, &shape, names, at) {
                Ok(mut field) => {
                    field.is_key = spec.entity.key.as_slice().iter().any(|key| key == name);
                    written.push(field);
                }
                Err(found) => problems.extend(found),
            }
        }
        let mut scope = Scope::new(names);
        let filter = checks(spec.filter, &mut scope, spec.filter_path).unwrap_or_default();
        for unknown in unknown_names(&scope, &shape) {
            let known = shape.names().iter().map(CompactString::as_str);
            scope.unknown(spec.filter_path, "field", &unknown, known);
        }
        problems.extend(std::mem::take(&mut scope.problems));
        if !problems.is_empty() {
            return Err(problems);
        }
        let writes = |index: usize| {
            written.iter().any(|field: &Written| !field.is_key && field.needs.contains(&index))
        };
        let is_ours = |name: &CompactString| !spec.read_only.contains(name.as_str());
        let writable =
            layout.names().iter().enumerate().map(|(i, name)| is_ours(name) && writes(i)).collect();
        let filter_slots = scope.roots.bind(&shape);
        let references = references(spec, layout);
        Ok(Self { shape, written, filter, filter_slots, writable, references })
    }

    /// The fields of the record that name other records.
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// Whether the shard field of this index can be written to a record that is there.
    pub fn can_write(&self, field: usize) -> bool {
        self.writable[field]
    }

    /// Whether a shard is among those that are written.
    pub fn selects(&self, image: &[Cell], id: u128) -> bool {
        if self.filter.is_empty() {
            return true;
        }
        let record = self.record(image, id);
        let row = Row { record: &record, slots: &self.filter_slots, shape: &self.shape };
        self.filter.iter().all(|check| check.holds(&row))
    }

    /// The fields of a new record for a shard; absent ones are left out.
    ///
    /// # Errors
    ///
    /// The first value that cannot be written.
    pub fn create(
        &self,
        image: &[Cell],
        id: u128,
    ) -> Result<Vec<(CompactString, Value)>, FieldError> {
        self.run(&self.record(image, id), |_| true)
    }

    /// The fields of a record that is there which the shard fields `changed` make; absent ones are left out.
    ///
    /// # Errors
    ///
    /// The first value that cannot be written.
    pub fn update(
        &self,
        image: &[Cell],
        id: u128,
        changed: &[usize],
    ) -> Result<Vec<(CompactString, Value)>, FieldError> {
        self.run(&self.record(image, id), |field| {
            !field.is_key && field.needs.iter().any(|need| changed.contains(need))
        })
    }

    /// What reading the shard's field back gives after it was written with the value `value`; the value itself where
    /// it is not written, or not read.
    pub fn project(
        &self,
        converter: &Converter,
        image: &[Cell],
        id: u128,
        field: usize,
        value: &Cell,
    ) -> Cell {
        if value.is_none() || !self.writable[field] {
            return value.clone();
        }
        let mut record = self.record(image, id);
        record.cells[field].clone_from(value);
        // Those that the field has no part in are written too: its mapping may read them.
        let is_alone = self.written.iter().any(|written| written.needs == [field]);
        let wanted = |written: &Written| !is_alone || written.needs.contains(&field);
        match self.run(&record, wanted) {
            Ok(fields) => converter.read_back(&fields, field).unwrap_or_else(|| value.clone()),
            Err(_) => value.clone(),
        }
    }

    /// Where the shard's field would not be kept as a record says it: what was read and is written back is other than
    /// `record` has it, or is read as something else than before. `None` where all is well, or the field is not
    /// written.
    pub fn breach(
        &self,
        converter: &Converter,
        image: &[Cell],
        field: usize,
        record: &[(&str, &Value)],
    ) -> Option<String> {
        let value = image[field].as_ref().filter(|_| self.writable[field])?;
        let back = self.project(converter, image, 0, field, &image[field]);
        if back.as_ref() != Some(value) {
            let back = back.map_or_else(|| "nothing".to_owned(), |back| back.to_json());
            return Some(format!("{} would be read back as {back}", value.to_json()));
        }
        let written = match self.update(image, 0, &[field]) {
            Ok(written) => written,
            Err(error) => return Some(error.problem),
        };
        let differs = |(name, value): &(CompactString, Value)| {
            let (_, held) = record.iter().find(|(known, _)| known == name)?;
            let is_same = *held == value || held.to_plain() == value.to_plain();
            let (held, value) = (held.to_json(), value.to_json());
            (!is_same).then(|| format!("`{name}`: {held} would be written back as {value}"))
        };
        written.iter().find_map(differs)
    }

    fn record(&self, image: &[Cell], id: u128) -> Record {
        let id = Value::text(uuid::Uuid::from_u128(id).to_string());
        let cells = image.iter().cloned().chain(std::iter::once(Some(id))).collect();
        Record { cells, ..Record::default() }
    }

    fn run(
        &self,
        record: &Record,
        wanted: impl Fn(&Written) -> bool,
    ) -> Result<Vec<(CompactString, Value)>, FieldError> {
        let mut out = Vec::with_capacity(self.written.len());
        for field in self.written.iter().filter(|field| wanted(field)) {
            let row = Row { record, slots: &field.slots, shape: &self.shape };
            if let Some(value) = field.plan.run(&row)? {
                out.push((field.name.clone(), value));
            }
        }
        Ok(out)
    }
}

/// The mapping of each field that is written: those that are declared, and the inverse of the others.
fn mappings(
    spec: &OutboundSpec<'_>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, (FieldMapping, ConfigPath)> {
    let declared = spec.schema_path.key("outbound");
    let mut mappings: BTreeMap<String, (FieldMapping, ConfigPath)> = spec
        .schema
        .outbound
        .iter()
        .map(|(name, mapping)| (name.clone(), (mapping.clone(), declared.key(name))))
        .collect();
    let mut derived: BTreeMap<String, &str> = BTreeMap::new();
    for (field, mapping) in &spec.schema.fields {
        if spec.read_only.contains(field.as_str()) {
            continue;
        }
        let at = spec.schema_path.key("fields").key(field);
        let is_declared = |remote: &str| spec.schema.outbound.contains_key(remote);
        match invert(field, mapping) {
            Inverse::Nothing => {}
            Inverse::Mapping { to, .. } if is_declared(&to) => {}
            Inverse::Mapping { to, .. } if derived.contains_key(&to) => {
                let message = format!("`{field}` and `{}` both come from `{to}`", derived[&to]);
                problems.push(Problem::new(at, message).with_help(help(field, &to)));
            }
            Inverse::Mapping { to, mapping } => {
                derived.insert(to.clone(), field);
                mappings.insert(to, (mapping, at));
            }
            Inverse::Refused { from, because } => {
                // Whoever declares what becomes of its sources has thought of it.
                if !from.iter().all(|remote| is_declared(remote)) || from.is_empty() {
                    let message = format!("`{field}` cannot be written back: {because}");
                    let to = from.first().map_or("Field", String::as_str);
                    problems.push(Problem::new(at, message).with_help(help(field, to)));
                }
            }
        }
    }
    mappings
}

/// The fields that are written by the inverse of a lookup.
fn references(spec: &OutboundSpec<'_>, layout: &Layout) -> Vec<Reference> {
    let is_written = |field: &str| !spec.read_only.contains(field);
    let fields = spec.schema.fields.iter().filter(|(field, _)| is_written(field));
    let inverses = fields.filter(|(_, mapping)| is_reference(mapping));
    let inverses = inverses.filter_map(|(field, mapping)| match invert(field, mapping) {
        Inverse::Mapping { to, .. } if !spec.schema.outbound.contains_key(&to) => {
            Some(Reference { name: to.into(), field: layout.position(field)? })
        }
        _ => None,
    });
    inverses.collect()
}

fn help(field: &str, to: &str) -> String {
    format!(
        "say what becomes of it, as in `outbound: {{ {to}: {field} }}` beside `fields`, or never write it: \
         `fields: {{ {field}: inbound }}` in the task"
    )
}

fn compile_field(
    name: &str,
    mapping: &FieldMapping,
    layout: &Layout,
    shape: &Shape,
    names: &Names<'_>,
    at: &ConfigPath,
) -> Result<Written, Vec<Problem>> {
    let mut scope = Scope::new(names);
    let mut one = ShardType::default();
    one.fields.0.push((name.to_owned(), FieldDef::Short(FieldType::Json)));
    let target = Layout::new("record", &one);
    let nothing = BTreeMap::new();
    let mut compiler =
        FieldCompiler { scope: &mut scope, layouts: &nothing, lookups: None, prefix: "" };
    let plan = compiler.field(name, mapping, &target, at);
    for unknown in unknown_names(&scope, shape) {
        let known = shape.names().iter().map(CompactString::as_str);
        scope.unknown(at, &format!("field of `{}`", layout.shard_type), &unknown, known);
    }
    let needs =
        scope.roots.first_names().filter_map(|name| layout.position(name)).collect::<BTreeSet<_>>();
    let slots = scope.roots.bind(shape);
    match plan {
        Some(plan) if scope.problems.is_empty() => Ok(Written {
            name: CompactString::new(name),
            plan,
            slots,
            needs: needs.into_iter().collect(),
            is_key: false,
        }),
        _ => Err(scope.problems),
    }
}

fn unknown_names(scope: &Scope<'_>, shape: &Shape) -> Vec<String> {
    let names = scope.roots.first_names().filter(|name| shape.position(name).is_none());
    names.map(str::to_owned).collect()
}
