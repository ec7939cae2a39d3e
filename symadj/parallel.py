"""What PyTorch's own engines for several processes have to know of a solve.

FSDP2 (`torch.distributed.fsdp.fully_shard`) gathers a module's parameters before its forward pass,
frees them behind it, gathers them again when the gradient of its output arrives, and reduces their
gradients when the backward pass is over. Its hooks look at every call of the module. A solve calls
``f`` many times and differentiates each call by itself, out of their sight; so the module is told
of the solve as if that were one call: that the outputs are its own.
"""

import sys
import types
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.nn.parallel import DistributedDataParallel

from symadj.errors import UnsupportedError

IN_EACH_EVALUATION = (
    "f calls a DistributedDataParallel, which prepares for a backward pass, and broadcasts "
    "buffers, in every evaluation; its gradients would not be reduced. Leave f as it is, and wrap "
    "the module whose forward pass calls symadj.odeint."
)


@dataclass(frozen=True, slots=True)
class Sharded:
    """The modules called by ``f`` whose parameters FSDP2 shards.

    Attributes
    ----------
    modules : dict of Module to None
        In the order in which they were first called.
    params : dict of int to Tensor
        Their parameters as ``f`` reads them: gathered. By their ``id``.
    shards : dict of int to Tensor
        Those that stood in their place: ``f`` does not read them.
    """

    modules: dict[nn.Module, None] = field(default_factory=dict)
    params: dict[int, Tensor] = field(default_factory=dict)
    shards: dict[int, Tensor] = field(default_factory=dict)

    def watched(
        self, *, is_handed_over: bool
    ) -> AbstractContextManager[Callable[[], AbstractContextManager[None]]]:
        """Note the modules that FSDP2 shards, and keep their parameters gathered.

        FSDP2 would gather them in each call, together with the other processes; and these call
        ``f`` as often as their own steps need it.

        Parameters
        ----------
        is_handed_over : bool
            Whether `hand_over` follows, or `free`; otherwise the parameters are freed at the end.

        Returns
        -------
        context manager
            Yields a callable that returns a context in which nobody watches, for
            ``torch.compile``. It guards against any other hooks, which those of the next solve are,
            and would compile anew; and by FSDP2's own, in a module that is sharded, it is stopped.

        Raises
        ------
        UnsupportedError
            If a `DistributedDataParallel` is called: it would prepare for the backward pass, and
            broadcast buffers, in each call.
        """
        if not (dist.is_available() and dist.is_initialized()):
            return nullcontext(nullcontext)
        return self._watched(is_handed_over)

    @contextmanager
    def _watched(
        self, is_handed_over: bool
    ) -> Iterator[Callable[[], AbstractContextManager[None]]]:
        kind = _fsdp_module() or ()
        settings: list[tuple[Any, Any]] = []

        def look_before(module: nn.Module, *_: Any) -> None:
            if isinstance(module, DistributedDataParallel):
                raise UnsupportedError(IN_EACH_EVALUATION)
            if isinstance(module, kind) and module not in self.modules:
                self.shards.update((id(param), param) for param in own_parameters(module))

        def look(module: nn.Module, *_: Any) -> None:
            if not isinstance(module, kind):
                return
            if module not in self.modules:
                self.modules[module] = None
                self.params.update((id(param), param) for param in own_parameters(module))
            for group in _groups(module):
                if group.post_forward_mesh_info is not None:
                    settings.append((group, group.post_forward_mesh_info))
                    group.post_forward_mesh_info = None

        hooks = ExitStack()

        def watch() -> None:
            # Both are called before a module's own, which gather and free.
            hooks.callback(register_module_forward_pre_hook(look_before).remove)
            hooks.callback(register_module_forward_hook(look).remove)

        @contextmanager
        def unwatched() -> Iterator[None]:
            hooks.close()
            try:
                yield
            finally:
                watch()

        watch()
        is_done = False
        try:
            yield unwatched
            is_done = True
        finally:
            hooks.close()
            for group, setting in settings:
                group.post_forward_mesh_info = setting
            if not (is_done and is_handed_over):
                self.free()

    def free(self) -> None:
        """Free the parameters that were kept gathered, of modules that are to free them."""
        for module in self.modules:
            if any(group.post_forward_mesh_info is not None for group in _groups(module)):
                module.reshard()  # type: ignore[operator]

    def hand_over(self, outputs: Tensor) -> None:
        """Make the outputs those of the modules: FSDP2 waits for their gradient, and frees now.

        Parameters
        ----------
        outputs : Tensor
            With their place in the graph.
        """
        if not self.modules:
            return
        register = sys.modules["torch.distributed.fsdp"].register_fsdp_forward_method
        # A module's own, beside `forward`, that does nothing but return them. FSDP2 puts its hook
        # on the tensor itself; what is returned may be a copy in another dtype, and is not used.
        for module in self.modules:
            vars(module)[NAME] = types.MethodType(_let_go, module)
            try:
                register(module, NAME)
                vars(module)[NAME](_Held(outputs))
            finally:
                del vars(module)[NAME]


NAME = "_symadj_outputs"


class _Held:
    """Outputs in a form in which FSDP2 does not take them for inputs."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def _let_go(_: nn.Module, held: _Held) -> Tensor:
    return held.tensor


def own_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the parameters of a module that FSDP2 shards, without those of others within it."""
    kind = _fsdp_module()
    waiting = [module]
    while waiting:
        part = waiting.pop()
        yield from (param for param in part._parameters.values() if param is not None)
        waiting += [
            child for child in part.children() if kind is None or not isinstance(child, kind)
        ]


def sharded_parameters(func: object) -> set[int]:
    """Return the ``id`` of each parameter of a module that FSDP2 shards, as it lies there now."""
    kind = _fsdp_module()
    if kind is None or not isinstance(func, nn.Module):
        return set()
    modules = (module for module in func.modules() if isinstance(module, kind))
    return {id(param) for module in modules for param in own_parameters(module)}


@contextmanager
def refusing_sharded(what: str) -> Iterator[None]:
    """Raise where a module is called whose parameters FSDP2 shards."""
    kind = _fsdp_module()
    if kind is None:
        yield
        return

    def refuse(module: nn.Module, *_: Any) -> None:
        if isinstance(module, kind):
            raise UnsupportedError(what)

    handle = register_module_forward_pre_hook(refuse)
    try:
        yield
    finally:
        handle.remove()


def _groups(module: nn.Module) -> list[Any]:
    """Return the groups in which FSDP2 gathers a module's parameters.

    Nothing public tells whether it frees them after the forward pass.
    """
    state = module._get_fsdp_state()  # type: ignore[operator]
    groups = getattr(state, "_fsdp_param_groups", None)
    if groups is None:  # before torch 2.12 one at the most
        groups = [state._fsdp_param_group]
    return [group for group in groups if group is not None]


def _fsdp_module() -> type[nn.Module] | None:
    """Return FSDP2's class, where anybody has imported it (it takes a second) and can use it."""
    if not (dist.is_available() and dist.is_initialized()):
        return None
    fsdp = sys.modules.get("torch.distributed.fsdp")
    return None if fsdp is None else fsdp.FSDPModule
