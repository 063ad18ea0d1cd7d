//! `proofload doctor`: whether a run is possible here, and what to change where it is not. It creates nothing, and sends no
//! record.

mod cluster;
mod finding;
mod machine;

use crate::{
    app::logging,
    config::{Brokers, DoctorConfig},
};

/// Looks at this machine, and at the cluster where one is named; says one line of each thing. Returns the exit code.
pub(crate) fn run(config: &DoctorConfig) -> u8 {
    let mut findings = Vec::new();
    let mut tell = |finding: finding::Finding| {
        logging::say(&finding);
        findings.push(finding);
    };
    let (of_machine, can_run) = machine::look(&config.common);
    of_machine.into_iter().for_each(&mut tell);
    if let (Brokers::Bootstrap(list), true) = (&config.common.brokers, config.has_brokers) {
        cluster::look(list, config.topic.as_deref(), &config.common, can_run, &mut tell);
    }
    if matches!(config.common.brokers, Brokers::Embedded { .. }) && config.has_brokers {
        tell(finding::Finding::good(
            "cluster",
            "embedded: a run brings its own, and there is nothing to check",
        ));
    }
    finding::exit_code(&findings)
}
