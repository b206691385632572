"""Logs of every process that runs for long: JSON, one object a line."""

import logging
import sys

import structlog
from structlog.typing import Processor


def write_json_logs() -> None:
    """Write all log lines of this process, packages' included, as JSON to the standard output."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    for name in list(logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.WARNING)
    for ours in ("serving", "__main__"):  # the second is a command's own module
        logging.getLogger(ours).setLevel(logging.INFO)
    logging.getLogger("bentoml.access").setLevel(logging.WARNING)  # our line has the id and the account
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of every broken form
    logging.captureWarnings(True)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
