"""Plots made of a result."""

from itertools import pairwise
from xml.etree import ElementTree

from tests.benchmarks.plots import plots_of
from tests.unit.benchmarks.results import (
    beside,
    commit,
    document,
    failure,
    latency,
    levels,
    throughput,
)

SVG = "{http://www.w3.org/2000/svg}"


def words_of(image: str) -> list[str]:
    return ["".join(each.itertext()) for each in ElementTree.fromstring(image).iter(f"{SVG}text")]


def shapes_of(image: str, kind: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(image).iter(f"{SVG}{kind}"))


def test_each_scenario_with_something_to_draw_has_a_plot():
    result = document(
        latency(1, "nats", [100]),
        throughput(1, "nats", 150_000),
        levels(1, "nats", {1_000: 100}),
        commit(1, "jetstream", [100]),
        beside(1, "jetstream", 1, 2, 3),
        failure(1, "nats", scenario="latency-10k"),
    )
    assert list(plots_of(result)) == ["latency-1k", "throughput-100", "load"]


def test_a_latency_row_shows_its_figures_and_is_further_right_the_slower_it_is():
    result = document(latency(1, "nats", [200]), latency(1, "bellwire_tcp", [800]))
    image = plots_of(result)["latency-1k"]
    assert {"NATS core", "Bellwire TCP"} <= set(words_of(image))
    assert any(word.startswith("20") and "µs / " in word for word in words_of(image))
    dots = [float(dot.attrib["cx"]) for dot in shapes_of(image, "circle")]
    assert dots[0] < dots[2]


def test_a_saturated_system_is_named_instead_of_drawn():
    image = plots_of(document(latency(1, "slim", [900_000], seconds=2.0)))["latency-1k"]
    assert "saturated: took 500 messages/s" in words_of(image)
    assert shapes_of(image, "circle") == []


def test_bars_are_as_long_as_their_figures():
    result = document(throughput(1, "nats", 100_000), throughput(1, "bellwire_tcp", 200_000))
    _, nats, bellwire = shapes_of(plots_of(result)["throughput-100"], "rect")
    assert float(bellwire.attrib["width"]) == 2 * float(nats.attrib["width"])
    assert (nats.attrib["class"], bellwire.attrib["class"]) == ("theirs", "ours")


def test_load_is_drawn_as_a_line_each_for_p50_and_p99_and_their_labels_do_not_overlap():
    rates = {1_000: 100, 50_000: 400}
    result = document(*(levels(1, peer, rates) for peer in ("nats", "bellwire_socket")))
    image = plots_of(result)["load"]
    assert len(shapes_of(image, "polyline")) == 4
    ends = [
        float(each.attrib["y"])
        for each in shapes_of(image, "text")
        if (each.text or "").endswith(("p50", "p99")) and ":" not in (each.text or "")
    ]
    assert len(ends) == 4
    assert min(b - a for a, b in pairwise(ends)) >= 14


def test_a_plot_brings_colours_for_light_and_dark_pages():
    image = plots_of(document(throughput(1, "nats", 1)))["throughput-100"]
    assert "prefers-color-scheme: dark" in image
    assert shapes_of(image, "rect")[0].attrib["class"] == "ground"
