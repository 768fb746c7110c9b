"""The cache of results never says what another request was told, nor what is too old or outdated."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.agents.inference.scripted import ScriptedEndpoint, ask, said

from bellwire.agents.inference import InferenceRequest, InferenceResult
from bellwire.agents.inference.result_cache import ResultCache
from bellwire.agents.inference.result_cache_settings import ResultCacheSettings

TTL = 10

questions = st.builds(
    lambda value, model, version, key, cache_key: ask(
        *value, model=model, version=version, key=key, cache_key=cache_key
    ),
    st.sampled_from([(1,), (2,), (1, 1), (1, 2)]),
    st.sampled_from(["a", "b"]),
    st.integers(0, 1),
    st.sampled_from(["", "EURUSD"]),
    st.sampled_from(["", "bar-1", "bar-2"]),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.lists(questions, min_size=1, max_size=4)),
        st.tuples(st.just("wait"), st.integers(1, 6)),
        st.tuples(st.just("outdate"), st.sampled_from(["a", "b"])),
    ),
    max_size=30,
)


class Numbered(ScriptedEndpoint):
    """Says a new number each time, and remembers for which request and when it was."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[float, tuple[object, float, int]] = {}
        self.now = 0.0
        self.outdated = {"a": 0, "b": 0}

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        await asyncio.sleep(0)  # Others come and join.
        self.number += 1
        self.told[self.number] = (meaning(request), self.now, self.outdated[request.model])
        return await super().infer(request)


def meaning(request: InferenceRequest) -> object:
    """What makes two requests the same question."""
    split_by = "" if request.version else request.key
    values = request.inputs["x"].tolist()
    return request.model, request.version, split_by, request.cache_key, str(values)


async def play(script: list[tuple[str, object]], entries_max: int) -> None:
    behind = Numbered()
    settings = ResultCacheSettings(entries_max=entries_max, ttl_seconds=TTL)
    cache = ResultCache(behind, settings, lambda: behind.now)
    for what, given_with in script:
        if what == "wait":
            assert isinstance(given_with, int)
            behind.now += given_with
        elif what == "outdate":
            assert isinstance(given_with, str)
            behind.outdated[given_with] += 1
            cache.outdate(given_with)
        else:
            assert isinstance(given_with, list)
            await check(cache, behind, given_with)
        assert len(cache.cache) <= entries_max
    await cache.close()
    assert (len(cache.flights), cache.flights.waiting) == (0, 0)


async def check(cache: ResultCache, behind: Numbered, asked: list[InferenceRequest]) -> None:
    answers = await asyncio.gather(*(cache.infer(request) for request in asked))
    for request, result in zip(asked, answers, strict=True):
        numbers = said(result)
        assert len(numbers) == len(request.inputs["x"])
        question, then, outdated = behind.told[numbers[0]]
        assert question == meaning(request), "another request's answer"
        assert behind.now - then < TTL, "too old"
        assert outdated == behind.outdated[request.model], "outdated"
        assert not (result.is_cached and not request.cache_key)


@given(script=steps, entries_max=st.integers(1, 4))
def test_an_answer_is_of_the_same_question_and_never_too_old(
    script: list[tuple[str, object]], entries_max: int
) -> None:
    asyncio.run(play(script, entries_max))
