//! README and the pages under `docs/` name flags, commands and files that exist.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use clap::CommandFactory;

use super::{
    super::{
        bench::BenchArgs, compare::CompareArgs, help, ledger::LedgerArgs, repeater::RepeaterArgs,
        verifier::VerifierArgs,
    },
    Program, run,
};

/// Flags of other programs that the pages name.
const FOREIGN: &[&str] = &[
    "all-targets",
    "bench-restart",
    "binary",
    "bootstrap-server",
    "canaries",
    "checks",
    "compare",
    "clients",
    "cluster-file",
    "cycles",
    "demo",
    "dir",
    "document-private-items",
    "elections",
    "entrypoint",
    "flips",
    "for",
    "from-literal",
    "freezes",
    "fuzz",
    "globals",
    "header",
    "help",
    "kills",
    "lib",
    "locked",
    "minutes",
    "mutants",
    "nodes",
    "on",
    "path",
    "perf-test",
    "proofload",
    "quotas",
    "records",
    "release",
    "rings",
    "rm",
    "runs",
    "security-opt",
    "seed",
    "show-status",
    "side-by-side",
    "spec",
    "simulate",
    "surgery",
    "test",
    "timeout",
    "ulimit",
    "user",
    "version",
    "workingdir",
    "bench",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<(PathBuf, String)> {
    let docs = fs::read_dir(root().join("docs")).expect("docs/").map(|entry| entry.expect("an entry").path());
    let own = ["README.md", "CONTRIBUTING.md"].map(|name| root().join(name));
    let pages = docs.chain(own).filter(|path| path.extension().is_some_and(|end| end == "md"));
    let pages: Vec<_> = pages.map(|path| (path.clone(), fs::read_to_string(path).expect("a text"))).collect();
    assert!(pages.len() > 10, "{pages:?}");
    pages
}

fn commands() -> [(&'static str, clap::Command); 3] {
    [
        ("proofload verifier", VerifierArgs::command()),
        ("proofload repeater", RepeaterArgs::command()),
        ("proofload bench", BenchArgs::command()),
    ]
}

fn alone() -> [(&'static str, clap::Command); 2] {
    [("proofload compare", CompareArgs::command()), ("proofload ledger", LedgerArgs::command())]
}

/// Words that begin with two dashes, without what follows `=`.
fn flags_in(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let mut pieces = text.split("--");
    // What comes before the first, and where a piece follows a name, as in `a--b`.
    let mut before = pieces.next().unwrap_or_default();
    pieces.filter_map(move |piece| {
        let starts = !before.ends_with(|letter: char| is_name(letter) || letter == '{');
        before = piece;
        let end = piece.find(|letter| !is_name(letter)).unwrap_or(piece.len());
        (starts && piece.starts_with(|letter: char| letter.is_ascii_lowercase())).then_some(&piece[..end])
    })
}

#[test]
fn the_page_of_flags_is_made_of_their_definition() {
    let (path, made) = (root().join("docs/flags.md"), help::page::flags(&commands(), &alone()));
    if env::var_os("PROOFLOAD_WRITE_DOCS").is_some() {
        fs::write(&path, &made).expect("docs/flags.md is written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == made, "docs/flags.md is old: PROOFLOAD_WRITE_DOCS=1 cargo test --lib docs");
    assert!(
        made.contains("| `--produce_msgs N` |") && made.contains("| `--brokers HOST:PORT,…` |"),
        "{made}"
    );
    assert_eq!(made.matches("`--brokers ").count(), 1, "what both have stands once");
}

#[test]
fn every_flag_on_a_page_exists() {
    let commands: Vec<_> = commands().into_iter().chain(alone()).collect();
    let known: BTreeSet<_> = commands
        .iter()
        .flat_map(|(_, command)| command.get_arguments().filter_map(clap::Arg::get_long))
        .chain(FOREIGN.iter().copied())
        .collect();
    for (path, text) in pages() {
        let unknown: BTreeSet<_> = flags_in(&text).filter(|flag| !known.contains(flag)).collect();
        assert!(unknown.is_empty(), "{} names flags that nobody has: {unknown:?}", path.display());
    }
}

#[test]
fn every_link_of_a_page_leads_to_a_file() {
    for (path, text) in pages() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || link.contains("://") {
                continue;
            }
            let target = path.parent().expect("a folder").join(file);
            assert!(target.exists(), "{}: no such file: {link}", path.display());
        }
    }
}

/// Command lines of a page, in blocks and in a line, as one text each, without comments and prompts.
fn command_lines(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let mut lines = Vec::new();
    for piece in joined.split(['`', '\n']) {
        let piece = piece.trim().trim_start_matches("$ ").trim_start_matches("cargo run --release -- ");
        let piece = piece.trim_end_matches('&').split('#').next().unwrap_or_default();
        let piece =
            if piece.starts_with("verifier ") { format!("proofload {piece}") } else { piece.to_owned() };
        let is_ours = [
            "proofload verifier -",
            "proofload repeater -",
            "proofload bench -",
            "kgo-verifier -",
            "kgo-repeater -",
        ];
        if is_ours.iter().any(|start| piece.starts_with(start)) && !piece.contains('…') {
            lines.push(piece);
        }
    }
    lines
}

#[test]
fn every_command_on_a_page_is_understood() {
    let mut understood = 0;
    for (path, text) in pages() {
        for line in command_lines(&text) {
            let has_brokers = line.contains("--brokers");
            let line = line.replace(['"', '$'], "");
            let words = line.split_whitespace().collect::<Vec<_>>();
            let (program, words) = match words.split_first() {
                Some((&"kgo-verifier", rest)) => (Program::Verifier, rest),
                Some((&"kgo-repeater", rest)) => (Program::Repeater, rest),
                Some((_, rest)) => (Program::Proofload, rest),
                None => continue,
            };
            let mut words = words.to_vec();
            if !has_brokers {
                // The head of a table says that these come with each.
                words.extend(["--brokers", "b:9092", "--topic", "t"]);
            }
            match run(program, &words) {
                Ok(_) => understood += 1,
                Err(exit) if exit.code == 0 => understood += 1,
                Err(exit) => {
                    let why = exit.stderr.unwrap_or_default();
                    // A file that the example takes for granted.
                    let lacks_a_file =
                        ["password.txt", "ca.pem", "workload.yaml"].iter().any(|file| why.contains(file));
                    assert!(lacks_a_file, "{}: {line}: {why}", path.display());
                }
            }
        }
    }
    assert!(understood >= 12, "{understood}");
}

#[test]
fn flags_are_told_from_dashes() {
    let text = "`--a_b=1` a--b --c-d|--e {--f} ---- -- --1 (--g)";
    assert_eq!(flags_in(text).collect::<Vec<_>>(), ["a_b", "c-d", "e", "g"]);
}

/// `a/{b,c}.rs` as `a/b.rs` and `a/c.rs`.
fn expanded(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let Some((choices, after)) = rest.split_once('}') else { return vec![path.to_owned()] };
    choices.split(',').flat_map(|choice| expanded(&format!("{before}{choice}{after}"))).collect()
}

/// Of a page for who works on it; those for users name files of theirs.
#[test]
fn every_source_file_on_a_page_exists() {
    let mut seen = 0;
    for (path, text) in pages() {
        for word in text.split('`').skip(1).step_by(2) {
            let is_source = Path::new(word).extension().is_some_and(|end| end == "rs")
                && word.contains('/')
                && !word.contains(' ');
            for file in if is_source { expanded(word) } else { Vec::new() } {
                let exists =
                    ["", "src", "tests"].iter().any(|folder| root().join(folder).join(&file).exists());
                assert!(exists, "{}: no such file: {file}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "{seen}");
}
