// The table of who imports whom: one row a layer. A layer may import itself and what its row names, nothing else.
// ARCHITECTURE.md explains the rows.
const layers = {
  lib: [],
  config: ["lib"],
  api: ["lib"],
  model: ["lib", "api"],
  kube: ["lib"],
  ca: ["lib", "kube"],
  sources: ["lib", "api", "kube"],
  registry: ["lib", "api", "model"],
  snapshot: ["lib", "api", "model", "registry", "sources"],
  translate: ["lib", "api", "model", "snapshot"],
  push: ["lib", "model", "snapshot", "translate"],
  xds: ["lib", "model", "snapshot", "push", "translate"],
  http: ["lib", "api", "model", "snapshot", "translate", "push", "xds", "ca", "webhook"],
  inject: ["lib", "api"],
  webhook: ["lib", "api", "kube", "ca", "inject"],
  status: ["lib", "api", "kube"],
  autoregistration: ["lib", "api", "model", "kube", "sources"],
  cli: ["lib", "config", "api", "model", "inject", "bootstrap"],
  bootstrap: [
    "lib",
    "config",
    "api",
    "model",
    "sources",
    "registry",
    "snapshot",
    "translate",
    "push",
    "xds",
    "http",
    "kube",
    "ca",
    "webhook",
    "inject",
    "status",
    "autoregistration",
  ],
};

/** Packages from npm that only some places may know: [package, places]. */
const edges = [
  ["@grpc/grpc-js", "^src/xds/grpc-(server|tls)\\.ts$"],
  ["@kubernetes/client-node", "^src/kube/"],
  ["@peculiar/x509", "^src/ca/"],
  ["@peculiar/asn1-schema", "^src/ca/"],
  ["@peculiar/asn1-x509", "^src/ca/"],
  ["@peculiar/asn1-csr", "^src/ca/"],
  ["reflect-metadata", "^src/ca/"],
  ["fastify", "^src/http/"],
  ["pino", "^src/bootstrap/"],
  ["prom-client", "^src/http/"],
  ["commander", "^src/cli/"],
  ["picocolors", "^src/cli/"],
  ["yaml", "^src/(sources|api|kube|inject|cli)/"],
  ["rfc6902", "^src/inject/"],
  ["typebox", "^src/api/"],
];

/** Pure layers: no file, network, process or timer of the platform. */
const pure = "^src/(lib|api|model|registry|snapshot|translate|inject)/";

module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: { pathNot: "^packages/proxy/" }, to: { circular: true } },
    {
      name: "no-cycles-at-run-time",
      severity: "error",
      comment: "a request knows its connection, its route and its log, and they know it: as types",
      from: { path: "^packages/proxy/" },
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    ...Object.entries(layers).map(([layer, allowed]) => ({
      name: `layer-${layer}`,
      severity: "error",
      comment: `src/${layer} may import only itself${allowed.length ? ` and ${allowed.join(", ")}` : ""}`,
      from: { path: `^src/${layer}/`, pathNot: "\\.test\\.ts$" },
      to: { path: "^src/", pathNot: `^src/(${[layer, ...allowed].join("|")})/` },
    })),
    ...edges.map(([name, place]) => ({
      name: `edge-${name.replaceAll(/[^a-z]+/g, "-")}`,
      severity: "error",
      from: { path: "^src/", pathNot: [place, "\\.test\\.ts$"] },
      to: { path: `node_modules/${name}/` },
    })),
    {
      name: "pure-layers",
      severity: "error",
      comment: "pure layers take everything as data",
      from: { path: pure, pathNot: "\\.test\\.ts$" },
      to: { dependencyTypes: ["core"], pathNot: "^(node:)?(util|url|buffer|net|crypto)$" },
    },
    {
      name: "src-never-imports-tests",
      severity: "error",
      from: { path: "^src/", pathNot: "\\.test\\.ts$" },
      to: { path: "^(test|tools)/" },
    },
    {
      name: "packages-stand-alone",
      severity: "error",
      from: {
        path: "^packages/",
        pathNot: ["^packages/agent/", "^packages/proxy/test/", "/testing/", "\\.test\\.ts$"],
      },
      to: { path: "^(src|test|tools)/" },
    },
    {
      name: "http2-stands-alone",
      severity: "error",
      comment: "the codec is shared by the companion proxy and the control plane, and knows neither",
      from: { path: "^packages/http2/" },
      to: { path: "^(src|test|tools|packages)/", pathNot: "^packages/http2/" },
    },
    {
      name: "edge-http2",
      severity: "error",
      from: { path: "^src/", pathNot: ["^src/xds/grpc-", "\\.test\\.ts$"] },
      to: { path: "^packages/http2/" },
    },
    {
      name: "src-knows-no-proxy",
      severity: "error",
      comment: "the control plane and the companion proxy are two programs, which only the command line starts",
      from: { path: "^src/", pathNot: ["^src/cli/", "\\.test\\.ts$"] },
      to: { path: "^packages/proxy/" },
    },
    {
      name: "agent-knows-lib-alone",
      severity: "error",
      comment: "the agent is part of the program meltemi and shares its leaf nouns, nothing else of the control plane",
      from: { path: "^packages/agent/", pathNot: "\\.test\\.ts$" },
      to: { path: "^(src|test|tools)/", pathNot: "^src/lib/" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "types", "default"] },
  },
};
