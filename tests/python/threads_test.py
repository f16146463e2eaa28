"""Models that many threads call; in a Python without torch."""

import array
import itertools
import sys
import threading
import time
from concurrent import futures

import counter_py
import fake
import mlp_py
import pytest

THREADS = 8


def rows(number):
    values = array.array("f", (number + i for i in range(16)))
    return memoryview(values).cast("B").cast("f", (2, 8))


def at_once(call):
    """Calls it in many threads that start together; returns what each returned."""
    barrier = threading.Barrier(THREADS)

    def start(number):
        barrier.wait()
        return call(number)

    with futures.ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(start, range(THREADS)))


def test_others_run_meanwhile():
    model = fake.Fake()
    thread = threading.Thread(target=model.run, args=(array.array("f", [fake.WAIT]),))
    thread.start()
    # Were Python locked by the run, this would not come to let it go.
    while not fake.waiting():
        time.sleep(0.001)
    assert memoryview(model.run(array.array("f", [5])).y).tolist() == [5]
    fake.let_go()
    thread.join()


def test_many_threads_share_an_instance():
    mlp = mlp_py.Mlp()
    wanted = [bytes(mlp.run(rows(number)).y) for number in range(THREADS)]

    def call(number):
        return {bytes(mlp.run(rows(number)).y) for _ in range(200)}

    assert at_once(call) == [{want} for want in wanted]


def test_each_call_of_a_model_with_state_counts():
    counter = counter_py.Counter()
    x = memoryview(array.array("f", [1] * 8)).cast("B").cast("f", (2, 4))

    def call(_):
        return [memoryview(counter.run(x).steps)[0] for _ in range(50)]

    steps = itertools.chain.from_iterable(at_once(call))
    assert sorted(steps) == list(range(1, 50 * THREADS + 1))


def test_first_instances_at_once():
    mlp = type("Mlp", (mlp_py.Mlp,), {"_library": mlp_py._HERE + "/libmlp_py.so"})
    made = at_once(lambda number: mlp())
    assert len({bytes(each.run(rows(0)).y) for each in made}) == 1


def test_weights_are_swapped_beside_runs():
    mlp = mlp_py.Mlp()
    want = bytes(mlp.run(rows(0)).y)
    done = threading.Event()

    def call(number):
        if number == 0:
            for _ in range(100):
                mlp.swap(None)
            done.set()
            return {want}
        results = set()
        while not done.is_set():
            results.add(bytes(mlp.run(rows(0)).y))
        return results or {want}

    assert at_once(call) == [{want}] * THREADS


def test_errors_are_the_threads_own():
    model = fake.Fake()
    errors = [ValueError, FileNotFoundError, MemoryError, RuntimeError]
    codes = [3, 5, 8, 13]

    def call(number):
        with pytest.raises(errors[number % 4]):
            model.run(array.array("f", [-codes[number % 4]]))
        return True

    assert all(at_once(call))


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
