"""Cameras as other programs describe them, both ways: methods of `taichisoft.Camera`, one file a program."""
