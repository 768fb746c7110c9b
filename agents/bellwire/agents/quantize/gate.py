"""The gate: what a quantized model must keep of its parent, judged without I/O."""

from dataclasses import asdict, dataclass

from bellwire.agents.quantize.agreement import Agreement
from bellwire.agents.quantize.settings import GateSettings
from bellwire.agents.train.evaluate import Evaluation


@dataclass(frozen=True, slots=True)
class GateReport:
    """What was measured on held-out bars, what was allowed, and the verdict."""

    agreement: Agreement
    return_before: float
    """Net log return of the parent."""
    return_after: float
    """Of the quantized model."""
    settings: GateSettings
    reasons: tuple[str, ...]
    """Why it failed, a sentence each; empty = it passed."""

    @property
    def passed(self) -> bool:
        """Whether the model may be served."""
        return not self.reasons

    def to_metadata(self) -> dict[str, object]:
        """Return what goes into the manifest, JSON."""
        return {
            "passed": self.passed,
            "reasons": list(self.reasons),
            "bars": self.agreement.rows,
            "agreement": self.agreement.shares,
            "probability_difference_max": self.agreement.probability_difference_max,
            "probability_difference_mean": self.agreement.probability_difference_mean,
            "net_log_return_before": self.return_before,
            "net_log_return_after": self.return_after,
            "settings": asdict(self.settings),
        }


def judge(
    agreement: Agreement, before: Evaluation, after: Evaluation, settings: GateSettings
) -> GateReport:
    """Return the report of the gate.

    Args:
        agreement: Of both models on the parent's way over the held-out bars.
        before: The parent's own way.
        after: The quantized model's own way over the same bars.
        settings: What is allowed.
    """
    earned = before.net_log_return(settings.fee_bp), after.net_log_return(settings.fee_bp)
    reasons = [
        f"{name} agrees with the parent on {share:.2%} of {agreement.rows:,} held-out bars, "
        f"at least {settings.agreement_min:.2%} is asked for"
        for name, share in agreement.shares.items()
        if not share >= settings.agreement_min
    ]
    if not earned[1] >= earned[0] - settings.return_loss_max:
        reasons.append(
            f"net log return over {agreement.rows:,} held-out bars is {earned[1]:+.4f} after {earned[0]:+.4f}, "
            f"it may fall by {settings.return_loss_max:g}"
        )
    return GateReport(agreement, *earned, settings, tuple(reasons))
