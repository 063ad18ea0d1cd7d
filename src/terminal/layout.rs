//! Texts in the width of a terminal.

/// Where what a summary says stands, behind its labels.
const LABEL: usize = 14;

/// Breaks lines at spaces so that they fit, and indents what goes on below. A number stays with its unit; a word that is
/// longer than a line is left to the terminal, so that it can be copied.
pub(crate) fn wrap(text: &str, columns: usize) -> String {
    let lines: Vec<_> = text.lines().map(|line| wrap_line(line, columns)).collect();
    lines.join("\n")
}

fn wrap_line(line: &str, columns: usize) -> String {
    if line.chars().count() <= columns {
        return line.to_owned();
    }
    let indent = if line.starts_with("  ") { LABEL } else { 2 };
    let (mut text, mut width) = (String::new(), 0);
    let mut rest = line;
    while let Some((word, after)) = split(rest) {
        if width > 0 && width + word.trim_end().chars().count() > columns {
            text.truncate(text.trim_end().len());
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent));
            width = indent;
        }
        text.push_str(word);
        width += word.chars().count();
        rest = after;
    }
    text.truncate(text.trim_end().len());
    text
}

/// The first words that stay together, with the blanks around them, and the rest.
fn split(text: &str) -> Option<(&str, &str)> {
    if text.is_empty() {
        return None;
    }
    let mut end = text.len() - text.trim_start().len();
    loop {
        let word = text[end..].split(' ').next().unwrap_or_default();
        end += word.len();
        let blanks = text[end..].len() - text[end..].trim_start().len();
        end += blanks;
        // Labels and their texts have more than one blank between them.
        if end == text.len() || blanks > 1 || !stays_with_the_next(word) {
            return Some(text.split_at(end));
        }
    }
}

/// `24.4 MiB`, `p99 5.6 ms`.
fn stays_with_the_next(word: &str) -> bool {
    let is_number = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_digit())
            && word.ends_with(|last: char| last.is_ascii_digit())
    };
    is_number(word) || word == "max" || word.strip_prefix('p').is_some_and(is_number)
}

/// Green where all is well, red where it is not, yellow between.
pub(crate) fn colour_verdict(text: &str) -> String {
    const COLOURS: [(&str, u8); 8] = [
        ("PROVEN", 32),
        ("CONSISTENT", 32),
        ("DONE WITH LOSS", 33),
        ("INTERRUPTED", 33),
        ("STALLED", 33),
        ("NO PROGRESS", 31),
        ("VIOLATION", 31),
        ("FAILED", 31),
    ];
    for (word, colour) in COLOURS {
        let place = format!("proofload: {word}");
        if text.trim_start().starts_with(&place) {
            return text.replacen(&place, &format!("proofload: \x1b[1;{colour}m{word}\x1b[0m"), 1);
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = "\nproofload: PROVEN: nothing lost, moved, repeated, reordered or altered\n  \
         produced    100,000 of 100,000 records acked where predicted, 24.4 MiB in 0.71 s: 141,303/s, 34.5 MiB/s\n  \
         ack latency p50 0.9 ms, p90 2.7 ms, p99 5.6 ms, max 485.4 ms\n              \
         3 restarts\n  ledger      /a/folder/with-a-very-long-name/valid_offsets_demo.json";

    #[test]
    fn a_summary_fits_into_each_width() {
        for columns in [40, 60, 80, 150] {
            let wrapped = wrap(SUMMARY, columns);
            for line in wrapped.lines().filter(|line| !line.contains(".json")) {
                assert!(line.chars().count() <= columns && line.trim_end() == line, "{columns}: '{line}'");
            }
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(&wrapped), words(SUMMARY), "nothing is lost");
        }
        assert_eq!(wrap(SUMMARY, 150), SUMMARY);
    }

    #[test]
    fn lines_break_between_words_and_not_before_a_unit() {
        let wrapped = wrap(SUMMARY, 40);
        let lines: Vec<_> = wrapped.lines().collect();
        assert_eq!(
            lines[..10],
            [
                "",
                "proofload: PROVEN: nothing lost, moved,",
                "  repeated, reordered or altered",
                "  produced    100,000 of 100,000 records",
                "              acked where predicted,",
                "              24.4 MiB in 0.71 s:",
                "              141,303/s, 34.5 MiB/s",
                "  ack latency p50 0.9 ms, p90 2.7 ms,",
                "              p99 5.6 ms, max 485.4 ms",
                "              3 restarts",
            ],
            "{wrapped}"
        );
    }

    #[test]
    fn only_the_verdict_has_a_colour() {
        let coloured = colour_verdict(SUMMARY);
        assert!(coloured.starts_with("\nproofload: \x1b[1;32mPROVEN\x1b[0m: nothing lost"), "{coloured}");
        assert_eq!(coloured.matches('\x1b').count(), 2);
        assert!(colour_verdict("\nproofload: VIOLATION: x").contains("\x1b[1;31mVIOLATION"));
        assert!(colour_verdict("\nproofload: DONE WITH LOSS: x").contains("\x1b[1;33mDONE WITH LOSS\x1b"));
        assert_eq!(colour_verdict("shards: 3"), "shards: 3");
    }
}
