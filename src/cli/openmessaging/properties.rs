//! Java's properties, as drivers hold them in blocks of text (`java.util.Properties`, "load").

/// The pairs of a text, in its order: `key=value`, `key: value` or `key value`, behind which a backslash goes on in the next
/// line. Lines that begin with `#` or `!` say nothing.
pub(super) fn properties(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut line = line.trim_start().to_owned();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        while goes_on(&line) {
            line.pop();
            line.push_str(lines.next().unwrap_or_default().trim_start());
        }
        let (key, value) = split(&line);
        pairs.push((unescaped(key), unescaped(value)));
    }
    pairs
}

/// Whether an odd number of backslashes stands at the end.
fn goes_on(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Key and value, without what is between them.
fn split(line: &str) -> (&str, &str) {
    let mut is_escaped = false;
    let ends = |c: char| {
        let ends = !is_escaped && (matches!(c, '=' | ':') || c.is_whitespace());
        is_escaped = c == '\\' && !is_escaped;
        ends
    };
    let end = line.find(ends).unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    // Blanks at the end are the value's in Java, and nobody's intent.
    (key, rest.trim())
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let number = u32::from_str_radix(&digits, 16).ok();
                plain.push(number.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_what_java_makes_of_them() {
        let text = "a.b=1\n  # no\n! nor this\n\nc : two words \nd three\ne\\ f=g\\=h\nlong=one, \\\n   two, \\\n three\nnone\n\
                    path=C:\\\\x\nu=\\u0041\\t.\nend=x\\";
        let found = properties(text);
        let found: Vec<_> = found.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let expected = [
            ("a.b", "1"),
            ("c", "two words"),
            ("d", "three"),
            ("e f", "g=h"),
            ("long", "one, two, three"),
            ("none", ""),
            ("path", "C:\\x"),
            ("u", "A\t."),
            ("end", "x"),
        ];
        assert_eq!(found, expected);
    }
}
