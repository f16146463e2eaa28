"""The library of fake_library.cc: a model, and what it saw."""

import ctypes
import os

import rtorch

PATH = os.path.abspath(os.environ["FAKE_LIBRARY"])

Fake = rtorch.load(PATH)
_library = ctypes.CDLL(PATH)

last_input = _library.fake_last_input
last_output = _library.fake_last_output
last_input.restype = last_output.restype = ctypes.c_void_p
live = _library.fake_live
waiting = _library.fake_waiting
let_go = _library.fake_let_go

WAIT = -100
