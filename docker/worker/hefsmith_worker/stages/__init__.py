"""The stages of a build; each module has ``run(workspace) -> dict`` of what it found out."""
