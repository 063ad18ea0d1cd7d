"""proofload's producer, readers, repeater and benchmark as services of ducktape."""

from .bench import ProofloadBench
from .producer import ProofloadProducer
from .readers import ProofloadGroupReader, ProofloadRandomReader, ProofloadSeqReader
from .repeater import ProofloadRepeater
from .service import BadLogLines, ProcessDied, ProofloadService, Security
from .status import Latency, ProducerStatus, ReaderStatus, RepeaterStatus, Validator

__all__ = [
    "BadLogLines",
    "Latency",
    "ProcessDied",
    "ProducerStatus",
    "ProofloadBench",
    "ProofloadGroupReader",
    "ProofloadProducer",
    "ProofloadRandomReader",
    "ProofloadRepeater",
    "ProofloadSeqReader",
    "ProofloadService",
    "ReaderStatus",
    "RepeaterStatus",
    "Security",
    "Validator",
]
