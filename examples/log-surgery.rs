//! Damages the log of a partition, whose broker must have been stopped cleanly, and says where: what `scripts/demo` has
//! the program find.
//!
//! `log-surgery remove|flip|double FOLDER`, with the folder of a partition.

#[path = "../tests/it/dsl/codecs.rs"]
mod codecs;
#[path = "../tests/it/dsl/surgery.rs"]
#[expect(dead_code, reason = "the tests do more")]
mod surgery;

use std::{env, path::Path, process::ExitCode};

use surgery::Log;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let [what, folder] = words.as_slice() else { return usage() };
    let operation = match what.as_str() {
        "remove" => remove,
        "flip" => flip,
        "double" => double,
        _ => return usage(),
    };
    let folder = Path::new(folder);
    let mut log = Log::open(folder);
    let said = operation(&mut log);
    log.close();
    println!("{}: {said}", folder.file_name().unwrap_or_default().display());
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("log-surgery: needs remove, flip or double, and the folder of a partition");
    ExitCode::from(2)
}

/// The offset in the middle of the log.
fn middle(log: &mut Log) -> i64 {
    let offsets: Vec<i64> = log.data().flat_map(|batch| &batch.records).map(|record| record.offset).collect();
    *offsets.get(offsets.len() / 2).expect("a log with records")
}

fn remove(log: &mut Log) -> String {
    let offset = middle(log);
    log.remove(offset..offset + 1);
    format!("the record at offset {offset} is removed")
}

fn flip(log: &mut Log) -> String {
    let offset = middle(log);
    let value = log.record(offset).value.as_mut().expect("a value");
    let byte = value.len() / 2;
    value[byte] ^= 1;
    format!("a bit of the value at offset {offset} is flipped, and the checksum made right")
}

fn double(log: &mut Log) -> String {
    let last = log.data().flat_map(|batch| &batch.records).map(|record| record.offset).max();
    let offset = last.expect("a log with records");
    log.duplicate(offset);
    format!("the record at offset {offset} is stored again, at {}", offset + 1)
}
