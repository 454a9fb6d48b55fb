"""The columns of the detail frames of a pruning run."""

from experiments.bench.columns import Column

POINT = (
    Column("network", "text", "the network"),
    Column("variant", "text", "the pruning method"),
    Column("target", "number", "the share to prune"),
)
LAYER = Column("layer", "text", "name of the layer")
DETAILS = {
    "seeds": [
        *POINT,
        Column("seed", "integer", "random seed of the fine-tuning"),
        Column("accuracy", "number", "top-1 accuracy of the restored file on the test set"),
        Column("accuracy_before_fine_tune", "number", "top-1 accuracy on the test set after pruning in one shot"),
    ],
    "layers": [
        *(*POINT, LAYER),
        Column("weights", "integer", "number of weights of the layer"),
        Column("nonzero", "integer", "nonzero weights of the layer"),
        Column("sparsity", "number", "share of zeros"),
        Column("units", "integer", "outputs with at least one nonzero weight"),
    ],
    "sensitivity": [
        LAYER,
        Column("sparsity", "number", "sparsity of this layer alone, by magnitude, without fine-tuning"),
        Column("accuracy", "number", "top-1 accuracy on 2,000 validation images"),
        Column("accuracy_lo", "number", "lower end of the 95% Wilson interval of accuracy"),
        Column("accuracy_hi", "number", "upper end of the 95% Wilson interval of accuracy"),
    ],
    "storage": [
        *POINT,
        Column("storage", "text", "storage format of weights and biases in the file"),
        Column("size_bytes", "integer", "bytes of the file"),
    ],
    "fine_tuning": [
        *POINT,
        Column("step", "integer", "step of the fine-tuning"),
        Column("sparsity", "number", "share of zeros at this step"),
        Column("validation_accuracy", "number", "top-1 accuracy on the 5,000 validation images, first seed"),
    ],
    "picture": [
        *POINT,
        Column("tile", "integer", "filter or neuron of the first layer"),
        Column("row", "integer", "row of the tile"),
        Column("column", "integer", "column of the tile"),
        Column("before", "number", "weight in the checkpoint"),
        Column("after", "number", "weight in the pruned network"),
    ],
}
