"""A coverage made of any torch module."""

from __future__ import annotations

from itertools import chain
from typing import TypeGuard

import torch
from torch import Tensor, nn

from taichisoft.base.checks import check_number, check_type
from taichisoft.softness.coverage.base import Coverage
from taichisoft.softness.scale import Scale
from taichisoft.softness.tables.domain import Domain

# Numbers on which a module is tried; odd, so that 0 and both ends are among them.
TRIED = 257
# How far outside of [0, 1] rounding in float32 may put a value.
ROUNDING = 1e-6


class CustomCoverage(Coverage):
    """A coverage made of a module of the user, which keeps its weights.

    It is called with float64 numbers converted to the dtype of its first floating-point parameter.
    Derivatives are the module's own. Its table has 1024 equal cells, hence a bend (of a ReLU, say) is
    rounded off within a cell of ``reach / 512`` scales.

    Parameters
    ----------
    module : Module
        Maps numbers, the signed distances in scales, one by one to coverages in [0, 1]: a tensor (N,) to
        (N,), or (N, 1) to (N, 1) as `torch.nn.Linear` does. It should rise from about 0 to about 1.
    scale : float or Scale
        Length in which distances are measured; a number is in pixels.
    reach : float
        Cut-off in scales: farther outside a face has no effect, farther inside coverage is constant.

    Raises
    ------
    TypeError
        `module` is no module, is a `Coverage` already, or returns no floating-point tensor.
    ValueError
        `module` accepts neither shape, or on a grid from -reach to reach returns numbers that are not finite,
        outside of [0, 1] by more than 1e-6, or not a function of each number alone; or torch cannot
        differentiate it twice with respect to them. A slope of 0, or a constant one, is no error.
    """

    def __init__(self, module: nn.Module, scale: float | Scale = 1.0, *, reach: float = 4.0):
        super().__init__(scale)
        check_type(module, "module", nn.Module)
        if isinstance(module, Coverage):
            name = type(module).__name__
            raise TypeError(f"module must not be a Coverage, which needs no wrapping, got {name}")
        self.reach = check_number(reach, "reach", above=0)
        self.module = module
        self._in_column = False
        s = self._tried()
        self._try(s)
        self._try_to_differentiate(s)

    def forward(self, s: Tensor) -> Tensor:
        """Return the coverage at signed distances `s` in scales."""
        return self._call(s.reshape(-1)).reshape(s.shape).to(s.dtype)

    def domain(self) -> Domain:
        """Return [-reach, reach]."""
        return Domain(-self.reach, self.reach)

    def settings(self) -> dict:
        """Raise TypeError: there is no safe way to save a class of the user."""
        raise TypeError(
            f"a CustomCoverage of a {type(self.module).__name__} cannot be saved, since its class is not "
            f"one of taichisoft; save its state_dict and construct it again"
        )

    def _call(self, s: Tensor) -> Tensor:
        given = s.to(self._dtype())
        return (
            self.module(given.unsqueeze(-1)).squeeze(-1) if self._in_column else self.module(given)
        )

    def _dtype(self) -> torch.dtype:
        weights = chain(self.module.parameters(), self.module.buffers())
        dtypes = (weight.dtype for weight in weights if weight.is_floating_point())
        return next(dtypes, torch.float64)

    def _tried(self) -> Tensor:
        """Return the numbers on which the module is tried."""
        device = next((p.device for p in self.module.parameters()), None)
        return torch.linspace(-self.reach, self.reach, TRIED, dtype=torch.float64, device=device)

    @torch.no_grad()
    def _try(self, s: Tensor) -> None:
        """Find out which shape the module takes, and check what it returns."""
        flat = self._outcome(s)
        self._in_column = not _has_shape(flat, s)
        found = self._outcome(s) if self._in_column else flat
        if not _has_shape(found, s):
            raise ValueError(
                f"module must map a tensor (N,) to (N,), or (N, 1) to (N, 1); with N = {TRIED} it gave "
                f"{_in_words(flat)} and {_in_words(found)}"
            )
        if not found.is_floating_point():
            raise TypeError(f"module must return floating-point numbers, got {found.dtype}")
        bad = ~(found.isfinite() & (found >= -ROUNDING) & (found <= 1 + ROUNDING))
        if bool(bad.any()):
            at, value = float(s[bad][0]), float(found[bad][0])
            raise ValueError(f"module must return numbers in [0, 1], got {value:.6g} at {at:.6g}")
        if not torch.allclose(self._call(s[1::2]), found[1::2], rtol=0, atol=ROUNDING):
            raise ValueError(
                "module must map each number on its own and always to the same, but gave others for a part "
                "of the numbers (a dropout or a normalisation over the batch?)"
            )

    @torch.enable_grad()
    def _try_to_differentiate(self, s: Tensor) -> None:
        """Check that torch knows two derivatives of the module, of which both may be 0."""
        s.requires_grad_()
        try:
            derivative = self._call(s)
            for _ in range(2):
                if derivative.requires_grad:
                    (derivative,) = torch.autograd.grad(
                        derivative.sum(), s, create_graph=True, materialize_grads=True
                    )
        except RuntimeError as error:
            raise ValueError(
                f"module must be differentiable twice, but torch cannot: {error} (a Hardsigmoid, for one, "
                "cannot; (x / 6 + 0.5).clamp(0, 1) is the same and can)"
            ) from error

    def _outcome(self, s: Tensor) -> object:
        try:
            return self._call(s)
        except Exception as error:
            # Whatever it raises is said in the message, unless the other shape works.
            return error


def _has_shape(found: object, s: Tensor) -> TypeGuard[Tensor]:
    return isinstance(found, Tensor) and found.shape == s.shape


def _in_words(found: object) -> str:
    if isinstance(found, Tensor):
        return f"the shape {tuple(found.shape)}"
    if isinstance(found, Exception):
        return f"{type(found).__name__} ({found})"
    return f"a {type(found).__name__}"
