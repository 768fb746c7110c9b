"""The model card as a page for people, and the verdict its figures allow."""

from statistics import fmean
from typing import Final

from bellwire.agents.train.card import Card, Figures, Result
from bellwire.agents.train.system import TACTICAL, System

PAGE: Final = "card.md"

_INTRODUCTION: Final = (
    "Three agents ({agents}) that move one position between short and long, trained "
    "by MAPPO. Test bars lie after all bars trained on, those of other symbols included. Returns "
    "are sums of log returns in percent, of greedy actions, begun flat: gross, with one standard "
    "error, and net of a fee in bp of the value traded. Costs beyond the fee are not modelled."
)


def page(card: Card, system: System = TACTICAL) -> str:
    """Return the card of a system's model in Markdown."""
    introduction = _INTRODUCTION.format(agents=", ".join(system.agents))
    blocks = [f"# {card.model}: model card", introduction, verdict(card), _facts(card)]
    for result in card.results:
        data = result.data
        blocks += [
            f"## {result.symbol}, test {result.fold}",
            f"Trained on {data.train_first} … {data.train_last}, "
            f"tested on {data.test_first} … {data.test_last}: {result.trained.bars:,} bars of "
            f"{data.interval}.",
            "\n".join(_markdown(comparison(result))),
            _habits(result.trained, system),
        ]
    return "\n\n".join(blocks) + "\n"


def verdict(card: Card) -> str:
    """Return one sentence on whether it was better than doing nothing, holding and luck."""
    fee = f"{card.fee_bp:g}"
    won = [result for result in card.results if _is_better(result, fee)]
    count = f"{len(won)} of {len(card.results)}"
    if not won:
        return (
            f"**No edge found**: at the fee it was trained with ({fee} bp) it was not better than "
            "staying flat, buying and holding and every untrained network together, on any test."
        )
    return (
        f"At the fee it was trained with ({fee} bp) it was better than staying flat, buying and "
        f"holding and every untrained network on **{count}** tests. That is no promise: one seed, "
        "and the past."
    )


def comparison(result: Result) -> list[list[str]]:
    """Return the table of one test, header first: a line a policy, net returns in percent a fee."""
    fees = [fee for fee in result.trained.net_log_return if float(fee) > 0.0]
    header = ["policy", "gross %", "±", *(f"{fee} bp %" for fee in fees), "turnover"]
    rows = [
        _row("trained", result.trained, fees),
        _row("buy and hold", result.buy_and_hold, fees),
        ["flat", "+0.00", "0.00", *["+0.00"] * len(fees), "0"],
    ]
    if result.untrained:
        rows.append(_mean_row(f"untrained, mean of {len(result.untrained)}", result, fees))
        best = max(result.untrained, key=lambda each: each.gross_log_return)
        rows.append(_row("untrained, best", best, fees))
    return [header, *rows]


def _is_better(result: Result, fee: str) -> bool:
    others = (result.buy_and_hold, *result.untrained)
    best = max(0.0, *(other.net_log_return[fee] for other in others))
    return result.trained.net_log_return[fee] > best


def _row(name: str, found: Figures, fees: list[str]) -> list[str]:
    net = [_percent(found.net_log_return[fee]) for fee in fees]
    error = f"{100.0 * found.standard_error:.2f}"
    return [name, _percent(found.gross_log_return), error, *net, f"{found.turnover:,.0f}"]


def _mean_row(name: str, result: Result, fees: list[str]) -> list[str]:
    each = result.untrained
    gross = _percent(fmean(found.gross_log_return for found in each))
    net = [_percent(fmean(found.net_log_return[fee] for found in each)) for fee in fees]
    return [name, gross, "", *net, f"{fmean(found.turnover for found in each):,.0f}"]


def _percent(log_return: float) -> str:
    return f"{100.0 * log_return:+.2f}"


def _facts(card: Card) -> str:
    facts = [
        ("network", card.variant),
        ("seed", str(card.seed)),
        ("joint steps", f"{card.steps:,}"),
        ("fee in training", f"{card.fee_bp:g} bp of the value traded"),
        ("training time", f"{card.run.seconds:,.0f} s, {card.run.steps_per_second:,.0f} steps/s"),
        ("trained", card.run.began),
        ("untrained seeds", ", ".join(map(str, card.untrained_seeds))),
        ("embargo", f"{card.split_settings['embargo_bars']} bars before each test"),
        ("code", f"{card.code_version}, sha256 {card.code_sha256}"),
        ("weights", f"sha256 {card.weights_sha256}"),
    ]
    first_tests = (result.data for result in card.results if result.fold == 1)
    facts += [
        (f"data {data.symbol}", f"{data.source}, {data.bars:,} bars, sha256 {data.sha256}")
        for data in first_tests
    ]
    return "\n".join(f"- {name}: {value}" for name, value in facts)


def _habits(found: Figures, system: System) -> str:
    parts = [
        f"{agent} {' / '.join(f'{count:,}' for count in counts)}"
        for agent, counts in zip(system.agents, found.actions, strict=True)
    ]
    return f"Actions taken ({system.words}): {', '.join(parts)}."


def _markdown(table: list[list[str]]) -> list[str]:
    header, *rows = (f"| {' | '.join(row)} |" for row in table)
    return [header, f"|---|{'---:|' * (len(table[0]) - 1)}", *rows]
