//! Which column names a record for good.

use super::columns::Column;
use std::collections::BTreeSet;
use syncline_core::config::model::FieldType;

/// A key, and why it was chosen.
pub(super) struct Key {
    /// The columns, by index.
    pub(super) columns: Vec<usize>,
    /// Why.
    pub(super) why: String,
}

/// Chooses the key of records whose singular is called `one`. There must be a column.
pub(super) fn choose(columns: &[Column<'_>], one: &str, records: usize) -> Key {
    let sampled = if records == 1 {
        "1 sampled record".to_owned()
    } else {
        format!("{records} sampled records")
    };
    let ranks: Vec<u32> =
        columns.iter().enumerate().map(|(i, column)| rank(column, i, one)).collect();
    let is_unique = |&i: &usize| {
        let guess = &columns[i].guess;
        guess.filled == records && guess.distinct == records
    };
    let best = |indices: &mut dyn Iterator<Item = usize>| {
        indices.max_by_key(|&i| (ranks[i], std::cmp::Reverse(i)))
    };
    let named = best(&mut (0..columns.len()).filter(is_unique).filter(|&i| ranks[i] >= 50));
    // A column that is called the id and has a few doubles is an id that has a few doubles.
    let is_nearly = |&i: &usize| {
        let guess = &columns[i].guess;
        ranks[i] >= 95 && guess.filled * 10 >= records * 9 && guess.distinct * 10 >= records * 9
    };
    if let Some(i) = best(&mut (0..columns.len()).filter(is_nearly))
        && named.is_none_or(|named| ranks[named] < ranks[i])
    {
        let why =
            format!("named so, although not unique in {sampled}: of equal ones the last stands");
        return Key { columns: vec![i], why };
    }
    if let Some(i) = named {
        let why = if records == 0 {
            "named so".to_owned()
        } else {
            format!("unique in {sampled}, and named so")
        };
        return Key { columns: vec![i], why };
    }
    if let Some(pair) = unique_pair(columns, &ranks, records) {
        return Key { columns: pair, why: format!("together unique in {sampled}") };
    }
    if let Some(i) = best(&mut (0..columns.len()).filter(is_unique).filter(|&i| ranks[i] > 0)) {
        return Key { columns: vec![i], why: format!("unique in {sampled}; is it for good?") };
    }
    let filled: Vec<usize> =
        (0..columns.len()).filter(|&i| columns[i].guess.filled == records).collect();
    let columns = if filled.is_empty() { vec![0] } else { filled.into_iter().take(4).collect() };
    Key {
        columns,
        why: format!("nothing is unique in {sampled}: please choose what names a record"),
    }
}

/// How much a column's name sounds like a key; 0 for what cannot be one.
fn rank(column: &Column<'_>, index: usize, one: &str) -> u32 {
    const NUMBERS: [&str; 9] =
        ["key", "no", "nr", "number", "nummer", "code", "sku", "isbn", "ean"];
    const IDS: [&str; 4] = ["id", "uuid", "guid", "oid"];
    let Some((last, before)) = column.words.split_last() else { return 0 };
    let (last, before) = (last.as_str(), before.concat());
    let own = before.is_empty()
        || before == one.replace('_', "")
        || before == "external"
        || before == "record";
    match column.guess.field_type {
        FieldType::Text | FieldType::Integer => {}
        _ => return 0,
    }
    if IDS.contains(&last) {
        return if own {
            100
        } else if index == 0 {
            90
        } else {
            80
        };
    }
    if NUMBERS.contains(&last)
        && !column.is("phone")
        && !column.is("mobile")
        && !column.is("postcode")
    {
        return if own {
            95
        } else if index == 0 {
            75
        } else {
            70
        };
    }
    if column.is("email") { 50 } else { 10 }
}

/// Two columns that sound like keys and are unique together: an order and the number of its line.
fn unique_pair(columns: &[Column<'_>], ranks: &[u32], records: usize) -> Option<Vec<usize>> {
    let keys: Vec<usize> = (0..columns.len())
        .filter(|&i| {
            ranks[i] >= 70
                || columns[i].words.iter().any(|word| word == "line" || word == "position")
        })
        .filter(|&i| columns[i].guess.filled == records)
        .collect();
    let plain = |i: usize, record: usize| columns[i].values[record].map(|value| value.to_plain());
    for (position, &a) in keys.iter().enumerate() {
        for &b in &keys[position + 1..] {
            let pairs: BTreeSet<_> = (0..records).map(|r| (plain(a, r), plain(b, r))).collect();
            if pairs.len() == records && records > 0 {
                return Some(vec![a, b]);
            }
        }
    }
    None
}
