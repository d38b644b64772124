"""What hefsmith stands on: known holes, a bill of materials, and the lowest versions.

    python -m tests.dependencies audit            known holes of what is installed here
    python -m tests.dependencies bom bom.json     a bill of materials (CycloneDX)
    python -m tests.dependencies lowest           tests with the lowest versions that we allow

The tools (pip-audit, cyclonedx-bom, uv) are installed into ``.venv-dependencies``, apart from ours.
"""
