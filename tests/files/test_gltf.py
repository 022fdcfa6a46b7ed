"""glTF and GLB: materials, images, wraps, places, numbers of every kind, and what cannot be read."""

from __future__ import annotations

import base64
import json
import struct
import warnings
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

import taichisoft as ts

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
QUAD = np.array([0, 1, 2, 2, 3, 0], np.uint16)
UV = np.array([[0, 0], [3, 0], [3, 1], [0, 1]], np.float32)
TEXELS = np.random.default_rng(0).integers(0, 256, (2, 3, 4), np.uint8)
CODES = {"i1": 5120, "u1": 5121, "u2": 5123, "u4": 5125, "f4": 5126}
TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}


def png(texels: np.ndarray) -> bytes:
    out = BytesIO()
    Image.fromarray(texels).save(out, "PNG")
    return out.getvalue()


class Builder:
    """A file of primitives that are added one by one, each a mesh and a node of its own."""

    def __init__(self) -> None:
        self.buffer = b""
        self.tree = {
            "asset": {"version": "2.0"}, "nodes": [], "meshes": [], "accessors": [], "bufferViews": [],
        }  # fmt: skip

    def view(self, content: bytes, **more) -> int:
        """Add bytes, and return the number of their view."""
        place = {"buffer": 0, "byteOffset": len(self.buffer), "byteLength": len(content)}
        self.buffer += content + bytes(-len(content) % 4)
        self.tree["bufferViews"].append(place | more)
        return len(self.tree["bufferViews"]) - 1

    def accessor(self, values: np.ndarray, view: int | None = None, **more) -> int:
        """Add rows of numbers, and return the number of their accessor."""
        rows = values.reshape(len(values), -1)
        stated = {
            "bufferView": self.view(rows.tobytes()) if view is None else view,
            "componentType": CODES[values.dtype.str[1:]],
            "count": len(rows),
            "type": TYPES[rows.shape[1]],
        }
        self.tree["accessors"].append(stated | more)
        return len(self.tree["accessors"]) - 1

    def add(self, material=None, *, index=QUAD, mode=4, node=None, **attributes) -> dict:
        """Add a quad, by default, and return its primitive; attributes are arrays or accessors."""
        given = {"POSITION": CORNERS} | attributes
        numbers = {n: x if isinstance(x, int) else self.accessor(x) for n, x in given.items()}
        primitive = {"attributes": numbers, "mode": mode}
        if index is not None:
            primitive["indices"] = self.accessor(index)
        if material is not None:
            primitive["material"] = material
        self.tree["meshes"].append({"primitives": [primitive]})
        self.tree["nodes"].append({"mesh": len(self.tree["meshes"]) - 1} | (node or {}))
        return primitive

    def material(self, factor=(1, 1, 1, 1), texture=None, **more) -> int:
        """Add a material, and return its number."""
        base = {"baseColorFactor": list(factor)}
        if texture is not None:
            base["baseColorTexture"] = texture
        self.tree.setdefault("materials", []).append({"pbrMetallicRoughness": base} | more)
        return len(self.tree["materials"]) - 1

    def image(self, texels=TEXELS, **sampler) -> int:
        """Add an image, with a texture of it, whose number is returned."""
        view = self.view(png(texels))
        self.tree.setdefault("images", []).append({"bufferView": view, "mimeType": "image/png"})
        texture = {"source": len(self.tree["images"]) - 1}
        if sampler:
            self.tree.setdefault("samplers", []).append(sampler)
            texture["sampler"] = len(self.tree["samplers"]) - 1
        self.tree.setdefault("textures", []).append(texture)
        return len(self.tree["textures"]) - 1

    def write(self, folder, name="a.glb", uri=None):
        """Write the file, and return its path."""
        self.tree["buffers"] = [{"byteLength": len(self.buffer)}]
        if uri is not None:
            self.tree["buffers"][0]["uri"] = uri
        text = json.dumps(self.tree).encode()
        if name.endswith(".gltf"):
            (folder / name).write_bytes(text)
            return folder / name
        text += b" " * (-len(text) % 4)
        body = struct.pack("<I4s", len(text), b"JSON") + text
        body += struct.pack("<I4s", len(self.buffer), b"BIN\0") + self.buffer
        (folder / name).write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body)
        return folder / name

    def load(self, folder, **options) -> ts.Mesh:
        """Write the file, and read it."""
        return ts.load_mesh(self.write(folder), dtype=torch.float64, **options)


def levels(texels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(texels).double() / 255


def test_images_plain_colours_and_no_material_side_by_side(tmp_path):
    file = Builder()
    texture = file.image(wrapS=33071, wrapT=33648)
    painted = file.material((0.5, 1, 0.25, 1), {"index": texture}, name="painted")
    plain = file.material((0.1, 0.2, 0.3, 0.5), name="plain", alphaMode="BLEND")
    file.add(painted, TEXCOORD_0=UV)
    file.add(plain)
    file.add()
    mesh = file.load(tmp_path)
    assert (mesh.num_vertices, mesh.num_faces) == (12, 6)
    assert mesh.face_materials.tolist() == [0, 0, 1, 1, 2, 2]
    first, second, third = mesh.materials
    assert first.image.equal(levels(TEXELS[..., :3]))
    assert first.color.tolist() == [0.5, 1, 0.25]
    assert first.image_opacity is first.opacity is None  # alphaMode is OPAQUE
    assert (first.wrap_u, first.wrap_v) == (ts.Wrap.CLAMP, ts.Wrap.MIRROR)
    assert (second.name, second.image) == ("plain", None)
    assert second.color.tolist() == [0.1, 0.2, 0.3]
    assert second.opacity.item() == 0.5
    assert third.color.tolist() == [1, 1, 1]
    # v is counted from the lower edge
    assert mesh.uv[mesh.faces[0]].tolist() == [[0, 1], [3, 1], [3, 0]]
    assert mesh.vertex_colors is None


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_one_image_of_two_materials_is_one_tensor(tmp_path, precision):
    file = Builder()
    texture = file.image()
    for factor in ((1, 0, 0, 1), (0, 1, 0, 1)):
        file.add(file.material(factor, {"index": texture}), TEXCOORD_0=UV)
    first, second = ts.load_mesh(file.write(tmp_path), dtype=precision).materials
    assert first.image.dtype == precision
    assert first.image.data_ptr() == second.image.data_ptr()


@pytest.mark.parametrize("place", ["beside", "embedded"])
def test_gltf_with_files_beside_it_and_with_embedded_ones(place, tmp_path):
    file = Builder()
    texture = file.image()
    file.add(file.material(texture={"index": texture}), TEXCOORD_0=UV)
    if place == "beside":
        (tmp_path / "my data.bin").write_bytes(file.buffer)
        (tmp_path / "an image.png").write_bytes(png(TEXELS))
        file.tree["images"] = [{"uri": "an%20image.png"}]
        path = file.write(tmp_path, "a.gltf", "my%20data.bin")
    else:
        code = base64.b64encode(png(TEXELS)).decode()
        file.tree["images"] = [{"uri": f"data:image/png;base64,{code}"}]
        code = base64.b64encode(file.buffer).decode()
        path = file.write(tmp_path, "a.gltf", f"data:application/octet-stream;base64,{code}")
    mesh = ts.load_mesh(path, dtype=torch.float64)
    assert mesh.vertices.tolist() == CORNERS.tolist()
    assert mesh.materials[0].image.equal(levels(TEXELS[..., :3]))
    if place == "beside":
        (tmp_path / "an image.png").unlink()
        with pytest.warns(UserWarning, match=r"a\.gltf: texture must be .* got .*an image\.png"):
            assert ts.load_mesh(path).materials is None
        assert ts.load_mesh(path, materials=False).num_faces == 2
        (tmp_path / "my data.bin").unlink()
        with pytest.raises(ValueError, match=r"a\.gltf: buffer 0 must be an existing .*my data"):
            ts.load_mesh(path)


ALPHA = levels(TEXELS[..., 3])


@pytest.mark.filterwarnings("ignore:.*alphaCutoff is compared")
@pytest.mark.parametrize(
    ("more", "opacity", "of_texels", "of_vertices"),
    [
        ({}, None, None, None),
        ({"alphaMode": "OPAQUE"}, None, None, None),
        ({"alphaMode": "BLEND"}, 0.5, ALPHA, [0, 102 / 255, 128 / 255, 1]),
        ({"alphaMode": "MASK"}, None, (ALPHA / 2 >= 0.5).double(), [0, 0, 0, 1]),
        (
            {"alphaMode": "MASK", "alphaCutoff": 0.1},
            None,
            (ALPHA / 2 >= 0.1).double(),
            [0, 1, 1, 1],
        ),
    ],
)
def test_modes_of_alpha(more, opacity, of_texels, of_vertices, tmp_path):
    file = Builder()
    colors = np.array([[255, 0, 0, a] for a in (0, 102, 128, 255)], np.uint8)
    material = file.material((1, 1, 1, 0.5), {"index": file.image()}, **more)
    file.add(material, TEXCOORD_0=UV, COLOR_0=file.accessor(colors, normalized=True))
    mesh = file.load(tmp_path)
    (found,) = mesh.materials
    assert (None if found.opacity is None else found.opacity.item()) == opacity
    if of_texels is None:
        assert found.image_opacity is None
    else:
        assert found.image_opacity.equal(of_texels)
    if of_vertices is None:
        assert mesh.vertex_opacity is None
    else:
        assert mesh.vertex_opacity.tolist() == of_vertices
    assert mesh.vertex_colors.tolist() == [[1, 0, 0]] * 4
    bare = file.load(tmp_path, materials=False)
    assert bare.materials is bare.uv is None
    assert (bare.vertex_opacity is None) == (of_vertices is None)
    if of_vertices is not None:
        assert bare.vertex_opacity.equal(mesh.vertex_opacity)


def test_a_cutoff_of_texels_and_vertices_is_a_warning(tmp_path):
    file = Builder()
    texels = np.dstack([TEXELS[..., :3], [[0, 255, 255], [255, 100, 9]]]).astype(np.uint8)
    material = file.material(texture={"index": file.image(texels)}, alphaMode="MASK")
    colors = np.ones((4, 4), np.float32)
    file.add(material, TEXCOORD_0=UV, COLOR_0=colors)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        file.load(tmp_path)
    colors[2, 3] = 0.7
    file.add(material, TEXCOORD_0=UV, COLOR_0=colors)
    with pytest.warns(
        UserWarning, match=r"a\.glb: alphaCutoff is compared with texels and vertices ap"
    ):
        file.load(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        file.load(tmp_path, materials=False)


def test_what_has_no_material_is_opaque(tmp_path):
    file = Builder()
    colors = file.accessor(np.array([[255, 0, 0, 0]] * 4, np.uint8), normalized=True)
    file.add(COLOR_0=colors)
    assert file.load(tmp_path).vertex_opacity is None


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
@pytest.mark.parametrize("channels", [3, 4])
def test_colors_of_vertices_of_every_type(kind, channels, tmp_path):
    largest = {"u1": 255, "u2": 65535, "f4": 1}[kind]
    values = np.array([[1, 0.2, 0, 0.6]] * 4)[:, :channels] * largest
    file = Builder()
    colors = values.astype(kind)
    if kind == "u1":  # rows begin at multiples of 4
        padded = np.zeros((4, 4), np.uint8)
        padded[:, :channels] = colors
        view = file.view(padded.tobytes(), byteStride=4)
        stored = file.accessor(colors, view, normalized=True)
    else:
        stored = file.accessor(colors, normalized=kind == "u2")
    file.add(file.material(alphaMode="BLEND"), COLOR_0=stored)
    mesh = file.load(tmp_path)
    expected = torch.tensor([[1, 0.2, 0]] * 4, dtype=torch.float64)
    torch.testing.assert_close(mesh.vertex_colors, expected, rtol=0, atol=1e-6)
    if channels == 4:
        assert mesh.vertex_opacity.tolist() == pytest.approx([0.6] * 4)
    else:
        assert mesh.vertex_opacity is None


def test_nodes_place_their_meshes(tmp_path):
    file = Builder()
    file.add(
        node={"translation": [1, 2, 3], "rotation": [0, 0, 0.5**0.5, 0.5**0.5], "scale": [2, 1, 1]}
    )
    matrix = [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 5, 0, 0, 1]  # column by column: a mirror
    file.add(node={"matrix": matrix})
    file.add()
    file.tree["nodes"].append({"children": [1], "translation": [0, 10, 0]})
    file.tree["scenes"] = [{"nodes": []}, {"nodes": [0, 3]}]
    file.tree["scene"] = 1
    mesh = file.load(tmp_path)
    assert mesh.num_vertices == 8  # the third mesh is in no scene
    turned, mirrored = mesh.vertices.split(4)
    expected = [[1, 2, 3], [1, 4, 3], [0, 4, 3], [0, 2, 3]]
    torch.testing.assert_close(turned, torch.tensor(expected, dtype=torch.float64))
    assert mirrored.tolist() == [[5, 10, 0], [4, 10, 0], [4, 11, 0], [5, 11, 0]]
    # what is mirrored is turned round, so that it faces where it did
    assert ts.face_normals(mesh)[:, 2].tolist() == pytest.approx([1, 1, 1, 1])


def test_strips_fans_and_corners_without_indices(tmp_path):
    file = Builder()
    file.add(mode=5, index=np.array([0, 1, 3, 2], np.uint8))
    file.add(mode=6, index=np.arange(4, dtype=np.uint32))
    file.add(index=None, POSITION=CORNERS[QUAD])
    file.add(mode=1)  # lines
    mesh = file.load(tmp_path)
    expected = [[0, 1, 3], [3, 1, 2], [4, 5, 6], [4, 6, 7], [8, 9, 10], [11, 12, 13]]
    assert sorted(map(sorted, mesh.faces.tolist())) == sorted(map(sorted, expected))
    assert (ts.face_normals(mesh)[:, 2] > 0.99).all()


def test_sparse_and_interleaved_and_quantised_numbers(tmp_path):
    file = Builder()
    rows = np.zeros((4, 5), np.float32)
    rows[:, :3], rows[:, 3:] = CORNERS, UV
    view = file.view(rows.tobytes(), byteStride=20)
    uv = file.accessor(UV, view, byteOffset=12)
    sparse = {
        "count": 1,
        "indices": {
            "bufferView": file.view(np.array([2], np.uint8).tobytes()),
            "componentType": 5121,
        },
        "values": {"bufferView": file.view(np.array([9, 8, 7], np.float32).tobytes())},
    }
    positions = file.accessor(CORNERS, view, sparse=sparse)
    file.add(file.material(texture={"index": file.image()}), POSITION=positions, TEXCOORD_0=uv)
    small = file.accessor((CORNERS * 127).astype(np.int8), normalized=True)
    file.add(POSITION=small)
    file.tree["extensionsRequired"] = ["KHR_mesh_quantization"]
    mesh = file.load(tmp_path)
    expected = CORNERS.copy()
    expected[2] = [9, 8, 7]
    assert mesh.vertices[:4].tolist() == expected.tolist()
    assert mesh.vertices[4:].tolist() == CORNERS.tolist()
    assert mesh.uv[:4, 0].tolist() == [0, 3, 3, 0]


def test_texture_transform_and_other_coordinates(tmp_path):
    file = Builder()
    moved = {"offset": [0.5, 0.25], "rotation": np.pi / 2, "scale": [2, 1]}
    texture = {"index": file.image(), "extensions": {"KHR_texture_transform": moved}, "texCoord": 1}
    file.add(file.material(texture=texture), TEXCOORD_0=UV, TEXCOORD_1=UV + 1)
    mesh = file.load(tmp_path)
    u, v = 2 * (UV[:, 0] + 1.0), UV[:, 1] + 1.0
    # turned counter-clockwise as seen, where v runs down, and then moved
    expected = np.stack([v + 0.5, 1 - (-u + 0.25)], -1)
    np.testing.assert_allclose(mesh.uv.numpy(), expected, atol=1e-12)


def test_an_image_without_coordinates(tmp_path):
    file = Builder()
    file.add(file.material((1, 0, 0, 1), {"index": file.image()}, name="m"))
    with pytest.warns(UserWarning, match=r"a\.glb: faces of material 'm' have no UV coordinates"):
        mesh = file.load(tmp_path)
    assert mesh.materials[0].image is None
    assert mesh.materials[0].color.tolist() == [1, 0, 0]
    file.add(0)
    file.add(0, TEXCOORD_0=UV)
    with pytest.warns(UserWarning, match="have no UV coordinates"):
        mesh = file.load(tmp_path)
    assert mesh.face_materials.tolist() == [0, 0, 0, 0, 1, 1]


def test_skins_are_said_not_to_be_read(tmp_path):
    file = Builder()
    file.add(node={"skin": 0})
    with pytest.warns(UserWarning, match="skins are not read"):
        file.load(tmp_path)


def damage(change) -> Builder:
    file = Builder()
    file.add(file.material(texture={"index": file.image()}), TEXCOORD_0=UV)
    change(file)
    return file


def put(*keys, value):
    """Return the change that puts a value into the tree."""

    def change(file: Builder) -> None:
        place = file.tree
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


DAMAGED = {
    "Draco": (
        put("extensionsRequired", value=["KHR_draco_mesh_compression"]),
        "requires the extension KHR_draco_mesh_compression, which is not supported",
    ),
    "material": (
        put("meshes", 0, "primitives", 0, "material", value=7), "1 materials, and number 7 is needed"
    ),
    "accessor": (
        put("meshes", 0, "primitives", 0, "indices", value=9), "3 accessors, and number 9 is needed"
    ),
    "kind": (
        put("accessors", 0, "componentType", value=1), r"accessor 0: componentType must be one of .* got 1",
    ),
    "nothing": (lambda file: file.tree["accessors"][0].pop("type"), r"accessors\[0\]\.type is missing"),
    "count": (put("accessors", 0, "count", value=99), "accessor 0 needs 1188 bytes of a view of 48"),
    "compressed": (
        put("accessors", 0, "bufferView", value=None), r"accessors\[0\]\.bufferView must be a whole.* None",
    ),
    "negative": (put("accessors", 0, "count", value=-1), r"accessors\[0\]\.count must be a whole .* -1"),
    "list": (put("accessors", 0, value=[]), r"accessors\[0\] must be an object, got \[\]"),
    "no list": (put("nodes", value={}), r"the JSON\.nodes must be a list, got \{\}"),
    "attributes": (
        put("meshes", 0, "primitives", 0, "attributes", "POSITION", value="x"),
        r"meshes\[0\]\.primitives\[0\]\.attributes\.POSITION must be a whole number, 0 or more, got 'x'",
    ),
    "place": (put("nodes", 0, "rotation", value=[0, 0, 1]), r"nodes\[0\]\.rotation must be 4 finite numbers"),
    "huge place": (put("nodes", 0, "matrix", value=[1e300] * 16), "vertices must be finite"),
    "whole number": (put("nodes", 0, "scale", value=[1, 1, 10**400]), r"nodes\[0\]\.scale must be 3 finite"),
    "no number": (put("materials", 0, "alphaCutoff", value=float("nan")), "alphaCutoff must be .* got nan"),
    "name": (put("images", 0, "uri", value=3), r"images\[0\]\.uri must be a text, got 3"),
    "no image": (lambda file: file.tree["images"][0].clear(), "image 0 has neither a URI nor a bufferView"),
    "normalized": (put("accessors", 0, "normalized", value="no"), "must be true or false, got 'no'"),
    "long": (put("nodes", 0, "mesh", value=[1] * 99), r"nodes\[0\]\.mesh must .* got \[1, [1, ]{33}\.\.\.$"),
    "view": (put("bufferViews", 1, "byteLength", value=9999), "of a buffer of"),
    "stride": (put("bufferViews", 1, "byteStride", value=1), "accessor 0 needs"),
    "index": (put("accessors", 0, "count", value=2), "faces need vertices outside of 0 to 1"),
    "wrap": (
        lambda file: file.tree.update(samplers=[{"wrapS": 1}]) or file.tree["textures"][0].update(sampler=0),
        r"wrapS and wrapT must be one of \[10497, 33071, 33648\], got 1",
    ),
    "alpha": (put("materials", 0, "alphaMode", value="GLASS"), "alphaMode must be OPAQUE, MASK or BLEND"),
    "factor": (
        put("materials", 0, "pbrMetallicRoughness", "baseColorFactor", value=[1, 1, 1, 2]),
        "baseColorFactor must be four numbers",
    ),
    "huge": (
        put("materials", 0, "pbrMetallicRoughness", "baseColorFactor", value=[1, 1e300, 1, 1]),
        "color in float32 must be finite",
    ),
    "image": (put("images", 0, "uri", value="data:image/png;base64,AAAA"), "0 must be a readable image"),
    "text": (put("images", 0, "uri", value="data:image/png,AAAA"), "data in a URI must be base64"),
    "loop": (put("nodes", 0, "children", value=[0]), "mesh with vertices and faces, got 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_damaged(name, tmp_path):
    change, message = DAMAGED[name]
    path = damage(change).write(tmp_path)
    with pytest.raises(
        ValueError, match=rf"path must be a readable .*a\.glb: .*{message}|{message} .*a\.glb"
    ):
        ts.load_mesh(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"nodes": [', "the JSON cannot be read: Expecting value: line 1 column 12"),
        (b'{"nodes": "\xff"}', "the JSON cannot be read: 'utf-8' codec"),
        (b"[" * 100_000, "the JSON cannot be read: maximum recursion depth"),
        (b"[]", r"the JSON must be an object, got \[\]"),
    ],
)
def test_json_that_cannot_be_read(content, message, tmp_path):
    path = tmp_path / "a.gltf"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"path must be a readable .*a\.gltf: {message}"):
        ts.load_mesh(path)


def test_shapes_are_read_of_files_whose_materials_are_damaged(tmp_path):
    file = Builder()
    file.add(file.material(texture={"index": file.image()}), TEXCOORD_0=UV)
    file.tree["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"] = 3
    path = file.write(tmp_path)
    with pytest.raises(ValueError, match=r"baseColorTexture must be an object, got 3"):
        ts.load_mesh(path)
    assert ts.load_mesh(path, materials=False).num_faces == 2


def test_morph_targets_are_a_warning(tmp_path):
    file = Builder()
    primitive = file.add()
    primitive["targets"] = [{"POSITION": file.accessor(CORNERS + 1)}]
    path = file.write(tmp_path)
    with pytest.warns(UserWarning, match=r"a\.glb: morph targets are not read: vertices are where"):
        mesh = ts.load_mesh(path)
    np.testing.assert_array_equal(mesh.vertices.numpy(), CORNERS)


def test_places_that_are_infinite_together(tmp_path):
    file = Builder()
    file.add(node={"scale": [1e200, 1, 1]})
    file.tree["nodes"].append({"scale": [1e200, 1, 1], "children": [0]})
    with pytest.raises(ValueError, match=r"the place of nodes\[0\] must be finite"):
        ts.load_mesh(file.write(tmp_path))


def test_a_rotation_of_any_length(tmp_path):
    file = Builder()
    file.add(node={"rotation": [0, 0, 1e300, 1e300]})
    mesh = ts.load_mesh(file.write(tmp_path))
    expected = np.stack([-CORNERS[:, 1], CORNERS[:, 0], CORNERS[:, 2]], -1)
    np.testing.assert_allclose(mesh.vertices.numpy(), expected, rtol=0, atol=1e-6)
