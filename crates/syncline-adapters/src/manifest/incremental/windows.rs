//! Windows of a cursor: which were read, and which are to be read.

use super::super::interpolate::StreamSlice;
use super::super::interpolate::moment::{Moment, Period};
use super::super::select::Record;
use super::super::trouble::Trouble;
use super::CursorRules;
use serde_json::{Map, Value as Json};
use std::collections::VecDeque;

/// About a month, in microseconds.
const MONTH: i128 = 30 * 86_400_000_000;

/// A stretch of the cursor that was read.
#[derive(Clone, Debug)]
struct Covered {
    start: Moment,
    end: Moment,
    /// The latest record in it.
    latest: Option<Moment>,
}

/// How far one stream, or one partition of it, has been read.
#[derive(Clone, Debug)]
pub(in super::super) struct Position {
    /// Where this run begins.
    start: Moment,
    covered: Vec<Covered>,
    /// The state as it came, whose other entries are kept.
    legacy: Map<String, Json>,
    /// The latest record of the window that is being read.
    latest: Option<Moment>,
}

impl Position {
    /// Takes up a state; `lookback` is taken off its moment.
    pub(in super::super) fn from_state(
        rules: &CursorRules,
        state: &Map<String, Json>,
        lookback: Period,
    ) -> Result<Self, Trouble> {
        if state.get("state_type").and_then(Json::as_str) == Some("date-range")
            && let Some(position) = Self::from_windows(rules, state)
        {
            return Ok(position);
        }
        let mut legacy = state.clone();
        let mut start = rules.start;
        if let Some(value) = state.get(&rules.field) {
            let moment = rules.parse(value).ok_or_else(|| {
                Trouble::config(format!(
                    "the state `{value}` is no moment in a format of the cursor"
                ))
            })?;
            let moment = moment.plus(&lookback.negated())?;
            legacy.insert(rules.field.clone(), rules.write(&moment));
            if moment.micros() >= start.micros() {
                start = moment;
            }
        }
        let covered = vec![Covered { start: rules.start, end: start, latest: Some(start) }];
        Ok(Self { start, covered, legacy, latest: None })
    }

    fn from_windows(rules: &CursorRules, state: &Map<String, Json>) -> Option<Self> {
        let mut covered = Vec::new();
        for window in state.get("slices")?.as_array()? {
            covered.push(Covered {
                start: rules.parse(window.get("start")?)?,
                end: rules.parse(window.get("end")?)?,
                latest: window.get("most_recent_cursor_value").and_then(|v| rules.parse(v)),
            });
        }
        let first = covered.first()?;
        let start = first.latest.unwrap_or(first.end);
        Some(Self { start, covered, legacy: Map::new(), latest: None })
    }

    /// The windows that are to be read.
    pub(in super::super) fn windows(&mut self, rules: &CursorRules) -> Result<Windows, Trouble> {
        self.merge(rules)?;
        let mut segments = VecDeque::new();
        if let Some(first) =
            self.covered.first().filter(|w| rules.start.micros() < w.start.micros())
        {
            segments.push_back((rules.start, first.start, false));
        }
        for pair in self.covered.windows(2) {
            let start = match &rules.granularity {
                Some(granularity) => pair[0].end.plus(granularity)?,
                None => pair[0].end,
            };
            segments.push_back((start, pair[1].start, false));
        }
        if let Some(last) = self.covered.last() {
            let start = match &rules.lookback {
                Some(lookback) => last.end.plus(&lookback.negated())?,
                None => last.end,
            };
            segments.push_back((start, rules.end, true));
        }
        Ok(Windows { segments, current: None })
    }

    /// The two halves of the window `slice`; `None` where it is no longer than `least`, or than the cursor tells apart.
    pub(in super::super) fn halves(
        rules: &CursorRules,
        slice: &StreamSlice,
        least: Option<Period>,
    ) -> Result<Option<[StreamSlice; 2]>, Trouble> {
        let Some(granularity) = rules.granularity.filter(|one| one.months == 0 && one.micros > 0)
        else {
            return Ok(None);
        };
        let Some((start, end)) = rules.window(slice) else { return Ok(None) };
        let span = end.micros() - start.micros();
        let least = least.map_or(0, |least| least.micros + i128::from(least.months) * MONTH);
        let units = span / granularity.micros + 1;
        if span <= least || units <= 1 {
            return Ok(None);
        }
        let by = |units: i128| Period { micros: units * granularity.micros, months: 0 };
        let middle = start.plus(&by(units / 2 - 1))?;
        let half = |start: &Moment, end: &Moment| {
            let window = rules.cursor_slice(start, end);
            StreamSlice::new(slice.partition().clone(), window, slice.extra_fields().clone())
        };
        Ok(Some([half(&start, &middle), half(&middle.plus(&by(1))?, &end)]))
    }

    /// What is left of the window `slice` from `start` on.
    pub(in super::super) fn behind(
        rules: &CursorRules,
        slice: &StreamSlice,
        start: &Moment,
    ) -> Option<StreamSlice> {
        let (_, end) = rules.window(slice)?;
        let window = rules.cursor_slice(start, &end);
        Some(StreamSlice::new(slice.partition().clone(), window, slice.extra_fields().clone()))
    }

    /// Takes note of a record of the window that is being read.
    pub(in super::super) fn observe(&mut self, moment: Moment) {
        if self.latest.is_none_or(|latest| latest.micros() < moment.micros()) {
            self.latest = Some(moment);
        }
    }

    /// Takes note that the window `slice` was read to its end.
    pub(in super::super) fn close(
        &mut self,
        rules: &CursorRules,
        slice: &StreamSlice,
    ) -> Result<(), Trouble> {
        let (start, end) = rules
            .window(slice)
            .ok_or_else(|| Trouble::system("the window of the cursor cannot be read back"))?;
        self.covered.push(Covered { start, end, latest: self.latest.take() });
        self.merge(rules)
    }

    fn merge(&mut self, rules: &CursorRules) -> Result<(), Trouble> {
        let least = if rules.counts { 1 } else { 1_000 };
        let step = rules.granularity.unwrap_or(Period { micros: least, months: 0 });
        self.covered.sort_by_key(|window| (window.start.micros(), window.end.micros()));
        let mut merged: Vec<Covered> = Vec::with_capacity(self.covered.len());
        for window in self.covered.drain(..) {
            match merged.last_mut() {
                Some(last) if last.end.plus(&step)?.micros() >= window.start.micros() => {
                    if window.end.micros() > last.end.micros() {
                        last.end = window.end;
                    }
                    last.latest = match (last.latest, window.latest) {
                        (Some(a), Some(b)) => Some(if b.micros() > a.micros() { b } else { a }),
                        (a, b) => a.or(b),
                    };
                }
                _ => merged.push(window),
            }
        }
        self.covered = merged;
        Ok(())
    }

    /// The state: the latest record of the first stretch without a gap.
    pub(in super::super) fn state(&self, rules: &CursorRules) -> Map<String, Json> {
        let mut state = self.legacy.clone();
        if let Some(first) = self.covered.first() {
            let moment = first.latest.unwrap_or(first.start);
            state.insert(rules.field.clone(), rules.write(&moment));
        }
        state
    }

    /// Between which moments records are wanted: from the beginning of this run to its end.
    pub(in super::super) fn bounds(&self, rules: &CursorRules) -> Bounds {
        let mut lower = self.start.micros();
        if let Some(lookback) = &rules.lookback
            && let Ok(earlier) = self.start.plus(&lookback.negated())
        {
            lower = earlier.micros().max(lower.min(rules.start.micros()));
        }
        Bounds { rules: rules.clone(), lower }
    }
}

/// Between which moments records are wanted.
#[derive(Debug)]
pub(in super::super) struct Bounds {
    rules: CursorRules,
    /// In microseconds since 1970.
    lower: i128,
}

impl Bounds {
    pub(in super::super) fn rules(&self) -> &CursorRules {
        &self.rules
    }

    /// Whether a record is within. One without a moment is.
    pub(in super::super) fn hold(&self, record: &Record) -> bool {
        self.rules
            .moment_of(record)
            .is_none_or(|moment| (self.lower..=self.rules.end.micros()).contains(&moment.micros()))
    }
}

/// Windows one after the other: stretches of the cursor, cut into steps.
#[derive(Debug, Default)]
pub(in super::super) struct Windows {
    /// From, to, and whether it ends where the run ends.
    segments: VecDeque<(Moment, Moment, bool)>,
    current: Option<(Moment, Moment, bool)>,
}

impl Windows {
    /// The next window.
    pub(in super::super) fn next(
        &mut self,
        rules: &CursorRules,
    ) -> Result<Option<Map<String, Json>>, Trouble> {
        let clamped = |moment: Moment| match rules.clamp {
            Some(clamp) => clamp.up(moment),
            None => Ok(moment),
        };
        loop {
            let Some((lower, upper, is_end)) = self.current.take() else {
                let Some((lower, upper, is_end)) = self.segments.pop_front() else {
                    return Ok(None);
                };
                // With a granularity the last window includes its end, so it may be one unit long.
                let is_unit = rules.granularity.is_some() && is_end && !rules.strict;
                let empty = |lower: &Moment| {
                    lower.micros() > upper.micros()
                        || (lower.micros() == upper.micros() && !is_unit)
                };
                let outside = empty(&lower) || upper.micros() < rules.start.micros();
                let late = lower.micros() >= rules.start.micros();
                let lower = clamped(if late { lower } else { rules.start })?;
                if !outside && !empty(&lower) {
                    self.current = Some((lower, upper, is_end));
                }
                continue;
            };
            let step = rules.step.as_ref().and_then(|step| lower.plus(step).ok());
            let within = step.filter(|next| next.micros() < upper.micros());
            let next = match within {
                Some(next) => clamped(next)?,
                // With a granularity the end is the last unit that is read: rounding would go past it.
                None if is_end && (rules.granularity.is_some() || rules.step.is_some()) => upper,
                None if rules.step.is_some() => upper,
                None => clamped(upper)?,
            };
            let reached = within.is_none() || next.micros() == upper.micros();
            if lower.micros() >= next.micros() && !(reached && within.is_none()) {
                continue;
            }
            let end = match &rules.granularity {
                Some(granularity) if !(is_end && reached) => next.plus(&granularity.negated())?,
                _ => next,
            };
            if !reached {
                self.current = Some((next, upper, is_end));
            }
            return Ok(Some(rules.cursor_slice(&lower, &end)));
        }
    }
}
