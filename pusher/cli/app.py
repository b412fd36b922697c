"""The commands. Each reads its options, hands them on, and turns BadInput into one sentence and exit status 2."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from pusher import __version__
from pusher.cli import access, audit, machines
from pusher.cli.options import (
    BAD_INPUT,
    AsJson,
    Quiet,
    StoreUrl,
    confirmed,
    flag,
    group_of_commands,
    somebody_to_ask,
    spelled,
    with_options,
    with_options_of_a_run,
    with_run_options,
)
from pusher.cli.streams import ended_with, lasting_streams
from pusher.models import Status, Verb
from pusher.problems import BadInput, ProblemError
from pusher.settings import OPTIONS, Options, next_commands, variable

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Install an agent on Windows machines by push: every right proven first, every outcome recorded, "
    "no account ever locked out.",
    epilog="An option that is not given is taken from the environment: "
    f"{', '.join(filter(None, map(variable, OPTIONS)))}. A retry keeps to its run's options.",
)

accounts_app = group_of_commands("The push accounts of an accounts file.")
app.add_typer(accounts_app, name="accounts")
app.add_typer(machines.app, name="machines")
app.add_typer(access.app, name="access")
app.add_typer(audit.app, name="audit")

packages_app = group_of_commands("The packages that the store has for runs in the queue, by their content.")
app.add_typer(packages_app, name="packages")

store_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="The store itself: brought to this version, and rid of what is old.",
)
app.add_typer(store_app, name="store")

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before removing.")]
AccountsFile = Annotated[
    Path | None, flag("accounts", help="The accounts file. [default: accounts.toml in this folder]")
]
Identify = Annotated[
    bool,
    typer.Option(
        "--identify",
        help="Ask each address what it calls itself, with no account, and print it as lines for the inventory.",
    ),
]
Queue = Annotated[
    bool, typer.Option("--queue", help="Leave it to the workers (pusher worker), and return once it is in the queue.")
]
WhichPackage = Annotated[
    str, typer.Argument(metavar="PACKAGE", help="A package's digest, its beginning, or a name that only one has.")
]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its beginning, or 'last'.")]


def main() -> None:
    """The command's entry point."""
    with lasting_streams() as out:
        status = _done()
        out.flush()
        sys.exit(ended_with(status, out))


@cache
def _command() -> Callable[[], object]:
    """The commands as they are read from a command line; made once, however often a process calls ``main``."""
    return typer.main.get_command(app)


def _done() -> int | str | None:
    """What the command ended with, as ``sys.exit`` takes it."""
    try:
        _command()()
    except SystemExit as ended:
        return ended.code
    except BadInput as error:
        print(error.sentence, file=sys.stderr)
    except ProblemError as error:  # of what is asked before a run: the directory
        print(f"{error.problem.code}: {error.problem.message}. {error.problem.remedy}", file=sys.stderr)
    return BAD_INPUT


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        typer.echo(f"pusher {__version__}")
        raise typer.Exit


@app.command()
@with_run_options("package")
def push(*, options: Options, queue: Queue = False, json: AsJson = False, quiet: Quiet = False) -> None:
    """Install or upgrade a package on every machine of an inventory.

    Example: pusher push inventory/paris.yaml --package packages/labagent
    """
    _run(options, Verb.PUSH, json, quiet, queue=queue)


@app.command()
@with_run_options()
def check(*, options: Options, queue: Queue = False, json: AsJson = False, quiet: Quiet = False) -> None:
    """Prove the rights on every machine, one by one, and change nothing.

    Example: pusher check inventory/paris.yaml --package packages/labagent
    """
    _run(options, Verb.CHECK, json, quiet, queue=queue)


@app.command()
@with_run_options("package")
def remove(
    *, options: Options, queue: Queue = False, json: AsJson = False, quiet: Quiet = False, yes: Yes = False
) -> None:
    """Stop and delete the package's service, and remove the files that were placed.

    Example: pusher remove inventory/paris.yaml --package packages/labagent --limit 'ws013.*' --yes
    """
    _run(options, Verb.REMOVE, json, quiet, ask=not yes, queue=queue)


@app.command()
@with_options(
    *("inventory", "accounts", "limit", "exclude", "store"),
    *("identify", "transport", "ca", "concurrency", "connect_timeout"),
)
def resolve(*, options: Options, identify: Identify = False, json: AsJson = False) -> None:
    """Show who would be pushed to, and how that was decided; only name servers and the directory are asked.

    With --identify the machines that would be pushed to are asked what they call themselves, before any sign-in: no
    account is used, and nothing of one is sent. --transport, --ca, --concurrency and --connect-timeout are for that.
    --store is for groups of a directory: it has the lockout budget of whoever reads it.

    Example: pusher resolve inventory/paris.yaml --limit 'group:paris,!ws2*'
    """
    from pusher.cli.resolving import resolve as resolve_targets

    resolve_targets(options, json, identify=identify)


@app.command()
def runs(
    store: StoreUrl = None,
    count: Annotated[int, typer.Option("--count", min=1, help="How many, newest first.")] = 20,
    json: AsJson = False,
) -> None:
    """List the recorded runs, newest first.

    Example: pusher runs --count 5
    """
    from pusher.cli import reading

    reading.runs(store, count, json)


@app.command()
def show(
    run: RunId,
    host: Annotated[str | None, typer.Argument(help="One machine: its whole story.")] = None,
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """Show a run's machines, or the whole story of one of them.

    Example: pusher show last ws017.paris.corp.example
    """
    from pusher.cli import reading

    reading.show(run, host, store, json)


@app.command()
def report(
    run: RunId,
    format: Annotated[str, typer.Option("--format", help="html, csv, json, junit or markdown.")] = "html",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="A file. [default: standard output]")] = None,
    store: StoreUrl = None,
) -> None:
    """Write a run's report.

    Example: pusher report last --format html -o report.html
    """
    from pusher.cli import reading

    reading.report(run, format, output, store)


@app.command()
@with_options_of_a_run
def retry(
    *,
    run: RunId,
    given: dict[str, Any],
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed.")] = False,
    unreachable: Annotated[bool, typer.Option("--unreachable", help="Only those that were not reached.")] = False,
    queue: Queue = False,
    json: AsJson = False,
    quiet: Quiet = False,
    yes: Yes = False,
) -> None:
    """Run again over what did not succeed; the same inventory, package, accounts and options, unless others are given.

    It does what the run did: one that removed is asked about first. What the run spared (excluded, duplicates, domain
    controllers without permission) stays spared. --limit and --exclude narrow it further.

    Example: pusher retry last --unreachable
    """
    from pusher.cli.run_requests import retry as made_from

    wanted = {Status.FAILED: failed, Status.UNREACHABLE: unreachable}
    statuses = frozenset(status for status, asked in wanted.items() if asked)
    made = made_from(run, statuses, given.get("store"), given)
    ask = made.verb is Verb.REMOVE and not yes
    _run(made.options, made.verb, json, quiet, ask=ask, queue=queue, windows=made.windows)


@app.command()
def resume(
    run: RunId,
    wave: Annotated[
        int | None, typer.Option("--wave", min=1, help="Open all waves up to this one, without waiting for the others.")
    ] = None,
    store: StoreUrl = None,
) -> None:
    """Go on with a run in waves that has stopped by itself: what failed so far stops it no more.

    Example: pusher resume last
    """
    from pusher.cli.run_requests import resume as go_on

    go_on(run, wave, store)


@app.command()
def rollback(run: RunId, store: StoreUrl = None, json: AsJson = False, yes: Yes = False) -> None:
    """Take back what a run in the queue installed or upgraded, as runs in the queue, the newest wave first.

    What it installed is removed. What it upgraded gets its earlier version, where that is a package of the store; else
    nothing is touched (rollback-unknown).

    Example: pusher rollback last --yes
    """
    from pusher.cli.rollback import rollback as take_back

    if not yes:
        somebody_to_ask("rolling back")
    take_back(run, store, json, None if yes else confirmed)


@app.command()
def cancel(run: RunId, store: StoreUrl = None) -> None:
    """Ask a run in progress to stop: what is in flight finishes or is undone.

    Example: pusher cancel last
    """
    from pusher.cli.run_requests import cancel as ask_to_stop

    ask_to_stop(run, store)


@app.command()
def explain(
    code: Annotated[str | None, typer.Argument(help="A problem's code; none: all of them.")] = None,
    json: AsJson = False,
) -> None:
    """Explain a problem: what it means, what to do, and what pusher does next.

    Example: pusher explain not-administrator; pusher explain 0xC000006D
    """
    from pusher.cli.explaining import explain as explain_code

    explain_code(code, json)


@accounts_app.command("test")
def test_accounts(
    accounts: AccountsFile = None,
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """Show which accounts work: what the directory and the lockout budget say of each, then one sign-in.

    The sign-in is to a domain controller, with no machine asked, and only where the budget spares one: an account that
    is locked, disabled or expired, or whose budget is spent, is not tried. Local accounts cannot be tested without a
    host.

    Exit status: 0 all that can be tested work, 1 some do not, 2 bad input.

    Example: pusher accounts test --accounts accounts.toml
    """
    from pusher.cli.accounts import try_accounts

    raise typer.Exit(try_accounts(accounts, store, json))


@accounts_app.command("budget")
def show_budget(
    accounts: Annotated[
        Path | None,
        flag("accounts", help="For its [lockout]. [default: accounts.toml in this folder, if any]"),
    ] = None,
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """Show what the store counts against the lockout budget: of every account, and on which machine of a local one.

    The accounts that services log on as, and the directory's reader, are among them. Nobody is asked.

    Example: pusher accounts budget
    """
    from pusher.cli.accounts import show_budget as show

    show(accounts, store, json)


@accounts_app.command("clear")
def clear_account(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The account's name in the accounts file, or any user (DOMAIN\\user).")
    ],
    accounts: AccountsFile = None,
    host: Annotated[
        str | None, typer.Option("--host", metavar="MACHINE", help="Of a local account: on which machine.")
    ] = None,
    store: StoreUrl = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before forgetting.")] = False,
    json: AsJson = False,
) -> None:
    """Forget an account's failed sign-ins, once its domain has forgotten them.

    For an account whose secret was wrong and is right now, so that it need not wait until its budget is free again.
    The domain forgets when the account is unlocked (Unlock-ADAccount), or has signed in somewhere with the right
    password. Do not clear before: then pusher may lock the account. A machine forgets those of its own account in the
    same two ways; --host says which machine it is. A user stands for all that is counted under that
    name, such as a service's account.

    Examples: pusher accounts clear push-2026, pusher accounts clear 'CORP\\svc-agent'
    """
    from pusher.cli.accounts import accounts_to_clear, lost_by_clearing
    from pusher.cli.accounts import clear_account as clear

    found = accounts_to_clear(name, accounts, host)
    if not yes:
        somebody_to_ask("forgetting")
    if (lost := lost_by_clearing(found, accounts, store, host)) is not None:
        print(lost, file=sys.stderr)
    if not yes:
        who = host if found[0].is_local else "the domain"
        confirmed(f"Has {who} forgotten the failed sign-ins of {found[0].user}?")
    clear(found, accounts, store, json, host)


@packages_app.command("add")
def add_package(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The package's folder, with its package.toml.")],
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """Store a package, and print its digest: the SHA-256 of all that its package.toml says, its files' hashes with it.

    push --queue does it by itself; a file that is there already, of whatever package, is not stored again.

    Example: pusher packages add packages/labagent
    """
    from pusher.cli import packages

    packages.add(folder, store, json)


@packages_app.command("list")
def list_packages(store: StoreUrl = None, json: AsJson = False) -> None:
    """List the packages, the newest first.

    Example: pusher packages list
    """
    from pusher.cli import packages

    packages.list_packages(store, json)


@packages_app.command("show")
def show_package(package: WhichPackage, store: StoreUrl = None, json: AsJson = False) -> None:
    """Show a package's files, and the runs in the queue that need it.

    Example: pusher packages show labagent
    """
    from pusher.cli import packages

    packages.show(package, store, json)


@packages_app.command("remove")
def remove_package(package: WhichPackage, store: StoreUrl = None, json: AsJson = False) -> None:
    """Forget a package, with the files that no other one has; not where a run in the queue needs it.

    No machine is touched: to take it off machines is pusher remove.

    Example: pusher packages remove labagent
    """
    from pusher.cli import packages

    packages.remove(package, store, json)


@store_app.command("upgrade")
def upgrade_store(store: StoreUrl = None, json: AsJson = False) -> None:
    """Bring a store to the schema of this version, or make one.

    A file is brought there by whoever opens it first. A server's store, which several use, is by this command alone:
    start it once, as the role that owns the tables, when every pusher that uses the store is to be this version.

    Example: pusher store upgrade --store postgresql://owner@db/pusher
    """
    from pusher.cli.store import upgrade

    upgrade(store, json)


@store_app.command("prune")
def prune_store(
    keep: Annotated[str, typer.Option("--keep", help="How long since a run ended: as 90d.")] = "90d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, and delete nothing.")] = False,
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """Delete what runs that ended long ago left behind: events, attempts and work; and content that no run needs.

    Runs with their outcomes stay, and so do the journals of what is half done, the lockout ledger and packages (pusher
    packages remove). Other pushers may be at work meanwhile.

    Example: pusher store prune --keep 90d --dry-run
    """
    from pusher.cli.store import prune

    prune(store, keep, dry_run, json)


@app.command()
def worker(
    accounts: Annotated[
        Path | None, flag("accounts", help="The push accounts of this worker. [default: as each run was told]")
    ] = None,
    store: StoreUrl = None,
    concurrency: Annotated[
        int | None, flag("concurrency", help="Machines worked on at once. [default: as each run was told]", kept=True)
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="What this worker is called. [default: this machine's name]")
    ] = None,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="Leave when nothing is ready, instead of waiting for more.")
    ] = False,
    settings: Annotated[
        Path | None,
        typer.Option(
            "--settings", help="Its sites, what it may push for whom, and its accounts (TOML). [default: all]"
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option("--metrics", metavar="ADDRESS", help="Serve /metrics, /healthz, /readyz at a port or HOST:PORT."),
    ] = None,
    log: Annotated[Path | None, flag("log")] = None,
    json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Take work from the queue, as long as it runs: what push --queue has put there.

    The accounts and their secrets are this worker's own. Ctrl-C, or SIGTERM, once: it takes no more and ends what it
    has begun; twice: at once, and whoever takes its hosts next undoes what was left. Several may work on one store.

    Example: pusher worker --accounts accounts.toml
    """
    from pusher.cli.worker import Asked, work

    asked = Asked(accounts=accounts, store=store, concurrency=concurrency, name=name, until_idle=until_idle, log=log,
                  settings=settings, metrics=metrics)  # fmt: skip
    raise typer.Exit(work(asked, json, quiet))


def _run(
    options: Options,
    verb: Verb,
    as_json: bool,
    quiet: bool,
    ask: bool = False,
    *,
    queue: bool = False,
    windows: Sequence[Mapping[str, Any]] = (),
) -> None:
    # Loaded only here: reading commands need neither SMB nor a scheduler, and start twice as fast without.
    from pusher.wiring.engine import open_engine
    from pusher.wiring.run_plan import prepare_run

    if not queue:
        _refuse_what_is_for_the_queue(options)
    with open_engine(options.store, options.log) as engine:
        plan = prepare_run(options, verb, engine, with_secrets=not queue, windows=windows)
        if ask:
            somebody_to_ask("removing")
            confirmed(f"Remove {plan.package_words} from {plan.count():,} machines?")
        if queue:
            from pusher.cli.worker import put_into_the_queue

            put_into_the_queue(plan, engine, as_json)
            return
        # And these once the operator's files are found good.
        from pusher.cli.execute import execute, view_for

        status = execute(plan, view_for(as_json, quiet, next_commands(options.store)), engine)
    raise typer.Exit(status)


def _refuse_what_is_for_the_queue(options: Options) -> None:
    for name, option in OPTIONS.items():
        if option.in_queue and getattr(options, name) not in (None, False):
            raise BadInput(None, f"{spelled(name)} is for a run in the queue", "--queue with it")
