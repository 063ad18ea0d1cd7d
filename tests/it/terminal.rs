//! What a terminal shows: by what stands on its screen, in the widths that people use.

use std::{
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

use crate::{
    Test,
    dsl::{
        Mock, Run, Workdir, janitor,
        pty::{self, Terminal},
        wait_for,
    },
    tests,
};

const VERIFIER: &str = env!("CARGO_BIN_EXE_kgo-verifier");
/// Two seconds and a half of producing, then a short read.
const SHORT: &str = "--msg_size 1000 --produce_msgs 300 --produce-throughput-bps 120000 --seq_read";
/// More than any test waits for.
const LONG: &str = "--msg_size 1000 --produce_msgs 1000000 --produce-throughput-bps 200000";

pub fn tests() -> Vec<(String, Test)> {
    let widths = [40, 60, 80, 150].map(|columns| {
        let name = format!("terminal::a_run_fits_into_{columns}_columns");
        (name, Test::Case(Box::new(move || a_run_fits(columns))))
    });
    let others = tests![
        Alone(the_bar_follows_the_size),
        Alone(log_lines_stand_above_the_bar),
        Alone(an_interrupted_run_leaves_only_its_summary),
        Alone(a_second_interrupt_ends_at_once_and_says_so),
        Alone(a_repeater_shows_its_group_until_it_ends),
        Alone(a_dumb_terminal_gets_lines_without_colours),
        Alone(colours_and_bars_can_be_had_and_forbidden),
        Alone(the_first_line_of_progress_comes_soon),
    ];
    widths.into_iter().chain(others).collect()
}

/// A program on a terminal.
struct OnTerminal {
    child: Child,
    terminal: Terminal,
    /// What was wrong on the screen at some moment.
    faults: Arc<Mutex<Vec<String>>>,
    _workdir: Workdir,
}

/// Whether a row is the live line, or a part of one.
fn is_live(row: &str) -> bool {
    ["produce ", "sequential read ", "repeat "].iter().any(|name| row.starts_with(name))
}

/// Whether it shows that something was acked.
fn has_progress(row: &str) -> bool {
    is_live(row) && row.contains(" acked, ") && !row.contains(" 0 of ")
}

impl OnTerminal {
    /// Starts a program there; it gets what is typed, and SIGINT for Ctrl-C. From the first to the last byte there must
    /// be at most one live line, below everything else, that did not wrap.
    fn start(program: &str, args: &str, columns: u16, environment: &[(&str, &str)]) -> Self {
        let faults = Arc::new(Mutex::new(Vec::new()));
        let found = faults.clone();
        let look = move |screen: &vt100::Screen| {
            let rows = pty::rows(screen);
            let live: Vec<_> = (0..rows.len()).filter(|row| is_live(&rows[*row])).collect();
            let wraps = live.iter().any(|row| screen.row_wrapped(u16::try_from(*row).unwrap_or_default()));
            if live.len() > 1 || live.first().is_some_and(|row| row + 1 < rows.len()) || wraps {
                found.lock().unwrap_or_else(PoisonError::into_inner).push(rows.join("\n"));
            }
        };
        let (terminal, stdio) = Terminal::new(40, columns, Box::new(look));
        let stream = || Stdio::from(stdio.try_clone().expect("a second handle"));
        let workdir = Workdir::new();
        let mut command = Command::new("setsid");
        // It becomes the program, in a session whose terminal this is.
        command.arg("--ctty").arg(program).args(args.split_whitespace());
        command.args(["--remote-port", "0"]).current_dir(workdir.path());
        for name in ["RUST_LOG", "NO_COLOR", "COLUMNS"] {
            command.env_remove(name);
        }
        command.env("TERM", "xterm").envs(environment.iter().copied());
        let child = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().expect("setsid");
        janitor::tell("+pid", child.id().to_string());
        Self { child, terminal, faults, _workdir: workdir }
    }

    fn verifier(args: &str, columns: u16) -> Self {
        let args = format!("--brokers embedded --topic demo {args}");
        Self::start(VERIFIER, &args, columns, &[])
    }

    /// Waits for a row like this one.
    #[track_caller]
    fn until(&self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        wait_for(what, || self.terminal.rows().into_iter().find(|row| is_it(row)))
    }

    #[track_caller]
    fn until_live(&self) -> String {
        self.until("a live line", is_live)
    }

    fn signal(&self, signal: Signal) {
        signal::kill(Pid::from_raw(self.child.id().cast_signed()), signal)
            .expect("a process that takes signals");
    }

    /// What is on the screen at the end.
    #[track_caller]
    fn finish(mut self, code: i32) -> Vec<String> {
        let status = wait_for("the end", || self.child.try_wait().expect("its state"));
        self.terminal.finish();
        let rows = self.terminal.rows();
        assert_eq!(status.code(), Some(code), "{}", rows.join("\n"));
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            faults.is_empty(),
            "{} times, first:\n{}\nat the end:\n{}",
            faults.len(),
            faults[0],
            rows.join("\n")
        );
        assert!(!rows.iter().any(|row| is_live(row)), "nothing of the bar is left:\n{}", rows.join("\n"));
        rows
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // It may be over already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        janitor::tell("-pid", self.child.id().to_string());
    }
}

/// The rows from the verdict on.
#[track_caller]
fn summary(rows: &[String]) -> &[String] {
    let first = rows.iter().position(|row| row.starts_with("proofload: "));
    let first = first.unwrap_or_else(|| panic!("no summary:\n{}", rows.join("\n")));
    &rows[first..]
}

fn a_run_fits(columns: u16) {
    let run = OnTerminal::verifier(SHORT, columns);
    let line = run.until("a live line with a rate", |row| is_live(row) && row.contains("/s"));
    assert!(line.contains('%') && line.chars().count() < usize::from(columns), "{line}");
    if columns >= 80 {
        assert!(line.contains('[') && line.contains(" of 300 acked"), "{line}");
    }
    let rows = run.finish(0);
    let summary = summary(&rows);
    assert!(summary[0].starts_with("proofload: PROVEN: "), "{summary:?}");
    let text = summary.iter().map(|row| row.trim()).collect::<Vec<_>>().join(" ");
    for part in [
        "nothing lost, moved, repeated, reordered or altered",
        "300 of 300 records acked",
        "sequential 300 records",
        // The last row, which a bar used to erase.
        "MiB of memory",
    ] {
        assert!(text.replace("  ", " ").contains(part), "no '{part}':\n{}", summary.join("\n"));
    }
    if columns < 80 {
        assert!(summary.iter().any(|row| row.starts_with("              ")), "{}", summary.join("\n"));
    }
}

fn the_bar_follows_the_size() {
    let run = OnTerminal::verifier(LONG, 150);
    run.until("a wide line", |row| is_live(row) && row.contains("ack p50"));
    for columns in [60, 40, 80, 120] {
        // What it has drawn for the old size is on the screen, not on its way there.
        run.signal(Signal::SIGSTOP);
        thread::sleep(Duration::from_millis(100));
        run.terminal.resize(40, columns);
        run.signal(Signal::SIGCONT);
        let room = usize::from(columns);
        // The emulator cuts what does not fit, and the line that follows fills the room that is there.
        run.until("a line of that width", |row| {
            let width = row.chars().count();
            is_live(row) && width < room && width > room / 2 && row.contains("/s")
        });
    }
    run.signal(Signal::SIGTERM);
    run.finish(0);
}

fn log_lines_stand_above_the_bar() {
    let mock = Mock::start();
    let run = OnTerminal::start(VERIFIER, &format!("{} {LONG}", mock.topic(2).flags()), 80, &[]);
    run.until("some progress", has_progress);
    mock.take_down();
    run.until("a log line", |row| row.contains(" is gone ("));
    run.until_live();
    mock.bring_up();
    run.until("another one", |row| row.contains(" is back ("));
    run.until_live();
    run.signal(Signal::SIGTERM);
    let rows = run.finish(0);
    let lines = rows.iter().filter(|row| row.contains(" WARN ") || row.contains(" INFO ")).count();
    assert!(lines >= 4 && summary(&rows)[0].contains("INTERRUPTED"), "{}", rows.join("\n"));
}

fn an_interrupted_run_leaves_only_its_summary() {
    let mut run = OnTerminal::verifier(LONG, 80);
    run.until("some progress", has_progress);
    run.terminal.press(b"\x03");
    let rows = run.finish(0);
    assert!(rows.iter().any(|row| row.contains("SIGINT: ending the run")), "{}", rows.join("\n"));
    let summary = summary(&rows);
    let is_progress = |row: &String| row.contains('%') && !row.contains("% of ");
    assert!(!summary.iter().any(is_progress), "{}", summary.join("\n"));
    assert!(summary.last().is_some_and(|row| row.contains("memory")), "{}", summary.join("\n"));
}

fn a_second_interrupt_ends_at_once_and_says_so() {
    let mock = Mock::start();
    let args = format!("{} {LONG}", mock.topic(2).flags());
    let mut run = OnTerminal::start(VERIFIER, &args, 150, &[]);
    run.until("some progress", has_progress);
    // What is in flight is waited for, for seconds.
    mock.slow_down(Duration::from_mins(1));
    thread::sleep(Duration::from_millis(500));
    run.terminal.press(b"\x03");
    run.until("the first signal", |row| row.contains("SIGINT: ending the run"));
    // Those that come within a second are one.
    thread::sleep(Duration::from_millis(1_100));
    run.terminal.press(b"\x03");
    let rows = run.finish(3);
    let said = |words: &str| rows.iter().any(|row| row.contains(words));
    assert!(said("a second signal ends the process at once"), "{}", rows.join("\n"));
    assert!(said("SIGINT again: ending at once"), "{}", rows.join("\n"));
}

fn a_repeater_shows_its_group_until_it_ends() {
    let args = "--brokers embedded --topic t --group g --workers 2 --initial-data-mb 1";
    let mut run = OnTerminal::start(env!("CARGO_BIN_EXE_kgo-repeater"), args, 80, &[]);
    // The mock cluster describes no groups.
    let line = run.until("echoes", |row| is_live(row) && !row.contains(" 0/s"));
    assert!(line.starts_with("repeat group unknown, ") && !line.contains("member"), "{line}");
    run.terminal.press(b"\x03");
    let rows = run.finish(0);
    assert!(summary(&rows).iter().any(|row| row.contains("memory")), "{}", rows.join("\n"));
}

/// Runs the short work on a terminal 200 columns wide, and returns all that it wrote.
fn written(flags: &str, environment: &[(&str, &str)]) -> String {
    let args = format!("--brokers embedded --topic demo {SHORT} {flags}");
    let mut run = OnTerminal::start(VERIFIER, &args, 200, environment);
    let status = wait_for("the end", || run.child.try_wait().expect("its state"));
    run.terminal.finish();
    let text = run.terminal.output();
    assert!(status.success() && text.contains("300 of 300 records"), "{text}");
    text
}

const COLOUR: &str = "\x1b[32m";
/// Each time that the bar is drawn.
const ERASE: &str = "\x1b[J";

fn a_dumb_terminal_gets_lines_without_colours() {
    let text = written("", &[("TERM", "dumb")]);
    assert!(!text.contains('\x1b') && text.contains("INFO produce: "), "{text}");
}

fn colours_and_bars_can_be_had_and_forbidden() {
    for (flags, no_color, colours, bar, lines) in [
        ("", "", true, true, false),
        ("", "1", false, true, false),
        ("--color never --progress lines", "", false, false, true),
        ("--color always --progress never", "1", true, false, false),
        ("--log-format json", "", false, false, true),
    ] {
        let text = written(flags, &[("NO_COLOR", no_color)]);
        let found = (text.contains(COLOUR), text.contains(ERASE), text.contains("produce: "));
        assert_eq!(found, (colours, bar, lines), "'{flags}' NO_COLOR='{no_color}': {text}");
    }
}

fn the_first_line_of_progress_comes_soon() {
    let run = || Run::verifier().args(format!("--brokers embedded --topic demo {SHORT}"));
    let finished = run().finish().expect_code(0).expect_output(&["produce: "]);
    assert!(
        !finished.stderr.contains('\x1b') && !finished.stdout.contains('\x1b'),
        "{}",
        finished.transcript()
    );
    let forced = run().args("--progress bar --color always").finish().expect_code(0);
    assert!(
        forced.stderr.contains(COLOUR) && forced.stdout.contains("\x1b[1;32mPROVEN"),
        "{}",
        forced.transcript()
    );
    forced.expect_output(&["produce: ", "--progress bar: stderr is no terminal that can draw one"]);
    run().args("--progress never").finish().expect_code(0).expect_no_output(&["produce: "]);
}
