"""The columns of the detail frames of a distillation run."""

from experiments.bench.columns import Column

VARIANT = Column("variant", "text", "how the student was trained")
SEED = Column("seed", "integer", "random seed of the student")
DIGIT = Column("digit", "integer", "number of the image, from 1")
LABEL = Column("label", "integer", "correct class of the image")
DETAILS = {
    "seeds": [
        *(VARIANT, SEED),
        Column("accuracy", "number", "top-1 accuracy on the test set"),
        Column("validation_accuracy", "number", "top-1 accuracy on the 5,000 validation images"),
        Column("gain", "number", "test accuracy less that of the student alone with the same seed"),
    ],
    "learning": [
        *(VARIANT, SEED),
        Column("step", "integer", "training steps so far"),
        Column("validation_accuracy", "number", "top-1 accuracy on the 5,000 validation images"),
    ],
    "confusion": [
        *(VARIANT, LABEL),
        Column("said", "integer", "predicted class"),
        Column("count", "integer", "test images, summed over the seeds"),
    ],
    "targets": [
        *(DIGIT, LABEL),
        Column("temperature", "number", "temperature: the teacher's logits were divided by it"),
        Column("said", "integer", "class"),
        Column("probability", "number", "probability of this class according to the teacher: the soft target"),
    ],
    "digits": [
        *(DIGIT, LABEL),
        Column("row", "integer", "row of the pixel, from the top"),
        Column("column", "integer", "column of the pixel, from the left"),
        Column("brightness", "number", "0 is background, 1 is ink"),
    ],
}
