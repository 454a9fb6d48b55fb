"""The answer of the distillation experiment in one sentence."""

from typing import TYPE_CHECKING, Any

from experiments.bench.answers import describe_speedup

if TYPE_CHECKING:
    import pandas as pd

TEACHER, STUDENT = "teacher", "student alone"  # names of the variants without distillation


def answer(frame: "pd.DataFrame") -> str:
    """The gain of the best distilled student by validation accuracy, and the speedup over the teacher."""
    rows = frame[frame["gain"].notna()]
    teacher, alone = frame[frame["variant"] == TEACHER], frame[frame["variant"] == STUDENT]
    if rows.empty or teacher.empty or alone.empty:
        return ""
    large, small, best = teacher.iloc[0], alone.iloc[0], rows.nlargest(1, "validation_accuracy").iloc[0]
    points, chosen = best["gain"] * 100, f" (best of {len(rows)} by the validation images)" if len(rows) > 1 else ""
    gain = {"better": f"gains {points:.2f}", "worse": f"loses {-points:.2f}"}
    text = (
        f"On {best['device']}, {small['network']}{_restrictions(small)}, {best['variant']}{chosen}, "
        f"{gain.get(best['gain_verdict'], f'has no significant gain: {points:+.2f}')} points of test accuracy "
        f"(95% CI {best['gain_lo'] * 100:+.2f} to {best['gain_hi'] * 100:+.2f} over {best['seeds']} seeds): "
        f"{best['accuracy']:.2%}, trained alone {small['accuracy']:.2%}, its teacher {large['network']} "
        f"{large['accuracy']:.2%} with {small['smaller']:.3g}x the parameters"
    )
    if large["parameters"] < small["parameters"]:
        text += ", a teacher smaller than its student"
    return f"{text}; used instead of the teacher, it {describe_speedup(small, 'a call')} at batch {small['batch']}."


def _restrictions(row: Any) -> str:
    """` with 5% of the training images and 40% of its labels wrong`; empty with all images and clean labels."""
    parts = [f"{row['data_fraction'] * 100:.3g}% of the training images"] if row["data_fraction"] < 1 else []
    parts += [f"{row['label_noise'] * 100:.3g}% wrong labels"] if row["label_noise"] > 0 else []
    return f" with {' and '.join(parts)}" if parts else ""
