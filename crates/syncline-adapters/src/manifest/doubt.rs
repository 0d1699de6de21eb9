//! Notices that an API did not give everything, although it said nothing of an error: pages that moved while they
//! were read, totals that do not add up, pages that lead nowhere.

use super::incremental::CursorRules;
use super::interpolate::{Headers, text_of};
use super::select::Records;
use serde_json::{Map, Value as Json};
use std::collections::HashSet;
use xxhash_rust::xxh3::xxh3_64;

/// How many ids of one slice are remembered; of what comes after, only totals are looked at.
const IDS_MAX: usize = 1_000_000;
/// So many pages in a row that hold nothing new are a circle.
const OLD_PAGES_MAX: u32 = 3;
/// So many responses in a row that are the same, byte for byte, are the answers of an API that does not look at which
/// page is asked for.
const SAME_BODIES_MAX: u32 = 10;
/// Where APIs say how many records there are in all.
const TOTALS: &[&str] = &[
    "total_count",
    "totalCount",
    "total_records",
    "totalRecords",
    "total_results",
    "totalResults",
    "total_items",
    "totalItems",
    "total",
];
/// The maps that such numbers stand in, beside the top.
const PLACES: &[&str] = &["meta", "metadata", "pagination", "paging", "page_info", "pageInfo"];
const TOTAL_HEADERS: &[&str] = &["x-total-count", "x-total"];

/// What was seen of the pages of one slice.
#[derive(Debug, Default)]
pub(super) struct Watch {
    ids: HashSet<u64>,
    pages: u64,
    found: u64,
    total: Option<u64>,
    old_pages: u32,
    last_body: u64,
    same_bodies: u32,
    doubt: Option<String>,
}

impl Watch {
    /// Looks at a page: what came with its records, how many it held, and those that are passed on.
    pub(super) fn page(
        &mut self,
        key: &[String],
        headers: &Headers,
        body: Option<&Json>,
        found: usize,
        records: &Records,
    ) {
        self.pages += 1;
        self.found += found as u64;
        let total = total_of(headers, body);
        if let (Some(before), Some(now)) = (self.total, total)
            && now < before
        {
            self.note(format!(
                "the number of records shrank from {before} to {now} between two pages, so that \
                 records may have moved to a page that was read already"
            ));
        }
        self.total = total.or(self.total);
        if key.is_empty() || records.is_empty() || self.ids.len() >= IDS_MAX {
            return;
        }
        let names: Vec<&str> = key.iter().map(String::as_str).collect();
        let ids = records.values(&names);
        let ids: Vec<u64> = ids.iter().filter_map(|values| id_of(values)).collect();
        let repeated = ids.iter().filter(|id| self.ids.contains(id)).count();
        self.old_pages = if repeated == records.len() { self.old_pages + 1 } else { 0 };
        if repeated > 0 {
            self.note(format!(
                "page {} repeats {repeated} records of pages before it, so the pages moved while they were read",
                self.pages
            ));
        }
        self.ids.extend(ids);
    }

    /// Whether the pages have held nothing new for a while.
    pub(super) fn goes_in_circles(&self) -> bool {
        self.old_pages >= OLD_PAGES_MAX
    }

    /// Whether `body`, which holds records, is the same again and again.
    pub(super) fn stands_still(&mut self, body: &[u8]) -> bool {
        let hash = xxh3_64(body);
        self.same_bodies = if hash == self.last_body { self.same_bodies + 1 } else { 1 };
        self.last_body = hash;
        self.same_bodies >= SAME_BODIES_MAX
    }

    /// Looks at a page after which the next is asked for by the moment of its last record.
    pub(super) fn tie(&mut self, rules: &CursorRules, records: &Records) {
        let mut moments = rules.moments(records).into_iter();
        let first = moments.next().flatten();
        if records.len() > 1
            && let Some(first) = first
            && moments.all(|moment| moment.is_some_and(|moment| moment.micros() == first.micros()))
        {
            self.note(
                "all records of a page have the same moment, by which the next page is asked for: \
                 more records with that moment may have been passed over"
                    .to_owned(),
            );
        }
    }

    fn note(&mut self, doubt: String) {
        self.doubt.get_or_insert(doubt);
    }

    /// Why the slice may not be whole, once its last page was read.
    pub(super) fn verdict(&mut self) -> Option<String> {
        if let Some(total) = self.total.filter(|total| self.pages > 1 && self.found < *total) {
            self.note(format!(
                "the API speaks of {total} records and gave {}: it may give no more pages than a certain number",
                self.found
            ));
        }
        self.doubt.take()
    }
}

/// What stands for the id that consists of `values`, if none of them is missing.
fn id_of(values: &[Option<Json>]) -> Option<u64> {
    let mut text = String::new();
    for value in values {
        text += &text_of(value.as_ref().filter(|value| !value.is_null())?);
        text.push('\0');
    }
    Some(xxh3_64(text.as_bytes()))
}

/// How many records there are in all, where the response says so.
fn total_of(headers: &Headers, body: Option<&Json>) -> Option<u64> {
    let in_header = TOTAL_HEADERS
        .iter()
        .find_map(|name| headers.get(name).and_then(Json::as_str)?.trim().parse().ok());
    let number = |map: &Map<String, Json>| TOTALS.iter().find_map(|name| map.get(*name)?.as_u64());
    in_header.or_else(|| {
        let top = body?.as_object()?;
        number(top)
            .or_else(|| PLACES.iter().find_map(|place| number(top.get(*place)?.as_object()?)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The verdict on pages, each a total and the ids on it.
    fn verdict(pages: &[(Option<u64>, &[u64])]) -> Option<String> {
        let mut watch = Watch::default();
        for (total, ids) in pages {
            let body = json!({"meta": {"total": total}});
            let record = |id| Map::from_iter([("id".to_owned(), json!(id))]);
            let records = Records::Made(ids.iter().map(record).collect());
            let headers = Headers::default();
            watch.page(&["id".to_owned()], &headers, Some(&body), records.len(), &records);
        }
        watch.verdict()
    }

    #[test]
    fn what_adds_up_is_whole_and_what_does_not_is_told() {
        let whole: [&[(Option<u64>, &[u64])]; 4] = [
            &[(None, &[1, 2]), (None, &[3])],
            &[(Some(3), &[1, 2]), (Some(3), &[3])],
            // One page is all that was asked for; an id may repeat within it.
            &[(Some(9), &[1, 1])],
            &[(Some(3), &[1, 2]), (Some(4), &[3, 4])],
        ];
        for pages in whole {
            assert_eq!(verdict(pages), None, "{pages:?}");
        }
        type Pages<'a> = &'a [(Option<u64>, &'a [u64])];
        let doubtful: [(Pages<'_>, &str); 3] = [
            (&[(None, &[1, 2]), (None, &[2, 3])], "page 2 repeats 1"),
            (&[(Some(4), &[1, 2]), (Some(3), &[4])], "shrank from 4 to 3"),
            (&[(Some(5), &[1, 2]), (Some(5), &[3, 4])], "speaks of 5 records and gave 4"),
        ];
        for (pages, told) in doubtful {
            let verdict = verdict(pages);
            assert!(verdict.as_ref().is_some_and(|text| text.contains(told)), "{verdict:?}");
        }
    }
}
