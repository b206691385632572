"""Deployment: `params.yaml`, `engines/<district>` and `transits/<district>` in the folder of the code.

The folder is the repository, or lies inside a Bento.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from domain.errors import ArtifactError, InputError
from domain.model_card import read_card, require_searchable, version_of_deployment
from domain.paths import ENGINES, PREVIOUS, STORE, TRANSITS
from domain.registered import origins_of, read_registered
from domain.settings import PARAMS, Settings, name_in, read_params
from serving.cases.settings import CasesSettings
from serving.database import deployments, rollout
from serving.database.retention import RetentionSettings
from serving.database.store import Store, open_store
from serving.database.viewing import ViewingSettings
from serving.footage.vms_link import FootageSettings
from serving.ingestion.settings import IngestSettings, StreamsSettings
from serving.matching.route import RouteSettings
from serving.matching.transits import Transits
from serving.perception.engine_calls import EngineCalls, EnginesSettings, LoadedEngines
from serving.perception.perception import Engine, EngineNames, Engines, PerceptionSettings, open_engine, open_engines
from serving.search.engines import SearchEngines
from serving.search.search import SearchSettings
from serving.search.service import SearchService, SearchServiceSettings
from serving.watching.webhook import AlertsSettings
from serving.web.gate import AccessSettings
from serving.web.http_settings import HttpSettings

_log = logging.getLogger(__name__)


class ServingSettings(Settings):
    """The section `serving`."""

    store: Path | None = STORE  # None in a Bento: who serves it names one
    search: SearchSettings
    route: RouteSettings
    service: HttpSettings
    engines: EnginesSettings
    access: AccessSettings
    viewing: ViewingSettings
    cases: CasesSettings
    alerts: AlertsSettings
    footage: FootageSettings
    retention: RetentionSettings
    ingest: IngestSettings
    streams: StreamsSettings

    @property
    def store_folder(self) -> Path:
        """Folder of the store: the environment's `DONGSEON_STORE`, else the setting.

        Raises:
            InputError: if neither names one.
        """
        folder = os.environ.get("DONGSEON_STORE") or self.store
        if folder is None:
            raise InputError(
                "the environment variable DONGSEON_STORE must name the folder of the store, it is not set; a Bento has "
                "no store of its own, because accounts, sightings and keys would be lost with it"
            )
        return Path(folder)


@dataclass(frozen=True)
class Deployment:
    """Folder from which the service and the commands run, with its settings."""

    root: Path
    settings: ServingSettings
    perception: PerceptionSettings
    district: str  # whose engines it has
    detector: str  # name of the engine, as are the next two
    attributes: str | None
    reid: str

    @classmethod
    def read(cls, root: Path, overrides: Sequence[str] = ()) -> Self:
        """The deployment in `root`, by its `params.yaml` and `overrides`, each `key=value`.

        Raises:
            InputError: if the file or a key is missing, or a value is invalid.
        """
        file = root / PARAMS
        params = read_params(overrides, file)
        return cls(
            root=root,
            settings=ServingSettings.from_params("serving", overrides, file),
            perception=PerceptionSettings.from_params("tracking.perception", overrides, file),
            district=name_in(params, "district", "name", file),
            detector=name_in(params, "tracking", "detector", file),
            attributes=name_in(params, "tracking", "attributes", file) if _describes(params) else None,
            reid=f"reid-{name_in(params, 'reid', 'backbone', file)}",
        )

    def configuration(self) -> dict[str, Any]:
        """Configuration of the service as JSON, for the audit. The versions are None without valid cards."""
        try:
            versions: tuple[str | None, str | None] = read_card(self.engine(self.reid)).version, self.version()
        except ArtifactError:
            versions = None, None
        return {
            "serving": self.settings.model_dump(mode="json"),
            "perception": self.perception.model_dump(mode="json"),
            "engines": list(self.engines),
            "model_version": versions[0],
            "deployment_version": versions[1],
        }

    @property
    def engines(self) -> tuple[str, ...]:
        """Names of the engines of the deployment."""
        return tuple(name for name in (self.detector, self.attributes, self.reid) if name is not None)

    @property
    def store(self) -> Path:
        """Folder of the store, relative to `root`."""
        return self.root / self.settings.store_folder

    def engine(self, name: str) -> Path:
        """Folder of the engine `name`."""
        return self.root / ENGINES.of(self.district) / name

    @property
    def previous_reid(self) -> Path | None:
        """Folder of the re-ID engine that was in use before this deployment's; None if it carries none."""
        return next(iter(sorted(self.engine(PREVIOUS).glob("reid-*"))), None)

    def open_engines(self, threads: int | None = None) -> Engines:
        """Opens the engines, each on `threads` threads; None for the engine's own choice.

        Raises:
            ArtifactError: if an engine is missing, invalid, or for another task.
        """
        attributes = self.engine(self.attributes) if self.attributes is not None else None
        without_plan = self.perception.without_plan
        return open_engines(self.engine(self.detector), self.engine(self.reid), attributes, without_plan, threads)

    def load_engines(self, side_by_side: int = 1) -> LoadedEngines:
        """The engines in this process; `side_by_side` calls or processes share the cores."""
        names = EngineNames(self.detector, self.reid, self.attributes)
        return LoadedEngines(names, self.open_engines, side_by_side, self._open_previous)

    def open_previous_for(self, store: Store, threads: int | None = None) -> Engine | None:
        """Opens the re-ID engine that was in use before, by which new sightings of `store` get embeddings, too.

        So searches with either model find them, and a roll-back loses none. None if the deployment carries no other
        one, or it is not usable; the log tells where searches compare with a model that sees nothing new.
        """
        own = read_card(self.engine(self.reid)).version
        try:
            previous = self._open_previous(threads)
        except ArtifactError as error:
            _log.warning("new sightings get no embeddings by the model that was in use before: %s", error)
            previous = None
        if previous is not None and previous.card.version == own:
            previous = None
        by = [own] if previous is None else [own, previous.card.version]
        _log.info("new sightings get embeddings by %s", " and ".join(by))
        with store.begin() as connection:
            chosen = rollout.in_use(connection)
        if chosen is not None and chosen.model_version not in by:
            _log.warning(
                "searches compare with %s, which must see new sightings, too, but this deployment has %s; deploy one "
                "with both, or run serving.reembed --follow from one that has it",
                chosen.model_version,
                " and ".join(by),
            )
        return previous

    def _open_previous(self, threads: int | None) -> Engine | None:
        folder = self.previous_reid
        return open_engine(folder, "reid", self.perception.without_plan, threads) if folder is not None else None

    def version(self) -> str:
        """One id of all that is learnt and deployed together: engines and transit times.

        Raises:
            ArtifactError: if a card is missing or unusable, or the transit times are not whole.
        """
        return version_of_deployment((read_card(self.engine(name)) for name in self.engines), self.transits().version)

    def record_in(self, store: Store) -> None:
        """Let the store know of which models the deployment consists, for the trail of what it makes or finds.

        Raises:
            ArtifactError: if a card is missing or unusable, or the store cannot search embeddings of that length.
        """
        cards = [read_card(self.engine(name)) for name in self.engines]
        require_searchable(cards)
        registered = read_registered(self.root / ENGINES.of(self.district))
        with store.begin() as connection:
            deployments.record(connection, self.version(), origins_of(cards, registered))

    def transits(self) -> Transits:
        """What place and time tell: the district's learnt transit times, if the deployment has them; else on foot.

        Raises:
            ArtifactError: if their files are not whole.
        """
        return Transits.read(self.root / TRANSITS.of(self.district), self.settings.route)

    def open_search(self, calls: EngineCalls) -> SearchService:
        """The search service over the store and the engines behind `calls`; it connects to both later."""
        http, search, route = self.settings.service, self.settings.search, self.settings.route
        return SearchService(
            SearchServiceSettings(http, search, route),
            lambda: SearchEngines.reach(
                calls,
                self.perception,
                self.engine(self.reid),
                search.probability_softness,
                self.transits(),
                self.previous_reid,
            ),
            self._open_store,
            self.configuration,
        )

    def _open_store(self) -> Store:
        store = open_store(self.store)
        try:
            self.record_in(store)
        except (ArtifactError, sa.exc.DBAPIError) as error:  # of which the readiness tells
            _log.warning("the store must know the models of the service: %s", error)
        return store


def _describes(params: dict[str, Any]) -> bool:
    """Whether the deployment has an attribute engine; `tracking.attributes: null` says that it has none."""
    tracking = params["tracking"]
    return "attributes" not in tracking or tracking["attributes"] is not None
