"""What the tool takes of torch, and which of torch's faults are still there.

A test of a mend shows the fault without it. One that fails says that torch has
repaired it: delete the mend and the test.
"""

import pytest

from torch_aot import upstream


def test_a_name_that_torch_lacks_is_said():
    patch = upstream.Patch("torch:no_such_name", lambda original: original, "a test")
    with (
        pytest.raises(AssertionError, match=r"torch 2\S+ has no torch\.no_such_name;"),
        upstream.patched(patch),
    ):
        pass


def test_a_patch_lasts_as_long_as_its_context():
    name = "torch.export:Dim.__name__"
    before = upstream.torch.export.Dim
    patch = upstream.Patch("torch.export:Dim", lambda original: (original,), name)
    with upstream.patched(patch, patch):
        assert upstream.torch.export.Dim == ((before,),)
    assert upstream.torch.export.Dim is before
