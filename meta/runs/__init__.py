"""Runs of meta-training: folders, checkpoints, histories, and how they stop and go on."""
