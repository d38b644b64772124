"""Workflows for a user's project: the emulator on every push, the suite on a runner of theirs.

What they run are plain commands of ``hef``; everything in them may be changed by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import ConfigError
from orchestrator.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Where each service looks for its workflow, below the project.
PLACES: Mapping[str, str] = {
    "github": ".github/workflows/hefsmith.yml",
    "gitlab": ".gitlab-ci.yml",
}

GITHUB = """\
# Written by: hef init --ci github
# Every push: all models with the emulator, which needs nothing of Hailo's. What it makes is no
# measure of a chip; it finds what breaks recipes, networks and calibration sets.
# Set the variable HEFSMITH_SUITE to true (Settings, Variables) when a runner of yours has the
# labels self-hosted and hailo, Docker, and a suite that was imported with: hef toolchain import
name: hefsmith

on:
  push:
  pull_request:
  workflow_dispatch:

permissions:
  contents: read
  pull-requests: write

concurrency:
  group: hefsmith-${{ github.ref }}
  cancel-in-progress: true

jobs:
  emulator:
    runs-on: ubuntu-latest
    timeout-minutes: 60
    env:
      HEFSMITH_CACHE: ${{ github.workspace }}/.hefsmith
      HEFSMITH_TRUST: "1"  # this machine is thrown away; the models' code runs here
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - uses: actions/cache@v4
        with:
          path: .hefsmith
          key: hefsmith-${{ github.run_id }}
          restore-keys: hefsmith-
      - run: pip install "hefsmith[emulator]"
      - name: Build and prove on the stand-in device
        run: hef up --all --engine local --toolchain emulator --json > hefsmith.json
      - name: Report
        if: always()
        run: |
          hef report --all --format md > hefsmith.md
          cat hefsmith.md >> "$GITHUB_STEP_SUMMARY"
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: hefsmith-emulator
          path: |
            hefsmith.json
            hefsmith.md
            artifacts/**/report.html
            artifacts/**/manifest.json
      - name: Comment on the pull request
        if: always() && github.event_name == 'pull_request'
        continue-on-error: true  # a fork's token may not write
        env:
          GH_TOKEN: ${{ github.token }}
        run: >-
          gh pr comment "${{ github.event.pull_request.number }}"
          --body-file hefsmith.md --edit-last --create-if-none

  suite:
    # A push only: the code of a stranger's pull request has no business on your own machine.
    if: vars.HEFSMITH_SUITE == 'true' && github.event_name != 'pull_request'
    runs-on: [self-hosted, hailo]
    timeout-minutes: 720
    steps:
      - uses: actions/checkout@v4
      - name: Build with the suite
        run: hef build --all --toolchain suite --json > hefsmith.json
      - name: Report
        if: always()
        run: |
          hef report --all --format md > hefsmith.md
          cat hefsmith.md >> "$GITHUB_STEP_SUMMARY"
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: hefsmith-suite
          path: |
            hefsmith.json
            hefsmith.md
            artifacts/**/*.hef
            artifacts/**/report.html
            artifacts/**/manifest.json
"""

GITLAB = """\
# Written by: hef init --ci gitlab
# Every push: all models with the emulator, which needs nothing of Hailo's. What it makes is no
# measure of a chip; it finds what breaks recipes, networks and calibration sets.
# Set the variable HEFSMITH_SUITE to true when a runner of yours has the tag hailo, Docker, and a
# suite that was imported with: hef toolchain import
# Set HEFSMITH_COMMENT_TOKEN (masked; a project token with the scope api) for a comment with the
# table of verdicts on merge requests.

hefsmith:emulator:
  image: python:3.12
  timeout: 1h
  variables:
    HEFSMITH_CACHE: $CI_PROJECT_DIR/.hefsmith
    HEFSMITH_TRUST: "1"  # this container is thrown away; the models' code runs here
  cache:
    key: hefsmith
    paths: [.hefsmith/]
  script:
    - pip install "hefsmith[emulator]"
    - hef up --all --engine local --toolchain emulator --json > hefsmith.json
  after_script:
    - hef report --all --format md > hefsmith.md
    - |
      if [ -n "$CI_MERGE_REQUEST_IID" ] && [ -n "$HEFSMITH_COMMENT_TOKEN" ]; then
        curl --fail --silent --show-error --output /dev/null \\
          --header "PRIVATE-TOKEN: $HEFSMITH_COMMENT_TOKEN" \\
          --data-urlencode "body@hefsmith.md" \\
          "$CI_API_V4_URL/projects/$CI_PROJECT_ID/merge_requests/$CI_MERGE_REQUEST_IID/notes"
      fi
  artifacts:
    when: always
    paths:
      - hefsmith.json
      - hefsmith.md
      - artifacts/**/report.html
      - artifacts/**/manifest.json
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
    - if: $CI_COMMIT_BRANCH && $CI_OPEN_MERGE_REQUESTS
      when: never  # the same commit is built for its merge request
    - if: $CI_COMMIT_BRANCH

hefsmith:suite:
  tags: [hailo]
  timeout: 12h
  script:
    - hef build --all --toolchain suite --json > hefsmith.json
  after_script:
    - hef report --all --format md > hefsmith.md
  artifacts:
    when: always
    paths:
      - hefsmith.json
      - hefsmith.md
      - artifacts/**/*.hef
      - artifacts/**/report.html
      - artifacts/**/manifest.json
  rules:
    - if: $HEFSMITH_SUITE == "true" && $CI_PIPELINE_SOURCE != "merge_request_event"
"""

TEXTS: Mapping[str, str] = {"github": GITHUB, "gitlab": GITLAB}


def write_workflow(project: Path, service: str, *, force: bool = False) -> Path:
    """Write the workflow of a service into a project and return the file.

    Raises :class:`ConfigError` for a service that is not known, or a file that already exists.
    """
    if service not in PLACES:
        msg = f"--ci: {service!r} is not known"
        raise ConfigError(msg, hint="It writes workflows for: github, gitlab.", code="init.ci")
    path = project / PLACES[service]
    if path.exists() and not force:
        msg = f"{path} already exists"
        raise ConfigError(msg, hint="--force replaces it", code="init.exists")
    if not path.parent.resolve().is_relative_to(project.resolve()):
        msg = f"{path.parent} is a link to {path.parent.resolve()}: the workflow would go there"
        raise ConfigError(msg, hint="Remove the link.", code="init.link")
    write_atomic(path, TEXTS[service])
    return path
