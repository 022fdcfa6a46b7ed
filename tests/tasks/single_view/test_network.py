"""The networks."""

from __future__ import annotations

import pytest
import torch

from tasks.single_view.network import PoseNetwork, Reconstructor
from tasks.single_view.settings import NetworkSettings, ViewSettings
from tasks.single_view.supervision import model_of
from tests.tasks.single_view.cases import settings

NETWORK = NetworkSettings(subdivisions=1, width=4, features=16, hypotheses=5)


@pytest.mark.parametrize("size", [8, 20, 32])
def test_an_image_becomes_a_mesh(size):
    network = Reconstructor(NETWORK, size)
    images = torch.rand(3, 4, size, size)
    mesh = network(images)
    assert mesh.vertices.shape == mesh.vertex_colors.shape == (3, 42, 3)
    assert torch.equal(mesh.faces, network.faces)
    # It starts as the sphere, nearly.
    assert (mesh.vertices - network.sphere).abs().max() < 0.1
    (mesh.vertices.square().sum() + mesh.vertex_colors.square().sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert all(
        layer.weight.grad.abs().sum() > 0
        for layer in (network.offsets, network.colors.picks, network.colors.mixing)
    )


def test_colours_are_those_of_the_object():
    """Of whatever was learned, and however little of the image it covers."""
    images = torch.zeros(2, 4, 32, 32)
    colors = torch.tensor([[0.9, 0.1, 0.3], [0.2, 0.8, 0.7]])
    images[:, :3, 8:12, 8:12] = colors[..., None, None]
    images[:, 3, 8:12, 8:12] = 1
    told = Reconstructor(NETWORK, 32)(images).vertex_colors
    assert (told - colors[:, None]).abs().max() < 0.02
    assert Reconstructor(NETWORK, 32)(torch.zeros(1, 4, 32, 32)).vertex_colors.isfinite().all()


def test_offsets_have_a_bound():
    network = Reconstructor(NETWORK, 16)
    with torch.no_grad():
        network.offsets.bias.fill_(1e3)
    mesh = network(torch.rand(2, 4, 16, 16))
    assert mesh.vertices.abs().max() <= 1.25 + 1e-6


def test_images_of_another_size_are_named():
    with pytest.raises(ValueError, match="images must have shape"):
        Reconstructor(NETWORK, 16)(torch.rand(2, 4, 32, 32))


def test_hypotheses_reach_every_azimuth():
    views = ViewSettings(elevations=(10.0, 40.0))
    network = PoseNetwork(NETWORK, views, 16)
    poses = network(torch.rand(3, 4, 16, 16))
    assert [part.shape for part in poses] == [(3, 5)] * 3
    # Beside each other they overlap.
    assert 2 * network.turn > 360 / 5
    assert ((poses.elevation > 5) & (poses.elevation < 45)).all()
    camera = poses.cameras(views, 16)
    assert len(camera) == 15
    best = poses.best()
    assert torch.equal(best.scores[:, 0], poses.scores.amax(1))
    camera.translation.sum().backward()
    assert network.head.weight.grad.isfinite().all()


def test_networks_start_from_their_seed_alone():
    before = torch.random.get_rng_state()
    first, again, other = (model_of(settings(), seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    pairs = zip(first.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
