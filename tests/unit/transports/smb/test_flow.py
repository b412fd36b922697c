"""What shares a connection: nothing is overdrawn, everything has its turn, and any number of credits will do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pusher.transports.smb.errors import ClosedError, ImplausibleError
from pusher.transports.smb.flow import MOST_REQUESTS, Flow, Load, Pieces
from pusher.transports.smb.messages import Command, close, create, flush, read, write
from pusher.transports.smb.window import FIRST as WINDOW
from pusher.transports.smb.window import Mark
from pusher.transports.smb.wire import Wire
from tests.unit.transports.smb.peer import Peer, Reply, Seen, StillWindow, created_body, file_id, peer

TREE, FIRST = 5, 7
KILO, MEGA = 1024, 1024 * 1024
UNIT = 64 * KILO
FLUSHED = b"\x04\0\0\0"


async def streamed(wire: Wire, tree: int, size: int, most: int = MEGA) -> list[int]:
    """The bytes of each piece of a file that was read."""
    pieces = Pieces(0, size, lambda at, length: read(length, at, file_id(1)))
    return [asked async for asked, _ in wire.stream(tree, pieces, most)]


def asked_for(request: Seen) -> int:
    return int.from_bytes(request.body[4:8], "little") if request.command == Command.READ else 1


def paid(request: Seen) -> list[Reply]:
    """Of a server that grants what it is paid."""
    return [Reply(body=created_body(file_id(42)) if request.command == 5 else FLUSHED, credits=max(request.charge, 1))]


class Ledger:
    """The server's own books: what it was sent and has not answered, and the message numbers it has granted."""

    def __init__(self, made: Peer, credits: int) -> None:
        self.made, self.granted = made, FIRST + credits
        self.open, self.wrong = list[Seen](), list[str]()

    def take(self) -> None:
        while self.made.has_requests():
            requests = self.made.requests()
            self.open += requests
            size, window = sum(map(asked_for, self.open)), self.made.wire._flow.window
            if any(request.message + max(request.charge, 1) > self.granted for request in requests):
                self.wrong.append("credits")
            if len(self.open) > 32:
                self.wrong.append(f"{len(self.open)} requests")
            if size > window and len(self.open) > len(requests):
                self.wrong.append(f"{size} bytes")
            if not requests:
                return

    def answer(self, which: int, grant: Callable[[Seen], int]) -> None:
        request = self.open.pop(which % len(self.open))
        (reply,) = paid(request)
        self.granted += grant(request)
        self.made.send(self.made.message(Reply(body=reply.body, credits=grant(request)), request))


async def settled(tasks: asyncio.Future[Any]) -> bool:
    """All that can be done without another answer is."""
    for _ in range(6):
        await asyncio.sleep(0)
    return tasks.done()


# -- turns -------------------------------------------------------------------------------------------------------


async def test_files_that_are_read_at_once_share_one_window() -> None:
    """On a slow link the last of them would else wait for the windows of all others before its first byte comes."""
    files, size = 16, 12 * MEGA
    async with peer(encrypts=True, credits=8000, window=StillWindow()) as made:
        made.serve(paid)
        await asyncio.gather(*(streamed(made.wire, tree, size) for tree in range(files)))
    served = [request.tree for (request,) in made.flights]
    last = dict.fromkeys(range(files), 0)
    waits = dict.fromkeys(range(files), 0)
    for at, tree in enumerate(served):
        waits[tree] = max(waits[tree], at - last[tree])
        last[tree] = at
    assert sum(map(asked_for, (request for (request,) in made.flights))) == files * size
    assert max(waits.values()) <= WINDOW // MEGA + 2 * files, "pieces of others between two of one file"


async def test_a_chain_is_not_kept_waiting_by_long_files() -> None:
    async with peer(encrypts=True, credits=8000, window=StillWindow()) as made:
        made.serve(paid)
        reading = [asyncio.ensure_future(streamed(made.wire, tree, 20 * MEGA)) for tree in range(4)]
        await asyncio.sleep(0)
        await made.wire.ask(99, create("x", 1), flush(), close())
        await asyncio.gather(*reading)
    served = [request.tree for flight in made.flights for request in flight]
    assert served.index(99) <= WINDOW // MEGA + 4


async def test_who_comes_later_soon_has_as_much_of_the_window() -> None:
    """The first has all of it when the second begins; each answer then makes room for whose turn it is."""
    async with peer(encrypts=True, credits=8000, window=StillWindow()) as made:
        books = Ledger(made, 8000)
        reading = asyncio.gather(*(streamed(made.wire, tree, 60 * MEGA) for tree in range(2)))
        await settled(reading)
        books.take()
        assert Counter(request.tree for request in books.open) == {0: WINDOW // MEGA}
        for _ in range(2 * WINDOW // MEGA):
            books.answer(0, lambda request: request.charge)
            await settled(reading)
            books.take()
        assert Counter(request.tree for request in books.open) == {0: WINDOW // MEGA // 2, 1: WINDOW // MEGA // 2}
        reading.cancel()


async def test_a_turn_that_was_given_up_is_nobodys() -> None:
    """A copy that ends sends no further piece."""
    async with peer(encrypts=True, credits=8000, window=StillWindow()) as made:
        books = Ledger(made, 8000)
        reading = [asyncio.ensure_future(streamed(made.wire, tree, 60 * MEGA)) for tree in range(2)]
        await settled(reading[1])
        books.take()
        assert {request.tree for request in books.open} == {0}, "the other one waits"
        reading[1].cancel()
        await settled(reading[1])
        for _ in range(3):
            books.answer(0, lambda request: request.charge)
            await settled(reading[0])
            books.take()
        assert {request.tree for request in books.open} == {0}
        reading[0].cancel()


# -- bounds ------------------------------------------------------------------------------------------------------


async def test_no_more_requests_wait_than_windows_takes() -> None:
    """Past 64 in a session it answers STATUS_INSUFFICIENT_RESOURCES; each of a compound counts."""
    async with peer(encrypts=True, credits=8000) as made:
        books = Ledger(made, 8000)
        chains = asyncio.gather(*(made.wire.ask(tree, create("x", 1), flush(), close()) for tree in range(30)))
        while not await settled(chains):
            books.take()
            books.answer(0, lambda _: 1)
    assert books.wrong == [] and len(chains.result()) == 30


async def test_answers_that_nobody_takes_are_bounded_over_all_files() -> None:
    """Readers that hash more slowly than their target answers hold one window's worth, not one each."""
    files = 16
    async with peer(encrypts=True, credits=8000, window=StillWindow()) as made:
        made.serve(paid)
        streams = [
            made.wire.stream(tree, Pieces(0, 12 * MEGA, lambda at, size: read(size, at, file_id(1))), MEGA)
            for tree in range(files)
        ]
        for stream in streams:
            await anext(stream)
            await made.wire.ask(99, flush())  # behind it: all that was on its way is answered
        asked = sum(map(asked_for, (request for (request,) in made.flights if request.tree != 99)))
        for stream in streams:
            await stream.aclose()
    assert files * MEGA <= asked <= WINDOW + 2 * files * MEGA


works = st.one_of(
    st.tuples(st.just("stream"), st.integers(1, 12 * MEGA)),
    st.tuples(st.just("chain"), st.integers(1, 2 * MEGA)),
    st.tuples(st.just("ask"), st.just(1)),
)


@settings(max_examples=60, deadline=None)
@given(
    work=st.lists(works, min_size=1, max_size=24),
    credits=st.one_of(st.integers(1, 40), st.integers(100, 900)),
    extra=st.lists(st.integers(-20, 40), min_size=1, max_size=20),
    order=st.lists(st.integers(0, 100), min_size=1, max_size=20),
    encrypts=st.booleans(),
)
async def test_nothing_is_overdrawn_and_nothing_waits_for_ever(
    work: list[tuple[str, int]], credits: int, extra: list[int], order: list[int], encrypts: bool
) -> None:
    """Whatever is asked at once, whatever is granted, and in whatever order the answers come."""

    async def done(wire: Wire, tree: int, kind: str, size: int) -> list[Any]:
        match kind:
            case "stream":
                return await streamed(wire, tree, size)
            case "chain":
                largest = wire.largest(size)
                return await wire.ask(tree, create("x", 1), read(largest), flush(), close())
            case _:
                return await wire.ask(tree, flush(file_id(1)))

    async with peer(encrypts=encrypts, credits=credits) as made, asyncio.timeout(60):
        books, step = Ledger(made, credits), 0
        least = 0 if any(kind == "chain" for kind, _ in work) else -20  # one READ of a chain is not cut anew
        calls = (done(made.wire, tree, kind, size) for tree, (kind, size) in enumerate(work))
        tasks = asyncio.gather(*calls)
        while not await settled(tasks):
            books.take()
            if books.open:
                more = max(extra[step % len(extra)], least)
                books.answer(order[step % len(order)], lambda request: max(request.charge + more, 1))  # noqa: B023
                step += 1
            else:
                await asyncio.sleep(0.001)
    assert books.wrong == []
    got = [sum(result) for (kind, _), result in zip(work, tasks.result(), strict=True) if kind == "stream"]
    assert got == [size for kind, size in work if kind == "stream"]


@settings(max_examples=200)
@given(
    credits=st.integers(0, 600),
    is_large=st.booleans(),
    steps=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9 * MEGA), st.integers(0, 300)), max_size=60),
)
def test_the_bounds_hold_whatever_is_sent_and_answered(
    credits: int, is_large: bool, steps: list[tuple[int, int, int]]
) -> None:
    flow, flying = Flow(credits, is_large, StillWindow()), list[tuple[Load, Mark]]()
    for requests, size, granted in steps:
        load = Load(requests, requests + size // UNIT, size) if requests else Load()
        if requests and flow.fits(load):
            flying.append((load, flow.send(load, 0)))
        elif flying:
            answered, mark = flying.pop(size % len(flying))
            flow.answer(answered, 0, mark)
            flow.grant(granted)
        total = sum((load for load, _ in flying), start=Load())
        assert flow.unanswered == total and flow.credits >= 0
        assert total.requests <= MOST_REQUESTS
        assert total.size <= WINDOW or len(flying) == 1
        assert 1 <= flow.piece(size) <= size


# -- credits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("credits", [1, 2, 3, 8, 17])
async def test_a_server_that_never_grants_more(credits: int) -> None:
    size = 3 * MEGA + 5
    async with peer(encrypts=True, credits=credits) as made:
        made.serve(paid)
        got = await asyncio.gather(*(streamed(made.wire, tree, size) for tree in range(3)))
    assert [sum(each) for each in got] == [size] * 3
    assert max(request.charge for (request,) in made.flights) <= credits


async def test_credits_that_are_spent_just_now_cut_no_small_pieces() -> None:
    """They come back with the answers: 64 KiB at a time would cost sixteen times the requests."""
    async with peer(encrypts=True, credits=100, window=StillWindow()) as made:
        made.serve(paid)
        assert set(await streamed(made.wire, TREE, 40 * MEGA)) == {MEGA}


async def test_a_server_that_takes_credits_back_gets_smaller_pieces() -> None:
    """A piece that has waited for more credits than there will ever be is cut anew, and the rest with it."""
    async with peer(encrypts=True, credits=200, window=StillWindow()) as made:
        made.serve(lambda _: [Reply(body=FLUSHED, credits=1)])
        got = await streamed(made.wire, TREE, 30 * MEGA)
    assert sum(got) == 30 * MEGA and got[0] == MEGA and got[-1] <= UNIT


async def test_a_server_that_grants_none_at_all_is_none() -> None:
    async with peer(encrypts=True, credits=40) as made:
        made.serve(lambda _: [Reply(body=FLUSHED, credits=0)])
        with pytest.raises(ImplausibleError):
            await streamed(made.wire, TREE, 30 * MEGA)


async def test_a_server_without_large_requests_is_charged_nothing() -> None:
    """MS-SMB2 3.2.4.1.5: CreditCharge is 0 there, and a request has 64 KiB at most."""
    async with peer(encrypts=False, credits=20, has_large_mtu=False) as made:
        made.serve(lambda _: [Reply(body=FLUSHED, credits=1)])
        assert await streamed(made.wire, TREE, 5 * UNIT) == [UNIT] * 5
    assert {request.charge for (request,) in made.flights} == {0}
    assert [request.message for (request,) in made.flights] == [7, 8, 9, 10, 11]
    assert made.wire.largest(10**6) == UNIT


# -- memory, and the end -----------------------------------------------------------------------------------------


async def test_a_copy_waits_for_a_server_that_does_not_read() -> None:
    """What waits in memory stays about a quarter of a megabyte and a piece, however long the files are."""
    cut = 0

    def writing(at: int, size: int) -> object:
        nonlocal cut
        cut += 1
        return write(bytes(size), at, file_id(1))

    async with peer(encrypts=True, credits=8000) as made:
        copies = [
            asyncio.ensure_future(anext(made.wire.stream(tree, Pieces(0, 64 * MEGA, writing), MEGA)))  # type: ignore[arg-type]
            for tree in range(5)
        ]
        await asyncio.sleep(0.2)
        assert 1 <= cut <= 3
        for copy in copies:
            copy.cancel()


async def test_a_stream_whose_answers_nobody_takes_asks_for_no_more_than_a_window() -> None:
    async with peer(encrypts=True, credits=8000, window=StillWindow()) as made:
        books = Ledger(made, 8000)
        reading = asyncio.ensure_future(streamed(made.wire, TREE, 100 * MEGA))
        taken = 0
        for _ in range(40):  # all but the first, which the others wait for
            await settled(reading)
            books.take()
            while len(books.open) > 1:
                books.answer(1, lambda request: request.charge)
                taken += 1
        assert taken <= WINDOW // MEGA
        reading.cancel()


async def test_all_who_wait_for_their_turn_are_told_of_the_end() -> None:
    async with peer(encrypts=True, credits=8000) as made:
        reading = asyncio.gather(*(streamed(made.wire, tree, 20 * MEGA) for tree in range(5)), return_exceptions=True)
        await asyncio.sleep(0)
        made.wire.abort()
        assert [type(error) for error in await reading] == [ClosedError] * 5
