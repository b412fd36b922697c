"""``pusher audit``: whether it is as it was written, and its entries for whoever keeps them elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pusher.cli.options import AsJson, StoreUrl, confirmed, group_of_commands, somebody_to_ask
from pusher.problems import BadInput

app = group_of_commands("Who changed what somebody may do, when and from where; and whether that was tampered with.")

_WHOLE, _NOT_WHOLE = 0, 1


@app.command("verify")
def verify(
    anchors: Annotated[
        Path | None, typer.Option("--anchors", help="Anchors kept elsewhere. [default: those beside the key]")
    ] = None,
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """Prove that no entry was changed, is missing, or was cut off at the end.

    The key that seals the entries is not in the store: it is the file that PUSHER_AUDIT_KEY names, or pusher/audit.key
    in your configuration folder. What is cut off at the end is told by anchors: a line that each change leaves beside
    the key, and that 'pusher audit anchor' prints for a place that nobody here can write to.

    Exit status: 0 it is whole, 1 it is not, 2 bad input.

    Example: pusher audit verify --anchors /mnt/elsewhere/audit.anchors
    """
    from pusher.cli.registry_desk import desk
    from pusher.registry.proof import prove
    from pusher.report.record import write_line
    from pusher.report.text import when
    from pusher.settings import audit_key

    with desk(store) as opened:
        proof = prove(opened.store, audit_key(), anchors)
    if json:
        for one in proof.findings:
            found = {"fault": one.fault.value, "first": one.first, "last": one.last, "sentence": one.sentence}
            write_line(found, sys.stdout)
        whole = {"entries": proof.entries, "anchors": proof.anchors, "whole": not proof.findings,
                 "unproven": proof.unproven}  # fmt: skip
        write_line(whole, sys.stdout)
    elif proof.findings:
        print(f"The audit is not as it was written ({proof.entries:,} entries, {proof.anchors:,} anchors):")
        for one in proof.findings:
            print(f"  {one.fault.value}: {one.sentence}")
    else:
        last = f", the last of {when(proof.last.entry.at)}" if proof.last is not None else ""
        held = f"held to {proof.anchors:,} anchors" if proof.anchors else "with no anchor that would tell of a cut"
        print(f"The audit is whole: {proof.entries:,} entries{last}, {held}.")
    if proof.unproven and not json:
        print(f"Up to entry {proof.unproven:,} they were sealed with a key that was lost, and are not proven.")
    raise typer.Exit(_NOT_WHOLE if proof.findings else _WHOLE)


@app.command("export")
def export(
    format: Annotated[str, typer.Option("--format", help="json (one object a line) or csv.")] = "json",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="A file. [default: standard output]")] = None,
    store: StoreUrl = None,
) -> None:
    """Write every entry of the audit, with what proves it. That it was exported is an entry too.

    Example: pusher audit export --format csv -o audit.csv
    """
    from pusher.cli.registry_desk import desk
    from pusher.cli.streams import in_utf_8
    from pusher.cli.whole_file import whole_file
    from pusher.report.audit import write_csv, write_json
    from pusher.report.text import visible

    write = {"json": write_json, "csv": write_csv}.get(format)
    if write is None:
        raise BadInput(None, f"--format {format} is unknown", "json or csv")
    with desk(store) as opened:
        for note in opened.registrar.enter("audit.export", "audit", {"format": format}):
            print(visible(f"note: {note}"), file=sys.stderr)
        entries = opened.store.registry.audit.entries()
        if output is None:
            if not sys.stdout.isatty():
                in_utf_8(sys.stdout)
            write(entries, sys.stdout)
            return
        try:
            with whole_file(output, "utf-8") as file:
                write(entries, file)
        except OSError as error:
            raise BadInput(None, f"{output} cannot be written: {error.strerror}", "a writable file") from error


@app.command("anchor")
def anchor(store: StoreUrl = None) -> None:
    """Print the place and the hash of the last entry, to be kept where nobody here can write.

    Example: pusher audit anchor | logger -t pusher-audit
    """
    import json
    from dataclasses import asdict

    from pusher.cli.registry_desk import desk
    from pusher.registry.proof import anchor as anchor_of

    with desk(store) as opened:
        found = anchor_of(opened.store)
    if found is None:
        raise BadInput(None, "the audit has no entry yet", "a change that it tells of")
    print(json.dumps(asdict(found)))


@app.command("new-key")
def new_key(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before giving the old one up.")] = False,
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """Seal the audit with another key from now on, where the one before was lost.

    What was sealed with that can be proven no more; the entry of this says so. Where the key was only left elsewhere,
    copy its file instead: nothing is lost then.

    Example: pusher audit new-key --yes
    """
    from pusher.cli.registry_desk import desk
    from pusher.report.record import write_line
    from pusher.report.text import visible

    if not yes:
        somebody_to_ask("giving the key up")
        confirmed("Is the key lost? What was sealed with it can be proven no more.")
    with desk(store) as opened:
        notes = opened.registrar.begin_with_another_key()
    if json:
        write_line({"changed": True, "notes": list(notes)}, sys.stdout)
    else:
        print("The audit is sealed with another key from now on. Keep a copy of it.")
    for note in notes:
        print(visible(f"note: {note}"), file=sys.stderr)
