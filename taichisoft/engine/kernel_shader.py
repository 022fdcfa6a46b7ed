"""Shaders as the kernels take them: textures and Phong light in flat arrays of numbers. Private."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from taichisoft.appearance.lights import (
    AmbientLight,
    DirectionalLight,
    Light,
    Lighting,
    PointLight,
    tensor_of,
)
from taichisoft.appearance.shader import Eye, Shader
from taichisoft.engine.bridge import flat
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.shading_bundles import (
    Border,
    Image,
    Kind,
    Lit,
    Noted,
    Plan,
    Shading,
)
from taichisoft.engine.kernels.vectors import lanes_of
from taichisoft.engine.scratch import scratch
from taichisoft.geometry.vectors import unit_or_zero
from taichisoft.geometry.wrap import Wrap

# What the kernels know, and no class that is made of them.
KINDS: dict[type[Light], int] = {
    AmbientLight: Kind.AMBIENT,
    DirectionalLight: Kind.DIRECTIONAL,
    PointLight: Kind.POINT,
}
# The place of a light among its fields; ambient light has none.
PLACES: dict[type[Light], str] = {DirectionalLight: "direction", PointLight: "position"}
BORDERS = {Wrap.REPEAT: Border.REPEAT, Wrap.CLAMP: Border.CLAMP, Wrap.MIRROR: Border.MIRROR}
# Numbers of the gradients of textures, one of each for each worker, which are fewer for large ones; how many
# workers are at least left.
COPIES = 2**23
LEAST_WORKERS = 2
# Numbers of all copies are fewer than this, so that they can be counted.
MOST = 2**31


@dataclass(frozen=True, eq=False)
class KernelShader:
    """A shader that the kernels evaluate.

    Its inputs are two: texels, (b, T, C), and numbers of light, (b, n).

    Parameters
    ----------
    shader : Shader
    job : RasterJob
        What is shaded.
    """

    shader: Shader
    job: RasterJob

    @classmethod
    def of(cls, shader: Any, job: RasterJob) -> KernelShader | None:
        """Return one for a shader; None for one that is not of the built-in classes alone, or too large."""
        if type(shader) is not Shader:
            return None
        lighting = shader.lighting
        if not shader.built_in:
            return None
        if lighting is not None and (
            type(lighting) is not Lighting or any(type(x) not in KINDS for x in lighting.lights)
        ):
            return None
        made = cls(shader, job)
        return made if LEAST_WORKERS * made._texels.numel() < MOST else None

    @property
    def inputs(self) -> tuple[Tensor, Tensor]:
        """Texels and numbers of light, with their graphs."""
        return self._texels, self._numbers

    @property
    def outputs(self) -> int:
        """Number of channels of what is seen, without opacity."""
        opaque = self.shader.others - self.shader.opacity
        return self.shader.channels + opaque

    def workers(self, most: int) -> int:
        """Return how many workers, a power of two, sum gradients of texels."""
        fitting = COPIES // max(self._texels.numel(), 1)
        while most > LEAST_WORKERS and most > fitting:
            most //= 2
        return most

    def shading(
        self,
        texels: Tensor,
        numbers: Tensor,
        workers: int,
        places: int = 0,
        *,
        into_texels: bool = False,
    ) -> Shading:
        """Return what shades the fragments; in the backward pass those of so many places of a worker."""
        points = self.job.points
        plan = list(self._plan)
        plan[Plan.INTO_TEXELS] = int(into_texels)
        plan[Plan.ROOM] += places * self.job.scene.channels.shape[1]
        return Shading(
            1,
            torch.tensor(plan, dtype=torch.int32),
            flat(texels) if texels.numel() else points.new_zeros(1),
            flat(self._prepared(numbers.detach())) if numbers.numel() else points.new_zeros(1),
            scratch(
                "shading", points.dtype, workers * plan[Plan.ROOM], lanes_of(self.job.kernel_type)
            ),
        )

    def texels_gradient(self, found: Tensor, workers: int) -> Tensor:
        """Return the gradient of the texels, given that of all workers."""
        return found.reshape(workers, *self._texels.shape).sum(0)

    def numbers_gradient(self, by_band: Tensor, numbers: Tensor, image: Tensor) -> Tensor:
        """Return the gradient of the numbers of light, given those of bands and of which images these are."""
        by_prepared = torch.zeros_like(numbers)
        by_prepared.index_add_(0, image if len(numbers) > 1 else torch.zeros_like(image), by_band)
        with torch.enable_grad():
            given = numbers.detach().requires_grad_()
            return torch.autograd.grad(self._prepared(given), given, by_prepared)[0]

    def shader_of(self, texels: Tensor, numbers: Tensor) -> Shader:
        """Return the shader with other texels and numbers of light."""
        shader, found = self.shader, dict[str, Any]()
        if shader.images is not None:
            found["images"] = replace(shader.images, texels=texels)
        if shader.lighting is not None:
            found["lighting"], found["eye"] = self._light_of(numbers)
        return replace(shader, **found)

    def _light_of(self, numbers: Tensor) -> tuple[Lighting, Eye]:
        lighting = self.shader.lighting
        assert lighting is not None
        eye, shininess, specular, *rest = numbers.split(self._columns, 1)
        lights = []
        for light, place, color in zip(lighting.lights, rest[::2], rest[1::2], strict=True):
            places = {PLACES[type(light)]: place} if type(light) in PLACES else {}
            lights.append(_with(light, color=color, **places))
        made = _with(lighting, lights=tuple(lights), specular=specular, shininess=shininess)
        return made, Eye(self.shader.eye.perspective, eye)

    @cached_property
    def _texels(self) -> Tensor:
        images = self.shader.images
        return self.job.points.new_zeros(0, 0, 1) if images is None else images.texels

    @cached_property
    def _numbers(self) -> Tensor:
        """Numbers of light as they are given, (b, n); see `LightNumber`."""
        shader, points = self.shader, self.job.points
        lighting = shader.lighting
        if lighting is None:
            return points.new_zeros(1, 0)
        parts = [shader.eye.place, tensor_of(lighting.shininess), tensor_of(lighting.specular)]
        for light in lighting.lights:
            name = PLACES.get(type(light))
            parts.append(points.new_zeros(3) if name is None else getattr(light, name))
            parts.append(tensor_of(light.color))
        rows = [x.to(points).reshape(-1, x.shape[-1] if x.ndim else 1) for x in parts]
        batch = max(len(x) for x in rows)
        return torch.cat([x.expand(batch, n) for x, n in zip(rows, self._columns, strict=True)], 1)

    @property
    def _columns(self) -> list[int]:
        """Of the parts of the numbers of light."""
        lighting = self.shader.lighting
        assert lighting is not None
        return [3, 1, lighting.channels, *(3, lighting.channels) * len(lighting.lights)]

    def _prepared(self, numbers: Tensor) -> Tensor:
        """Return numbers of light with unit vectors where directions do not differ."""
        shader = self.shader
        if shader.lighting is None:
            return numbers
        parts = list(numbers.split(self._columns, 1))
        if not shader.eye.perspective:
            parts[0] = unit_or_zero(parts[0])
        for index, light in enumerate(shader.lighting.lights):
            if type(light) is DirectionalLight:
                parts[3 + 2 * index] = unit_or_zero(parts[3 + 2 * index])
        return torch.cat(parts, 1)

    @cached_property
    def _plan(self) -> list[int]:
        """See `taichisoft.engine.kernels.shading_bundles.Plan`."""
        shader = self.shader
        plan = [0] * Plan.COUNT
        plan[Plan.CHANNELS], plan[Plan.OUTPUTS] = shader.channels, self.outputs
        plan[Plan.BASE] = plan[Plan.BASE_CHANNELS] = shader.base
        plan[Plan.OWN] = int(shader.opacity)
        self._plan_texture(plan)
        self._plan_light(plan)
        columns = 6 if plan[Plan.LIT] == Lit.PHONG else 2 * shader.lit
        plan[Plan.KEPT] = shader.base + columns
        values = plan[Plan.KEPT] + shader.others
        light = max(plan[Plan.LIGHT_CHANNELS], 1)
        base = max(plan[Plan.TEXEL], plan[Plan.BASE_CHANNELS], 1)
        at = values
        for place, size in (
            (Plan.BASES, base),
            (Plan.COLORS, self.outputs),
            (Plan.DIFFUSE, light),
            (Plan.MIRRORED, light),
            (Plan.BY_BASE, base),
            (Plan.BY_TINTED, base if shader.tint else 0),
            (Plan.BY_DIFFUSE, light),
            (Plan.BY_MIRRORED, light),
            (Plan.BY_VALUES, values),
            (Plan.SUMS, plan[Plan.NUMBERS]),
            (Plan.NOTED, Noted.LIGHTS + Noted.COUNT * plan[Plan.LIGHTS]),
        ):
            plan[place] = at
            at += size
        plan[Plan.ROOM] = plan[Plan.PLACES] = at
        return plan

    def _plan_texture(self, plan: list[int]) -> None:
        shader, images = self.shader, self.shader.images
        plan[Plan.IMAGES] = len(plan)
        if images is None:
            return
        batch, size, texel = images.texels.shape
        plan[Plan.TEXTURED] = 1
        plan[Plan.TEXEL] = texel
        plan[Plan.BASE_CHANNELS] = texel - shader.texture_opacity
        plan[Plan.TEXTURE] = size * texel if batch > 1 else 0
        plan[Plan.SCALED] = int(shader.scaled)
        plan[Plan.NUMBER] = shader.number or 0
        plan[Plan.TINT] = shader.base - shader.tint
        plan[Plan.TINT_CHANNELS] = shader.tint
        plan[Plan.THROUGH] = int(shader.texture_opacity)
        plan[Plan.TEXELS] = self._texels.numel()
        sizes = len(plan) + Image.COUNT * len(images.layouts)
        for layout in images.layouts:
            plan += [len(layout.levels), BORDERS[layout.wrap_u], BORDERS[layout.wrap_v], sizes]
            sizes += Image.SIZE * len(layout.levels)
        for level in (level for layout in images.layouts for level in layout.levels):
            plan += [level.offset * texel, level.height, level.width]

    def _plan_light(self, plan: list[int]) -> None:
        shader = self.shader
        plan[Plan.KINDS] = len(plan)
        lighting = shader.lighting
        if lighting is None:
            plan[Plan.LIT] = Lit.GIVEN if shader.lit else Lit.NOT
            plan[Plan.LIGHT_CHANNELS] = shader.lit
            return
        specular = tensor_of(lighting.specular)
        plan[Plan.LIT] = Lit.PHONG
        plan[Plan.LIGHT_CHANNELS] = lighting.channels
        plan[Plan.MIRRORS] = int(specular.requires_grad or bool(specular.any()))
        plan[Plan.LIGHTS] = len(lighting.lights)
        plan[Plan.PERSPECTIVE] = int(shader.eye.perspective)
        plan[Plan.NUMBERS] = sum(self._columns)
        plan[Plan.NUMBERS_STRIDE] = plan[Plan.NUMBERS] if len(self._numbers) > 1 else 0
        plan += [KINDS[type(light)] for light in lighting.lights]


def _with(value: Any, **fields: Any) -> Any:
    """Return a copy with other fields, past the checks of the constructor, which the value has passed."""
    twin = copy.copy(value)
    for name, field in fields.items():
        object.__setattr__(twin, name, field)
    return twin
