"""Tests of single-view reconstruction."""
