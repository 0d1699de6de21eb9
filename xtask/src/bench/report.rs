//! The table that is told and written down.

use super::measure::Figures;

pub(super) const FIRST: &str = "first run";
pub(super) const UNCHANGED: &str = "second run, nothing changed";
pub(super) const CHANGED: &str = "second run, 1 % changed";
pub(super) const IMPORT: &str = "`sqlite3 .import`, one keyed table";

/// Medians of several runs of one command.
#[derive(Clone, Debug)]
pub(super) struct Row {
    what: &'static str,
    records: usize,
    figures: Figures,
}

impl Row {
    /// The medians of `all`, each figure by itself.
    pub(super) fn new(what: &'static str, records: usize, all: Vec<Figures>) -> Self {
        let of = |figure: fn(&Figures) -> f64| median(all.iter().map(figure).collect());
        let figures = Figures {
            wall_s: of(|run| run.wall_s),
            cpu_s: of(|run| run.cpu_s),
            peak_mib: of(|run| run.peak_mib),
        };
        Self { what, records, figures }
    }
}

/// All that was measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    pub(super) rows: Vec<Row>,
}

impl Report {
    /// The table in Markdown, and below it the ratios at `records` records.
    pub(super) fn render(&self, records: usize, runs: usize, machine: &str) -> String {
        let mut text = format!("Medians of {runs} runs on {machine}.\n\n");
        text.push_str("| what | records | wall, s | CPU, s | peak, MiB | CPU per record, µs |\n");
        text.push_str("|---|---:|---:|---:|---:|---:|\n");
        for row in &self.rows {
            let Figures { wall_s, cpu_s, peak_mib } = row.figures;
            let each = cpu_s * 1e6 / row.records as f64;
            let count = thousands(row.records);
            text.push_str(&format!(
                "| {} | {count} | {wall_s:.2} | {cpu_s:.2} | {peak_mib:.0} | {each:.1} |\n",
                row.what
            ));
        }
        text.push('\n');
        for (what, ratio) in self.ratios(records) {
            text.push_str(&format!("- {what}: {ratio:.2} ×\n"));
        }
        text
    }

    fn ratios(&self, records: usize) -> Vec<(String, f64)> {
        let row = |what: &str, records| {
            self.rows.iter().find(|row| row.what == what && row.records == records)
        };
        let cpu = |row: &Row| row.figures.cpu_s;
        let each = |row: &Row| row.figures.cpu_s / row.records as f64;
        let wall = |row: &Row| row.figures.wall_s;
        let (first, least) = (row(FIRST, records), self.rows.first());
        let mut ratios = Vec::new();
        let mut add = |what: String, over: Option<f64>, under: Option<f64>| {
            if let (Some(over), Some(under)) = (over, under) {
                ratios.push((what, over / under.max(1e-9)));
            }
        };
        let import = row(IMPORT, records);
        add("CPU, first run to `sqlite3 .import`".to_owned(), first.map(cpu), import.map(cpu));
        let (large, small) = (thousands(records), thousands(least.map_or(0, |row| row.records)));
        let what = format!("CPU per record, {large} to {small} records");
        add(what, first.map(each), least.map(each));
        let (unchanged, changed) = (row(UNCHANGED, records), row(CHANGED, records));
        add("wall, 1 % changed to unchanged".to_owned(), changed.map(wall), unchanged.map(wall));
        add("wall, unchanged to first run".to_owned(), unchanged.map(wall), first.map(wall));
        ratios
    }
}

/// `page` with what stands between the markers of `table` replaced by `text`.
///
/// # Errors
///
/// When a marker is missing or they are in the wrong order.
pub(super) fn replaced(page: &str, table: &str, text: &str) -> Result<String, String> {
    let marker = |end: &str| format!("<!-- {table}:{end} -->");
    let start = page.find(&marker("start")).map(|place| place + marker("start").len());
    let end = page.find(&marker("end"));
    match (start, end) {
        (Some(start), Some(end)) if start <= end => {
            Ok(format!("{}\n{}\n{}", &page[..start], text.trim_end(), &page[end..]))
        }
        _ => {
            let (start, end) = (marker("start"), marker("end"));
            Err(format!("the page has no `{start}` before `{end}`"))
        }
    }
}

/// The middle of `all`; between the two middle ones where their number is even, 0 where there is none.
pub(super) fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    match all.len() {
        0 => 0.0,
        count if count.is_multiple_of(2) => f64::midpoint(all[count / 2 - 1], all[count / 2]),
        count => all[count / 2],
    }
}

pub(super) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(what: &'static str, records: usize, wall_s: f64, cpu_s: f64) -> Row {
        Row::new(what, records, vec![Figures { wall_s, cpu_s, peak_mib: 10.0 }])
    }

    #[test]
    fn medians_are_taken_figure_by_figure() {
        let run = |wall_s, cpu_s| Figures { wall_s, cpu_s, peak_mib: 1.0 };
        let all = vec![run(3.0, 1.0), run(1.0, 9.0), run(2.0, 5.0)];
        let figures = Row::new(FIRST, 10, all).figures;
        assert_eq!(figures, Figures { wall_s: 2.0, cpu_s: 5.0, peak_mib: 1.0 });
        assert_eq!(median(vec![1.0, 2.0]), 1.5);
        assert_eq!(median(Vec::new()), 0.0);
    }

    #[test]
    fn the_table_tells_figures_and_ratios() {
        let report = Report {
            rows: vec![
                row(FIRST, 10_000, 0.25, 0.5),
                row(FIRST, 1_000_000, 25.0, 60.0),
                row(UNCHANGED, 1_000_000, 5.0, 5.0),
                row(CHANGED, 1_000_000, 6.0, 7.0),
                row(IMPORT, 1_000_000, 4.0, 6.0),
            ],
        };
        let text = report.render(1_000_000, 1, "2 cores");
        assert!(text.contains("| first run | 1,000,000 | 25.00 | 60.00 | 10 | 60.0 |"), "{text}");
        for ratio in [
            "to `sqlite3 .import`: 10.00 ×",
            "1,000,000 to 10,000 records: 1.20 ×",
            "1 % changed to unchanged: 1.20 ×",
            "unchanged to first run: 0.20 ×",
        ] {
            assert!(text.contains(ratio), "{ratio} in {text}");
        }
    }

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let page = |text: &str| format!("a\n<!-- t:start -->\n{text}\n<!-- t:end -->\nz\n");
        assert_eq!(replaced(&page("old"), "t", "new\n").unwrap(), page("new"));
        assert_eq!(replaced(&page("new"), "t", "new").unwrap(), page("new"));
        assert!(replaced(&page("old"), "other", "new").is_err());
    }
}
