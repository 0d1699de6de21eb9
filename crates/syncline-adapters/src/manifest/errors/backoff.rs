//! How long to wait before the next try.

use super::super::expression::Expression;
use super::super::interpolate::text_of;
use super::super::load::Node;
use super::super::session::Session;
use super::super::trouble::Trouble;
use super::Outcome;
use regex::Regex;
use serde_json::Value as Json;

/// One way of finding the wait.
#[derive(Debug)]
pub(super) enum Backoff {
    Constant(Expression),
    Exponential(Option<Expression>),
    /// Seconds, in a header.
    Header {
        header: Expression,
        regex: Option<Expression>,
        most: Option<Expression>,
    },
    /// Seconds, out of the response.
    Response {
        seconds: Expression,
        most: Option<Expression>,
    },
    /// A moment, in a header.
    Until {
        header: Expression,
        regex: Option<Expression>,
        least: Option<Expression>,
    },
}

impl Backoff {
    pub(super) fn load(node: &Node<'_>) -> Result<Self, Trouble> {
        Ok(match node.kind() {
            "ConstantBackoffStrategy" => Self::Constant(node.needed("backoff_time_in_seconds")?),
            "ExponentialBackoffStrategy" => Self::Exponential(node.expression("factor")),
            "WaitTimeFromHeader" => Self::Header {
                header: node.needed("header")?,
                regex: node.expression("regex"),
                most: node.expression("max_waiting_time_in_seconds"),
            },
            "WaitTimeFromResponse" => Self::Response {
                seconds: node.needed("wait_time_in_seconds")?,
                most: node.expression("max_waiting_time_in_seconds"),
            },
            "WaitUntilTimeFromHeader" => Self::Until {
                header: node.needed("header")?,
                regex: node.expression("regex"),
                least: node.expression("min_wait"),
            },
            _ => return Err(node.unsupported("backoff strategy")),
        })
    }

    /// The seconds to wait; `None` where this way does not know.
    pub(super) fn seconds(
        &self,
        session: &Session,
        outcome: &Outcome,
        attempt: u32,
    ) -> Result<Option<f64>, Trouble> {
        Ok(match self {
            Self::Constant(seconds) => Some(number(session, seconds)?),
            Self::Exponential(factor) => {
                let factor = match factor {
                    Some(factor) => number(session, factor)?,
                    None => 5.0,
                };
                Some(factor * 2_f64.powi(attempt.min(30) as i32))
            }
            Self::Header { header, regex, most } => {
                let seconds = from_header(session, outcome, header, regex.as_ref())?;
                within(session, seconds, most.as_ref())?
            }
            Self::Response { seconds, most } => {
                let Outcome::Response(response) = outcome else { return Ok(None) };
                let scope = session.scope().with("response", response.json_or_empty());
                // A body of another shape leaves the wait to the next strategy.
                let found = match seconds.eval(scope.with_headers(&response.headers)) {
                    Ok(Json::Number(number)) => number.as_f64(),
                    Ok(Json::String(text)) => text.trim().parse().ok(),
                    _ => None,
                };
                let found = found.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
                within(session, found, most.as_ref())?
            }
            Self::Until { header, regex, least } => {
                let until = from_header(session, outcome, header, regex.as_ref())?;
                let least = least.as_ref().map(|least| number(session, least)).transpose()?;
                let least = least.filter(|least| *least != 0.0);
                let left = until.filter(|until| *until != 0.0);
                let left = left.map(|until| until - session.clock.now() as f64 / 1e6);
                match (left, least) {
                    (Some(left), Some(least)) => Some(left.max(least)),
                    (Some(left), None) => Some(left).filter(|left| *left >= 0.0),
                    (None, least) => least,
                }
            }
        })
    }
}

/// The wait, unless it is longer than allowed.
fn within(
    session: &Session,
    seconds: Option<f64>,
    most: Option<&Expression>,
) -> Result<Option<f64>, Trouble> {
    if let (Some(seconds), Some(most)) = (seconds, most)
        && seconds >= number(session, most)?
    {
        return Err(Trouble::transient(format!(
            "the API asks to wait for {seconds} seconds, which is longer than allowed"
        )));
    }
    Ok(seconds)
}

fn number(session: &Session, expression: &Expression) -> Result<f64, Trouble> {
    let value = expression.eval(session.scope())?;
    let number = match &value {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| Trouble::config(format!("`{}` is no number", text_of(&value))))
}

/// The number in a header, or in the part of it that the pattern finds at its start.
fn from_header(
    session: &Session,
    outcome: &Outcome,
    header: &Expression,
    pattern: Option<&Expression>,
) -> Result<Option<f64>, Trouble> {
    let Outcome::Response(response) = outcome else { return Ok(None) };
    let header = header.text(session.scope())?;
    let Some(value) = response.headers.get(&header).and_then(Json::as_str) else { return Ok(None) };
    let mut value = value.to_owned();
    if let Some(pattern) = pattern {
        let pattern = pattern.text(session.scope())?;
        let regex = Regex::new(&format!("^(?:{pattern})"))
            .map_err(|_| Trouble::config(format!("the pattern `{pattern}` is not supported")))?;
        if let Some(found) = regex.find(&value) {
            value = found.as_str().to_owned();
        }
    }
    Ok(value.trim().parse().ok())
}
