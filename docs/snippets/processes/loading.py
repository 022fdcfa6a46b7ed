"""Workers that load data: any way of starting them, at any time."""

import torch
from torch.utils.data import DataLoader, Dataset

import taichisoft as ts

CAMERA = ts.Camera.look_at(eye=(1.0, 1.0, 3.0), fov=40, image_size=(32, 32))


class Masks(Dataset):
    """Numbers that a worker reads; here it makes them."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.full((32, 32), index / 4)


if __name__ == "__main__":
    alpha = ts.SoftRasterizer().silhouette(ts.shapes.mug(), CAMERA)  # kernels run here already
    for masks in DataLoader(Masks(), batch_size=2, num_workers=2):
        assert ts.iou(alpha.expand(2, -1, -1), masks).shape == (2,)
