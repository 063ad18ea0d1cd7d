//! A terminal: a pseudo-terminal, and an emulator that knows what its screen shows.

use std::{
    fs::File,
    io::{Read, Write},
    num::NonZeroU16,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use nix::pty::{Winsize, openpty};
use rustix::termios;

/// Rows that scrolled away and are still known.
const SCROLLBACK: usize = 1_000;

/// What a screen shows at a moment, looked at whenever it changes.
pub type Look = Box<dyn FnMut(&vt100::Screen) + Send>;

struct Shown {
    emulator: vt100::Parser,
    /// All that was written there.
    output: Vec<u8>,
}

/// A terminal of some size. It ends when its last program does.
pub struct Terminal {
    keyboard: File,
    shown: Arc<Mutex<Shown>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// The terminal, and what a program gets for its standard input, output and error.
    pub fn new(rows: u16, columns: u16, mut look: Look) -> (Self, OwnedFd) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).expect("a pseudo-terminal");
        let keyboard = File::from(pty.master);
        let mut output = keyboard.try_clone().expect("a second handle");
        let emulator = vt100::Parser::new(cells(rows), cells(columns), SCROLLBACK);
        let shown = Arc::new(Mutex::new(Shown { emulator, output: Vec::new() }));
        let of_reader = shown.clone();
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4096];
            // An error is how Linux says that nobody has the other end any more.
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                let mut shown = lock(&of_reader);
                shown.output.extend_from_slice(&bytes[..count]);
                shown.emulator.process(&bytes[..count]);
                look(shown.emulator.screen());
            }
        });
        (Self { keyboard, shown, reader: Some(reader) }, pty.slave)
    }

    /// Types something.
    pub fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).expect("a terminal that takes keys");
    }

    /// Makes it larger or smaller; the programs get SIGWINCH.
    pub fn resize(&self, rows: u16, columns: u16) {
        let mut shown = lock(&self.shown);
        shown.emulator.set_size(cells(rows), cells(columns));
        let size = termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        termios::tcsetwinsize(&self.keyboard, size).expect("a terminal with a size");
    }

    /// The rows that it shows, without what is blank behind and below.
    pub fn rows(&self) -> Vec<String> {
        rows(lock(&self.shown).emulator.screen())
    }

    /// All that was written there, escape sequences too.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&lock(&self.shown).output).into_owned()
    }

    /// Waits until all programs on it have ended, and everything is shown.
    pub fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("nothing wrong on the screen");
        }
    }
}

/// The same of a screen.
pub fn rows(screen: &vt100::Screen) -> Vec<String> {
    let (_, columns) = screen.size();
    let mut rows: Vec<_> = screen.rows(0, columns.get()).map(|row| row.trim_end().to_owned()).collect();
    while rows.last().is_some_and(String::is_empty) {
        rows.pop();
    }
    rows
}

fn cells(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("a terminal with room")
}

fn lock(shown: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}
