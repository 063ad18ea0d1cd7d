//! Changes and where they lie with some certainty, one below the other (a forest plot).

use super::{figure, markup::Html};

/// The picture's size, in its own units.
const WIDTH: f64 = 480.0;
const ROW: f64 = 26.0;
/// Of the part behind the names.
const LEFT: f64 = 122.0;
const RIGHT: f64 = WIDTH - 16.0;
const TOP: f64 = 6.0;
/// The axis reaches at least to this change, and at most to that, as logarithms of factors.
const LEAST_REACH: f64 = 0.2;
const MOST_REACH: f64 = 5.0;

/// How a change is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Plain,
    Good,
    Bad,
}

/// A change of a figure, as a part: 0.1 is 10 % more.
#[derive(Clone, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) name: &'a str,
    pub(crate) change: f64,
    /// Where it lies; `None` where nothing is known of that.
    pub(crate) range: Option<(f64, f64)>,
    pub(crate) mood: Mood,
}

/// The picture; nothing without changes. Changes below `least` are within its band.
pub(crate) fn forest(title: &str, changes: &[Change<'_>], least: f64) -> Html {
    let mut html = Html::default();
    if changes.is_empty() {
        return html;
    }
    let far = changes
        .iter()
        .flat_map(|one| [Some(one.change), one.range.map(|range| range.0), one.range.map(|range| range.1)]);
    let reach = far.flatten().map(|change| log(change).abs()).chain([log(least) * 1.2]);
    let reach = reach.fold(LEAST_REACH, f64::max).min(MOST_REACH);
    let at = |change: f64| {
        f64::midpoint(LEFT, RIGHT) + log(change).clamp(-reach, reach) / reach * (RIGHT - LEFT) / 2.0
    };
    let opposite = |change: f64| -change / (1.0 + change);
    let bottom = TOP + changes.len() as f64 * ROW;
    html.raw("<figure><figcaption>")
        .text(title)
        .raw("</figcaption>\n<svg viewBox=\"0 0 ")
        .number(WIDTH)
        .raw(" ");
    html.number(bottom + 24.0).raw("\" role=\"img\" aria-label=\"").text(title).raw("\">\n");
    let (band, band_end) = (at(opposite(least)), at(least));
    html.raw("<rect class=\"band\" x=\"").number(band).raw("\" y=\"").number(TOP);
    html.raw("\" width=\"").number(band_end - band).raw("\" height=\"").number(bottom - TOP);
    html.raw("\"/>\n<path class=\"zero\" d=\"M")
        .number(at(0.0))
        .raw(" ")
        .number(TOP)
        .raw("V")
        .number(bottom)
        .raw("\"/>\n");
    let end = reach.exp_m1();
    for change in [opposite(end), 0.0, end] {
        html.raw("<text class=\"x\" x=\"").number(at(change)).raw("\" y=\"").number(bottom + 17.0).raw("\">");
        html.text(percent(change)).raw("</text>\n");
    }
    for (row, one) in (0_u32..).zip(changes) {
        let middle = TOP + (f64::from(row) + 0.5) * ROW;
        html.raw("<text class=\"y\" x=\"").number(LEFT - 8.0).raw("\" y=\"").number(middle + 4.0).raw("\">");
        html.text(one.name).raw("</text><g class=\"");
        html.raw(match one.mood {
            Mood::Plain => "plain",
            Mood::Good => "good",
            Mood::Bad => "bad",
        });
        html.raw("\">");
        if let Some((low, high)) = one.range {
            html.raw("<path class=\"range\" d=\"M")
                .number(at(low))
                .raw(" ")
                .number(middle)
                .raw("H")
                .number(at(high));
            html.raw("\"/>");
        }
        html.raw("<circle r=\"5\" cx=\"")
            .number(at(one.change))
            .raw("\" cy=\"")
            .number(middle)
            .raw("\"><title>");
        html.text(one.name).raw(" ").text(percent(one.change)).raw("</title></circle></g>\n");
    }
    html.raw("</svg></figure>\n");
    html
}

/// Factors are as far from one on either side: half is as far as double.
fn log(change: f64) -> f64 {
    change.max(-0.999_999).ln_1p()
}

fn percent(change: f64) -> String {
    let sign = if change > 0.0 { "+" } else { "" };
    sign.to_owned() + &figure::share(change)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_stands_on_its_side_and_within_the_picture() {
        let change = |name, change, range, mood| Change { name, change, range, mood };
        let changes = [
            change("rate", 0.0, Some((-0.01, 0.01)), Mood::Plain),
            change("p<99", 1.0, Some((0.5, 1e9)), Mood::Bad),
            change("p50", -0.5, None, Mood::Good),
        ];
        let html = forest("changes", &changes, 0.1);
        let html = html.as_str();
        let places: Vec<f64> = html
            .split("cx=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
            .collect();
        let middle = f64::midpoint(LEFT, RIGHT);
        assert!((places[0] - middle).abs() < 1e-9 && places[1] > middle && places[2] < middle, "{places:?}");
        assert!(
            (places[1] - middle - (middle - places[2])).abs() < 0.11,
            "half is as far as double: {places:?}"
        );
        assert!(html.contains("p&lt;99 +100 %") && !html.contains("inf") && !html.contains("NaN"), "{html}");
        assert_eq!(html.matches("class=\"range\"").count(), 2);
        assert!(forest("none", &[], 0.1).is_empty());
    }
}
