//! The doctor's flags, as the user writes them.

use clap::{Args, Parser};

use super::{
    common::{ClusterArgs, ControlArgs, EndArgs, OutputArgs, PlacementArgs, SecurityArgs},
    values::topic_name,
};

/// Check whether a run is possible: this machine, and with --brokers the cluster; say what to change, one line each
#[derive(Debug, Parser)]
#[command(name = "doctor", version, max_term_width = 110)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    pub work: WorkArgs,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[command(flatten)]
    pub security: SecurityArgs,
    #[command(flatten)]
    pub placement: PlacementArgs,
    #[command(flatten)]
    pub control: ControlArgs,
    #[command(flatten)]
    pub end: EndArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "What to look at")]
pub(super) struct WorkArgs {
    /// The topic that a run is to use; with --brokers
    #[arg(long, value_name = "TOPIC", value_parser = topic_name)]
    pub topic: Option<String>,
}
