"""The columns of the detail frames of a quantization run."""

from experiments.bench.columns import Column

LAYER = Column("layer", "text", "name of the layer")
TENSOR = Column("tensor", "text", "weight or activation")
DETAILS = {
    "learning": [
        Column("epoch", "integer", "passes over the training images"),
        Column("train_loss", "number", "mean cross-entropy of the epoch"),
        Column("validation_accuracy", "number", "top-1 accuracy on the 5,000 validation images"),
        Column("learning_rate", "number", "learning rate at the end of the epoch"),
    ],
    "layers": [
        *(Column("variant", "text", "the quantized variant"), LAYER, TENSOR),
        Column("bits", "integer", "bits of the integers"),
        Column("scales", "integer", "number of scales of the tensor"),
        Column("scale_min", "number", "smallest scale of the tensor"),
        Column("scale_max", "number", "largest scale; the same if there is only one"),
        Column("zero_point", "integer", "zero point of a single scale; empty with several"),
        Column("lo", "number", "lower end of the range"),
        Column("hi", "number", "upper end of the range"),
        Column("clipped", "number", "share of the values outside the range"),
        Column("sqnr_db", "number", "signal-to-quantization-noise ratio", "dB"),
    ],
    "calibration": [
        *(LAYER, TENSOR),
        Column("observer", "text", "method that chose the range on the same histogram"),
        Column("chosen", "boolean", "whether the first static variant uses this range"),
        Column("bits", "integer", "bits of the integers"),
        Column("lo", "number", "lower end of the range"),
        Column("hi", "number", "upper end of the range"),
        Column("clipped", "number", "share of the values outside the range"),
        Column("mse", "number", "mean squared error of rounding and clipping"),
        Column("sqnr_db", "number", "signal-to-quantization-noise ratio", "dB"),
    ],
    "histograms": [
        *(LAYER, TENSOR),
        Column("bin_lo", "number", "lower edge of the bin"),
        Column("bin_hi", "number", "upper edge of the bin"),
        Column("count", "integer", "values in the bin"),
    ],
}
