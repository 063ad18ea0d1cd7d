//! `deploy/kubernetes`, as kustomize makes it: held against the published schemas, and its command lines against the program.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Output},
};

use serde_json::Value;

use crate::{
    Test,
    dsl::{Run, Workdir, source},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![If(schemas_are_there, manifests_fit_the_published_schemas_and_the_program)]
}

fn script(words: &[&str]) -> Output {
    let mut script = Command::new(source("scripts/kubernetes-manifests"));
    script.args(words).output().expect("the script starts")
}

/// Kustomize, and the Python packages that have the schemas.
fn schemas_are_there() -> Result<(), String> {
    let Output { status, stderr, .. } = script(&["--prepare"]);
    if status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&stderr).trim().to_owned()) }
}

fn manifests_fit_the_published_schemas_and_the_program() {
    let Output { status, stdout, stderr } = script(&[]);
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let resources: Vec<Value> = serde_json::from_slice(&stdout).expect("a list of resources");
    let of_kind = |kind: &'static str| resources.iter().filter(move |resource| resource["kind"] == kind);
    for kind in ["Service", "PersistentVolumeClaim", "PodMonitor"] {
        assert_eq!(of_kind(kind).count(), 1, "{kind}");
    }
    let settings = &of_kind("ConfigMap").next().expect("settings")["data"];
    let jobs: Vec<_> = of_kind("Job").collect();
    assert_eq!(jobs.len(), 2);
    for job in jobs {
        let run = as_kubernetes_does(job, settings, "2");
        run.arg("--print-placement").finish_bare().expect_code(0);
    }
    let is_indexed = |job: &&Value| job["spec"]["completionMode"] == "Indexed";
    expect_no_pod_beyond_the_slices(of_kind("Job").find(is_indexed).expect("a Job with slices"), settings);
    what_does_not_fit_is_named();
}

/// The command line of a Job, as Kubernetes makes it of the pod of this index.
fn as_kubernetes_does(job: &Value, settings: &Value, index: &str) -> Run {
    let spec = &job["spec"];
    let container = &spec["template"]["spec"]["containers"][0];
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in settings.as_object().expect("settings") {
        variables.insert(name.clone(), value.as_str().expect("a text").to_owned());
    }
    for variable in container["env"].as_array().into_iter().flatten() {
        let text = |key: &str| variable[key].as_str().expect("a text").to_owned();
        variables.insert(text("name"), text("value"));
    }
    let is_indexed = spec["completionMode"] == "Indexed";
    if is_indexed {
        assert_eq!(variables["PROOFLOAD_SLICES"], spec["completions"].to_string());
        assert_eq!(spec["completions"], spec["parallelism"]);
        variables.insert("JOB_COMPLETION_INDEX".to_owned(), index.to_owned());
    }
    let workdir = Workdir::new();
    workdir.write("token", "secret");
    let mut run = Run::proofload().in_dir(&workdir);
    for word in container["args"].as_array().expect("arguments") {
        let word = word.as_str().expect("a word").replace("/etc/proofload/token", "token");
        let expanded =
            variables.iter().fold(word, |word, (name, value)| word.replace(&format!("$({name})"), value));
        assert!(!expanded.contains("$("), "{expanded}");
        run = run.arg(&expanded);
    }
    for (name, value) in variables {
        run = run.env(&name, value);
    }
    run
}

/// Where there are more completions than `PROOFLOAD_SLICES` says, a pod is none of them; exit code 2 fails the Job.
fn expect_no_pod_beyond_the_slices(job: &Value, settings: &Value) {
    let slices = job["spec"]["completions"].to_string();
    let code = 2;
    let finished = as_kubernetes_does(job, settings, &slices).finish_bare().expect_code(code);
    finished.expect_output(&["--slice", "JOB_COMPLETION_INDEX is '3'"]);
    let rules = &job["spec"]["podFailurePolicy"]["rules"][1];
    assert!(
        rules["onExitCodes"]["values"].as_array().is_some_and(|codes| codes.contains(&code.into())),
        "{rules}"
    );
}

/// Fields that nobody has, and values of another type.
fn what_does_not_fit_is_named() {
    let folder = Workdir::new();
    let load = copy(&folder, ("load", "job.yaml"), ("completionMode:", "completionModes:"));
    let verify = copy(&folder, ("verify", "job.yaml"), ("backoffLimit: 0", "backoffLimit: none"));
    let monitor = copy(&folder, ("monitor", "pod-monitor.yaml"), ("interval:", "intervals:"));
    let Output { status, stderr, .. } = script(&[&load, &verify, &monitor]);
    let said = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(1), "{said}");
    for fault in [
        "'completionModes' was unexpected",
        "spec.backoffLimit: 'none' is not of type 'integer'",
        "podMetricsEndpoints[0].intervals: no such field",
    ] {
        assert!(said.contains(fault), "no '{fault}' in {said}");
    }
}

/// A copy of some manifests, with another text in one of them. Returns its path.
fn copy(folder: &Workdir, (part, file): (&str, &str), (from, to): (&str, &str)) -> String {
    let copy = folder.path().join(part);
    fs::create_dir_all(&copy).expect("a folder");
    for entry in fs::read_dir(source("deploy/kubernetes").join(part)).expect("manifests").flatten() {
        fs::copy(entry.path(), copy.join(entry.file_name())).expect("a copy");
    }
    let text = fs::read_to_string(copy.join(file)).expect("a manifest");
    assert!(text.contains(from), "{file} has no {from}");
    fs::write(copy.join(file), text.replacen(from, to, 1)).expect("a manifest");
    copy.to_str().expect("a path").to_owned()
}
