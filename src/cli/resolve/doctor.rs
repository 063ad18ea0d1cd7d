//! The doctor's flags, resolved.

use std::time::Duration;

use super::{
    super::{doctor::DoctorArgs, error::UsageError},
    common::{Groups, common},
    contradictions::Uses,
};
use crate::config::DoctorConfig;

/// The cluster is asked at once, and not again.
const METADATA_MAX_AGE: Duration = Duration::from_secs(15);

/// What the flags ask the doctor to look at.
pub(in super::super) fn doctor(args: &DoctorArgs) -> Result<DoctorConfig, UsageError> {
    let has_brokers = args.cluster.brokers.is_some();
    if args.work.topic.is_some() && !has_brokers {
        return Err(UsageError::flag("topic", "needs --brokers as well"));
    }
    let groups = Groups {
        cluster: &args.cluster,
        security: &args.security,
        placement: &args.placement,
        control: &args.control,
        end: &args.end,
        output: &args.output,
    };
    let common = common(&groups, "proofload-doctor".to_owned(), METADATA_MAX_AGE, &Uses::default())?;
    Ok(DoctorConfig { common, has_brokers, topic: args.work.topic.clone() })
}
