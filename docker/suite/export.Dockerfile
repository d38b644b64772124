# An export environment beside the compiler: CPU torch and ONNX in a virtual environment of
# their own, on top of a suite image. torch, ultralytics and numpy 2 never touch the pins of the
# compiler's environment, which stays as the vendor made it.
#
# SUITE is the image to build on, by id. Built by `hef toolchain import --export-layer`.
ARG SUITE
FROM ${SUITE}
USER root
COPY docker/suite/wheels /build/wheels
COPY docker/suite/export-requirements.txt docker/suite/install-export.sh /build/
RUN sh /build/install-export.sh /local/hefsmith_export /build/export-requirements.txt \
    && rm -rf /build
LABEL org.hefsmith.image=suite-export
USER hailo
