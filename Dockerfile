# The whole of wablock in one image: worker, command line and simulator.
#   docker build -t wablock --build-arg VERSION=v1.2.3 --build-arg COMMIT="$(git rev-parse HEAD)" .
#   docker run --rm wablock version

# The newest patch of the release that go.mod names, which CI checks.
ARG GO_VERSION=1.26.8

FROM --platform=$BUILDPLATFORM golang:${GO_VERSION}-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH
ARG VERSION="" COMMIT=""
# Without cgo the binary is static; timetzdata gives cron schedules with a CRON_TZ their zones.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -tags timetzdata \
      -ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT" \
      -o /out/wablock ./cmd/wablock

# Alpine rather than an empty image: its wget is the health probe, its shell is for operators.
FROM alpine:3.23
LABEL org.opencontainers.image.title="wablock" \
      org.opencontainers.image.description="Blocks and unblocks WhatsApp users through Meta's Block Users API, in the order asked and within its rate limit" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/wablock /usr/local/bin/wablock
# A number, so that Kubernetes can see that it is not root. Nothing is written to disk.
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["wablock"]
CMD ["worker"]
