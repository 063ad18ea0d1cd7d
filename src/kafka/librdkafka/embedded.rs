//! The mock cluster inside librdkafka, for a first look and for client faults.
//!
//! It keeps about 5 MiB of each partition in memory and proves nothing about logs.

use rdkafka::mocking::MockCluster;

use crate::kafka::ClientError;

/// A cluster that lives as long as this value.
pub(crate) struct EmbeddedCluster {
    cluster: MockCluster<'static, rdkafka::producer::DefaultProducerContext>,
}

impl EmbeddedCluster {
    /// Starts a cluster with so many brokers on free loopback ports. Its thread runs
    /// where the calling thread may.
    ///
    /// # Errors
    /// librdkafka could not start it.
    pub(crate) fn start(brokers: usize) -> Result<Self, ClientError> {
        let count = i32::try_from(brokers)
            .map_err(|_| ClientError::Start(format!("{brokers} brokers are too many for a mock cluster")))?;
        let cluster = MockCluster::new(count)
            .map_err(|error| ClientError::Start(format!("the embedded cluster: {error}")))?;
        Ok(Self { cluster })
    }

    /// Its bootstrap list.
    #[must_use]
    pub(crate) fn bootstrap(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Makes a topic.
    ///
    /// # Errors
    /// librdkafka refused.
    pub(crate) fn create_topic(&self, topic: &str, partitions: usize) -> Result<(), ClientError> {
        let count = i32::try_from(partitions)
            .map_err(|_| ClientError::Start(format!("{partitions} partitions are too many")))?;
        self.cluster
            .create_topic(topic, count, 1)
            .map_err(|error| ClientError::Start(format!("topic '{topic}' on the embedded cluster: {error}")))
    }
}
