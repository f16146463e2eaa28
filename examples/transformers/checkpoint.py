"""Writes a checkpoint with random weights, in the place of one that is downloaded.

Usage: checkpoint.py CONFIG OUTPUT
"""

import sys

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForPreTraining


def main() -> None:
    """Writes weights of the task that BERT is published with."""
    config, output = sys.argv[1:]
    torch.manual_seed(0)
    weights = BertForPreTraining(BertConfig.from_json_file(config)).state_dict()
    for name in [
        name for name in weights if name.startswith("cls.predictions.decoder.")
    ]:
        del weights[name]  # the same tensors by other names, which files do not have
    save_file(weights, output)


if __name__ == "__main__":
    main()
