//! `--slice`: which one of several processes this one is.

use super::{
    error::UsageError,
    values::{Accepts, Parsed, digits},
};
use crate::partitions::Slice;

/// What Kubernetes sets in every container of an Indexed Job: the pod's index, from 0 on. It does not say of how many.
pub(super) const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";
/// Of how many, for `auto`.
pub(super) const COUNT_VARIABLE: &str = "PROOFLOAD_SLICES";

/// The flag as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SliceWord {
    /// `I/N`.
    Given(Slice),
    /// `auto/N`, or `auto`.
    Auto(Option<usize>),
}

/// `I/N`, `auto/N` or `auto`.
pub(super) fn slice(word: &str) -> Parsed<SliceWord> {
    let parsed = match word.split_once('/') {
        None if word == "auto" => Some(SliceWord::Auto(None)),
        None => None,
        Some(("auto", of)) => count(of).map(|of| SliceWord::Auto(Some(of))),
        Some((index, of)) => {
            digits(index).zip(count(of)).and_then(|(index, of)| Slice::new(index, of)).map(SliceWord::Given)
        }
    };
    let what = || format!("I/N with I from 0 to N-1, auto/N or auto; N from 1 to {}", Slice::MOST);
    parsed.ok_or_else(|| Accepts::new(what()))
}

fn count(word: &str) -> Option<usize> {
    digits(word).filter(|count| (1..=Slice::MOST).contains(count))
}

/// The slice that this is, by the environment where the flag leaves that open.
///
/// # Errors
/// A variable is missing, or says nothing that makes sense.
pub(super) fn resolve(
    word: SliceWord,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Slice, UsageError> {
    let of = match word {
        SliceWord::Given(slice) => return Ok(slice),
        SliceWord::Auto(Some(of)) => of,
        SliceWord::Auto(None) => {
            let Some(text) = variable(COUNT_VARIABLE) else {
                let why = format!(
                    "auto needs {COUNT_VARIABLE} in the environment, the Job's completions: Kubernetes tells a pod its index \
                     only; or give auto/N"
                );
                return Err(UsageError::flag("slice", why));
            };
            count(&text).ok_or_else(|| {
                let why = format!(
                    "auto: {COUNT_VARIABLE} is '{text}', and must be a number from 1 to {}",
                    Slice::MOST
                );
                UsageError::flag("slice", why)
            })?
        }
    };
    let Some(text) = variable(INDEX_VARIABLE) else {
        let why = format!(
            "auto needs {INDEX_VARIABLE} in the environment, as Kubernetes sets it in an Indexed Job (completionMode: \
             Indexed); elsewhere give I/N"
        );
        return Err(UsageError::flag("slice", why));
    };
    digits(&text).and_then(|index| Slice::new(index, of)).ok_or_else(|| {
        let why = format!("auto: {INDEX_VARIABLE} is '{text}', and must be a number from 0 to {}", of - 1);
        UsageError::flag("slice", why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(word: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let word = slice(word).map_err(|accepts| accepts.to_string())?;
        resolve(word, variable).map(|slice| slice.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_slice_is_given_or_found_in_the_environment() {
        let (index, count) = ((INDEX_VARIABLE, "2"), (COUNT_VARIABLE, "3"));
        for (word, variables, expected) in [
            ("0/1", &[][..], "0/1"),
            ("2/3", &[], "2/3"),
            ("1/3", &[index, (COUNT_VARIABLE, "x")], "1/3"),
            ("auto/5", &[index], "2/5"),
            ("auto/5", &[index, count], "2/5"),
            ("auto", &[index, count], "2/3"),
        ] {
            assert_eq!(resolved(word, variables).as_deref(), Ok(expected), "{word}");
        }
    }

    #[test]
    fn what_is_no_slice_is_refused_by_name() {
        for word in [
            "", "3/3", "0/0", "-1/3", "+0/3", "0/3/3", "1", "auto/", "auto/0", "AUTO", "1/100001", "/3",
            "x/3",
        ] {
            let error = resolved(word, &[]).unwrap_err();
            assert!(error.starts_with("accepts I/N with I from 0 to N-1, auto/N or auto"), "{word}: {error}");
        }
        for (word, variables, words) in [
            ("auto/3", &[][..], "--slice: auto needs JOB_COMPLETION_INDEX in the environment"),
            ("auto", &[(INDEX_VARIABLE, "0")], "--slice: auto needs PROOFLOAD_SLICES in the environment"),
            ("auto", &[(INDEX_VARIABLE, "0"), (COUNT_VARIABLE, "0")], "PROOFLOAD_SLICES is '0'"),
            (
                "auto/3",
                &[(INDEX_VARIABLE, "3")],
                "JOB_COMPLETION_INDEX is '3', and must be a number from 0 to 2",
            ),
            ("auto/3", &[(INDEX_VARIABLE, "")], "JOB_COMPLETION_INDEX is ''"),
        ] {
            let error = resolved(word, variables).unwrap_err();
            assert!(error.contains(words), "{word}: {error}");
        }
    }
}
