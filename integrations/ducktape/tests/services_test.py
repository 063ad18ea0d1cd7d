"""The services against a real broker, which `--globals` names: {"brokers": "…", "proofload": "/path/of/it"}."""

import time

from ducktape.mark.resource import cluster
from ducktape.tests.test import Test
from ducktape.utils.util import wait_until

from proofload_ducktape import (
    BadLogLines,
    ProcessDied,
    ProofloadBench,
    ProofloadGroupReader,
    ProofloadProducer,
    ProofloadRandomReader,
    ProofloadRepeater,
    ProofloadSeqReader,
)

MESSAGES = 3_000


class ServicesTest(Test):
    def brokers(self) -> str:
        return self.test_context.globals["brokers"]

    def topic(self, name: str) -> str:
        """One that no other run has left."""
        return f"{name}-{time.time_ns()}"

    @cluster(num_nodes=1)
    def test_producer_beside_readers(self):
        """A producer, and readers of each kind beside it, all on one node and one ledger."""
        context, brokers, topic = self.test_context, self.brokers(), self.topic("beside")
        producer = ProofloadProducer(
            context, brokers, topic, MESSAGES, 100, create_partitions=4, rate_limit_bps=100_000
        )
        producer.start()
        producer.wait_for_acks(100, timeout_sec=60)
        looping = ProofloadSeqReader(context, brokers, topic, loop=True, beside=producer)
        random = ProofloadRandomReader(context, brokers, topic, 20, parallel=2, loop=True, beside=producer)
        group = ProofloadGroupReader(context, brokers, topic, readers=2, continuous=True, beside=producer)
        for reader in (looping, random, group):
            reader.start()
        looping.wait_for_reads(MESSAGES, timeout_sec=60)
        producer.wait(timeout_sec=120)
        assert producer.status.acked == MESSAGES and producer.status.bad_offsets == 0, producer.status
        assert producer.report()["verdict"] == "consistent", "nobody has read yet"
        for reader in (looping, random, group):
            reader.wait(timeout_sec=120)
        assert len(random.status) == 2, random.status
        # One that comes when all is there reads all of it.
        last = ProofloadSeqReader(context, brokers, topic, beside=producer)
        last.start()
        last.wait(timeout_sec=60)
        validator = last.status.validator
        assert validator.valid_reads == MESSAGES and validator.invalid_reads == 0, validator
        assert validator.max_offsets_consumed == producer.status.max_offsets_produced
        assert last.report()["verdict"] == "proven", last.report()["summary"]
        # And the producer goes on from its ledger.
        producer.start(clean=False)
        producer.wait(timeout_sec=120)
        last.start()
        last.wait(timeout_sec=60)
        assert last.status.validator.valid_reads == 2 * MESSAGES, last.status

    @cluster(num_nodes=1)
    def test_repeater(self):
        repeater = ProofloadRepeater(
            self.test_context, self.brokers(), [self.topic("round")], self.topic("group"), workers=2, msg_size=256, create_partitions=2
        )
        repeater.start()
        repeater.activate()
        repeater.await_progress(500, timeout_sec=90)
        repeater.wait(timeout_sec=60)
        assert sum(worker.errors for worker in repeater.status) == 0, repeater.status

    @cluster(num_nodes=2)
    def test_bench(self):
        """Two at once, each on a node of its own."""
        benches = [
            ProofloadBench(
                self.test_context,
                self.brokers(),
                self.topic("bench"),
                rate="500",
                duration="4s",
                warmup="1s",
                msg_size=100,
                folder=f"/tmp/proofload-{self.topic(str(number))}",
            )
            for number in range(2)
        ]
        for bench in benches:
            bench.start()
        for bench in benches:
            bench.wait(timeout_sec=90)
            assert bench.result()["proofload"]["proof"]["verdict"] == "proven", bench.result()["proofload"]

    @cluster(num_nodes=1)
    def test_faults_are_told(self):
        """A topic that is missing, a process that dies, and a violation in the log."""
        context, brokers = self.test_context, self.brokers()
        missing = ProofloadSeqReader(context, brokers, "missing")
        self.expect(ProcessDied, lambda: (missing.start(), missing.wait(timeout_sec=60)))
        node = missing.nodes[0]
        killed = ProofloadProducer(
            context, brokers, self.topic("killed"), 10_000_000_000, 100, create_partitions=1, rate_limit_bps=10_000, node=node
        )
        killed.start()
        killed.wait_for_acks(10, timeout_sec=60)
        node.account.signal(killed._pid, 9)
        self.expect(ProcessDied, lambda: killed.wait(timeout_sec=60))
        # A ledger that lists more than there is.
        topic = self.topic("lost")
        producer = ProofloadProducer(context, brokers, topic, 100, 100, create_partitions=1, node=node)
        producer.start()
        producer.wait(timeout_sec=60)
        node.account.ssh(f"sed -i 's/\"Upper\":100/\"Upper\":101/' {producer.folder}/valid_offsets_{topic}.json")
        reader = ProofloadSeqReader(context, brokers, topic, beside=producer, flags=["--keep-going"])
        reader.start()
        self.expect(BadLogLines, lambda: reader.wait(timeout_sec=60))
        assert reader.report()["violations"][0]["anomaly"] == "lost-write", reader.report()
        allowed = ProofloadSeqReader(
            context, brokers, topic, beside=producer, flags=["--keep-going"], allowed_logs=["lost-write", "VIOLATION"]
        )
        allowed.start()
        allowed.wait(timeout_sec=60)

    @cluster(num_nodes=1)
    def test_nothing_is_left(self):
        """Stopped in the midst of its work and cleaned, a service leaves neither process nor folder."""
        producer = ProofloadProducer(
            self.test_context, self.brokers(), self.topic("left"), 10_000_000_000, 100, create_partitions=1, rate_limit_bps=10_000
        )
        producer.start()
        producer.wait_for_acks(1, timeout_sec=60)
        node, pid = producer.nodes[0], producer._pid
        producer.stop()
        wait_until(lambda: not node.account.alive(pid), timeout_sec=20, err_msg="it is still there")
        producer.clean()
        assert not node.account.exists(producer.folder)

    def expect(self, kind, work) -> None:
        try:
            work()
        except kind:
            return
        raise AssertionError(f"no {kind.__name__}")
