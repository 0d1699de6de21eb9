//! Windows that begin and end with whole days, weeks or months.

use super::super::expression::Expression;
use super::super::interpolate::moment::{Moment, Period};
use super::super::load::Node;
use super::super::session::Session;
use super::super::trouble::Trouble;
use jiff::ToSpan as _;
use jiff::civil::{Time, Weekday};

/// What windows are rounded to, as the manifest says it.
#[derive(Debug)]
pub(super) struct ClampSpec {
    target: Expression,
    weekday: Option<Weekday>,
}

/// What windows are rounded to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Clamp {
    Day,
    /// Weeks that begin on this day.
    Week(Weekday),
    Month,
}

impl ClampSpec {
    pub(super) fn load(node: &Node<'_>) -> Result<Self, Trouble> {
        let details = node.child("target_details");
        let weekday = details.as_ref().and_then(|details| details.text("weekday"));
        let weekday = match weekday {
            None => None,
            Some("MONDAY") => Some(Weekday::Monday),
            Some("TUESDAY") => Some(Weekday::Tuesday),
            Some("WEDNESDAY") => Some(Weekday::Wednesday),
            Some("THURSDAY") => Some(Weekday::Thursday),
            Some("FRIDAY") => Some(Weekday::Friday),
            Some("SATURDAY") => Some(Weekday::Saturday),
            Some("SUNDAY") => Some(Weekday::Sunday),
            Some(other) => {
                return Err(Trouble::config(format!("`{other}` is no day of the week")));
            }
        };
        Ok(Self { target: node.needed("target")?, weekday })
    }

    pub(super) fn resolve(&self, session: &Session) -> Result<Clamp, Trouble> {
        let target = self.target.text(session.scope())?;
        match (target.as_str(), self.weekday) {
            ("DAY", _) => Ok(Clamp::Day),
            ("MONTH", _) => Ok(Clamp::Month),
            ("WEEK", Some(weekday)) => Ok(Clamp::Week(weekday)),
            ("WEEK", None) => Err(Trouble::config("windows of weeks need their first `weekday`")),
            _ => Err(Trouble::config(format!(
                "windows can be rounded to DAY, WEEK or MONTH, not to `{target}`"
            ))),
        }
    }
}

impl Clamp {
    /// The beginning of the day, week or month that `moment` is in, or of the next one if it is within.
    pub(super) fn up(self, moment: Moment) -> Result<Moment, Trouble> {
        let down = self.down(moment)?;
        if down.micros() == self.whole(moment, Self::Day)?.micros()
            && (self != Self::Day || down.micros() == moment.micros())
        {
            return Ok(down);
        }
        let step = match self {
            Self::Day => 1.day(),
            Self::Week(_) => 1.week(),
            Self::Month => 1.month(),
        };
        Ok(down.at_civil(down.civil().checked_add(step).map_err(far)?))
    }

    /// The beginning of the day, week or month that `moment` is in.
    pub(super) fn down(self, moment: Moment) -> Result<Moment, Trouble> {
        self.whole(moment, self)
    }

    fn whole(self, moment: Moment, unit: Self) -> Result<Moment, Trouble> {
        let date = moment.civil().date();
        let date = match unit {
            Self::Day => date,
            Self::Month => date.first_of_month(),
            Self::Week(first) => {
                let days = i64::from(first.until(date.weekday()));
                date.checked_sub(days.days()).map_err(far)?
            }
        };
        Ok(moment.at_civil(date.to_datetime(Time::midnight())))
    }

    /// What is taken off the end of the last window where the cursor has no granularity.
    pub(super) fn default_granularity(self) -> Period {
        let seconds = if self == Self::Day { 1 } else { 86_400 };
        Period { micros: seconds * 1_000_000, months: 0 }
    }
}

fn far(error: jiff::Error) -> Trouble {
    Trouble::config(format!("a window is out of range: {error}"))
}
