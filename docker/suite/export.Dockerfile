# An export environment beside the compiler: CPU torch and ONNX in a virtual environment of
# their own, on top of a suite image. torch, ultralytics and numpy 2 never touch the pins of the
# compiler's environment, which stays as the vendor made it.
#
# SUITE is the image to build on, by id. Built by `hef toolchain import --export-layer`, which
# runs /local/hefsmith_export/bin/python in it (orchestrator/toolchain/suite.py).
ARG SUITE
FROM ${SUITE} AS libraries
USER root
COPY docker/suite/wheels /build/wheels
COPY docker/suite/export-requirements.txt docker/suite/install-export.sh /build/
RUN sh /build/install-export.sh /local/hefsmith_export /build/export-requirements.txt

# Wheels, and the pip.conf and CA file of a company network, stay behind. User, variables and
# entry point are the suite's own.
FROM ${SUITE}
COPY --from=libraries /local/hefsmith_export /local/hefsmith_export
LABEL org.hefsmith.image=suite-export
