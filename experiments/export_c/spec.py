"""The network to export: the fields that the experiment and `export-c` share."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from experiments.bench.spec import Spec
from experiments.models.recipe import MAX_STEPS, Recipe
from experiments.models.sequential.network import NORMED
from experiments.models.techniques.quantization.spec import QuantSpec

FLOAT = 32


class ExportSpec(Spec):
    """A trained network and the techniques applied before it is exported."""

    network: Literal["mlp", "lenet_300_100", "cnn", "lenet_5", "cnn_normed"] = Field(
        "mlp",
        title="Network",
        description="trained on MNIST; cnn_normed is the cnn with batch normalization after each convolution",
    )
    width: float = Field(
        1.0,
        ge=0.05,
        le=1,
        title="Width",
        description="share of the hidden units that remain after structured pruning: 0.5 turns mlp into 784-64-10",
    )
    sparsity: float = Field(
        0.0,
        ge=0,
        le=0.99,
        title="Sparsity",
        description="share of the weights set to zero; the C program computes with the zeros, so only a compressed "
        "file gets smaller",
    )
    fine_tune_steps: int = Field(
        2500,
        ge=0,
        le=MAX_STEPS,
        title="Fine-tuning steps",
        description="training steps while units are pruned, and as many again while weights are; the result is cached",
    )
    distilled: bool = Field(
        False,
        title="Distilled",
        description="trained on the predictions of a larger network as well; the result is cached",
    )
    seed: int = Field(
        0,
        ge=0,
        le=10_000,
        title="Seed",
        description="random seed of the training; networks with a seed other than 0 are trained on this machine",
    )
    weight_bits: int = Field(8, ge=2, le=FLOAT, title="Weight bits", description="2 to 8, or 32 for float32")
    activation_bits: int = Field(
        8,
        ge=2,
        le=FLOAT,
        title="Activation bits",
        description="2 to 8 for integer arithmetic in all layers, or 32 for float32 arithmetic",
    )
    fold: bool = Field(
        True,
        title="Fold batch norm",
        description="fold batch normalization, if there is any, into the preceding convolution; integers require it",
    )

    @field_validator("weight_bits", "activation_bits")
    @classmethod
    def _bits(cls, value: int) -> int:
        if value > 8 and value != FLOAT:
            raise ValueError(f"{value} is not allowed; give 2 to 8, or {FLOAT} for float32")
        return value

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.weight_bits == FLOAT and self.activation_bits != FLOAT:
            raise ValueError(
                f"activation_bits: {self.activation_bits} needs integer weights; give {FLOAT} with float32"
            )
        if self.network == NORMED and not self.fold:
            if self.weight_bits != FLOAT:
                raise ValueError("fold: false is not allowed with integer weights; give true, or weight_bits 32")
            if self.width < 1 or self.sparsity:
                raise ValueError("fold: false is not allowed with pruning; give true, or width 1 and sparsity 0")
        if self.network == NORMED and (self.distilled or self.seed):
            name, allowed = ("distilled", "false") if self.distilled else ("seed", "0")
            raise ValueError(f"{name}: {NORMED} has one trained version; give {allowed}")
        _ = self.recipe  # raises ValueError for combinations that it does not allow
        return self

    @property
    def recipe(self) -> Recipe:
        """The recipe of the model; for a network with batch normalization, of the network that it folds into."""
        return Recipe(
            network="cnn" if self.network == NORMED else self.network,
            seed=self.seed,
            quant=self.quant,
            distilled=self.distilled,
            width=self.width,
            sparsity=self.sparsity,
            tune_steps=self.fine_tune_steps,
        )

    @property
    def quant(self) -> QuantSpec:
        """How the pruned network is quantized."""
        if self.weight_bits == FLOAT:
            return QuantSpec("float32")
        if self.activation_bits == FLOAT:
            return QuantSpec("weight_only", self.weight_bits)
        return QuantSpec("static", self.weight_bits, self.activation_bits)

    @property
    def label(self) -> str:
        """`int8`, `int4 a8`, `int8 weight only` or `float32`."""
        quant = self.quant
        match quant.scheme:
            case "static":
                same = quant.weight_bits == quant.activation_bits
                return f"int{quant.weight_bits}" + ("" if same else f" a{quant.activation_bits}")
            case "weight_only":
                return f"int{quant.weight_bits} weight only"
            case _:
                return "float32"

    def chosen(self) -> dict[str, Any]:
        """The fields that determine the program, as JSON values."""
        return self.model_dump(mode="json", include=set(ExportSpec.model_fields) - {"device"})
