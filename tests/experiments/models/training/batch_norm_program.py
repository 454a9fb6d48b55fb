"""Run with -m: trains a small network with batch normalization; prints accuracy and two statistics."""

import dataclasses

from experiments.models.data.mnist import mnist
from experiments.models.sequential.batch_norm import forward_normed_numpy
from experiments.models.sequential.network import Conv, Linear, Network
from experiments.models.training.batch_norm import train_normed
from experiments.models.training.settings import Settings


def main():
    network = Network("small", (Conv(1, 6, 5, stride=3, relu=True, pool="max2"), Linear(96, 10)))
    data = mnist()
    data = dataclasses.replace(data, train=data.train.first(4000))
    weights = train_normed(network, data, Settings(epochs=2, rate=1e-2, batch=50, shift=0), "CPU")
    test = data.test.first(1000)
    said = forward_normed_numpy(network, weights, test.images).argmax(axis=1)
    print((said == test.labels).mean(), abs(weights["layers.0.norm.mean"]).min(), weights["layers.0.norm.scale"].std())


if __name__ == "__main__":
    main()
