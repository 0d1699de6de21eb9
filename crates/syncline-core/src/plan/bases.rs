//! Bases as they are stored: only what does not follow from the image.

use crate::reconcile::{Base, Side, Stamp};
use crate::shard::{Image, Layout};
use crate::value::{Cell, Value};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is stored of a field: that something is absent is said by an empty list.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    /// The shard's side, where it is not the image's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    s: Option<Vec<Value>>,
    /// The shard's side was written, and the record has not been seen since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unseen: bool,
    /// The shard's side is dirty.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    dirty: bool,
    /// The record's side, where it is not the image's value: the field is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<Vec<Value>>,
    /// The last change that came in, and how often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    turn: Option<Turn>,
}

/// A change of a record that came in: from what to what, and how often in a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Turn {
    from: Vec<Value>,
    to: Vec<Value>,
    times: u32,
}

/// The last change of each field of a link that came in.
pub(super) type Turns = BTreeMap<usize, Turn>;

impl Turn {
    /// So often the same change comes in. A record that makes it once more, after each time that we wrote another
    /// value over it, is one that another program writes, too.
    const TIMES_MAX: u32 = 4;

    /// The change `from` → `to`, after `last`.
    pub(super) fn after(last: Option<&Self>, from: &Cell, to: &Cell) -> Self {
        let (from, to) = (from.iter().cloned().collect(), to.iter().cloned().collect());
        match last {
            Some(last) if last.from == from && last.to == to => {
                Self { from, to, times: last.times.saturating_add(1) }
            }
            _ => Self { from, to, times: 1 },
        }
    }

    /// Whether it came too often to be somebody's edit.
    pub(super) fn is_too_many(&self) -> bool {
        self.times > Self::TIMES_MAX
    }
}

fn stored(cell: &Cell) -> Option<Vec<Value>> {
    Some(cell.iter().cloned().collect())
}

/// The bases of a link whose image is `image`, by field, and the last changes that came in.
pub(super) fn read(json: Option<&str>, layout: &Layout, image: &Image) -> (Vec<Base>, Turns) {
    let mut bases: Vec<Base> =
        image.iter().map(|cell| Base::agreed(cell.clone(), cell.clone())).collect();
    let mut turns = Turns::new();
    let Some(json) = json else { return (bases, turns) };
    let fields: BTreeMap<String, Stored> = serde_json::from_str(json).unwrap_or_default();
    for (name, of) in fields {
        let Some(index) = layout.position(&name) else { continue };
        turns.extend(of.turn.map(|turn| (index, turn)));
        let cell = |list: Vec<Value>| list.into_iter().next();
        let remote = of.r.map_or_else(|| image[index].clone(), cell);
        let shard = match (of.dirty, of.s) {
            (true, _) => Side::Dirty,
            (false, Some(list)) => Side::Is(cell(list)),
            (false, None) => Side::Is(remote.clone()),
        };
        let shard = match shard {
            Side::Is(value) if of.unseen => Side::Written(value),
            side => side,
        };
        bases[index] = Base::Met { shard, remote };
    }
    (bases, turns)
}

/// Whether what a shard says of each field is what it has agreed on with a record, whatever form that gives it.
///
/// `json` is [`BaseRow::fields`](super::rows::BaseRow::fields) of the record's link, `image` what it says, `data` what
/// the shard says.
pub fn agrees(json: Option<&str>, layout: &Layout, image: &Image, data: &Image) -> Vec<bool> {
    let (bases, _) = read(json, layout, image);
    let is_agreed = |((base, says), stands): ((&Base, &Cell), &Cell)| matches!(base, Base::Met { shard, remote } if shard.is(stands) && remote == says);
    bases.iter().zip(image).zip(data).map(is_agreed).collect()
}

/// What is stored of the bases of a link whose image is `image`; `None` where they follow from it.
pub(super) fn write(
    bases: &[Base],
    turns: &Turns,
    layout: &Layout,
    image: &Image,
) -> Option<Arc<str>> {
    let mut fields: BTreeMap<&str, Stored> = BTreeMap::new();
    for (index, ((name, base), cell)) in layout.names().iter().zip(bases).zip(image).enumerate() {
        let Base::Met { shard, remote } = base else { continue };
        let r = if remote == cell { None } else { stored(remote) };
        let turn = turns.get(&index).cloned();
        let of = match shard {
            Side::Dirty => Stored { dirty: true, r, turn, ..Stored::default() },
            Side::Is(value) | Side::Written(value) => Stored {
                s: if value == remote { None } else { stored(value) },
                unseen: base.is_unseen(),
                r,
                turn,
                ..Stored::default()
            },
        };
        if of.dirty || of.unseen || of.s.is_some() || of.r.is_some() || of.turn.is_some() {
            fields.insert(name, of);
        }
    }
    if fields.is_empty() {
        return None;
    }
    serde_json::to_string(&fields).ok().map(Arc::from)
}

/// The stamps of a shard's values, by field; fields that are not there have none.
pub(super) fn read_stamps(json: &str, layout: &Layout) -> FxHashMap<usize, Stamp> {
    let fields: BTreeMap<String, Stamp> = serde_json::from_str(json).unwrap_or_default();
    fields.into_iter().filter_map(|(name, stamp)| Some((layout.position(&name)?, stamp))).collect()
}

/// The stamps as JSON text; `None` where there are none.
pub(super) fn write_stamps(stamps: &FxHashMap<usize, Stamp>, layout: &Layout) -> Option<Arc<str>> {
    if stamps.is_empty() {
        return None;
    }
    let fields: BTreeMap<&str, &Stamp> =
        stamps.iter().map(|(index, stamp)| (layout.names()[*index].as_str(), stamp)).collect();
    serde_json::to_string(&fields).ok().map(Arc::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{FieldDef, FieldType, ShardType};
    use proptest::prelude::*;

    fn layout() -> Layout {
        let mut shard_type = ShardType::default();
        for name in ["a", "b", "c"] {
            shard_type.fields.0.push((name.to_owned(), FieldDef::Short(FieldType::Json)));
        }
        Layout::new("t", &shard_type)
    }

    fn cell() -> impl Strategy<Value = Cell> {
        prop::sample::select(vec![
            None,
            Some(Value::Null),
            Some(Value::Int(1)),
            Some(Value::text("x")),
        ])
    }

    fn base() -> impl Strategy<Value = Base> {
        (cell(), prop::option::of(cell()), any::<bool>()).prop_map(|(remote, shard, seen)| {
            match shard {
                Some(shard) if seen => Base::agreed(shard, remote),
                Some(shard) => Base::written(shard, remote),
                None => Base::dirty(remote),
            }
        })
    }

    proptest! {
        #[test]
        fn what_is_stored_is_what_is_read(
            image in prop::collection::vec(cell(), 3), bases in prop::collection::vec(base(), 3),
            turned in prop::option::of((0..3_usize, cell(), cell())),
        ) {
            let turn = |(field, from, to): (usize, Cell, Cell)| (field, Turn::after(None, &from, &to));
            let turns: Turns = turned.map(turn).into_iter().collect();
            let json = write(&bases, &turns, &layout(), &image);
            prop_assert_eq!(read(json.as_deref(), &layout(), &image), (bases, turns));
        }
    }

    #[test]
    fn nothing_is_stored_of_what_follows_from_the_image() {
        let image = vec![Some(Value::Int(1)), None, Some(Value::Null)];
        let (bases, none) = read(None, &layout(), &image);
        assert_eq!(write(&bases, &none, &layout(), &image), None);
        let held = vec![Base::agreed(None, None), bases[1].clone(), Base::dirty(image[2].clone())];
        let json = write(&held, &none, &layout(), &image).unwrap();
        assert_eq!(&*json, r#"{"a":{"r":[]},"c":{"dirty":true}}"#);
    }
}
