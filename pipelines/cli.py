"""The command line: reads argv, shows what happens, and turns errors into one line and an exit code.

The one module that prints (with `progress` or `json_log`) and that handles signals. Everything heavy is imported
when it is needed, so that `--help` is quick.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from pipelines.absent import treat_as_absent
from pipelines.clock import Clock
from pipelines.errors import ConfigurationError, DefenderSyncError, ExitCode, StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.erasure import Erasure
    from pipelines.settings import Settings
    from pipelines.sync import RunObserver, RunResult
    from pipelines.warehouse import Warehouse

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

# A run that is asked to stop gets this long to log it; then the program ends.
STOP_SECONDS = 3.5
# Before it, a time on the command line is a slip of the keyboard.
FIRST_YEAR = 2000

app = typer.Typer(
    name="defender-sync",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help=(
        "Keeps a DuckDB warehouse in step with Microsoft Defender for Endpoint: machine actions and "
        "investigations.\n\nConfiguration: .dlt/config.toml, .dlt/secrets.toml, or the environment "
        "(SYNC__DATA_DIR=…, TENANTS__CONTOSO__CLIENT_SECRET=…). Exit codes: 0 done; 1 unexpected; "
        "2 configuration or usage; 3 authentication or permission; 4 the API is unavailable or throttles; "
        "5 done in part; 6 another sync is running; 130, 143 stopped by a signal."
    ),
)

TenantOption = Annotated[
    list[str] | None,
    typer.Option("--tenant", metavar="NAME", help="Only this tenant of sync.tenants; may be repeated."),
]


class LogFormat(StrEnum):
    """What a log is for: people, or programs."""

    TEXT = "text"
    JSON = "json"


EraseTenantOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tenant",
        metavar="NAME",
        help="Only this tenant, also one that is no longer in sync.tenants; may be repeated.",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


class Options:
    """What holds for every command."""

    debug = False
    logs_json = False


class PlainFormatter(logging.Formatter):
    """Whatever the API sent stays one line, and steers no terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the name is logging's
        """The message without control characters."""
        from pipelines.plain_text import plain

        return plain(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802  the name is logging's
        """The trace, its lines likewise."""
        return _plain_lines(super().formatException(ei))


@app.callback()
def common(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the trace of an error, and debug logs.")
    ] = False,
    log_format: Annotated[
        LogFormat,
        typer.Option("--log-format", help="How runs and errors are logged: one JSON object a line."),
    ] = LogFormat.TEXT,
) -> None:
    """Options of every command."""
    Options.debug, Options.logs_json = debug, log_format is LogFormat.JSON
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_log_formatter())
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, handlers=[handler], force=True)
    for noisy in ("urllib3", "msal", "filelock"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


@app.command()
def sync(
    tenant: TenantOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Make no call and load nothing; show what would be read.")
    ] = False,
) -> None:
    """Bring the warehouse in step with Defender, and publish it.

    The first sync reads 180 days back; each later one reads what is new, reads open rows again, and verifies
    some of the history. It may be stopped at any moment: the next one goes on where it was.
    """
    settings = _settings(tenant)
    if dry_run:
        _print_intents(settings)
        return
    from pipelines.sync import sync as run_sync

    _run(settings, lambda clock, progress: run_sync(settings, clock, progress))


@app.command()
def backfill(
    start: Annotated[
        str, typer.Option("--from", metavar="T", help="Begin: 2026-11-01 or 2026-11-01T12:00Z.")
    ],
    end: Annotated[str, typer.Option("--to", metavar="T", help="End, itself not included.")],
    tenant: TenantOption = None,
) -> None:
    """Read a closed range of creation or start times again, and merge it.

    Moves no watermark. One that was cut short goes on where it was when the same range is asked for again. A
    scheduled sync meanwhile exits 6 and does its work the next time.
    """
    from pipelines.sync import backfill as run_backfill
    from pipelines.windows import KEPT_DAYS, Window

    settings = _settings(tenant)
    asked = Window(_moment("--from", start), _moment("--to", end))
    if asked.start >= asked.end:
        raise ConfigurationError(f"--from {start} does not lie before --to {end}")
    if asked.end > Clock().now():
        raise ConfigurationError(f"--to {end} lies in the future: a backfill reads a closed range")
    oldest = Clock().now() - timedelta(days=KEPT_DAYS)
    if asked.end <= oldest:
        raise ConfigurationError(
            f"--to {end} lies before {oldest:%Y-%m-%d}: the API keeps {KEPT_DAYS} days, and shows nothing older"
        )
    _run(settings, lambda clock, progress: run_backfill(settings, clock, progress, asked))


@app.command()
def reconcile(
    days: Annotated[
        int, typer.Option("--days", min=1, max=180, help="How many days back; the API keeps 180.")
    ] = 180,
    tenant: TenantOption = None,
) -> None:
    """Compare the API with the warehouse over closed windows, and mend what is missing, changed or gone.

    One that was cut short goes on where it was within a day. A scheduled sync meanwhile exits 6 and does its
    work the next time.
    """
    from pipelines.sync import reconcile as run_reconcile
    from pipelines.windows import Window

    settings = _settings(tenant)
    end = Clock().now() - timedelta(minutes=settings.sync.lookback_minutes)
    asked = Window(end - timedelta(days=days), end)
    _run(settings, lambda clock, progress: run_reconcile(settings, clock, progress, asked))


@app.command()
def status(
    tenant: TenantOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for monitoring.")] = False,
    max_age: Annotated[
        str | None,
        typer.Option("--max-age", metavar="DURATION", help="Exit 1 when any is older: 90s, 30m, 2h, 1d."),
    ] = None,
) -> None:
    """Show how fresh each tenant and resource is, its rows, last run, and the calls left.

    Works while a sync runs.
    """
    from pipelines.status import parse_duration, read_status, too_old

    longest = parse_duration(max_age) if max_age is not None else None
    report = read_status(_settings(tenant), Clock().now())
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        _print_status(report)
    late = too_old(report, longest) if longest is not None else []
    if late:
        _complain(f"older than {max_age}: {', '.join(late)}")
        raise typer.Exit(ExitCode.UNEXPECTED)


@app.command()
def doctor(tenant: TenantOption = None) -> None:
    """Check everything that a sync needs, and say how to mend what is wrong.

    Configuration, disk, database and lock; for each tenant its host, clock, credential, token and permissions,
    and one row of each list. In a terminal, it signs in a person for auth = device_code. Loads nothing.
    """
    from pipelines.doctor import examine, exit_code

    settings = _settings(tenant)
    clock = _stoppable_clock()
    _sign_in_people(settings, clock)
    findings = []

    def look() -> None:
        for finding in examine(settings, clock):
            findings.append(finding)
            mark = ("ok ", "green") if finding.is_good else ("BAD", "red")
            typer.echo(
                f"{typer.style(mark[0], fg=mark[1])}  {_plain_lines(f'{finding.subject}: {finding.told}')}"
            )

    _stoppable(look, clock)
    raise typer.Exit(exit_code(findings))


@app.command()
def publish() -> None:
    """Write the published snapshot again, from scratch, from the warehouse as it is."""
    from pipelines.data_dir import DataDir
    from pipelines.database_errors import telling_of
    from pipelines.errors import WarehouseError
    from pipelines.publish import publish as write_snapshot
    from pipelines.status import note_recovery
    from pipelines.upgrades import opened

    settings = _settings(None)
    data_dir = DataDir(settings.data_dir, settings.sync.published_mode)
    if not data_dir.warehouse.exists():
        raise WarehouseError(f"{data_dir.warehouse} does not exist yet: run defender-sync sync first")
    data_dir.create()
    now = Clock().now()
    with data_dir.locked(), telling_of(data_dir.warehouse), opened(data_dir, now) as warehouse:
        warehouse.prepare_to_publish(now, settings.aliases)
        by_tenant = settings.sync.publish_by_tenant
        snapshot = write_snapshot(warehouse, data_dir, now, by_tenant=by_tenant)
        typer.echo(f"published {snapshot}")
        note_recovery(data_dir)


@app.command()
def purge(
    before: Annotated[
        str, typer.Option("--before", metavar="T", help="A date or time: 2026-05-01 or 2026-05-01T12:00Z.")
    ],
    tenant: EraseTenantOption = None,
    yes: YesOption = False,
) -> None:
    """Erase for good what was created, or started, before T.

    Rows, their versions and quarantined records, in the warehouse and in what is published, older snapshots and
    copies included. No sync, backfill or reconcile brings them back. Of every tenant in the warehouse, unless some
    are named. Backups are yours to remove.
    """
    from pipelines.erasure import Purge

    moment = _moment("--before", before)
    if moment > Clock().now():
        raise ConfigurationError(f"--before {before} lies in the future")
    _erase(
        f"created before {moment:%Y-%m-%d %H:%M:%SZ} will be erased for good",
        tenant,
        yes,
        lambda warehouse, name: Purge(warehouse, name, moment),
    )


@app.command()
def forget(
    requestor: Annotated[
        str, typer.Option("--requestor", metavar="NAME", help="Who: the name as a requestor, in any case.")
    ],
    tenant: EraseTenantOption = None,
    yes: YesOption = False,
) -> None:
    """Forget a person: the rows stay, the name and what the person wrote go.

    Where NAME requested or cancelled, the name becomes 'forgotten' and the comment empty; their address within other
    texts becomes 'forgotten' too. So in rows, versions and quarantined records, in the warehouse and in what is
    published, older snapshots and copies included, and in whatever the API shows later. All who are forgotten share
    that one word. A guest's address counts as the name. Of every tenant in the warehouse, unless some are named.
    It cannot be undone. Backups are yours to remove.
    """
    from pipelines.erasure import Forget

    if not requestor.strip():
        raise ConfigurationError("--requestor is empty: name somebody")
    _erase(
        "will lose that person's name and comments for good",
        tenant,
        yes,
        lambda warehouse, name: Forget(warehouse, name, requestor),
    )


@app.command()
def simulate(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port on loopback; 0 takes a free one.")
    ] = 0,
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help="About how many machine actions 180 days hold.")
    ] = None,
) -> None:
    """Run the simulator of the Defender API as a process of its own, until Ctrl-C."""
    command = [sys.executable, "-m", "simulator", "--port", str(port), "--exit-with-parent"]
    if rows is not None:
        command += ["--rows", str(rows)]
    # The end of its input ends it, however this process ends.
    child = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603  our own module, no shell
    stopped: list[int] = []

    def stop(signal_number: int, _frame: Any) -> None:
        stopped.append(signal_number)
        if child.stdin is not None:
            child.stdin.close()

    _mind_signals(stop)
    code = child.wait()
    raise typer.Exit(128 + stopped[0] if stopped else code)


def main() -> None:
    """The program: every error of ours becomes a line or two on standard error, and its exit code."""
    _mind_signals(_end_at_once)
    try:
        # Without its standalone mode, Typer returns the code of an Exit instead of raising it.
        code = app(prog_name=app.info.name, standalone_mode=False) or ExitCode.DONE
    except StoppedError:
        _leave_at_once(StoppedError(Stopping.signal_number))
    except DefenderSyncError as error:
        code = error.exit_code
        _complain(str(error))
        _show_trace(error)
    except Exception as error:  # noqa: BLE001  the last resort
        code = _usage_error(error)
        if code == ExitCode.UNEXPECTED:
            _complain(f"unexpected {type(error).__name__}: {_first_line(error)}; --debug shows the trace")
            _show_trace(error)
    sys.exit(code)


def program() -> None:
    """`main`, and then the end of the process at once: nothing is left to tidy up, and nothing to say."""
    treat_as_absent()
    _open_closed_streams()
    try:
        main()
        code = 0
    except SystemExit as request:
        code = request.code if isinstance(request.code, int) else 1
    except KeyboardInterrupt:
        # Before the command line was read, or after its command had ended.
        _complain(str(StoppedError(Stopping.signal_number)))
        code = 128 + Stopping.signal_number
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or ExitCode.UNEXPECTED
    os._exit(code)


# --- pieces ---------------------------------------------------------------------------------------


def _run(settings: "Settings", command: "Callable[[Clock, RunObserver], RunResult]") -> None:
    """Run a command that reads from the API, show how it gets on, and end with its exit code."""
    clock = _stoppable_clock()
    _sign_in_people(settings, clock)
    with _progress(clock) as progress:
        result = _stoppable(lambda: command(clock, progress), clock)
    # A tenant's two resources often fail for one reason: it is told once.
    for line in dict.fromkeys(outcome.run.error for outcome in result.outcomes if outcome.run.error):
        _complain(line)
    for outcome in result.outcomes:
        if outcome.error is not None:
            _show_trace(outcome.error)
    raise typer.Exit(result.exit_code)


def _erase(
    what: str, tenant: list[str] | None, yes: bool, look_for: "Callable[[Warehouse, str], Erasure]"
) -> None:
    """Show what was found, ask, and erase it."""
    from pipelines.erasure import Found, erase

    settings = _settings(tenant, former_too=True)
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigurationError("there is nobody to ask here: add --yes if you mean it")

    def confirm(found: Found) -> bool:
        for name, counts in found.items():
            listed = ", ".join(f"{rows:,} of {table}" for table, rows in counts.items() if rows)
            typer.echo(_plain_lines(f"{name}: {listed or 'nothing'}"))
        rows = sum(sum(counts.values()) for counts in found.values())
        is_agreed = yes or typer.confirm(f"{rows:,} rows {what}. Go on?", err=True)
        if is_agreed:
            Stopping.unfinished = ", and snapshots may still hold what was erased: run the same command again"
        return is_agreed

    snapshot = erase(settings, Clock(), tenant, look_for, confirm)
    if snapshot is None:
        _complain("nothing was changed")
        raise typer.Abort
    typer.echo(f"done; published {snapshot}")


def _sign_in_people(settings: "Settings", clock: Clock) -> None:
    """Ask those to sign in who have not yet; only in a terminal, as a scheduled run has nobody to ask.

    What fails here is only told: the tenant's own turn comes, and others have theirs.
    """
    people = [tenant for tenant in settings.tenants if tenant.auth == "device_code" and tenant.login_url]
    if not people or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    from pipelines.auth.device_code import is_signed_in, sign_in
    from pipelines.data_dir import DataDir

    DataDir(settings.data_dir, settings.sync.published_mode).create()
    for tenant in people:
        try:
            if not is_signed_in(tenant):
                sign_in(tenant, clock, lambda message: typer.echo(_plain_lines(message), err=True))
        except StoppedError:
            raise
        except DefenderSyncError as error:
            _complain(str(error))


def _stoppable(job: "Callable[[], Result]", clock: Clock) -> "Result":
    """The job's result. It runs in a thread of its own, as a signal finds the main thread only between two
    lines of Python, and one statement of the database may take minutes.

    Raises StoppedError STOP_SECONDS after a signal at the latest.
    """
    future = ThreadPoolExecutor(1, thread_name_prefix="run").submit(job)
    while not clock.stopping.is_set():
        if wait_for([future], timeout=0.2).done:
            return future.result()
    if not wait_for([future], timeout=STOP_SECONDS).done:
        raise StoppedError
    return future.result()


def _moment(option: str, text: str) -> datetime:
    """A time of the command line; UTC where it names no zone."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"{option} {text}: write a date or time such as 2026-11-01 or 2026-11-01T12:00Z"
        ) from None
    if moment.year < FIRST_YEAR:
        raise ConfigurationError(f"{option} {text} lies before the year {FIRST_YEAR}")
    return moment


def _settings(tenants: list[str] | None, *, former_too: bool = False) -> "Settings":
    from pipelines.settings import load_settings

    return load_settings(tenants or (), former_too=former_too)


def _stoppable_clock() -> Clock:
    """A clock whose waits end at SIGTERM and Ctrl-C."""
    clock = Clock()

    def stop(signal_number: int, _frame: Any) -> None:
        Stopping.signal_number = signal_number
        clock.stopping.set()

    _mind_signals(stop)
    return clock


class Stopping:
    """Which signal asked the program to stop, and what is to be told of what it leaves unfinished."""

    signal_number: int = signal.SIGINT
    unfinished = ""


def _open_closed_streams() -> None:
    """A stream that whoever started this has closed is one that says nothing, or takes all."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  for good


def _mind_signals(handler: "Callable[[int, Any], None]") -> None:
    """Let `handler` take Ctrl-C and SIGTERM, unless whoever started this had them ignored."""
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _end_at_once(signal_number: int, _frame: Any) -> None:
    """End a command that need not be asked first. An exception raised here would reach code that expects none;
    the database is safe at any moment, and the next run tidies up.
    """
    with suppress(Exception):
        _complain(str(StoppedError(signal_number)) + Stopping.unfinished)
    os._exit(128 + signal_number)


def _leave_at_once(error: StoppedError) -> None:
    """End without waiting for threads that wait for an answer; the database is safe at any moment."""
    _complain(str(error))
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(error.exit_code)


def _log_formatter() -> logging.Formatter:
    if not Options.logs_json:
        return PlainFormatter("%(message)s")
    from pipelines.json_log import JsonFormatter

    return JsonFormatter()


def _progress(clock: Clock) -> Any:
    if Options.logs_json:
        from pipelines.json_log import JsonProgress

        return JsonProgress(clock)
    from rich.console import Console

    from pipelines.progress import LiveProgress, LogProgress

    console = Console()
    return LiveProgress(clock, console) if console.is_terminal else LogProgress(clock)


def _complain(text: str) -> None:
    if Options.logs_json:
        logger.error(text)
        return
    typer.echo("defender-sync: " + _plain_lines(text).replace("\n", "\n  "), err=True)


def _show_trace(error: BaseException) -> None:
    if Options.debug and Options.logs_json:
        logger.debug("trace", exc_info=error)
    elif Options.debug:
        typer.echo(_plain_lines("".join(traceback.format_exception(error))), err=True)


def _plain_lines(text: str) -> str:
    from pipelines.plain_text import plain

    return "\n".join(plain(line) for line in text.split("\n"))


def _usage_error(error: Exception) -> int:
    """Typer's complaints about argv, in a line; no command at all shows the help."""
    if isinstance(error, typer.Abort):
        return 128 + signal.SIGINT
    if not hasattr(error, "format_message"):
        return ExitCode.UNEXPECTED
    message, context = str(error.format_message()), getattr(error, "ctx", None)
    if context is not None and message == context.get_help():
        typer.echo(message, err=True)
        return ExitCode.CONFIGURATION
    command = context.command_path if context is not None else app.info.name
    message = (message[:1].lower() + message[1:]).rstrip(".?").replace(". Did", "; did")
    _complain(f"{message}; see: {command} --help")
    return ExitCode.CONFIGURATION


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]


def _print_intents(settings: "Settings") -> None:
    from pipelines.dry_run import intents
    from pipelines.progress import counted

    for due in intents(settings, Clock().now()):
        at_least = "at least " if due.is_first else "about "
        typer.echo(f"{due.tenant} {due.resource}:")
        first = " (the first sync; read in parts, oldest first)" if due.is_first else ""
        typer.echo(f"  window   {due.window}{first}")
        if due.timeless_calls:
            typer.echo(f"  no start {counted(due.timeless_calls, 'call')}")
        typer.echo(f"  refresh  {counted(due.open_rows, 'open row')}, {counted(due.refresh_calls, 'call')}")
        typer.echo(f"  scrub    {due.scrub or 'nothing to verify yet'}")
        typer.echo(f"  calls    {at_least}{due.calls:,}")
    typer.echo("nothing was called, nothing was loaded")


def _print_status(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pipelines.plain_text import plain

    table = Table(box=None, pad_edge=False)
    for heading in ("tenant", "resource", "last success", "rows", "open", "last run", "calls left"):
        table.add_column(heading, justify="right" if heading in ("rows", "open") else "left", overflow="fold")
    problems = []
    for tenant, resources in report["tenants"].items():
        for resource, facts in resources.items():
            last_run = facts["last_run_status"] or "none yet"
            minute, hour = facts["quota_left_minute"], facts["quota_left_hour"]
            left = "-" if minute is None else f"{minute}/min, {hour}/h"
            rows = "-" if facts["row_count"] is None else f"{facts['row_count']:,}"
            open_rows = "-" if facts["open_count"] is None else f"{facts['open_count']:,}"
            cells = (tenant, resource, _age(facts["age_seconds"]), rows, open_rows, last_run, left)
            table.add_row(*(Text(plain(cell)) for cell in cells))
            if facts["last_run_error"]:
                since = f" (since {facts['failing_since'][:19]}Z)" if facts["failing_since"] else ""
                problems.append(f"{tenant} {resource}: {plain(facts['last_run_error'])}{since}")
            if facts["checks_failed"]:
                problems.append(f"{tenant} {resource}: {facts['checks_failed']} checks failed")
    console = Console()
    console.print(table)
    for problem in problems:
        console.print(Text(problem, style="yellow"))
    if report["failed_run"]:
        failed = report["failed_run"]
        what = f"the run of {failed['at'][:19]}Z failed as a whole (exit code {failed['exit_code']})"
        console.print(Text(f"{what}: {plain(failed['error'])}", style="yellow"))
    published = report["published_age_seconds"]
    console.print(f"published {_age(published)}" if published is not None else "nothing is published yet")
    if report["running"]:
        started = report["running"]["started_at"][:19]
        console.print(Text(f"a sync is running since {started}Z (process {report['running']['pid']})"))


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    import pendulum

    from pipelines.status import MOST_SKEW_SECONDS

    if seconds < -MOST_SKEW_SECONDS:
        return "in the future: check the clock"
    if seconds < 1:
        return "just now"
    # Nobody counts the seconds of a day.
    unit = 3600 if seconds >= 86400 else 60 if seconds >= 3600 else 1
    return f"{pendulum.duration(seconds=int(seconds) // unit * unit).in_words()} ago"
