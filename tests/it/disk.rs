//! Working directories that take no ledger: the run ends with 3 and names the file, and the ledger
//! that was there stays whole.

use std::{
    ffi::OsString,
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    Test,
    dsl::{
        Finished, Mock, Run, Running, Topic, Workdir, janitor,
        ledger::{self, LedgerFile},
        run, wait_until,
    },
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Alone(a_folder_in_the_temporary_files_place_ends_the_run_before_it_begins),
        If(can_mount, a_read_only_working_directory_ends_the_run_before_it_begins),
        If(can_mount, a_full_disk_ends_the_run_before_it_begins),
        If(can_mount, a_disk_that_fills_up_during_the_run_ends_it),
        If(can_mount, a_working_directory_that_turns_read_only_during_the_run_ends_it),
        Alone(a_working_directory_that_is_deleted_during_the_run_ends_it),
        Alone(a_working_directory_that_is_renamed_during_the_run_keeps_its_ledger),
        If(can_mount, readers_need_no_room_on_the_disk),
        Alone(two_producers_do_not_keep_one_ledger),
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
const ENDLESS: &str = "--produce_msgs 10000000000 --msg_size 100 --produce-throughput-bps 5000";
/// How soon a run must be over that cannot write its ledger: a bound, not a measurement.
const SOON: Duration = Duration::from_secs(30);

/// What to do, and what is left.
const ROOM: &str = "make room on its disk";
const WRITABLE: &str = "let this user write to its folder";
const WHOLE: &str = "the file there is the last one that was whole";

fn a_folder_in_the_temporary_files_place_ends_the_run_before_it_begins() {
    let scene = Scene::new();
    fs::create_dir(scene.workdir.path().join(scene.file() + ".tmp")).expect("a folder");
    let before = scene.workdir.contents();
    let finished = scene.run(PRODUCE).finish().expect_code(3);
    finished.expect_one_error(&[&scene.file(), "cannot be written", WHOLE]);
    assert_eq!(scene.workdir.contents(), before, "no file touched");
    assert_eq!(scene.topic.ends(), [5], "nothing produced");
}

fn a_read_only_working_directory_ends_the_run_before_it_begins() {
    let scene = Scene::new();
    let (finished, text) = scene.run_on_small_disk("mount -o remount,ro .", PRODUCE);
    finished.expect_code(3).expect_one_error(&[&scene.file(), "cannot be written", WRITABLE, WHOLE]);
    assert_eq!(text, scene.text, "the old ledger stays whole");
    assert_eq!(scene.topic.ends(), [5], "nothing produced");
}

fn a_full_disk_ends_the_run_before_it_begins() {
    let scene = Scene::new();
    let (finished, text) = scene.run_on_small_disk(FILL, PRODUCE);
    finished.expect_code(3).expect_one_error(&[&scene.file(), "cannot be written", ROOM, WHOLE]);
    assert_eq!(text, scene.text, "the old ledger stays whole");
    assert_eq!(scene.topic.ends(), [5], "nothing produced");
}

/// Once the ledger is another one than before.
fn when_written(scene: &Scene, then: &str) -> String {
    format!(
        "cp {file} was; (while cmp -s {file} was; do sleep 0.1; done; {then}) & later=$!; \
         trap 'kill $later 2>/dev/null' EXIT",
        file = scene.file()
    )
}

/// Whatever happened to its folder: the ledger is whole, and lists nothing that is not there.
fn expect_whole_prefix(scene: &Scene, text: &str) {
    let ledger: LedgerFile = serde_json::from_str(text).expect("a ledger that is whole");
    let (ranges, end) = (ledger.ranges(), scene.topic.ends()[0]);
    assert_eq!(ranges[0].len(), 1, "{ranges:?}");
    let (lower, upper) = ranges[0][0];
    assert!(lower == 0 && upper > 5 && upper <= end, "{ranges:?}, and the log ends at {end}");
}

fn a_disk_that_fills_up_during_the_run_ends_it() {
    let scene = Scene::new();
    let prepare = when_written(&scene, &format!("while :; do {FILL}; sleep 0.1; done"));
    let (finished, text) = scene.run_on_small_disk(&prepare, ENDLESS);
    let finished = finished.expect_code(3).expect_output(&["FAILED: "]).expect_no_output(&["panicked"]);
    finished.expect_one_error(&[&scene.file(), "cannot be written", ROOM, WHOLE]);
    expect_whole_prefix(&scene, &text);
}

fn a_working_directory_that_turns_read_only_during_the_run_ends_it() {
    let scene = Scene::new();
    // It is busy while the ledger is written.
    let prepare = when_written(&scene, "until mount -o remount,ro . 2>/dev/null; do sleep 0.02; done");
    let (finished, text) = scene.run_on_small_disk(&prepare, ENDLESS);
    let finished = finished.expect_code(3).expect_output(&["FAILED: "]).expect_no_output(&["panicked"]);
    finished.expect_one_error(&[&scene.file(), "cannot be written", WRITABLE, WHOLE]);
    expect_whole_prefix(&scene, &text);
}

/// A run that produces for ever, and has written its ledger.
fn producing(scene: &Scene) -> Running {
    let run = scene.run(ENDLESS).start();
    wait_until("a ledger with what was acked", || {
        LedgerFile::find(scene.workdir.path(), scene.topic.name()).is_some_and(|ledger| ledger.count() > 5)
    });
    run
}

fn a_working_directory_that_is_deleted_during_the_run_ends_it() {
    let scene = Scene::new();
    let run = producing(&scene);
    // A file may be made in it meanwhile.
    wait_until("a folder that is gone", || fs::remove_dir_all(scene.workdir.path()).is_ok());
    let finished = run.finish_within(SOON).expect_code(3).expect_output(&["FAILED: "]);
    finished.expect_no_output(&["panicked"]).expect_one_error(&[
        &scene.file(),
        "cannot be written",
        "its folder does not exist: make it",
        "there is no file now",
    ]);
}

/// A process stays in its working directory, whatever that is called.
fn a_working_directory_that_is_renamed_during_the_run_keeps_its_ledger() {
    let scene = Scene::new();
    let run = producing(&scene);
    let elsewhere = Workdir::new();
    let renamed = elsewhere.path().join("renamed");
    fs::rename(scene.workdir.path(), &renamed).expect("another name");
    let before = LedgerFile::read(&renamed, scene.topic.name()).count();
    wait_until("a later ledger", || LedgerFile::read(&renamed, scene.topic.name()).count() > before);
    run.signal(Signal::SIGTERM);
    run.finish_within(SOON).expect_code(0).expect_no_output(&["ERROR"]);
    LedgerFile::read(&renamed, scene.topic.name()).expect_all_up_to(&scene.topic.ends());
}

fn readers_need_no_room_on_the_disk() {
    let scene = Scene::new();
    let (finished, text) = scene.run_on_small_disk(FILL, "--seq_read --rand_read_msgs 3");
    finished.expect_code(0).expect_output(&["5 records proven valid", "3 records proven valid"]);
    assert_eq!(text, scene.text);
}

/// Each would take out of the file what the other has been acked.
fn two_producers_do_not_keep_one_ledger() {
    let mock = Mock::start();
    let (topic, workdir) = (mock.topic(2), Workdir::new());
    let start = || {
        let work = "--produce_msgs 1000000000 --msg_size 50 --produce-throughput-bps 50000";
        Run::verifier().in_dir(&workdir).args(topic.flags()).args(work).start()
    };
    let (first, second) = (start(), start());
    // Whichever comes upon the other's file first.
    let has_refused = |run: &Running| run.stderr().contains("another process writes it, too");
    wait_until("one that does not go on", || has_refused(&first) || has_refused(&second));
    let (refused, other) = if has_refused(&first) { (first, second) } else { (second, first) };
    refused
        .finish()
        .expect_code(3)
        .expect_one_error(&[&ledger::file_name(topic.name()), "only one producer"]);
    other.signal(Signal::SIGINT);
    other.finish();
    LedgerFile::read(workdir.path(), topic.name());
}
