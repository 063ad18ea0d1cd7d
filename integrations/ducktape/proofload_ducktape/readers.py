"""The verifier's readers. Each runs beside the producer whose ledger it holds the topic against."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from ducktape.utils.util import wait_until

from .service import ProofloadService
from .status import ReaderStatus


class _Reader(ProofloadService):
    def __init__(
        self,
        context: Any,
        brokers: str,
        topic: str,
        *,
        loop: bool = False,
        continuous: bool = False,
        committed: bool = False,
        compacted: bool = False,
        tolerate_data_loss: bool = False,
        **service: Any,
    ):
        super().__init__(context, brokers, **service)
        self.topic = topic
        self._switches = {
            "--loop": loop,
            "--continuous": continuous,
            "--use-transactions": committed,
            "--compacted": compacted,
            "--tolerate-data-loss": tolerate_data_loss,
        }

    def work(self) -> List[str]:
        return ["--topic", self.topic, *self.reading(), *(flag for flag, is_on in self._switches.items() if is_on)]

    def reading(self) -> List[str]:
        raise NotImplementedError

    def wait_for_reads(self, count: int, timeout_sec: float, backoff_sec: float = 0.5) -> None:
        """Waits until so many records were found valid."""

        def valid() -> int:
            status = self.status
            readers = status if isinstance(status, list) else [status]
            return sum(reader.validator.valid_reads for reader in readers)

        wait_until(
            lambda: valid() >= count,
            timeout_sec=timeout_sec,
            backoff_sec=backoff_sec,
            err_msg=f"{self.who_am_i()}: fewer than {count} valid reads after {timeout_sec} s",
        )


class ProofloadSeqReader(_Reader):
    """Reads the topic from start to end: once, again and again (`loop`), or as it grows (`continuous`)."""

    def __init__(self, context: Any, brokers: str, topic: str, *, max_msgs: Optional[int] = None, **reader: Any):
        super().__init__(context, brokers, topic, **reader)
        self._max_msgs = max_msgs

    def reading(self) -> List[str]:
        return ["--seq_read=1", *(["--seq_read_msgs", str(self._max_msgs)] if self._max_msgs is not None else [])]

    def parse(self, workers: List[Dict[str, Any]]) -> ReaderStatus:
        return ReaderStatus.of(workers[0])


class ProofloadRandomReader(_Reader):
    """Reads here and there; a status for each of its readers."""

    def __init__(self, context: Any, brokers: str, topic: str, msg_count: int, parallel: int = 1, **reader: Any):
        super().__init__(context, brokers, topic, **reader)
        self._msg_count, self._parallel = msg_count, parallel

    def reading(self) -> List[str]:
        return ["--rand_read_msgs", str(self._msg_count), "--parallel", str(self._parallel)]

    def parse(self, workers: List[Dict[str, Any]]) -> List[ReaderStatus]:
        return [ReaderStatus.of(worker) for worker in workers]


class ProofloadGroupReader(_Reader):
    """Reads with the members of a consumer group; one status for all of them."""

    def __init__(
        self, context: Any, brokers: str, topic: str, readers: int, group_name: Optional[str] = None, **reader: Any
    ):
        super().__init__(context, brokers, topic, **reader)
        self._readers, self._group_name = readers, group_name

    def reading(self) -> List[str]:
        words = ["--consumer_group_readers", str(self._readers)]
        if self._group_name is not None:
            words += ["--consumer_group_name", self._group_name]
        return words

    def parse(self, workers: List[Dict[str, Any]]) -> ReaderStatus:
        return ReaderStatus.of(workers[0])
