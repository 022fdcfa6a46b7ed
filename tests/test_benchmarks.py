"""The benchmark runs, with short loops."""

from __future__ import annotations

import json

import numpy as np

from benchmarks import bench


def test_smoke(tmp_path, capsys):
    out = tmp_path / "bench"
    bench.main(
        ["--out", str(out), "--rounds", "2", "--sizes", "16", "--sigmas", "1e-4"]
        + ["--subdivisions", "0"]
    )
    result = json.loads(out.with_suffix(".json").read_text())
    peers = {row["peer"] for row in result["rows"]}
    assert {"dense torch twin", "Gaussian, equal cut-off"} <= peers
    assert all(row["ours_ms"] > 0 and row["peer_ms"] > 0 for row in result["rows"])
    assert all(0 <= size < 200 for size in result["memory_mb"].values())
    assert out.with_suffix(".md").read_text() in capsys.readouterr().out


def test_ratio_is_ours_over_peer():
    def busy(times):
        return lambda: sum(range(times))

    slow = bench.Renderer("slow", busy(300_000), busy(300_000))
    fast = bench.Renderer("fast", busy(1_000), busy(1_000))
    rows = bench.compare("scene", slow, fast, rounds=5)
    assert [row.work for row in rows] == ["forward", "forward+backward"]
    assert all(row.ratio > 10 for row in rows)
    assert np.isclose(rows[0].ratio, rows[0].ours_ms / rows[0].peer_ms, rtol=0.9)
