//! A browser without a window, asked over Chromium's own protocol.

use std::{
    cell::RefCell,
    env, fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use base64::Engine;
use serde_json::{Value, json};

use super::{Workdir, wait_for};

/// Where Debian's packages have it: what has no window at all, and the whole browser.
const PROGRAMS: [&str; 2] = ["/usr/lib/chromium/chromium-headless-shell", "/usr/bin/chromium"];

fn program() -> Option<&'static str> {
    PROGRAMS.into_iter().find(|program| Path::new(program).exists())
}

/// A browser with one page.
pub struct Browser {
    process: Child,
    pipes: RefCell<Pipes>,
    session: String,
    // It goes with the browser.
    _profile: Workdir,
}

struct Pipes {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    last_id: u64,
    /// What went wrong on the page, in the browser's words.
    complaints: Vec<String>,
}

impl Browser {
    /// Whether there is one, and what is missing where not.
    pub fn is_there() -> Result<(), String> {
        let missing = || "no browser is installed (package chromium-headless-shell, or chromium)".to_owned();
        program().map(|_| ()).ok_or_else(missing)
    }

    /// Opens a page, in a window of so many pixels.
    pub fn open(address: &str, (width, height): (u32, u32)) -> Self {
        let (profile, program) = (Workdir::new(), program().expect("a browser"));
        // It listens on descriptors 3 and 4.
        let script = format!(
            "exec {program} --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
             --disable-background-networking --window-size={width},{height} --user-data-dir=\"$0\" \
             --remote-debugging-pipe about:blank 3<&0 4>&1 </dev/null >/dev/null 2>&1"
        );
        let mut process = Command::new("bash")
            .arg("-c")
            .arg(script)
            .arg(profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash");
        let (input, output) = (process.stdin.take().expect("a pipe"), process.stdout.take().expect("a pipe"));
        let pipes =
            RefCell::new(Pipes { input, output: BufReader::new(output), last_id: 0, complaints: Vec::new() });
        let mut browser = Self { process, pipes, session: String::new(), _profile: profile };
        let page = browser.ask("Target.createTarget", &json!({ "url": address }));
        let target = json!({ "targetId": page["targetId"], "flatten": true });
        let session = browser.ask("Target.attachToTarget", &target);
        session["sessionId"].as_str().expect("a session").clone_into(&mut browser.session);
        for domain in ["Runtime", "Log"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Shows the page in a window of so many pixels, on a screen or on paper, to somebody who likes it light or dark.
    pub fn emulate(&self, (width, height): (u32, u32), media: &str, scheme: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", &size);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.ask("Emulation.setEmulatedMedia", &json!({ "media": media, "features": features }));
    }

    /// Errors of scripts, and whatever the page asked for and was refused, until now.
    pub fn complaints(&self) -> Vec<String> {
        // Whatever came before the answer to this has been read with it.
        self.value("0");
        self.pipes.borrow().complaints.clone()
    }

    /// Nothing of the page is beyond the window's right edge.
    #[track_caller]
    pub fn expect_fits(&self) {
        let (page, window) = (self.value("document.documentElement.scrollWidth"), self.value("innerWidth"));
        assert!(page.as_f64() <= window.as_f64(), "{page} pixels in a window of {window}");
    }

    /// With `PROOFLOAD_SHOTS=FOLDER` keeps a picture of the whole page there, for people.
    pub fn shoot(&self, name: &str) {
        let Some(folder) = env::var_os("PROOFLOAD_SHOTS") else { return };
        let shot = self.ask("Page.captureScreenshot", &json!({ "captureBeyondViewport": true }));
        let data = shot["data"].as_str().expect("a picture");
        let picture = base64::engine::general_purpose::STANDARD.decode(data).expect("base64");
        fs::write(Path::new(&folder).join(format!("{name}.png")), picture)
            .expect("PROOFLOAD_SHOTS names a folder");
    }

    /// What an expression of the page's amounts to.
    pub fn value(&self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true });
        let answer = self.ask("Runtime.evaluate", &asked);
        answer["result"]["value"].clone()
    }

    /// Waits until an expression of the page's is true.
    #[track_caller]
    pub fn wait_until(&self, expression: &str) {
        let is_so = || {
            std::thread::sleep(std::time::Duration::from_millis(100));
            (self.value(expression) == Value::Bool(true)).then_some(())
        };
        wait_for(&format!("{expression}, in {}", self.value("document.body.innerText")), is_so);
    }

    fn ask(&self, method: &str, params: &Value) -> Value {
        let mut pipes = self.pipes.borrow_mut();
        pipes.last_id += 1;
        let id = pipes.last_id;
        let mut question = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            question["sessionId"] = self.session.clone().into();
        }
        pipes.input.write_all(format!("{question}\0").as_bytes()).expect("a browser that listens");
        loop {
            let mut answer = Vec::new();
            let length = pipes.output.read_until(0, &mut answer).expect("a browser that answers");
            assert!(length > 0, "the browser has gone");
            let answer: Value = serde_json::from_slice(&answer[..length - 1]).expect("JSON");
            if answer["id"] == id {
                return answer["result"].clone();
            }
            let (what, is_bad) = match answer["method"].as_str() {
                Some("Runtime.exceptionThrown") => (&answer["params"]["exceptionDetails"], true),
                Some("Log.entryAdded") => {
                    let entry = &answer["params"]["entry"];
                    (entry, entry["level"] == "error")
                }
                _ => (&Value::Null, false),
            };
            if is_bad {
                pipes.complaints.push(what.to_string());
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
