"""Runs a compiled classifier from Python, on numpy arrays and without torch."""

import sys

import numpy as np

from models import resnet_py


def main() -> None:
    """Classifies a synthetic picture, and one that the model refuses."""
    resnet = resnet_py.Resnet()
    print(f"{resnet} on {resnet.isa}")

    pixels = np.arange(3 * 224 * 224, dtype=np.int32) % 251
    image = (pixels / 125 - 1).astype(np.float32).reshape(1, 3, 224, 224)
    scores = resnet.run(image).logits
    best = scores[0].argmax()
    print(f"best of {scores.shape[1]} classes: {best}, score {scores[0, best]:.3f}")

    # Four pictures at once, their scores into memory that there is.
    batch = np.stack([image[0]] * 4)
    room = np.empty((4, 1000), np.float32)
    resnet.run(batch, out=room)
    print(f"the same of each of four: {(room.argmax(axis=1) == best).all()}")

    try:
        resnet.run(image=image[:, :1])
    except ValueError as error:
        print(f"a grey picture: {error}")
    print(f"torch was imported: {'torch' in sys.modules}")


if __name__ == "__main__":
    main()
