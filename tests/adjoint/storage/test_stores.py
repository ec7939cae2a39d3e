"""What every store promises, wherever it keeps the states."""

import gc
import threading
import weakref
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from symadj.adjoint.storage import HeldBytes, make_store
from symadj.adjoint.storage.format import COARSER_DTYPES
from symadj.errors import InvalidInputError, SnapshotError, UnsupportedError
from tests.adjoint.storage.stores import DTYPES, random_bits, same_bits, store_in

PLACES = pytest.mark.parametrize("place", ["device", "host", "disk", "folder"])
COARSER = pytest.mark.parametrize(
    ("dtype", "kept"), [(dtype, kept) for dtype, all_ in COARSER_DTYPES.items() for kept in all_]
)


@PLACES
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_elements", [0, 1, 5, 4099])
def test_states_come_back_bit_by_bit(
    place: str, dtype: torch.dtype, num_elements: int, tmp_path: Path
) -> None:
    states = [random_bits(num_elements, dtype) for _ in range(5)]
    store = store_in(place, tmp_path, states[0])
    for index, state in enumerate(states):
        store.put(10 * index, state)
    assert store.indices == (0, 10, 20, 30, 40)
    assert len(store) == 5
    for index in (3, 0, 4, 1, 2, 3):
        assert same_bits(store.get(10 * index), states[index])
    store.close()


@PLACES
def test_the_caller_may_overwrite_what_it_put(place: str, tmp_path: Path) -> None:
    state = torch.ones(7)
    store = store_in(place, tmp_path, state)
    store.put(0, state)
    state.zero_()
    assert torch.equal(store.get(0), torch.ones(7))


@PLACES
def test_what_was_returned_stays_when_its_slot_is_used_again(place: str, tmp_path: Path) -> None:
    store = store_in(place, tmp_path, torch.zeros(7))
    store.put(0, torch.ones(7))
    in_hand = store.get(0)
    store.drop(0)
    store.put(1, torch.full((7,), 2.0))
    store.put(1, torch.full((7,), 3.0))
    assert torch.equal(in_hand, torch.ones(7))
    assert torch.equal(store.get(1), torch.full((7,), 3.0))
    store.close()
    assert torch.equal(in_hand, torch.ones(7))


def test_a_private_state_is_kept_itself_on_its_device_only(tmp_path: Path) -> None:
    state = torch.ones(7)
    for place, is_kept in {"device": True, "host": True, "disk": False}.items():
        store = store_in(place, tmp_path, state)
        store.put(0, state, private=True)
        assert (store.get(0).data_ptr() == state.data_ptr()) == is_kept
    compressed = make_store("device", state, torch.bfloat16)
    compressed.put(0, state, private=True)
    assert compressed.nbytes.device == 14


@PLACES
@COARSER
def test_compressed_states_come_back_rounded_in_the_dtype_of_the_solve(
    place: str, dtype: torch.dtype, kept: torch.dtype, tmp_path: Path
) -> None:
    state = torch.randn(100, dtype=dtype)
    store = store_in(place, tmp_path, state, kept)
    store.put(0, state)
    assert same_bits(store.get(0), state.to(kept).to(dtype))
    unit_roundoff = 2.0**-8 if kept == torch.bfloat16 else 2.0**-24
    assert ((store.get(0) - state).abs() <= unit_roundoff * state.abs()).all()
    assert sum(store.nbytes) == 100 * kept.itemsize
    store.close()


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        (torch.complex128, torch.float32),
        (torch.complex64, torch.bfloat16),
        (torch.complex64, torch.complex128),
        (torch.float32, torch.float64),
        (torch.float64, torch.float16),
        (torch.float64, torch.int32),
        (torch.bfloat16, torch.float16),
    ],
)
def test_a_dtype_that_would_lose_or_waste_is_refused(dtype: torch.dtype, kept: torch.dtype) -> None:
    with pytest.raises(InvalidInputError, match=r"Allowed are torch\..*None keeps them"):
        make_store("device", torch.zeros(3, dtype=dtype), kept)


@PLACES
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(st.sampled_from(["put", "drop", "get"]), st.integers(0, 6)), max_size=40))
def test_slots_are_used_again(place: str, tmp_path: Path, actions: list[tuple[str, int]]) -> None:
    expected: dict[int, Tensor] = {}
    most = 0
    store = store_in(place, tmp_path, torch.zeros(3, dtype=torch.float64))
    for action, index in actions:
        if action == "put":
            expected[index] = torch.randn(3, dtype=torch.float64)
            store.put(index, expected[index])
            most = max(most, len(expected))
        elif index not in expected:
            with pytest.raises(SnapshotError, match=f"State {index} is not in the store"):
                store.get(index) if action == "get" else store.drop(index)
        elif action == "drop":
            del expected[index]
            store.drop(index)
        store.prefetch(index)
        assert store.indices == tuple(sorted(expected))
        assert all(torch.equal(store.get(i), state) for i, state in expected.items())
        alive = len(expected) if place in {"device", "host"} else most
        assert sum(store.nbytes) == 24 * alive
    store.close()
    assert (len(store), store.indices, store.nbytes) == (0, (), HeldBytes(0, 0, 0))


@PLACES
def test_bytes_are_counted_where_they_lie(place: str, tmp_path: Path) -> None:
    store = store_in(place, tmp_path, torch.zeros(3))
    store.put(0, torch.zeros(3))
    on_disk = place in {"disk", "folder"}
    assert store.nbytes == (HeldBytes(disk=12) if on_disk else HeldBytes(device=12))
    store.close()


@PLACES
@pytest.mark.parametrize("kept", [None, torch.complex64])
def test_a_view_is_kept_as_the_numbers_it_shows(
    place: str, kept: torch.dtype | None, tmp_path: Path
) -> None:
    z = torch.randn(6, dtype=torch.complex128)
    for view in (z.conj(), torch.complex(z.imag, z.real)[::2].repeat(2), z[::2].repeat(2).conj()):
        store = store_in(place, tmp_path, view, kept)
        store.put(0, view)
        expected = view.resolve_conj().to(kept or view.dtype).to(view.dtype)
        assert torch.equal(store.get(0).resolve_conj(), expected)
        store.close()
    for part in (z.conj().imag, z[:1].conj().imag, z.real, z.real[:1].expand(6)):
        store = store_in(place, tmp_path, part)
        store.put(0, part)
        assert torch.equal(store.get(0), part)
        store.close()


@PLACES
def test_no_graph_is_kept(place: str, tmp_path: Path) -> None:
    state = torch.ones(3, requires_grad=True) * 2
    store = store_in(place, tmp_path, state)
    store.put(0, state)
    store.put(1, state, private=True)
    assert not store.get(0).requires_grad
    assert not store.get(1).requires_grad
    store.close()


@PLACES
def test_many_states_of_one_element(place: str, tmp_path: Path) -> None:
    store = store_in(place, tmp_path, torch.zeros(1))
    for index in range(20_000):
        store.put(index, torch.full((1,), float(index)))
    assert sum(store.nbytes) == 80_000
    assert all(store.get(index).item() == index for index in range(0, 20_000, 7))
    store.close()


@PLACES
def test_a_large_state(place: str, tmp_path: Path) -> None:
    state = random_bits(10_000_000, torch.float32)
    store = store_in(place, tmp_path, state)
    store.put(0, state)
    store.put(1, state)
    assert same_bits(store.get(1), state)
    store.close()


@PLACES
def test_a_closed_store_says_so(place: str, tmp_path: Path) -> None:
    store = store_in(place, tmp_path, torch.zeros(3))
    store.put(0, torch.zeros(3))
    store.close()
    store.close()
    with pytest.raises(SnapshotError, match=r"closed.*make the solve again"):
        store.get(0)
    with pytest.raises(SnapshotError, match=r"closed.*make the solve again"):
        store.put(0, torch.zeros(3))
    store.prefetch(0)


@PLACES
def test_a_state_of_another_kind_is_refused(place: str, tmp_path: Path) -> None:
    store = store_in(place, tmp_path, torch.zeros(3))
    store.put(0, torch.ones(3))
    for state in (torch.zeros(4), torch.zeros(3, 1), torch.zeros(3, dtype=torch.float64)):
        with pytest.raises(InvalidInputError, match=r"made for shape .3,., torch.float32"):
            store.put(0, state)
    assert torch.equal(store.get(0), torch.ones(3))
    store.close()


def test_what_is_no_flat_state_is_refused() -> None:
    for like in (torch.zeros(2, 2), torch.tensor(1.0), torch.zeros(3, dtype=torch.int64)):
        with pytest.raises(InvalidInputError, match=r"flat states"):
            make_store("device", like)


@pytest.mark.parametrize("place", ["dsik", "/tmp", None, 3])
def test_an_unknown_place_is_refused(place: object) -> None:
    with pytest.raises(InvalidInputError, match=r'"host", "disk" and a folder as a path object'):
        make_store(place, torch.zeros(3))  # type: ignore[arg-type]


def test_a_transformed_state_stays_on_its_device() -> None:
    def keep(y: Tensor) -> Tensor:
        store = make_store("device", y)
        store.put(0, y)
        return store.get(0)

    assert torch.equal(torch.func.vmap(keep)(torch.eye(3)), torch.eye(3))
    with pytest.raises(UnsupportedError, match='Allowed there is place="device"'):
        torch.func.vmap(lambda y: make_store("disk", y) and y)(torch.eye(3))


@PLACES
def test_a_store_that_is_forgotten_closes(place: str, tmp_path: Path) -> None:
    store = store_in(place, tmp_path, torch.zeros(3))
    store.put(0, torch.zeros(3))
    gone, closing = weakref.ref(store), store._closing
    gc.collect()
    gc.disable()
    try:
        del store
        assert gone() is None
        assert not closing.alive
    finally:
        gc.enable()


@PLACES
def test_threads_may_read_what_another_has_put(place: str, tmp_path: Path) -> None:
    states = [random_bits(5000, torch.float64) for _ in range(8)]
    stores = [store_in(place, tmp_path, states[0]) for _ in range(2)]
    for offset, store in enumerate(stores):
        for index, state in enumerate(states):
            store.put(index + offset, state)
    wrong: list[int] = []

    def read(offset: int) -> None:
        for repetition in range(200):
            index = repetition % len(states)
            if not same_bits(stores[offset].get(index + offset), states[index]):
                wrong.append(index)

    threads = [threading.Thread(target=read, args=(i % 2,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    for store in stores:
        store.close()
