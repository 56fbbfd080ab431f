# The image is the binary and nothing else: no shell, no package, no root. scripts/image builds the
# binary and then this, with a context that holds only the binary; nothing is pulled.
FROM scratch
COPY --chmod=0555 stateward /stateward
USER 65532:65532
# Reviews; probes and metrics.
EXPOSE 9443 9080
ENTRYPOINT ["/stateward"]
