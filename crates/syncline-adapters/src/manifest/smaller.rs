//! What is asked for again in smaller parts, because the API says that it is too much at once: shorter pages, or
//! halves of a window.

use super::interpolate::moment::Period;
use super::load::Node;
use super::trouble::Trouble;
use serde_json::Value as Json;

/// How often a window is halved.
pub(super) const HALVINGS_MAX: u32 = 10;

/// How pages are made shorter.
#[derive(Debug)]
pub(super) struct ShorterPages {
    factor: f64,
    least: i64,
    /// How often in a row without a page that succeeds.
    tries: u32,
    /// Seconds before the first try, and so many more before each that follows.
    wait: f64,
    /// How often the shortest page is tried again.
    tries_at_least: u32,
    /// Whether the next page is as long as ever.
    restores: bool,
    advice: String,
}

/// How long pages are at present.
#[derive(Debug, Default)]
pub(super) struct Shortened {
    pub(super) size: Option<i64>,
    tries: u32,
    tries_at_least: u32,
}

impl ShorterPages {
    pub(super) fn load(node: &Node<'_>) -> Result<Self, Trouble> {
        let number = |name: &str, default: f64, least: f64| {
            let number = node.get(name).map_or(Some(default), Json::as_f64);
            number.filter(|number| *number >= least).ok_or_else(|| {
                Trouble::config(format!("`{}.{name}` is no number of at least {least}", node.path))
            })
        };
        Ok(Self {
            factor: number("reduction_factor", 2.0, 1.0)?,
            least: number("minimum_page_size", 1.0, 1.0)? as i64,
            tries: number("max_attempts", 5.0, 1.0)? as u32,
            wait: number("backoff_seconds", 0.5, 0.0)?,
            tries_at_least: number("retries_at_minimum_page_size", 0.0, 0.0)? as u32,
            restores: node.text("reset_policy") == Some("AFTER_SUCCESSFUL_PAGE"),
            advice: advice(node),
        })
    }

    /// Takes note that the API does not give a page of `usual` records, or of what it was shortened to: makes the next
    /// one shorter, and gives the seconds to wait for it.
    ///
    /// # Errors
    ///
    /// Where it has been tried often enough; `said` is why the API gives none.
    pub(super) fn shorten(
        &self,
        now: &mut Shortened,
        usual: i64,
        said: &str,
    ) -> Result<f64, Trouble> {
        let size = now.size.unwrap_or(usual);
        let shorter = ((size as f64 / self.factor).floor() as i64).max(self.least);
        if shorter >= size {
            if now.tries_at_least >= self.tries_at_least {
                return Err(self.exhausted(size, said));
            }
            now.tries_at_least += 1;
            return Ok(self.wait * f64::from(now.tries_at_least));
        }
        if now.tries >= self.tries {
            return Err(self.exhausted(size, said));
        }
        now.tries += 1;
        now.size = Some(shorter);
        Ok(self.wait * f64::from(now.tries))
    }

    /// Takes note of a page that came.
    pub(super) fn came(&self, now: &mut Shortened) {
        (now.tries, now.tries_at_least) = (0, 0);
        if self.restores {
            now.size = None;
        }
    }

    fn exhausted(&self, size: i64, said: &str) -> Trouble {
        Trouble::transient(format!(
            "the API gives no page, however short, down to {size} records: {said}{}",
            self.advice
        ))
    }
}

/// How windows of a cursor are halved.
#[derive(Debug)]
pub(super) struct Halving {
    /// What is not longer is not halved.
    pub(super) least: Option<Period>,
    advice: String,
}

impl Halving {
    pub(super) fn load(node: &Node<'_>) -> Result<Self, Trouble> {
        let least = node.text("min_split_window").map(Period::parse).transpose()?;
        Ok(Self { least, advice: advice(node) })
    }

    pub(super) fn exhausted(&self, said: &str) -> Trouble {
        Trouble::transient(format!(
            "the API refuses the shortest window that may be asked for: {said}{}",
            self.advice
        ))
    }
}

/// What the manifest advises where nothing helps.
fn advice(node: &Node<'_>) -> String {
    match node.text("failure_message").map(str::trim) {
        None | Some("") => String::new(),
        Some(advice) => format!(": {advice}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pages_grow_shorter_until_one_comes_or_nothing_helps() {
        // What the API does, page by page: true gives it; then the size after each, or the end.
        type Sizes<'a> = &'a [Option<i64>];
        let cases: [(Json, &[bool], Sizes<'_>); 4] = [
            (json!({}), &[false, false, true, false], &[Some(50), Some(25), Some(25), Some(12)]),
            (
                json!({"reset_policy": "AFTER_SUCCESSFUL_PAGE"}),
                &[false, true, false],
                &[Some(50), None, Some(50)],
            ),
            (json!({"max_attempts": 2}), &[false, false, false], &[Some(50), Some(25)]),
            (
                json!({"minimum_page_size": 40, "retries_at_minimum_page_size": 1}),
                &[false, false, false, false],
                &[Some(50), Some(40), Some(40)],
            ),
        ];
        for (declared, given, expected) in cases {
            let node = Node::new(declared.as_object().unwrap(), "page_size_reduction".to_owned());
            let pages = ShorterPages::load(&node).unwrap();
            let (mut now, mut sizes) = (Shortened::default(), Vec::new());
            for came in given {
                if *came {
                    pages.came(&mut now);
                } else if pages.shorten(&mut now, 100, "too much").is_err() {
                    break;
                }
                sizes.push(now.size);
            }
            assert_eq!(sizes, expected, "{declared}");
        }
    }
}
