"""Flat settings, of runs made before settings nested: where each of their names has gone.

Those runs had the options of all families and estimators. Only those of the ones that they used are kept.
"""

from __future__ import annotations

from typing import Any

from taichisoft.base.checks import check_type

Names = dict[str, str]


def _names(before: str, *names: str) -> Names:
    """Return the old name of each new one."""
    return {name: before + name for name in names}


FAMILIES: dict[str, Names] = {
    "pose": _names("pose_", "problems", "start", "shaded"),
    "shape3d": _names("shape3d_", "problems", "views", "subdivisions"),
    "shape2d": _names("shape2d_", "problems", "triangles", "displacement"),
    "occlusion": _names("occlusion_", "problems", "planes", "displacement"),
}
_EVOLUTION = _names("es_", "sigma", "pairs")
_HORIZON = _names("", "horizon")
GRADIENTS: dict[str, Names] = {
    "es": _EVOLUTION,
    "es-plain": _EVOLUTION,
    "es-persistent": _EVOLUTION | _HORIZON,
    "unrolled": {},
    "truncated": _HORIZON,
    "first-order": {},
}
GROUPS: dict[str, Names] = {
    "softness": _names(
        *("", "learn", "start", "coverage", "slope", "schedule", "shift", "scale", "scale_end"),
        *("aggregation", "aggregation_p", "occlusion", "gamma_schedule", "gamma", "gamma_end"),
        *("gamma_unit", "order", "conditioned", "knots", "shift_schedule", "aggregation_schedule"),
        "reach",
    ),
    "inner": _names("inner_", "steps", "rate") | _names("", "objective", "sharpness"),
    "outer": _names("outer_", "steps")
    | _names("", "learning_rate", "clip", "checkpoint_every", "shards"),
}


def nested(values: object) -> dict[str, Any]:
    """Return what `Settings.to_json` would have written of the settings of a run, flat ones or not.

    Raises
    ------
    TypeError
        Not a dict.
    """
    values = dict(check_type(values, "settings", dict))
    if values.keys() & GROUPS.keys() or isinstance(values.get("gradient"), dict):
        return values
    tables = (FAMILIES, GRADIENTS, GROUPS)
    parts = {kind: _taken(values, names) for table in tables for kind, names in table.items()}
    old = {name for table in tables for names in table.values() for name in names.values()}
    top = {name: value for name, value in values.items() if name not in old}
    if "families" in top:
        top["families"] = [{"name": name, **parts.get(name, {})} for name in top["families"]]
    # The usual one had its options as well.
    name = top.get("gradient", "es")
    top["gradient"] = {"name": name, **parts.get(name, {})}
    return top | {name: parts[name] for name in GROUPS}


def renamed() -> dict[str, str]:
    """Return what the options of the command line that are called otherwise now are called."""
    found: dict[str, list[str]] = {}
    for kind, names in {**FAMILIES, **GRADIENTS}.items():
        for new, old in names.items():
            found.setdefault(f"--{old.replace('_', '-')}", []).append(f"--{kind}.{new}")
    return {old: " or ".join(new) for old, new in found.items()}


def _taken(values: dict[str, Any], names: Names) -> dict[str, Any]:
    return {new: values[old] for new, old in names.items() if old in values}
