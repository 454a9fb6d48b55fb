import numpy as np
import pandas as pd

from experiments.compression.pruning.answer import answer


def row(variant, form, target, drop, size, speedup, verdict):
    return {
        "device": "CPU",
        "network": "mlp",
        "batch": 32,
        "variant": variant,
        "method": None if variant == "dense" else variant,
        "form": form,
        "target": target,
        "sparsity": target,
        "seeds": 3,
        "seed_accuracy": 0.98 - drop,
        "seed_accuracy_lo": 0.979 - drop,
        "seed_accuracy_hi": 0.981 - drop,
        "drop": drop,
        "drop_lo": drop - 0.001,
        "drop_hi": drop + 0.001,
        "size_bytes": size,
        "compression": 400_000 / size,
        "speedup": speedup,
        "speedup_lo": speedup - 0.1,
        "speedup_hi": speedup + 0.1,
        "verdict": verdict,
    }


def answer_to(*others):
    base = row("dense", "dense", 0.0, 0.0, 400_000, np.nan, "baseline")
    return answer(pd.DataFrame([base, *others]).convert_dtypes())


def test_the_answer_names_the_sparsest_network_that_keeps_its_accuracy_and_what_random_would_cost():
    assert answer_to(
        row("magnitude", "dense", 0.9, 0.001, 40_000, 1.0, "cannot tell"),
        row("magnitude", "dense", 0.99, 0.1, 4_000, 1.0, "cannot tell"),
        row("random", "dense", 0.9, 0.05, 40_000, 1.0, "cannot tell"),
        row("l2 units", "smaller", 0.5, 0.002, 200_000, 2.0, "faster"),
    ) == (
        "On CPU, mlp at batch 32: with 90% of its weights pruned by magnitude (0.10 points lost, 95% CI +0.00 to +0.20 "
        "over 3 seeds; dense: 98.00%; random pruning loses 5.00) its file has 40,000 bytes, 10x smaller, and "
        "multiplying by the zeros as well makes no significant difference to a call (ratio 1, 95% CI 0.9 to 1.1); "
        "pruning whole units (l2 units, 50%: 0.20 points lost) "
        "makes a call 2x faster (95% CI 1.9 to 2.1)."
    )


def test_the_answer_states_that_nothing_keeps_the_accuracy():
    sentence = answer_to(row("magnitude", "dense", 0.99, 0.1, 4_000, 1.0, "cannot tell"))
    assert "no tested sparsity stays within 0.2 points of its 98.00% (magnitude, 99%: 10.00 points" in sentence


def test_the_answer_names_units_alone_where_nothing_else_was_tried():
    sentence = answer_to(row("l2 units", "smaller", 0.5, 0.001, 200_000, 2.0, "faster"))
    assert sentence.startswith("On CPU, mlp at batch 32: pruning whole units (l2 units, 50%: 0.10 points lost")
    assert "no tested sparsity" not in sentence


def test_no_rows_have_no_answer():
    assert answer(pd.DataFrame(columns=list(row("a", "b", 0.0, 0.0, 1, 1.0, "")))) == ""
