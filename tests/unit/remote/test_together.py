"""Several questions at once, and one after the other."""

from __future__ import annotations

import asyncio

import pytest

from pusher.remote.together import both, together


class Machine:
    """Keeps what it is asked, and what it has answered."""

    def __init__(self) -> None:
        self.said = list[str]()

    async def ask(self, name: str, error: Exception | None = None) -> str:
        self.said.append(f"{name}?")
        await asyncio.sleep(0)
        if error is not None:
            raise error
        self.said.append(f"{name}!")
        return name


@pytest.mark.parametrize(
    ("at_once", "said"), [(True, ["a?", "b?", "c?", "a!", "b!", "c!"]), (False, ["a?", "a!", "b?", "b!", "c?", "c!"])]
)
async def test_the_answers_come_in_order(at_once: bool, said: list[str]) -> None:
    machine = Machine()
    assert await together(*(machine.ask(name) for name in "abc"), at_once=at_once) == ["a", "b", "c"]
    assert machine.said == said


async def test_at_once_all_have_ended_when_the_first_error_is_raised() -> None:
    machine = Machine()
    first, second = ValueError("first"), ValueError("second")
    with pytest.raises(ValueError, match="first"):
        await together(
            machine.ask("a"), machine.ask("b", first), machine.ask("c", second), machine.ask("d"), at_once=True
        )
    assert machine.said == ["a?", "b?", "c?", "d?", "a!", "d!"]


@pytest.mark.filterwarnings("error")
async def test_one_after_the_other_nothing_is_asked_after_an_error() -> None:
    """On a connection that is gone each further question would wait for its own deadline."""
    machine = Machine()
    with pytest.raises(ValueError, match="gone"):
        await together(machine.ask("a"), machine.ask("b", ValueError("gone")), machine.ask("c"), at_once=False)
    assert machine.said == ["a?", "a!", "b?"]


@pytest.mark.parametrize("at_once", [False, True])
async def test_two_that_answer_differently(at_once: bool) -> None:
    async def number() -> int:
        return 7

    assert await both(Machine().ask("a"), number(), at_once=at_once) == ("a", 7)
