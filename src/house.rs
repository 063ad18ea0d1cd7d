//! The house's rules, held against the sources: arrows between folders go downwards only, and pure folders do no I/O.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Modules by layer, the lowest first. What is in one layer may use that layer, and all below it.
const LAYERS: [&[&str]; 9] = [
    &[
        "clock",
        "config",
        "human",
        "mutants",
        "pace",
        "partitions",
        "random",
        "runtime",
        "schedule",
        "terminal",
    ],
    &["findings", "html"],
    &["record"],
    &["ledger"],
    &["cli", "kafka", "stats"],
    &["app", "failing", "producer"],
    &["control"],
    &["verifier"],
    &["bench", "compare", "doctor", "inside", "merge", "repeater", "trogdor"],
];

/// Folders and files that are pure: bytes and values in, values out.
const PURE: [&str; 13] = [
    "bench/page/",
    "bench/result/",
    "html/",
    "partitions/",
    "findings/",
    "record/",
    "ledger/",
    "verifier/check/",
    "verifier/produce/predict/",
    "kafka/error/",
    "kafka/wire/protocol/",
    "kafka/wire/batch/",
    "kafka/wire/core/",
];
/// How the ledger reaches the disk.
const IMPURE: [&str; 1] = ["ledger/files/"];

/// What pure code does not touch.
const OUTSIDE: [&str; 16] = [
    "std::fs",
    "std::io::stderr",
    "std::io::stdin",
    "std::io::stdout",
    "std::net",
    "std::process",
    "std::thread",
    "glommio",
    "libc",
    "nix",
    "rdkafka",
    "tokio",
    "crate::app",
    "crate::control",
    "crate::kafka::librdkafka",
    "crate::kafka::wire::shell",
];

/// Crates that are seen in one folder only.
const KEPT_TO: [(&str, &str); 2] = [("clap", "cli/"), ("rdkafka", "kafka/librdkafka/")];

/// What is above the seam: it knows clients by their traits.
const ABOVE_SEAM: [&str; 5] = ["app/", "bench/", "control/", "repeater/", "verifier/"];
/// Where a client is picked, or made on trial.
const PICKS_CLIENT: [&str; 11] = [
    "bench/groups/watch.rs",
    "bench/outcome.rs",
    "bench/shards.rs",
    "repeater/run.rs",
    "repeater/trial.rs",
    "verifier/phases.rs",
    "verifier/read/group/group_reader.rs",
    "verifier/read/random_reader.rs",
    "verifier/read/sequential/seq_reader.rs",
    "verifier/shard.rs",
    "verifier/trial.rs",
];
/// How a client goes by, in whatever name.
const CLIENT: &str = "librdkafka";

/// A source file, and what it names outside of its tests.
struct Source {
    /// From `src/` on.
    file: String,
    paths: BTreeSet<String>,
    /// Its code, without comments, and without what it says to users.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    let source = |path: PathBuf| {
        let file = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let is_test = file.ends_with("_tests.rs")
            || file.contains("/tests/")
            || file.contains("_tests/")
            || file == "house.rs";
        (!is_test).then(|| {
            let text = fs::read_to_string(&path).unwrap();
            Source { paths: paths(&text, &module(&file)), code: without_words(code(&text).as_str()), file }
        })
    };
    files.into_iter().filter_map(source).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The module that a file is, such as `crate::kafka::error`.
fn module(file: &str) -> Vec<String> {
    let names = file.trim_end_matches(".rs").split('/').filter(|name| !["mod", "lib", "main"].contains(name));
    std::iter::once("crate").chain(names).map(str::to_owned).collect()
}

/// The paths that a text names, `use` trees taken apart, each from the crate's root or another crate's.
fn paths(text: &str, module: &[String]) -> BTreeSet<String> {
    let code = code(text);
    let mut found = BTreeSet::new();
    let (mut rest, mut other) = (code.as_str(), String::new());
    while let Some(at) = rest.find("use ") {
        let is_statement = rest[..at].chars().next_back().is_none_or(char::is_whitespace);
        let (before, behind) = (&rest[..at], &rest[at + 4..]);
        other.push_str(before);
        rest = behind;
        if let (true, Some(end)) = (is_statement, behind.find(';')) {
            let tree = behind[..end].split_whitespace().collect::<Vec<_>>().join(" ");
            branches(&tree, "", &mut |path| _ = found.insert(absolute(path, module)));
            rest = &behind[end..];
        }
    }
    other.push_str(rest);
    let is_of_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    for word in other.split(|letter| !is_of_path(letter)).filter(|word| word.contains("::")) {
        found.insert(absolute(word, module));
    }
    found
}

/// A text without its comments and its tests.
fn code(text: &str) -> String {
    let code: Vec<_> = text.lines().map(|line| line.split("//").next().unwrap_or("")).collect();
    code.join("\n").split("#[cfg(test)]\nmod ").next().unwrap_or("").to_owned()
}

/// Code without what stands between quotes.
fn without_words(code: &str) -> String {
    code.replace("\\\"", "").split('"').step_by(2).collect()
}

/// Shows each path of a `use` tree.
fn branches(tree: &str, before: &str, each: &mut impl FnMut(&str)) {
    let Some((stem, inner)) = tree.split_once('{') else {
        return each(&format!("{before}{}", tree.split(" as ").next().unwrap_or("").trim()));
    };
    let inner = &inner[..inner.rfind('}').unwrap_or(inner.len())];
    let stem = format!("{before}{}", stem.trim());
    let (mut depth, mut from) = (0, 0);
    for (at, letter) in inner.char_indices().chain([(inner.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let branch = inner[from..at].trim();
                if !branch.is_empty() {
                    branches(branch, &stem, each);
                }
                from = at + 1;
            }
            _ => {}
        }
    }
}

/// The path from the crate's root, of one that may begin with `self` or `super`.
fn absolute(path: &str, module: &[String]) -> String {
    let mut names: Vec<&str> = path.split("::").collect();
    let supers = names.iter().take_while(|name| **name == "super").count();
    if supers > 0 {
        let kept = module.len().saturating_sub(supers).max(1);
        names = module[..kept].iter().map(String::as_str).chain(names.split_off(supers)).collect();
    } else if names[0] == "self" {
        names = module.iter().map(String::as_str).chain(names.split_off(1)).collect();
    }
    names.join("::")
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|names| names.contains(&name))
}

fn begins_with(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn arrows_go_downwards_only() {
    let mut broken = Vec::new();
    for Source { file, paths, .. } in sources() {
        let module = module(&file);
        let Some(own) = module.get(1).and_then(|name| layer(name)) else { continue };
        for path in &paths {
            let used = path.strip_prefix("crate::").and_then(|rest| rest.split("::").next()).and_then(layer);
            if used.is_some_and(|used| used > own) {
                broken.push(format!("{file} uses {path}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Within a layer, too, nobody uses whoever uses him: each top module can be read, and moved, with those below it only.
#[test]
fn no_modules_use_each_other_in_a_circle() {
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Source { file, paths, .. } in sources() {
        let Some(own) = module(&file).get(1).cloned().filter(|own| layer(own).is_some()) else { continue };
        let named = paths.iter().filter_map(|path| path.strip_prefix("crate::")?.split("::").next());
        let others: Vec<_> = named.filter(|name| *name != own && layer(name).is_some()).collect();
        arrows.entry(own).or_default().extend(others.into_iter().map(str::to_owned));
    }
    // Who uses nobody that is left is taken away, again and again: what stays is in a circle, or above one.
    while let Some(lowest) = arrows.iter().find(|(_, others)| others.is_empty()).map(|(own, _)| own.clone()) {
        arrows.remove(&lowest);
        for others in arrows.values_mut() {
            others.remove(&lowest);
        }
    }
    assert!(arrows.is_empty(), "{arrows:#?}");
}

#[test]
fn every_module_has_its_layer() {
    let tops = |Source { file, .. }: Source| module(&file).get(1).cloned();
    let unknown: BTreeSet<String> = sources()
        .into_iter()
        .filter_map(tops)
        .filter(|name| layer(name).is_none() && name != "bin")
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn pure_folders_do_no_input_or_output() {
    let mut broken = Vec::new();
    for Source { file, paths, .. } in sources() {
        let is_in = |folders: &[&str]| folders.iter().any(|folder| file.starts_with(folder));
        if is_in(&PURE) && !is_in(&IMPURE) {
            let outside = |path: &&String| OUTSIDE.iter().any(|prefix| begins_with(path, prefix));
            broken.extend(paths.iter().filter(outside).map(|path| format!("{file} uses {path}")));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn some_crates_are_kept_to_their_folder() {
    let mut broken = Vec::new();
    for Source { file, paths, .. } in sources() {
        for (name, folder) in KEPT_TO.iter().filter(|(_, folder)| !file.starts_with(folder)) {
            let used = paths.iter().filter(|path| begins_with(path, name));
            broken.extend(used.map(|path| format!("{file} uses {path}, which is for {folder}")));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Loops that know their client by its traits only can be played by tests, and run on any other.
#[test]
fn a_client_is_named_where_it_is_picked_only() {
    let is_above = |file: &str| ABOVE_SEAM.iter().any(|folder| file.starts_with(folder));
    let names_it = |source: &Source| source.code.to_lowercase().contains(CLIENT);
    let files: Vec<_> =
        sources().into_iter().filter(|source| is_above(&source.file) && names_it(source)).collect();
    let named: Vec<_> = files.iter().map(|source| source.file.as_str()).collect();
    let (allowed, other): (Vec<_>, Vec<_>) = named.into_iter().partition(|file| PICKS_CLIENT.contains(file));
    assert!(other.is_empty(), "{other:#?}");
    assert_eq!(allowed.len(), PICKS_CLIENT.len(), "what needs no exception has none: {allowed:#?}");
}

#[test]
fn what_is_said_to_users_is_no_code() {
    let text =
        "f(\"librdkafka \\\"x\\\" y\"); // librdkafka\ng(\"z\")\n#[cfg(test)]\nmod tests { librdkafka() }";
    assert_eq!(without_words(&code(text)), "f(); \ng()\n");
}

#[test]
fn paths_are_found_wherever_they_stand() {
    let text = "use super::{a::B, c::{self, D as E}};\nuse std::fs;\nfn f() { crate::x::y(self::z::w()) }\n// crate::no\n\
                #[cfg(test)]\nmod tests { use glommio::T; }";
    let module = ["crate", "one", "two"].map(str::to_owned);
    let found: Vec<String> = paths(text, &module).into_iter().collect();
    let expected = [
        "crate::one::a::B",
        "crate::one::c::D",
        "crate::one::c::self",
        "crate::one::two::z::w",
        "crate::x::y",
        "std::fs",
    ];
    assert_eq!(found, expected);
}
