# What a network's own code needs beside torch (export.packages of a recipe), on top of the image
# that exports run in. `hef` builds it when a recipe asks; the compiler never runs in it with a
# suite.
#
# BASE is the image that exports run in, PYTHON its Python.
ARG BASE
FROM ${BASE} AS added
ARG PYTHON=python
USER root
COPY docker/emulator/wheels /build/wheels
COPY docker/emulator/add-packages.sh packages.txt /build/
RUN sh /build/add-packages.sh "${PYTHON}" /build/packages.txt /layer

# Wheels, and the pip.conf and CA file of a company network, stay behind.
FROM ${BASE}
COPY --from=added /layer /
LABEL org.hefsmith.image=export-packages
