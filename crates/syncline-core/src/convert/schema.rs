//! Compiling a whole conversion schema.

use super::compile::Scope;
use super::condition::Check;
use super::dates::check_format;
use super::mapping::{FieldPlan, Source, When};
use super::plan::{FieldCompiler, checks};
use super::row::FieldPath;
use super::template::Template;
use super::{Converter, LookupSpec, Names};
use crate::config::model::{
    ConversionSchema, DerivedShard, Entity, Normaliser, OneOrMany, Relationship,
};
use crate::problem::{ConfigPath, Problem};
use crate::shard::Layout;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Layouts by the names of their shard types.
pub(super) type Layouts = BTreeMap<String, Arc<Layout>>;

/// How the other shard of a lookup or relationship is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// By the external id of a record of it.
    ExternalId {
        /// The record's connection.
        connection: String,
        /// The record's entity at the connection.
        entity: String,
    },
    /// By the value of a field of the other shard.
    Field(String),
}

/// A compiled relationship: a link to another shard, by what a source field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationshipSpec {
    /// The name of the relationship.
    pub name: String,
    /// The type of the other shard.
    pub shard_type: String,
    /// How the other shard is found.
    pub by: Target,
}

/// A compiled derived shard.
#[derive(Clone, Debug, PartialEq)]
pub struct DerivedSpec {
    /// Its name among the schema's derived shards.
    pub name: String,
    /// Its type.
    pub shard_type: String,
    /// The relationship from the primary shard to it.
    pub relationship: String,
    /// The fields of its images.
    pub layout: Arc<Layout>,
}

/// What a record's relationship is read from.
#[derive(Debug)]
pub(super) struct RelationshipPlan {
    pub(super) from: FieldPath,
    pub(super) required: bool,
}

/// What a derived shard is made from.
#[derive(Debug)]
pub(super) struct DerivedPlan {
    pub(super) when: Option<When>,
    pub(super) fields: Vec<FieldPlan>,
    pub(super) key: Option<Template>,
    pub(super) normaliser: Normaliser,
}

/// What a record's identity and state are read from.
#[derive(Debug)]
pub(super) struct EntityPlan {
    pub(super) key: Vec<(String, FieldPath)>,
    pub(super) modified: Option<FieldPath>,
    pub(super) version: Option<FieldPath>,
    /// The formats that `modified` may be in; none where it is in ISO form.
    pub(super) modified_formats: Vec<String>,
    pub(super) deleted: Option<Check>,
    pub(super) merged_into: Option<FieldPath>,
}

/// Compiles `schema`; see [`Converter::compile`].
pub(super) fn compile(
    schema: &ConversionSchema,
    entity: &Entity,
    layouts: &Layouts,
    names: &Names<'_>,
    path: &ConfigPath,
) -> Result<Converter, Vec<Problem>> {
    let mut scope = Scope::new(names);
    let layout = layout_of(&schema.shard_type, layouts, &mut scope, &path.key("shard_type"));
    let entity = entity_plan(entity, names, &mut scope);
    let filter = checks(&schema.filter, &mut scope, &path.key("filter"));
    let mut lookups = Vec::new();
    let mut compiler =
        FieldCompiler { scope: &mut scope, layouts, lookups: Some(&mut lookups), prefix: "" };
    let fields = compiler.fields(&schema.fields, layout.as_deref(), &path.key("fields"));
    let (relationships, relationship_plans) =
        relationships(&schema.relationships, layouts, &mut scope, &path.key("relationships"));
    let (derived, derived_plans) = derived(schema, layouts, &mut scope, &path.key("derived"));
    let lookup_fields = lookup_fields(&fields, &lookups);
    let Scope { roots, problems, .. } = scope;
    match (layout, filter) {
        (Some(layout), Some(filter)) if problems.is_empty() => Ok(Converter {
            layout,
            roots,
            entity,
            filter,
            fields,
            lookup_fields,
            lookups,
            relationships,
            relationship_plans,
            derived,
            derived_plans,
        }),
        _ => Err(problems),
    }
}

/// The index of each lookup's plan among `fields`.
fn lookup_fields(fields: &[FieldPlan], lookups: &[LookupSpec]) -> Vec<usize> {
    let mut positions = vec![0; lookups.len()];
    for (position, field) in fields.iter().enumerate() {
        if let Source::Lookup { index, .. } = field.source {
            positions[index] = position;
        }
    }
    positions
}

fn layout_of(
    shard_type: &str,
    layouts: &Layouts,
    scope: &mut Scope<'_>,
    at: &ConfigPath,
) -> Option<Arc<Layout>> {
    let layout = layouts.get(shard_type);
    if layout.is_none() {
        let known = layouts.keys().map(String::as_str);
        scope.unknown(at, "shard type", shard_type, known).refers = true;
    }
    layout.cloned()
}

fn entity_plan(entity: &Entity, names: &Names<'_>, scope: &mut Scope<'_>) -> EntityPlan {
    let connection = ConfigPath::root().key("connections").key(names.connection);
    let at = connection.key("entities").key(names.entity);
    let texts = entity.key.as_slice();
    if texts.is_empty() {
        scope.problem(&at.key("key"), "an entity needs at least one key field");
    }
    let paths = scope.fields(texts, &at.key("key")).unwrap_or_default();
    let (modified, version) = (entity.modified.as_deref(), entity.version.as_deref());
    let merged_into = entity.merged_into.as_deref();
    if merged_into.is_some() && entity.deleted.is_none() {
        scope.problem(&at.key("merged_into"), "`merged_into` goes with `deleted`");
    }
    EntityPlan {
        merged_into: merged_into.and_then(|field| scope.field(field, &at.key("merged_into"))),
        version: version.and_then(|field| scope.field(field, &at.key("version"))),
        key: texts.iter().cloned().zip(paths).collect(),
        modified: modified.and_then(|field| scope.field(field, &at.key("modified"))),
        modified_formats: modified_formats(entity, scope, &at.key("modified_format")),
        deleted: entity
            .deleted
            .as_ref()
            .and_then(|condition| Check::compile(condition, scope, &at.key("deleted"))),
    }
}

fn modified_formats(entity: &Entity, scope: &mut Scope<'_>, at: &ConfigPath) -> Vec<String> {
    let Some(formats) = &entity.modified_format else { return Vec::new() };
    if entity.modified.is_none() {
        scope.problem(at, "`modified_format` goes with `modified`");
    }
    for (index, format) in formats.as_slice().iter().enumerate() {
        if let Err(error) = check_format(format, true) {
            let one = matches!(formats, OneOrMany::One(_));
            scope.problem(&if one { at.clone() } else { at.index(index) }, error);
        }
    }
    formats.as_slice().to_vec()
}

impl Target {
    /// How `by` finds a shard of `shard_type`, whose record is `of` (connection, entity) if that says so.
    pub(super) fn compile(
        by: &str,
        shard_type: &str,
        of: (Option<&str>, Option<&str>),
        (layouts, scope): (&Layouts, &mut Scope<'_>),
        at: &ConfigPath,
    ) -> Option<Self> {
        let layout = layout_of(shard_type, layouts, scope, &at.key("shard_type"))?;
        if by == "external_id" {
            return Some(Self::ExternalId {
                connection: of.0.unwrap_or(scope.names.connection).to_owned(),
                entity: of.1.unwrap_or(shard_type).to_owned(),
            });
        }
        for (key, set) in [("connection", of.0), ("entity", of.1)] {
            if set.is_some() {
                scope.problem(&at.key(key), format!("`{key}` goes with `by: external_id`"));
            }
        }
        if layout.position(by).is_none() {
            let what = format!("field of shard type `{shard_type}` named");
            let names = layout.names().iter().map(|name| name.as_str());
            let known = names.chain(["external_id"]);
            scope.unknown(&at.key("by"), &what, by, known).refers = true;
            return None;
        }
        Some(Self::Field(by.to_owned()))
    }
}

fn relationships(
    relationships: &BTreeMap<String, Relationship>,
    layouts: &Layouts,
    scope: &mut Scope<'_>,
    at: &ConfigPath,
) -> (Vec<RelationshipSpec>, Vec<RelationshipPlan>) {
    let mut compiled = Vec::with_capacity(relationships.len());
    for (name, relationship) in relationships {
        let at = at.key(name);
        let shard_type = &relationship.shard_type;
        let of = (relationship.connection.as_deref(), relationship.entity.as_deref());
        let by = Target::compile(&relationship.by, shard_type, of, (layouts, &mut *scope), &at);
        let from = scope.field(&relationship.from, &at.key("from"));
        if let (Some(by), Some(from)) = (by, from) {
            compiled.push((
                RelationshipSpec { name: name.clone(), shard_type: shard_type.clone(), by },
                RelationshipPlan { from, required: relationship.required },
            ));
        }
    }
    if compiled.len() > usize::from(u16::MAX) {
        scope.problem(at, "there are more than 65,535 relationships");
    }
    compiled.into_iter().unzip()
}

fn derived(
    schema: &ConversionSchema,
    layouts: &Layouts,
    scope: &mut Scope<'_>,
    at: &ConfigPath,
) -> (Vec<DerivedSpec>, Vec<DerivedPlan>) {
    let mut names = BTreeSet::new();
    let mut links: BTreeSet<&str> = schema.relationships.keys().map(String::as_str).collect();
    let mut compiled = Vec::with_capacity(schema.derived.len());
    for (index, shard) in schema.derived.iter().enumerate() {
        let at = at.index(index);
        let name = shard.name.as_deref().unwrap_or(&shard.shard_type);
        if !names.insert(name) {
            let problem =
                scope.problem(&at, format!("there are two derived shards named `{name}`"));
            problem.help = Some("give each a `name` of its own".to_owned());
        }
        let link = shard.relationship.as_deref().unwrap_or(name);
        if !links.insert(link) {
            let problem = scope.problem(&at, format!("there are two relationships named `{link}`"));
            problem.help = Some("give this one a `relationship` of its own".to_owned());
        }
        compiled.extend(derived_shard(shard, name, link, layouts, scope, &at));
    }
    if compiled.len() > usize::from(u16::MAX) {
        scope.problem(at, "there are more than 65,535 derived shards");
    }
    compiled.into_iter().unzip()
}

fn derived_shard(
    shard: &DerivedShard,
    name: &str,
    link: &str,
    layouts: &Layouts,
    scope: &mut Scope<'_>,
    at: &ConfigPath,
) -> Option<(DerivedSpec, DerivedPlan)> {
    let layout = layout_of(&shard.shard_type, layouts, scope, &at.key("shard_type"));
    let prefix = format!("{name}.");
    let mut compiler =
        FieldCompiler { scope: &mut *scope, layouts, lookups: None, prefix: &prefix };
    let when = shard.when.as_ref().map(|when| compiler.when(when, &at.key("when")));
    let fields = compiler.fields(&shard.fields, layout.as_deref(), &at.key("fields"));
    let key = shard.key.as_ref().map(|key| Template::compile(key, scope, &at.key("key")));
    if shard.normalise.is_some() && shard.key.is_none() {
        let problem = scope.problem(&at.key("normalise"), "`normalise` goes with `key`");
        problem.help = Some("without a key, each record has its own derived shard".to_owned());
    }
    let spec = DerivedSpec {
        name: name.to_owned(),
        shard_type: shard.shard_type.clone(),
        relationship: link.to_owned(),
        layout: layout?,
    };
    // What could not be compiled is among the problems, so nothing is run without it.
    let plan = DerivedPlan {
        when: when.flatten(),
        fields,
        key: key.flatten(),
        normaliser: shard.normalise.unwrap_or(Normaliser::None),
    };
    Some((spec, plan))
}
