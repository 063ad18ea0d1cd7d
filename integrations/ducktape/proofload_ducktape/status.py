"""What `/status` answers: exactly these fields, so that one that is missing or new shows at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional


@dataclass(frozen=True)
class Latency:
    """Percentiles, in microseconds."""

    p50: float
    p90: float
    p99: float


@dataclass(frozen=True)
class ProducerStatus:
    """A producer: totals over all of its cores."""

    topic: str
    sent: int
    acked: int
    bad_offsets: int
    max_offsets_produced: Dict[int, int]
    restarts: int
    fails: int
    tombstones_produced: int
    failed_transactions: int
    aborted_transaction_msgs: int
    latency: Latency
    active: bool

    @classmethod
    def of(cls, fields: Dict[str, Any]) -> ProducerStatus:
        fields = dict(fields)
        fields["latency"] = Latency(**fields["latency"])
        fields["max_offsets_produced"] = by_partition(fields["max_offsets_produced"])
        return cls(**fields)


@dataclass(frozen=True)
class Validator:
    """What a reader has seen."""

    name: str
    valid_reads: int
    invalid_reads: int
    out_of_scope_invalid_reads: int
    max_offsets_consumed: Dict[int, int]
    lost_offsets: Optional[Dict[int, int]]
    tombstones_consumed: int
    offset_gaps: int = 0

    @classmethod
    def of(cls, fields: Dict[str, Any]) -> Validator:
        fields = dict(fields)
        fields["max_offsets_consumed"] = by_partition(fields["max_offsets_consumed"])
        if fields["lost_offsets"] is not None:
            fields["lost_offsets"] = by_partition(fields["lost_offsets"])
        return cls(**fields)


@dataclass(frozen=True)
class ReaderStatus:
    """A sequential reader, one of several random ones, or a whole consumer group."""

    topic: str
    validator: Validator
    active: bool
    errors: int

    @classmethod
    def of(cls, fields: Dict[str, Any]) -> ReaderStatus:
        fields = dict(fields)
        fields["validator"] = Validator.of(fields["validator"])
        return cls(**fields)


@dataclass(frozen=True)
class RepeaterStatus:
    """One worker of a repeater."""

    topics: List[str]
    produced: int
    consumed: int
    enqueued: int
    errors: int
    ack: Latency
    e2e: Latency

    @classmethod
    def of(cls, fields: Dict[str, Any]) -> RepeaterStatus:
        fields = dict(fields)
        latency = fields.pop("latency")
        return cls(ack=Latency(**latency["ack"]), e2e=Latency(**latency["e2e"]), **fields)


def by_partition(fields: Dict[str, int]) -> Dict[int, int]:
    """JSON has no numbers as keys."""
    return {int(partition): value for partition, value in fields.items()}
