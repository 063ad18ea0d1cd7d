use crossbeam::channel::bounded;
use nix::errno::Errno;

use super::*;
use crate::runtime::{
    cores::{
        placement::{self, ClientThreads, CoresRequest, ShardLimits},
        topology::Topology,
    },
    executor,
};

fn one_shard() -> placement::Placement {
    let limits = ShardLimits { partitions: 1, max_buffered_records: None };
    placement::plan(&Topology::detect().unwrap(), &CoresRequest::Auto, ClientThreads::Shard, &limits).unwrap()
}

fn looks(listener: &mut Listener, heartbeats: &Heartbeats, seconds: std::ops::Range<u64>) -> Vec<String> {
    let start = Instant::now();
    let look = |second| listener.look(heartbeats, start + Duration::from_secs(second));
    seconds.flat_map(look).map(|word| word.to_string()).collect()
}

#[test]
fn a_shard_that_stands_still_is_named_once_and_again_when_it_goes_on() {
    let (heartbeats, mut listener) = (Heartbeats::default(), Listener::default());
    let (still, beating) = (heartbeats.begin(3), heartbeats.begin(4));
    let start = Instant::now();
    let mut words = Vec::new();
    for second in 0..30 {
        beating.beats.fetch_add(1, Relaxed);
        if second == 12 {
            still.beats.fetch_add(1, Relaxed);
        }
        let heard = listener.look(&heartbeats, start + Duration::from_secs(second));
        words.extend(heard.iter().map(|word| (second, word.to_string())));
    }
    assert_eq!(words.len(), 3, "{words:?}");
    assert_eq!(words[0].0, 10, "{words:?}");
    // This thread is the shard's, and it runs.
    assert!(
        words[0].1.starts_with("shard 3 has missed its heartbeats for 10 s; its thread has used "),
        "{words:?}"
    );
    assert!(words[0].1.ends_with(" s of CPU since, and runs or waits for its core"), "{words:?}");
    assert_eq!(words[1], (12, "shard 3 goes on, after 12.0 s".to_owned()));
    assert_eq!(words[2].0, 22, "{words:?}");
}

#[test]
fn a_process_that_was_stopped_has_missed_one_look() {
    let (heartbeats, mut listener) = (Heartbeats::default(), Listener::default());
    let heartbeat = heartbeats.begin(0);
    let start = Instant::now();
    assert!(listener.look(&heartbeats, start).is_empty());
    assert!(listener.look(&heartbeats, start + Duration::from_hours(1)).is_empty());
    heartbeat.beats.fetch_add(1, Relaxed);
    assert!(listener.look(&heartbeats, start + Duration::from_hours(2)).is_empty());
}

#[test]
fn a_shard_that_has_ended_is_nothing_to_speak_of() {
    let (heartbeats, mut listener) = (Heartbeats::default(), Listener::default());
    drop(heartbeats.begin(0));
    assert!(looks(&mut listener, &heartbeats, 0..20).is_empty());
    assert!(listener.heard.is_empty() && heartbeats.all().is_empty());
}

#[test]
fn a_call_that_blocks_a_shard_is_noticed_from_outside() {
    let (heartbeats, mut listener) = (Arc::new(Heartbeats::default()), Listener::default());
    let ((unblock, blocked), (end, ended)) = (bounded::<()>(0), bounded::<()>(0));
    let shards = executor::spawn_shards(&one_shard(), &heartbeats, move |_| {
        let (blocked, ended) = (blocked.clone(), ended.clone());
        async move {
            // No task of a shard may do that.
            blocked.recv().unwrap();
            while ended.try_recv().is_err() {
                glommio::timer::sleep(Duration::from_millis(10)).await;
            }
        }
    });
    // Its thread gets that far at some time, and never to a beat.
    let mut words = Vec::new();
    while words.is_empty() {
        std::thread::sleep(Duration::from_millis(1));
        words = looks(&mut listener, &heartbeats, 0..1);
    }
    assert!(words[0].starts_with("shard 0 has missed its heartbeats for "), "{words:?}");
    assert!(words[0].contains("; its thread has used "), "{words:?}");
    unblock.send(()).unwrap();
    words.clear();
    while words.is_empty() {
        std::thread::sleep(Duration::from_millis(1));
        words = looks(&mut listener, &heartbeats, 0..1);
    }
    assert!(words[0].starts_with("shard 0 goes on, after "), "{words:?}");
    end.send(()).unwrap();
    for shard in shards.unwrap() {
        shard.join().unwrap();
    }
    assert!(listener.look(&heartbeats, Instant::now()).is_empty() && heartbeats.all().is_empty());
}

#[test]
fn a_shard_that_misses_its_wake_up_is_woken_and_its_timers_go_on() {
    let (heartbeats, mut listener) = (Arc::new(Heartbeats::default()), Listener::default());
    let (go_to_sleep, asleep) = bounded(1);
    let shards = executor::spawn_shards(&one_shard(), &heartbeats, move |_| {
        let go_to_sleep = go_to_sleep.clone();
        async move {
            // As when the kernel has lost what ends the wait: nothing will ever come out of this ring.
            let ring = io_uring::IoUring::new(2).unwrap();
            go_to_sleep.send(()).unwrap();
            let answer = ring.submit_and_wait(1).unwrap_err();
            // It beats again.
            glommio::timer::sleep(2 * BEAT_EVERY).await;
            answer.raw_os_error()
        }
    });
    let heartbeat = heartbeats.living().pop();
    asleep.recv().unwrap();
    let heartbeat = heartbeat.or_else(|| heartbeats.living().pop()).unwrap();
    while !sleeps_in_its_ring(threads::of(heartbeat.tid).as_ref()) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let start = Instant::now();
    for look in 0..=WAKING_LOOKS {
        assert_eq!((heartbeats.woken(), heartbeat.beats.load(Relaxed)), (0, 0));
        let words = listener.look(&heartbeats, start + look * LISTEN_EVERY);
        assert!(words.is_empty(), "nothing is said before it has worked: {words:?}");
    }
    for shard in shards.unwrap() {
        let answer = shard.join().unwrap();
        assert_eq!(answer, Some(Errno::EINTR as i32), "it went on because it was woken");
    }
    // Its thread is gone; what was heard of it is told by who still holds its beats.
    heartbeats.all().push(Arc::downgrade(&heartbeat));
    let words = looks(&mut listener, &heartbeats, 60..61);
    assert!(words[0].starts_with("shard 0 slept for 1.0 s, "), "until the signal: {words:?}");
    assert!(words[0].contains("lost a wake-up"), "{words:?}");
    assert_eq!(heartbeats.woken(), 1);
    assert!(!heartbeats.wake(&Heartbeat {
        shard: 0,
        tid: 0,
        thread: heartbeat.thread,
        beats: AtomicU64::new(0)
    }));
}

#[test]
fn a_shard_is_said_once_to_have_been_woken_and_counted_each_time() {
    let (heartbeats, mut listener) = (Heartbeats::default(), Listener::default());
    let heartbeat = heartbeats.begin(1);
    let mut words = Vec::new();
    for _ in 0..3 {
        words.extend(looks(&mut listener, &heartbeats, 0..1));
        listener.heard[0].wakings = 1;
        heartbeat.beats.fetch_add(1, Relaxed);
    }
    words.extend(looks(&mut listener, &heartbeats, 0..1));
    assert_eq!((words.len(), heartbeats.woken()), (1, 3), "{words:?}");
}

#[test]
fn only_what_sleeps_in_its_ring_is_woken() {
    let own = threads::current().unwrap();
    let thread = |state, wchan: &str| ThreadInfo { state, wchan: wchan.to_owned(), ..own.clone() };
    assert!(sleeps_in_its_ring(Some(&thread('S', "io_cqring_wait"))) && sleeps_in_its_ring(None));
    assert!(sleeps_in_its_ring(Some(&thread('S', ""))), "where the kernel does not tell");
    assert!(!sleeps_in_its_ring(Some(&thread('R', ""))), "it comes round");
    assert!(!sleeps_in_its_ring(Some(&thread('S', "futex_do_wait"))), "it waits for a call of its own");
    assert!(!sleeps_in_its_ring(Some(&thread('T', ""))), "it was stopped");
}

#[test]
fn a_shard_bears_as_many_signals_as_come() {
    let heartbeats = Arc::new(Heartbeats::default());
    let shards = executor::spawn_shards(&one_shard(), &heartbeats, |_| async move {
        for _ in 0..200 {
            glommio::timer::sleep(Duration::from_millis(1)).await;
        }
    });
    let mut sent = 0;
    for shard in shards.unwrap() {
        while !shard.is_finished() {
            sent += heartbeats.living().iter().filter(|heartbeat| heartbeats.wake(heartbeat)).count();
            std::thread::sleep(Duration::from_micros(100));
        }
        shard.join().unwrap();
    }
    assert!(sent > 10, "{sent}");
}

/// How many rings, and how many threads that use up the cores.
const RINGS: usize = 24;
const BUSY_THREADS: usize = 40;

/// A second of it; as long as wanted by `scripts/prove --rings MINUTES`.
#[test]
fn rings_beside_busy_threads() {
    let minutes = std::env::var("PROOFLOAD_RINGS_MINUTES").ok().and_then(|text| text.parse().ok());
    let until = Instant::now() + minutes.map_or(Duration::from_secs(1), Duration::from_mins);
    let (heartbeats, mut listener) = (Arc::new(Heartbeats::default()), Listener::default());
    let mut plan = one_shard();
    let cores: Vec<usize> = Topology::detect().unwrap().allowed.iter().collect();
    let place = plan.shards.remove(0);
    plan.shards = (0..RINGS)
        .map(|index| placement::ShardPlace { index, core: cores[index % cores.len()], ..place.clone() })
        .collect();
    let shards = executor::spawn_shards(&plan, &heartbeats, move |place| async move {
        let mut waits = 0_u64;
        while Instant::now() < until {
            // From a shard that is hardly ever asleep to one that hardly ever is not.
            let pause = Duration::from_micros(10 << (place.index % 15)) + Duration::from_micros(waits % 97);
            glommio::timer::sleep(pause).await;
            waits += 1;
        }
        waits
    });
    let busy: Vec<_> = (0..BUSY_THREADS)
        .map(|_| {
            std::thread::spawn(move || {
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let shards = shards.unwrap();
    let (mut late, mut stood) = (until + Duration::from_mins(1), 0);
    while !shards.iter().all(executor::Shard::is_finished) && Instant::now() < late {
        std::thread::sleep(LISTEN_EVERY);
        for word in listener.look(&heartbeats, Instant::now()) {
            println!("rings: {word}");
            stood += u64::from(matches!(word, ShardHealth::Stalled { .. }));
            late += Duration::from_secs(10);
        }
    }
    for thread in busy {
        thread.join().unwrap();
    }
    let asleep = shards.iter().filter(|shard| !shard.is_finished()).count();
    let ended = shards.into_iter().filter(executor::Shard::is_finished);
    let waits: u64 = ended.map(|shard| shard.join().unwrap()).sum();
    let woken = heartbeats.woken();
    println!("rings: {waits} waits, {woken} shards woken, {stood} named for standing still");
    println!("rings: shards that came round {} true, {asleep} not", RINGS - asleep);
    assert_eq!(asleep, 0);
}
