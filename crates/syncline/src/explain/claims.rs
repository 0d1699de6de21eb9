//! What each record of a shard says, and whose values stand.

use crate::error::Error;
use std::sync::Arc;
use syncline_core::config::model::{FieldDef, FieldType, MergeStrategy, ShardType};
use syncline_core::matching::{FieldRule, Matcher, Source, survive};
use syncline_core::plan::agrees;
use syncline_core::plan::rows::{EntityName, LinkRow, ShardRow};
use syncline_core::plan::view::Need;
use syncline_core::shard::{Image, Layout};
use syncline_core::value::Value;
use syncline_engine::World;
use syncline_store::StoreError;

/// What each record of a shard says, and whose values stand.
#[derive(Clone, Debug)]
pub struct Claims {
    /// The shard's fields.
    pub layout: Arc<Layout>,
    /// What becomes of duplicates of the type.
    pub strategy: MergeStrategy,
    /// For each field that has one, the rule of its own by which values stand, in words.
    pub rules: Vec<Option<String>>,
    /// The shard's data as stored.
    pub data: Image,
    /// The links of the shard, oldest first.
    pub links: Vec<LinkRow>,
    /// For each link, the kind of record.
    pub names: Vec<EntityName>,
    /// For each link, what the record says.
    pub images: Vec<Image>,
    /// What the configuration makes of these images now.
    pub survivor: Image,
    /// For each field, the link whose value stands.
    winners: Vec<Option<usize>>,
    /// For each link, the fields in which the record has agreed with the shard, in its own form. Empty where that is
    /// not asked for.
    agreed: Vec<Vec<bool>>,
}

impl Claims {
    /// The record whose value of the field at `index` stands. Where the stored value is not what the configuration
    /// makes of the records now: some record that says it.
    pub fn winner(&self, index: usize) -> Option<usize> {
        let stored = self.data[index].as_ref()?;
        let says_so = |record: &usize| self.images[*record][index].as_ref() == Some(stored);
        self.winners[index].filter(says_so).or_else(|| (0..self.links.len()).find(says_so))
    }

    /// The fields in which a record says something else than the shard; silence is no contradiction.
    pub fn differs_in(&self, record: usize) -> Vec<String> {
        let fields = self.layout.names().iter().zip(&self.images[record]).zip(&self.data);
        fields
            .filter(|((_, says), stands)| {
                says.as_ref().is_some_and(|value| !value.is_null()) && says != stands
            })
            .map(|((name, _), _)| name.to_string())
            .collect()
    }

    /// Adds what records have agreed on with the shard: where systems give one value different forms, they do not
    /// disagree. Of fields that are not written to a record, it says nothing: nobody brought the two together.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn with_agreements(mut self, world: &World) -> Result<Self, Error> {
        let agreed = self.links.iter().map(|link| link.id).collect();
        let found = world.store.read(Need { agreed, ..Need::default() }).await?;
        let of_link = |(link, image): (&LinkRow, &Image)| {
            let rules = world.rules.entities.get(&link.entity);
            let Some(two_way) = rules.and_then(|rules| rules.two_way.as_ref()) else {
                return Vec::new();
            };
            let base = found.bases.iter().find(|base| base.link == link.id);
            let json = base.and_then(|base| base.fields.as_deref());
            let agreed = agrees(json, &self.layout, image, &self.data);
            agreed.iter().zip(&two_way.policy.flows).map(|(is, flow)| *is && flow.gives).collect()
        };
        self.agreed = self.links.iter().zip(&self.images).map(of_link).collect();
        Ok(self)
    }

    /// What a record says of the field at `index`: what the shard says, where it has agreed to that in a form of its
    /// own.
    pub fn says(&self, record: usize, index: usize) -> Option<&Value> {
        let is_agreed = self.agreed.get(record).and_then(|fields| fields.get(index));
        let image = if is_agreed == Some(&true) { &self.data } else { &self.images[record] };
        image[index].as_ref()
    }

    /// The fields of which records that are not deleted hold different values, by index.
    pub fn disputed(&self) -> Vec<usize> {
        let is_disputed = |field: &usize| {
            let mut values = self.values(*field);
            let first = values.next();
            values.any(|value| Some(value) != first)
        };
        (0..self.layout.names().len()).filter(is_disputed).collect()
    }

    fn values(&self, field: usize) -> impl Iterator<Item = &Value> {
        let live = (0..self.links.len()).filter(|&record| !self.links[record].deleted);
        live.filter_map(move |record| self.says(record, field)).filter(|value| !value.is_null())
    }
}

/// Works out what the records of `shard` say; `links` are all of its links.
///
/// # Errors
///
/// When what is stored is no JSON.
pub fn claims(world: &World, shard: &ShardRow, mut links: Vec<LinkRow>) -> Result<Claims, Error> {
    links.sort_by_key(|link| link.id);
    let rules = world.rules.types.iter().find(|rules| rules.id == shard.shard_type);
    let layout = match rules {
        Some(rules) => rules.layout.clone(),
        None => layout_of_data(world, shard)?,
    };
    let strategy = rules.map_or(MergeStrategy::default(), |rules| rules.matcher.strategy());
    let data = layout.read_json(&shard.data).map_err(|error| damaged(&error))?;
    let images = links
        .iter()
        .map(|link| layout.read_json(&link.image).map_err(|error| damaged(&error)))
        .collect::<Result<Vec<_>, _>>()?;
    let names: Vec<EntityName> = links
        .iter()
        .map(|link| world.entities.get(&link.entity).cloned().unwrap_or_default())
        .collect();
    let fields = 0..layout.names().len();
    let rule_of = |field| rules.and_then(|rules| rules.matcher.survivor_rule(field));
    let told = fields.map(|field| rule_of(field).map(FieldRule::told)).collect();
    let matcher = rules.map(|rules| &rules.matcher);
    let (survivor, winners) = survivors(world, &layout, matcher, &links, &names, &images);
    let (rules, agreed) = (told, Vec::new());
    Ok(Claims { layout, strategy, rules, data, links, names, images, survivor, winners, agreed })
}

fn survivors(
    world: &World,
    layout: &Layout,
    matcher: Option<&Matcher>,
    links: &[LinkRow],
    names: &[EntityName],
    images: &[Image],
) -> (Image, Vec<Option<usize>>) {
    let stands = |index: &usize| {
        let link = &links[*index];
        let rules = world.rules.entities.get(&link.entity);
        !(link.deleted && rules.is_some_and(|rules| rules.target.delete_if_removed))
    };
    let mut standing: Vec<usize> = (0..links.len()).filter(stands).collect();
    if standing.is_empty() {
        // A shard all of whose records are gone keeps what it held.
        standing = (0..links.len()).collect();
    }
    let sources: Vec<Source<'_>> = standing
        .iter()
        .map(|&index| {
            let link = &links[index];
            let rules = world.rules.entities.get(&link.entity);
            let name = &names[index];
            Source {
                image: &images[index],
                stamp: rules.map_or(link.observed, |r| r.stamp(link.modified, link.observed)),
                priority: rules.map_or(0, |rules| rules.priority),
                name: (&name.connection, &name.entity, &link.external_id),
            }
        })
        .collect();
    let fields = layout.names().len();
    let (survivor, winners) = match matcher {
        Some(matcher) => matcher.survive(&sources, fields),
        None => survive(MergeStrategy::default(), &sources, fields),
    };
    let winner = |winner: Option<u32>| winner.map(|index| standing[index as usize]);
    (survivor, winners.into_iter().map(winner).collect())
}

/// The fields of a shard whose type the configuration no longer has.
fn layout_of_data(world: &World, shard: &ShardRow) -> Result<Arc<Layout>, Error> {
    let value: Value = serde_json::from_str(&shard.data).map_err(|error| damaged(&error))?;
    let mut shard_type = ShardType::default();
    if let Value::Map(entries) = value {
        for (name, _) in entries {
            shard_type.fields.0.push((name.to_string(), FieldDef::Short(FieldType::Json)));
        }
    }
    let name = world.shard_types.get(&shard.shard_type).map_or("", String::as_str);
    Ok(Arc::new(Layout::new(name, &shard_type)))
}

fn damaged(error: &serde_json::Error) -> Error {
    let problem = format!("the data of a shard is no JSON object: {error}");
    Error::Store(StoreError::Damaged { path: "the store".to_owned(), problem })
}
