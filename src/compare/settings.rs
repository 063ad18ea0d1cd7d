//! What two runs did not have in common.

use std::collections::BTreeSet;

use crate::bench::result::Proofload;

/// Flags that say where something goes to, and not what is done.
const OF_NO_MATTER: [&str; 12] = [
    "output",
    "hdr",
    "html",
    "report",
    "topic",
    "remote",
    "remote-port",
    "bind",
    "progress",
    "color",
    "log-format",
    "client-name",
];

/// One sentence for each setting, and for machines and versions, that is not the same.
pub(super) fn differences(old: &Proofload, new: &Proofload) -> Vec<String> {
    let mut told = Vec::new();
    let mut tell = |what: &str, one: &str, two: &str| {
        if one != two {
            told.push(format!("{what}: {one} before, {two} now"));
        }
    };
    tell("version", &old.version, &new.version);
    tell("client", &old.settings.client, &new.settings.client);
    let machine = |run: &Proofload| {
        let machine = &run.machine;
        format!("{} cores of {}, Linux {}", machine.cores, machine.processor, machine.kernel)
    };
    tell("machine", &machine(old), &machine(new));
    let (one, two) = (&old.settings.flags, &new.settings.flags);
    let names: BTreeSet<_> = one.keys().chain(two.keys()).collect();
    for name in names.into_iter().filter(|name| !OF_NO_MATTER.contains(&name.as_str())) {
        let value = |flags: &std::collections::BTreeMap<String, serde_json::Value>| {
            flags.get(name).map_or_else(
                || "not set".to_owned(),
                |value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned),
            )
        };
        tell(&format!("--{name}"), &value(one), &value(two));
    }
    told
}
