"""The tensors other than state and time from which a gradient may flow: named, or found."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from symadj.captured import CapturedTensors, candidates, check_histories, tensors_in_reach
from symadj.errors import InvalidTypeError, UnsupportedError
from symadj.forward.compiled import CompiledSteps
from symadj.forward.field import Field
from symadj.parallel import Sharded, sharded_parameters
from symadj.types import VectorField


@dataclass(frozen=True, slots=True)
class Sources:
    """The tensors other than state and time from which a gradient may flow.

    Attributes
    ----------
    params : tuple of Tensor
        Those that were named, or seen to be read; a gradient of zeros where ``f`` does not use one.
    candidates : tuple of Tensor
        Leaves in reach of ``f`` that its first evaluation did not read.
    arg_tensors, arg_leaves : tuple of Tensor
        Those in ``args``, as they were given and as ``f`` sees them: cut from their history.
    is_complete : bool
        Whether they were searched for, rather than named by the caller.
    """

    params: tuple[Tensor, ...]
    candidates: tuple[Tensor, ...]
    arg_tensors: tuple[Tensor, ...]
    arg_leaves: tuple[Tensor, ...]
    is_complete: bool

    @property
    def given(self) -> tuple[Tensor, ...]:
        """All of them, as autograd knows them."""
        return (*self.params, *self.candidates, *self.arg_tensors)


class Search:
    """Looks for tensors that ``f`` reads while a solve is made.

    Parameters
    ----------
    field : Field
        Its next evaluation is looked at.
    known : tuple of Tensor
        What gets a gradient already.
    is_wanted : bool
        Whether anything is to be looked for.
    """

    def __init__(self, field: Field, known: tuple[Tensor, ...], *, is_wanted: bool) -> None:
        self._field, self._known, self._is_wanted = field, known, is_wanted
        self._in_reach: list[Tensor] = []
        self._captured: CapturedTensors | None = None
        self._found: list[Tensor] = []

    def begin(self) -> None:
        """Have the next evaluation looked at."""
        if self._is_wanted:
            self._in_reach = tensors_in_reach(self._field.func)
            self._captured = CapturedTensors(self._known, self._in_reach)
            self._field.inspector, self._found = self._captured, self._captured.found

    def by_graph(self, compiled: CompiledSteps) -> None:
        """Learn what a graph has read whose reads are known, or let them be known from now on."""
        if self._captured is not None:
            compiled.calls.learn(self._captured.seen)
        known, read = {id(tensor) for tensor in self._known}, compiled.calls.take_read()
        if self._is_wanted and self._captured is None:
            self._found = [tensor for tensor in read if id(tensor) not in known]

    def sources(
        self,
        named: tuple[Tensor, ...],
        arg_tensors: tuple[Tensor, ...],
        arg_leaves: tuple[Tensor, ...],
        sharded: Sharded,
        *,
        is_complete: bool,
    ) -> Sources:
        """Return all that there are, now that the solve has been made.

        Raises
        ------
        CapturedTensorError
            If one of them was computed from another.
        """
        params = (*named, *self._found)
        known = {id(param) for param in params}
        gathered = [param for param in sharded.params.values() if param.requires_grad]
        params = (*params, *(param for param in gathered if id(param) not in known))
        if len(params) > len(named):  # those named were looked at before
            check_histories(params)
        others = [tensor for tensor in self._in_reach if id(tensor) not in sharded.shards]
        known_too = (*params, *arg_tensors, *arg_leaves)
        return Sources(
            params=params,
            candidates=candidates(others, known_too) if others else (),
            arg_tensors=arg_tensors,
            arg_leaves=arg_leaves,
            is_complete=is_complete,
        )


def named_tensors(func: VectorField, adjoint_params: Iterable[Tensor] | None) -> tuple[Tensor, ...]:
    """Return what gets a gradient beside state and time, as far as the caller named it."""
    if adjoint_params is not None:
        given = tuple(adjoint_params)
        for param in given:
            if not isinstance(param, Tensor):
                raise InvalidTypeError(
                    f"adjoint_params holds a {type(param).__name__}. Allowed are tensors: pass "
                    f"module.parameters(), or the tensors themselves."
                )
        if sharded_parameters(func) & {id(param) for param in given}:
            raise UnsupportedError(
                "adjoint_params holds parameters that FSDP2 shards: f reads others in their place, "
                "gathered. Leave adjoint_params out, and they are found."
            )
    elif isinstance(func, nn.Module):
        given = tuple(_parameters(func))
        sharded = sharded_parameters(func)  # f reads others in their place, gathered
        if sharded:
            given = tuple(param for param in given if id(param) not in sharded)
    else:
        given = ()
    return tuple({id(param): param for param in given if param.requires_grad}.values())


def _parameters(module: nn.Module) -> Iterable[Tensor]:
    """Return the parameters of a module, those that it names twice perhaps twice.

    `nn.Module.parameters` takes twice as long, as it forms their names; but it is asked where a
    class has a way of its own to tell.
    """
    kind, usual = type(module), nn.Module
    is_usual = kind.parameters is usual.parameters
    is_usual &= kind.named_parameters is usual.named_parameters
    if not is_usual or kind._named_members is not usual._named_members:
        return module.parameters()
    found: list[Tensor | None] = []
    seen: set[nn.Module] = set()
    waiting: list[nn.Module | None] = [module]
    while waiting:
        part = waiting.pop()
        if part is None or part in seen:
            continue
        if type(part).named_modules is not usual.named_modules:
            return module.parameters()
        seen.add(part)
        found += part._parameters.values()
        if part._modules:
            waiting += reversed(part._modules.values())
    return [param for param in found if param is not None]
