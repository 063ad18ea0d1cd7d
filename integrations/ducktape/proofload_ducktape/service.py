"""What all services have in common: a process on a node, watched over its control port."""

from __future__ import annotations

import json
import re
import shlex
import signal
import threading
import time
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Optional

import requests
from ducktape.cluster.cluster import ClusterNode
from ducktape.cluster.remoteaccount import RemoteCommandError
from ducktape.services.service import Service
from ducktape.utils.util import wait_until

# Where ports of services begin, unless the global `proofload_port` says otherwise; each service of a node gets the next
# one that no other has.
FIRST_PORT = 7884
# The contract: the first status within 5 s, and the process gone within 10 s of /shutdown.
FIRST_STATUS_S = 30
EXIT_S = 20
POLL_EVERY_S = 1.0
# Polls that may fail one after the other before a process counts as dead.
POLLS_THAT_MAY_FAIL = 5
# Lines of the log that nobody has to allow for.
BAD_LINES = re.compile(r"\bERROR\b|\bVIOLATION\b|\bpanicked\b|\bproofload: bug\b")


class ProcessDied(Exception):
    """The process ended, or stopped answering, while its work was not done."""


class BadLogLines(Exception):
    """The log has lines that nobody allowed."""


@dataclass
class Security:
    """How a service proves who it is."""

    username: Optional[str] = None
    password: Optional[str] = None
    mechanism: str = "SCRAM-SHA-256"
    tls: bool = False
    # On the node.
    ca_file: Optional[str] = None


class ProofloadService(Service):
    """A process on one node, either a node of its own or one that the test has allocated.

    A reader has to run where its producer runs, and in the same folder, since the ledger lies there: give it the
    producer's `node`, or have it take both from `beside=producer`.
    """

    def __init__(
        self,
        context: Any,
        brokers: str,
        *,
        node: Optional[ClusterNode] = None,
        beside: Optional[ProofloadService] = None,
        folder: Optional[str] = None,
        security: Optional[Security] = None,
        flags: Iterable[str] = (),
        allowed_logs: Iterable[str] = (),
    ):
        if beside is not None:
            node = node or beside.nodes[0]
            folder = folder or beside.folder
        self._owns_node = node is None
        super().__init__(context, num_nodes=1 if self._owns_node else 0)
        if node is not None:
            self.nodes = [node]
        self.brokers = brokers
        # A ledger lies in it, which others read.
        self._owns_folder = folder is None
        self.folder = folder or f"/tmp/proofload-{self.service_id}"
        self.log_file = f"{self.folder}/{self.service_id}.log"
        self.report_file = f"{self.folder}/{self.service_id}.report.json"
        self._security = security or Security()
        self._flags = list(flags)
        self._allowed_logs = [re.compile(pattern) for pattern in allowed_logs]
        self._pid: Optional[int] = None
        self._port: Optional[int] = None
        self._watch: Optional[StatusThread] = None
        self.logs = {
            "log": {"path": self.log_file, "collect_default": True},
            "report": {"path": self.report_file, "collect_default": True},
        }

    # ------------------------------------------------------------------ for subclasses

    def program(self) -> str:
        """Which of proofload's programs."""
        return "verifier"

    def work(self) -> List[str]:
        """The flags that say what to do."""
        raise NotImplementedError

    def parse(self, workers: List[Dict[str, Any]]) -> Any:
        """What `/status` answers, as the test is to see it."""
        raise NotImplementedError

    def is_done(self, workers: List[Dict[str, Any]]) -> bool:
        """Whether all work is done."""
        return not any(worker["active"] for worker in workers)

    # ------------------------------------------------------------------------ ducktape

    def start_node(self, node: ClusterNode, **_: Any) -> None:
        assert self._pid is None, f"{self.who_am_i(node)} is running already"
        node.account.ssh(f"mkdir -p {shlex.quote(self.folder)}")
        self._port = self._claim_port(node)
        words = [self.binary(), self.program(), "--brokers", self.brokers, *self.work(), *self.credentials(node)]
        words += ["--remote", "--remote-port", str(self._port), "--report", self.report_file, *self._flags]
        command = " ".join(shlex.quote(word) for word in words)
        log = shlex.quote(self.log_file)
        # The process itself is in the background, and no shell around it, which would hold the connection open.
        start = f"cd {shlex.quote(self.folder)} || exit 1; nohup {command} >> {log} 2>&1 < /dev/null & echo $!"
        self.logger.info(f"{self.who_am_i(node)}: {command}")
        self._pid = int(self._output(node, start, timeout_sec=FIRST_STATUS_S))
        self._watch = StatusThread(self, node)
        wait_until(
            lambda: self._first_status(node),
            timeout_sec=FIRST_STATUS_S,
            backoff_sec=0.2,
            err_msg=f"{self.who_am_i(node)}: no status within {FIRST_STATUS_S} s; its log is {self.log_file}",
        )
        self._watch.start()

    def wait_node(self, node: ClusterNode, timeout_sec: Optional[float] = None) -> bool:
        """Waits until all work is done, and ends the process: readers that loop, or wait for more, are told that this
        is their last pass."""
        assert timeout_sec, "a limit is needed: wait(timeout_sec=...)"
        assert self._watch is not None, f"{self.who_am_i(node)} is not running"
        try:
            self.request(node, "last_pass")
        except ProcessDied:
            # So it is over, one way or the other.
            self._watch.stop()
            return self._ended_by_itself(node)
        try:
            wait_until(
                self._watch.is_over,
                timeout_sec=timeout_sec,
                backoff_sec=0.5,
                err_msg=f"{self.who_am_i(node)}: not done within {timeout_sec} s",
            )
        except Exception:
            # Where it stands goes to its log.
            self.request(node, "print_stack", must=False)
            raise
        self._watch.stop()
        if not self.is_alive(node):
            return self._ended_by_itself(node)
        self._end(node)
        return True

    def _ended_by_itself(self, node: ClusterNode) -> bool:
        """A run that fails does not stay: its log says why, and its report that it came to its end."""
        self._gone(node)
        self.check_log(node)
        if not self.report()["ended"]:
            raise ProcessDied(f"{self.who_am_i(node)} was ended; its log is {self.log_file}")
        return True

    def stop_node(self, node: ClusterNode, **_: Any) -> None:
        """Kills the process if it is still there."""
        if self._watch is not None:
            self._watch.stop()
        if self._pid is not None:
            try:
                node.account.signal(self._pid, signal.SIGKILL, allow_fail=False)
            except RemoteCommandError as error:
                if "No such process" not in str(error.msg):
                    raise
            self._gone(node)

    def clean_node(self, node: ClusterNode, **_: Any) -> None:
        """Removes what this service has left; the folder of another one, with the ledger, stays."""
        if self._owns_folder:
            node.account.remove(self.folder, allow_fail=True)
        else:
            for file in (self.log_file, self.report_file):
                node.account.remove(file, allow_fail=True)

    def free(self) -> None:
        if self._owns_node:
            super().free()
        else:
            self.nodes = []

    # ------------------------------------------------------------------------ for tests

    @property
    def status(self) -> Any:
        """The newest status."""
        assert self._watch is not None, f"{self.who_am_i()} was not started"
        self._watch.raise_error()
        return self.parse(self._watch.workers)

    def last_pass(self) -> None:
        """Has readers end after this pass."""
        for node in self.nodes:
            self.request(node, "last_pass")

    def reset(self) -> None:
        """Zeroes all counters."""
        for node in self.nodes:
            self.request(node, "reset")

    def report(self) -> Dict[str, Any]:
        """The report of a run that has ended."""
        return json.loads(self._output(self.nodes[0], f"cat {shlex.quote(self.report_file)}"))

    def check_log(self, node: ClusterNode) -> None:
        """Raises `BadLogLines` where the log has errors that nobody allowed."""
        lines = self._output(node, f"cat {shlex.quote(self.log_file)}").splitlines()
        allowed = self._allowed_logs
        bad = [line for line in lines if BAD_LINES.search(line) and not any(one.search(line) for one in allowed)]
        if bad:
            raise BadLogLines(f"{self.who_am_i(node)}: " + "\n".join(bad[:20]))

    # -------------------------------------------------------------------------- within

    def binary(self) -> str:
        """Where the program is: the test's global `proofload`, or wherever the node's PATH has it."""
        return self.context.globals.get("proofload", "proofload")

    def credentials(self, node: ClusterNode) -> List[str]:
        security, words = self._security, []
        if security.username is not None:
            # Not on the command line, which goes to the logs.
            path = f"{self.folder}/{self.service_id}.password"
            node.account.create_file(path, security.password or "")
            node.account.ssh(f"chmod 600 {shlex.quote(path)}")
            words += ["--username", security.username, "--password-file", path]
            words += ["--sasl-mechanism", security.mechanism]
        if security.tls:
            words.append("--enable-tls")
        if security.ca_file is not None:
            words += ["--tls-ca", security.ca_file]
        return words

    def url(self, node: ClusterNode, path: str) -> str:
        return f"http://{node.account.externally_routable_ip}:{self._port}/{path}"

    def request(self, node: ClusterNode, path: str, must: bool = True, timeout_sec: float = 60) -> None:
        """Asks the control port to do something, again and again where it does not answer."""
        until = time.monotonic() + timeout_sec
        while True:
            try:
                requests.put(self.url(node, path), timeout=10).raise_for_status()
                return
            except requests.RequestException as error:
                if not must:
                    self.logger.warning(f"{self.who_am_i(node)}: {path}: {error}")
                    return
                if not self.is_alive(node):
                    raise ProcessDied(f"{self.who_am_i(node)}: {path}: {error}") from error
                if time.monotonic() > until:
                    raise
                time.sleep(0.5)

    def is_alive(self, node: ClusterNode) -> bool:
        return self._pid is not None and node.account.alive(self._pid)

    def fetch_status(self, node: ClusterNode) -> List[Dict[str, Any]]:
        answer = requests.get(self.url(node, "status"), timeout=10)
        answer.raise_for_status()
        return answer.json()

    def _first_status(self, node: ClusterNode) -> bool:
        if not self.is_alive(node):
            tail = self._output(node, f"tail -n 20 {shlex.quote(self.log_file)}")
            raise ProcessDied(f"{self.who_am_i(node)} ended at its start:\n{tail}")
        try:
            self._watch.workers = self.fetch_status(node)
        except requests.RequestException:
            return False
        return True

    def _end(self, node: ClusterNode) -> None:
        """Ends the process, which nobody watches any longer, and raises what was seen of it and what its log has."""
        self.request(node, "shutdown", must=False)
        wait_until(
            lambda: not self.is_alive(node),
            timeout_sec=EXIT_S,
            backoff_sec=0.1,
            err_msg=f"{self.who_am_i(node)}: still there {EXIT_S} s after /shutdown",
        )
        self._gone(node)
        self._watch.raise_error()
        self.check_log(node)

    def _gone(self, node: ClusterNode) -> None:
        self._pid = None
        node.__dict__.get("proofload_ports", {}).pop(self.service_id, None)

    def _claim_port(self, node: ClusterNode) -> int:
        """A port of this node that no other service of the test has."""
        ports = node.__dict__.setdefault("proofload_ports", {})
        first = int(self.context.globals.get("proofload_port", FIRST_PORT))
        port = next(port for port in range(first, first + 1_000) if port not in ports.values())
        ports[self.service_id] = port
        return port

    def _output(self, node: ClusterNode, command: str, timeout_sec: Optional[float] = None) -> str:
        output = node.account.ssh_output(command, timeout_sec=timeout_sec)
        return output.decode("utf-8", "replace") if isinstance(output, bytes) else output


class StatusThread(threading.Thread):
    """Polls a process until its work is done, and keeps its newest status."""

    def __init__(self, service: ProofloadService, node: ClusterNode):
        super().__init__(name=f"{service.service_id}-status", daemon=True)
        self.workers: List[Dict[str, Any]] = []
        self._service, self._node = service, node
        self._done, self._told = threading.Event(), threading.Event()
        self._error: Optional[Exception] = None

    def run(self) -> None:
        failed = 0
        while not self._told.wait(POLL_EVERY_S):
            try:
                self.workers = self._service.fetch_status(self._node)
                failed = 0
            except requests.RequestException as error:
                failed += 1
                if failed >= POLLS_THAT_MAY_FAIL or not self._service.is_alive(self._node):
                    self._error = ProcessDied(f"{self._service.who_am_i(self._node)}: {error}")
                    return
                continue
            if self._service.is_done(self.workers):
                self._done.set()

    def is_over(self) -> bool:
        return self._done.is_set() or self._error is not None

    def stop(self) -> None:
        self._told.set()
        if self.is_alive():
            self.join()

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error

