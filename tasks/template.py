"""The sphere that shapes are modelled from, and how rough it has become."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from torch import Tensor

from taichisoft import Mesh
from taichisoft.geometry.losses import Laplacian, NormalConsistency
from taichisoft.shapes import icosphere


@dataclass(frozen=True, eq=False)
class Template:
    """The sphere that all problems start from, with its regularisers.

    Parameters
    ----------
    mesh : Mesh
        Vertices (V, 3) in float32.
    laplacian : Laplacian
        Mean over the vertices.
    flatten : NormalConsistency
        Mean over the edges.
    """

    mesh: Mesh
    laplacian: Laplacian
    flatten: NormalConsistency

    def roughness(self, vertices: Tensor, laplacian: float, flatten: float) -> Tensor:
        """Return the weighted sums of both regularisers of vertices (P, V, 3), (P,)."""
        # Sums, as in the literature whose weights are used, and not means.
        edges = 3 * self.mesh.num_faces // 2
        bumps = laplacian * self.mesh.num_vertices * self.laplacian.per_mesh(vertices)
        return bumps + flatten * edges * self.flatten.per_mesh(vertices)


@cache
def template_of(subdivisions: int) -> Template:
    """Return the unit sphere with ``10 * 4^subdivisions + 2`` vertices, made once per process."""
    mesh = icosphere(subdivisions)
    laplacian = Laplacian(mesh.faces, mesh.num_vertices)
    return Template(mesh, laplacian, NormalConsistency(mesh.faces, mesh.num_vertices))
