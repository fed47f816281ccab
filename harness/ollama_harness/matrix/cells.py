"""The cells of the matrix: clients × scenarios × recordings, and their ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ollama_harness.answers.requests.native_types import request_type
from ollama_harness.clients import Client, client, clients, named
from ollama_harness.clients.installed import runnable
from ollama_harness.errors import FaultDoesNotApply, HarnessError, UnknownName
from ollama_harness.faults import apply
from ollama_harness.matrix._concerned import has_call, hosts
from ollama_harness.matrix.scenarios import SCENARIOS, Requirement, Scenario, scenario
from ollama_harness.network.required import RequiredRoute, required
from ollama_harness.network.route import Route
from ollama_harness.oracle.comparison import View
from ollama_harness.oracle.piece_comparison import PieceView
from ollama_harness.oracle.pieces import Yields
from ollama_harness.oracle.record_comparison import RecordView, agrees
from ollama_harness.oracle.reference import Layer, Reference, redirected, reference
from ollama_harness.oracle.verdict import Verdict
from ollama_harness.recordings.recording import Recording, Request
from ollama_harness.recordings.store import RecordingStore
from ollama_harness.script.script import Script

__all__ = ["ELSEWHERE", "Cell", "PlannedScenario", "cell", "names_in", "plan", "planned_scenarios"]

#: The path to which redirects lead. The recording is played there without faults.
ELSEWHERE = "/elsewhere"

#: The time between the last moment that a read timeout allows and the verdict "hang".
_GRACE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedScenario:
    """A scenario on one recording, shared by all clients: the script without faults, and one for each exchange."""

    scenario: Scenario
    recording: Recording
    plain: Script
    scripts: tuple[Script, ...]
    _references: dict[tuple[int, bool], tuple[Script, Reference]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def of(cls, scenario: Scenario, recording: Recording) -> PlannedScenario:
        """Apply the scenario's faults to the recording.

        Raises: FaultDoesNotApply.
        """
        plain = Script.from_recording(recording, speed=scenario.speed)
        scripts = tuple(apply(plain, faults) for faults in (scenario.faults, *scenario.then))
        return cls(scenario=scenario, recording=recording, plain=plain, scripts=scripts)

    @property
    def place(self) -> int:
        """The place at which the scenario names the recording, if it names recordings."""
        names = self.scenario.recordings
        return names.index(self.recording.name) if self.recording.name in names else len(names)

    def reference(self, script: Script, *, as_events: bool) -> Reference:
        """What a perfect client must see of a script; computed once for all clients, because that takes longer than a
        client needs for the answer.
        """
        key = id(script), as_events  # the script is kept, so no other gets its id
        if key not in self._references:
            self._references[key] = script, self._computed(script, as_events=as_events)
        return self._references[key][1]

    def _computed(self, script: Script, *, as_events: bool) -> Reference:
        if script.head is not None and script.head.header("location") == ELSEWHERE:
            return redirected(self.reference(self.plain, as_events=as_events))
        return reference(
            script,
            media_type=self.recording.response.media_type,
            read_timeout_s=self.scenario.read_timeout_s,
            as_events=as_events,
        )


@dataclass(frozen=True, slots=True)
class Cell:
    """One client in one scenario on one recording; in an environment, with one form of URL."""

    client: Client
    planned: PlannedScenario
    host: str = ""

    @property
    def scenario(self) -> Scenario:
        return self.planned.scenario

    @property
    def recording(self) -> Recording:
        return self.planned.recording

    @property
    def plain(self) -> Script:
        """The script of the recording, without any fault."""
        return self.planned.plain

    @property
    def scripts(self) -> tuple[Script, ...]:
        """The scripts to play, one for each exchange."""
        return self.planned.scripts

    @property
    def id(self) -> str:
        """`<client>/<scenario>/<ollama version>/<recording>`, and `@<host>` in an environment."""
        at = f"@{self.host}" if self.host else ""
        return f"{self.client.name}/{self.scenario.name}/{self.recording.id}{at}"

    @property
    def request(self) -> Request:
        """What the client is asked to send: the recorded request. A client of Ollama's layer leaves out fields that
        Ollama does not know there and ignores, because its calls have no place for them.
        """
        recorded = self.recording.request
        known = request_type(recorded.path, self.recording.ollama_version)
        if self.client.layer is Layer.HTTP or known is None or not isinstance(recorded.json, dict):
            return recorded
        read = {name: value for name, value in recorded.json.items() if name.casefold() in known.folded}
        return replace(recorded, json=read)

    @property
    def layer(self) -> Layer:
        """The layer at which the cell is judged. An Ollama client always promises Ollama; an HTTP client is judged by
        that only if the scenario says so.
        """
        return Layer.OLLAMA if Layer.OLLAMA in (self.client.layer, self.scenario.layer) else Layer.HTTP

    @property
    def view(self) -> View:
        """How what the client yields is compared. An HTTP client yields whole objects, so all fields are compared."""
        if self.client.yields is Yields.PIECES:
            return PieceView(self.client.drops_thinking)
        subject = None if self.client.layer is Layer.HTTP else self.scenario.subject
        return RecordView(subject, self.client.contract.unknown_fields, self.client.contract.zero_values)

    @property
    def requirement(self) -> Requirement:
        """The requirement of the scenario. It is OBSERVE if it is about Ollama's protocol and the client is an HTTP
        library. In an environment it is MUST or OBSERVE, as a route is required of this client or not.
        """
        if self.scenario.environment is not None:
            return Requirement.OBSERVE if self.required.route is None else Requirement.MUST
        above = self.scenario.layer is Layer.OLLAMA and self.client.layer is Layer.HTTP
        return Requirement.OBSERVE if above else self.scenario.requirement

    @property
    def required(self) -> RequiredRoute:
        """The route that the settings of the environment require."""
        environment = self.scenario.environment
        assert environment is not None
        if environment.disputed:
            return RequiredRoute(None, environment.disputed, "")
        contract = self.client.contract
        if not contract.reads_any(environment.variables):
            return RequiredRoute(Route.DIRECT, "it reads none of these variables", contract.source)
        return required(environment.settings(), environment.url(self.host) or "http://127.0.0.1:11434")

    @property
    def gating(self) -> bool:
        """Whether every verdict but a pass (or a known issue) is red."""
        return self.requirement is not Requirement.OBSERVE

    @property
    def deadline_s(self) -> float:
        """The seconds after which the client counts as hanging."""
        longest_s = max(script.ending.at_s for script in self.scripts)
        return self.client.deadline_s or longest_s + 2 * self.scenario.read_timeout_s + _GRACE_S

    def reference(self, script: Script) -> Reference:
        """What a perfect client must see of one of the scripts."""
        return self.planned.reference(script, as_events=self.client.layer is Layer.HTTP)


def plan(
    store: RecordingStore,
    *,
    client_names: Sequence[str] = (),
    scenario_names: Sequence[str] = (),
    recording_names: Sequence[str] = (),
    versions: Sequence[str] = (),
    environments: bool = False,
    v1: bool = False,
    applicable: bool = False,
) -> list[Cell]:
    """The cells of a run, sorted by id. Without names these are all clients that can run here, all scenarios that run
    by default, and the newest version; with `environments`, all environments; with `v1`, all that plays streams of
    events, in each dialect. Canaries always run. With `applicable`, recordings to which a scenario's faults do not
    apply are skipped, and no error is raised.

    Raises: UnknownName, FaultDoesNotApply, HarnessError (no cell is left).
    """
    asked_for = {one.name: one for name in client_names for one in named(name)}
    chosen = list(asked_for.values()) or [client(name) for name in runnable()]
    with_canaries = [*chosen, *(one for one in clients().values() if one.is_canary and one not in chosen)]
    found = [
        Cell(one, planned, host)
        for planned in _planned(
            store,
            versions,
            _scenarios(scenario_names, environments=environments, v1=v1),
            recording_names,
            applicable=applicable,
        )
        for one in with_canaries
        for host in hosts(one, planned.scenario, planned.recording)
    ]
    if not (recording_names or store.own_ids):
        found = list(_once(found, all_dialects=bool(v1 or scenario_names)))
    cells = [one for one in found if _is_useful(one, is_own=one.recording.id in store.own_ids)]
    if not any(one.client in chosen for one in cells):
        raise HarnessError("no cell is left: none of these scenarios uses one of these recordings")
    return sorted(cells, key=lambda one: one.id)


def _scenarios(names: Sequence[str], *, environments: bool, v1: bool) -> list[Scenario]:
    """The named scenarios; without names, all environments, all that play events, or all that run by default."""

    def chosen(one: Scenario) -> bool:
        if environments:
            return one.environment is not None
        return one.events if v1 else one.by_default

    return [scenario(name) for name in names] or list(filter(chosen, SCENARIOS.values()))


def _planned(
    store: RecordingStore,
    versions: Sequence[str],
    scenarios: Sequence[Scenario],
    recording_names: Sequence[str],
    *,
    applicable: bool,
) -> Iterator[PlannedScenario]:
    """Each scenario on each of its recordings. A fault that does not apply raises before any cell is run.

    Raises: UnknownName, FaultDoesNotApply.
    """
    chosen = [store.version(name) for name in versions] or [store.newest]
    there = {name for version in chosen for name in store.own_names(version) or store.names(version, ["*"])}
    for name in recording_names:
        if name not in there:
            raise UnknownName("recording", name, there)
    for version in chosen:
        for each in scenarios:
            yield from planned_scenarios(store, version, each, recording_names, applicable=applicable)


def _once(cells: Iterable[Cell], *, all_dialects: bool) -> Iterator[Cell]:
    """The cells without those of further recordings where one is enough: each client keeps the first that it has a call
    for. With `all_dialects` those of streams of events stay.
    """
    first: dict[tuple[str, str, str], str] = {}
    for one in sorted(cells, key=lambda one: one.planned.place):
        key = one.client.name, one.scenario.name, one.recording.ollama_version
        matters = one.scenario.events and all_dialects
        if matters or not one.scenario.one_is_enough or first.setdefault(key, one.recording.id) == one.recording.id:
            yield one


def planned_scenarios(
    store: RecordingStore,
    version: str,
    scenario: Scenario,
    recording_names: Sequence[str] = (),
    *,
    applicable: bool = False,
) -> Iterator[PlannedScenario]:
    """A scenario on each of its recordings of one version, or on those of them that are named.

    Recordings to which its faults do not apply are skipped if they are the user's own, or if only the `applicable` ones
    are wanted.

    Raises: FaultDoesNotApply.
    """
    for name in names_in(store, version, scenario):
        if recording_names and name not in recording_names:
            continue
        try:
            yield PlannedScenario.of(scenario, store.get(f"{version}/{name}"))
        except FaultDoesNotApply:
            if not applicable and not store.own_ids:
                raise


def names_in(store: RecordingStore, version: str, scenario: Scenario) -> list[str]:
    """The names of the recordings that a scenario plays.

    In a store with recordings of the user these are theirs only: those that the scenario names, and every stream of its
    kind, NDJSON or events, if it is made for any stream.
    """

    names = scenario.names_in(store, version)
    if not store.own_ids:
        return names
    any_ = scenario.is_for_any_stream
    own = store.own_names(version)
    return [name for name in own if name in names or (any_ and scenario.plays(store.get(f"{version}/{name}")))]


def _is_useful(one: Cell, *, is_own: bool) -> bool:
    """False for a canary behind a proxy, because canaries do not use proxies. False also for a canary whose change does
    not show in this recording: an old Ollama sends no log probabilities that a canary could drop. And false for one on
    a recording of the user, unless it earns the same everywhere: a short stream may be whole before the cut.
    """
    if not one.client.is_canary:
        return True
    if is_own and one.client.earns is not None and None not in one.client.earns:
        return False
    if one.scenario.environment is not None and one.required.route is Route.PROXIED:
        return False
    spoils, earns = one.client.spoils, one.client.earns
    if spoils is None or earns is None or earns.get(one.scenario.name) is Verdict.PASS:
        return True
    records = one.reference(one.scripts[0]).records
    return any(agrees(spoils(one), one, subject=None) is not None for one in records if isinstance(one, dict))


def _first(store: RecordingStore, one: Client, scenario: Scenario) -> PlannedScenario | None:
    """The scenario on its first recording for which a client has a call; if it has none, on its first."""
    planned: Iterable[PlannedScenario] = planned_scenarios(store, store.newest, scenario)
    if scenario.one_is_enough:
        planned = sorted(planned, key=lambda each: each.place)
    without = None
    for each in planned:
        if has_call(one, each.recording):
            return each
        without = without or each
    return without


def cell(store: RecordingStore, id_: str) -> Cell:
    """One cell by its id. Without a recording, it is the scenario's first recording of the newest version for which the
    client has a call.

    Raises: UnknownName, HarnessError.
    """
    id_, _, host = id_.partition("@")
    match id_.split("/", 2):
        case [client_name, scenario_name]:
            first = _first(store, client(client_name), scenario(scenario_name))
            if first is None:
                raise HarnessError(f"{scenario_name} plays none of these recordings; name it as its recordings are")
            return cell(store, f"{client_name}/{scenario_name}/{first.recording.id}@{host}")
        case [client_name, scenario_name, recording_id]:
            one = Cell(client(client_name), PlannedScenario.of(scenario(scenario_name), store.get(recording_id)))
            if one.scenario.environment is not None:
                hosts = one.scenario.environment.hosts
                one = replace(one, host=host or hosts[0])
                if one.host not in hosts:
                    raise UnknownName(f"host in {scenario_name}", host, hosts)
        case _:
            raise HarnessError(
                f"{id_!r} is not a cell; write CLIENT/SCENARIO, or CLIENT/SCENARIO/VERSION/RECORDING[@HOST]"
            )
    names = names_in(store, recording_id.rpartition("/")[0], one.scenario)
    if one.recording.name not in names:
        raise UnknownName(f"recording in scenario {scenario_name}", one.recording.name, names)
    return one
