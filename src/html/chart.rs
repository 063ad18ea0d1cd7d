//! Line charts, drawn as SVG. Lines differ by colour and by their dashes, so that they are told apart on paper too.

use super::{
    markup::Html,
    scale::{Quantity, Scale},
    thin::{Point, thinned},
};

/// The picture's size, in its own units; letters are 12 of them high, and a phone shows it at three quarters.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 230.0;
/// Of the part with the lines in it.
const LEFT: f64 = 58.0;
const RIGHT: f64 = WIDTH - 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = HEIGHT - 26.0;
/// More points than two for each of these are not drawn.
const COLUMNS: usize = 300;
/// Parts of the picture that say what is there when one points at them.
const MOST_HINTS: usize = 120;

/// A line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// In the order of their places.
    pub(crate) points: Vec<Point>,
}

impl Line {
    pub(crate) fn new(name: impl Into<String>, points: impl IntoIterator<Item = Point>) -> Self {
        let known = |value: &f64| value.is_finite();
        let points = points.into_iter().map(|(at, value)| (at, value.filter(known)));
        Self { name: name.into(), points: points.collect() }
    }
}

/// A chart with its title, and what its lines are.
#[derive(Clone, Debug)]
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: Quantity,
    pub(crate) y: Quantity,
    /// At most as many as there are kinds of lines: six.
    pub(crate) lines: Vec<Line>,
}

/// What a line looks like: the classes that `page.css` has.
const LOOKS: [&str; 6] = ["l0", "l1", "l2", "l3", "l4", "l5"];

fn look(index: usize) -> &'static str {
    LOOKS[index % LOOKS.len()]
}

impl Chart<'_> {
    /// The chart as a figure; nothing where none of its lines has a point.
    pub(crate) fn draw(&self) -> Html {
        let mut html = Html::default();
        if self.points().next().is_none() {
            return html;
        }
        html.raw("<figure><figcaption>")
            .text(self.title)
            .raw("</figcaption>\n<svg viewBox=\"0 0 ")
            .number(WIDTH);
        html.raw(" ").number(HEIGHT).raw("\" role=\"img\" aria-label=\"").text(self.label()).raw("\">\n");
        let x = Scale::of(self.x, self.lines.iter().flat_map(|line| line.points.iter().map(|point| point.0)));
        let y = Scale::of(self.y, self.points().map(|point| point.1));
        grid(&mut html, &x, &y);
        for (index, line) in self.lines.iter().enumerate() {
            draw_line(&mut html, look(index), &line.points, &x, &y);
        }
        self.hints(&mut html, &x);
        html.raw("</svg>\n<ul class=\"legend\">");
        for (index, line) in self.lines.iter().enumerate() {
            html.raw("<li><svg viewBox=\"0 0 28 8\" class=\"key\"><path class=\"").text(look(index));
            html.raw("\" d=\"M1 4h26\"/></svg>").text(&line.name).raw("</li>");
        }
        html.raw("</ul></figure>\n");
        html
    }

    /// All that is known.
    fn points(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.lines.iter().flat_map(|line| &line.points).filter_map(|(at, value)| Some((*at, (*value)?)))
    }

    /// For those who do not see it: each line with its lowest and its highest value.
    fn label(&self) -> String {
        let line = |line: &Line| {
            let values = line.points.iter().filter_map(|point| point.1);
            Some(format!("{} {}", line.name, range(self.y, values)?))
        };
        let lines: Vec<_> = self.lines.iter().filter_map(line).collect();
        format!("{}: {}", self.title, lines.join(", "))
    }

    /// Where all lines have their points at the same places, what they are there.
    fn hints(&self, html: &mut Html, x: &Scale) {
        let Some((first, others)) = self.lines.split_first() else { return };
        let count = first.points.len();
        if self.x != Quantity::ElapsedS || others.iter().any(|line| line.points.len() != count) {
            return;
        }
        let size = count.div_ceil(MOST_HINTS).max(1);
        let mut left = LEFT;
        for (number, column) in first.points.chunks(size).enumerate() {
            let (Some(begin), Some(end)) = (column.first(), column.last()) else { continue };
            let right = across(x, end.0);
            html.raw("<rect class=\"hint\" x=\"").number(left).raw("\" y=\"").number(TOP).raw("\" width=\"");
            html.number((right - left).max(1.0)).raw("\" height=\"").number(BOTTOM - TOP).raw("\"><title>");
            html.text(x.words(begin.0));
            if size > 1 {
                html.raw(" – ").text(x.words(end.0));
            }
            for line in &self.lines {
                let points = line.points.iter().skip(number * size).take(size);
                if let Some(range) = range(self.y, points.filter_map(|point| point.1)) {
                    html.raw("\n").text(&line.name).raw(": ").text(range);
                }
            }
            html.raw("</title></rect>\n");
            left = right;
        }
    }
}

/// `5 ms`, or `5 ms to 7 ms`; `None` without any.
fn range(quantity: Quantity, values: impl Iterator<Item = f64>) -> Option<String> {
    let bounds = values.fold(None, |bounds: Option<(f64, f64)>, value| {
        let (low, high) = bounds.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    });
    let (low, high) = bounds.map(|(low, high)| (quantity.words(low), quantity.words(high)))?;
    Some(if low == high { low } else { format!("{low} to {high}") })
}

fn across(scale: &Scale, value: f64) -> f64 {
    LEFT + scale.place(value) * (RIGHT - LEFT)
}

fn down(scale: &Scale, value: f64) -> f64 {
    BOTTOM - scale.place(value) * (BOTTOM - TOP)
}

fn grid(html: &mut Html, x: &Scale, y: &Scale) {
    for tick in &y.ticks {
        let at = down(y, *tick);
        html.raw("<path class=\"grid\" d=\"M").number(LEFT).raw(" ").number(at).raw("H").number(RIGHT);
        html.raw("\"/><text class=\"y\" x=\"").number(LEFT - 6.0).raw("\" y=\"").number(at + 4.0).raw("\">");
        html.text(y.words(*tick)).raw("</text>\n");
    }
    // Words that would stand on each other are left out.
    let mut free = f64::NEG_INFINITY;
    for tick in &x.ticks {
        let (at, words) = (across(x, *tick), x.words(*tick));
        html.raw("<path class=\"grid\" d=\"M")
            .number(at)
            .raw(" ")
            .number(TOP)
            .raw("V")
            .number(BOTTOM)
            .raw("\"/>");
        let half = words.chars().count() as f64 * 3.5;
        // The last ones stand within the picture.
        let middle = at.min(WIDTH - half);
        if middle - half > free {
            html.raw("<text class=\"x\" x=\"").number(middle).raw("\" y=\"").number(BOTTOM + 17.0).raw("\">");
            html.text(words).raw("</text>\n");
            free = middle + half + 6.0;
        }
    }
}

fn draw_line(html: &mut Html, look: &'static str, points: &[Point], x: &Scale, y: &Scale) {
    html.raw("<path class=\"line ").raw(look).raw("\" d=\"");
    let mut is_drawing = false;
    for (at, value) in thinned(points, COLUMNS) {
        let Some(value) = value else {
            is_drawing = false;
            continue;
        };
        html.raw(if is_drawing { "L" } else { "M" }).number(across(x, at)).raw(" ").number(down(y, value));
        if !is_drawing {
            // A point without neighbours is a dot.
            html.raw("h0");
        }
        is_drawing = true;
    }
    html.raw("\"/>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(lines: Vec<Line>) -> Chart<'static> {
        Chart { title: "p99 <latency>", x: Quantity::ElapsedS, y: Quantity::LatencyUs, lines }
    }

    #[test]
    fn a_line_goes_where_its_values_are_and_stops_at_gaps() {
        let points = [(1.0, Some(1_000.0)), (2.0, Some(2_000.0)), (3.0, None), (4.0, Some(1_000.0))];
        let html = chart(vec![Line::new("a&b", points)]).draw();
        let html = html.as_str();
        // From 1 ms at the bottom to 2 ms at the top; from 0 s at the left to 4 s at the right.
        let drawn = "<path class=\"line l0\" d=\"M160.5 204h0L263 10M468 204h0\"/>";
        assert!(html.contains(drawn), "{html}");
        assert!(html.contains("<figcaption>p99 &lt;latency&gt;</figcaption>"), "{html}");
        assert!(html.contains("aria-label=\"p99 &lt;latency&gt;: a&amp;b 1 ms to 2 ms\""), "{html}");
        assert!(html.contains("<title>2 s\na&amp;b: 2 ms</title>"), "{html}");
        assert!(html.contains("<title>3 s</title>"), "nothing is known there: {html}");
    }

    #[test]
    fn hints_of_long_runs_are_of_spans() {
        let points = (1..=1_200_u32).map(|at| (f64::from(at), Some(f64::from(at))));
        let html = chart(vec![Line::new("p99", points)]).draw();
        assert_eq!(html.as_str().matches("class=\"hint\"").count(), 120);
        assert!(
            html.as_str().contains("<title>11 s – 20 s\np99: 11 µs to 20 µs</title>"),
            "{}",
            html.as_str()
        );
    }

    #[test]
    fn what_has_no_points_is_no_chart() {
        assert!(chart(Vec::new()).draw().is_empty());
        assert!(chart(vec![Line::new("a", [(1.0, None), (2.0, Some(f64::NAN))])]).draw().is_empty());
        let one = chart(vec![Line::new("a", [(1.0, Some(5.0))])]).draw();
        assert!(one.as_str().contains("h0") && !one.as_str().contains("NaN"), "{}", one.as_str());
    }

    #[test]
    fn curves_of_percentiles_have_no_hints_and_different_points() {
        let curve = |end: f64| [(0.0, Some(100.0)), (end, Some(900.0))];
        let lines = vec![Line::new("old", curve(99.0)), Line::new("new", curve(99.9))];
        let chart = Chart { title: "curve", x: Quantity::Percentile, y: Quantity::LatencyUs, lines };
        let html = chart.draw();
        assert!(!html.as_str().contains("hint") && html.as_str().contains("99.9 %"), "{}", html.as_str());
        assert_eq!(html.as_str().matches("<li>").count(), 2);
    }
}
