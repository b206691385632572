"""What a service of searches stands on: its engines and its store, reached when they are needed."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from domain.errors import DongseonError
from serving.database import audit, queries
from serving.database.audit import Action
from serving.database.connection import old_pgvector
from serving.database.store import Store
from serving.perception.engine_calls import EnginesAwayError
from serving.search.engines import SearchEngines
from serving.search.messages import Status
from serving.search.rollout import Rollout

_log = logging.getLogger(__name__)


class NotReadyError(DongseonError):
    """The service cannot search now; the message says why."""


class Connected:
    """Engines and store of one deployment; safe to share between threads.

    If the engines do not answer or the store does not open, the service is not ready but stays up and says what is
    missing. It tries both again with each request.

    Args:
        reach_engines: connects to the engines.
        open_store: opens the store.
        configuration: what the service runs with, for the audit.
    """

    def __init__(
        self,
        reach_engines: Callable[[], SearchEngines],
        open_store: Callable[[], Store],
        configuration: Callable[[], dict[str, Any]],
    ) -> None:
        self._connect = reach_engines
        self._open_store = open_store
        self._configuration = configuration
        self._engines: SearchEngines | None = None
        self._engines_lock = threading.Lock()
        self._store: Store | None = None
        self._store_lock = threading.Lock()
        self._last_reason: str | None = None
        self._rollout = Rollout()

    def close(self) -> None:
        """Close the store."""
        with self._store_lock:
            store, self._store = self._store, None
        if store is not None:
            store.close()

    def store(self) -> Store:
        """The store, opened at the first call, which also records a changed configuration in the audit.

        Raises:
            NotReadyError: if it does not open.
        """
        with self._store_lock:
            if self._store is None:
                try:
                    opened = self._open_store()
                except DongseonError as error:
                    raise NotReadyError(str(error)) from error
                self._record_configuration(opened)
                self._store = opened
            return self._store

    def ready_store(self) -> Store:
        """The store, if it can be searched with the engines.

        Raises:
            NotReadyError: if not.
        """
        reason = self._reason_not_ready(self.running_engines)
        if reason:
            raise NotReadyError(reason)
        return self.store()

    def engines(self) -> SearchEngines:
        """The engines, with the re-ID model in use.

        Raises:
            NotReadyError: if they do not answer.
        """
        return self.models()[0]

    def models(self) -> list[SearchEngines]:
        """The engines with the re-ID model in use, then those with the other one, if the deployment carries two.

        Raises:
            NotReadyError: if they do not answer.
        """
        newest = self.running_engines()
        if newest.previous is None:
            return [newest]
        return self._rollout.in_order(self.store(), newest, newest.previous)

    def running_engines(self) -> SearchEngines:
        """The engines, with the newest re-ID model of the deployment.

        Raises:
            NotReadyError: if they do not answer.
        """
        return self._engines or self._reach_engines()

    @contextmanager
    def using_engines(self) -> Iterator[None]:
        """If the engines stop in the block, the next request connects again: they may be others then."""
        try:
            yield
        except EnginesAwayError:
            self._engines = None
            raise

    def reason_not_ready(self) -> str | None:
        """Why searches are impossible; None if engines and store fit together and let people in. A change is logged."""
        return self._reason_not_ready(self._reach_engines, is_asked=True)

    def status(self) -> Status:
        """Readiness, model version and engines."""
        reason, engines = self.reason_not_ready(), self._engines_in_use()
        return Status(
            ready=reason is None,
            reason=reason,
            model_version=engines.model_version if engines is not None else None,
            deployment_version=engines.deployment_version if engines is not None else None,
            engines=engines.status if engines is not None else {},
            transits_version=(engines.transits.version or None) if engines is not None else None,
            warnings=[*self.warnings(), *self._warnings_of_replica()],
        )

    def warnings(self) -> list[str]:
        """Sentences on what makes answers incomplete; none while the store does not answer."""
        engines = self._engines_in_use()
        try:
            engine = self.store().engine
            empty = queries.nothing_processed(engine, engines.model_version) if engines is not None else None
            return [warning for warning in (old_pgvector(engine), empty) if warning is not None]
        except (NotReadyError, sa.exc.DBAPIError):  # which `reason` tells
            return []

    def _warnings_of_replica(self) -> list[str]:
        try:
            replica = self.store().replica
        except NotReadyError:  # which `reason` tells
            return []
        warning = replica.warning() if replica is not None else None
        return [warning] if warning is not None else []

    def _reach_engines(self) -> SearchEngines:
        with self._engines_lock:
            try:
                self._engines = self._connect()
            except DongseonError as error:
                self._engines = None
                raise NotReadyError(str(error)) from error
            return self._engines

    def _engines_in_use(self) -> SearchEngines | None:
        """As `engines`, without an attempt to reach them; the newest while the store does not answer."""
        if self._engines is None:
            return None
        try:
            return self.engines()
        except (NotReadyError, sa.exc.DBAPIError):
            return self._engines

    def _record_configuration(self, opened: Store) -> None:
        """Record in the audit with what the service runs, or leave the store."""
        try:
            with opened.begin() as connection:
                audit.append_change(connection, Action.CONFIGURATION, self._configuration())
        except sa.exc.DBAPIError as error:
            opened.close()
            raise NotReadyError(f"the audit must take what the service runs with: {error.orig}") from error

    def _reason_not_ready(self, engines: Callable[[], SearchEngines], *, is_asked: bool = False) -> str | None:
        """The reason; only who asks for it (`is_asked`) is told of accounts, which a search has passed already."""
        try:
            engines()
            store = self.store()
            version = self.engines().model_version
            reason = store.damage.reason or queries.reason_not_ready(store.engine, version)
            if reason is None and is_asked:
                reason = queries.reason_no_account_is_let_in(store.engine)
        except DongseonError as error:
            reason = str(error)
        except sa.exc.DBAPIError as error:
            reason = f"the database does not answer: {error.orig}"
        if reason != self._last_reason:
            if reason:
                _log.warning("not ready: %s", reason)
            else:
                _log.info("ready: searching sightings of the model %s", self.engines().model_version)
            self._last_reason = reason
        return reason
