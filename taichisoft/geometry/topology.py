"""Edges and neighbourhoods of triangle faces, as index tensors."""

from __future__ import annotations

import torch

from taichisoft.base.checks import check_indices, check_integer, check_tensor


def check_faces(faces: torch.Tensor, num_vertices: int | None) -> int:
    """Check (F, 3) int64 faces; return the number of vertices, by default the largest index + 1.

    Raises TypeError or ValueError for a wrong dtype or shape, or an index out of range.
    """
    check_tensor(faces, "faces", ("F", 3), dtypes=(torch.int64,))
    if num_vertices is None:
        num_vertices = int(faces.max()) + 1 if faces.numel() else 0
    check_integer(num_vertices, "num_vertices", minimum=0)
    check_indices(faces, "faces", num_vertices, "vertices")
    return num_vertices


def half_edges(faces: torch.Tensor) -> torch.Tensor:
    """Return (3 F, 2): first, second, third edge of every face, in the direction of winding."""
    return torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def unique_edges(faces: torch.Tensor) -> torch.Tensor:
    """Return (E, 2): every pair of different vertices that some face joins, once, sorted."""
    edges = torch.unique(half_edges(faces).sort(1).values, dim=0)
    return edges[edges[:, 0] != edges[:, 1]]


def adjacent_faces(faces: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (P, 2): each pair of faces at an edge; and (P,): -1 if their windings disagree.

    Neighbours that are wound alike run along their common edge in opposite directions.
    """
    index = torch.arange(len(faces), device=faces.device).repeat(3)
    edges = half_edges(faces)
    flat = (faces == faces.roll(1, 1)).any(1)[index]
    forward = edges[:, 0] < edges[:, 1]
    _, edge = torch.unique(edges.sort(1).values, dim=0, return_inverse=True)
    order = edge.argsort(stable=True)
    order = order[~flat[order]]
    index, edge, forward = index[order], edge[order], forward[order]
    pairs, alike = [index.new_zeros(0, 2)], [forward.new_zeros(0)]
    # neighbours 1 apart, 2 apart, ... in the sorted list, as long as some share their edge
    for apart in range(1, len(edge)):
        same = edge[apart:] == edge[:-apart]
        if not bool(same.any()):
            break
        pairs.append(torch.stack([index[:-apart][same], index[apart:][same]], 1))
        alike.append((forward[:-apart] != forward[apart:])[same])
    return torch.cat(pairs), torch.cat(alike).long() * 2 - 1
