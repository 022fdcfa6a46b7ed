"""Workers that render: started by spawn, or forked before the first render of this process."""

import torch.multiprocessing as processes

import taichisoft as ts


def covered(angle: float) -> float:
    """Render in a worker; numbers go back, or tensors without a gradient."""
    ts.init("cpu")
    camera = ts.Camera.orbit(3.0, angle, 20.0, image_size=(32, 32))
    return float(ts.SoftRasterizer().silhouette(ts.shapes.mug(), camera).mean())


if __name__ == "__main__":
    with processes.get_context("spawn").Pool(2) as pool:
        areas = pool.map(covered, [0.0, 90.0])
    assert areas == [covered(0.0), covered(90.0)]
