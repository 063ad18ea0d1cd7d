//! What is to be compared, and when that is a failure.

use std::{fmt, path::PathBuf, str::FromStr};

/// Figures of a benchmark's result that are compared, in the order in which they are shown.
pub(crate) const FIGURES: [&str; 9] =
    ["rate", "mean", "p50", "p99", "max", "delay-p99", "end-to-end-p50", "end-to-end-p99", "cpu"];

/// What `proofload compare` was asked for.
#[derive(Clone, Debug)]
pub(crate) struct CompareConfig {
    /// Results of one run or several on the old side.
    pub old: Vec<PathBuf>,
    /// The same of each new side.
    pub new: Vec<Vec<PathBuf>>,
    /// When it is a failure.
    pub gates: Vec<Gate>,
    /// Changes below that are none, as a part: 0.1 is 10 %.
    pub least_change: f64,
    /// Where the comparison is written to as JSON.
    pub output: Option<PathBuf>,
    /// Where it is written to as a page for people.
    pub html: Option<PathBuf>,
}

/// One condition of `--fail-on`, such as `p99>+10%`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Gate {
    /// One of [`FIGURES`].
    pub figure: &'static str,
    /// A change above fails; else one below.
    pub is_above: bool,
    /// As a part: 0.1 for `+10%`.
    pub change: f64,
}

/// A text is no condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("FIGURE>+N% or FIGURE<-N%, for instance p99>+10%; figures are {}", FIGURES.join(", "))]
pub(crate) struct NoGate;

impl FromStr for Gate {
    type Err = NoGate;

    fn from_str(text: &str) -> Result<Self, NoGate> {
        let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
        let place = text.find(['<', '>']).ok_or(NoGate)?;
        let figure = FIGURES.into_iter().find(|name| *name == &text[..place]).ok_or(NoGate)?;
        let percent = text[place + 1..].strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
        let percent = percent.filter(|percent| percent.is_finite()).ok_or(NoGate)?;
        Ok(Self { figure, is_above: text[place..].starts_with('>'), change: percent / 100.0 })
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_above { '>' } else { '<' };
        write!(formatter, "{}{sign}{:+}%", self.figure, self.change * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_read_and_shown() {
        assert_eq!("p99>+10%".parse(), Ok(Gate { figure: "p99", is_above: true, change: 0.1 }));
        assert_eq!(" rate < -5 % ".parse(), Ok(Gate { figure: "rate", is_above: false, change: -0.05 }));
        assert_eq!("rate<-50%".parse::<Gate>().unwrap().to_string(), "rate<-50%");
        assert_eq!("cpu>25%".parse::<Gate>().unwrap().to_string(), "cpu>+25%");
    }

    #[test]
    fn what_is_no_gate_is_told_what_is() {
        for text in
            ["", "p99", "p99>", "p99>10", "p98>10%", "p99=10%", ">10%", "p99>x%", "p99>inf%", "p99>NaN%"]
        {
            assert_eq!(text.parse::<Gate>(), Err(NoGate), "{text}");
        }
        let text = NoGate.to_string();
        assert!(text.contains("p99>+10%") && text.contains("end-to-end-p99, cpu"), "{text}");
    }
}
