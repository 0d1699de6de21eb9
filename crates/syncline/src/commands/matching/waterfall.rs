//! A waterfall chart as SVG: where the weight of two records comes from.

use std::fmt::Write;
use syncline_core::matching::model::ModelExplanation;

const ROW: f64 = 28.0;
const LEFT: f64 = 300.0;
const WIDTH: f64 = 460.0;
const TOP: f64 = 48.0;

/// Draws the waterfall of a model: a bar for each step from what is known at first to the total, and a line where
/// a match begins.
pub(super) fn svg(title: &str, model: &ModelExplanation) -> String {
    let mut steps: Vec<(String, f64)> = vec![("at first".to_owned(), model.prior)];
    for row in &model.comparisons {
        steps.push((format!("{}: {}", row.field, row.level), row.weight));
    }
    if let Some(name) = model.alternative_name {
        steps.push((format!("another reason: {name}"), model.alternative));
    }
    let goal = (model.threshold / (1.0 - model.threshold).max(1e-9)).max(1e-9).log2();
    let (mut low, mut high, mut sum) = (goal.min(0.0), goal.max(0.0), 0.0);
    for (_, weight) in &steps {
        sum += weight;
        (low, high) = (low.min(sum), high.max(sum));
    }
    let x = |bits: f64| LEFT + (bits - low) / (high - low).max(1.0) * WIDTH;
    let height = TOP + ROW * (steps.len() as f64 + 1.0) + 24.0;
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    let wide = LEFT + WIDTH + 80.0;
    line(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">"
    ));
    line(format!("<rect width=\"{wide}\" height=\"{height}\" fill=\"white\"/>"));
    line(format!("<text x=\"12\" y=\"26\" font-weight=\"bold\">{}</text>", escaped(title)));
    let mut before = 0.0;
    for (index, (label, weight)) in steps.iter().enumerate() {
        let after = before + weight;
        let colour = if *weight < 0.0 { "#c0504d" } else { "#4f8f4f" };
        line(bar(index, label, *weight, (x(before.min(after)), x(before.max(after))), colour));
        before = after;
    }
    let label = format!("total: probability {:.4}", model.probability);
    let (from, to) = (x(before.min(0.0)), x(before.max(0.0)));
    line(bar(steps.len(), &label, before, (from, to), "#4a6fa5"));
    line(format!(
        "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{TOP}\" y2=\"{1:.1}\" stroke=\"#333\" stroke-dasharray=\"4 3\"/>",
        x(goal),
        height - 20.0
    ));
    line(format!(
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">a match from here on</text>",
        x(goal),
        height - 6.0
    ));
    line("</svg>".to_owned());
    out
}

fn bar(index: usize, label: &str, weight: f64, (from, to): (f64, f64), colour: &str) -> String {
    let y = TOP + ROW * index as f64;
    let mut out = String::new();
    write!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
         <rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\">{weight:+.1}</text>",
        LEFT - 10.0,
        y + 17.0,
        escaped(label),
        y + 4.0,
        (to - from).max(1.0),
        ROW - 8.0,
        to + 6.0,
        y + 17.0
    )
    .expect("text takes everything");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
