"""Full backward hooks of a module that takes and returns records, of which torch sees no tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils.hooks import BackwardHook

from taichisoft.base.eager import eager


class TakesRecords(nn.Module):
    """A module of which full backward hooks see the tensors within what it is called with and returns.

    In the order of the pytree. As for any module, hooks are called if the module is, not if a method is. By
    itself torch shows them what are tensors already, and warns if nothing is: so it is told of none.
    """

    @eager
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call `forward`, with the hooks."""
        full = super()._get_backward_hooks()[0]
        pre = super()._get_backward_pre_hooks()
        if not full and not pre:
            return super().__call__(*args, **kwargs)
        hook = BackwardHook(self, full, pre)
        args, kwargs = _through(hook.setup_input_hook, (args, kwargs))
        return _through(hook.setup_output_hook, super().__call__(*args, **kwargs))

    def _get_backward_hooks(self) -> tuple[list, list]:
        return [], super()._get_backward_hooks()[1]

    def _get_backward_pre_hooks(self) -> list:
        return []


def _through(function: Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]], tree: Any) -> Any:
    """Return a tree whose tensors went through a function of all of them."""
    leaves, structure = pytree.tree_flatten(tree)
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    for i, tensor in zip(places, function(tuple(leaves[i] for i in places)), strict=True):
        leaves[i] = tensor
    return pytree.tree_unflatten(leaves, structure)
