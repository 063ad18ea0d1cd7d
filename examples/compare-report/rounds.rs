//! What was measured, round by round, and its medians, spreads and ratios.

/// What of a run is looked at, in the order of the columns behind case, tool and round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Of the whole process, s.
    Wall,
    /// User and kernel time of the whole process, s.
    Cpu,
    /// At its highest, KiB.
    Memory,
    /// What the tool says of the phase alone, s.
    Phase,
    /// Records a second, by the tool's own word.
    Rate,
    /// Percentiles of a latency, ms.
    P50,
    P95,
    P99,
    P999,
    /// The longest of all, ms.
    Max,
}

const FIGURES: usize = 10;

/// A run of a tool.
#[derive(Clone, Debug)]
struct Run {
    case: String,
    tool: String,
    /// From 1 on.
    round: u32,
    figures: [Option<f64>; FIGURES],
}

/// All runs.
#[derive(Clone, Debug, Default)]
pub struct Rounds(Vec<Run>);

/// A median, and between which values it lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

/// How two tools compare.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratios {
    pub of_medians: f64,
    /// The median of the ratios of two runs of one round: what slows a round down slows both.
    pub of_pairs: f64,
}

impl Rounds {
    /// Of lines with tabs between case, tool, round and figures; a figure that a tool does not have is `-`, or missing at the end.
    ///
    /// # Errors
    /// What a line lacks.
    pub fn read(text: &str) -> Result<Self, String> {
        let runs = text.lines().map(|line| run(line).ok_or_else(|| format!("no result of a run: {line:?}")));
        runs.collect::<Result<_, _>>().map(Self)
    }

    /// The tools of a case. In each round another one begins: the first round begins with the second.
    pub fn tools(&self, case: &str) -> Vec<&str> {
        let first = self.0.iter().filter(|run| run.case == case && run.round == 1);
        let mut tools: Vec<_> = first.map(|run| run.tool.as_str()).collect();
        if !tools.is_empty() {
            tools.rotate_right(1);
        }
        tools
    }

    /// A figure of a tool, if it has it.
    pub fn spread(&self, case: &str, tool: &str, figure: Figure) -> Option<Spread> {
        let mut values: Vec<_> = self.of(case, tool, figure).map(|(_, value)| value).collect();
        values.sort_by(f64::total_cmp);
        Some(Spread { median: median(&values)?, least: *values.first()?, most: *values.last()? })
    }

    /// The median of a figure.
    ///
    /// # Errors
    /// The tool does not have it.
    pub fn median(&self, case: &str, tool: &str, figure: Figure) -> Result<f64, String> {
        let spread = self.spread(case, tool, figure);
        spread.map(|spread| spread.median).ok_or_else(|| format!("{case}: nothing was measured of {tool}"))
    }

    /// What a tool takes of what another one takes.
    ///
    /// # Errors
    /// One of the two has no such figure.
    pub fn ratios(
        &self,
        case: &str,
        (tool, against): (&str, &str),
        figure: Figure,
    ) -> Result<Ratios, String> {
        let mut pairs = self.pairs(case, (tool, against), figure)?;
        pairs.sort_by(f64::total_cmp);
        Ok(Ratios {
            of_medians: self.median(case, tool, figure)? / self.median(case, against, figure)?,
            of_pairs: median(&pairs).unwrap_or(f64::NAN),
        })
    }

    /// The same of each round alone; never empty.
    ///
    /// # Errors
    /// No round has both.
    pub fn pairs(
        &self,
        case: &str,
        (tool, against): (&str, &str),
        figure: Figure,
    ) -> Result<Vec<f64>, String> {
        let pair = |(round, value)| {
            let (_, other) = self.of(case, against, figure).find(|(other, _)| *other == round)?;
            Some(value / other)
        };
        let pairs: Vec<_> = self.of(case, tool, figure).filter_map(pair).collect();
        if pairs.is_empty() { Err(format!("{case}: no round has {tool} and {against}")) } else { Ok(pairs) }
    }

    /// What a tool takes of what another one takes, when the median of what each takes in a case without any work is left out
    /// on both sides: round by round.
    ///
    /// # Errors
    /// One of the two has no such figure.
    pub fn ratios_beyond(
        &self,
        (case, start): (&str, &str),
        (tool, against): (&str, &str),
        figure: Figure,
    ) -> Result<Ratios, String> {
        let beyond = |tool| {
            let nothing = self.median(start, tool, figure)?;
            let run = |(round, value): (u32, f64)| Run {
                case: case.to_owned(),
                tool: String::from(tool),
                round,
                figures: std::array::from_fn(|index| (index == figure as usize).then_some(value - nothing)),
            };
            Ok::<_, String>(self.of(case, tool, figure).map(run).collect::<Vec<_>>())
        };
        let mut both = beyond(tool)?;
        if tool != against {
            both.extend(beyond(against)?);
        }
        Self(both).ratios(case, (tool, against), figure)
    }

    /// By round.
    fn of(&self, case: &str, tool: &str, figure: Figure) -> impl Iterator<Item = (u32, f64)> {
        let runs = self.0.iter().filter(move |run| run.case == case && run.tool == tool);
        runs.filter_map(move |run| Some((run.round, run.figures[figure as usize]?)))
    }
}

fn run(line: &str) -> Option<Run> {
    let mut words = line.split('\t');
    let mut word = || words.next().filter(|word| !word.is_empty());
    let (case, tool, round) = (word()?.to_owned(), word()?.to_owned(), word()?.parse().ok()?);
    let mut figures = [None; FIGURES];
    for (figure, word) in figures.iter_mut().zip(words.by_ref()) {
        *figure = if word == "-" { None } else { Some(word.parse().ok()?) };
    }
    words.next().is_none().then_some(Run { case, tool, round, figures })
}

/// Of values in their order.
fn median(values: &[f64]) -> Option<f64> {
    let upper = *values.get(values.len() / 2)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[values.len() / 2 - 1], upper) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two tools, of which the second takes twice the CPU time of the first in each round; the third round was a slow one.
    const RESULTS: &str = "c\tb\t1\t9\t2.0\t2048\t-\n\
                           c\ta\t1\t3\t1.0\t1024\t0.5\n\
                           c\ta\t2\t4\t1.2\t1024\t0.7\n\
                           c\tb\t2\t9\t2.4\t2048\t-\n\
                           c\tb\t3\t9\t8.0\t2048\t-\n\
                           c\ta\t3\t5\t4.0\t1024\t0.6\n\
                           d\ta\t1\t5\t4.0\t1024\t0.6\n";

    fn rounds() -> Rounds {
        Rounds::read(RESULTS).unwrap()
    }

    #[test]
    fn the_median_is_the_value_in_the_middle_or_between_the_two_there() {
        assert_eq!((median(&[]), median(&[7.0]), median(&[1.0, 4.0])), (None, Some(7.0), Some(2.5)));
        assert_eq!((median(&[1.0, 2.0, 9.0]), median(&[1.0, 2.0, 4.0, 9.0])), (Some(2.0), Some(3.0)));
    }

    #[test]
    fn values_lie_around_their_median_in_whatever_order_they_came() {
        let spread = |tool, figure| rounds().spread("c", tool, figure);
        assert_eq!(spread("a", Figure::Cpu), Some(Spread { median: 1.2, least: 1.0, most: 4.0 }));
        assert_eq!(spread("a", Figure::Phase), Some(Spread { median: 0.6, least: 0.5, most: 0.7 }));
        assert_eq!(spread("b", Figure::Phase), None, "it says nothing of it");
    }

    #[test]
    fn pairs_are_of_one_round() {
        let ratios = |tools| rounds().ratios("c", tools, Figure::Cpu).unwrap();
        assert_eq!(ratios(("b", "a")), Ratios { of_medians: 2.0, of_pairs: 2.0 });
        let slow = RESULTS.replace("c\ta\t3\t5\t4.0", "c\ta\t3\t5\t1.1");
        let ratios = Rounds::read(&slow).unwrap().ratios("c", ("b", "a"), Figure::Cpu).unwrap();
        assert!((ratios.of_medians - 2.4 / 1.1).abs() < 1e-9, "{ratios:?}");
        assert!((ratios.of_pairs - 2.0).abs() < 1e-9, "{ratios:?}");
        let why = rounds().ratios("d", ("a", "b"), Figure::Cpu);
        assert_eq!(why, Err("d: no round has a and b".to_owned()));
    }

    #[test]
    fn what_starting_takes_can_be_left_out() {
        let started = format!("{RESULTS}s\ta\t1\t1\t0.5\ns\ta\t2\t1\t0.7\ns\tb\t1\t1\t0.9\n");
        let rounds = Rounds::read(&started).unwrap();
        let ratios = |tools| rounds.ratios_beyond(("c", "s"), tools, Figure::Cpu);
        // 1.1, 1.5 and 7.1 for 0.4, 0.6 and 3.4.
        let Ratios { of_medians, of_pairs } = ratios(("b", "a")).unwrap();
        assert!((of_medians - 1.5 / 0.6).abs() < 1e-9 && (of_pairs - 1.5 / 0.6).abs() < 1e-9);
        assert_eq!(ratios(("a", "a")), Ok(Ratios { of_medians: 1.0, of_pairs: 1.0 }));
        assert_eq!(ratios(("a", "z")), Err("s: nothing was measured of z".to_owned()));
    }

    #[test]
    fn tools_stand_in_the_order_in_which_they_were_named() {
        assert_eq!((rounds().tools("c"), rounds().tools("d")), (vec!["a", "b"], vec!["a"]));
        assert_eq!(rounds().tools("e"), [""; 0]);
    }

    #[test]
    fn what_is_no_result_is_an_error() {
        let too_many = format!("c\ta\t1{}", "\t1".repeat(FIGURES + 1));
        for line in ["c\ta", "c\ta\tone\t1", "c\t\t1\t1", "c\ta\t1\tfast", &too_many] {
            assert!(Rounds::read(line).is_err(), "{line:?}");
        }
    }
}
