"""The wire after the sign-in: which answers are believed, how chains travel, and what credits allow."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pusher.transports.codes import Operation
from pusher.transports.smb.errors import ClosedError, ImplausibleError, SessionGoneError, TamperedError, WireError
from pusher.transports.smb.faults import translate
from pusher.transports.smb.messages import Command, close, create, flush, read, write
from pusher.transports.smb.wire import MAX_MESSAGE
from tests.unit.transports.smb.peer import PENDING, Peer, Reply, Seen, created_body, file_id, peer

FLUSHED = b"\x04\0\0\0"
TREE = 5
BOTH = pytest.mark.parametrize("encrypts", [False, True], ids=["signed", "encrypted"])


async def asked(made: Peer, answer: Callable[[Seen], list[bytes]]) -> object:
    """What one FLUSH comes to, where the frames of ``answer`` are all that is sent back."""

    def serve() -> None:
        (request,) = made.requests()
        for frame in answer(request):
            made.send_raw(frame)

    threading.Thread(target=serve, daemon=True).start()
    try:
        (got,) = await made.wire.ask(TREE, flush(file_id(1)))
    except Exception as error:  # the outcome is what is looked at
        return error
    return got.status, bytes(got.body)


# -- what is believed --------------------------------------------------------------------------------------------


@BOTH
async def test_an_answer_is_taken(encrypts: bool) -> None:
    async with peer(encrypts=encrypts) as made:
        made.serve(lambda _: [Reply(body=FLUSHED)])
        (answer,) = await made.wire.ask(TREE, flush(file_id(1)))
        assert (answer.status, bytes(answer.body), answer.tree) == (0, FLUSHED, 5)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(is_signed=False),
        Reply(is_forged=True),
        Reply(is_forged=True, status=0xC0000203),
        Reply(is_signed=False, session=0),
        Reply(is_signed=False, session=99),
        Reply(session=99),
        Reply(is_signed=False, status=0xC0000022),
        Reply(is_signed=False, status=0xC0000034),
        Reply(is_signed=False, status=0xC0000128),
        Reply(is_signed=False, command=Command.WRITE),
        Reply(command=Command.WRITE),
        Reply(command=1, is_signed=False, session=0),
        Reply(message=8),
        Reply(message=2**64 - 1),
        Reply(is_signed=False, status=PENDING),
    ],
    ids=str,
)
async def test_no_such_answer_is_believed_on_a_signed_session(reply: Reply) -> None:
    async with peer(encrypts=False) as made:
        error = await asked(made, lambda request: [made.message(reply, request)])
    assert isinstance(error, TamperedError)
    assert translate(error, Operation.FILE).code == "tampered"


async def test_our_own_message_sent_back_is_no_answer() -> None:
    """Its signature verifies (CMAC knows no direction), its number and command are right."""
    async with peer(encrypts=False) as made:
        error = await asked(made, lambda request: [made.message(Reply(is_from_server=False), request)])
    assert isinstance(error, ImplausibleError)


@BOTH
@pytest.mark.parametrize("status", [0xC0000203, 0xC000035C, 0xC00000C9])
async def test_a_session_that_is_gone_is_told_in_plain(encrypts: bool, status: int) -> None:
    """Windows has no key left to sign with. The connection ends, and nothing in the answer is taken for one."""
    async with peer(encrypts=encrypts) as made:
        error = await asked(made, lambda request: [made.message(Reply(status=status, is_signed=False), request)])
    assert isinstance(error, SessionGoneError)
    assert translate(error, Operation.FILE).code == "connection-lost"


@pytest.mark.parametrize("status", [0, 0xC0000022])
async def test_a_plain_answer_on_an_encrypted_session(status: int) -> None:
    async with peer(encrypts=True) as made:
        error = await asked(made, lambda request: [made.message(Reply(status=status), request)])
    assert isinstance(error, TamperedError)


async def test_an_encrypted_answer_on_a_session_that_is_not() -> None:
    async with peer(encrypts=False) as made:
        error = await asked(made, lambda _: [b"\xfdSMB" + bytes(100)])
    assert isinstance(error, TamperedError)


@given(at=st.integers(0, 67), bit=st.integers(0, 7))
async def test_one_changed_bit_of_a_signed_answer(at: int, bit: int) -> None:
    def changed(message: bytes) -> bytes:
        data = bytearray(message)
        data[at] ^= 1 << bit
        return bytes(data)

    async with peer(encrypts=False) as made:
        error = await asked(made, lambda request: [changed(made.message(Reply(body=FLUSHED), request))])
    assert isinstance(error, WireError)


@BOTH
@settings(max_examples=60)
@given(frame=st.binary(min_size=4, max_size=300))
async def test_whatever_comes_instead_is_refused(encrypts: bool, frame: bytes) -> None:
    async with peer(encrypts=encrypts) as made:
        assert isinstance(await asked(made, lambda _: [frame]), WireError)


@BOTH
@pytest.mark.parametrize("length", [0, 3, MAX_MESSAGE + 1, 2**31, 2**32 - 1])
async def test_a_length_that_no_server_would_announce(encrypts: bool, length: int) -> None:
    """Refused before anything is allocated: nothing of the body has come, nor is it waited for."""
    async with peer(encrypts=encrypts) as made:
        made.sock.sendall(length.to_bytes(4, "big"))
        with pytest.raises(ImplausibleError):
            await made.wire.ask(TREE, flush(file_id(1)))


@pytest.mark.parametrize("following", [8, 60, 65, 10_000])
async def test_a_next_answer_that_is_nowhere(following: int) -> None:
    async with peer(encrypts=True) as made:

        def answer(request: Seen) -> list[bytes]:
            message = made.message(Reply(body=FLUSHED), request)
            return [made._encryption.seal(message[:20] + following.to_bytes(4, "little") + message[24:])]

        assert isinstance(await asked(made, answer), ImplausibleError)


@BOTH
async def test_an_interim_answer_is_waited_through(encrypts: bool) -> None:
    """MS-SMB2 3.3.4.4: it need not be signed and carries nothing; the final one follows, and is judged."""
    async with peer(encrypts=encrypts, credits=1) as made:
        interim = Reply(status=PENDING, is_interim=True, is_signed=False, credits=3)
        made.serve(lambda _: [interim, Reply(body=FLUSHED, credits=0)])
        for _ in range(3):  # what the interim answer grants is used
            assert (await made.wire.ask(TREE, flush(file_id(1))))[0].status == 0


async def test_an_interim_answer_does_not_stand_for_the_final_one() -> None:
    async with peer(encrypts=False) as made:
        interim = Reply(status=PENDING, is_interim=True, is_signed=False)
        error = await asked(
            made, lambda request: [made.message(reply, request) for reply in (interim, Reply(is_signed=False))]
        )
    assert isinstance(error, TamperedError)


@BOTH
async def test_nothing_more_is_sent_after_a_failure(encrypts: bool) -> None:
    async with peer(encrypts=encrypts) as made:
        assert isinstance(await asked(made, lambda _: [b"no message at all"]), WireError)
        with pytest.raises(WireError):
            await made.wire.ask(TREE, flush(file_id(1)))
        assert len(made.flights) == 1


@BOTH
async def test_the_end_of_the_connection(encrypts: bool) -> None:
    async with peer(encrypts=encrypts) as made:
        made.sock.close()
        with pytest.raises((ClosedError, OSError)) as caught:
            await made.wire.ask(TREE, flush(file_id(1)))
    assert translate(caught.value, Operation.FILE).code == "connection-lost"


# -- how it travels ----------------------------------------------------------------------------------------------


@BOTH
async def test_a_chain_is_one_compound(encrypts: bool) -> None:
    async with peer(encrypts=encrypts) as made:
        made.serve(lambda request: [Reply(body=bytes([request.message]))])
        answers = await made.wire.ask(TREE, create("x", 1), write(b"12345"), close())
    (requests,) = made.flights
    assert [(each.command, each.message, each.is_related, each.tree) for each in requests] == [
        (Command.CREATE, 7, False, TREE), (Command.WRITE, 8, True, TREE), (Command.CLOSE, 9, True, TREE),
    ]  # fmt: skip
    assert [bytes(each.body) for each in answers] == [b"\x07", b"\x08", b"\x09"]
    assert requests[1].body.rstrip(b"\0").endswith(b"12345")


@BOTH
async def test_what_is_asked_at_once_is_sent_before_an_answer_is_read(encrypts: bool) -> None:
    async with peer(encrypts=encrypts) as made:

        def serve() -> None:
            seen = [made.requests() for _ in range(3)]
            for (request,) in reversed(seen):  # and in whatever order
                made.send(made.message(Reply(body=bytes([request.message])), request))

        threading.Thread(target=serve, daemon=True).start()
        got = await asyncio.gather(*(made.wire.ask(TREE, flush(file_id(number))) for number in range(3)))
    assert [[bytes(answer.body) for answer in row] for row in got] == [[b"\x07"], [b"\x08"], [b"\x09"]]


async def test_answers_that_come_in_one_frame() -> None:
    async with peer(encrypts=True) as made:

        def serve() -> None:
            requests = made.requests()
            made.send(made.compound([made.message(Reply(body=bytes([each.message])), each) for each in requests]))

        threading.Thread(target=serve, daemon=True).start()
        answers = await made.wire.ask(TREE, create("x", 1), flush(), close())
    assert [bytes(each.body)[:1] for each in answers] == [b"\x07", b"\x08", b"\x09"]


@BOTH
async def test_a_chain_without_credits_for_it_goes_one_by_one(encrypts: bool) -> None:
    """The file that its CREATE opened is named in each, since nothing relates them any more."""
    async with peer(encrypts=encrypts, credits=1) as made:
        made.serve(
            lambda request: [Reply(credits=1, body=created_body(file_id(42)) if request.command == 5 else FLUSHED)]
        )
        answers = await made.wire.ask(TREE, create("x", 1), write(b"1"), close())
    assert [len(flight) for flight in made.flights] == [1, 1, 1]
    assert [each.status for each in answers] == [0, 0, 0]
    assert not any(request.is_related for (request,) in made.flights)
    assert all(file_id(42) in request.body for (request,) in made.flights[1:])


@BOTH
async def test_a_refused_create_refuses_what_comes_after_it(encrypts: bool) -> None:
    async with peer(encrypts=encrypts, credits=1) as made:
        made.serve(lambda _: [Reply(credits=1, status=0xC0000034)])
        answers = await made.wire.ask(TREE, create("x", 1), write(b"1"), close())
    assert [each.status for each in answers] == [0xC0000034] * 3
    assert len(made.flights) == 1


@BOTH
async def test_a_server_that_grants_nothing(encrypts: bool) -> None:
    async with peer(encrypts=encrypts, credits=2) as made:
        made.serve(lambda _: [Reply(credits=0, body=FLUSHED)])
        for _ in range(2):
            await made.wire.ask(TREE, flush(file_id(1)))
        with pytest.raises(ImplausibleError):
            await made.wire.ask(TREE, flush(file_id(1)))


NOT_IN_A_CHAIN, DISK_FULL = 0xC00000E5, 0xC000007F


@BOTH
@pytest.mark.parametrize("refused", [Command.CREATE, Command.WRITE, Command.FLUSH])
async def test_what_a_server_will_not_do_within_a_chain_is_asked_again_by_itself(
    encrypts: bool, refused: Command
) -> None:
    """Such a server fails all that follows in the chain, too; nothing before it is done twice."""
    done, is_failing = list[int](), False

    def answer(request: Seen) -> list[Reply]:
        nonlocal is_failing
        in_a_chain = len(made.flights[-1]) > 1
        is_failing = in_a_chain and (is_failing or request.command == refused)
        if is_failing:
            return [Reply(status=NOT_IN_A_CHAIN, body=b"\x09" + bytes(8))]
        done.append(request.command)
        return [Reply(body=created_body(file_id(42)) if request.command == Command.CREATE else FLUSHED)]

    async with peer(encrypts=encrypts) as made:
        made.serve(answer)
        answers = await made.wire.ask(TREE, create("x", 1), write(b"1"), flush(), close())
    assert [each.status for each in answers] == [0, 0, 0, 0]
    assert done == [Command.CREATE, Command.WRITE, Command.FLUSH, Command.CLOSE]
    assert all(file_id(42) in request.body for (request,) in made.flights[1:] if request.command != Command.CREATE)


@BOTH
async def test_a_chain_whose_file_is_closed_already_is_asked_again_from_its_beginning(encrypts: bool) -> None:
    """Such a server refuses the one request and does the others, the CLOSE too."""
    opened = 0

    def answer(request: Seen) -> list[Reply]:
        nonlocal opened
        in_a_chain = len(made.flights[-1]) > 1
        if request.command == Command.CREATE:
            opened += 1
            return [Reply(body=created_body(file_id(40 + opened)))]
        is_known = in_a_chain or file_id(40 + opened) in request.body
        refused = NOT_IN_A_CHAIN if in_a_chain and request.command == Command.FLUSH else 0
        return [Reply(body=FLUSHED, status=refused if is_known else 0xC0000128)]

    async with peer(encrypts=encrypts) as made:
        made.serve(answer)
        answers = await made.wire.ask(TREE, create("x", 1), write(b"1"), flush(), close())
    assert [each.status for each in answers] == [0, 0, 0, 0]
    assert opened == 2


async def test_a_file_that_a_failed_chain_left_open_is_closed() -> None:
    """A server may fail what follows a failed request alike (MS-SMB2 3.3.5.2.7.2), the CLOSE too."""

    def answer(request: Seen) -> list[Reply]:
        if request.command == Command.CREATE:
            return [Reply(body=created_body(file_id(42)))]
        return [Reply(status=DISK_FULL if len(made.flights[-1]) > 1 else 0, body=FLUSHED)]

    async with peer(encrypts=True) as made:
        made.serve(answer)
        answers = await made.wire.ask(TREE, create("x", 1), write(b"1"), close())
    assert [each.status for each in answers] == [0, DISK_FULL, 0], "what is told of the file is that it was closed"
    (closing,) = made.flights[1]
    assert closing.command == Command.CLOSE and file_id(42) in closing.body


async def test_an_answer_longer_than_what_was_asked_for() -> None:
    """Though another request that waits would allow as much."""
    async with peer(encrypts=True) as made:
        made.serve(lambda request: [] if request.message == 7 else [Reply(body=bytes(200_000))])
        long, short = made.wire.ask(TREE, read(2**20, 0, file_id(1))), made.wire.ask(TREE, read(100, 0, file_id(1)))
        answers = await asyncio.gather(long, short, return_exceptions=True)
    assert [type(answer) for answer in answers] == [ImplausibleError] * 2


@pytest.mark.parametrize("length", [200_000, 2**20, MAX_MESSAGE])
async def test_a_message_longer_than_all_that_is_waited_for_is_not_read(length: int) -> None:
    async with peer(encrypts=True) as made:
        made.sock.sendall(length.to_bytes(4, "big"))
        with pytest.raises(ImplausibleError):
            await made.wire.ask(TREE, flush(file_id(1)))


async def test_what_has_been_answered_allows_no_more() -> None:
    async with peer(encrypts=True) as made:

        def serve() -> None:
            (request,) = made.requests()
            made.send(made.message(Reply(body=bytes(2**20)), request))
            made.sock.sendall((200_000).to_bytes(4, "big"))

        threading.Thread(target=serve, daemon=True).start()
        await made.wire.ask(TREE, read(2**20, 0, file_id(1)))
        with pytest.raises(ImplausibleError):
            await made.wire.ask(TREE, flush(file_id(1)))


async def test_who_waits_is_told_why_the_connection_was_dropped() -> None:
    async with peer(encrypts=True) as made:
        waiting = asyncio.ensure_future(made.wire.ask(TREE, flush(file_id(1))))
        await asyncio.sleep(0)
        made.wire.abort(LookupError("so that"))
        with pytest.raises(LookupError, match="so that"):
            await waiting
        with pytest.raises(ClosedError):
            await made.wire.ask(TREE, flush(file_id(1)))


@BOTH
async def test_nobody_waits_for_the_answer_to_a_sign_off(encrypts: bool) -> None:
    async with peer(encrypts=encrypts) as made:
        made.wire.sign_off()
        (request,) = made.requests()
    assert request.command == Command.LOGOFF


@settings(max_examples=30)
@given(first=st.integers(1, 6), grants=st.lists(st.integers(1, 3), min_size=60, max_size=60), encrypts=st.booleans())
async def test_whatever_is_asked_at_once_is_answered(first: int, grants: list[int], encrypts: bool) -> None:
    """Chains of three wait for each other's credits, and each gets its own answers."""
    granting = iter(grants)

    def answer(request: Seen) -> list[Reply]:
        body = created_body(file_id(42)) if request.command == Command.CREATE else FLUSHED
        return [Reply(body=body, credits=next(granting))]

    async with peer(encrypts=encrypts, credits=first) as made:
        made.serve(answer)
        chains = (made.wire.ask(tree, create("x", 1), flush(), close()) for tree in range(12))
        rows = await asyncio.gather(*chains)
    assert all([answer.status for answer in row] == [0, 0, 0] for row in rows) and len(rows) == 12
    seen = [request for flight in made.flights for request in flight]
    assert sorted(request.tree for request in seen) == sorted([*range(12)] * 3)
    assert len({request.message for request in seen}) == len(seen)


@BOTH
async def test_all_who_wait_are_told_of_the_end(encrypts: bool) -> None:
    async with peer(encrypts=encrypts, credits=3) as made:
        asking = asyncio.gather(
            *(made.wire.ask(TREE, flush(file_id(number))) for number in range(5)), return_exceptions=True
        )
        await asyncio.sleep(0)
        made.wire.abort()
        assert all(isinstance(error, ClosedError) for error in await asking)
