"""The verifier's producer."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from ducktape.utils.util import wait_until

from .service import ProofloadService
from .status import ProducerStatus


class ProofloadProducer(ProofloadService):
    """Produces a number of messages, and keeps the ledger of those that were acked in its folder.

    `start()` begins with an empty folder; `start(clean=False)` goes on from the ledger that is there.
    """

    def __init__(
        self,
        context: Any,
        brokers: str,
        topic: str,
        msg_count: int,
        msg_size: int = 16384,
        *,
        create_partitions: Optional[int] = None,
        rate_limit_bps: Optional[int] = None,
        transactions_of: Optional[int] = None,
        abort_rate: float = 0.0,
        tolerate_failed_produce: bool = False,
        **service: Any,
    ):
        super().__init__(context, brokers, **service)
        self.topic, self.msg_count, self.msg_size = topic, msg_count, msg_size
        self._create_partitions, self._rate_limit_bps = create_partitions, rate_limit_bps
        self._transactions_of, self._abort_rate = transactions_of, abort_rate
        self._tolerate_failed_produce = tolerate_failed_produce

    def work(self) -> List[str]:
        words = ["--topic", self.topic, "--produce_msgs", str(self.msg_count), "--msg_size", str(self.msg_size)]
        if self._create_partitions is not None:
            words += ["--create-topic", "--partitions", str(self._create_partitions)]
        if self._rate_limit_bps is not None:
            words += ["--produce-throughput-bps", str(self._rate_limit_bps)]
        if self._transactions_of is not None:
            words += ["--use-transactions", "--msgs-per-transaction", str(self._transactions_of)]
            words += ["--transaction-abort-rate", str(self._abort_rate)]
        if self._tolerate_failed_produce:
            words.append("--tolerate-failed-produce")
        return words

    def parse(self, workers: List[Dict[str, Any]]) -> ProducerStatus:
        return ProducerStatus.of(workers[0])

    def wait_for_acks(self, count: int, timeout_sec: float, backoff_sec: float = 0.5) -> None:
        """Waits until so many messages were acked."""
        wait_until(
            lambda: self.status.acked >= count,
            timeout_sec=timeout_sec,
            backoff_sec=backoff_sec,
            err_msg=f"{self.who_am_i()}: fewer than {count} acks after {timeout_sec} s",
        )
