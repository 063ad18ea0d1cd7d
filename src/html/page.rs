//! The frame of a page: its look, and what a browser may do with it.

use super::markup::Html;

const STYLE: &str = include_str!("page.css");

/// A whole document. A browser is told that it has no scripts, and fetches nothing: whatever stands in it stays text.
pub(crate) fn page(title: &str, body: &Html) -> String {
    let mut html = Html::default();
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.raw(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         base-uri 'none'; form-action 'none'\">\n",
    );
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<title>")
        .text(title)
        .raw("</title>\n<style>\n");
    html.raw(STYLE).raw("</style>\n</head>\n<body>\n").add(body).raw("</body>\n</html>\n");
    html.as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_stands_alone() {
        let mut body = Html::default();
        body.text("<b>");
        let page = page("a < b", &body);
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"), "{page}");
        assert!(page.contains("<title>a &lt; b</title>") && page.contains("&lt;b&gt;</body>"), "{page}");
        for word in ["http://", "https://", "src=", "href=", "@import", "url(", "<script", "<link"] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("default-src 'none'"), "{page}");
    }
}
