//! The control port, and a harness that polls it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    thread,
    time::Duration,
};

use ureq::{
    Agent,
    http::{Method, Request},
};

use serde_json::Value;

use super::{Running, Worker, poll, status::all_done, wait_for};

/// A client of one control port.
pub struct Http {
    agent: Agent,
    address: SocketAddr,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }
}

impl Http {
    pub fn to(port: u16) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(10)))
            // One connection for each question, like curl and the harness.
            .max_idle_connections(0);
        Self { agent: config.build().into(), address: (Ipv4Addr::LOCALHOST, port).into() }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `None` when nobody answers.
    pub fn ask(&self, method: Method, path: &str) -> Option<Answer> {
        self.ask_as(method, path, &[])
    }

    /// `None` when nobody answers.
    pub fn get_as(&self, path: &str, headers: &[(&str, &str)]) -> Option<Answer> {
        self.ask_as(Method::GET, path, headers)
    }

    fn ask_as(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Option<Answer> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = self.agent.run(request.body(()).expect("a request")).ok()?;
        Some(Answer { code: answer.status().as_u16(), body: answer.body_mut().read_to_string().ok()? })
    }

    pub fn get(&self, path: &str) -> Option<Answer> {
        self.ask(Method::GET, path)
    }

    /// Asks something that is always answered with 200.
    #[track_caller]
    pub fn order(&self, path: &str) -> Answer {
        let answer = self.ask(Method::PUT, path).unwrap_or_else(|| panic!("no answer to {path}"));
        assert_eq!(answer.code, 200, "{path}: {answer:?}");
        answer
    }

    /// The code of `/status`, as soon as anybody answers.
    #[track_caller]
    pub fn first_code(&self) -> u16 {
        wait_for("an answer on the control port", || self.get("/status").map(|answer| answer.code))
    }
}

/// Polls `/status`, and is ended by one poll that fails after the first that did not.
pub struct Harness<'a> {
    run: &'a Running,
    http: Http,
    last: Vec<Worker>,
}

impl<'a> Harness<'a> {
    pub(super) fn of(run: &'a Running) -> Self {
        Self { run, http: run.http(), last: Vec::new() }
    }

    /// The workers, as soon as they exist.
    #[track_caller]
    pub fn first(&mut self) -> Vec<Worker> {
        wait_for("a first status", || self.poll());
        self.last.clone()
    }

    /// Polls until it is as wished.
    #[track_caller]
    pub fn until(&mut self, what: &str, wish: impl Fn(&[Worker]) -> bool) -> Vec<Worker> {
        let found = poll(|| {
            thread::sleep(Duration::from_millis(100));
            self.poll()?;
            wish(&self.last).then(|| self.last.clone())
        });
        found.unwrap_or_else(|| {
            // What its threads wait for tells more than that they do.
            self.http.get("/print_stack");
            panic!("{what}: not in time: {:?}\n{}", self.last, self.run.transcript())
        })
    }

    /// Polls until no worker works any more.
    #[track_caller]
    pub fn until_done(&mut self) -> Vec<Worker> {
        self.until("the end of the work", all_done)
    }

    #[track_caller]
    fn poll(&mut self) -> Option<()> {
        let answer = match (self.http.get("/status"), self.last.is_empty()) {
            (Some(answer), _) if answer.code == 200 => answer,
            (_, true) => return None,
            (answer, false) => panic!("a poll failed: {answer:?}\n{}", self.run.transcript()),
        };
        let now: Vec<Worker> =
            serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error} in {}", answer.body));
        assert!(!now.is_empty(), "no worker in a status");
        let pairs = self.last.iter().zip(&now);
        let awoken = pairs.filter(|(before, now)| !before.is_active() && now.is_active()).count();
        assert_eq!(awoken, 0, "a worker was not active for a while: {:?}, then {now:?}", self.last);
        self.last = now;
        Some(())
    }
}
