//! Beginning and ending transactions.
//!
//! librdkafka's calls wait for brokers, as long as those take. They run on a thread
//! of their own, one for each producer, so that a shard never waits with them.

use std::{ffi::CStr, sync::Arc, thread, time::Duration};

use crossbeam::channel::{Receiver, Sender};
use rdkafka::{bindings as rdk, types::RDKafkaRespErr as Code};

use super::{client::Handle, codes, wake_mux::Notifier};
use crate::{
    kafka::{ClientError, End, Ended, Reason, Transactions},
    runtime::cores::{affinity, cpu_set::CpuSet},
};

/// How long one attempt may take. Another follows: brokers are waited for without limit.
const ATTEMPT_MS: i32 = 10_000;
/// The pause between attempts that fail at once.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a client that cannot even begin waits before it says so: another is started in its place.
const PAUSE_AT_START: Duration = Duration::from_millis(500);

/// Starts the thread that begins and ends this client's transactions.
pub(crate) fn start(
    client: Arc<Handle>,
    cpus: &CpuSet,
    notifier: Notifier,
) -> Result<Transactions, ClientError> {
    let (transactions, todo, report) = Transactions::channel();
    let cpus = cpus.clone();
    let work = move || {
        // Where the client's own threads may run, this one may.
        let _ = affinity::restrict_current_thread(&cpus);
        serve(&client, &todo, &report, notifier);
    };
    thread::Builder::new()
        .name("transactions".to_owned())
        .spawn(work)
        .map_err(|error| ClientError::Start(format!("no thread for transactions: {error}")))?;
    Ok(transactions)
}

fn serve(client: &Handle, todo: &Receiver<End>, report: &Sender<Ended>, mut notifier: Notifier) {
    while let Ok(end) = todo.recv() {
        let outcome = end_and_begin(client, end);
        if report.send(outcome).is_err() {
            return;
        }
        notifier.notify();
    }
}

fn end_and_begin(client: &Handle, end: End) -> Ended {
    let ended = match end {
        End::Start => until_done(|| init(client)).map(|()| Ended::Started),
        End::Commit => match until_done(|| commit(client)) {
            Ok(()) => Ok(Ended::Committed),
            Err(Failure::MustAbort(reason)) => {
                until_done(|| abort(client)).map(|()| Ended::Aborted(Some(reason)))
            }
            Err(fatal) => Err(fatal),
        },
        End::Abort => {
            let reason = what_went_wrong(client);
            until_done(|| abort(client)).map(|()| Ended::Aborted(reason))
        }
    };
    match ended.and_then(|ended| until_done(|| begin(client)).map(|()| ended)) {
        Ok(ended) => ended,
        Err(failure) => {
            if end == End::Start {
                thread::sleep(PAUSE_AT_START);
            }
            match failure {
                Failure::Fatal(reason) => Ended::Fatal(reason),
                // Only a commit can ask for that; if anything else does, a new producer gets over it.
                Failure::MustAbort(_) | Failure::TryAgain => {
                    Ended::Fatal(codes::error(Code::RD_KAFKA_RESP_ERR__STATE).into())
                }
            }
        }
    }
}

/// Why the open transaction can only be aborted. The client says it to whoever asks for anything else, and beginning
/// another is what changes nothing while one is open.
fn what_went_wrong(client: &Handle) -> Option<Reason> {
    match begin(client) {
        Err(Failure::MustAbort(reason)) => Some(reason),
        _ => None,
    }
}

enum Failure {
    TryAgain,
    MustAbort(Reason),
    Fatal(Reason),
}

fn until_done(attempt: impl Fn() -> Result<(), Failure>) -> Result<(), Failure> {
    loop {
        match attempt() {
            Err(Failure::TryAgain) => thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
}

fn init(client: &Handle) -> Result<(), Failure> {
    // SAFETY: the client is alive; the error is taken over.
    judge(unsafe { rdk::rd_kafka_init_transactions(client.ptr(), ATTEMPT_MS) })
}

fn begin(client: &Handle) -> Result<(), Failure> {
    // SAFETY: as above.
    judge(unsafe { rdk::rd_kafka_begin_transaction(client.ptr()) })
}

fn commit(client: &Handle) -> Result<(), Failure> {
    // SAFETY: as above.
    judge(unsafe { rdk::rd_kafka_commit_transaction(client.ptr(), ATTEMPT_MS) })
}

fn abort(client: &Handle) -> Result<(), Failure> {
    // SAFETY: as above.
    judge(unsafe { rdk::rd_kafka_abort_transaction(client.ptr(), ATTEMPT_MS) })
}

fn judge(error: *mut rdk::rd_kafka_error_t) -> Result<(), Failure> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the error is ours, and not used after it is destroyed; its text is never null.
    let (code, retriable, must_abort, words) = unsafe {
        let judged = (
            rdk::rd_kafka_error_code(error),
            rdk::rd_kafka_error_is_retriable(error) != 0,
            rdk::rd_kafka_error_txn_requires_abort(error) != 0,
            CStr::from_ptr(rdk::rd_kafka_error_string(error)).to_string_lossy().into_owned(),
        );
        rdk::rd_kafka_error_destroy(error);
        judged
    };
    let reason = Reason { error: codes::error(code), words };
    Err(match (must_abort, retriable) {
        (true, _) => Failure::MustAbort(reason),
        (false, true) => Failure::TryAgain,
        (false, false) if code == Code::RD_KAFKA_RESP_ERR__TIMED_OUT => Failure::TryAgain,
        (false, false) => Failure::Fatal(reason),
    })
}
