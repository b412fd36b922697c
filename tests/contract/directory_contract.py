"""What every adapter of the directory port does. Adapters subclass ``DirectoryContract`` and give it a ``bench``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Protocol

import pytest

from pusher.directory.filters import escape_filter_value
from pusher.directory.port import Bounds, Directory, Entry, Scope
from pusher.problems import ProblemError

COMPUTERS = "(objectCategory=computer)"
ODD = "Odd (name) with * and \\ and #"
"""The ``description`` of one computer of every bench, which a filter has to spell out."""


class DirectoryBench(Protocol):
    """A directory with at least six computers below ``base``, two of them at ``one_level`` under ``fleet``."""

    base: str
    fleet: str
    odd: str  # the sAMAccountName of the computer whose description is ODD
    nested_group: str  # a group that a computer is in only by another group
    nested_member: str  # that computer's sAMAccountName

    def directory(self, bounds: Bounds | None = None) -> Directory: ...

    def wrong_password(self) -> Directory: ...

    def unreachable(self) -> Directory: ...


async def all_of(found: AsyncIterator[Entry]) -> list[Entry]:
    return [entry async for entry in found]


async def code_of(found: AsyncIterator[Entry]) -> str:
    with pytest.raises(ProblemError) as caught:
        await all_of(found)
    return caught.value.problem.code


def names(entries: Sequence[Entry]) -> list[str]:
    return sorted(entry.attributes["samaccountname"][0].decode() for entry in entries)


class DirectoryContract:
    @pytest.fixture
    async def directory(self, bench: DirectoryBench) -> AsyncIterator[Directory]:
        directory = bench.directory()
        yield directory
        await directory.close()

    async def test_a_search_brings_what_was_asked_for(self, bench: DirectoryBench, directory: Directory) -> None:
        found = await all_of(directory.search(bench.base, COMPUTERS, ["sAMAccountName", "objectClass", "noSuchOne"]))
        assert len(found) >= 6
        for entry in found:
            assert set(entry.attributes) == {"samaccountname", "objectclass"}, "lower case, and nothing else"
            assert b"computer" in entry.attributes["objectclass"]
            assert all(isinstance(value, bytes) for values in entry.attributes.values() for value in values)
            assert entry.dn.lower().endswith(bench.base.lower())

    async def test_numbers_and_truths_stay_bytes(self, bench: DirectoryBench, directory: Directory) -> None:
        found = await all_of(directory.search(bench.base, COMPUTERS, ["userAccountControl"]))
        assert all(int(entry.attributes["useraccountcontrol"][0]) & 0x3000 for entry in found)

    async def test_the_scopes(self, bench: DirectoryBench, directory: Directory) -> None:
        async def dns(scope: Scope) -> set[str]:
            found = await all_of(directory.search(bench.fleet, "(objectClass=*)", ["objectClass"], scope))
            return {entry.dn.lower() for entry in found}

        base, one, all_below = [await dns(scope) for scope in Scope]
        assert base == {bench.fleet.lower()}
        assert one and base | one < all_below

    async def test_the_servers_own_entry(self, bench: DirectoryBench, directory: Directory) -> None:
        (root,) = await all_of(directory.search("", "(objectClass=*)", ["defaultNamingContext"], Scope.BASE))
        assert root.attributes["defaultnamingcontext"] == (bench.base.encode(),)

    async def test_pages_are_seamless(self, bench: DirectoryBench) -> None:
        whole = bench.directory()
        paged = bench.directory(Bounds(page=2))
        try:
            expected = names(await all_of(whole.search(bench.base, COMPUTERS, ["sAMAccountName"])))
            assert names(await all_of(paged.search(bench.base, COMPUTERS, ["sAMAccountName"]))) == expected
        finally:
            await whole.close()
            await paged.close()

    async def test_others_run_between_pages(self, bench: DirectoryBench) -> None:
        directory = bench.directory(Bounds(page=2))
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        try:
            found = directory.search(bench.base, COMPUTERS, ["sAMAccountName"])
            await anext(found)
            before = turns
            await anext(found)
            await anext(found)  # of the second page
            assert turns > before
            await all_of(found)
        finally:
            task.cancel()
            await directory.close()

    async def test_searches_may_overlap(self, bench: DirectoryBench) -> None:
        directory = bench.directory(Bounds(page=2))
        try:
            outer = directory.search(bench.base, COMPUTERS, ["sAMAccountName"])
            seen = []
            async for entry in outer:
                name = entry.attributes["samaccountname"][0].decode()
                again = f"(sAMAccountName={escape_filter_value(name)})"
                assert names(await all_of(directory.search(bench.base, again, ["sAMAccountName"]))) == [name]
                seen.append(name)
            assert sorted(seen) == names(await all_of(directory.search(bench.base, COMPUTERS, ["sAMAccountName"])))
        finally:
            await directory.close()

    async def test_a_search_may_be_left(self, bench: DirectoryBench) -> None:
        directory = bench.directory(Bounds(page=2))
        try:
            for _ in range(3):
                async with aclosing(  # type: ignore[type-var]
                    directory.search(bench.base, COMPUTERS, ["sAMAccountName"])
                ) as found:
                    await anext(found)
            assert len(await all_of(directory.search(bench.base, COMPUTERS, ["sAMAccountName"]))) >= 6
        finally:
            await directory.close()

    async def test_a_value_is_found_literally(self, bench: DirectoryBench, directory: Directory) -> None:
        literal = f"(&{COMPUTERS}(description={escape_filter_value(ODD)}))"
        assert names(await all_of(directory.search(bench.base, literal, ["sAMAccountName"]))) == [bench.odd]

    async def test_a_filter_decides(self, bench: DirectoryBench, directory: Directory) -> None:
        async def found(filter: str) -> list[str]:
            return names(await all_of(directory.search(bench.base, filter, ["sAMAccountName"])))

        everyone = await found(COMPUTERS)
        start, name = bench.odd[:-2], bench.odd
        assert name in await found(f"(sAMAccountName={start}*)")
        assert await found(f"(&{COMPUTERS}(!(sAMAccountName={name})))") == [one for one in everyone if one != name]
        assert await found(f"(|(sAMAccountName={name})(sAMAccountName=nobody))") == [name]
        assert await found(f"(&{COMPUTERS}(description=*))") == [name]
        assert await found(f"(&{COMPUTERS}(userAccountControl:1.2.840.113556.1.4.803:=4096)(userAccountControl>=1))")
        assert not await found(f"(&{COMPUTERS}(userAccountControl<=1))")

    async def test_nested_groups_are_followed(self, bench: DirectoryBench, directory: Directory) -> None:
        group = escape_filter_value(bench.nested_group)
        direct = f"(&{COMPUTERS}(memberOf={group}))"
        nested = f"(&{COMPUTERS}(memberOf:1.2.840.113556.1.4.1941:={group}))"
        assert bench.nested_member not in names(await all_of(directory.search(bench.base, direct, ["sAMAccountName"])))
        assert bench.nested_member in names(await all_of(directory.search(bench.base, nested, ["sAMAccountName"])))

    @pytest.mark.parametrize("base", ["OU=NoSuch,{base}", "no name at all", "OU=x,,{base}"])
    async def test_a_base_that_is_not_there(self, bench: DirectoryBench, directory: Directory, base: str) -> None:
        search = directory.search(base.format(base=bench.base), COMPUTERS, ["cn"])
        assert await code_of(search) == "directory-no-such-object"
        assert await all_of(directory.search(bench.base, COMPUTERS, ["cn"])), "the connection is still good"

    @pytest.mark.parametrize("filter", ["", "cn=x", "(cn=x", "(cn=x))", "(&)(", "(cn=\\zz)"])
    async def test_a_filter_that_is_none(self, bench: DirectoryBench, directory: Directory, filter: str) -> None:
        assert await code_of(directory.search(bench.base, filter, ["cn"])) == "directory-filter-wrong"

    async def test_too_many_entries_are_refused(self, bench: DirectoryBench) -> None:
        directory = bench.directory(Bounds(entries=3, page=2))
        try:
            assert await code_of(directory.search(bench.base, COMPUTERS, ["cn"])) == "directory-answer"
        finally:
            await directory.close()

    async def test_a_closed_directory_answers_nothing(self, bench: DirectoryBench) -> None:
        directory = bench.directory(Bounds(page=2))
        found = directory.search(bench.base, COMPUTERS, ["cn"])
        await anext(found)
        await directory.close()
        await directory.close()
        assert await code_of(found) == "directory-unreachable"
        assert await code_of(directory.search(bench.base, COMPUTERS, ["cn"])) == "directory-unreachable"

    async def test_a_wrong_password_is_tried_once(self, bench: DirectoryBench) -> None:
        directory = bench.wrong_password()
        try:
            for _ in range(3):
                search = directory.search(bench.base, COMPUTERS, ["cn"])
                assert await code_of(search) == "directory-sign-in-failed"
        finally:
            await directory.close()

    async def test_a_server_that_is_not_there(self, bench: DirectoryBench) -> None:
        directory = bench.unreachable()
        try:
            assert await code_of(directory.search(bench.base, COMPUTERS, ["cn"])) == "directory-unreachable"
        finally:
            await directory.close()

    async def test_a_cancelled_search_leaves_a_directory_that_works(self, bench: DirectoryBench) -> None:
        directory = bench.directory(Bounds(page=2))
        try:
            task = asyncio.create_task(all_of(directory.search(bench.base, COMPUTERS, ["cn"])))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        finally:
            await directory.close()
