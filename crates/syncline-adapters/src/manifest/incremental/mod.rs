//! What has been read of a stream already, and which windows of its cursor come next.

mod clamp;
mod per_partition;
mod sync_token;
mod windows;

pub(super) use per_partition::PerPartition;
pub(super) use sync_token::{Standing, SyncToken, Told};
pub(super) use windows::{Bounds, Position, Windows};

use clamp::{Clamp, ClampSpec};

use super::expression::Expression;
use super::interpolate::moment::{Moment, Period};
use super::interpolate::{StreamSlice, parse_moment, text_of};
use super::load::Node;
use super::request::{Parts, RequestOption};
use super::select::{Record, Records};
use super::session::Session;
use super::trouble::Trouble;
use serde_json::{Map, Value as Json};

/// The state of a stream that has no cursor.
pub(super) const NO_CURSOR_STATE: &str = "__ab_no_cursor_state_message";

/// A cursor over a time or a count, as the manifest declares it.
#[derive(Debug)]
pub(super) struct CursorSpec {
    field: Expression,
    /// Whether it is a number that grows, instead of a time.
    counts: bool,
    format: String,
    /// The formats that values are read in, in order.
    formats: Vec<String>,
    start: Bound,
    end: Option<Bound>,
    step: Option<Expression>,
    granularity: Option<Period>,
    lookback: Option<Expression>,
    clamp: Option<ClampSpec>,
    /// Whether the API refuses a window that ends where it begins.
    strict: bool,
    start_option: Option<RequestOption>,
    end_option: Option<RequestOption>,
    start_name: Expression,
    end_name: Expression,
    pub(super) is_data_feed: bool,
    pub(super) is_client_side: bool,
    pub(super) is_global: bool,
}

/// A moment between a least and a greatest one.
#[derive(Debug)]
struct Bound {
    moment: Expression,
    format: Option<String>,
    least: Option<Expression>,
    greatest: Option<Expression>,
}

impl Bound {
    fn load(node: &Node<'_>, name: &str) -> Result<Option<Self>, Trouble> {
        let Some(child) = node.child(name) else {
            let moment = node.expression(name);
            return Ok(moment.map(|moment| Self {
                moment,
                format: None,
                least: None,
                greatest: None,
            }));
        };
        if child.kind() != "MinMaxDatetime" {
            return Err(child.unsupported("moment"));
        }
        Ok(Some(Self {
            moment: child.needed("datetime")?,
            format: child
                .text("datetime_format")
                .filter(|text| !text.is_empty())
                .map(str::to_owned),
            least: child.expression("min_datetime"),
            greatest: child.expression("max_datetime"),
        }))
    }

    fn moment(&self, session: &Session, format: &str) -> Result<Moment, Trouble> {
        let format = self.format.as_deref().unwrap_or(format);
        let parse = |expression: &Expression| -> Result<Option<Moment>, Trouble> {
            let text = expression.text(session.scope())?;
            if text.is_empty() { Ok(None) } else { Ok(Some(parse_moment::parse(&text, format)?)) }
        };
        let mut moment = parse_moment::parse(&self.moment.text(session.scope())?, format)?;
        if let Some(least) = self.least.as_ref().map(parse).transpose()?.flatten()
            && least.micros() > moment.micros()
        {
            moment = least;
        }
        if let Some(greatest) = self.greatest.as_ref().map(parse).transpose()?.flatten()
            && greatest.micros() < moment.micros()
        {
            moment = greatest;
        }
        Ok(moment)
    }
}

impl CursorSpec {
    pub(super) fn load(node: &Node<'_>) -> Result<Self, Trouble> {
        match node.kind() {
            "DatetimeBasedCursor" => {}
            "IncrementingCountCursor" => return Self::counting(node),
            _ => return Err(node.unsupported("cursor")),
        }
        let format = node.text("datetime_format").ok_or_else(|| node.missing("datetime_format"))?;
        let mut formats: Vec<String> = match node.get("cursor_datetime_formats") {
            Some(Json::Array(formats)) => formats.iter().map(text_of).collect(),
            _ => Vec::new(),
        };
        formats.push(format.to_owned());
        let option = |name: &str| node.child(name).map(|o| RequestOption::load(&o)).transpose();
        let named = |name: &str, default: &str| {
            node.expression(name).unwrap_or_else(|| Expression::new(default, &node.parameters))
        };
        Ok(Self {
            field: node.needed("cursor_field")?,
            counts: false,
            format: format.to_owned(),
            formats,
            start: Bound::load(node, "start_datetime")?
                .ok_or_else(|| node.missing("start_datetime"))?,
            end: Bound::load(node, "end_datetime")?,
            step: node.expression("step"),
            granularity: node.text("cursor_granularity").map(Period::parse).transpose()?,
            lookback: node.expression("lookback_window"),
            clamp: node.child("clamping").map(|clamp| ClampSpec::load(&clamp)).transpose()?,
            strict: node.flag("is_compare_strictly"),
            start_option: option("start_time_option")?,
            end_option: option("end_time_option")?,
            start_name: named("partition_field_start", "start_time"),
            end_name: named("partition_field_end", "end_time"),
            is_data_feed: node.flag("is_data_feed"),
            is_client_side: node.flag("is_client_side_incremental"),
            is_global: node.flag("global_substream_cursor"),
        })
    }

    /// A cursor over a number that grows.
    fn counting(node: &Node<'_>) -> Result<Self, Trouble> {
        let fixed = |text: &str| Expression::new(text, &node.parameters);
        let option = node.child("start_value_option");
        let moment = node.expression("start_value").unwrap_or_else(|| fixed("0"));
        Ok(Self {
            field: node.needed("cursor_field")?,
            counts: true,
            format: String::new(),
            formats: Vec::new(),
            start: Bound { moment, format: None, least: None, greatest: None },
            end: None,
            step: None,
            granularity: None,
            lookback: None,
            clamp: None,
            strict: false,
            start_option: option.map(|option| RequestOption::load(&option)).transpose()?,
            end_option: None,
            start_name: fixed("start"),
            end_name: fixed("end"),
            is_data_feed: false,
            is_client_side: false,
            is_global: false,
        })
    }

    /// The name of the cursor's field.
    pub(super) fn field(&self, session: &Session) -> Result<String, Trouble> {
        Ok(self.field.text(session.scope())?)
    }

    /// What the requests for a window carry.
    pub(super) fn parts(&self, session: &Session, slice: &StreamSlice) -> Result<Parts, Trouble> {
        let mut parts = Parts::default();
        let ends = [(&self.start_option, &self.start_name), (&self.end_option, &self.end_name)];
        for (option, name) in ends {
            if let Some(option) = option {
                let name = name.text(session.scope())?;
                let value = slice.cursor_slice().get(&name).cloned().unwrap_or(Json::Null);
                option.put(session, &mut parts, value)?;
            }
        }
        Ok(parts)
    }

    /// The cursor for one run.
    pub(super) fn resolve(&self, session: &Session) -> Result<CursorRules, Trouble> {
        let period = |expression: &Option<Expression>| -> Result<Option<Period>, Trouble> {
            let Some(expression) = expression else { return Ok(None) };
            let text = expression.text(session.scope())?;
            if text.is_empty() { Ok(None) } else { Ok(Some(Period::parse(&text)?)) }
        };
        if self.step.is_some() != self.granularity.is_some() {
            return Err(Trouble::config(
                "a cursor has both of `step` and `cursor_granularity`, or none",
            ));
        }
        let clamp = self.clamp.as_ref().map(|clamp| clamp.resolve(session)).transpose()?;
        let (start, mut end) = if self.counts {
            let start = self.start.moment.eval(session.scope())?;
            let start = count_of(&start).ok_or_else(|| {
                Trouble::config(format!("the start value `{}` is no number", text_of(&start)))
            })?;
            (start, Moment::from_micros(COUNT_MAX)?)
        } else {
            let end = match &self.end {
                Some(end) => end.moment(session, &self.format)?,
                None => Moment::from_micros(session.clock.now().into())?,
            };
            (self.start.moment(session, &self.format)?, end)
        };
        if let Some(clamp) = clamp {
            let granularity = self.granularity.unwrap_or_else(|| clamp.default_granularity());
            end = clamp.down(end)?.plus(&granularity.negated())?;
        }
        Ok(CursorRules {
            field: self.field(session)?,
            counts: self.counts,
            format: self.format.clone(),
            formats: self.formats.clone(),
            start,
            end,
            step: period(&self.step)?,
            granularity: self.granularity,
            lookback: period(&self.lookback)?,
            clamp,
            strict: self.strict,
            start_name: self.start_name.text(session.scope())?,
            end_name: self.end_name.text(session.scope())?,
        })
    }
}

/// Where the windows of a count end: a number that no API reaches.
const COUNT_MAX: i128 = 200_000_000_000_000_000;

/// A count as a moment: so many microseconds after the beginning of 1970.
fn count_of(value: &Json) -> Option<Moment> {
    let count = match value {
        Json::Number(number) => number.as_i64()?,
        Json::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    let count = i128::from(count);
    Moment::from_micros(count).ok().filter(|_| (-COUNT_MAX..=COUNT_MAX).contains(&count))
}

/// A cursor over a time or a count, with its bounds known.
#[derive(Clone, Debug)]
pub(super) struct CursorRules {
    pub(super) field: String,
    counts: bool,
    format: String,
    formats: Vec<String>,
    start: Moment,
    end: Moment,
    step: Option<Period>,
    granularity: Option<Period>,
    lookback: Option<Period>,
    clamp: Option<Clamp>,
    strict: bool,
    start_name: String,
    end_name: String,
}

impl CursorRules {
    /// The moment that `value` names, in the first format that fits.
    pub(super) fn parse(&self, value: &Json) -> Option<Moment> {
        if self.counts {
            return count_of(value);
        }
        let text = match value {
            Json::Null => return None,
            Json::Number(number) if number.is_f64() => {
                let float = number.as_f64()?;
                let whole = parse_moment::parse(&(float.trunc() as i64).to_string(), &self.format);
                let whole = whole.ok().filter(|_| self.format != "%s_as_float");
                if let Some(moment) = whole {
                    return Some(moment);
                }
                text_of(value)
            }
            other => text_of(other),
        };
        self.formats.iter().find_map(|format| parse_moment::parse(&text, format).ok())
    }

    pub(super) fn write(&self, moment: &Moment) -> Json {
        if self.counts {
            return Json::from(moment.micros() as i64);
        }
        Json::String(parse_moment::format(moment, &self.format))
    }

    /// The moment of each record, as [`Self::moment_of`] tells it.
    pub(super) fn moments(&self, records: &Records) -> Vec<Option<Moment>> {
        match records {
            Records::Made(records) => records.iter().map(|record| self.moment_of(record)).collect(),
            Records::AsSent(_) => {
                let values = records.values(&[&self.field]).into_iter();
                values.map(|value| self.parse(value.first()?.as_ref()?)).collect()
            }
        }
    }

    /// The moment of a record; `None` where it has none, or one that cannot be read.
    pub(super) fn moment_of(&self, record: &Record) -> Option<Moment> {
        self.parse(record.get(&self.field)?)
    }

    /// Start and end of the window that `slice` is.
    fn window(&self, slice: &StreamSlice) -> Option<(Moment, Moment)> {
        let at = |name: &str| self.parse(slice.cursor_slice().get(name)?);
        Some((at(&self.start_name)?, at(&self.end_name)?))
    }

    fn cursor_slice(&self, start: &Moment, end: &Moment) -> Map<String, Json> {
        let ends = [(&self.start_name, start), (&self.end_name, end)];
        ends.into_iter().map(|(name, moment)| (name.clone(), self.write(moment))).collect()
    }
}
