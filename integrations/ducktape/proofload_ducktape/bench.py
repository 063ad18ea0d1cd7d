"""The benchmark: it runs in the background, and ends by itself."""

from __future__ import annotations

import json
import shlex
from typing import Any, Dict, Iterable, List, Optional

from ducktape.cluster.cluster import ClusterNode
from ducktape.services.background_thread import BackgroundThreadService


class ProofloadBench(BackgroundThreadService):
    """Producers and readers at a rate, proven. `wait()` returns when it is over, and raises where it found a
    violation or failed; `result()` is its document."""

    def __init__(
        self,
        context: Any,
        brokers: str,
        topic: str,
        *,
        rate: str = "max",
        duration: str = "60s",
        warmup: str = "10s",
        msg_size: Optional[int] = None,
        folder: Optional[str] = None,
        flags: Iterable[str] = (),
    ):
        super().__init__(context, num_nodes=1)
        self.folder = folder or f"/tmp/proofload-{self.service_id}"
        self.result_file = f"{self.folder}/result.json"
        self.log_file = f"{self.folder}/bench.log"
        words = ["bench", "--brokers", brokers, "--topic", topic, "--rate", rate]
        words += ["--duration", duration, "--warmup", warmup, "--output", self.result_file]
        words += ["--msg_size", str(msg_size)] if msg_size is not None else []
        self._words: List[str] = [*words, *flags]
        self.logs = {
            "result": {"path": self.result_file, "collect_default": True},
            "log": {"path": self.log_file, "collect_default": True},
        }

    def _worker(self, _: int, node: ClusterNode) -> None:
        binary = self.context.globals.get("proofload", "proofload")
        folder, log = shlex.quote(self.folder), shlex.quote(self.log_file)
        command = " ".join(map(shlex.quote, [binary, *self._words]))
        node.account.ssh(f"mkdir -p {folder}")
        # The shell is the program then: its id is the one to end it by.
        node.account.ssh(f"cd {folder} && echo $$ > bench.pid && exec {command} >> {log} 2>&1 < /dev/null")

    def result(self) -> Dict[str, Any]:
        """OpenMessaging's fields, and an object `proofload` with all else."""
        output = self.nodes[0].account.ssh_output(f"cat {shlex.quote(self.result_file)}")
        return json.loads(output)

    def stop_node(self, node: ClusterNode, **_: Any) -> None:
        pid_file = shlex.quote(f"{self.folder}/bench.pid")
        node.account.ssh(f"test ! -e {pid_file} || kill -TERM $(cat {pid_file}) 2>/dev/null || true")

    def clean_node(self, node: ClusterNode, **_: Any) -> None:
        node.account.remove(self.folder, allow_fail=True)
