"""What every engine does with content. Subclasses give ``url``; each test has an empty store of its own there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text as sql

from pusher.models import ContentKind, RunNeeds
from pusher.store import Store, open_store
from pusher.store.content import PIECE, ContentChangedError, ContentMissingError
from tests.unit.store.store_contract import NOON, a_run


def hashed(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def a_file(store: Store, content: bytes) -> str:
    store.store_content(hashed(content), ContentKind.FILE, [content])
    return hashed(content)


def a_package(store: Store, name: bytes, *files: str) -> str:
    assert store.store_whole(hashed(name), ContentKind.PACKAGE, name, files) == set()
    return hashed(name)


def rows(store: Store, table: str) -> int:
    with store._database.engine.connect() as connection:
        return int(connection.execute(sql(f"SELECT count(*) FROM {table}")).scalar_one())


class ContentContract:
    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        made = open_store(url)
        yield made
        made.close()

    def test_what_is_stored_comes_back_in_pieces_of_a_megabyte(self, store: Store) -> None:
        content = bytes(range(256)) * 10_000 + b"\0end"
        digest = a_file(store, content)
        pieces = list(store.content(digest))
        assert b"".join(pieces) == content
        assert [len(piece) for piece in pieces] == [PIECE, PIECE, len(content) - 2 * PIECE]

    def test_an_empty_file_is_content_too(self, store: Store) -> None:
        digest = a_file(store, b"")
        assert list(store.content(digest)) == [] and store.stored([digest]) == {digest}

    def test_the_same_is_stored_once(self, store: Store) -> None:
        assert a_file(store, b"agent") == a_file(store, b"agent")
        assert (rows(store, "blobs"), rows(store, "chunks")) == (1, 1)

    def test_of_two_who_store_the_same_at_once_one_is_kept(self, store: Store, url: str) -> None:
        other = open_store(url)
        at_once: list[Iterator[bytes]] = []

        def slowly(store: Store) -> Iterator[bytes]:
            yield b"ag"
            if not at_once:  # in the middle of the first
                at_once.append(iter(()))
                a_file(other, b"agent")
            yield b"ent"

        store.store_content(hashed(b"agent"), ContentKind.FILE, slowly(store))
        other.close()
        assert b"".join(store.content(hashed(b"agent"))) == b"agent"
        assert (rows(store, "blobs"), rows(store, "chunks")) == (1, 1)

    def test_what_has_another_hash_is_not_stored(self, store: Store) -> None:
        with pytest.raises(ContentChangedError):
            store.store_content(hashed(b"agent"), ContentKind.FILE, [b"another"])
        with pytest.raises(ContentChangedError):
            store.store_whole(hashed(b"agent"), ContentKind.PACKAGE, b"another", [])
        assert (rows(store, "blobs"), rows(store, "chunks")) == (0, 0)

    def test_what_cannot_be_read_to_its_end_leaves_nothing(self, store: Store) -> None:
        def broken() -> Iterator[bytes]:
            yield b"ag"
            raise OSError("the disk is gone")

        with pytest.raises(OSError, match="the disk is gone"):
            store.store_content(hashed(b"agent"), ContentKind.FILE, broken())
        assert (rows(store, "blobs"), rows(store, "chunks")) == (0, 0)
        a_file(store, b"agent")

    def test_what_is_stored_in_part_is_not_there(self, store: Store) -> None:
        def looked_at() -> Iterator[bytes]:
            yield b"ag"
            assert store.stored([hashed(b"agent")]) == set()
            with pytest.raises(ContentMissingError):
                next(store.content(hashed(b"agent")))
            yield b"ent"

        store.store_content(hashed(b"agent"), ContentKind.FILE, looked_at())
        assert store.stored([hashed(b"agent"), hashed(b"other")]) == {hashed(b"agent")}

    def test_content_of_which_a_piece_has_gone_is_not_handed_out_as_whole(self, store: Store) -> None:
        digest = a_file(store, b"x" * (PIECE + 1))
        with store._database.engine.begin() as connection:
            connection.execute(sql("DELETE FROM chunks WHERE number = 1"))
        with pytest.raises(ContentMissingError):
            list(store.content(digest))

    def test_a_package_is_not_stored_before_its_files_are(self, store: Store) -> None:
        there, missing = a_file(store, b"there"), hashed(b"missing")
        assert store.store_whole(hashed(b"p"), ContentKind.PACKAGE, b"p", [there, missing]) == {missing}
        assert store.stored([hashed(b"p")]) == set()
        a_file(store, b"missing")
        a_package(store, b"p", there, missing)
        a_package(store, b"p", there, missing)
        assert [found.sha256 for found in store.stored_of(ContentKind.PACKAGE)] == [hashed(b"p")]
        assert {found.sha256 for found in store.stored_of(ContentKind.FILE)} == {there, missing}

    def test_a_package_goes_with_the_files_that_no_other_has(self, store: Store) -> None:
        shared, own = a_file(store, b"shared"), a_file(store, b"own!")
        first, second = a_package(store, b"first", shared, own), a_package(store, b"second", shared)
        assert store.forget_package(first) == len(b"first") + len(b"own!")
        assert store.stored([first, second, shared, own]) == {second, shared}
        assert store.forget_package(second) == len(b"second") + len(b"shared")
        assert [rows(store, table) for table in ("blobs", "chunks", "parts")] == [0, 0, 0]

    def test_a_package_that_a_queued_run_needs_stays(self, store: Store) -> None:
        package = a_package(store, b"package", a_file(store, b"file"))
        needs = RunNeeds(package=package, inventory="i", authority="a", profile="p", profile_digest="d")
        store.begin_run(a_run("r1"), {}, [("a", None, None)], priority=100, needs=needs)
        assert store.needs("r1") == needs
        assert store.wanted_by(package) == ["r1"]
        assert store.forget_package(package) is None
        assert store.stored([package, hashed(b"file")]) == {package, hashed(b"file")}
        store.end_run("r1", NOON)
        assert store.wanted_by(package) == []
        assert store.forget_package(package) is not None

    def test_a_package_whose_files_are_forgotten_meanwhile_is_told_which(self, store: Store, url: str) -> None:
        """Whichever comes first: none is stored that lacks a file."""
        other, shared = open_store(url), b"shared"
        with ThreadPoolExecutor(2) as threads:
            for number in range(5):
                first, second = b"first%d" % number, b"second%d" % number
                a_package(store, first, a_file(store, shared))
                going = threads.submit(other.forget_package, hashed(first))
                coming = threads.submit(
                    store.store_whole, hashed(second), ContentKind.PACKAGE, second, [hashed(shared)]
                )
                going.result()
                is_stored = coming.result() == set()
                assert store.stored([hashed(second), hashed(shared)]) == (
                    {hashed(second), hashed(shared)} if is_stored else set()
                )
                store.forget_package(hashed(second))
        other.close()
