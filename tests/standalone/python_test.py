"""A model with its own operators in a Python that has no torch."""

import array
import pathlib

from tests.standalone import serial_py

ROWS = memoryview(array.array("f", range(16))).cast("B").cast("f", (2, 8))

model = serial_py.Serial()
y = memoryview(model.run(ROWS).y)
assert y.shape == (2, 4), y.shape

loaded = pathlib.Path("/proc/self/maps").read_text()
assert "libserial" in loaded
assert "torch_cpu" not in loaded
