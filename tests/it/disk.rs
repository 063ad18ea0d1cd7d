//! Working directories that take no ledger: the run ends with 3 and names the file, and the ledger
//! that was there stays whole.

use std::{
    ffi::OsString,
    fs,
    process::{Command, Stdio},
};

use crate::{
    Test,
    dsl::{
        Finished, Mock, Run, Topic, Workdir, janitor,
        ledger::{self, LedgerFile},
        run,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Alone(a_folder_in_the_temporary_files_place_ends_the_run_before_it_begins),
        If(can_mount, a_read_only_working_directory_ends_the_run_before_it_begins),
        If(can_mount, a_full_disk_ends_the_run_before_it_begins),
        If(can_mount, a_disk_that_fills_up_during_the_run_ends_it),
        If(can_mount, readers_need_no_room_on_the_disk),
    ]
}

/// A small file system in the place of folder `$1`, seen by this process and its children only. Runs the
/// program there; `$2` is done to the folder first; what it holds afterwards is copied to `$3`.
const ON_SMALL_DISK: &str = r#"
    set -u
    dir=$1 prepare=$2 out=$3
    shift 3
    old=$(mktemp -d) && cp -a "$dir/." "$old" || exit 90
    mount -t tmpfs -o size=64k none "$dir" && cd "$dir" && cp -a "$old/." . && rm -r "$old" || exit 91
    eval "$prepare"
    "$@"
    code=$?
    cp -a . "$out"
    exit $code
"#;

/// Fills all that is left, again and again, as room is freed whenever a file is replaced.
const FILL: &str = "cat /dev/zero >>filler 2>/dev/null";

/// A mount that only the test sees; as a user without privileges, if need be.
fn unshare() -> Option<Vec<OsString>> {
    let ways = ["unshare --mount", "unshare --user --map-root-user --mount"];
    let works = |way: &&str| {
        let probe =
            "d=$(mktemp -d) && mount -t tmpfs -o size=64k none \"$d\" && umount \"$d\" && rmdir \"$d\"";
        let mut command = Command::new("unshare");
        command.args(way.split(' ').skip(1)).args(["sh", "-c", probe]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    ways.iter().find(|way| works(way)).map(|way| way.split(' ').map(OsString::from).collect())
}

fn can_mount() -> Result<(), String> {
    unshare().map(drop).ok_or_else(|| "nothing can be mounted here, so disks cannot be full".to_owned())
}

/// A topic of one partition with 5 records, and a ledger that lists them.
struct Scene {
    _mock: Mock,
    topic: Topic,
    workdir: Workdir,
    text: String,
}

impl Scene {
    fn new() -> Self {
        let mock = Mock::start();
        let (topic, workdir) = (mock.topic(1), Workdir::new());
        topic.write_proven(0, 0..5);
        let text = LedgerFile::of(&[&[(0, 5)]]).text();
        workdir.write(&ledger::file_name(topic.name()), &text);
        Self { _mock: mock, topic, workdir, text }
    }

    fn file(&self) -> String {
        ledger::file_name(self.topic.name())
    }

    fn run(&self, work: &str) -> Run {
        Run::verifier().in_dir(&self.workdir).args(self.topic.flags()).args(work)
    }

    /// On a small disk, prepared like this. Returns how it ended, and the ledger's text afterwards.
    fn run_on_small_disk(&self, prepare: &str, work: &str) -> (Finished, String) {
        let out = janitor::folder();
        let mut words = unshare().expect("a way to mount");
        words.extend(["sh", "-c", ON_SMALL_DISK, "small-disk"].map(OsString::from));
        words.extend([self.workdir.path().into(), prepare.into(), out.path().into()]);
        let finished = self.run(work).under(words).finish();
        let text = run::contents_of(out.path()).remove(&self.file()).expect("a ledger");
        (finished, String::from_utf8(text).expect("text"))
    }
}

const PRODUCE: &str = "--produce_msgs 10 --msg_size 100";

fn a_folder_in_the_temporary_files_place_ends_the_run_before_it_begins() {
    let scene = Scene::new();
    fs::create_dir(scene.workdir.path().join(scene.file() + ".tmp")).expect("a folder");
    let before = scene.workdir.contents();
    let finished = scene.run(PRODUCE).finish().expect_code(3);
    finished.expect_one_error(&[&scene.file(), "cannot be written"]);
    assert_eq!(scene.workdir.contents(), before, "no file touched");
    assert_eq!(scene.topic.ends(), [5], "nothing produced");
}

fn a_read_only_working_directory_ends_the_run_before_it_begins() {
    let scene = Scene::new();
    let (finished, text) = scene.run_on_small_disk("mount -o remount,ro .", PRODUCE);
    finished.expect_code(3).expect_one_error(&[&scene.file(), "cannot be written"]);
    assert_eq!(text, scene.text, "the old ledger stays whole");
    assert_eq!(scene.topic.ends(), [5], "nothing produced");
}

fn a_full_disk_ends_the_run_before_it_begins() {
    let scene = Scene::new();
    let (finished, text) = scene.run_on_small_disk(FILL, PRODUCE);
    finished.expect_code(3).expect_one_error(&[&scene.file(), "cannot be written"]);
    assert_eq!(text, scene.text, "the old ledger stays whole");
    assert_eq!(scene.topic.ends(), [5], "nothing produced");
}

fn a_disk_that_fills_up_during_the_run_ends_it() {
    let scene = Scene::new();
    // Once the ledger is another one than before, there is no more room.
    let prepare = format!(
        "cp {file} was; (while cmp -s {file} was; do sleep 0.1; done; while :; do {FILL}; sleep 0.1; done) & filler=$!; \
         trap 'kill $filler' EXIT",
        file = scene.file()
    );
    let endless = "--produce_msgs 10000000000 --msg_size 100 --produce-throughput-bps 5000";
    let (finished, text) = scene.run_on_small_disk(&prepare, endless);
    finished.expect_code(3).expect_output(&[&scene.file(), "cannot be written", "NOT DONE"]);
    let ledger: LedgerFile = serde_json::from_str(&text).expect("a ledger that is whole");
    let (ranges, end) = (ledger.ranges(), scene.topic.ends()[0]);
    assert_eq!(ranges[0].len(), 1, "{ranges:?}");
    let (lower, upper) = ranges[0][0];
    assert!(lower == 0 && upper > 5 && upper <= end, "{ranges:?}, and the log ends at {end}");
}

fn readers_need_no_room_on_the_disk() {
    let scene = Scene::new();
    let (finished, text) = scene.run_on_small_disk(FILL, "--seq_read --rand_read_msgs 3");
    finished.expect_code(0).expect_output(&["5 records proven valid", "3 records proven valid"]);
    assert_eq!(text, scene.text);
}
