"""However the servers lie: a client is not kept running to and fro, and finds the owner once they agree."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bellwire.policy.owner_search import ROUND_SECONDS, SHUN_SECONDS, OwnerSearch

PLACES = ("a", "b", "c", "d")
SAID = st.lists(
    st.tuples(st.sampled_from(("lost", "refused")), st.sampled_from((*PLACES, None))), max_size=60
)


@given(said=SAID, step=st.floats(0.01, 0.2))
def test_a_lost_place_is_not_gone_to_for_a_while(
    said: list[tuple[str, str | None]], step: float
) -> None:
    search = OwnerSearch(PLACES)
    lost_at: dict[str, float] = {}
    now = 0.0
    for what, name in said:
        now += step
        before = search.current
        if what == "lost":
            moved = search.lost(before, now)
            lost_at[before] = now
        else:
            moved = search.refused(before, name, now)
        assert moved == (search.current != before)
        if moved and search.current in lost_at:
            bound = SHUN_SECONDS if what == "refused" and name is not None else ROUND_SECONDS
            assert now - lost_at[search.current] >= bound


@given(said=SAID, owner=st.sampled_from(PLACES))
def test_once_all_name_the_same_it_is_found_within_a_shun_and_two_questions(
    said: list[tuple[str, str | None]], owner: str
) -> None:
    search = OwnerSearch(PLACES)
    now = 0.0
    for what, name in said:
        now += 0.1
        if what == "lost":
            search.lost(search.current, now)
        else:
            search.refused(search.current, name, now)
    now += 2 * SHUN_SECONDS
    for _ in range(2):
        if search.current != owner:
            search.refused(search.current, owner, now)
    assert search.current == owner
