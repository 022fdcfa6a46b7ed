"""Transforms of torch.func and forward mode: against autograd, differences, loops and the plain twin."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

import taichisoft as ts
from taichisoft.engine.engines import FusedEngine
from taichisoft.render import reference

pytestmark = [
    pytest.mark.cpu_only,
    # Of torch itself, which compiles some of its transforms, and loops where it has no rule.
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),
]

SIZE = (6, 8)
REAL = torch.float64
MESH = ts.shapes.icosphere(0).to(dtype=REAL)
VERTICES = MESH.vertices
EYE = torch.tensor([0.5, 0.3, 3.0], dtype=REAL)
# In front of it is a part of the ball, and a part of it behind the plane.
INSIDE = ts.Camera.look_at((0.0, 0.2, 0.9), image_size=SIZE, near=0.3, dtype=REAL)
WEIGHTS = torch.rand(1, *SIZE, 8, generator=torch.Generator().manual_seed(0), dtype=REAL)

Draw = Callable[[Tensor], Tensor]


def camera(eye: Tensor = EYE) -> ts.Camera:
    return ts.Camera.look_at(eye, image_size=SIZE)


def planes(image: ts.SoftImage) -> Tensor:
    """Return all of an image with colours and normals, (B, H, W, 8)."""
    scalars = torch.stack([image.alpha, image.depth], -1)
    return torch.cat([scalars, image.color, image.normals], -1)


def soft(coverage: ts.Coverage | None = None, *parts, **settings) -> ts.SoftRasterizer:
    return ts.SoftRasterizer(coverage or ts.Gaussian(2.0), *parts, **settings)


def silhouette_of(renderer: ts.SoftRasterizer, view: ts.Camera | None = None) -> Draw:
    seen = view or camera()
    return lambda v: renderer.silhouette(MESH.with_vertices(v), seen)


def image_of(renderer: ts.SoftRasterizer, view: ts.Camera | None = None) -> Draw:
    seen = view or camera()
    return lambda v: planes(renderer(MESH.with_vertices(v), seen, v, normals=True))


def weighted(draw: Draw) -> Draw:
    """Return the function with one number as its result, whose second derivatives are none of them zero."""

    def number(*x: Tensor) -> Tensor:
        drawn = draw(*x)
        weights = WEIGHTS if drawn.ndim == 4 else WEIGHTS[..., 0]
        return (drawn.square() * weights).sum()

    return number


def differences(function: Draw, x: Tensor, along: Tensor, step: float = 1e-5) -> Tensor:
    return (function(x + step * along) - function(x - step * along)) / (2 * step)


def close(one: Tensor, other: Tensor, error: float) -> None:
    """Check that two results differ by less than an error, relative to the largest entry."""
    assert one.shape == other.shape
    size = float(other.detach().abs().max())
    assert size > 1e-3, "a scene without the derivative in question tests nothing"
    assert float((one - other).detach().abs().max()) <= error * size


DRAWN = {
    "silhouette": silhouette_of(soft()),
    "image": image_of(soft()),
    "max": image_of(soft(None, ts.Max())),
    "near plane": image_of(soft(), INSIDE),
    "supersampled": image_of(soft(ssaa=2)),
    "deterministic": image_of(soft(deterministic=True)),
    "autodiff": silhouette_of(soft(gradient="autodiff")),
    "straight-through": image_of(soft(ts.StraightThrough(ts.Gaussian(1.0), ts.Gaussian(2.0)))),
}
# Without the one whose gradient is that of another curve; and where faces were cut, their depths tie.
EXACT = {name: draw for name, draw in DRAWN.items() if name != "straight-through"}
EXACT["near plane"] = silhouette_of(soft(), INSIDE)


def along() -> Tensor:
    return torch.randn(VERTICES.shape, generator=torch.Generator().manual_seed(1), dtype=REAL)


def test_the_near_plane_is_crossed():
    depth = INSIDE.to_view(VERTICES)[0, :, 2]
    crossing = (depth[MESH.faces] < INSIDE.near).sum(1)
    assert {1, 2} <= set(crossing.tolist())


@pytest.mark.parametrize("name", DRAWN)
def test_gradients_are_those_of_autograd(name):
    number = weighted(DRAWN[name])
    leaf = VERTICES.clone().requires_grad_()
    (exact,) = torch.autograd.grad(number(leaf), leaf)
    close(grad(number)(VERTICES), exact, 1e-14)
    close(vjp(number, VERTICES)[1](torch.ones((), dtype=REAL))[0], exact, 1e-14)
    value, tangent = jvp(number, (VERTICES,), (along(),))
    # Pixels may differ by a unit in the last place, as they are drawn by kernels or as a graph.
    close(value, number(VERTICES), 1e-14)
    close(tangent, (exact * along()).sum(), 1e-12)


@pytest.mark.parametrize("name", EXACT)
def test_tangents_are_differences(name):
    draw = EXACT[name]
    _, tangent = jvp(draw, (VERTICES,), (along(),))
    close(tangent, differences(draw, VERTICES, along()), 1e-6)


@pytest.mark.parametrize("name", DRAWN)
def test_second_derivatives_are_those_of_autograd(name):
    number, direction = weighted(DRAWN[name]), along()
    _, exact = torch.autograd.functional.vhp(number, VERTICES, direction)
    close(vjp(grad(number), VERTICES)[1](direction)[0], exact, 1e-11)
    if name != "straight-through":
        close(jvp(grad(number), (VERTICES,), (direction,))[1], exact, 1e-11)

    def slope(v: Tensor) -> Tensor:
        return jvp(number, (v,), (direction,))[1]

    close(grad(slope)(VERTICES), exact, 1e-11)


TWIN = soft()


def twin(v: Tensor) -> Tensor:
    return reference.silhouette(TWIN, MESH.with_vertices(v), camera())


def test_jacobians_are_those_of_the_twin():
    draw = DRAWN["silhouette"]
    exact = torch.autograd.functional.jacobian(twin, VERTICES)
    close(jacrev(draw)(VERTICES), exact, 1e-8)
    close(jacfwd(draw)(VERTICES), exact, 1e-8)
    close(jacrev(draw, chunk_size=5)(VERTICES), exact, 1e-8)


def test_hessians_are_those_of_the_twin():
    number = weighted(DRAWN["silhouette"])
    exact = torch.autograd.functional.hessian(weighted(twin), VERTICES)
    close(hessian(number)(VERTICES), exact, 1e-6)
    close(jacrev(jacrev(number))(VERTICES), exact, 1e-6)


def test_forward_mode_of_autograd():
    for name in ("silhouette", "image"):
        draw = DRAWN[name]
        with forward_ad.dual_level():
            value, tangent = forward_ad.unpack_dual(draw(forward_ad.make_dual(VERTICES, along())))
            # One without a tangent is drawn as ever.
            assert forward_ad.unpack_dual(draw(VERTICES)).tangent is None
        # To the last digit: torch rounds an element by where it lies in memory.
        close(value, draw(VERTICES), 1e-15)
        close(tangent, jvp(draw, (VERTICES,), (along(),))[1], 1e-14)


LIGHT = torch.tensor([0.5, 0.6, 0.7], dtype=REAL)
UV = torch.rand(12, 2, generator=torch.Generator().manual_seed(2), dtype=REAL)


def lit(shading: ts.Shading) -> Draw:
    def draw(x: Tensor) -> Tensor:
        lights = [ts.DirectionalLight(x, x.abs()), ts.PointLight(3 * x, 0.3)]
        lighting = ts.Lighting(lights, shading=shading, specular=0.5, shininess=5 * x[0] + 1)
        return soft()(MESH, camera(), VERTICES.abs(), lighting=lighting).color

    return draw


OTHERS: dict[str, tuple[Draw, Tensor]] = {
    "eye": (lambda x: soft()(MESH, camera(x), VERTICES).color, EYE),
    "colours": (lambda x: soft()(MESH, camera(), x).color, VERTICES),
    "background": (lambda x: soft(background=x)(MESH, camera(), VERTICES).color, LIGHT),
    "texture": (lambda x: soft()(MESH, camera(), ts.Texture(x, UV)).color, VERTICES[None]),
    "flat": (lit(ts.Shading.FLAT), LIGHT),
    "gouraud": (lit(ts.Shading.GOURAUD), LIGHT),
    "phong": (lit(ts.Shading.PHONG), LIGHT),
    "in a batch": (
        lambda x: soft().silhouette(
            [MESH.with_vertices(x), ts.shapes.cube().to(dtype=REAL)], camera()
        ),
        VERTICES,
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_inputs(name):
    draw, x = OTHERS[name]

    def number(x: Tensor) -> Tensor:
        return draw(x).pow(3).sum()

    leaf = x.clone().requires_grad_()
    (exact,) = torch.autograd.grad(number(leaf), leaf)
    close(grad(number)(x), exact, 1e-14)
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=REAL)
    close(jvp(draw, (x,), (direction,))[1], differences(draw, x, direction), 1e-6)
    if name != "flat":
        _, curved = torch.autograd.functional.vhp(number, x, direction)
        # One differentiates the gradient in what comes from above, the other in the points.
        close(jvp(grad(number), (x,), (direction,))[1], curved, 1e-10)
    several = torch.stack([x, 1.1 * x, 0.9 * x])
    loop = torch.stack([draw(one) for one in several])
    assert torch.equal(vmap(draw)(several), loop)


def learned() -> tuple[ts.SoftRasterizer, dict[str, Tensor]]:
    """Return a renderer with parameters of every kind, and their values."""
    renderer = soft(
        ts.Mixture([ts.Gaussian(2.0), ts.Laplace(2.0)], scale=ts.Pixels(1.5, learn=True)),
        ts.Yager(ts.Positive(2.0, learn=True)),
        ts.DepthSoftmax(ts.Positive(0.3, learn=True)),
        background=torch.nn.Parameter(LIGHT.clone()),
    )
    return renderer, {name: x.detach().clone() for name, x in renderer.named_parameters()}


def test_parameters_of_a_renderer():
    renderer, parameters = learned()
    assert len(parameters) == 5

    def number(given: dict[str, Tensor]) -> Tensor:
        image = functional_call(renderer, given, (MESH, camera(), VERTICES.abs()))
        return (image.color.square() * WEIGHTS[..., :1]).sum() + image.depth.square().sum()

    leaves = list(renderer.parameters())
    first = torch.autograd.grad(
        number(dict(renderer.named_parameters())), leaves, create_graph=True
    )
    second = torch.autograd.grad(sum(x.square().sum() for x in first), leaves)
    found = grad(number)(parameters)
    for one, exact in zip(found.values(), first, strict=True):
        close(one, exact, 1e-12)

    def squared(given: dict[str, Tensor]) -> Tensor:
        return sum(x.square().sum() for x in grad(number)(given).values())

    for one, exact in zip(grad(squared)(parameters).values(), second, strict=True):
        close(one, exact, 1e-10)
    forward, reverse = hessian(number)(parameters), jacrev(jacrev(number))(parameters)
    for name, row in forward.items():
        for other, entry in row.items():
            torch.testing.assert_close(entry, reverse[name][other], rtol=1e-9, atol=1e-9)
    several = {name: torch.stack([x, 1.1 * x]) for name, x in parameters.items()}
    loop = [number({name: x[k] for name, x in several.items()}) for k in range(2)]
    close(vmap(number)(several), torch.stack(loop), 1e-12)
    # Nothing is left behind.
    assert all(x is y for x, y in zip(renderer.parameters(), leaves, strict=True))


def test_vmap_is_a_batch_and_a_loop():
    several = torch.stack([VERTICES, 1.1 * VERTICES, 0.8 * VERTICES])
    for name in ("silhouette", "image", "near plane"):
        draw = DRAWN[name]
        found = vmap(draw)(several)
        assert torch.equal(found, torch.stack([draw(v) for v in several]))
        close(found[:, 0], draw(several), 1e-12)
    draw = DRAWN["silhouette"]
    turned = vmap(draw, in_dims=-1, out_dims=1)(several.movedim(0, -1))
    assert torch.equal(turned, vmap(draw)(several).movedim(0, 1))
    number, direction = weighted(draw), along()
    gradients = torch.stack([grad(number)(v) for v in several])
    close(vmap(grad(number))(several), gradients, 1e-12)
    close(grad(lambda x: vmap(number)(x).sum())(several), gradients, 1e-12)
    tangents = vmap(lambda v: jvp(draw, (v,), (direction,))[1])(several)
    close(tangents[1], jvp(draw, (several[1],), (direction,))[1], 1e-12)


def jobs(function: Callable[[Tensor], Tensor], x: Tensor, monkeypatch) -> int:
    """Return how many renders a function makes, whose result is checked against a loop."""
    loop = torch.stack([function(one) for one in x])
    made = []

    # A render is one launch of either.
    for name in ("silhouette", "composite"):
        drawn = getattr(FusedEngine, name)

        def counted(engine, *arguments, drawn=drawn, **options):
            made.append(engine)
            return drawn(engine, *arguments, **options)

        monkeypatch.setattr(FusedEngine, name, counted)
    close(vmap(function)(x), loop, 1e-12)
    return len(made)


def moved(x: Tensor) -> ts.Camera:
    here = camera()
    return ts.Camera(here.rotation, x * here.translation, here.intrinsics, SIZE)


ONE = torch.ones((), dtype=REAL)
# Functions of which several are one batch; their results are compared with a loop.
BATCHED: dict[str, tuple[Draw, Tensor]] = {
    "vertices": (silhouette_of(soft()), VERTICES),
    "vertices with a batch axis": (silhouette_of(soft()), VERTICES[None]),
    "vertices and colours": (image_of(soft()), VERTICES),
    "colours of the mesh": (
        lambda x: soft()(MESH.with_vertex_colors(x), camera()).color,
        VERTICES.abs(),
    ),
    "colours of faces": (lambda x: soft()(MESH, camera(), x).color, MESH.faces.to(REAL)),
    "eye": (lambda x: soft()(MESH, camera(x), VERTICES).color, EYE),
    "one matrix": (lambda x: soft().silhouette(MESH, moved(x)), ONE),
    "vertices, one texture": (
        lambda x: (
            soft(ssaa=2)(MESH.with_vertices(x), camera(), ts.Texture(VERTICES[None], UV)).color
        ),
        VERTICES,
    ),
    "vertices, one light": (
        lambda x: (
            soft()(
                MESH.with_vertices(x),
                camera(),
                x,
                lighting=ts.Lighting([ts.DirectionalLight(LIGHT)]),
            ).color
        ),
        VERTICES,
    ),
    "gradient": (grad(weighted(image_of(soft()))), VERTICES),
    "tangent": (lambda x: jvp(silhouette_of(soft()), (x,), (x,))[1], VERTICES),
    "second derivative": (
        lambda x: jvp(grad(weighted(silhouette_of(soft()))), (x,), (x,))[1],
        VERTICES,
    ),
}
# Of which several are a loop.
LOOPED: dict[str, tuple[Draw, Tensor]] = {
    "background": OTHERS["background"],
    "texture": OTHERS["texture"],
    "light": OTHERS["gouraud"],
    "light that is an eye": (
        lambda x: soft()(MESH, camera(x), VERTICES, lighting=ts.Lighting([ts.PointLight(x)])).color,
        EYE,
    ),
    "two cameras": (
        lambda x: soft().silhouette(MESH, camera(torch.stack([x, 1.1 * x]))),
        EYE,
    ),
    "in a batch": OTHERS["in a batch"],
}


@pytest.mark.parametrize("name", BATCHED)
def test_several_scenes_of_one_topology_are_a_batch(name, monkeypatch):
    function, x = BATCHED[name]
    assert jobs(function, torch.stack([x, 1.1 * x, 0.9 * x]), monkeypatch) == 1


@pytest.mark.parametrize("name", LOOPED)
def test_others_are_drawn_one_after_the_other(name, monkeypatch):
    function, x = LOOPED[name]
    assert jobs(function, torch.stack([x, 1.1 * x, 0.9 * x]), monkeypatch) == 3


def test_gradients_of_what_several_scenes_share_are_each_ones_own():
    several = torch.stack([VERTICES, 1.1 * VERTICES])

    def number(eye: Tensor, v: Tensor) -> Tensor:
        return weighted(silhouette_of(soft(), camera(eye)))(v)

    found = vmap(grad(number), in_dims=(None, 0))(EYE, several)
    close(found, torch.stack([grad(number)(EYE, v) for v in several]), 1e-12)
    tangent = jvp(vmap(number, in_dims=(None, 0)), (EYE, several), (EYE, 0.5 * several))[1]
    loop = [jvp(number, (EYE, v), (EYE, 0.5 * v))[1] for v in several]
    close(tangent, torch.stack(loop), 1e-12)
    renderer, parameters = learned()

    def of_parameters(given: dict[str, Tensor], v: Tensor) -> Tensor:
        image = functional_call(renderer, given, (MESH.with_vertices(v), camera(), VERTICES.abs()))
        return (image.color.square() * WEIGHTS[..., :1]).sum() + image.depth.square().sum()

    constants = {name: 1.2 * x for name, x in parameters.items()}

    def of_eye(eye: Tensor, v: Tensor) -> Tensor:
        image = functional_call(renderer, constants, (MESH.with_vertices(v), camera(eye)))
        return image.alpha.square().sum()

    found = vmap(grad(of_eye), in_dims=(None, 0))(EYE, several)
    close(found, torch.stack([grad(of_eye)(EYE, v) for v in several]), 1e-12)
    found = vmap(grad(of_parameters), in_dims=(None, 0))(parameters, several)
    for k, v in enumerate(several):
        for name, exact in grad(of_parameters)(parameters, v).items():
            close(found[name][k], exact, 1e-10)


def test_vmap_in_vmap():
    eyes, several = torch.stack([EYE, 1.2 * EYE]), torch.stack([VERTICES, 0.8 * VERTICES])

    def over_meshes(eye: Tensor) -> Tensor:
        return vmap(silhouette_of(soft(), camera(eye)))(several)

    found = vmap(over_meshes)(eyes)
    assert found.shape == (2, 2, 1, *SIZE)
    for i, eye in enumerate(eyes):
        for j, v in enumerate(several):
            assert torch.equal(found[i, j], silhouette_of(soft(), camera(eye))(v))


def test_face_ids_come_along():
    def draw(v: Tensor) -> ts.SoftImage:
        return soft()(MESH.with_vertices(v), camera(), face_ids=True)

    ids = draw(VERTICES).face_ids
    several = torch.stack([VERTICES, VERTICES])
    found = vmap(lambda v: draw(v).face_ids)(several)
    assert found.dtype == torch.int64
    assert torch.equal(found[1], ids)
    _, found = grad(lambda v: (draw(v).alpha.sum(), draw(v).face_ids), has_aux=True)(VERTICES)
    assert torch.equal(found, ids)
    assert not jvp(lambda v: draw(v).face_ids, (VERTICES,), (along(),))[1].any()


def test_what_is_no_input_is_drawn_as_ever():
    alpha = soft().silhouette(MESH, camera())
    one = torch.ones((), dtype=REAL)

    def number(x: Tensor) -> Tensor:
        return (
            x
            * soft().silhouette(
                MESH, ts.Camera.look_at(tuple(EYE.tolist()), image_size=SIZE, dtype=REAL)
            )
        ).sum()

    close(grad(number)(one), alpha.sum(), 1e-14)
    close(vmap(number)(one.expand(2)), alpha.sum().expand(2), 1e-14)
    # Of a mesh that was made within, index tensors and all.
    made = grad(lambda v: soft().silhouette(ts.Mesh(v, MESH.faces.flip(0)), camera()).sum())
    close(made(VERTICES), grad(lambda v: DRAWN["silhouette"](v).sum())(VERTICES), 1e-12)


def test_autograd_goes_on_around_a_transform():
    number = weighted(DRAWN["silhouette"])
    size = torch.ones((), dtype=REAL, requires_grad=True)
    squared = grad(lambda v: number(size * v))(VERTICES).square().sum()
    (found,) = torch.autograd.grad(squared, size)
    leaf = VERTICES.clone().requires_grad_()
    (first,) = torch.autograd.grad(number(size * leaf), leaf, create_graph=True)
    (exact,) = torch.autograd.grad(first.square().sum(), size)
    close(found, exact, 1e-12)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_modes_without_gradients_are_nothing_to_a_transform(mode):
    draw = DRAWN["image"]
    number = weighted(draw)
    several = torch.stack([VERTICES, VERTICES])

    def found() -> list[Tensor]:
        return [
            grad(number)(VERTICES),
            jvp(draw, (VERTICES,), (along(),))[1],
            jvp(grad(number), (VERTICES,), (along(),))[1],
            vmap(draw)(several),
            vmap(grad(number))(1 * several),
        ]

    outside = found()
    with mode():
        within = found()
    for one, exact in zip(within, outside, strict=True):
        close(one, exact, 1e-14)


def test_memory_that_was_written_to():
    draw = weighted(DRAWN["silhouette"])
    v = VERTICES.clone()
    _, pull = vjp(draw, v)
    one = torch.ones((), dtype=REAL)
    close(pull(one)[0], grad(draw)(VERTICES), 1e-14)
    v.mul_(1.1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        pull(one)
    close(grad(draw)(v), grad(draw)(1.1 * VERTICES), 1e-12)


def third(v: Tensor) -> Tensor:
    return hessian(weighted(DRAWN["silhouette"]))(v).sum()


REFUSED = {
    "twin of several": (
        lambda: vmap(twin)(torch.stack([VERTICES, VERTICES])),
        r"taichisoft.reference cannot be mapped .* give it a batch of them, or use the renderer",
    ),
    "twin of a softness": (
        lambda: grad(lambda x: reference.silhouette(soft(), MESH, camera(x)).sum())(EYE),
        r"a softness must be made before a transform of torch.func, .* use torch.autograd.grad",
    ),
    "jacfwd of jacfwd": (
        lambda: jacfwd(jacfwd(weighted(DRAWN["silhouette"])))(VERTICES),
        r"a forward derivative of a forward derivative .* use torch.func.hessian or jacrev of jacrev",
    ),
    "third, backward": (
        lambda: grad(third)(VERTICES),
        r"third derivatives of the rasterizer are not available: .* use taichisoft.reference",
    ),
    "third, forward": (
        lambda: jvp(jacrev(jacrev(weighted(DRAWN["silhouette"]))), (VERTICES,), (VERTICES,)),
        r"third derivatives of the rasterizer are not available: .* use taichisoft.reference",
    ),
    "third, all forward": (
        lambda: jvp(third, (VERTICES,), (VERTICES,)),
        r"a forward derivative of a forward derivative .* taichisoft.reference",
    ),
    "straight-through": (
        lambda: hessian(weighted(DRAWN["straight-through"]))(VERTICES),
        r"not available with a StraightThrough, .* use jacrev of jacrev, or vjp of grad",
    ),
    "no scene": (
        lambda: vmap(DRAWN["silhouette"])(VERTICES.expand(0, -1, -1)),
        r"a vmap over renders must have at least one scene, got none",
    ),
    "NaN in one of several": (
        lambda: vmap(DRAWN["silhouette"])(torch.stack([VERTICES, VERTICES * torch.nan])),
        r"vertices must be finite, got nan at index \(1, 0, 0\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_says_what_to_do_instead(name):
    call, message = REFUSED[name]
    with pytest.raises((RuntimeError, ValueError), match=message):
        call()
    # Nothing is left behind.
    assert float(DRAWN["silhouette"](VERTICES).sum()) > 1


def test_the_twin_has_transforms_of_any_order():
    exact = torch.autograd.functional.hessian(weighted(twin), VERTICES)
    close(hessian(weighted(twin))(VERTICES), exact, 1e-12)
    close(jacfwd(jacfwd(weighted(twin)))(VERTICES), exact, 1e-12)

    def curved(v: Tensor) -> Tensor:
        return jvp(grad(weighted(twin)), (v,), (along(),))[1]

    exact = differences(curved, VERTICES, along())
    close(jvp(curved, (VERTICES,), (along(),))[1], exact, 1e-6)
