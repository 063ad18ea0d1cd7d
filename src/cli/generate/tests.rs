//! What is generated, as shells and `man` take it.

use std::{fs, process::Command};

use super::*;

fn generated(name: &str) -> String {
    file(name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn every_name_is_a_file() {
    for name in names().lines() {
        assert!(generated(name).lines().count() > 10, "{name}");
    }
    for name in ["", "proofload", "proofload-.1", "proofload-x.1", ".1"] {
        assert_eq!(file(name), None, "{name}");
    }
}

#[test]
fn pages_have_every_flag() {
    for described in commands() {
        let page = generated(&format!("proofload-{}.1", described.name));
        for arg in described.command.get_arguments() {
            let name = arg.get_long().unwrap_or_default().replace('-', r"\-");
            assert!(page.contains(&format!(r"\fB\-\-{name}\fR")), "{name}: {page}");
        }
        assert!(page.contains("Flags are written as in Go"), "{page}");
    }
    assert!(generated("proofload-verifier.1").contains("kgo"), "its other name");
}

/// What bash offers for the last of these words.
fn offered(words: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("completions");
    fs::write(&script, generated("proofload.bash")).unwrap();
    let list = r#"source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _proofload
                  printf '%s\n' "${COMPREPLY[@]}""#;
    let shell = Command::new("bash").args(["-c", list, "bash"]).arg(&script).args(words).output().unwrap();
    assert!(shell.status.success() && shell.stderr.is_empty(), "{shell:?}");
    String::from_utf8(shell.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

#[test]
fn bash_completes_flags_of_one_dash_and_of_two() {
    assert_eq!(offered(&["proofload", "ver"]), ["verifier"]);
    assert_eq!(offered(&["kgo-verifier", "--produce_m"]), ["--produce_msgs"]);
    assert_eq!(offered(&["kgo-verifier", "-produce_m"]), ["-produce_msgs"]);
    assert_eq!(offered(&["/usr/bin/kgo-repeater", "-topic", "t", "--initial"]), ["--initial-data-mb"]);
    assert_eq!(offered(&["proofload", "repeater", "--compression-type", "z"]), ["zstd"]);
    assert_eq!(offered(&["proofload", "repeater", "-compression-type", "l"]), ["lz4"]);
    assert!(offered(&["proofload", "repeater", "-produce_m"]).is_empty(), "that is the verifier's");
    assert!(offered(&["kgo-verifier", "--topic", "-"]).is_empty(), "any word may be a topic");
    let all = offered(&["proofload", "doctor", "-"]);
    assert!(
        all.contains(&"-brokers".to_owned()) && all.iter().all(|flag| !flag.starts_with("--")),
        "{all:?}"
    );
}

#[test]
fn zsh_and_fish_have_both_dashes_of_every_flag() {
    let (zsh, fish) = (generated("_proofload"), generated("proofload.fish"));
    assert!(zsh.starts_with("#compdef proofload kgo-verifier kgo-repeater\n"), "{zsh}");
    for described in commands() {
        for name in described.command.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(zsh.contains(&format!("{{-{name},--{name}}}")), "{name}: {zsh}");
            let both = if name.len() == 1 { format!("-s {name} ") } else { format!("-o {name} -l {name} ") };
            let of =
                |program: &str| fish.lines().any(|line| line.starts_with(program) && line.contains(&both));
            let own = format!("complete -c proofload -n '__fish_seen_subcommand_from {}'", described.name);
            assert!(of(&own), "{name}: {fish}");
            assert!(described.link.is_none_or(|link| of(&format!("complete -c {link} "))), "{name}: {fish}");
        }
    }
}
