//! The packages, as they are installed: into a folder of their own, and run there.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::{
    Test,
    dsl::{Workdir, source, tool_is_there},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        If(dpkg_is_there, an_installed_package_runs_and_takes_the_place_of_an_older_one),
        If(buildah_is_there, an_image_from_scratch_runs_with_the_profile_and_not_without),
        If(jq_is_there, a_seccomp_profile_is_given_io_uring_and_nothing_else),
    ]
}

fn dpkg_is_there() -> Result<(), String> {
    tool_is_there("dpkg-deb", "dpkg")?;
    tool_is_there("objdump", "binutils")?;
    if nix::unistd::geteuid().is_root() { Ok(()) } else { Err("only root may install packages".to_owned()) }
}

/// What builds and runs an image without a daemon; and where its package has the profile that it runs with by default.
fn buildah_is_there() -> Result<(), String> {
    dpkg_is_there()?;
    jq_is_there()?;
    tool_is_there("buildah", "buildah")?;
    if !Path::new(DEFAULT_PROFILE).exists() {
        return Err(format!("there is no {DEFAULT_PROFILE} (package golang-github-containers-common)"));
    }
    let apart = Command::new("unshare").args(["--mount", "--pid", "--fork", "true"]).output();
    match apart {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err("containers cannot be run here: unshare is not permitted".to_owned()),
    }
}

const DEFAULT_PROFILE: &str = "/usr/share/containers/seccomp.json";

fn jq_is_there() -> Result<(), String> {
    tool_is_there("jq", "jq")
}

#[track_caller]
fn output(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// A root with nothing but what the loader needs, and an empty list of packages.
fn clean_root(root: &Path) {
    for folder in ["var/lib/dpkg/updates", "var/lib/dpkg/info", "tmp", "proc", "etc", "root"] {
        fs::create_dir_all(root.join(folder)).expect("a folder");
    }
    fs::write(root.join("var/lib/dpkg/status"), "").expect("a list");
    // As on every system whose /usr is whole.
    for folder in ["lib", "lib64"] {
        fs::create_dir_all(root.join("usr").join(folder)).expect("a folder");
        symlink(format!("usr/{folder}"), root.join(folder)).expect("a link");
    }
    for line in output(Command::new("ldd").arg(env!("CARGO_BIN_EXE_proofload"))).lines() {
        let Some(library) = line.split_whitespace().find(|word| word.starts_with('/')) else { continue };
        let place = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
        fs::copy(library, place).expect("a library");
    }
}

/// Makes the packages of the program that is tested; the Debian one.
fn package(folder: &Path, version: &str) -> PathBuf {
    let mut script = Command::new(source("scripts/package"));
    script.args(["--quick", "--binary", env!("CARGO_BIN_EXE_proofload"), "--version", version, "--output"]);
    let said = output(script.arg(folder));
    let is_debian = |file: &&str| Path::new(file).extension().is_some_and(|end| end == "deb");
    let file = said.lines().filter_map(|line| line.strip_prefix("package: ")).find(is_debian);
    file.unwrap_or_else(|| panic!("no package: {said}")).into()
}

fn install(root: &Path, package: &Path) {
    let mut dpkg = Command::new("dpkg");
    // The libraries are there, and not as packages.
    dpkg.arg("--root").arg(root).args(["--force-depends", "--force-script-chrootless", "-i"]);
    output(dpkg.arg(package));
}

fn run_in(root: &Path, words: &[&str]) -> String {
    output(Command::new("chroot").arg(root).args(words))
}

fn an_installed_package_runs_and_takes_the_place_of_an_older_one() {
    let folder = Workdir::new();
    let root = folder.path().join("clean");
    clean_root(&root);
    let newer = package(&folder.path().join("new"), "0.2.0");
    // The same with another version, and with a file that the newer one has no more.
    let older = folder.path().join("older");
    output(Command::new("dpkg-deb").arg("-R").arg(&newer).arg(&older));
    let control = older.join("DEBIAN/control");
    let text = fs::read_to_string(&control).expect("its description");
    fs::write(control, text.replace("Version: 0.2.0", "Version: 0.1.0")).expect("its description");
    fs::write(older.join("usr/bin/proofload-old"), "").expect("a file");
    let older_package = folder.path().join("older.deb");
    output(Command::new("dpkg-deb").args(["-Zgzip", "-z1", "--build"]).arg(&older).arg(&older_package));
    install(&root, &older_package);
    assert!(root.join("usr/bin/proofload-old").exists());
    install(&root, &newer);
    assert!(!root.join("usr/bin/proofload-old").exists(), "what the older one had is gone");
    for name in ["kgo-verifier", "kgo-repeater"] {
        assert_eq!(fs::read_link(root.join("usr/bin").join(name)).expect("a link"), Path::new("proofload"));
        assert!(run_in(&root, &[&format!("/usr/bin/{name}"), "--help"]).contains(&format!("Usage: {name} ")));
        // Manuals and completions by that name lead to those of the program.
        let page = root.join(format!("usr/share/man/man1/{name}.1.gz"));
        let page = output(Command::new("gzip").arg("-dc").arg(page));
        assert!(page.contains(r"\-\-compressible\-payload"), "{page}");
        assert!(root.join("usr/share/bash-completion/completions").join(name).exists());
        assert!(root.join(format!("usr/share/fish/vendor_completions.d/{name}.fish")).exists());
    }
    assert!(root.join("usr/share/zsh/vendor-completions/_proofload").exists());
    let work = "--brokers embedded --topic t --produce_msgs 200 --msg_size 50 --seq_read";
    let words: Vec<&str> = ["/usr/bin/kgo-verifier"].into_iter().chain(work.split(' ')).collect();
    assert!(run_in(&root, &words).contains("PROVEN"));
    // What goes into an image has all that it needs.
    let scratch = folder.path().join("new/scratch");
    assert!(run_in(&scratch, &words).contains("PROVEN"));
    assert!(scratch.join("var/lib/proofload").is_dir());
    let tarball = fs::read_dir(folder.path().join("new")).expect("a folder");
    let tarball = tarball
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "gz"));
    let listed = output(Command::new("tar").arg("-tzf").arg(tarball.expect("a tar ball")));
    assert!(listed.lines().any(|file| file == "usr/bin/kgo-verifier"), "{listed}");
}

/// The second half of the Dockerfile, which needs no image from elsewhere.
fn an_image_from_scratch_runs_with_the_profile_and_not_without() {
    let folder = Workdir::new();
    let path = |name: &str| folder.path().join(name).to_str().expect("a name").to_owned();
    package(&folder.path().join("packages"), "0.2.0");
    let dockerfile = fs::read_to_string(source("deploy/Dockerfile")).expect("the Dockerfile");
    let (_, second) = dockerfile.split_once("FROM scratch").expect("an image from scratch");
    let second = second.replace("--from=build ", "").replace(" /packages/", " packages/");
    folder.write("Dockerfile", format!("FROM scratch{second}"));
    let profile = output(Command::new("jq").arg("-f").arg(source("deploy/seccomp.jq")).arg(DEFAULT_PROFILE));
    folder.write("profile.json", profile);
    let buildah = |words: &str| {
        let mut command = Command::new("buildah");
        command.args(["--storage-driver", "vfs", "--root", &path("storage"), "--runroot", &path("running")]);
        command.current_dir(folder.path()).args(words.split(' '));
        command
    };
    let _ = output(&mut buildah("bud -q --isolation chroot -t proofload ."));
    let work =
        "/usr/bin/kgo-verifier --brokers embedded --topic t --produce_msgs 200 --msg_size 50 --seq_read";
    for (options, expected) in [("--security-opt seccomp=profile.json ", "PROVEN"), ("", "io_uring")] {
        let container = output(&mut buildah(&format!("from {options}proofload")));
        let run = buildah(&format!("run --isolation chroot {} -- {work}", container.trim())).output();
        let Output { status, stdout, .. } = run.expect("buildah");
        let said = String::from_utf8_lossy(&stdout);
        assert_eq!(status.success(), expected == "PROVEN", "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

fn a_seccomp_profile_is_given_io_uring_and_nothing_else() {
    let profile =
        r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}"#;
    let folder = Workdir::new();
    folder.write("default.json", profile);
    let script = source("deploy/seccomp.jq");
    let made = output(Command::new("jq").arg("-f").arg(script).arg(folder.path().join("default.json")));
    let made: serde_json::Value = serde_json::from_str(&made).expect("a profile");
    let names = ["io_uring_enter", "io_uring_register", "io_uring_setup"];
    let expected = serde_json::json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [
            { "names": ["read"], "action": "SCMP_ACT_ALLOW" },
            { "names": names, "action": "SCMP_ACT_ALLOW" },
        ],
    });
    assert_eq!(made, expected);
}
