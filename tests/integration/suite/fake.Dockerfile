# A stand-in for the vendor's suite image: the emulator under the vendor's names, user, places
# and virtual environment, with the variable that its allocator reads unguarded. What imports
# and runs it must not be able to tell: the emulator's own interpreter and code are gone.
ARG EMULATOR
FROM ${EMULATOR} AS emulator
USER root
COPY place.sh site.py /build/
COPY cfg /build/cfg
RUN sh /build/place.sh

FROM emulator
ENV PYTHONPATH= \
    TAPPAS_WORKSPACE=/local/workspace/tappas \
    NVIDIA_REQUIRE_CUDA="cuda>=11.8 brand=tesla,driver>=470,driver<471" \
    PATH=/local/workspace/hailo_virtualenv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LABEL org.hefsmith.image=
WORKDIR /local/workspace
USER hailo
ENTRYPOINT ["/bin/sh", "-c", "echo this entry point wants a terminal >&2; exit 1"]
CMD ["/bin/bash"]
