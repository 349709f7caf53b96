# The control plane: `docker build -t meltemi .` (or `make image`). Node runs the sources as they are, so an image is
# made of the sources, the packages that they need and the generated protobuf types; there is no shell in it, it runs as
# a user without rights and writes no file. It stands at the top, where docker and the tools around it look for it.
ARG NODE_IMAGE=node:24-trixie-slim
ARG RUNTIME_IMAGE=gcr.io/distroless/nodejs24-debian13:nonroot

# Packages of the running program, without their install scripts.
FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY packages/protos/package.json packages/protos/
COPY packages/agent/package.json packages/agent/
COPY packages/http2/package.json packages/http2/
COPY packages/proxy/package.json packages/proxy/
RUN npm ci --omit=dev --ignore-scripts --no-progress

# Generated code; its inputs are in packages that the running program does not have.
FROM ${NODE_IMAGE} AS protos
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY packages/protos/package.json packages/protos/
COPY packages/agent/package.json packages/agent/
COPY packages/http2/package.json packages/http2/
COPY packages/proxy/package.json packages/proxy/
RUN npm ci --ignore-scripts --no-progress
COPY protos protos
COPY packages/protos packages/protos
RUN node packages/protos/build/generate.ts

FROM ${RUNTIME_IMAGE}
LABEL org.opencontainers.image.title="Meltemi" \
      org.opencontainers.image.description="A service-mesh control plane for Envoy that takes Istio's configuration" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
ENV NODE_ENV=production
COPY --from=packages /app/node_modules node_modules
COPY --from=protos /app/packages/protos/gen packages/protos/gen
COPY packages/protos/package.json packages/protos/package.json
COPY packages/protos/src packages/protos/src
COPY packages/agent/package.json packages/agent/package.json
COPY packages/agent/src packages/agent/src
COPY packages/http2/package.json packages/http2/package.json
COPY packages/http2/src packages/http2/src
COPY packages/proxy/package.json packages/proxy/package.json
COPY packages/proxy/src packages/proxy/src
COPY package.json LICENSE ./
COPY src src
USER 65532:65532
EXPOSE 8080 15010 15014 15017
ENTRYPOINT ["/nodejs/bin/node", "--max-semi-space-size=16", "/app/src/cli/meltemi.mjs"]
CMD ["serve"]
