//! A compiled configuration, as plans see it: everything by row number.

use super::rows::{EdgeTarget, EntityId, KindId, RuleId, TypeId, field_form, field_key};
use super::view::Expected;
use crate::config::model::Deletes;
use crate::config::model::Target as TargetFlags;
use crate::convert::{Converter, Mapped, Outbound, OutboundReference, Target};
use crate::matching::{BlockKey, Matcher, Prepared};
use crate::reconcile::Policy;
use crate::shard::Layout;
use crate::value::{Cell, Value};
use compact_str::CompactString;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// All shard types and entities of a configuration, compiled.
#[derive(Clone, Default)]
pub struct Rules {
    /// Shard types.
    pub types: Vec<TypeRules>,
    /// Entities, derived ones included, by row number.
    pub entities: Arc<FxHashMap<EntityId, EntityRules>>,
}

/// A shard type, compiled.
#[derive(Clone)]
pub struct TypeRules {
    /// Its row number.
    pub id: TypeId,
    /// Its fields.
    pub layout: Arc<Layout>,
    /// How its records are matched.
    pub matcher: Matcher,
    /// The row numbers of its match rules.
    pub rule_ids: Vec<RuleId>,
    /// Fields by whose value other records find it.
    pub found_by: Vec<usize>,
    /// For each of these, the field pseudo-entity that edges name.
    pub found_under: Vec<EntityId>,
    /// Whether lookups take values from it.
    pub looked_up: bool,
    /// Whether records are written that name its records by their external ids.
    pub referred_to: bool,
    /// Whether its own records are such.
    pub refers: bool,
    /// The entities that its shards are written to. Where there are none, a shard is a function of its images
    /// alone; else it is reconciled with each of them, change by change.
    pub written_to: Vec<EntityId>,
}

/// An entity, compiled.
pub struct EntityRules {
    /// The connection's name.
    pub connection: String,
    /// The entity's name.
    pub entity: String,
    /// The connection's rank where values compete.
    pub priority: i64,
    /// The connection's number, from 1, where it is known to hold no duplicates; else 0.
    pub system: u32,
    /// Index into [`Rules::types`].
    pub shard_type: usize,
    /// What may happen to shards.
    pub target: TargetFlags,
    /// Whether its records say when they changed.
    pub is_timed: bool,
    /// What its records go through; `None` for derived entities.
    pub conversion: Option<Conversion>,
    /// How its records and their shards are reconciled, where any system is written the shards of this type.
    pub two_way: Option<TwoWay>,
}

/// How records of an entity and their shards are reconciled, compiled.
#[derive(Debug)]
pub struct TwoWay {
    /// The task that syncs them.
    pub task: String,
    /// What decides between changes.
    pub policy: Policy,
    /// How shards become records; `None` for an entity that is only read.
    pub outbound: Option<Outbound>,
    /// Whether a shard that has no record there gets one.
    pub creates: bool,
    /// What a deletion at one side means for the other.
    pub deletes: Deletes,
}

/// A conversion schema, compiled and bound to the row numbers of what it names.
pub struct Conversion {
    /// The conversion itself.
    pub converter: Converter,
    /// For each of the converter's relationships, where its edges lead.
    pub relationships: Vec<(KindId, EntityId)>,
    /// For each of the converter's lookups, how its target is found.
    pub lookups: Vec<LookupRule>,
    /// For each of the converter's derived shards, the relationship to it and its entity.
    pub derived: Vec<(KindId, EntityId)>,
}

/// How a lookup finds its target.
pub struct LookupRule {
    /// The edge that remembers the lookup.
    pub kind: KindId,
    /// The target's entity, or the field pseudo-entity.
    pub entity: EntityId,
    /// For a lookup by field: shard type and field.
    pub by_field: Option<(String, String)>,
    /// Index of the target's shard type.
    pub shard_type: usize,
    /// Index of the field that is taken; `None` for the id of the shard.
    pub returns: Option<usize>,
}

impl EntityRules {
    /// The fields of its records that are written with the external id of another record, and whose that is.
    pub fn references(&self) -> impl Iterator<Item = (&OutboundReference, &LookupRule)> {
        let outbound = self.two_way.as_ref().and_then(|two_way| two_way.outbound.as_ref());
        let references = outbound.map_or(&[][..], Outbound::references);
        references.iter().filter_map(|reference| {
            let conversion = self.conversion.as_ref()?;
            let specs = conversion.converter.lookups();
            let index = specs.iter().position(|spec| spec.field == reference.field)?;
            Some((reference, &conversion.lookups[index]))
        })
    }

    /// When a record counts as changed, in microseconds since 1970: when its system says, or when it was seen to
    /// be other than before. Where records say when they changed, one that does not is older than all others.
    pub fn stamp(&self, modified: Option<i64>, observed: i64) -> i64 {
        modified.unwrap_or(if self.is_timed { 0 } else { observed })
    }
}

impl LookupRule {
    /// The match key to look under, for a lookup by field.
    pub fn key(&self, value: &str) -> Option<u64> {
        let (shard_type, field) = self.by_field.as_ref()?;
        field_key(shard_type, field, value)
    }
}

impl Conversion {
    /// The edges that a mapped record states: relationships, derived shards, lookups.
    pub fn edges(&self, mapped: &Mapped) -> Vec<EdgeTarget> {
        let mut edges = Vec::with_capacity(
            mapped.references.len() + mapped.derived.len() + mapped.lookups.len(),
        );
        for reference in &mapped.references {
            let (kind, entity) = self.relationships[usize::from(reference.relationship)];
            edges.push(EdgeTarget { kind, entity, target: reference.target.clone() });
        }
        for derived in &mapped.derived {
            let (kind, entity) = self.derived[usize::from(derived.derived)];
            edges.push(EdgeTarget { kind, entity, target: derived.key.clone() });
        }
        for (rule, wanted) in self.lookups.iter().zip(&mapped.lookups) {
            if let Some(wanted) = wanted {
                let (kind, entity) = (rule.kind, rule.entity);
                // By field, the form in which the target is found again when it changes.
                let target = match &rule.by_field {
                    Some(_) => field_form(wanted),
                    None => wanted.clone(),
                };
                edges.push(EdgeTarget { kind, entity, target });
            }
        }
        edges.sort_unstable();
        edges.dedup();
        edges
    }

    /// What a lookup by field, or by external id, is listed as among the entities.
    pub fn target_entity(target: &Target, shard_type: &str) -> super::rows::EntityName {
        let (connection, entity) = match target {
            Target::ExternalId { connection, entity } => (connection.clone(), entity.clone()),
            Target::Field(field) => (String::new(), field.clone()),
        };
        super::rows::EntityName { connection, entity, shard_type: shard_type.to_owned() }
    }
}

impl TypeRules {
    /// A type of which nobody makes anything yet: neither lookups, nor references, nor systems that are written to.
    pub fn new(id: TypeId, layout: Arc<Layout>, matcher: Matcher, rule_ids: Vec<RuleId>) -> Self {
        Self {
            id,
            layout,
            matcher,
            rule_ids,
            found_by: Vec::new(),
            found_under: Vec::new(),
            looked_up: false,
            referred_to: false,
            refers: false,
            written_to: Vec::new(),
        }
    }

    /// The keys under which records with this image are found by field.
    pub fn field_keys(&self, image: &[Cell]) -> Vec<u64> {
        let key = |&field: &usize| {
            let value = image[field].as_ref().filter(|value| !value.is_null())?;
            field_key(&self.layout.shard_type, &self.layout.names()[field], &value.to_plain())
        };
        self.found_by.iter().filter_map(key).collect()
    }

    /// The field values by which records with this image are found, as lookups by field state them.
    pub fn found_as(&self, image: &[Cell]) -> Vec<(EntityId, CompactString)> {
        let target = |(&field, &entity): (&usize, &EntityId)| {
            let value = image[field].as_ref().filter(|value| !value.is_null())?;
            let form = field_form(&value.to_plain());
            (!form.is_empty()).then_some((entity, form))
        };
        self.found_by.iter().zip(&self.found_under).filter_map(target).collect()
    }
}

/// One thing that a batch says: a record's image, a derived record's image, or that a record is gone.
pub struct Item {
    /// The kind of record.
    pub entity: EntityId,
    /// Its external id.
    pub external_id: CompactString,
    /// When it changed, as its system says, in microseconds since 1970.
    pub modified: Option<i64>,
    /// For a derived record: the external id of the record that it was made of.
    pub contributor: Option<CompactString>,
    /// Whether the item itself counts in the ledger; derived records and settled lookups do not.
    pub counts: bool,
    /// What is said.
    pub content: Content,
    /// What follows from it, where that has been worked out already.
    pub digest: Option<Digest>,
}

/// What follows from an image alone: worked out beside the planning, and needed there.
#[derive(Clone, Debug, PartialEq)]
pub struct Digest {
    /// The image as JSON text.
    pub json: Arc<str>,
    /// Names what the record says: its image and where it points.
    pub hash: u128,
    /// Its match keys, where they were wanted.
    pub keys: Option<Vec<BlockKey>>,
    /// What of it a model compares, made with the match keys.
    pub prepared: Prepared,
}

impl Digest {
    /// The digest of an image that states `edges`, sorted; with match keys if `with_keys`.
    pub fn of(rules: &TypeRules, image: &[Cell], edges: &[EdgeTarget], with_keys: bool) -> Self {
        let json: Arc<str> = rules.layout.to_json(image).into();
        let hash = image_hash(&json, edges);
        let made = with_keys.then(|| rules.matcher.prepare_with_keys(image));
        let (keys, prepared) = made.map_or((None, None), |(keys, made)| (Some(keys), made));
        Self { json, hash, keys, prepared }
    }
}

/// Names what a record says: its fields and where it points.
fn image_hash(json: &str, edges: &[EdgeTarget]) -> u128 {
    if edges.is_empty() {
        return xxhash_rust::xxh3::xxh3_128(json.as_bytes());
    }
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    hasher.update(json.as_bytes());
    for edge in edges {
        hasher.update(&edge.kind.0.to_le_bytes());
        hasher.update(&edge.entity.0.to_le_bytes());
        hasher.update(edge.target.as_bytes());
        hasher.update(&[0]);
    }
    hasher.digest128()
}

/// What an [`Item`] says.
pub enum Content {
    /// The record is there, and says this.
    Image {
        /// The fields.
        image: Vec<Cell>,
        /// For each of the conversion's lookups, the value to look for; empty where all were looked up already.
        lookups: Vec<Option<CompactString>>,
        /// Where it points.
        edges: Vec<EdgeTarget>,
    },
    /// The record is gone.
    Deleted,
}

impl Item {
    /// What its record is expected to say already, where that is its own word alone and is worked out.
    pub(super) fn expected(&self) -> Option<Expected> {
        let digest = self.digest.as_ref().filter(|_| self.contributor.is_none())?;
        Some(Expected { hash: digest.hash, modified: self.modified })
    }

    /// Works out the digest, unless looked-up values are still to come; with match keys if `with_keys`.
    pub fn digest(&mut self, rules: &Rules, with_keys: bool) {
        if let Content::Image { image, edges, lookups } = &self.content
            && lookups.is_empty()
        {
            let entity = &rules.entities[&self.entity];
            let type_rules = &rules.types[entity.shard_type];
            self.digest = Some(Digest::of(type_rules, image, edges, with_keys));
        }
    }

    /// Makes the items of a mapped record: its derived records first, then itself.
    pub fn from_mapped(
        entity: EntityId,
        conversion: &Conversion,
        external_id: CompactString,
        modified: Option<i64>,
        mapped: Mapped,
        out: &mut Vec<Self>,
    ) {
        let edges = conversion.edges(&mapped);
        for derived in mapped.derived {
            let (_, derived_entity) = conversion.derived[usize::from(derived.derived)];
            out.push(Self {
                entity: derived_entity,
                external_id: derived.key,
                modified,
                contributor: Some(external_id.clone()),
                counts: false,
                content: Content::Image {
                    image: derived.image,
                    lookups: Vec::new(),
                    edges: Vec::new(),
                },
                digest: None,
            });
        }
        out.push(Self {
            entity,
            external_id,
            modified,
            contributor: None,
            counts: true,
            content: Content::Image { image: mapped.image, lookups: mapped.lookups, edges },
            digest: None,
        });
    }
}

/// A record as JSON text, for the dead-letter list and for replay.
pub fn record_json(names: &[CompactString], cells: &[Cell]) -> String {
    let entries = names.iter().zip(cells).filter_map(|(name, cell)| Some((name, cell.as_ref()?)));
    let map = entries.map(|(name, value)| (name.clone(), value.clone())).collect();
    Value::Map(map).to_json()
}
