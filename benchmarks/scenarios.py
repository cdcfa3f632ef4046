"""The scenarios, and the contestants in each: which programs run against which rows, how often, in what order.

Contestants of one scenario take turns, so that a disturbance of the machine falls on all of them.
"""

import json
import os
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from statistics import median

from benchmarks.measure import Cost, disk_mb, measure
from benchmarks.rows import RowState
from pipelines.snapshot_files import DATABASE_FORMAT, PARQUET_FORMAT

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
FIRST_LOAD, NOTHING_NEW, CHANGED, REREAD, PUBLISHING, LATENCY, IMPORTS, MARTS, PAGES = (
    "first load",
    "nothing new",
    "1,000 changed",
    "re-reading 100k",
    "publishing anew",
    "first load, 300 ms a page",
    "imports",
    "marts",
    "pages",
)
OURS, HANDWRITTEN = "defender-sync", "requests + DuckDB, by hand"
STOCK, STOCK_PARQUET = "dlt rest_api, defaults", "dlt rest_api, parquet files"
DOWNLOAD, INSERT = "floor: download", "floor: download + read_json + insert"
COPY = "floor: what is published, copied by DuckDB"
ONE_AT_A_TIME = "defender-sync, one page at a time"
IMPORT_LINE = "import dlt, duckdb, msal, requests, pyarrow"
TRUTH_NAMES = {
    OURS: "ours",
    HANDWRITTEN: "handwritten",
    STOCK: "stock",
    STOCK_PARQUET: "stock",
    INSERT: "insert",
}
# All of them are shown the same rows.
TENANTS = tuple(f"tenant_{number}" for number in range(1, 21))
ONE_TENANT = ("bench",)
OUR_COMMAND = (PYTHON, "-m", "pipelines")
LATENCY_SECONDS = 0.3
# Rows reach back nearly as far as the API keeps any; half a day later the oldest are beyond what a sync asks for.
MOST_AGE_SECONDS = 6 * 3600


@dataclass
class Measured:
    """What came of one contestant in one scenario."""

    scenario: str
    size: int
    contestant: str
    costs: list[Cost] = field(default_factory=list)
    rows: int = 0
    calls: int = 0
    disk: dict[str, float] = field(default_factory=dict)
    truth: dict[str, int] = field(default_factory=dict)
    steps: dict[str, float] = field(default_factory=dict)
    chunks: list[tuple[int, float]] = field(default_factory=list)
    marts: dict[str, dict[str, float]] = field(default_factory=dict)
    pages: dict[str, float] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What tells it from the others."""
        return f"{self.scenario}/{self.size}/{self.contestant}"

    def middle(self, name: str) -> float:
        """The median of a cost."""
        return float(median(getattr(cost, name) for cost in self.costs))


class Served:
    """The server of one size's rows."""

    def __init__(self, url: str, ca_bundle: str) -> None:
        self.url, self.ca_bundle = url, ca_bundle
        self._context = ssl.create_default_context(cafile=ca_bundle)

    def control(self, *, latency: float = 0.0, state: RowState = RowState.AS_MADE) -> dict[str, int]:
        """Set its latency, and the state of its rows; the calls and rows since the last time."""
        address = f"{self.url}/control?latency={latency}&state={state}"
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._context)
        )
        with opener.open(address, timeout=30) as answer:
            told: dict[str, int] = json.load(answer)
        return told


class Bench:
    """One run of the benchmark; everything that it writes lies in `work`."""

    def __init__(self, work: Path, *, resume: bool, most_runs: int = 99) -> None:
        self.work = work
        self.most_runs = most_runs
        # By the clock of `time.monotonic`; from then on nothing is run a second time.
        self.repeat_until = inf
        self.results: dict[str, Measured] = {}
        self._saved = work / "results.json"
        work.mkdir(parents=True, exist_ok=True)
        if resume and self._saved.exists():
            for each in json.loads(self._saved.read_text()):
                costs = [Cost(**cost) for cost in each.pop("costs")]
                measured = Measured(**each, costs=costs)
                self.results[measured.key] = measured

    # --- scenarios ---

    def imports(self, runs: int) -> None:
        """What starting Python with the libraries costs."""
        measured = Measured(IMPORTS, 0, f'python -c "{IMPORT_LINE}"')
        folder = self._fresh("imports")
        for _ in self._turns(runs):
            cost, _ = measure([PYTHON, "-c", IMPORT_LINE], folder, self._env())
            measured.costs.append(cost)
        self._keep(measured)

    def first_load(self, size: int, runs: dict[str, int]) -> None:
        """Everything, into nothing; the databases of ours and of the script are kept for what follows."""
        with self._serving(size) as served:
            every = {name: Measured(FIRST_LOAD, size, name) for name in runs}
            for turn in self._turns(max(runs.values())):
                for name, measured in every.items():
                    if turn < runs[name]:
                        self._load_once(served, size, name, measured, is_first=turn == 0)
            for measured in every.values():
                self._keep(measured)

    def _load_once(self, served: Served, size: int, name: str, measured: Measured, *, is_first: bool) -> None:
        folder = self._fresh("load")
        self._run(served, name, folder, measured)
        if not is_first:
            return
        measured.disk = disk_mb(folder / "data")
        if name in TRUTH_NAMES:
            measured.truth = self._compare(size, folder / "data", TRUTH_NAMES[name])
            measured.disk["versions"] = measured.truth.pop("versions_kb") / 1000
        if name in (OURS, HANDWRITTEN):
            kept = self._kept(name, size)
            shutil.rmtree(kept, ignore_errors=True)
            folder.rename(kept)

    def steps(self, size: int) -> None:
        """Where a first load's time goes."""
        with self._serving(size) as served:
            measured = Measured(FIRST_LOAD + ", by step", size, OURS)
            folder = self._fresh("load")
            self._run_by_step(served, folder, measured)
            self._keep(measured)
        with self._serving(size) as served:
            measured = Measured(NOTHING_NEW + ", by step", size, OURS)
            self._run_by_step(served, folder, measured)
            self._keep(measured)

    def nothing_new(self, size: int, runs: int) -> None:
        """A sync of a warehouse that is in step."""
        with self._serving(size) as served:
            measured = Measured(NOTHING_NEW, size, OURS)
            folder = self._copy(self._kept(OURS, size))
            for _ in self._turns(runs):
                self._run(served, OURS, folder, measured)
            measured.truth = self._compare(size, folder / "data", "ours")
            measured.disk = disk_mb(folder / "data")
            self._keep(measured)

    def mistyped(self, size: int, runs: int) -> None:
        """A first load, and a sync with nothing new, where each action has a value of another type than documented."""
        with self._serving(size) as served:
            first, again = (
                Measured(f"{scenario}, a mistyped value in each", size, OURS)
                for scenario in (FIRST_LOAD, NOTHING_NEW)
            )
            for _ in self._turns(runs):
                folder = self._fresh("load")
                for measured in (first, again):
                    self._run(served, OURS, folder, measured, state=RowState.MISTYPED)
                    measured.disk = disk_mb(folder / "data")
            for measured in (first, again):
                measured.truth = self._compare(size, folder / "data", "ours", state=RowState.MISTYPED)
                self._keep(measured)

    def many_tenants(self, size: int, runs: int) -> None:
        """A first load and a sync with nothing new, where tenants have so many actions between them."""
        with self._serving(size // len(TENANTS)) as served:
            first, again = (
                Measured(f"{scenario}, {len(TENANTS)} tenants", size, OURS)
                for scenario in (FIRST_LOAD, NOTHING_NEW)
            )
            for _ in self._turns(runs):
                folder = self._fresh("load")
                for measured in (first, again):
                    self._run(served, OURS, folder, measured, tenants=TENANTS)
                    measured.disk = disk_mb(folder / "data")
            self._keep(first)
            self._keep(again)

    def changed(self, size: int, runs: int) -> None:
        """A sync when 1,000 open actions have ended."""
        with self._serving(size) as served:
            measured = Measured(CHANGED, size, OURS)
            for _ in self._turns(runs):
                folder = self._copy(self._kept(OURS, size))
                self._run(served, OURS, folder, measured, state=RowState.CHANGED)
            measured.truth = self._compare(size, folder / "data", "ours", state=RowState.CHANGED)
            self._keep(measured)

    def reread(self, size: int, runs: int) -> None:
        """A range of about 100,000 rows read and merged again; none of them differs."""
        start, end = _range_of(self.rows(size), 100_000)
        with self._serving(size) as served:
            for name in (OURS, HANDWRITTEN):
                measured = Measured(REREAD, size, name)
                for _ in self._turns(runs):
                    folder = self._copy(self._kept(name, size))
                    options = ("backfill", "--from", start, "--to", end) if name == OURS else (start, end)
                    self._run(served, name, folder, measured, options=options)
                measured.truth = self._compare(size, folder / "data", TRUTH_NAMES[name])
                self._keep(measured)

    def publishing(self, size: int, runs: int) -> None:
        """The snapshot written from scratch; and the same files copied, which nobody who publishes them can spare."""
        ours, copied = Measured(PUBLISHING, size, OURS), Measured(PUBLISHING, size, COPY)
        with self._serving(size) as served:
            for _ in self._turns(runs):
                folder = self._copy(self._kept(OURS, size))
                data, target = folder / "data", self._fresh("load")
                copying = [PYTHON, "-m", "benchmarks.contestants.floors", "publish", str(data / "published")]
                for measured, argv in (
                    (ours, [*OUR_COMMAND, "publish"]),
                    (copied, [*copying, str(target), DATABASE_FORMAT, PARQUET_FORMAT]),
                ):
                    cost, _ = measure(argv, folder, self._env(served, data))
                    measured.costs.append(cost)
                    _say(f"  {measured.contestant}: {cost.wall_seconds:.2f} s, CPU {cost.cpu_seconds:.2f} s")
        self._keep(ours)
        self._keep(copied)

    def latency(self, size: int, runs: int, *, one_at_a_time: bool) -> None:
        """A first load when each page takes 300 ms to come."""
        with self._serving(size) as served:
            for name in (OURS, *([ONE_AT_A_TIME] if one_at_a_time else []), HANDWRITTEN):
                measured = Measured(LATENCY, size, name)
                for _ in self._turns(runs):
                    self._run(served, name, self._fresh("load"), measured, latency=LATENCY_SECONDS)
                self._keep(measured)

    # --- one run ---

    def _turns(self, runs: int) -> Iterator[int]:
        """So many turns, or fewer where time runs short; one at least."""
        for turn in range(min(runs, self.most_runs)):
            if turn == 0 or time.monotonic() < self.repeat_until:
                yield turn

    def _run(
        self,
        served: Served,
        name: str,
        folder: Path,
        measured: Measured,
        *,
        options: Sequence[str] = (),
        latency: float = 0.0,
        state: RowState = RowState.AS_MADE,
        tenants: Sequence[str] = ONE_TENANT,
    ) -> None:
        served.control(latency=latency, state=state)
        data = folder / "data"
        data.mkdir(exist_ok=True)
        url = served.url
        commands = {
            OURS: [*OUR_COMMAND, *(options or ("sync",))],
            ONE_AT_A_TIME: [*OUR_COMMAND, "sync"],
            HANDWRITTEN: [PYTHON, "-m", "benchmarks.contestants.handwritten", url, str(data), *options],
            STOCK: [PYTHON, "-m", "benchmarks.contestants.stock", url, str(data)],
            STOCK_PARQUET: [PYTHON, "-m", "benchmarks.contestants.stock", url, str(data), "parquet"],
            DOWNLOAD: [PYTHON, "-m", "benchmarks.contestants.floors", "download", url],
            INSERT: [PYTHON, "-m", "benchmarks.contestants.floors", "insert", url, str(data)],
        }
        env = self._env(served, data, tenants)
        if name == ONE_AT_A_TIME:
            env["SYNC__MAX_CONCURRENT_REQUESTS"] = "1"
        cost, _ = measure(commands[name], folder, env)
        measured.costs.append(cost)
        told = served.control()
        measured.calls, measured.rows = told["calls"], told["rows_sent"]
        _say(f"  {name}: {cost.wall_seconds:.2f} s, CPU {cost.cpu_seconds:.2f} s, {cost.peak_mb:.0f} MB")

    def marts(self, size: int) -> None:
        """How long each mart takes, over rows made in the database itself."""
        measured = Measured(MARTS, size, OURS)
        folder = self._fresh("marts")
        cost, printed = measure([PYTHON, "-m", "benchmarks.marts", str(folder)], folder, self._env())
        measured.costs.append(cost)
        measured.marts = json.loads(printed.strip().splitlines()[-1])
        shutil.rmtree(folder)
        self._keep(measured)

    def pages(self, size: int) -> None:
        """How fast pages are decoded, those too that are not as documented."""
        measured = Measured(PAGES, size, OURS)
        argv = [PYTHON, "-m", "benchmarks.pages", str(self.rows(size))]
        folder = self._fresh("pages")
        cost, printed = measure(argv, folder, self._env())
        measured.costs.append(cost)
        measured.pages = json.loads(printed.strip().splitlines()[-1])
        shutil.rmtree(folder)
        self._keep(measured)

    def _run_by_step(self, served: Served, folder: Path, measured: Measured) -> None:
        data = folder / "data"
        data.mkdir(exist_ok=True)
        argv = [PYTHON, "-m", "benchmarks.contestants.ours_by_step", "sync"]
        cost, printed = measure(argv, folder, self._env(served, data))
        measured.costs.append(cost)
        told = json.loads(printed.strip().splitlines()[-1])
        measured.chunks = told.pop("chunks")
        measured.steps = told

    def _env(
        self, served: Served | None = None, data: Path | None = None, tenants: Sequence[str] = ONE_TENANT
    ) -> dict[str, str]:
        # As for whoever installs it, Python keeps what it compiled: else each start would compile this project anew.
        ours = ("SYNC__", "TENANTS__", "PYTHONDONTWRITEBYTECODE")
        env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        env["PYTHONPATH"] = str(ROOT)
        if served is not None and data is not None:
            env |= {
                "REQUESTS_CA_BUNDLE": served.ca_bundle,
                "NO_PROXY": "127.0.0.1",
                "SYNC__DATA_DIR": str(data),
                "SYNC__TENANTS": json.dumps(tenants),
                # Without limits: the benchmark is about the program.
                "SYNC__REQUESTS_PER_MINUTE": "100000",
                "SYNC__REQUESTS_PER_HOUR": "6000000",
            }
            access = {
                "TENANT_ID": "bench",
                "CLIENT_ID": "bench",
                "CLIENT_SECRET": "bench",
                "API_URL": served.url,
                "LOGIN_URL": served.url,
                "CA_BUNDLE": served.ca_bundle,
            }
            env |= {
                f"TENANTS__{tenant.upper()}__{name}": value
                for tenant in tenants
                for name, value in access.items()
            }
        return env

    def _compare(
        self, size: int, data: Path, contestant: str, *, state: RowState = RowState.AS_MADE
    ) -> dict[str, int]:
        argv = [PYTHON, "-m", "benchmarks.truth", str(self.rows(size)), str(data), contestant, state]
        printed = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        told: dict[str, int] = json.loads(printed)
        return told

    # --- rows, servers, folders ---

    def rows(self, size: int) -> Path:
        """The folder of so many rows, made when it is not there yet, or so old that a first load skips some."""
        folder = self.work / f"rows_{size}"
        last = folder / "investigations.changed.json"
        if not last.exists() or time.time() - last.stat().st_mtime > MOST_AGE_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
            _say(f"making {size:,} machine actions ...")
            subprocess.run([PYTHON, "-m", "benchmarks.rows", str(folder), str(size)], cwd=ROOT, check=True)
        return folder

    @contextmanager
    def _serving(self, size: int) -> Iterator[Served]:
        argv = [PYTHON, "-m", "benchmarks.server", str(self.rows(size))]
        process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            yield Served(**json.loads(process.stdout.readline() if process.stdout else ""))
        finally:
            process.terminate()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()

    def _fresh(self, name: str) -> Path:
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def _kept(self, name: str, size: int) -> Path:
        return self.work / f"kept_{TRUTH_NAMES[name]}_{size}"

    def _copy(self, kept: Path) -> Path:
        folder = self.work / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(kept, folder, symlinks=True)
        return folder

    def _keep(self, measured: Measured) -> None:
        self.results[measured.key] = measured
        self._saved.write_text(json.dumps([asdict(each) for each in self.results.values()], indent=1))


def _range_of(rows: Path, count: int) -> tuple[str, str]:
    """A range of creation times, in the middle, that holds so many machine actions."""
    from benchmarks.rows import Rows
    from simulator.times import to_text

    times = Rows(rows, "machineactions").times
    first = len(times) // 2
    last = min(first + count, len(times) - 1)
    return to_text(times[first]), to_text(times[last])


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
