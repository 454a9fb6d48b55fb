import pandas as pd

from experiments.compression.distillation.answer import answer


def row(variant, accuracy, validation, parameters, gain=None, verdict=None):
    timed = {"latency_ms": 1.0, "speedup": 2.0, "speedup_lo": 1.9, "speedup_hi": 2.1, "verdict": "faster", "batch": 32}
    student = {"gain": gain, "gain_lo": gain and gain - 0.002, "gain_hi": gain and gain + 0.002}
    return {
        "device": "CPU",
        "variant": variant,
        "network": "mlp" if variant != "teacher" else "512-256",
        "accuracy": accuracy,
        "validation_accuracy": validation,
        "parameters": parameters,
        "smaller": 500 / parameters,
        "data_fraction": 0.05,
        "label_noise": 0.0,
        "seeds": 3,
        **(timed if gain is None else {"verdict": None}),
        **student,
        "gain_verdict": verdict,
    }


def answer_to(*distilled, student_parameters=100):
    base = [row("teacher", 0.98, 0.98, 500), row("student alone", 0.95, 0.95, student_parameters)]
    return answer(pd.DataFrame([*base, *distilled]).convert_dtypes())


def test_the_answer_names_the_variant_with_the_best_validation_accuracy():
    sentence = answer_to(
        row("distilled T=3 α=0.7", 0.96, 0.961, 100, 0.01, "better"),
        row("distilled T=8 α=0.7", 0.97, 0.955, 100, 0.02, "better"),
    )
    assert sentence == (
        "On CPU, mlp with 5% of the training images, distilled T=3 α=0.7 (best of 2 by the validation images), gains "
        "1.00 points of test accuracy (95% CI +0.80 to +1.20 over 3 seeds): 96.00%, trained alone 95.00%, its teacher "
        "512-256 98.00% with 5x the parameters; used instead of the teacher, it makes a call 2x faster (95% CI 1.9 to "
        "2.1) at batch 32."
    )


def test_the_answer_states_that_there_is_no_significant_gain():
    sentence = answer_to(row("distilled T=3 α=0.7", 0.951, 0.95, 100, 0.001, "cannot tell"))
    assert "images, distilled T=3 α=0.7, has no significant gain" in sentence
    assert "has no significant gain: +0.10 points of test accuracy (95% CI -0.10 to +0.30 over 3 seeds)" in sentence


def test_the_answer_remarks_on_a_teacher_smaller_than_its_student():
    sentence = answer_to(row("distilled T=3 α=0.7", 0.94, 0.94, 1000, -0.01, "worse"), student_parameters=1000)
    assert "loses 1.00 points of test accuracy (95% CI -1.20 to -0.80" in sentence
    assert "with 0.5x the parameters, a teacher smaller than its student;" in sentence


def test_there_is_no_answer_before_a_student_was_distilled():
    assert answer_to() == ""
