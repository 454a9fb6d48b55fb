"""What training and testing a network costs, for estimates: measured on 2 CPU cores."""

STEP_S = {"mlp": 0.004, "lenet_300_100": 0.009, "cnn": 0.037, "lenet_5": 0.13}  # one training step, 2 CPU cores
TEST_S = {"mlp": 1.5, "lenet_300_100": 4.0, "cnn": 4.0, "lenet_5": 12.0}  # pack, restore, classify 15,000 images
TRAINING_STEPS = {"mlp": 6400, "lenet_300_100": 4300, "cnn": 5100, "lenet_5": 2100}
COMPILE_S, CALL_S = 8.0, 1.5  # to compile a training step, a variant
