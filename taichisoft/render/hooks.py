"""Full backward hooks of a module that takes and returns records, of which torch sees no tensor."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils.hooks import BackwardHook

F = TypeVar("F", bound=Callable[..., Any])


class TakesRecords(nn.Module):
    """A module of which full backward hooks see the tensors within what it takes and returns.

    By itself a torch module shows its hooks what are tensors already, and warns if nothing is. So it is told
    of no such hooks, and `with_backward_hooks` runs them.
    """

    def _get_backward_hooks(self) -> tuple[list, list]:
        return [], super()._get_backward_hooks()[1]

    def _get_backward_pre_hooks(self) -> list:
        return []


def with_backward_hooks(forward: F) -> F:
    """Let the `forward` of a `TakesRecords` run hooks on all tensors, in the order of the pytree."""

    @wraps(forward)
    def hooked(module: TakesRecords, *args: Any, **kwargs: Any) -> Any:
        full = nn.Module._get_backward_hooks(module)[0]
        pre = nn.Module._get_backward_pre_hooks(module)
        if not full and not pre:
            return forward(module, *args, **kwargs)
        hook = BackwardHook(module, full, pre)
        args, kwargs = _through(hook.setup_input_hook, (args, kwargs))
        return _through(hook.setup_output_hook, forward(module, *args, **kwargs))

    return hooked  # type: ignore[return-value]


def _through(function: Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]], tree: Any) -> Any:
    """Return a tree whose tensors went through a function of all of them."""
    leaves, structure = pytree.tree_flatten(tree)
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    for i, tensor in zip(places, function(tuple(leaves[i] for i in places)), strict=True):
        leaves[i] = tensor
    return pytree.tree_unflatten(leaves, structure)
