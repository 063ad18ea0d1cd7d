//! Tables: words on the left, figures on the right.

use super::markup::Html;

/// A table that is under way.
#[derive(Clone, Debug)]
pub(crate) struct Table(Html);

impl Table {
    /// One with a line of titles above; without any where there are none.
    pub(crate) fn new(titles: &[&str]) -> Self {
        let mut html = Html::default();
        html.raw("<div class=\"scroll\"><table>");
        if !titles.is_empty() {
            html.raw("<thead><tr>");
            for title in titles {
                html.raw("<th scope=\"col\">").text(title).raw("</th>");
            }
            html.raw("</tr></thead>");
        }
        html.raw("<tbody>\n");
        Self(html)
    }

    /// A line: its name, and its figures.
    pub(crate) fn row(&mut self, name: &str, figures: impl IntoIterator<Item = String>) {
        self.0.raw("<tr><th scope=\"row\">").text(name).raw("</th>");
        for figure in figures {
            self.0.raw("<td>").text(figure).raw("</td>");
        }
        self.0.raw("</tr>\n");
    }

    /// The table.
    pub(crate) fn end(mut self) -> Html {
        self.0.raw("</tbody></table></div>\n");
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_escaped_and_stand_in_rows() {
        let mut table = Table::new(&["", "p50"]);
        table.row("a<b", ["1 & 2".to_owned()]);
        let html = table.end();
        assert!(html.as_str().contains("<th scope=\"col\">p50</th></tr></thead>"), "{}", html.as_str());
        let row = "<tr><th scope=\"row\">a&lt;b</th><td>1 &amp; 2</td></tr>";
        assert!(html.as_str().contains(row), "{}", html.as_str());
        assert!(!Table::new(&[]).end().as_str().contains("thead"));
    }
}
