"""The repeater: a fixed number of messages that members of a group pass round."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Optional

from ducktape.cluster.cluster import ClusterNode
from ducktape.utils.util import wait_until

from .service import ProofloadService
from .status import RepeaterStatus


class ProofloadRepeater(ProofloadService):
    """Its members join the group at `start()`; it produces from `activate()` on. With several of them: start all, wait
    until the group is stable, then activate each."""

    def __init__(
        self,
        context: Any,
        brokers: str,
        topics: Iterable[str],
        group: str,
        workers: int = 1,
        *,
        msg_size: Optional[int] = None,
        initial_data_mb: Optional[int] = None,
        rate_limit_bps: Optional[int] = None,
        create_partitions: Optional[int] = None,
        **service: Any,
    ):
        super().__init__(context, brokers, **service)
        self.topics, self.group, self.workers = list(topics), group, workers
        self._values = {
            "--payload-size": msg_size,
            "--initial-data-mb": initial_data_mb,
            "--rate-limit-bps": rate_limit_bps,
        }
        self._create_partitions = create_partitions

    def program(self) -> str:
        return "repeater"

    def work(self) -> List[str]:
        words = ["--topics", ",".join(self.topics), "--group", self.group, "--workers", str(self.workers)]
        for flag, value in self._values.items():
            words += [flag, str(value)] if value is not None else []
        if self._create_partitions is not None:
            words += ["--create-topic", "--partitions", str(self._create_partitions)]
        return words

    def parse(self, workers: List[Dict[str, Any]]) -> List[RepeaterStatus]:
        return [RepeaterStatus.of(worker) for worker in workers]

    def is_done(self, workers: List[Dict[str, Any]]) -> bool:
        """It goes on until it is stopped."""
        return False

    def activate(self) -> None:
        """Has it produce."""
        for node in self.nodes:
            self.request(node, "activate")

    def consumed(self) -> int:
        """Messages that all workers have consumed."""
        return sum(worker.consumed for worker in self.status)

    def await_progress(self, msg_count: int, timeout_sec: float, backoff_sec: float = 0.5) -> None:
        """Waits until so many messages more were consumed, by this process."""
        goal = self.consumed() + msg_count
        wait_until(
            lambda: self.consumed() >= goal,
            timeout_sec=timeout_sec,
            backoff_sec=backoff_sec,
            err_msg=f"{self.who_am_i()}: fewer than {msg_count} messages in {timeout_sec} s",
        )

    def wait_node(self, node: ClusterNode, timeout_sec: Optional[float] = None) -> bool:
        """Ends it: there is nothing else to wait for."""
        assert self._watch is not None, f"{self.who_am_i(node)} is not running"
        self._watch.stop()
        self._end(node)
        return True
