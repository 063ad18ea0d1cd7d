//! A report's text, in which `{{…}}` stands for what was measured.
//!
//! | directive | becomes |
//! |---|---|
//! | `{{NAME}}` | that value |
//! | `{{table CASE SCALE [AGAINST]}}` | a table of the case's tools, seconds times the value SCALE; with ratios of CPU time to one of them |
//! | `{{mark LIMIT CASE TOOL AGAINST: WHAT}}` | a row: whether the CPU time is at most so many times the other's |
//! | `{{growth LIMIT CASE OTHER TOOL: WHAT}}` | a row: whether memory in the other case is at most so many times that in the first |
//! | `{{beyond CASE START AGAINST}}` | a table: CPU time of the case's tools without that of the case START, and its ratios to one of them |
//! | `{{rate CASE TOOL GOAL: WHAT}}` | a row: records a second, and the part of the value GOAL that they are |
//! | `{{within PERCENT CASE TOOL AGAINST: WHAT}}` | a row: whether the rates of each round differ by at most so much |
//! | `{{latency CASE TOOL: WHAT}}` | a row: the percentiles of a latency |

use std::collections::BTreeMap;

use super::rounds::{Figure, Ratios, Rounds, Spread};

/// What is not measured, by name.
pub type Values = BTreeMap<String, String>;

/// Fills it.
///
/// # Errors
/// A directive that is none, or what it needs and was not measured.
pub fn fill(template: &str, rounds: &Rounds, values: &Values) -> Result<String, String> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once("{{") {
        let (directive, after) = behind.split_once("}}").ok_or("a directive has no end")?;
        text += before;
        text += &filled(directive, rounds, values)?;
        rest = after;
    }
    Ok(text + rest)
}

fn filled(directive: &str, rounds: &Rounds, values: &Values) -> Result<String, String> {
    let (head, what) = directive.split_once(": ").unwrap_or((directive, ""));
    let words: Vec<&str> = head.split(' ').collect();
    // What a row is about may have names of its own.
    let what = || {
        what.split('$').enumerate().map(|(nth, part)| named(nth, part, values)).collect::<Result<String, _>>()
    };
    match words.as_slice() {
        ["table", case, scale] => table(rounds, case, number(values, scale)?, None),
        ["table", case, scale, against] => table(rounds, case, number(values, scale)?, Some(against)),
        ["mark", limit, case, tool, against] => {
            let ratios = rounds.ratios(case, (tool, against), Figure::Cpu)?;
            let is_met = |ratio: f64| Ok::<_, String>(ratio <= parsed(limit)?);
            Ok(row(
                &what()?,
                &format!("≤ {limit}"),
                ratios,
                is_met(ratios.of_medians)? && is_met(ratios.of_pairs)?,
            ))
        }
        ["growth", limit, case, other, tool] => {
            let of = |case| rounds.median(case, tool, Figure::Memory);
            let ratio = of(other)? / of(case)?;
            Ok(format!("| {} | ≤ {limit} | {ratio:.2} | | {} |", what()?, verdict(ratio <= parsed(limit)?)))
        }
        ["beyond", case, start, against] => beyond(rounds, case, start, against),
        ["rate", case, tool, goal] => {
            let rate = rounds.median(case, tool, Figure::Rate)?;
            let shown = shown(rounds.spread(case, tool, Figure::Rate), 1.0, 1);
            Ok(format!("| {} | {shown} | {:.2} % |", what()?, rate / number(values, goal)? * 100.0))
        }
        ["within", percent, case, tool, against] => {
            let pairs = rounds.pairs(case, (tool, against), Figure::Rate)?;
            let farthest = pairs.iter().map(|ratio| (ratio - 1.0).abs() * 100.0).fold(0.0, f64::max);
            let is_met = farthest <= parsed(percent)?;
            Ok(format!("| {} | ≤ {percent} % | {farthest:.2} % | {} |", what()?, verdict(is_met)))
        }
        ["latency", case, tool] => {
            let figures = [Figure::P50, Figure::P95, Figure::P99, Figure::P999, Figure::Max];
            let of = |figure| shown(rounds.spread(case, tool, figure), 1.0, 2);
            Ok(format!("| {} | {} |", what()?, figures.map(of).join(" | ")))
        }
        [name] => value(values, name).map(str::to_owned),
        _ => Err(format!("there is no directive '{directive}'")),
    }
}

/// Each second part is a name.
fn named<'a>(nth: usize, part: &'a str, values: &'a Values) -> Result<&'a str, String> {
    if nth.is_multiple_of(2) { Ok(part) } else { value(values, part) }
}

fn value<'a>(values: &'a Values, name: &str) -> Result<&'a str, String> {
    values.get(name).map(String::as_str).ok_or_else(|| format!("nobody says what {name} is"))
}

fn number(values: &Values, name: &str) -> Result<f64, String> {
    parsed(value(values, name)?)
}

fn parsed(word: &str) -> Result<f64, String> {
    word.parse().map_err(|_| format!("no number: '{word}'"))
}

fn row(what: &str, limit: &str, ratios: Ratios, is_met: bool) -> String {
    let Ratios { of_medians, of_pairs } = ratios;
    format!("| {what} | {limit} | {of_medians:.2} | {of_pairs:.2} | {} |", verdict(is_met))
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "pass" } else { "**miss**" }
}

/// A median and what it lies between, times this; nothing where that was not measured.
fn shown(spread: Option<Spread>, factor: f64, digits: usize) -> String {
    spread.map_or_else(String::new, |Spread { median, least, most }| {
        let [median, least, most] = [median, least, most].map(|value| value * factor);
        format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
    })
}

fn table(rounds: &Rounds, case: &str, scale: f64, against: Option<&str>) -> Result<String, String> {
    let (more_heads, more_rules) = against.map_or_else(Default::default, |against| {
        (format!(" CPU ÷ {against}, medians | the same, median of pairs |"), "---|---|")
    });
    let mut lines = vec![
        format!("| tool | CPU s | wall s | wall s, the phase alone | peak memory MiB |{more_heads}"),
        format!("|---|---|---|---|---|{more_rules}"),
    ];
    for tool in tools(rounds, case)? {
        let of = |figure, factor, digits| shown(rounds.spread(case, tool, figure), factor, digits);
        let ratios = against.map_or_else(
            || Ok(String::new()),
            |against| {
                let Ratios { of_medians, of_pairs } = rounds.ratios(case, (tool, against), Figure::Cpu)?;
                Ok::<_, String>(format!(" {of_medians:.2} | {of_pairs:.2} |"))
            },
        )?;
        lines.push(format!(
            "| {tool} | {} | {} | {} | {} |{ratios}",
            of(Figure::Cpu, scale, 2),
            of(Figure::Wall, scale, 2),
            of(Figure::Phase, scale, 2),
            of(Figure::Memory, 1.0 / 1024.0, 0)
        ));
    }
    Ok(lines.join("\n"))
}

/// Without what it takes to start, which long runs make small and short ones do not.
fn beyond(rounds: &Rounds, case: &str, start: &str, against: &str) -> Result<String, String> {
    let mut lines = vec![
        format!("| tool | CPU s beyond the start | ÷ {against}, medians | the same, median of pairs |"),
        "|---|---|---|---|".to_owned(),
    ];
    for tool in tools(rounds, case)? {
        let of = |case| rounds.median(case, tool, Figure::Cpu);
        let Ratios { of_medians, of_pairs } =
            rounds.ratios_beyond((case, start), (tool, against), Figure::Cpu)?;
        let seconds = of(case)? - of(start)?;
        lines.push(format!("| {tool} | {seconds:.2} | {of_medians:.2} | {of_pairs:.2} |"));
    }
    Ok(lines.join("\n"))
}

fn tools<'a>(rounds: &'a Rounds, case: &str) -> Result<Vec<&'a str>, String> {
    let tools = rounds.tools(case);
    if tools.is_empty() { Err(format!("{case}: nothing was measured")) } else { Ok(tools) }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::TEMPLATES;

    const RESULTS: &str = "c\tb\t1\t9\t2.0\t20480\t-\n\
                           c\ta\t1\t3\t1.0\t10240\t0.5\n\
                           c\ta\t2\t4\t1.2\t10241\t0.7\n\
                           c\tb\t2\t9\t2.4\t20480\t-\n\
                           c4\ta\t1\t3\t1.0\t11264\t0.5\n";

    fn filled(template: &str) -> Result<String, String> {
        let values =
            [("SCALE", "10"), ("SMALL", "128")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        fill(template, &Rounds::read(RESULTS).unwrap(), &values.into())
    }

    #[test]
    fn a_table_has_a_line_for_each_tool() {
        let expected = "<| tool | CPU s | wall s | wall s, the phase alone | peak memory MiB | CPU ÷ b, medians | the same, \
                        median of pairs |\n\
                        |---|---|---|---|---|---|---|\n\
                        | a | 11.00 (10.00–12.00) | 35.00 (30.00–40.00) | 6.00 (5.00–7.00) | 10 (10–10) | 0.50 | 0.50 |\n\
                        | b | 22.00 (20.00–24.00) | 90.00 (90.00–90.00) |  | 20 (20–20) | 1.00 | 1.00 |>";
        assert_eq!(filled("<{{table c SCALE b}}>").as_deref(), Ok(expected));
        let plain = filled("{{table c4 SCALE}}").unwrap();
        assert!(plain.ends_with("|\n|---|---|---|---|---|\n| a | 10.00 (10.00–10.00) | 30.00 (30.00–30.00) | 5.00 (5.00–5.00) | 11 (11–11) |"), "{plain}");
    }

    #[test]
    fn a_mark_is_met_by_both_ratios_or_missed() {
        let row = |directive: &str| filled(&format!("{{{{{directive}}}}}")).unwrap();
        assert_eq!(row("mark 0.5 c a b: $SMALL$ B"), "| 128 B | ≤ 0.5 | 0.50 | 0.50 | pass |");
        assert_eq!(row("mark 0.49 c a b: x"), "| x | ≤ 0.49 | 0.50 | 0.50 | **miss** |");
        assert_eq!(row("growth 1.1 c c4 a: memory"), "| memory | ≤ 1.1 | 1.10 | | pass |");
        assert_eq!(row("growth 1.09 c c4 a: memory"), "| memory | ≤ 1.09 | 1.10 | | **miss** |");
        let slow = RESULTS.replace("c\ta\t2\t4\t1.2", "c\ta\t2\t4\t1.8");
        let values = Values::new();
        let row = fill("{{mark 0.63 c a b: x}}", &Rounds::read(&slow).unwrap(), &values).unwrap();
        assert_eq!(row, "| x | ≤ 0.63 | 0.64 | 0.62 | **miss** |", "one of the two is enough");
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        let error = |template| filled(template).unwrap_err();
        assert_eq!(error("{{NAME}}"), "nobody says what NAME is");
        assert_eq!(error("{{table x SCALE}}"), "x: nothing was measured");
        assert_eq!(error("{{mark 1 c a z: x}}"), "c: no round has a and z");
        assert_eq!(error("{{mark one c a b: x}}"), "no number: 'one'");
        assert_eq!(error("{{tables c}}"), "there is no directive 'tables c'");
        assert_eq!(error("{{table c"), "a directive has no end");
    }

    /// Two tools at a goal of 10/s, of which the second is 2 % too slow once.
    const RATES: &str = "r\tb\t1\t9\t2.0\t1\t-\t10\t1\t2\t3\t4\t5\n\
                         r\ta\t1\t9\t1.0\t1\t-\t10\t1\t2\t3\t4\t6\n\
                         r\ta\t2\t9\t1.0\t1\t-\t10\t2\t2\t3\t4\t5\n\
                         r\tb\t2\t9\t2.0\t1\t-\t9.8\t1\t2\t3\t4\t5\n\
                         s\tb\t1\t1\t1.0\ns\ta\t1\t1\t0.5\n";

    #[test]
    fn rates_are_held_against_a_goal_and_each_other_round_by_round() {
        let values = [("GOAL".to_owned(), "10".to_owned())].into();
        let filled =
            |directive: &str| fill(&format!("{{{{{directive}}}}}"), &Rounds::read(RATES).unwrap(), &values);
        let row = |directive| filled(directive).unwrap();
        assert_eq!(row("rate r b GOAL: one"), "| one | 9.9 (9.8–10.0) | 99.00 % |");
        assert_eq!(row("within 2.1 r a b: two"), "| two | ≤ 2.1 % | 2.04 % | pass |");
        assert_eq!(row("within 2 r a b: two"), "| two | ≤ 2 % | 2.04 % | **miss** |", "one round is enough");
        let latency = "| x | 1.50 (1.00–2.00) | 2.00 (2.00–2.00) | 3.00 (3.00–3.00) | 4.00 (4.00–4.00) | 5.50 (5.00–6.00) |";
        assert_eq!(row("latency r a: x"), latency);
        let beyond = "| tool | CPU s beyond the start | ÷ b, medians | the same, median of pairs |\n|---|---|---|---|\n\
                      | a | 0.50 | 0.50 | 0.50 |\n| b | 1.00 | 1.00 | 1.00 |";
        assert_eq!(row("beyond r s b"), beyond);
        assert_eq!(filled("within 1 r a z: x"), Err("r: no round has a and z".to_owned()));
        assert_eq!(filled("rate s a GOAL: x"), Err("s: nothing was measured of a".to_owned()));
    }

    /// Whatever a template asks for is measured: names in capitals, and cases with their tools.
    #[test]
    fn all_templates_can_be_filled() {
        for (name, template) in TEMPLATES {
            let mut values = Values::new();
            let (mut results, mut starts) = (String::new(), Vec::new());
            for directive in template.split("{{").skip(1) {
                let (directive, _) = directive.split_once("}}").expect("an end");
                let (head, what) = directive.split_once(": ").unwrap_or((directive, ""));
                let capitals = head.split(' ').chain(what.split('$').skip(1).step_by(2));
                for word in capitals.filter(|word| word.starts_with(|first: char| first.is_ascii_uppercase()))
                {
                    values.insert(word.to_owned(), "1".to_owned());
                }
                let words: Vec<&str> = head.split(' ').collect();
                let (cases, tools) = match words.as_slice() {
                    ["table", case, _, against] => (vec![*case], vec![*against]),
                    ["table", case, ..] => (vec![*case], vec!["proofload"]),
                    ["mark" | "within", _, case, tool, against] => (vec![*case], vec![*tool, *against]),
                    ["growth", _, case, other, tool] => (vec![*case, *other], vec![*tool]),
                    ["beyond", case, start, against] => {
                        starts.push((format!("{case}\t"), format!("{start}\t")));
                        (vec![*case], vec![*against])
                    }
                    ["rate", case, tool, _] | ["latency", case, tool] => (vec![*case], vec![*tool]),
                    _ => (Vec::new(), Vec::new()),
                };
                for (case, tool) in cases.iter().flat_map(|case| tools.iter().map(move |tool| (case, tool))) {
                    writeln!(results, "{case}\t{tool}\t1\t1\t2\t1024\t1{}", "\t1".repeat(6)).unwrap();
                }
            }
            // Of all tools.
            for (case, start) in starts {
                let tools = results.lines().filter_map(|line| line.strip_prefix(&case));
                let started: Vec<_> = tools.map(|rest| format!("{start}{rest}\n")).collect();
                results += &started.concat();
            }
            let text = fill(template, &Rounds::read(&results).unwrap(), &values).unwrap();
            assert!(text.starts_with("# ") && !text.contains("{{"), "{name}: {text}");
        }
    }
}
