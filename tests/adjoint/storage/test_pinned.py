"""States in pinned memory: the order of copies, simulated, and as it is where there is CUDA."""

import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from symadj.adjoint.storage import HeldBytes, make_store, pinned
from symadj.adjoint.storage.format import COARSER_DTYPES, StateFormat
from symadj.adjoint.storage.pinned import NUM_STAGED, PinnedStore, states_per_slab
from symadj.errors import SnapshotError
from tests.adjoint.storage.simulated_streams import Device
from tests.adjoint.storage.stores import DTYPES, random_bits, same_bits

SIZE = 5
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    simulated = Device()
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: simulated.side)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: simulated.current)
    monkeypatch.setattr(torch.cuda, "stream", simulated.stream)
    # Of no effect in the stream of the allocation, and here there is no other to use a state in.
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: None)
    monkeypatch.setattr(
        pinned, "pinned_slab", lambda like: torch.full((3, SIZE), torch.nan).unbind()
    )
    return simulated


def check(numbers: float, wrong: list[float]) -> Callable[[Tensor], None]:
    """Return what notes, when it runs, whether a tensor holds these numbers."""
    return lambda tensor: None if (tensor == numbers).all() else wrong.append(numbers)


@pytest.mark.parametrize("seed", range(150))
def test_whatever_the_order_in_which_the_device_works(device: Device, seed: int) -> None:
    generator = random.Random(seed)
    wrong: list[float] = []
    state = torch.zeros(SIZE)
    kept: dict[int, float] = {}
    with device:
        store = PinnedStore(StateFormat.of(state))
        for number in range(1, 80):
            action = generator.choice(["put", "get", "drop", "prefetch", "compute"])
            index = generator.randrange(6)
            if action == "put":
                device.enqueue(lambda y, number=number: y.fill_(number), state)
                store.put(index, state)
                kept[index] = number
            elif action == "compute":
                scratch = device.empty(SIZE)
                device.enqueue(lambda y, number=number: y.fill_(number), scratch)
                device.enqueue(check(number, wrong), scratch)
                del scratch
            elif action == "prefetch":
                store.prefetch(index)
            elif index in kept and action == "get":
                device.enqueue(check(kept[index], wrong), store.get(index))
            elif index in kept:
                store.drop(index)
                del kept[index]
            assert store.nbytes.device <= (NUM_STAGED + len(store._arriving)) * SIZE * 4
            assert store.nbytes.host <= (6 + 2) * SIZE * 4
            if number == 70 and seed % 2:
                store.close()
                store, kept = PinnedStore(StateFormat.of(state)), {}
        del store
        scratch = [device.empty(SIZE) for _ in range(8)]
        for tensor in scratch:
            device.enqueue(lambda y: y.fill_(-1.0), tensor)
            device.enqueue(check(-1.0, wrong), tensor)
    device.run(generator)
    assert not wrong


def test_the_computation_waits_for_no_offload_until_two_are_under_way(device: Device) -> None:
    state = torch.zeros(SIZE)
    with device:
        store = PinnedStore(StateFormat.of(state))
        for index in range(NUM_STAGED):
            store.put(index, state)
    device.compute.run_alone()
    assert not device.compute.operations
    assert store._buffers[0].isnan().all(), "the offload is the side stream's work"
    with device:
        store.put(NUM_STAGED, state)
    device.compute.run_alone()
    assert device.compute.operations
    store.close()


def test_a_prefetched_state_is_waited_for_and_nothing_after_it(device: Device) -> None:
    state = torch.zeros(SIZE)
    with device:
        store = PinnedStore(StateFormat.of(state))
        store.put(0, state)
        store.put(1, state)
        store.prefetch(0)
    device.run(random.Random(0))
    with device:
        store.prefetch(1)
        store.get(0)
    device.compute.run_alone()
    assert not device.compute.operations
    with device:
        store.get(1)
    device.compute.run_alone()
    assert device.compute.operations
    assert store.nbytes == HeldBytes(device=2 * 4 * SIZE, host=3 * 4 * SIZE)
    store.close()
    assert store.nbytes == HeldBytes()


def test_a_closed_store_writes_to_no_memory_that_is_used_again(device: Device) -> None:
    wrong: list[float] = []
    state = torch.zeros(SIZE)
    with device:
        store = PinnedStore(StateFormat.of(state))
        store.put(0, state)
        store.prefetch(0)
        store.close()
        scratch = [device.empty(SIZE) for _ in range(2)]
        for tensor in scratch:
            device.enqueue(lambda y: y.fill_(1.0), tensor)
    device.compute.run_alone()
    while device.side.operations:
        device.side.run_one()
        device.compute.run_alone()
    with device:
        for tensor in scratch:
            device.enqueue(check(1.0, wrong), tensor)
    device.run(random.Random(0))
    assert not wrong


@pytest.mark.parametrize("nbytes", [0, 1, 4, 2**17 - 1, 2**17, 2**20 + 1, 40_000_000, 2**26])
def test_pinned_slabs_waste_little(nbytes: int) -> None:
    total = states_per_slab(nbytes) * nbytes
    rounded = 1 << max(total - 1, 0).bit_length()
    assert total == 0 or total / rounded >= 0.8


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a host that cannot pin")
def test_memory_that_cannot_be_pinned_is_an_error() -> None:
    with pytest.raises(SnapshotError, match=r"Could not pin .* bytes .*Keep fewer states"):
        pinned.pinned_slab(StateFormat.of(torch.zeros(300_000)))


@CUDA
@pytest.mark.parametrize("place", ["device", "host", "disk"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_states_of_a_device_come_back_bit_by_bit(place: str, dtype: torch.dtype) -> None:
    states = [random_bits(4099, dtype).cuda() for _ in range(5)]
    store = make_store(place, states[0])  # type: ignore[arg-type]
    for index, state in enumerate(states):
        store.put(index, state)
    for index in (3, 0, 4, 1, 2, 3):
        returned = store.get(index)
        assert returned.device == states[index].device
        assert same_bits(returned, states[index])
    store.close()


@CUDA
@pytest.mark.parametrize("place", ["device", "host", "disk"])
@pytest.mark.parametrize(
    ("dtype", "kept"), [(dtype, kept) for dtype, all_ in COARSER_DTYPES.items() for kept in all_]
)
def test_states_of_a_device_are_compressed(
    place: str, dtype: torch.dtype, kept: torch.dtype
) -> None:
    state = torch.randn(4099, dtype=dtype, device="cuda")
    store = make_store(place, state, kept)  # type: ignore[arg-type]
    store.put(0, state)
    assert same_bits(store.get(0), state.to(kept).to(dtype))
    store.close()


@CUDA
@pytest.mark.parametrize("seed", range(5))
def test_copies_beside_a_busy_device(seed: int) -> None:
    generator = random.Random(seed)
    size = 2**20
    state = torch.zeros(size, device="cuda")
    busy = torch.randn(2048, 2048, device="cuda")
    store = make_store("host", state)
    kept: dict[int, float] = {}
    right = torch.ones((), dtype=torch.bool, device="cuda")
    for number in range(1, 300):
        index = generator.randrange(6)
        action = generator.choice(["put", "get", "drop", "prefetch", "compute"])
        if action == "put":
            state.fill_(number)
            store.put(index, state)
            kept[index] = number
        elif action == "compute":
            busy = busy @ busy / busy.norm()
            scratch = torch.full((size,), float(number), device="cuda")
            right &= (scratch == number).all()
            del scratch
        elif action == "prefetch":
            store.prefetch(index)
        elif index in kept and action == "get":
            right &= (store.get(index) == kept[index]).all()
        elif index in kept:
            store.drop(index)
            del kept[index]
    assert right.item()
    store.close()


@CUDA
def test_offloaded_states_take_no_device_memory() -> None:
    state = torch.zeros(2**22, device="cuda")
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    store = make_store("host", state)
    for index in range(20):
        store.put(index, state)
    for index in reversed(range(20)):
        store.prefetch(index - 1)
        store.get(index)
        store.drop(index)
    peak = torch.cuda.max_memory_allocated() - before
    assert peak <= (NUM_STAGED + 2) * state.nbytes
    store.close()
    assert torch.cuda.memory_allocated() == before
    assert store.nbytes == (0, 0, 0)
