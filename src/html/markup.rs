//! HTML that is made of our own markup and of escaped text, and of nothing else.

use std::fmt::Write;

/// A piece of HTML. Markup in it comes from literals of this program; whatever else is put in is escaped, wherever it was from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Html(String);

impl Html {
    /// Adds markup of our own.
    pub(crate) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text; within double quotes, also the value of an attribute.
    pub(crate) fn text(&mut self, text: impl AsRef<str>) -> &mut Self {
        for letter in text.as_ref().chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // No text of HTML may hold them, however they are written.
                letter if letter.is_control() && !"\n\t".contains(letter) => self.0.push('\u{fffd}'),
                letter => self.0.push(letter),
            }
        }
        self
    }

    /// Adds a coordinate of a drawing, to a tenth of its unit.
    pub(crate) fn number(&mut self, number: f64) -> &mut Self {
        // Zero has no sign here.
        let rounded = (number * 10.0).round() / 10.0 + 0.0;
        // Writing to a string cannot fail. What is no number has no place in a drawing.
        let _ = write!(self.0, "{}", if rounded.is_finite() { rounded } else { 0.0 });
        self
    }

    /// Adds another piece.
    pub(crate) fn add(&mut self, other: &Self) -> &mut Self {
        self.0.push_str(&other.0);
        self
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_no_literal_is_escaped() {
        let mut html = Html::default();
        html.raw("<p title=\"")
            .text("a\"b")
            .raw("\">")
            .text("<script>'&'</script>\u{1b}[1m\0 ü\n")
            .raw("</p>");
        let expected =
            "<p title=\"a&quot;b\">&lt;script&gt;&#39;&amp;&#39;&lt;/script&gt;\u{fffd}[1m\u{fffd} ü\n</p>";
        assert_eq!(html.as_str(), expected);
    }

    #[test]
    fn coordinates_are_short_and_always_numbers() {
        let mut html = Html::default();
        for number in [1.0, 2.25, -0.04, f64::NAN, f64::INFINITY] {
            html.number(number).raw(" ");
        }
        assert_eq!(html.as_str(), "1 2.3 0 0 0 ");
        assert!(!html.is_empty() && Html::default().is_empty());
    }
}
