//! What a connection may be asked for: its settings, and what a manifest declares as `api_budget`.

use super::super::interpolate::moment::Period;
use super::super::interpolate::{Scope, text_of};
use super::super::load::Node;
use super::super::trouble::Trouble;
use super::breaker::BreakerRule;
use super::limiter::Call;
use super::pace::{Operation, Rules};
use super::window::Rate;
use regex::Regex;
use serde_json::{Map, Value as Json};
use syncline_core::config::model::{CallLimits, CallRate};

/// Rates, and which calls count against each.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Budget {
    rates: Vec<(Rate, Counts)>,
    /// A manifest's policies, of which the first that fits a call holds.
    policies: Vec<Vec<Matcher>>,
    /// The headers that say how many calls are left, and when there are more again.
    pub(super) names: [Option<String>; 2],
}

/// Which calls count against a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counts {
    All,
    Of(Operation),
    /// Those that fit the policy with this index.
    Policy(usize),
}

/// What a call must look like for a policy.
#[derive(Clone, Debug)]
struct Matcher {
    method: Option<String>,
    url_base: Option<String>,
    path: Option<Regex>,
    parameters: Map<String, Json>,
    headers: Map<String, Json>,
    /// As how many calls a request counts.
    weight: u32,
}

impl Budget {
    /// What the manifest declares.
    pub(in super::super) fn load(node: Option<&Node<'_>>, config: &Json) -> Result<Self, Trouble> {
        let mut budget = Self::default();
        let Some(node) = node else { return Ok(budget) };
        if node.kind() != "HTTPAPIBudget" {
            return Err(node.unsupported("call budget"));
        }
        let name = |name: &str| node.text(name).map(str::to_owned);
        budget.names = [name("ratelimit_remaining_header"), name("ratelimit_reset_header")];
        for (index, policy) in node.children("policies").iter().enumerate() {
            let matchers = policy.children("matchers");
            let matchers = matchers.iter().map(|matcher| Matcher::load(matcher, config));
            let matchers = matchers.collect::<Result<Vec<_>, _>>()?;
            let heaviest = matchers.iter().map(|matcher| matcher.weight).max().unwrap_or(1);
            budget.policies.push(matchers);
            let (counts, first) = (Counts::Policy(index), budget.rates.len());
            match policy.kind() {
                "UnlimitedCallRatePolicy" => {}
                "FixedWindowCallRatePolicy" => {
                    let rate = rate(policy, config, "call_limit", "period", true)?;
                    budget.rates.push((rate, counts));
                }
                "MovingWindowCallRatePolicy" => {
                    for one in policy.children("rates") {
                        budget
                            .rates
                            .push((rate(&one, config, "limit", "interval", false)?, counts));
                    }
                }
                _ => return Err(policy.unsupported("call rate policy")),
            }
            if let Some((rate, _)) = budget.rates[first..].iter().find(|(r, _)| r.calls < heaviest)
            {
                return Err(Trouble::config(format!(
                    "a request counts as {heaviest} calls, which is more than the {} that `{}` allows",
                    rate.calls, policy.path
                )));
            }
        }
        Ok(budget)
    }

    /// Adds what the connection's settings say.
    pub(in super::super) fn with_settings(mut self, limits: &CallLimits) -> Self {
        self.rates.extend(limits.rates.iter().map(|rate| (declared(rate), Counts::All)));
        let operations = &limits.operations;
        let of = [
            (&operations.fetch, Operation::Fetch),
            (&operations.create, Operation::Create),
            (&operations.update, Operation::Update),
            (&operations.delete, Operation::Delete),
        ];
        for (rate, operation) in of {
            self.rates.extend(rate.iter().map(|rate| (declared(rate), Counts::Of(operation))));
        }
        self
    }

    /// The rules that a limiter keeps.
    pub(in super::super) fn rules(&self, limits: &CallLimits) -> Rules {
        let micros =
            |seconds: u64| i64::try_from(seconds.saturating_mul(1_000_000)).unwrap_or(i64::MAX / 4);
        Rules {
            rates: self.rates.iter().map(|(rate, _)| *rate).collect(),
            reserve: limits.reserve.clamp(0.0, 0.9),
            wait_max: micros(limits.wait_max_s),
            breaker: BreakerRule {
                failures: limits.breaker.failures.max(1),
                pause: micros(limits.breaker.pause_s),
            },
        }
    }

    /// The rates that a call counts against, by index, and as how many calls.
    pub(super) fn counts(&self, call: &Call<'_>) -> Vec<(usize, u32)> {
        let weight = |matchers: &Vec<Matcher>| match matchers.as_slice() {
            [] => Some(1),
            some => some.iter().find(|matcher| matcher.fits(call)).map(|matcher| matcher.weight),
        };
        let policies = self.policies.iter().enumerate();
        let policy = policies.into_iter().find_map(|(at, matchers)| Some((at, weight(matchers)?)));
        let count = |counts: Counts| match counts {
            Counts::All => Some(1),
            Counts::Of(of) => (of == call.operation).then_some(1),
            Counts::Policy(of) => policy.filter(|(at, _)| *at == of).map(|(_, weight)| weight),
        };
        let rates = self.rates.iter().enumerate();
        rates.filter_map(|(index, (_, counts))| Some((index, count(*counts)?))).collect()
    }
}

/// A rate of the configuration.
pub(super) fn declared(rate: &CallRate) -> Rate {
    Rate { calls: rate.calls, per: (rate.per_s.max(0.001) * 1e6) as i64, is_fixed: false }
}

fn rate(
    node: &Node<'_>,
    config: &Json,
    calls: &str,
    per: &str,
    is_fixed: bool,
) -> Result<Rate, Trouble> {
    let scope = || Scope::new(0).with("config", config);
    let limit = node.needed(calls)?.text(scope())?;
    let limit = limit.trim().parse::<f64>().ok().filter(|limit| *limit >= 1.0);
    let limit = limit.ok_or_else(|| {
        Trouble::config(format!("`{}.{calls}` is no number of at least 1", node.path))
    })?;
    let period = Period::parse(&node.needed(per)?.text(scope())?)?;
    let micros = period.micros + i128::from(period.months) * 30 * 86_400_000_000;
    let per = i64::try_from(micros).unwrap_or(i64::MAX / 4);
    Ok(Rate { calls: limit.min(f64::from(u32::MAX)) as u32, per, is_fixed })
}

impl Matcher {
    fn load(node: &Node<'_>, config: &Json) -> Result<Self, Trouble> {
        if node.kind() != "HttpRequestRegexMatcher" {
            return Err(node.unsupported("request matcher"));
        }
        let path = node.text("url_path_pattern").map(|pattern| {
            Regex::new(pattern).map_err(|_| {
                Trouble::config(format!(
                    "the pattern `{pattern}` of `{}` is not supported",
                    node.path
                ))
            })
        });
        let weight = match node.expression("weight") {
            None => 1,
            Some(weight) => {
                let weight = weight.text(Scope::new(0).with("config", config))?;
                weight.trim().parse().ok().filter(|weight| *weight >= 1).ok_or_else(|| {
                    Trouble::config(format!(
                        "`{}.weight` is no whole number of at least 1",
                        node.path
                    ))
                })?
            }
        };
        Ok(Self {
            weight,
            method: node.text("method").map(str::to_owned),
            url_base: node.text("url_base").map(|base| base.trim_end_matches('/').to_owned()),
            path: path.transpose()?,
            parameters: node.get("params").and_then(Json::as_object).cloned().unwrap_or_default(),
            headers: node.get("headers").and_then(Json::as_object).cloned().unwrap_or_default(),
        })
    }

    fn fits(&self, call: &Call<'_>) -> bool {
        let (method, url) = (call.method.as_str(), call.url);
        let has = |(name, value): (&String, &Json)| {
            let value = text_of(value);
            url.query_pairs().any(|(key, known)| key == *name && known == value)
        };
        let carries = |(name, value): (&String, &Json)| {
            let value = text_of(value);
            let mut known = call.headers.iter();
            known.any(|(key, known)| key.eq_ignore_ascii_case(name) && text_of(known) == value)
        };
        self.method.as_ref().is_none_or(|known| known.eq_ignore_ascii_case(method))
            && self.url_base.as_ref().is_none_or(|base| *base == url.origin().ascii_serialization())
            && self.path.as_ref().is_none_or(|path| path.is_match(url.path()))
            && self.parameters.iter().all(has)
            && self.headers.iter().all(carries)
    }
}
