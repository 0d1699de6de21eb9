//! Survivorship: which of the values that records give for one thing stand.

use super::RecordName;
use crate::config::model::MergeStrategy;
use crate::shard::Image;
use crate::value::{Cell, Value};
use std::cmp::Reverse;

/// What one record says of a thing.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its fields; one that is too short ends in absent cells.
    pub image: &'a [Cell],
    /// When it was last modified at its source, else when it was first observed, in microseconds since 1970.
    pub stamp: i64,
    /// The higher wins where stamps are equal.
    pub priority: i64,
    /// Tells the record from every other. The smaller wins where stamps and priorities are equal.
    pub name: RecordName<'a>,
}

impl Source<'_> {
    /// Where records have equal stamps, the greater one wins.
    pub(super) fn rank(&self) -> (i64, Reverse<RecordName<'_>>) {
        (self.priority, Reverse(self.name))
    }

    pub(super) fn cell(&self, field: usize) -> Option<&Value> {
        self.image.get(field).and_then(Option::as_ref)
    }

    pub(super) fn fields_filled(&self, fields: usize) -> usize {
        (0..fields).filter_map(|field| self.cell(field)).filter(|v| !v.is_blank()).count()
    }
}

/// The data of a thing of `fields` fields, and for each field the index of the source that gave it (`None`
/// where it is absent).
///
/// A pure function of the set of sources: their order does not matter. Newest and oldest go by the stamp;
/// where stamps are equal, the higher priority stands, then the smaller name, whether the newest or the
/// oldest is wanted. Names must differ.
///
/// - `keep_first`: the oldest record's image; what is absent or null in it stays so.
/// - `keep_last`: the newest record's image, likewise.
/// - `keep_most_complete`: the image with the most fields that are not blank; of equal ones the newest.
/// - `merge_fields`: for each field the newest value that is not null; else null, if the field is null
///   in some record (the newest of these gave it); else absent.
/// - `manual`: as `merge_fields`; nothing is put together under it, so there is one record.
///
/// No source at all gives an image in which every field is absent.
pub fn survive(
    strategy: MergeStrategy,
    sources: &[Source<'_>],
    fields: usize,
) -> (Image, Vec<Option<u32>>) {
    let indices = 0..sources.len();
    let source = |i: &usize| &sources[*i];
    let one = match strategy {
        MergeStrategy::KeepFirst => {
            indices.max_by_key(|i| (Reverse(source(i).stamp), source(i).rank()))
        }
        MergeStrategy::KeepLast => indices.max_by_key(|i| (source(i).stamp, source(i).rank())),
        MergeStrategy::KeepMostComplete => indices
            .max_by_key(|i| (source(i).fields_filled(fields), source(i).stamp, source(i).rank())),
        MergeStrategy::MergeFields | MergeStrategy::Manual => return merged(sources, fields),
    };
    collect(fields, |field| {
        let index = one?;
        sources[index].cell(field).map(|value| (index, value))
    })
}

fn merged(sources: &[Source<'_>], fields: usize) -> (Image, Vec<Option<u32>>) {
    let mut newest_first: Vec<usize> = (0..sources.len()).collect();
    newest_first.sort_unstable_by_key(|&i| Reverse((sources[i].stamp, sources[i].rank())));
    collect(fields, |field| {
        let mut values = newest_first.iter().filter_map(|&i| Some((i, sources[i].cell(field)?)));
        let newest = values.next()?;
        if newest.1.is_null() {
            Some(values.find(|(_, value)| !value.is_null()).unwrap_or(newest))
        } else {
            Some(newest)
        }
    })
}

fn collect<'a>(
    fields: usize,
    mut pick: impl FnMut(usize) -> Option<(usize, &'a Value)>,
) -> (Image, Vec<Option<u32>>) {
    (0..fields)
        .map(|field| match pick(field) {
            Some((index, value)) => {
                let index = u32::try_from(index).expect("a cluster has fewer than 2^32 records");
                (Some(value.clone()), Some(index))
            }
            None => (None, None),
        })
        .unzip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cells(text: &str) -> Image {
        text.split(' ')
            .map(|word| match word {
                "-" => None,
                "null" => Some(Value::Null),
                "''" => Some(Value::text("")),
                word => Some(Value::text(word)),
            })
            .collect()
    }

    #[test]
    fn each_strategy_keeps_what_it_says() {
        let old = cells("a null - o");
        let middle = cells("b x null o");
        let new = cells("null - null ''");
        let source = |image, stamp| Source { image, stamp, priority: 0, name: ("", "", "") };
        let sources = [source(&middle, 2), source(&new, 3), source(&old, 1)];
        for (strategy, expected, from) in [
            (MergeStrategy::KeepFirst, "a null - o", [Some(2), Some(2), None, Some(2)]),
            (MergeStrategy::KeepLast, "null - null ''", [Some(1), None, Some(1), Some(1)]),
            (MergeStrategy::KeepMostComplete, "b x null o", [Some(0); 4]),
            (MergeStrategy::MergeFields, "b x null ''", [Some(0), Some(0), Some(1), Some(1)]),
            (MergeStrategy::Manual, "b x null ''", [Some(0), Some(0), Some(1), Some(1)]),
        ] {
            let (image, provenance) = survive(strategy, &sources, 4);
            assert_eq!((image, provenance), (cells(expected), from.to_vec()), "{strategy:?}");
        }
    }

    #[test]
    fn where_stamps_are_equal_priority_and_then_the_name_decide() {
        let (x, y, z) = (cells("x"), cells("y"), cells("z"));
        let source =
            |image, priority, id| Source { image, stamp: 1, priority, name: ("c", "e", id) };
        let sources = [source(&x, 1, "2"), source(&y, 2, "2"), source(&z, 2, "1")];
        for strategy in [
            MergeStrategy::KeepFirst,
            MergeStrategy::KeepLast,
            MergeStrategy::KeepMostComplete,
            MergeStrategy::MergeFields,
        ] {
            assert_eq!(survive(strategy, &sources, 1), (cells("z"), vec![Some(2)]), "{strategy:?}");
        }
    }

    #[test]
    fn no_source_and_short_images_give_absent_fields() {
        for strategy in [MergeStrategy::KeepFirst, MergeStrategy::MergeFields] {
            assert_eq!(survive(strategy, &[], 2), (vec![None, None], vec![None, None]));
            let image = cells("a");
            let source = Source { image: &image, stamp: 0, priority: 0, name: ("", "", "") };
            assert_eq!(survive(strategy, &[source], 2).0, cells("a -"));
        }
    }

    const STRATEGIES: [MergeStrategy; 5] = [
        MergeStrategy::KeepFirst,
        MergeStrategy::KeepLast,
        MergeStrategy::KeepMostComplete,
        MergeStrategy::MergeFields,
        MergeStrategy::Manual,
    ];

    proptest! {
        #[test]
        fn the_order_of_sources_does_not_matter_and_merging_twice_changes_nothing(
            drawn in proptest::collection::vec(
                (proptest::collection::vec(0..5_u8, 3), 0..3_i64, 0..2_i64), 1..6),
            turn in 0..6_usize,
        ) {
            let images: Vec<Image> = drawn.iter().map(|(cells, ..)| cells.iter().map(|c| match c {
                0 => None,
                1 => Some(Value::Null),
                n => Some(Value::Int(i64::from(*n))),
            }).collect()).collect();
            let names: Vec<String> = (0..drawn.len()).map(|i| i.to_string()).collect();
            let sources: Vec<Source<'_>> = (0..drawn.len()).map(|i| Source {
                image: &images[i],
                stamp: drawn[i].1,
                priority: drawn[i].2,
                name: ("c", "e", &names[i]),
            }).collect();
            let mut other = sources.clone();
            other.rotate_left(turn % drawn.len());
            other.reverse();
            for strategy in STRATEGIES {
                let (image, from) = survive(strategy, &sources, 3);
                let (image_2, from_2) = survive(strategy, &other, 3);
                prop_assert_eq!(&image, &image_2);
                for field in 0..3 {
                    let name = from[field].map(|i| sources[i as usize].name);
                    prop_assert_eq!(name, from_2[field].map(|i| other[i as usize].name));
                    let given = from[field].and_then(|i| sources[i as usize].image[field].clone());
                    prop_assert_eq!(&given, &image[field]);
                }
                let itself = Source { image: &image, stamp: 9, priority: 9, name: ("", "", "") };
                let (again, _) = survive(strategy, &[itself, itself], 3);
                prop_assert_eq!(&again, &image);
            }
        }
    }
}
